/* SPDX-License-Identifier: Apache-2.0 */
/* Names that no rule covers, by the domain that somebody registered: names can carry data out, and
 * answers carry it in. Counted from the first question on: which names, how much of them is not the
 * domain's own, of which types, and what came back. */
#include "internal.h"

#include <string.h>
#include "base/table.h"

#define SLOTS_MIN    16
#define TYPES_MAX    8
#define OVERHEAD_LEN (12 + 2 + 4) /* a message with a question is longer than the name by this */

struct ln_tunnel {
	struct ln_name_group group; /* what is told */
	uint16_t types[TYPES_MAX];
	size_t n_types;
	uint64_t *names; /* owned; an open-addressed set of their hashes, 0: free */
	size_t n_slots;
	UT_hash_handle hh;
	size_t key_len;
	struct {
		uint32_t agent;
		char domain[LN_NAME_MAX];
	} key;
};

static size_t make_key(struct ln_tunnel *t, uint32_t agent, const char *domain)
{
	memset(&t->key, 0, sizeof(t->key));
	t->key.agent = agent;
	snprintf(t->key.domain, sizeof(t->key.domain), "%s", domain);
	t->key_len = offsetof(struct ln_tunnel, key.domain) - offsetof(struct ln_tunnel, key) +
		     strlen(t->key.domain);
	return t->key_len;
}

static void forget(struct ln_engine *e, struct ln_tunnel *t)
{
	HASH_DEL(e->tunnels, t);
	e->tunnel_names -= t->group.names;
	free(t->names);
	free(t);
}

static struct ln_tunnel *find(struct ln_engine *e, uint32_t agent, const char *name)
{
	struct ln_tunnel key, *t;
	size_t len = make_key(&key, agent, ln_policy_registered_domain(e->policy, name));

	HASH_FIND(hh, e->tunnels, &key.key, len, t);
	return t;
}

/* The table is in the order of use. NULL: no memory. */
static struct ln_tunnel *need(struct ln_engine *e, uint32_t agent, const char *name)
{
	struct ln_tunnel *t = find(e, agent, name);

	if (t) {
		HASH_DEL(e->tunnels, t);
	} else {
		if (HASH_COUNT(e->tunnels) >= LN_TUNNELS_MAX) {
			forget(e, e->tunnels);
			e->sum.tables_full++;
		}
		t = calloc(1, sizeof(*t));
		if (!t)
			return NULL;
		make_key(t, agent, ln_policy_registered_domain(e->policy, name));
		t->group.domain = t->key.domain;
	}
	HASH_ADD(hh, e->tunnels, key, t->key_len, t);
	if (!t->hh.tbl) {
		e->tunnel_names -= t->group.names;
		free(t->names);
		free(LN_TAKE_PTR(t));
	}
	return t;
}

static uint64_t hash_of(const char *name)
{
	size_t len = strlen(name);
	uint64_t hash = (uint64_t)ln_table_hash(name, len) << 32 | ln_table_hash(name, len + 1);

	return hash ? hash : 1;
}

static uint64_t *find_slot(uint64_t *slots, size_t n_slots, uint64_t hash)
{
	size_t at = (size_t)hash;

	while (slots[at & (n_slots - 1)] != 0 && slots[at & (n_slots - 1)] != hash)
		at++;
	return &slots[at & (n_slots - 1)];
}

static bool grow(struct ln_tunnel *t)
{
	size_t n_slots = t->n_slots ? 2 * t->n_slots : SLOTS_MIN;
	uint64_t *slots = calloc(n_slots, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < t->n_slots; i++) {
		if (t->names[i] != 0)
			*find_slot(slots, n_slots, t->names[i]) = t->names[i];
	}
	free(t->names);
	t->names = slots;
	t->n_slots = n_slots;
	return true;
}

/* Whether it is another name than those before, as far as they could be kept: when they cannot,
 * each counts for its bytes, and the number of names is a least one. */
static bool add_name(struct ln_engine *e, struct ln_tunnel *t, const char *name)
{
	uint64_t hash = hash_of(name);

	if (t->n_slots > 0 && *find_slot(t->names, t->n_slots, hash) != 0)
		return false;
	if (t->group.names >= LN_TUNNEL_NAMES_MAX || e->tunnel_names >= LN_TUNNEL_NAMES_ALL) {
		t->group.more = true;
		return true;
	}
	if (2 * (t->group.names + 1) > t->n_slots && !grow(t)) {
		ln_losses_no_memory(e, t->key.agent);
		t->group.more = true;
		return true;
	}
	*find_slot(t->names, t->n_slots, hash) = hash;
	t->group.names++;
	e->tunnel_names++;
	return true;
}

static void add_type(struct ln_tunnel *t, uint16_t type)
{
	for (size_t i = 0; i < t->n_types; i++) {
		if (t->types[i] == type)
			return;
	}
	if (t->n_types < TYPES_MAX)
		t->types[t->n_types++] = type;
	t->group.types = t->types;
	t->group.n_types = t->n_types;
}

/* The bytes of the labels alone, without their dots. */
static uint64_t label_bytes(const char *name, const char *domain)
{
	uint64_t n = 0;

	for (size_t left = strlen(name) - strlen(domain); left > 0; left--)
		n += *name++ != '.';
	return n;
}

const struct ln_name_group *ln_tunnels_question(struct ln_engine *e, uint32_t agent,
						const struct ln_dns_message *msg)
{
	struct ln_tunnel *t = need(e, agent, msg->qname);

	if (!t) {
		ln_losses_no_memory(e, agent);
		return NULL;
	}
	t->group.questions++;
	if (add_name(e, t, msg->qname))
		t->group.label_bytes += label_bytes(msg->qname, t->key.domain);
	add_type(t, msg->qtype);
	return &t->group;
}

void ln_tunnels_answer(struct ln_engine *e, uint32_t agent, const struct ln_dns_message *msg,
		       size_t len)
{
	struct ln_tunnel *t = msg->has_question && e->tunnels ? find(e, agent, msg->qname) : NULL;
	size_t empty = OVERHEAD_LEN + strlen(msg->qname);
	struct ln_name_judgement j;

	if (!t || len <= empty)
		return;
	ln_judge_name(e, agent, msg->qname, &j);
	if (!j.covered)
		t->group.answer_bytes += len - empty;
}

const struct ln_name_group *ln_tunnels_find(struct ln_engine *e, uint32_t agent, const char *name)
{
	struct ln_tunnel *t = find(e, agent, name);

	return t ? &t->group : NULL;
}

void ln_tunnels_done(struct ln_engine *e)
{
	while (e->tunnels)
		forget(e, e->tunnels);
}
