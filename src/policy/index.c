/* SPDX-License-Identifier: Apache-2.0 */
#include "index.h"

#include <errno.h>
#include <string.h>

#define HASH_START 2166136261u /* FNV-1a */
#define HASH_PRIME 16777619u

_Static_assert(LN_RULE_KINDS == 3, "chains of a new slot");
static const struct ln_rule_chain no_chain = {LN_NO_RULE, LN_NO_RULE};

static uint32_t mix(uint32_t h)
{
	h ^= h >> 16;
	h *= 0x85ebca6bu;
	h ^= h >> 13;
	return h;
}

static uint32_t name_hash(const char *name, size_t len)
{
	uint32_t h = HASH_START;

	while (len > 0)
		h = (h ^ (uint8_t)name[--len]) * HASH_PRIME;
	return mix(h);
}

static uint32_t net_hash(const struct ln_addr *addr, uint8_t prefix_len)
{
	uint64_t a, b;

	memcpy(&a, addr->bytes, sizeof(a));
	memcpy(&b, addr->bytes + sizeof(a), sizeof(b));
	a = (a ^ ((uint64_t)prefix_len << 8) ^ addr->family) * 0x9e3779b97f4a7c15ULL;
	a ^= a >> 29;
	a = (a ^ b) * 0xbf58476d1ce4e5b9ULL;
	return (uint32_t)(a >> 32);
}

/* A power of two of which `n` entries fill at most half. */
static uint32_t slots_for(size_t n)
{
	uint32_t slots = 2;

	while (slots < n * 2)
		slots *= 2;
	return slots;
}

static struct ln_name_slot *name_slot(const struct ln_policy *p, const char *name, size_t len,
				      uint32_t hash)
{
	for (uint32_t i = hash & p->names_mask;; i = (i + 1) & p->names_mask) {
		struct ln_name_slot *s = &p->names[i];

		if (!s->name ||
		    (s->hash == hash && s->len == len && memcmp(s->name, name, len) == 0))
			return s;
	}
}

static struct ln_net_slot *net_slot(const struct ln_policy *p, const struct ln_addr *addr,
				    uint8_t prefix_len)
{
	for (uint32_t i = net_hash(addr, prefix_len) & p->nets_mask;; i = (i + 1) & p->nets_mask) {
		struct ln_net_slot *s = &p->nets[i];

		if (s->net.addr.family == 0 ||
		    (s->net.prefix_len == prefix_len && ln_addr_equal(&s->net.addr, addr)))
			return s;
	}
}

static void append(struct ln_policy *p, struct ln_rule_chain *c, uint32_t id)
{
	p->next[id] = LN_NO_RULE;
	if (c->first == LN_NO_RULE)
		c->first = id;
	else
		p->next[c->last] = id;
	c->last = id;
}

static void add_name(struct ln_policy *p, const struct ln_rule *r)
{
	size_t len = strlen(r->name);
	uint32_t hash = name_hash(r->name, len);
	struct ln_name_slot *s = name_slot(p, r->name, len, hash);

	if (!s->name)
		*s = (struct ln_name_slot){r->name,
					   hash,
					   (uint32_t)len,
					   {no_chain, no_chain, no_chain},
					   {no_chain, no_chain, no_chain}};
	append(p, r->dest == LN_DEST_NAME ? &s->exact[r->kind] : &s->suffix[r->kind], r->id);
}

static void add_net(struct ln_policy *p, const struct ln_rule *r, bool seen4[33], bool seen6[129])
{
	struct ln_net_slot *s = net_slot(p, &r->net.addr, r->net.prefix_len);

	if (s->net.addr.family == 0)
		*s = (struct ln_net_slot){r->net, {no_chain, no_chain, no_chain}};
	append(p, &s->chain[r->kind], r->id);
	if (r->net.addr.family == 4)
		seen4[r->net.prefix_len] = true;
	else
		seen6[r->net.prefix_len] = true;
}

static size_t list_lengths(const bool *seen, size_t n, uint8_t *ret)
{
	size_t count = 0;

	while (n-- > 0) {
		if (seen[n])
			ret[count++] = (uint8_t)n;
	}
	return count;
}

static void find_starts(struct ln_policy *p)
{
	uint32_t id = 0;

	for (int kind = 0; kind < LN_RULE_COUNT; kind++) {
		p->start[kind] = id;
		while (id < p->n_rules && p->rules[id].kind == (enum ln_rule_kind)kind)
			id++;
	}
	p->start[LN_RULE_COUNT] = id;
}

int ln_index_build(struct ln_policy *p)
{
	bool seen4[33] = {false}, seen6[129] = {false};
	size_t n_names = 0, n_dests;

	find_starts(p);
	n_dests = p->start[LN_RULE_KINDS];
	for (size_t i = 0; i < n_dests; i++)
		n_names += p->rules[i].dest != LN_DEST_NET;
	p->names_mask = slots_for(n_names) - 1;
	p->nets_mask = slots_for(n_dests - n_names) - 1;
	p->names = calloc((size_t)p->names_mask + 1, sizeof(*p->names));
	p->nets = calloc((size_t)p->nets_mask + 1, sizeof(*p->nets));
	p->next = calloc(n_dests + 1, sizeof(*p->next));
	if (!p->names || !p->nets || !p->next) {
		ln_index_done(p);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n_dests; i++) {
		if (p->rules[i].dest == LN_DEST_NET)
			add_net(p, &p->rules[i], seen4, seen6);
		else
			add_name(p, &p->rules[i]);
	}
	p->n_lens4 = list_lengths(seen4, LN_ARRAY_SIZE(seen4), p->lens4);
	p->n_lens6 = list_lengths(seen6, LN_ARRAY_SIZE(seen6), p->lens6);
	return 0;
}

void ln_index_done(struct ln_policy *p)
{
	free(p->names);
	free(p->nets);
	free(p->next);
	p->names = NULL;
	p->nets = NULL;
	p->next = NULL;
}

size_t ln_index_name_levels(const struct ln_policy *p, const char *name,
			    struct ln_level ret[LN_NAME_LABELS_MAX])
{
	size_t len = strlen(name), n = 0;
	uint32_t h = HASH_START;

	if (len == 0 || len >= LN_NAME_MAX)
		return 0;
	for (size_t i = len; i-- > 0;) {
		const struct ln_name_slot *s;

		h = (h ^ (uint8_t)name[i]) * HASH_PRIME;
		if ((i > 0 && name[i - 1] != '.') || name[i] == '.')
			continue;
		s = name_slot(p, name + i, len - i, mix(h));
		if (s->name && n < LN_NAME_LABELS_MAX)
			ret[n++] = (struct ln_level){s, i == 0};
	}
	return n;
}

const struct ln_net_slot *ln_index_net(const struct ln_policy *p, const struct ln_addr *addr,
				       uint8_t prefix_len)
{
	struct ln_addr masked = ln_addr_mask(addr, prefix_len);
	const struct ln_net_slot *s = net_slot(p, &masked, prefix_len);

	return s->net.addr.family != 0 ? s : NULL;
}

size_t ln_index_lengths(const struct ln_policy *p, uint8_t family, const uint8_t **ret)
{
	*ret = family == 4 ? p->lens4 : p->lens6;
	return family == 4 ? p->n_lens4 : family == 6 ? p->n_lens6 : 0;
}
