/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "base/heap.h"
#include "base/macros.h"
#include "base/table.h"
#include "chain.h"

struct entry {
	struct ln_heap_node expiry;      /* key: expires_ns */
	struct entry *older, *newer;     /* of the same owner */
	struct entry *place_prev, *next; /* of the same place */
	struct place *place;
	uint64_t seen_ns;
	uint32_t pid, ttl_s;
	enum ln_name_source source;
	bool grants;
	char *chain; /* owned; NULL none */
	char name[];
};

struct place_key {
	uint32_t agent;
	struct ln_addr addr; /* pads zero: compared with memcmp */
};
_Static_assert(sizeof(struct place_key) == 24, "no hidden padding in a hash key");

/* One address as one agent sees it. */
struct place {
	struct place_key key;
	struct owner *owner;
	struct entry *entries;
	size_t n;
	UT_hash_handle hh;
};

/* What one agent holds. */
struct owner {
	uint32_t agent;
	struct ln_heap by_expiry;
	struct entry *by_age; /* oldest first */
	UT_hash_handle hh;
};

struct ln_names {
	size_t max, n;
	uint64_t grace_ns;
	uint64_t evicted;
	struct place *places;
	struct owner *owners;
};

const char *ln_name_source_text(enum ln_name_source s)
{
	static const char *const texts[] = {
	    [LN_NAME_ANSWER] = "answer",
	    [LN_NAME_OWN_LOOKUP] = "own-lookup",
	    [LN_NAME_HOSTS] = "hosts",
	    [LN_NAME_RESOLVED] = "resolved",
	    [LN_NAME_UNTRUSTED] = "untrusted",
	    [LN_NAME_SNI] = "sni",
	    [LN_NAME_QUIC_SNI] = "quic-sni",
	    [LN_NAME_HOST_HEADER] = "host-header",
	    [LN_NAME_PTR] = "ptr",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_NAME_SOURCE_COUNT, "a text for each source");

	return (unsigned int)s < LN_NAME_SOURCE_COUNT ? texts[s] : "unknown";
}

bool ln_name_source_grants(enum ln_name_source s)
{
	return s < LN_NAME_UNTRUSTED;
}

bool ln_name_source_is_claim(enum ln_name_source s)
{
	return s == LN_NAME_SNI || s == LN_NAME_QUIC_SNI || s == LN_NAME_HOST_HEADER;
}

bool ln_names_grantable(const struct ln_addr *addr)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};

	if (ln_addr_is_loopback(addr) || ln_addr_is_multicast(addr) || ln_addr_is_unspecified(addr))
		return false;
	if (addr->family == 4)
		return memcmp(addr->bytes, broadcast, 4) != 0;
	return addr->family == 6;
}

struct ln_names *ln_names_new(size_t max, uint64_t grace_ns)
{
	struct ln_names *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->max = LN_MAX(max, (size_t)1);
	n->grace_ns = grace_ns;
	return n;
}

void ln_names_set(struct ln_names *n, size_t max, uint64_t grace_ns)
{
	n->max = LN_MAX(max, (size_t)1);
	n->grace_ns = grace_ns;
}

static struct place_key make_key(uint32_t agent, const struct ln_addr *addr)
{
	struct place_key key;

	memset(&key, 0, sizeof(key));
	key.agent = agent;
	key.addr.family = addr->family;
	memcpy(key.addr.bytes, addr->bytes, sizeof(key.addr.bytes));
	return key;
}

static struct place *find_place(const struct ln_names *n, const struct place_key *key)
{
	struct place *place;

	HASH_FIND(hh, n->places, key, sizeof(*key), place);
	return place;
}

static struct owner *find_owner(const struct ln_names *n, uint32_t agent)
{
	struct owner *owner;

	HASH_FIND(hh, n->owners, &agent, sizeof(agent), owner);
	return owner;
}

