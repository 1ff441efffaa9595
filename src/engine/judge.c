/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict of one flow, and its reason in words. */
#include "internal.h"

#include <netinet/in.h>
#include <string.h>
#include "base/clock.h"

bool ln_judge_is_name_multicast(const struct ln_flow *flow)
{
	static const struct {
		struct ln_addr addr;
		uint16_t port;
	} groups[] = {
	    {{.family = 4, .bytes = {224, 0, 0, 251}}, 5353}, /* mDNS: RFC 6762, 3 */
	    {{.family = 6, .bytes = {0xff, 0x02, [15] = 0xfb}}, 5353},
	    {{.family = 4, .bytes = {224, 0, 0, 252}}, 5355}, /* LLMNR: RFC 4795, 2 */
	    {{.family = 6, .bytes = {0xff, 0x02, [13] = 1, [15] = 3}}, 5355},
	};

	for (size_t i = 0; flow->proto == IPPROTO_UDP && i < LN_ARRAY_SIZE(groups); i++) {
		if (flow->remote.port == groups[i].port &&
		    ln_addr_equal(&flow->remote.addr, &groups[i].addr))
			return true;
	}
	return false;
}

static bool is_stale(const struct ln_engine *e, const char *name)
{
	for (size_t i = 0; i < e->n_found; i++) {
		const struct ln_name_evidence *found = &e->found[i];

		if (found->grants && !found->stale && strcmp(found->name, name) == 0)
			return false;
	}
	return true;
}

/* `also`: a name that grants besides those that were found; NULL none. */
static void match_policy(struct ln_engine *e, const struct ln_flow *flow, const char *also,
			 struct ln_judgement *ret)
{
	const char *granting[LN_ARRAY_SIZE(e->found) + 1];
	const char *naming[LN_ARRAY_SIZE(e->found)];
	struct ln_query query = {
	    .addr = flow->remote.addr,
	    .port = flow->remote.port,
	    .proto = flow->proto,
	    .now_s = ln_engine_wall_s(e),
	    .granting = granting,
	    .naming = naming,
	};

	for (size_t i = 0; i < e->n_found; i++) {
		if (e->found[i].grants)
			granting[query.n_granting++] = e->found[i].name;
		else
			naming[query.n_naming++] = e->found[i].name;
	}
	if (also)
		granting[query.n_granting++] = also;
	ln_policy_match(e->policy, &query, &ret->match);
	if (!ln_match_permits(&ret->match))
		ret->verdict = LN_VERDICT_UNEXPECTED;
	else if (ret->match.rule->kind == LN_RULE_DYNAMIC)
		ret->verdict = LN_VERDICT_DYNAMIC;
	else
		ret->verdict = LN_VERDICT_EXPECTED;
	ret->stale = ret->match.name && is_stale(e, ret->match.name);
}

/* Where 0.0.0.0 and :: lead on Linux, too. */
static bool is_loopback(const struct ln_flow *flow)
{
	return ln_addr_is_loopback(&flow->remote.addr) ||
	       ln_addr_is_unspecified(&flow->remote.addr);
}

static void match_outbound(struct ln_engine *e, const struct ln_flow *flow, const char *also,
			   struct ln_judgement *ret)
{
	match_policy(e, flow, also, ret);
	if (!ret->match.rule && is_loopback(flow) &&
	    ln_policy_loopback(e->policy) == LN_LOOPBACK_ALLOW)
		ret->verdict = LN_VERDICT_EXPECTED;
}

void ln_judge_address(struct ln_engine *e, uint32_t agent, const struct ln_flow *flow,
		      struct ln_judgement *ret)
{
	*ret = (struct ln_judgement){0};
	e->n_found = ln_names_find(e->names, agent, &flow->remote.addr, e->now_ns, e->found,
				   LN_ARRAY_SIZE(e->found));
	match_policy(e, flow, NULL, ret);
}

void ln_judge_found(struct ln_engine *e, const struct ln_flow *flow, struct ln_judgement *ret)
{
	*ret = (struct ln_judgement){0};
	match_policy(e, flow, NULL, ret);
}

