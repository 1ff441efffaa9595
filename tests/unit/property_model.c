/* SPDX-License-Identifier: Apache-2.0 */
#include "property_model.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "engine/internal.h"

static void require(bool promise)
{
	if (!promise)
		abort(); /* the model's own bounds are too small */
}

void model_set_policy(struct model *m, const struct ln_policy *policy, unsigned int which)
{
	m->policy = policy;
	m->n_resolvers = story_resolvers(which, m->resolvers);
}

void model_init(struct model *m, const struct ln_policy *policy, unsigned int which)
{
	memset(m, 0, sizeof(*m));
	model_set_policy(m, policy, which);
}

static bool is_resolver(const struct model *m, const struct ln_flow *flow)
{
	if (flow->same_tree || (flow->proto != IPPROTO_TCP && flow->proto != IPPROTO_UDP))
		return false;
	for (size_t i = 0; i < m->n_resolvers; i++) {
		if (m->resolvers[i].port == flow->remote.port &&
		    ln_addr_equal(&m->resolvers[i].addr, &flow->remote.addr))
			return true;
	}
	return false;
}

static bool is_here(const struct ln_addr *addr)
{
	return ln_addr_is_loopback(addr) || ln_addr_is_unspecified(addr);
}

static uint64_t latest_ns(const struct model *m, uint64_t expires_ns)
{
	uint64_t grace_ns = ln_policy_grace_ns(m->policy);

	return expires_ns > UINT64_MAX - grace_ns ? UINT64_MAX : expires_ns + grace_ns;
}

static void add_name(struct model *m, uint32_t agent, const struct ln_addr *addr, const char *name,
		     uint64_t expires_ns)
{
	require(m->n_names < MODEL_KNOWN_MAX);
	if (!is_here(addr))
		m->names[m->n_names++] = (struct model_name){agent, *addr, name, expires_ns};
}

static void add_alias(struct model *m, uint32_t agent, const char *name, const char *target,
		      uint64_t expires_ns)
{
	require(m->n_aliases < MODEL_KNOWN_MAX);
	if (strcmp(name, target) != 0)
		m->aliases[m->n_aliases++] = (struct model_alias){agent, name, target, expires_ns};
}

static uint64_t expiry(const struct model *m, uint32_t ttl_s)
{
	return m->now_ns + LN_MIN(LN_MAX(ttl_s, LN_TTL_MIN_S), LN_TTL_MAX_S) * LN_NS_PER_S;
}

/* What an answer says of the name that was asked for, it says of each name that leads to it. */
static void learn(struct model *m, uint32_t agent, const struct story_dns *d)
{
	uint64_t addr_ns = expiry(m, d->alias ? LN_MIN(d->ttl_s, d->alias_ttl_s) : d->ttl_s);
	size_t n_aliases = m->n_aliases;

	add_name(m, agent, &d->addr, d->name, addr_ns);
	if (d->alias)
		add_alias(m, agent, d->name, d->alias, expiry(m, d->alias_ttl_s));
	for (size_t i = 0; i < n_aliases; i++) {
		const struct model_alias a = m->aliases[i];

		if (a.agent != agent || strcmp(a.target, d->name) != 0 ||
		    latest_ns(m, a.expires_ns) < m->now_ns)
			continue;
		add_name(m, agent, &d->addr, a.name, LN_MIN(addr_ns, a.expires_ns));
		if (d->alias)
			add_alias(m, agent, a.name, d->alias,
				  LN_MIN(expiry(m, d->alias_ttl_s), a.expires_ns));
	}
}

static struct model_question *find_question(struct model *m, const struct ln_event *ev,
					    const struct story_dns *d)
{
	for (size_t i = 0; i < m->n_questions; i++) {
		struct model_question *q = &m->questions[i];

		if (q->flow_id == ev->dns.flow.id && q->agent == ev->agent && q->dns.id == d->id &&
		    q->dns.qtype == d->qtype && strcmp(q->dns.name, d->name) == 0)
			return q;
	}
	return NULL;
}