static struct owner *need_owner(struct ln_names *n, uint32_t agent)
{
	struct owner *owner = find_owner(n, agent);

	if (owner)
		return owner;
	owner = calloc(1, sizeof(*owner));
	if (!owner)
		return NULL;
	owner->agent = agent;
	HASH_ADD(hh, n->owners, agent, sizeof(owner->agent), owner);
	if (!owner->hh.tbl)
		free(LN_TAKE_PTR(owner));
	return owner;
}

static struct place *need_place(struct ln_names *n, const struct place_key *key,
				struct owner *owner)
{
	struct place *place = find_place(n, key);

	if (place)
		return place;
	place = calloc(1, sizeof(*place));
	if (!place)
		return NULL;
	place->key = *key;
	place->owner = owner;
	HASH_ADD(hh, n->places, key, sizeof(place->key), place);
	if (!place->hh.tbl)
		free(LN_TAKE_PTR(place));
	return place;
}

/* An owner and a place stay only while they hold something. */
static void drop_if_empty(struct ln_names *n, struct place *place, struct owner *owner)
{
	if (place && place->n == 0) {
		HASH_DEL(n->places, place);
		free(place);
	}
	if (owner && owner->by_expiry.n == 0) {
		HASH_DEL(n->owners, owner);
		ln_heap_done(&owner->by_expiry);
		free(owner);
	}
}

static void remove_entry(struct ln_names *n, struct entry *entry)
{
	struct place *place = entry->place;
	struct owner *owner = place->owner;

	ln_heap_remove(&owner->by_expiry, &entry->expiry);
	DL_DELETE2(owner->by_age, entry, older, newer);
	DL_DELETE2(place->entries, entry, place_prev, next);
	place->n--;
	n->n--;
	free(entry->chain);
	free(entry);
	drop_if_empty(n, place, owner);
}

void ln_names_free(struct ln_names **n)
{
	struct ln_names *names = *n;

	if (!names)
		return;
	while (names->owners)
		remove_entry(names, names->owners->by_age);
	free(names);
	*n = NULL;
}

/* Who gives when the table is full: who holds most; between equals, the agent that wants room. */
static struct owner *largest_owner(struct ln_names *n, uint32_t agent)
{
	struct owner *largest = find_owner(n, agent);
	struct owner *owner, *next;

	HASH_ITER (hh, n->owners, owner, next) {
		if (!largest || owner->by_expiry.n > largest->by_expiry.n)
			largest = owner;
	}
	return largest;
}

static struct entry *victim_of_owner(const struct owner *owner, uint64_t now_ns)
{
	struct ln_heap_node *first = ln_heap_top(&owner->by_expiry);

	if (first->key < now_ns)
		return LN_HEAP_ITEM(first, struct entry, expiry);
	return owner->by_age;
}

/* What only names goes first: anybody can send answers that nobody asked for. */
static struct entry *victim_of_place(const struct place *place, uint64_t now_ns)
{
	struct entry *first = NULL, *oldest = NULL, *entry;
	bool grants = true;

	DL_FOREACH (place->entries, entry)
		grants = grants && entry->grants;
	DL_FOREACH (place->entries, entry) {
		if (entry->grants != grants)
			continue;
		if (!first || entry->expiry.key < first->expiry.key)
			first = entry;
		if (!oldest || entry->seen_ns < oldest->seen_ns)
			oldest = entry;
	}
	return first->expiry.key < now_ns ? first : oldest;
}

static struct entry *find_entry(const struct place *place, const struct ln_name_evidence *e,
				bool grants)
{
	struct entry *entry;

	DL_FOREACH (place->entries, entry) {
		if (entry->source == e->source && entry->grants == grants &&
		    strcmp(entry->name, e->name) == 0)
			return entry;
	}
	return NULL;
}

