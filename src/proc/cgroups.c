/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroups.h"

#include <string.h>
#include "base/macros.h"
#include "base/table.h"

struct entry {
	struct ln_cgroup_info cgroup; /* first: a struct ln_cgroup_info * of ours is the entry */
	bool used;                    /* asked for since it was last looked at to go */
	UT_hash_handle hh;
	char path[];
};

struct ln_cgroups {
	struct entry *entries; /* owned; the first is looked at first to go */
	struct entry *last;    /* that was asked for: most questions are for one; NULL none */
	size_t max;
	uint64_t evicted;
};

struct ln_cgroups *ln_cgroups_new(size_t max)
{
	struct ln_cgroups *c = calloc(1, sizeof(*c));

	if (c)
		c->max = max;
	return c;
}

static void drop(struct ln_cgroups *c, struct entry *entry)
{
	HASH_DEL(c->entries, entry);
	c->last = NULL;
	free(entry);
}

void ln_cgroups_free(struct ln_cgroups **c)
{
	if (!*c)
		return;
	while ((*c)->entries)
		drop(*c, (*c)->entries);
	free(*c);
	*c = NULL;
}

/* Without memory it is as one that went. */
static void add(struct ln_cgroups *c, struct entry *entry)
{
	HASH_ADD(hh, c->entries, cgroup.id, sizeof(entry->cgroup.id), entry);
	if (entry->hh.tbl)
		return;
	free(entry);
	c->evicted++;
}

/* Second chance: what was asked for goes to the end of the queue once. */
static void make_room(struct ln_cgroups *c)
{
	while (c->entries && c->entries->used) {
		struct entry *entry = c->entries;

		entry->used = false;
		HASH_DEL(c->entries, entry);
		c->last = NULL;
		add(c, entry);
	}
	if (!c->entries)
		return;
	drop(c, c->entries);
	c->evicted++;
}

static struct entry *find(struct ln_cgroups *c, uint64_t id)
{
	struct entry *entry;

	HASH_FIND(hh, c->entries, &id, sizeof(id), entry);
	return entry;
}

void ln_cgroups_put(struct ln_cgroups *c, uint64_t id, const char *path, size_t len)
{
	struct entry *entry = find(c, id);

	if (entry)
		drop(c, entry);
	else if (HASH_COUNT(c->entries) >= c->max)
		make_room(c);
	entry = calloc(1, sizeof(*entry) + len + 1);
	if (!entry) {
		c->evicted++;
		return;
	}
	memcpy(entry->path, path, len);
	entry->cgroup.id = id;
	entry->cgroup.path = entry->path;
	entry->cgroup.path_len = len;
	ln_container_parse(entry->path, len, &entry->cgroup.in);
	add(c, entry);
}

const struct ln_cgroup_info *ln_cgroups_find(struct ln_cgroups *c, uint64_t id)
{
	struct entry *entry = c->last;

	if (id == 0)
		return NULL;
	if (!entry || entry->cgroup.id != id)
		entry = find(c, id);
	if (!entry)
		return NULL;
	entry->used = true;
	c->last = entry;
	return &entry->cgroup;
}

uint64_t ln_cgroups_evicted(const struct ln_cgroups *c)
{
	return c->evicted;
}