static void match_inbound(struct ln_engine *e, const struct ln_flow *flow, struct ln_judgement *ret)
{
	ret->match.rule = ln_policy_match_inbound(e->policy, flow->proto, flow->local.port,
						  &flow->remote.addr, ln_engine_wall_s(e));
	ret->verdict = ret->match.rule ? LN_VERDICT_EXPECTED : LN_VERDICT_UNEXPECTED;
	if (!ret->match.rule)
		ret->match.expired = ln_policy_match_inbound(
		    e->policy, flow->proto, flow->local.port, &flow->remote.addr, 0);
}

void ln_judge_flow(struct ln_engine *e, uint32_t agent, const struct ln_flow *flow,
		   struct ln_judgement *ret)
{
	ln_judge_open_flow(e, agent, flow, NULL, ret);
}

void ln_judge_open_flow(struct ln_engine *e, uint32_t agent, const struct ln_flow *flow,
			const char *permitted_as, struct ln_judgement *ret)
{
	*ret = (struct ln_judgement){0};
	e->n_found = ln_names_find(e->names, agent, &flow->remote.addr, e->now_ns, e->found,
				   LN_ARRAY_SIZE(e->found));
	if (flow->same_tree)
		ret->verdict = LN_VERDICT_INTERNAL;
	else if (flow->inbound)
		match_inbound(e, flow, ret);
	else if (ln_engine_is_resolver(e, flow) || ln_judge_is_name_multicast(flow))
		ret->verdict = LN_VERDICT_DNS;
	else
		match_outbound(e, flow, permitted_as, ret);
}

static void add_rule(struct ln_buf *out, const struct ln_rule *rule, bool stale)
{
	char buf[128];
	const char *ports = ln_rule_ports_text(rule, buf, sizeof(buf));

	ln_buf_addf(out, "%s rule %u (line %u): %s%s%s%s", ln_rule_list_text(rule->kind),
		    rule->id + 1, rule->line, rule->text, ports[0] ? " " : "", ports,
		    stale ? ", by an answer that is past its TTL" : "");
}

/* Kept, because one rule decides about many flows in a row. */
static void write_reason(struct ln_engine *e, const struct ln_rule *rule, bool stale)
{
	ln_buf_reset(&e->reason);
	add_rule(&e->reason, rule, stale);
	e->reason_rule = rule;
	e->reason_stale = stale;
}

const char *ln_judge_over_reason(struct ln_engine *e, const struct ln_rule *rule)
{
	char when[LN_TIME_TEXT_MAX];

	ln_buf_reset(&e->reason);
	e->reason_rule = NULL;
	ln_buf_addf(&e->reason, "Rule at line %u expired on %s (%s).", rule->line,
		    ln_time_format(rule->expires_s * LN_NS_PER_S, 0, when), rule->text);
	return ln_buf_text(&e->reason);
}

static const char *unexpected_reason(struct ln_engine *e, const struct ln_flow *flow,
				     const struct ln_match *m)
{
	if (m->rule)
		return LN_REASON_DENIED;
	if (m->expired)
		return ln_judge_over_reason(e, m->expired);
	return flow->inbound ? LN_REASON_INBOUND : LN_REASON_CONNECTION;
}

const char *ln_judge_reason(struct ln_engine *e, const struct ln_flow *flow,
			    const struct ln_judgement *j)
{
	const struct ln_rule *rule = j->match.rule;

	switch (j->verdict) {
	case LN_VERDICT_INTERNAL:
		return "loopback to a process of the same agent";
	case LN_VERDICT_DNS:
		if (ln_judge_is_name_multicast(flow))
			return "multicast name look-up; the name is judged";
		return "trusted resolver; the names are judged";
	case LN_VERDICT_EXPECTED:
	case LN_VERDICT_DYNAMIC:
		if (!rule)
			return "loopback to a process outside the agent, which the policy allows";
		if (e->reason_rule != rule || e->reason_stale != j->stale)
			write_reason(e, rule, j->stale);
		return ln_buf_text(&e->reason);
	default:
		return unexpected_reason(e, flow, &j->match);
	}
}