static int copy_chain(const char *chain, char **ret)
{
	char *copy = NULL;

	if (chain && chain[0] != '\0') {
		copy = strdup(chain);
		if (!copy)
			return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

/* The agent was given both answers and may go by either: the later expiry holds. */
static int renew(struct entry *entry, const struct ln_name_evidence *e)
{
	struct owner *owner = entry->place->owner;
	char *chain;

	if (copy_chain(e->chain, &chain) < 0)
		return -ENOMEM;
	free(entry->chain);
	entry->chain = chain;
	entry->pid = e->pid;
	entry->ttl_s = e->ttl_s;
	entry->seen_ns = e->seen_ns;
	entry->expiry.key = LN_MAX(entry->expiry.key, e->expires_ns);
	ln_heap_moved(&owner->by_expiry, &entry->expiry);
	DL_DELETE2(owner->by_age, entry, older, newer);
	DL_APPEND2(owner->by_age, entry, older, newer);
	return 0;
}

static struct entry *make_entry(const struct ln_name_evidence *e, bool grants)
{
	size_t size = strlen(e->name) + 1;
	struct entry *entry = calloc(1, sizeof(*entry) + size);

	if (!entry)
		return NULL;
	if (copy_chain(e->chain, &entry->chain) < 0) {
		free(entry);
		return NULL;
	}
	memcpy(entry->name, e->name, size);
	entry->source = e->source;
	entry->grants = grants;
	entry->pid = e->pid;
	entry->ttl_s = e->ttl_s;
	entry->seen_ns = e->seen_ns;
	entry->expiry.key = e->expires_ns;
	return entry;
}

static int insert(struct ln_names *n, const struct place_key *key, const struct ln_name_evidence *e,
		  bool grants)
{
	struct entry *entry = make_entry(e, grants);
	struct owner *owner = entry ? need_owner(n, key->agent) : NULL;
	struct place *place = owner ? need_place(n, key, owner) : NULL;

	if (!place || ln_heap_reserve(&owner->by_expiry) < 0) {
		drop_if_empty(n, place, owner);
		if (entry)
			free(entry->chain);
		free(entry);
		return -ENOMEM;
	}
	entry->place = place;
	ln_heap_push(&owner->by_expiry, &entry->expiry);
	DL_APPEND2(owner->by_age, entry, older, newer);
	DL_APPEND2(place->entries, entry, place_prev, next);
	place->n++;
	n->n++;
	return 0;
}

static bool is_well_formed(const struct ln_name_evidence *e)
{
	return e->name[0] != '\0' && strnlen(e->name, LN_NAME_MAX) < LN_NAME_MAX &&
	       (!e->chain || strnlen(e->chain, LN_CHAIN_TEXT_MAX) < LN_CHAIN_TEXT_MAX);
}

int ln_names_add(struct ln_names *n, uint32_t agent, const struct ln_addr *addr,
		 const struct ln_name_evidence *evidence)
{
	struct place_key key = make_key(agent, addr);
	bool grants =
	    evidence->grants && ln_name_source_grants(evidence->source) && ln_names_grantable(addr);
	struct place *place;
	struct entry *entry;
	int r;

	if ((addr->family != 4 && addr->family != 6) || !is_well_formed(evidence))
		return -EINVAL;
	if (ln_addr_is_loopback(addr) && evidence->source != LN_NAME_HOSTS)
		return 0;
	place = find_place(n, &key);
	entry = place ? find_entry(place, evidence, grants) : NULL;
	if (entry) {
		r = renew(entry, evidence);
	} else {
		struct entry *victim = NULL;

		if (place && place->n == LN_NAMES_PER_ADDR)
			victim = victim_of_place(place, evidence->seen_ns);
		else if (n->n == n->max)
			victim = victim_of_owner(largest_owner(n, agent), evidence->seen_ns);
		if (victim) {
			remove_entry(n, victim);
			n->evicted++;
		}
		r = insert(n, &key, evidence, grants);
	}
	if (r < 0)
		n->evicted++;
	return r;
}

struct candidate {
	const struct entry *entry;
	bool grants;
	bool stale;
	bool over;
};

static size_t chain_length(const struct candidate *c)
{
	return c->entry->chain ? strlen(c->entry->chain) : 0;
}

/* Granting ones first, then newest first. Of one answer that was learned for several names the one
 * from which most aliases lead here: it was asked for first. The rest makes the order total. */
static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->grants != y->grants)
		return x->grants ? -1 : 1;
	if (x->entry->seen_ns != y->entry->seen_ns)
		return x->entry->seen_ns > y->entry->seen_ns ? -1 : 1;
	if (chain_length(x) != chain_length(y))
		return chain_length(x) > chain_length(y) ? -1 : 1;
	if (x->entry->source != y->entry->source)
		return x->entry->source < y->entry->source ? -1 : 1;
	return strcmp(x->entry->name, y->entry->name);
}

