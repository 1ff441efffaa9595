/* SPDX-License-Identifier: Apache-2.0 */
/* What the first bytes of a flow claim about where it goes, judged by what permitted the flow. A
 * claim is the agent's own word: it can take a permission away, and never give one. Why each case
 * is judged as it is stands in docs/decisions/0010-what-the-bytes-say.md. */
#include "internal.h"

#include <netinet/in.h>
#include <string.h>
#include "dns/chain.h"

#define REASON_NAME       "The bytes name a site that is not in the allow-list."
#define REASON_UNREADABLE "The bytes name a site in a way that cannot be read."
#define REASON_DENIED     "The bytes name a site that is denied by the policy."
#define REASON_BANNED     "Destination asked of a relay is denied by the policy."
#define REASON_RELAY      "Destination asked of a relay is not in the allow-list."

static bool is_relay(const struct ln_claim *c)
{
	return c->layer == LN_LAYER_HTTP_PROXY || c->layer == LN_LAYER_SOCKS4 ||
	       c->layer == LN_LAYER_SOCKS5;
}

static bool is_by_name(const struct ln_target *at)
{
	return at->rule && at->rule->kind != LN_RULE_DENY && at->name[0] != '\0';
}

static void copy_name(char *to, const char *name)
{
	snprintf(to, LN_NAME_MAX, "%s", name ? name : "");
}

static enum ln_verdict verdict_of(const struct ln_rule *rule)
{
	if (!rule || rule->kind == LN_RULE_DENY)
		return LN_VERDICT_UNEXPECTED;
	return rule->kind == LN_RULE_DYNAMIC ? LN_VERDICT_DYNAMIC : LN_VERDICT_EXPECTED;
}

/* A flow whose opening was lost is judged now. */
static struct ln_target target_of_flow(struct ln_engine *e, uint32_t agent, struct ln_flow *flow,
				       struct ln_finding *f)
{
	struct ln_target at = {.proto = flow->proto, .remote = flow->remote};
	struct ln_flow_memory memory;
	struct ln_judgement j;

	if (ln_flows_recall(e, flow->id, &memory)) {
		at.verdict = memory.verdict;
		at.rule = memory.rule;
		copy_name(at.name, memory.rule_name);
		flow->listener = memory.listener;
		if (f->pid == 0) {
			f->pid = memory.pid;
			f->tid = memory.tid;
			f->proc = ln_tree_find(e->tree, f->pid);
		}
		return at;
	}
	ln_judge_flow(e, agent, flow, &j);
	at.verdict = j.verdict;
	at.rule = j.match.rule;
	copy_name(at.name, j.match.name);
	return at;
}

static void find_names(struct ln_engine *e, uint32_t agent, const struct ln_addr *addr)
{
	e->n_found = 0;
	if (addr->family != 0)
		e->n_found = ln_names_find(e->names, agent, addr, e->now_ns, e->found,
					   LN_ARRAY_SIZE(e->found));
}

static bool match_name(const struct ln_engine *e, const char *name, const struct ln_target *at,
		       struct ln_match *ret)
{
	const struct ln_query query = {
	    .port = at->remote.port,
	    .proto = at->proto,
	    .now_s = ln_engine_wall_s(e),
	    .granting = &name,
	    .n_granting = 1,
	};

	ln_policy_match(e->policy, &query, ret);
	return ln_match_permits(ret);
}

static bool is_denied(const struct ln_engine *e, const char *name, const struct ln_target *at,
		      struct ln_match *ret)
{
	if (name[0] == '\0' || match_name(e, name, at, ret) || !ret->denied)
		return false;
	return true;
}

/* The short form of a listed name, as the resolver's search list completes it. */
static bool match_searched(const struct ln_engine *e, const char *name, const struct ln_target *at,
			   struct ln_match *ret)
{
	char whole[2 * LN_NAME_MAX];
	struct ln_match match;

	for (size_t i = 0; i < e->n_search; i++) {
		snprintf(whole, sizeof(whole), "%s.%s", name, e->search[i]);
		if (!match_name(e, whole, at, &match))
			continue;
		*ret = (struct ln_match){.rule = match.rule, .name = name};
		return true;
	}
	return false;
}

static bool has_alias(const struct ln_name_evidence *evidence, const char *alias)
{
	const char *at = evidence->chain, *name;
	size_t len, alias_len = strlen(alias);

	while (at && ln_chain_next(&at, &name, &len)) {
		if (len == alias_len && memcmp(name, alias, len) == 0)
			return true;
	}
	return false;
}

/* An alias on the way from a listed name to this address. */
static bool match_chain(const struct ln_engine *e, const char *name, const struct ln_target *at,
			struct ln_match *ret)
{
	struct ln_match match;

