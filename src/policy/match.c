/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <string.h>
#include "index.h"
#include "ports.h"

/* The best rule found so far, for each list. */
struct found {
	uint32_t by_addr[LN_RULE_KINDS];
	uint32_t exact[LN_RULE_KINDS];
	const char *exact_name[LN_RULE_KINDS];
	uint32_t suffix[LN_RULE_KINDS];
	uint32_t suffix_len[LN_RULE_KINDS];
	const char *suffix_name[LN_RULE_KINDS];
	uint32_t expired; /* the first that would permit, were it not over */
};

static uint32_t chain_permits(const struct ln_policy *p, const struct ln_rule_chain *c,
			      const struct ln_query *q, struct found *found)
{
	uint32_t id = c->first;

	for (; id != LN_NO_RULE; id = p->next[id]) {
		if (!ln_rule_permits(&p->rules[id], q->port, q->proto))
			continue;
		if (!ln_rule_is_over(&p->rules[id], q->now_s))
			break;
		found->expired = LN_MIN(found->expired, id);
	}
	return id;
}

static bool denies(const struct ln_policy *p)
{
	return p->start[LN_RULE_DENY] < p->start[LN_RULE_DENY + 1];
}

/* Only the expected list and the denied have addresses. The longest prefix of each counts. */
static void match_addr(const struct ln_policy *p, const struct ln_query *q, struct found *found)
{
	static const enum ln_rule_kind kinds[] = {LN_RULE_DENY, LN_RULE_EXPECTED};
	const uint8_t *lens;
	size_t n = ln_index_lengths(p, q->addr.family, &lens);

	for (size_t i = 0; i < n; i++) {
		const struct ln_net_slot *s = ln_index_net(p, &q->addr, lens[i]);

		for (size_t k = 0; s && k < LN_ARRAY_SIZE(kinds); k++) {
			uint32_t *best = &found->by_addr[kinds[k]];

			if (*best == LN_NO_RULE)
				*best = chain_permits(p, &s->chain[kinds[k]], q, found);
		}
		if (found->by_addr[LN_RULE_DENY] != LN_NO_RULE ||
		    (found->by_addr[LN_RULE_EXPECTED] != LN_NO_RULE && !denies(p)))
			return;
	}
}

static void match_name(const struct ln_policy *p, const struct ln_query *q, const char *name,
		       struct found *best)
{
	struct ln_level levels[LN_NAME_LABELS_MAX];
	size_t n = ln_index_name_levels(p, name, levels);

	for (size_t i = 0; i < n; i++) {
		const struct ln_name_slot *s = levels[i].slot;

		for (int kind = 0; kind < LN_RULE_KINDS; kind++) {
			uint32_t id = chain_permits(
			    p, levels[i].whole ? &s->exact[kind] : &s->suffix[kind], q, best);

			if (id == LN_NO_RULE)
				continue;
			if (levels[i].whole) {
				if (id < best->exact[kind]) {
					best->exact[kind] = id;
					best->exact_name[kind] = name;
				}
			} else if (s->len > best->suffix_len[kind] ||
				   (s->len == best->suffix_len[kind] && id < best->suffix[kind])) {
				best->suffix[kind] = id;
				best->suffix_len[kind] = s->len;
				best->suffix_name[kind] = name;
			}
		}
	}
}

/* How close a rule comes: the highest of these is told. */
enum closeness {
	CLOSE_NOT,
	CLOSE_BELOW,           /* another name of the same domain, and other ports */
	CLOSE_BELOW_PERMITS,   /* another name of the same domain */
	CLOSE_CLAIMED,         /* only claimed to be listed, on other ports */
	CLOSE_CLAIMED_PERMITS, /* only claimed to be listed */
	CLOSE_PORT_AND_PROTO,  /* listed, on other ports and for another protocol */
	CLOSE_PORT,            /* listed, on other ports */
	CLOSE_PROTO,           /* listed, on this port for another protocol */
};

struct near {
	enum closeness close;
	uint32_t id;
	const char *name;
};