static void take_dns(struct model *m, const struct ln_event *ev, const struct story_dns *d)
{
	struct model_question *q = find_question(m, ev, d);
	bool trusted = is_resolver(m, &ev->dns.flow);

	m->accepted = false;
	if (!ev->dns.answer) {
		if (!q && trusted)
			q = &m->questions[m->n_questions++];
		if (trusted)
			*q = (struct model_question){ev->dns.flow.id, ev->agent, *d,
						     m->now_ns + LN_QUESTION_LIFE_NS};
		return;
	}
	if (!q || !trusted || ev->dns.stranger || q->until_ns < m->now_ns)
		return;
	q->until_ns = 0;
	m->accepted = true;
	learn(m, ev->agent, d);
}

static void end_process(struct model *m, uint32_t pid)
{
	for (size_t i = 0; i < m->n_living; i++) {
		if (m->living[i] == pid)
			m->living[i--] = m->living[--m->n_living];
	}
}

static void begin_process(struct model *m, uint32_t pid)
{
	end_process(m, pid);
	require(m->n_living < LN_ARRAY_SIZE(m->living));
	m->living[m->n_living++] = pid;
}

static void close_flow(struct model *m, uint64_t id)
{
	for (size_t i = 0; i < m->n_open; i++) {
		if (m->open[i] == id)
			m->open[i--] = m->open[--m->n_open];
	}
}

static void take_event(struct model *m, const struct story_event *s)
{
	const struct ln_event *ev = &s->ev;

	switch (ev->kind) {
	case LN_EVENT_DNS:
		take_dns(m, ev, &s->dns);
		break;
	case LN_EVENT_NAME:
		if (ev->name.evidence.grants && ev->name.evidence.source < LN_NAME_UNTRUSTED)
			add_name(m, ev->agent, &ev->name.addr, ev->name.evidence.name,
				 ev->name.evidence.expires_ns);
		break;
	case LN_EVENT_FORK:
		begin_process(m, ev->fork.child);
		break;
	case LN_EVENT_ADOPT:
	case LN_EVENT_EXEC:
		begin_process(m, ev->pid);
		break;
	case LN_EVENT_EXIT:
		end_process(m, ev->pid);
		break;
	case LN_EVENT_FLOW_OPEN:
		close_flow(m, ev->flow.flow.id);
		m->open[m->n_open++] = ev->flow.flow.id;
		break;
	case LN_EVENT_FLOW_CLOSE:
		close_flow(m, ev->flow.flow.id);
		break;
	default:
		break;
	}
}

void model_take(struct model *m, const struct story_event *s)
{
	if (s->ev.time_ns >= m->now_ns && s->step != STEP_GRANT_AGAIN) {
		m->now_ns = s->ev.time_ns;
		m->wall_ns = s->ev.wall_ns;
	}
	if (s->step == STEP_EVENT)
		take_event(m, s);
}

static bool permits(const struct ln_rule *r, uint16_t port, uint8_t proto, uint64_t wall_ns)
{
	bool port_fits = r->n_ports == 0;

	for (size_t i = 0; i < r->n_ports; i++)
		port_fits |= r->ports[i].first <= port && port <= r->ports[i].last;
	return port_fits && (r->proto == 0 || r->proto == proto) &&
	       (r->expires_s == 0 || wall_ns / LN_NS_PER_S < r->expires_s);
}

/* 0: the rule is not about that name. */
static unsigned int rank_name(const struct ln_rule *r, const char *name)
{
	size_t len = strlen(name), rule_len = strlen(r->name);

	if (r->dest == LN_DEST_NAME)
		return strcmp(r->name, name) == 0 ? 1000 : 0;
	if (len <= rule_len + 1 || name[len - rule_len - 1] != '.' ||
	    strcmp(name + len - rule_len, r->name) != 0)
		return 0;
	return (unsigned int)rule_len;
}

/* How well a rule fits; 0 not at all. An address before a name, an exact name before a suffix. */
static unsigned int rank(const struct ln_rule *r, const struct ln_addr *addr,
			 const char *const *names, size_t n)
{
	unsigned int best = 0;

	if (r->dest == LN_DEST_NET)
		return ln_net_contains(&r->net, addr) ? 2000u + r->net.prefix_len : 0;
	for (size_t i = 0; i < n; i++)
		best = LN_MAX(best, rank_name(r, names[i]));
	return best;
}