	for (size_t i = 0; i < e->n_found; i++) {
		const struct ln_name_evidence *found = &e->found[i];

		if (!ln_name_source_grants(found->source) || !has_alias(found, name) ||
		    !match_name(e, found->name, at, &match))
			continue;
		*ret = (struct ln_match){.rule = match.rule, .name = name};
		return true;
	}
	return false;
}

/* Whether a site of this name may be reached where `at` is. Without a rule *ret has the near miss.
 */
static bool match_site(const struct ln_engine *e, const char *name, const struct ln_target *at,
		       struct ln_match *ret)
{
	if (is_by_name(at) && strcmp(name, at->name) == 0) {
		*ret = (struct ln_match){.rule = at->rule, .name = name};
		return true;
	}
	return match_name(e, name, at, ret) || match_searched(e, name, at, ret) ||
	       match_chain(e, name, at, ret);
}

/* "203.0.113.10:443", "api.example.com:443" */
static void add_target(struct ln_buf *out, const struct ln_target *at)
{
	char text[LN_ENDPOINT_TEXT_MAX];

	if (at->remote.addr.family != 0)
		ln_buf_adds(out, ln_endpoint_format(&at->remote, text));
	else
		ln_buf_addf(out, "%s:%u", at->name[0] ? at->name : "unreadable", at->remote.port);
}

static void add_way(struct ln_buf *out, const struct ln_target *at, const struct ln_flow *flow)
{
	char text[LN_ENDPOINT_TEXT_MAX];

	add_target(out, at);
	if (at->depth > 0)
		ln_buf_addf(out, " behind %s", ln_endpoint_format(&flow->remote, text));
}

/* What makes a claim the same as another at the same remote end of a flow. */
static void set_same(struct ln_engine *e, char what, const struct ln_target *at, const char *name)
{
	ln_buf_reset(&e->same);
	ln_buf_addf(&e->same, "%c%u:%u:%s", what, at->depth, at->remote.port, name);
}

static void set_same_target(struct ln_engine *e, char what, const struct ln_target *at)
{
	ln_buf_reset(&e->same);
	ln_buf_addf(&e->same, "%c%u:", what, at->depth);
	add_target(&e->same, at);
}

/* `rule`: what denies it; NULL: nothing permits it. */
static void tell_violation(struct ln_engine *e, struct ln_finding *f, const char *title,
			   const char *reason, const struct ln_rule *rule)
{
	f->verdict = LN_VERDICT_UNEXPECTED;
	f->rule = rule;
	f->rule_name = NULL;
	f->title = title;
	f->reason = reason;
	f->subject = ln_buf_text(&e->subject);
	e->sum.claims_unexpected++;
	ln_repeats_take(e, f);
}

static void tell_mismatch(struct ln_engine *e, struct ln_finding *f, const struct ln_match *near)
{
	const struct ln_target *at = f->target;
	const char *name = f->claim->name;
	const struct ln_flow there = {.proto = at->proto, .remote = at->remote};
	bool readable = name[0] != '\0';

	ln_buf_reset(&e->subject);
	ln_buf_addf(&e->subject, "%s at ", readable ? name : "unreadable name");
	add_way(&e->subject, at, f->flow);
	set_same(e, 'm', at, name);
	tell_violation(e, f, LN_TITLE_MISMATCH,
		       !readable      ? REASON_UNREADABLE
		       : near->denied ? REASON_DENIED
				      : REASON_NAME,
		       near->rule);
	if (near->denied)
		e->rule_hits[near->rule->id]++;
	else if (f->repeat_of == 0 && readable)
		f->hint = ln_hint_claim(e, name, &there, near);
}

/* No name at all names nothing else, and an address names no other site. */
static void judge_name(struct ln_engine *e, struct ln_finding *f)
{
	const struct ln_target *at = f->target;
	const struct ln_claim *c = f->claim;
	struct ln_match match = {0};

	if (!c->has_name)
		return;
	/* Whatever permits the flow: a ban wins. */
	if (at->verdict != LN_VERDICT_UNEXPECTED && at->verdict != LN_VERDICT_INTERNAL &&
	    is_denied(e, c->name, at, &match)) {
		tell_mismatch(e, f, &match);
		return;
	}
	if (!is_by_name(at))
		return;
	if (c->name[0] == '\0' || !match_site(e, c->name, at, &match)) {
		tell_mismatch(e, f, &match);
		return;
	}
	if (match.rule != at->rule)
		e->rule_hits[match.rule->id]++;
	f->rule = match.rule;
	f->rule_name = c->name;
	f->verdict = verdict_of(match.rule);
}

