/* SPDX-License-Identifier: Apache-2.0 */
#include "aliases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "base/macros.h"
#include "base/table.h"

struct entry {
	struct entry *older, *newer; /* of the same owner */
	struct entry *prev, *next;   /* of the same target */
	struct target *target;
	uint64_t expires_ns;
	uint32_t ttl_s;
	char *chain; /* owned */
	char name[];
};

/* The name is as long as it is. */
struct target_key {
	uint32_t agent;
	char name[LN_NAME_MAX];
};

struct target {
	struct owner *owner;
	struct entry *entries;
	size_t n;
	UT_hash_handle hh;
	char key[]; /* of a struct target_key */
};

/* What one agent holds. */
struct owner {
	uint32_t agent;
	size_t n;
	struct entry *by_age; /* told longest ago first */
	UT_hash_handle hh;
};

struct ln_aliases {
	size_t max, n;
	uint64_t grace_ns;
	uint64_t evicted;
	struct target *targets;
	struct owner *owners;
};

void ln_aliases_set_grace(struct ln_aliases *a, uint64_t grace_ns)
{
	a->grace_ns = grace_ns;
}

struct ln_aliases *ln_aliases_new(size_t max, uint64_t grace_ns)
{
	struct ln_aliases *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->max = LN_MAX(max, (size_t)1);
	a->grace_ns = grace_ns;
	return a;
}

static bool is_over(const struct ln_aliases *a, const struct entry *entry, uint64_t now_ns)
{
	return now_ns > entry->expires_ns && now_ns - entry->expires_ns > a->grace_ns;
}

static size_t make_key(uint32_t agent, const char *name, struct target_key *ret)
{
	size_t len = strlen(name);

	ret->agent = agent;
	memcpy(ret->name, name, len);
	return offsetof(struct target_key, name) + len;
}

static struct target *find_target(const struct ln_aliases *a, uint32_t agent, const char *name)
{
	struct target_key key;
	size_t len = make_key(agent, name, &key);
	struct target *target;

	HASH_FIND(hh, a->targets, &key, len, target);
	return target;
}

static struct owner *find_owner(const struct ln_aliases *a, uint32_t agent)
{
	struct owner *owner;

	HASH_FIND(hh, a->owners, &agent, sizeof(agent), owner);
	return owner;
}

static struct owner *need_owner(struct ln_aliases *a, uint32_t agent)
{
	struct owner *owner = find_owner(a, agent);

	if (owner)
		return owner;
	owner = calloc(1, sizeof(*owner));
	if (!owner)
		return NULL;
	owner->agent = agent;
	HASH_ADD(hh, a->owners, agent, sizeof(owner->agent), owner);
	if (!owner->hh.tbl)
		free(LN_TAKE_PTR(owner));
	return owner;
}

static struct target *need_target(struct ln_aliases *a, struct owner *owner, const char *name)
{
	struct target *target = find_target(a, owner->agent, name);
	struct target_key key;
	size_t len = make_key(owner->agent, name, &key);

	if (target)
		return target;
	target = calloc(1, sizeof(*target) + len);
	if (!target)
		return NULL;
	memcpy(target->key, &key, len);
	target->owner = owner;
	HASH_ADD(hh, a->targets, key, len, target);
	if (!target->hh.tbl)
		free(LN_TAKE_PTR(target));
	return target;
}

/* An owner and a target stay only while they hold something. */
static void drop_if_empty(struct ln_aliases *a, struct target *target, struct owner *owner)
{
	if (target && target->n == 0) {
		HASH_DEL(a->targets, target);
		free(target);
	}
	if (owner && owner->n == 0) {
		HASH_DEL(a->owners, owner);
		free(owner);
	}
}

static void free_entry(struct entry *entry)
{
	if (entry)
		free(entry->chain);
	free(entry);
}

static void remove_entry(struct ln_aliases *a, struct entry *entry)
{
	struct target *target = entry->target;
	struct owner *owner = target->owner;

	DL_DELETE2(owner->by_age, entry, older, newer);
	DL_DELETE(target->entries, entry);
	owner->n--;
	target->n--;
	a->n--;
	free_entry(entry);
	drop_if_empty(a, target, owner);
}