static enum ln_near_miss near_kind(enum closeness c)
{
	switch (c) {
	case CLOSE_BELOW:
	case CLOSE_BELOW_PERMITS:
		return LN_NEAR_SUBDOMAIN;
	case CLOSE_CLAIMED:
	case CLOSE_CLAIMED_PERMITS:
		return LN_NEAR_UNTRUSTED;
	case CLOSE_PORT_AND_PROTO:
	case CLOSE_PORT:
		return LN_NEAR_PORT;
	case CLOSE_PROTO:
		return LN_NEAR_PROTO;
	default:
		return LN_NEAR_NONE;
	}
}

static enum closeness listed_closeness(const struct ln_rule *r, const struct ln_query *q)
{
	if (ln_rule_permits_port(r, q->port))
		return CLOSE_PROTO;
	return ln_rule_permits_proto(r, q->proto) ? CLOSE_PORT : CLOSE_PORT_AND_PROTO;
}

enum relation { RELATED_LISTED, RELATED_CLAIMED, RELATED_BELOW };

/* Keeps the first of the closest. */
static void consider(const struct ln_policy *p, const struct ln_query *q,
		     const struct ln_rule_chain *c, enum relation relation, const char *name,
		     struct near *best)
{
	for (uint32_t id = c->first; id != LN_NO_RULE; id = p->next[id]) {
		const struct ln_rule *r = &p->rules[id];
		bool permits = ln_rule_permits(r, q->port, q->proto);
		enum closeness close;

		if (ln_rule_is_over(r, q->now_s))
			continue;
		if (relation == RELATED_LISTED)
			close = listed_closeness(r, q);
		else if (relation == RELATED_CLAIMED)
			close = permits ? CLOSE_CLAIMED_PERMITS : CLOSE_CLAIMED;
		else
			close = permits ? CLOSE_BELOW_PERMITS : CLOSE_BELOW;
		if (close > best->close)
			*best = (struct near){close, id, name};
	}
}

static void near_addr(const struct ln_policy *p, const struct ln_query *q, struct near *best)
{
	const uint8_t *lens;
	size_t n = ln_index_lengths(p, q->addr.family, &lens);

	for (size_t i = 0; i < n; i++) {
		const struct ln_net_slot *s = ln_index_net(p, &q->addr, lens[i]);

		if (s)
			consider(p, q, &s->chain[LN_RULE_EXPECTED], RELATED_LISTED, NULL, best);
	}
}

static void near_name(const struct ln_policy *p, const struct ln_query *q, const char *name,
		      enum relation listed, struct near *best)
{
	struct ln_level levels[LN_NAME_LABELS_MAX];
	size_t n = ln_index_name_levels(p, name, levels);

	while (n-- > 0) {
		const struct ln_name_slot *s = levels[n].slot;
		bool whole = levels[n].whole;

		for (int kind = 0; kind < LN_ALLOW_KINDS; kind++) {
			consider(p, q, &s->exact[kind], whole ? listed : RELATED_BELOW, name, best);
			consider(p, q, &s->suffix[kind], whole ? RELATED_BELOW : listed, name,
				 best);
		}
	}
}

static void find_near(const struct ln_policy *p, const struct ln_query *q, struct ln_match *ret)
{
	struct near best = {CLOSE_NOT, LN_NO_RULE, NULL};

	near_addr(p, q, &best);
	for (size_t i = 0; i < q->n_granting; i++)
		near_name(p, q, q->granting[i], RELATED_LISTED, &best);
	for (size_t i = 0; i < q->n_naming; i++)
		near_name(p, q, q->naming[i], RELATED_CLAIMED, &best);
	if (best.close == CLOSE_NOT)
		return;
	ret->near_rule = &p->rules[best.id];
	ret->near = near_kind(best.close);
	ret->near_name = best.name;
}

static uint32_t pick(const struct found *f, enum ln_rule_kind kind, const char **ret_name)
{
	if (f->by_addr[kind] != LN_NO_RULE)
		return f->by_addr[kind];
	*ret_name = f->exact[kind] != LN_NO_RULE ? f->exact_name[kind] : f->suffix_name[kind];
	return f->exact[kind] != LN_NO_RULE ? f->exact[kind] : f->suffix[kind];
}