static void judge_asked_name(struct ln_engine *e, struct ln_finding *f, struct ln_target *asked)
{
	const struct ln_flow there = {.proto = asked->proto, .remote = asked->remote};
	struct ln_match match = {0};

	copy_name(asked->name, f->claim->name);
	if (asked->name[0] != '\0' && asked->remote.port != 0) {
		if (!is_denied(e, asked->name, asked, &match))
			match_site(e, asked->name, asked, &match);
	} else if (asked->name[0] != '\0') { /* it is only to be looked up */
		match.rule = ln_policy_denies_name(e->policy, asked->name);
		if (!match.rule)
			match.rule =
			    ln_policy_covers_name(e->policy, asked->name, ln_engine_wall_s(e));
	}
	asked->rule = match.rule;
	if (!match.rule)
		f->hint = asked->name[0] ? ln_hint_claim(e, asked->name, &there, &match) : NULL;
}

static void judge_asked_address(struct ln_engine *e, struct ln_finding *f, struct ln_target *asked)
{
	const struct ln_flow there = {.proto = asked->proto, .remote = asked->remote};
	struct ln_judgement j;

	ln_judge_address(e, f->agent, &there, &j);
	asked->rule = j.match.rule;
	copy_name(asked->name, j.match.name);
	if (!asked->rule)
		f->hint = ln_hint_flow(e, &there, &j.match);
}

/* As if the agent connected there itself. Behind a relay that is not permitted nothing is. */
static void judge_relay(struct ln_engine *e, struct ln_finding *f, struct ln_target *asked)
{
	const struct ln_claim *c = f->claim;

	*asked = (struct ln_target){.proto = IPPROTO_TCP, .depth = (uint8_t)(c->depth + 1)};
	if (strncmp(c->detail, "UDP", 3) == 0) /* UDP ASSOCIATE of SOCKS5 */
		asked->proto = IPPROTO_UDP;
	asked->remote.port = c->port;
	e->n_found = 0;
	if (c->addr.family != 0) {
		asked->remote.addr = c->addr;
		judge_asked_address(e, f, asked);
	} else {
		judge_asked_name(e, f, asked);
	}
	if (f->target->verdict == LN_VERDICT_UNEXPECTED) {
		asked->rule = NULL;
		f->hint = NULL;
	}
	asked->verdict = verdict_of(asked->rule);
	f->verdict = asked->verdict;
	f->rule = asked->rule;
	f->rule_name = is_by_name(asked) ? asked->name : NULL;
	if (asked->rule)
		e->rule_hits[asked->rule->id]++;
	if (asked->verdict != LN_VERDICT_UNEXPECTED || f->target->verdict == LN_VERDICT_UNEXPECTED)
		return;
	ln_buf_reset(&e->subject);
	add_way(&e->subject, asked, f->flow);
	set_same_target(e, 'r', asked);
	tell_violation(e, f, LN_TITLE_RELAY, asked->rule ? REASON_BANNED : REASON_RELAY,
		       asked->rule);
	if (f->repeat_of != 0)
		f->hint = NULL;
}

/* Kept as the first to go when there is no room. True: a name that was not known of this place. */
static bool learn_name(struct ln_engine *e, const struct ln_finding *f)
{
	static const enum ln_name_source sources[] = {
	    [LN_LAYER_TLS] = LN_NAME_SNI,
	    [LN_LAYER_QUIC] = LN_NAME_QUIC_SNI,
	    [LN_LAYER_HTTP] = LN_NAME_HOST_HEADER,
	};
	const struct ln_target *at = f->target;
	const struct ln_claim *c = f->claim;
	struct ln_name_evidence evidence = {
	    .pid = f->pid,
	    .seen_ns = e->now_ns,
	    .expires_ns = e->now_ns > 0 ? e->now_ns - 1 : 0,
	};

	if (c->layer >= LN_ARRAY_SIZE(sources) || c->name[0] == '\0' ||
	    strcmp(c->name, at->name) == 0)
		return false;
	for (size_t i = 0; i < e->n_found; i++) {
		if (ln_name_source_grants(e->found[i].source) &&
		    strcmp(e->found[i].name, c->name) == 0)
			return false;
	}
	evidence.source = sources[c->layer];
	copy_name(evidence.name, c->name);
	if (at->remote.addr.family != 0)
		ln_engine_add_name(e, f->agent, &at->remote.addr, &evidence);
	return true;
}

/* A word for people about what is no alert, once. */
static void notice(struct ln_engine *e, struct ln_finding *f)
{
	f->subject = ln_buf_text(&e->subject);
	f->notice = ln_repeats_is_news(e, f);
}

