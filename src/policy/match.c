/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <string.h>
#include "index.h"
#include "ports.h"

/* The best rule found so far by name, for each list. */
struct by_name {
	uint32_t exact[LN_RULE_KINDS];
	const char *exact_name[LN_RULE_KINDS];
	uint32_t suffix[LN_RULE_KINDS];
	uint32_t suffix_len[LN_RULE_KINDS];
	const char *suffix_name[LN_RULE_KINDS];
};

static uint32_t chain_permits(const struct ln_policy *p, const struct ln_rule_chain *c,
			      const struct ln_query *q)
{
	uint32_t id = c->first;

	while (id != LN_NO_RULE && !ln_rule_permits(&p->rules[id], q->port, q->proto))
		id = p->next[id];
	return id;
}

static uint32_t match_addr(const struct ln_policy *p, const struct ln_query *q)
{
	const uint8_t *lens;
	size_t n = ln_index_lengths(p, q->addr.family, &lens);

	/* Only the expected list has addresses. */
	for (size_t i = 0; i < n; i++) {
		const struct ln_net_slot *s = ln_index_net(p, &q->addr, lens[i]);
		uint32_t id = s ? chain_permits(p, &s->chain[LN_RULE_EXPECTED], q) : LN_NO_RULE;

		if (id != LN_NO_RULE)
			return id;
	}
	return LN_NO_RULE;
}

static void match_name(const struct ln_policy *p, const struct ln_query *q, const char *name,
		       struct by_name *best)
{
	struct ln_level levels[LN_NAME_LABELS_MAX];
	size_t n = ln_index_name_levels(p, name, levels);

	for (size_t i = 0; i < n; i++) {
		const struct ln_name_slot *s = levels[i].slot;

		for (int kind = 0; kind < LN_RULE_KINDS; kind++) {
			uint32_t id = chain_permits(
			    p, levels[i].whole ? &s->exact[kind] : &s->suffix[kind], q);

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

		for (int kind = 0; kind < LN_RULE_KINDS; kind++) {
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

void ln_policy_match(const struct ln_policy *p, const struct ln_query *q, struct ln_match *ret)
{
	struct by_name best = {.exact = {LN_NO_RULE, LN_NO_RULE},
			       .suffix = {LN_NO_RULE, LN_NO_RULE}};
	uint32_t id = match_addr(p, q);

	*ret = (struct ln_match){0};
	if (id != LN_NO_RULE) {
		ret->rule = &p->rules[id];
		return;
	}
	for (size_t i = 0; i < q->n_granting; i++)
		match_name(p, q, q->granting[i], &best);
	for (int kind = 0; kind < LN_RULE_KINDS; kind++) {
		bool exact = best.exact[kind] != LN_NO_RULE;

		id = exact ? best.exact[kind] : best.suffix[kind];
		if (id == LN_NO_RULE)
			continue;
		ret->rule = &p->rules[id];
		ret->name = exact ? best.exact_name[kind] : best.suffix_name[kind];
		return;
	}
	find_near(p, q, ret);
}

const struct ln_rule *ln_policy_covers_name(const struct ln_policy *p, const char *name)
{
	struct ln_level levels[LN_NAME_LABELS_MAX];
	size_t n = ln_index_name_levels(p, name, levels);

	for (int kind = 0; kind < LN_RULE_KINDS; kind++) {
		for (size_t i = n; i-- > 0;) {
			const struct ln_name_slot *s = levels[i].slot;
			uint32_t id =
			    levels[i].whole ? s->exact[kind].first : s->suffix[kind].first;

			if (id != LN_NO_RULE)
				return &p->rules[id];
		}
	}
	return NULL;
}

const struct ln_rule *ln_policy_covers_addr(const struct ln_policy *p, const struct ln_addr *addr)
{
	const uint8_t *lens;
	size_t n = ln_index_lengths(p, addr->family, &lens);

	for (size_t i = 0; i < n; i++) {
		const struct ln_net_slot *s = ln_index_net(p, addr, lens[i]);

		if (s)
			return &p->rules[s->chain[LN_RULE_EXPECTED].first];
	}
	return NULL;
}