static enum ln_verdict judge_outbound(const struct model *m, uint32_t agent,
				      const struct ln_flow *flow, const char *const *also,
				      size_t n_also, const struct ln_rule **ret)
{
	static const enum ln_rule_kind kinds[] = {LN_RULE_DENY, LN_RULE_EXPECTED, LN_RULE_DYNAMIC};
	const char *names[2 * MODEL_NAMES_MAX];
	size_t n = model_granting(m, agent, &flow->remote.addr, names);

	for (size_t i = 0; i < n_also && i < MODEL_NAMES_MAX; i++)
		names[n++] = also[i];
	for (size_t k = 0; k < LN_ARRAY_SIZE(kinds); k++) {
		unsigned int best = 0;

		for (size_t i = 0; i < ln_policy_rules(m->policy); i++) {
			const struct ln_rule *r = ln_policy_rule(m->policy, i);
			unsigned int fits;

			if (r->kind != kinds[k] ||
			    !permits(r, flow->remote.port, flow->proto, m->wall_ns))
				continue;
			fits = rank(r, &flow->remote.addr, names, n);
			if (fits > best)
				*ret = r;
			best = LN_MAX(best, fits);
		}
		if (best > 0)
			return kinds[k] == LN_RULE_DENY      ? LN_VERDICT_UNEXPECTED
			       : kinds[k] == LN_RULE_DYNAMIC ? LN_VERDICT_DYNAMIC
							     : LN_VERDICT_EXPECTED;
	}
	return is_here(&flow->remote.addr) && ln_policy_loopback(m->policy) == LN_LOOPBACK_ALLOW
		   ? LN_VERDICT_EXPECTED
		   : LN_VERDICT_UNEXPECTED;
}

static enum ln_verdict judge_inbound(const struct model *m, const struct ln_flow *flow,
				     const struct ln_rule **ret)
{
	for (size_t i = 0; i < ln_policy_rules(m->policy); i++) {
		const struct ln_rule *r = ln_policy_rule(m->policy, i);

		if (r->kind != LN_RULE_INBOUND ||
		    !permits(r, flow->local.port, flow->proto, m->wall_ns) ||
		    (r->net.addr.family != 0 && !ln_net_contains(&r->net, &flow->remote.addr)))
			continue;
		*ret = r;
		return LN_VERDICT_EXPECTED;
	}
	return LN_VERDICT_UNEXPECTED;
}

enum ln_verdict model_judge(const struct model *m, uint32_t agent, const struct ln_flow *flow,
			    const char *const *also, size_t n_also, const struct ln_rule **ret)
{
	*ret = NULL;
	if (flow->same_tree)
		return LN_VERDICT_INTERNAL;
	if (flow->inbound)
		return judge_inbound(m, flow, ret);
	if (is_resolver(m, flow))
		return LN_VERDICT_DNS;
	return judge_outbound(m, agent, flow, also, n_also, ret);
}

static bool leads(const struct model_name *n, uint32_t agent, const struct ln_addr *addr)
{
	return (n->agent == agent || n->agent == 0) && ln_addr_equal(&n->addr, addr);
}

uint64_t model_granted_until(const struct model *m, uint32_t agent, const struct ln_addr *addr,
			     const char *name)
{
	uint64_t until_ns = 0;

	for (size_t i = 0; i < m->n_names; i++) {
		if (leads(&m->names[i], agent, addr) && strcmp(m->names[i].name, name) == 0)
			until_ns = LN_MAX(until_ns, latest_ns(m, m->names[i].expires_ns));
	}
	return until_ns >= m->now_ns ? until_ns : 0;
}

size_t model_granting(const struct model *m, uint32_t agent, const struct ln_addr *addr,
		      const char *ret[MODEL_NAMES_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_names; i++) {
		const struct model_name *one = &m->names[i];
		bool is_new = leads(one, agent, addr) && latest_ns(m, one->expires_ns) >= m->now_ns;

		for (size_t k = 0; k < n && is_new; k++)
			is_new = strcmp(ret[k], one->name) != 0;
		require(n < MODEL_NAMES_MAX);
		if (is_new)
			ret[n++] = one->name;
	}
	return n;
}

size_t model_living(const struct model *m, uint32_t agent)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_living; i++)
		n += m->living[i] / 100 == agent;
	return n;
}