static void notice_name(struct ln_engine *e, struct ln_finding *f)
{
	const char *name = f->claim->name;

	ln_buf_reset(&e->subject);
	add_way(&e->subject, f->target, f->flow);
	ln_buf_addf(&e->subject, " is called %s by the agent (%s): a claim, it permits nothing",
		    name, ln_claim_text(f->claim));
	if (ln_policy_covers_name(e->policy, name, ln_engine_wall_s(e)))
		ln_buf_adds(&e->subject, "; the name is listed, but nothing that grants says that "
					 "it leads there");
	set_same(e, 'n', f->target, name);
	notice(e, f);
}

static void notice_relay(struct ln_engine *e, struct ln_finding *f, const struct ln_target *asked)
{
	ln_buf_reset(&e->subject);
	add_way(&e->subject, f->target, f->flow);
	ln_buf_addf(&e->subject, " is asked by the agent for ");
	add_target(&e->subject, asked);
	ln_buf_addf(&e->subject, " (%s)", ln_claim_text(f->claim));
	set_same_target(e, 'a', asked);
	notice(e, f);
}

/* Ports on which TLS begins with the first byte. */
static bool is_tls_port(const struct ln_target *at)
{
	static const uint16_t ports[] = {443, 465, 636,  853,  989,  990,
					 993, 995, 5061, 5671, 6697, 8443};

	for (size_t i = 0; at->proto == IPPROTO_TCP && i < LN_ARRAY_SIZE(ports); i++) {
		if (ports[i] == at->remote.port)
			return true;
	}
	return false;
}

/* Named, and no alert: a policy cannot say what is spoken, so nobody could allow it. */
static bool is_foreign(const struct ln_finding *f)
{
	enum ln_layer layer = f->claim->layer;

	return is_tls_port(f->target) && (layer == LN_LAYER_SSH || layer == LN_LAYER_HTTP ||
					  layer == LN_LAYER_HTTP2 || layer == LN_LAYER_OTHER);
}

static void notice_protocol(struct ln_engine *e, struct ln_finding *f)
{
	const struct ln_claim *c = f->claim;

	ln_buf_reset(&e->subject);
	add_way(&e->subject, f->target, f->flow);
	if (f->target->name[0] != '\0' && f->target->remote.addr.family != 0)
		ln_buf_addf(&e->subject, " (%s)", f->target->name);
	ln_buf_addf(&e->subject, " is spoken to in %s, not in TLS", ln_protocol_text(c->layer));
	if (c->detail[0] != '\0')
		ln_buf_addf(&e->subject, ": %s", c->detail);
	set_same(e, 'p', f->target, ln_layer_text(c->layer));
	notice(e, f);
}

static void judge(struct ln_engine *e, struct ln_finding *f, struct ln_target *relayed)
{
	const struct ln_claim *c = f->claim;
	bool is_news = false;

	if (is_relay(c)) {
		judge_relay(e, f, relayed);
		if (!f->title && f->verdict == LN_VERDICT_UNEXPECTED)
			notice_relay(e, f, relayed);
		f->target = relayed;
		return;
	}
	find_names(e, f->agent, &f->target->remote.addr);
	judge_name(e, f);
	/* Another name of a permitted site tells nobody anything. */
	if (f->title || !is_by_name(f->target)) {
		is_news = learn_name(e, f);
		find_names(e, f->agent, &f->target->remote.addr); /* the ones before are gone */
	}
	if (f->title)
		return;
	if (is_news && f->verdict == LN_VERDICT_UNEXPECTED)
		notice_name(e, f);
	if (!f->notice && is_foreign(f))
		notice_protocol(e, f);
}

void ln_claims_take(struct ln_engine *e, const struct ln_event *ev, const struct ln_claim *c,
		    struct ln_target *relayed)
{
	struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_CLAIM);
	struct ln_flow flow = ev->bytes.flow;
	struct ln_target at = target_of_flow(e, ev->agent, &flow, &f);

	if (c->depth > 0)
		at = *relayed;
	e->sum.claims++;
	f.flow = &flow;
	f.claim = c;
	f.target = &at;
	f.verdict = at.verdict;
	f.rule = at.rule;
	f.rule_name = is_by_name(&at) ? at.name : NULL;
	judge(e, &f, relayed);
	ln_dns_ways_claim(e, &f);
	if (!f.title)
		f.reason = ln_judge_reason(
		    e, &flow, &(struct ln_judgement){.verdict = f.verdict, .match.rule = f.rule});
	f.names = e->found;
	f.n_names = e->n_found;
	ln_engine_emit(e, &f);
}