static struct candidate judge(const struct ln_names *n, const struct entry *entry, uint64_t now_ns)
{
	struct candidate c = {.entry = entry, .grants = entry->grants};

	if (now_ns > entry->expiry.key && !ln_name_source_is_claim(entry->source)) {
		c.over = now_ns - entry->expiry.key > n->grace_ns;
		c.stale = !c.over;
		c.grants = entry->grants && !c.over;
	}
	return c;
}

static void fill(const struct candidate *c, struct ln_name_evidence *ret)
{
	const struct entry *entry = c->entry;

	memset(ret, 0, sizeof(*ret));
	memcpy(ret->name, entry->name, strlen(entry->name) + 1);
	ret->chain = entry->chain;
	ret->source = entry->source;
	ret->grants = c->grants;
	ret->stale = c->stale;
	ret->over = c->over;
	ret->pid = entry->pid;
	ret->ttl_s = entry->ttl_s;
	ret->seen_ns = entry->seen_ns;
	ret->expires_ns = entry->expiry.key;
}

size_t ln_names_find(struct ln_names *n, uint32_t agent, const struct ln_addr *addr,
		     uint64_t now_ns, struct ln_name_evidence *ret, size_t max)
{
	struct candidate found[2 * LN_NAMES_PER_ADDR];
	const uint32_t agents[2] = {agent, 0};
	size_t n_found = 0;

	for (size_t i = 0; i < (agent ? 2 : 1); i++) {
		struct place_key key = make_key(agents[i], addr);
		struct place *place = find_place(n, &key);
		struct entry *entry;

		if (!place)
			continue;
		DL_FOREACH (place->entries, entry)
			found[n_found++] = judge(n, entry, now_ns);
	}
	qsort(found, n_found, sizeof(found[0]), compare_candidates);
	n_found = LN_MIN(n_found, max);
	for (size_t i = 0; i < n_found; i++)
		fill(&found[i], &ret[i]);
	return n_found;
}

void ln_names_each(const struct ln_names *n,
		   void (*fn)(uint32_t agent, const struct ln_addr *addr,
			      const struct ln_name_evidence *evidence, void *user),
		   void *user)
{
	const struct place *place;
	const struct entry *entry;

	for (place = n->places; place; place = place->hh.next) {
		for (entry = place->entries; entry; entry = entry->next) {
			struct ln_name_evidence e = {
			    .source = entry->source,
			    .grants = true,
			    .pid = entry->pid,
			    .ttl_s = entry->ttl_s,
			    .seen_ns = entry->seen_ns,
			    .expires_ns = entry->expiry.key,
			    .chain = entry->chain,
			};

			if (!entry->grants)
				continue;
			snprintf(e.name, sizeof(e.name), "%s", entry->name);
			fn(place->key.agent, &place->key.addr, &e, user);
		}
	}
}

size_t ln_names_count(const struct ln_names *n)
{
	return n->n;
}

uint64_t ln_names_evicted(const struct ln_names *n)
{
	return n->evicted;
}