void ln_policy_match(const struct ln_policy *p, const struct ln_query *q, struct ln_match *ret)
{
	static const enum ln_rule_kind order[] = {LN_RULE_DENY, LN_RULE_EXPECTED, LN_RULE_DYNAMIC};
	_Static_assert(LN_ARRAY_SIZE(order) == LN_RULE_KINDS, "each list");
	struct found found = {.expired = LN_NO_RULE};

	for (int kind = 0; kind < LN_RULE_KINDS; kind++)
		found.by_addr[kind] = found.exact[kind] = found.suffix[kind] = LN_NO_RULE;
	*ret = (struct ln_match){0};
	match_addr(p, q, &found);
	for (size_t i = 0; i < q->n_granting; i++) {
		if (denies(p) || found.by_addr[LN_RULE_EXPECTED] == LN_NO_RULE)
			match_name(p, q, q->granting[i], &found);
	}
	for (size_t i = 0; i < LN_ARRAY_SIZE(order); i++) {
		const char *name = NULL;
		uint32_t id = pick(&found, order[i], &name);

		if (id == LN_NO_RULE)
			continue;
		ret->rule = &p->rules[id];
		ret->denied = order[i] == LN_RULE_DENY;
		ret->name = name;
		return;
	}
	if (found.expired != LN_NO_RULE)
		ret->expired = &p->rules[found.expired];
	find_near(p, q, ret);
}

/* The first of a chain that is not over. */
static const struct ln_rule *chain_covers(const struct ln_policy *p, const struct ln_rule_chain *c,
					  uint64_t now_s)
{
	for (uint32_t id = c->first; id != LN_NO_RULE; id = p->next[id]) {
		if (!ln_rule_is_over(&p->rules[id], now_s))
			return &p->rules[id];
	}
	return NULL;
}

/* The first of a chain that is about every port and protocol. */
static const struct ln_rule *chain_denies(const struct ln_policy *p, const struct ln_rule_chain *c)
{
	for (uint32_t id = c->first; id != LN_NO_RULE; id = p->next[id]) {
		if (p->rules[id].n_ports == 0 && p->rules[id].proto == 0)
			return &p->rules[id];
	}
	return NULL;
}

static const struct ln_rule *denied_by(const struct ln_policy *p, const struct ln_level *levels,
				       size_t n)
{
	const struct ln_rule *rule = NULL;

	for (size_t i = n; i-- > 0 && !rule;) {
		const struct ln_name_slot *s = levels[i].slot;

		rule = chain_denies(p, levels[i].whole ? &s->exact[LN_RULE_DENY]
						       : &s->suffix[LN_RULE_DENY]);
	}
	return rule;
}

const struct ln_rule *ln_policy_denies_name(const struct ln_policy *p, const char *name)
{
	struct ln_level levels[LN_NAME_LABELS_MAX];

	return denies(p) ? denied_by(p, levels, ln_index_name_levels(p, name, levels)) : NULL;
}

const struct ln_rule *ln_policy_covers_name(const struct ln_policy *p, const char *name,
					    uint64_t now_s)
{
	struct ln_level levels[LN_NAME_LABELS_MAX];
	size_t n = ln_index_name_levels(p, name, levels);
	const struct ln_rule *rule = NULL;

	if (denied_by(p, levels, n))
		return NULL;
	for (int kind = 0; kind < LN_ALLOW_KINDS; kind++) {
		for (size_t i = n; i-- > 0 && !rule;) {
			const struct ln_name_slot *s = levels[i].slot;

			rule = chain_covers(p, levels[i].whole ? &s->exact[kind] : &s->suffix[kind],
					    now_s);
		}
	}
	return rule;
}

const struct ln_rule *ln_policy_covers_addr(const struct ln_policy *p, const struct ln_addr *addr,
					    uint64_t now_s)
{
	const struct ln_rule *rule = NULL;
	const uint8_t *lens;
	size_t n = ln_index_lengths(p, addr->family, &lens);

	for (size_t i = 0; i < n; i++) {
		const struct ln_net_slot *s = ln_index_net(p, addr, lens[i]);

		if (s && chain_denies(p, &s->chain[LN_RULE_DENY]))
			return NULL;
		if (s && !rule)
			rule = chain_covers(p, &s->chain[LN_RULE_EXPECTED], now_s);
	}
	return rule;
}
