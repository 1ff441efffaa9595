/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroups that user space has met: their ids and paths, and on which of them packets are
 * counted. Only while linnet is root; then the kernel side tells new ones. Bound: one for each
 * process that was adopted. */
#include "bpf_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "base/clock.h"
#include "linnet.skel.h"

/* NULL when the directory is gone, or there is no memory. */
static struct ln_bpf_cgroup *add(struct ln_bpf *b, const char *path)
{
	LN_AUTO_CLOSE int fd = openat(b->cgroup_root_fd, path[1] ? path + 1 : ".",
				      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct ln_bpf_cgroup *list, *c;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	list = reallocarray(b->cgroups, b->n_cgroups + 1, sizeof(*list));
	if (!list)
		return NULL;
	b->cgroups = list;
	c = &list[b->n_cgroups];
	/* The inode of a cgroup2 directory is the cgroup's id (fs/kernfs/mount.c). */
	*c = (struct ln_bpf_cgroup){.id = st.st_ino, .path = strdup(path)};
	if (!c->path)
		return NULL;
	b->n_cgroups++;
	return c;
}

static struct ln_bpf_cgroup *find(struct ln_bpf *b, const char *path)
{
	for (size_t i = 0; i < b->n_cgroups; i++)
		if (!strcmp(b->cgroups[i].path, path))
			return &b->cgroups[i];
	return add(b, path);
}

const struct ln_bpf_cgroup *ln_bpf_cgroup_find(struct ln_bpf *b, const char *path)
{
	return find(b, path);
}

static bool is_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return !strcmp(top, "/") || (!strncmp(path, top, n) && (!path[n] || path[n] == '/'));
}

int ln_bpf_cover_path(struct ln_bpf *b, const char *path, struct ln_error *err)
{
	LN_AUTO_CLOSE int fd = -1;
	struct ln_bpf_cgroup *c;
	int r;

	for (size_t i = 0; i < b->n_cgroups; i++)
		if (b->cgroups[i].covered && is_below(path, b->cgroups[i].path))
			return 0;
	c = find(b, path);
	if (!c)
		return 0; /* gone with its last process */
	fd = openat(b->cgroup_root_fd, path[1] ? path + 1 : ".",
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return 0;
	r = ln_bpf_cover(b, fd, err);
	if (r < 0)
		return r;
	c->covered = true;
	if (!strcmp(path, "/"))
		ln_bpf_add_fact(b, "own cgroup", false, false,
				"the tree is in the root cgroup: every packet of the host passes "
				"the hook");
	return 0;
}

/* Before anybody who is there: so of no process. */
void ln_bpf_cgroups_tell(struct ln_bpf *b, uint32_t agent, ln_event_fn fn, void *user)
{
	for (size_t i = 0; i < b->n_cgroups; i++) {
		const struct ln_bpf_cgroup *c = &b->cgroups[i];
		const struct ln_event ev = {
		    .kind = LN_EVENT_CGROUP,
		    .time_ns = ln_clock_mono_ns(),
		    .wall_ns = ln_clock_wall_ns(),
		    .agent = agent,
		    .cgroup = {.id = c->id, .path = c->path, .path_len = strlen(c->path)},
		};

		fn(&ev, user);
	}
	ln_bpf_cgroups_done(b);
}

void ln_bpf_cgroups_done(struct ln_bpf *b)
{
	for (size_t i = 0; i < b->n_cgroups; i++)
		free(b->cgroups[i].path);
	free(b->cgroups);
	b->cgroups = NULL;
	b->n_cgroups = 0;
}