void ln_aliases_free(struct ln_aliases **aliases)
{
	struct ln_aliases *a = *aliases;

	if (!a)
		return;
	while (a->owners)
		remove_entry(a, a->owners->by_age);
	free(a);
	*aliases = NULL;
}

static struct owner *largest_owner(struct ln_aliases *a, uint32_t agent)
{
	struct owner *largest = find_owner(a, agent);
	struct owner *owner, *next;

	HASH_ITER (hh, a->owners, owner, next) {
		if (!largest || owner->n > largest->n)
			largest = owner;
	}
	return largest;
}

static struct entry *find_entry(const struct target *target, const char *name)
{
	struct entry *entry;

	DL_FOREACH (target->entries, entry) {
		if (strcmp(entry->name, name) == 0)
			return entry;
	}
	return NULL;
}

static void make_room(struct ln_aliases *a, uint32_t agent, const struct target *target,
		      uint64_t now_ns)
{
	struct entry *victim = NULL;

	/* One that is renewed goes to the end of its target's list as well. */
	if (target && target->n == LN_ALIASES_PER_TARGET)
		victim = target->entries;
	else if (a->n == a->max)
		victim = largest_owner(a, agent)->by_age;
	if (!victim)
		return;
	a->evicted += is_over(a, victim, now_ns) ? 0 : 1;
	remove_entry(a, victim);
}

static struct entry *make_entry(const struct ln_alias *alias)
{
	size_t size = strlen(alias->name) + 1;
	struct entry *entry = calloc(1, sizeof(*entry) + size);

	if (!entry)
		return NULL;
	memcpy(entry->name, alias->name, size);
	entry->ttl_s = alias->ttl_s;
	entry->expires_ns = alias->expires_ns;
	entry->chain = strdup(alias->chain);
	if (!entry->chain)
		free(LN_TAKE_PTR(entry));
	return entry;
}

static int insert(struct ln_aliases *a, uint32_t agent, const char *name, struct entry *entry)
{
	struct owner *owner = entry ? need_owner(a, agent) : NULL;
	struct target *target = owner ? need_target(a, owner, name) : NULL;

	if (!target) {
		drop_if_empty(a, target, owner);
		free_entry(entry);
		return -ENOMEM;
	}
	entry->target = target;
	DL_APPEND2(owner->by_age, entry, older, newer);
	DL_APPEND(target->entries, entry);
	owner->n++;
	target->n++;
	a->n++;
	return 0;
}

/* A renewal is a new one in the place of the old. */
int ln_aliases_add(struct ln_aliases *a, uint32_t agent, const char *target_name,
		   const struct ln_alias *alias, uint64_t now_ns)
{
	struct target *target;
	struct entry *entry, *old;
	int r;

	if (target_name[0] == '\0' || alias->name[0] == '\0' ||
	    strnlen(target_name, LN_NAME_MAX) == LN_NAME_MAX ||
	    strcmp(alias->name, target_name) == 0)
		return -EINVAL;
	entry = make_entry(alias);
	target = find_target(a, agent, target_name);
	old = target ? find_entry(target, alias->name) : NULL;
	if (entry && old) {
		entry->expires_ns = LN_MAX(entry->expires_ns, old->expires_ns);
		remove_entry(a, old);
	} else if (entry) {
		make_room(a, agent, target, now_ns);
	}
	r = insert(a, agent, target_name, entry);
	if (r < 0)
		a->evicted++;
	return r;
}

size_t ln_aliases_find(const struct ln_aliases *a, uint32_t agent, const char *target_name,
		       uint64_t now_ns, struct ln_alias *ret, size_t max)
{
	const struct target *target = find_target(a, agent, target_name);
	struct entry *entry;
	size_t n = 0;

	if (!target)
		return 0;
	DL_FOREACH (target->entries, entry) {
		if (n == max || is_over(a, entry, now_ns))
			continue;
		memcpy(ret[n].name, entry->name, strlen(entry->name) + 1);
		memcpy(ret[n].chain, entry->chain, strlen(entry->chain) + 1);
		ret[n].ttl_s = entry->ttl_s;
		ret[n].expires_ns = entry->expires_ns;
		n++;
	}
	return n;
}

size_t ln_aliases_count(const struct ln_aliases *a)
{
	return a->n;
}

uint64_t ln_aliases_evicted(const struct ln_aliases *a)
{
	return a->evicted;
}
