/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adoption of a living tree, as root, before the first event is read. The fork hook is live and the
 * root is registered first, so nothing new is lost; then the task iterator runs until it has found
 * nothing twice. Orphans have lost the link to their parent: one counts as the tree's when its
 * session or process group was made by a process of the tree, or when it shares the tree's own
 * cgroup with nobody else. At last the packets of the tree's cgroups are covered and the open
 * sockets told.
 */
#include "bpf_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "base/table.h"
#include "base/clock.h"
#include "proc/parse.h"
#include "linnet.skel.h"

#define ROUNDS_MAX 64

/* One process of the host, as one scan of /proc shows it. */
struct seen {
	uint32_t pid;
	struct ln_proc_stat stat;
	bool tracked;
	char *cgroup; /* owned; "" unknown */
	UT_hash_handle hh;
};

struct scan {
	struct ln_bpf *b;
	uint32_t agent, root;
	struct seen *all; /* owned */
};

static ssize_t read_proc(uint32_t pid, const char *name, char *buf, size_t size)
{
	LN_AUTO_CLOSE int fd = -1;
	char path[64];
	ssize_t n, len = 0;

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((size_t)len < size && (n = read(fd, buf + len, size - (size_t)len)) > 0)
		len += n;
	return len;
}

static struct ln_bpf_adopted *new_adopted(struct ln_bpf *b)
{
	if (b->n_adopted == b->cap_adopted) {
		size_t cap = b->cap_adopted ? 2 * b->cap_adopted : 64;
		struct ln_bpf_adopted *list = reallocarray(b->adopted, cap, sizeof(*list));

		if (!list)
			return NULL;
		b->adopted = list;
		b->cap_adopted = cap;
	}
	b->adopted[b->n_adopted] = (struct ln_bpf_adopted){0};
	return &b->adopted[b->n_adopted++];
}

int ln_bpf_adopted_add(struct ln_bpf *b, uint32_t agent, uint32_t pid, uint32_t ppid,
		       const char *why)
{
	struct ln_bpf_adopted *a = new_adopted(b);
	char path[64], text[LN_ABI_ARGS_MAX + 1];
	ssize_t n;

	if (!a)
		return -ENOMEM;
	a->agent = agent;
	a->pid = pid;
	a->ppid = ppid;
	snprintf(a->why, sizeof(a->why), "%s", why ? why : "");
	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	n = readlink(path, text, sizeof(text) - 1);
	if (n > 0 && (a->exe = malloc((size_t)n))) {
		memcpy(a->exe, text, (size_t)n);
		a->exe_len = (size_t)n;
	}
	n = read_proc(pid, "cmdline", text, sizeof(text));
	if (n > LN_ABI_ARGS_MAX) {
		n = LN_ABI_ARGS_MAX;
		a->cut = true;
	}
	if (n > 0 && (a->args = malloc((size_t)n))) {
		memcpy(a->args, text, (size_t)n);
		a->args_len = (size_t)n;
	}
	return 0;
}

void ln_bpf_adopted_tell(struct ln_bpf *b, ln_event_fn fn, void *user)
{
	for (size_t i = 0; i < b->n_adopted; i++) {
		const struct ln_bpf_adopted *a = &b->adopted[i];
		struct ln_event ev = {
		    .kind = LN_EVENT_ADOPT,
		    .time_ns = ln_clock_mono_ns(),
		    .wall_ns = ln_clock_wall_ns(),
		    .agent = a->agent,
		    .pid = a->pid,
		    .tid = a->pid,
		    .exec = {.exe = a->exe,
			     .exe_len = a->exe_len,
			     .args = a->args,
			     .args_len = a->args_len,
			     .cut = a->cut,
			     .ppid = a->ppid,
			     .why = a->why[0] ? a->why : NULL},
		};

		ln_bpf_inspect_note(b, &ev);
		fn(&ev, user);
	}
	ln_bpf_adopted_done(b);
}

void ln_bpf_adopted_done(struct ln_bpf *b)
{
	for (size_t i = 0; i < b->n_adopted; i++) {
		free(b->adopted[i].exe);
		free(b->adopted[i].args);
	}
	free(b->adopted);
	b->adopted = NULL;
	b->n_adopted = b->cap_adopted = 0;
}

/* Runs an iterator to its end; records that it writes go to `on_seed` (may be NULL). */
static int run_iterator(struct bpf_program *prog,
			int (*on_seed)(const struct ln_abi_seed *, void *), void *user,
			struct ln_error *err)
{
	struct bpf_link *link = bpf_program__attach_iter(prog, NULL);
	struct ln_abi_seed seeds[256];
	LN_AUTO_CLOSE int fd = -1;
	ssize_t n = 0;
	int r = 0;

	if (!link)
		return ln_error_set(err, errno, "cannot walk the processes in kernel: %s",
				    strerror(errno));
	fd = bpf_iter_create(bpf_link__fd(link));
	bpf_link__destroy(link);
	if (fd < 0)
		return ln_error_set(err, errno, "cannot walk the processes in kernel: %s",
				    strerror(errno));
	while (r == 0 && (n = read(fd, seeds, sizeof(seeds))) != 0) {
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return ln_error_set(err, errno, "cannot walk the processes in kernel: %s",
					    strerror(errno));
		for (size_t i = 0; r == 0 && i < (size_t)n / sizeof(seeds[0]); i++)
			r = on_seed ? on_seed(&seeds[i], user) : 0;
	}
	return r < 0 ? ln_error_set(err, -r, "out of memory") : 0;
}

static int on_seed(const struct ln_abi_seed *seed, void *user)
{
	return ln_bpf_adopted_add(user, seed->agent, seed->pid, seed->parent, NULL);
}

/* Children of what is tracked, again and again until two walks in a row found none. */
static int adopt_children(struct ln_bpf *b, struct ln_error *err)
{
	int quiet = 0;

	for (int i = 0; i < ROUNDS_MAX && quiet < 2; i++) {
		size_t before = b->n_adopted;
		int r = run_iterator(b->skel->progs.on_seed_task, on_seed, b, err);

		if (r < 0)
			return r;
		quiet = b->n_adopted == before ? quiet + 1 : 0;
	}
	if (quiet < 2)
		ln_bpf_add_fact(b, "adoption", false, false,
				"the tree forks faster than it can be walked: some may be missing");
	return 0;
}

static void scan_done(struct scan *s)
{
	struct seen *p, *next;

	HASH_ITER (hh, s->all, p, next) {
		HASH_DEL(s->all, p);
		free(p->cgroup);
		free(p);
	}
}

static int scan_one(struct scan *s, uint32_t pid)
{
	char text[PATH_MAX + 256], cgroup[PATH_MAX] = "";
	struct ln_proc_stat stat;
	struct ln_abi_task task;
	struct seen *p;
	ssize_t n = read_proc(pid, "stat", text, sizeof(text));

	if (n <= 0 || !ln_proc_parse_stat(text, (size_t)n, &stat))
		return 0; /* gone meanwhile */
	n = read_proc(pid, "cgroup", text, sizeof(text));
	if (n <= 0 || !ln_proc_parse_cgroup2_path(text, (size_t)n, cgroup, sizeof(cgroup)))
		cgroup[0] = '\0';
	p = calloc(1, sizeof(*p));
	if (!p || !(p->cgroup = strdup(cgroup))) {
		free(p);
		return -ENOMEM;
	}
	p->pid = pid;
	p->stat = stat;
	p->tracked = bpf_map_lookup_elem(bpf_map__fd(s->b->skel->maps.tasks), &pid, &task) == 0 &&
		     task.agent == s->agent;
	HASH_ADD_INT(s->all, pid, p);
	if (!p->hh.tbl) {
		free(p->cgroup);
		free(p);
		return -ENOMEM;
	}
	return 0;
}

static int scan_proc(struct scan *s)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (d = readdir(dir))) {
		uint32_t pid = (uint32_t)strtoul(d->d_name, NULL, 10);

		if (pid)
			r = scan_one(s, pid);
	}
	closedir(dir);
	return r;
}

static struct seen *find_seen(const struct scan *s, uint32_t pid)
{
	struct seen *p;

	HASH_FIND_INT(s->all, &pid, p);
	return p;
}

static bool is_tracked(const struct scan *s, uint32_t pid)
{
	const struct seen *p = find_seen(s, pid);

	return p && p->tracked;
}

/* Whoever adopts orphans (init, a subreaper) is not in the orphan's session. */
static bool is_orphan(const struct scan *s, const struct seen *p)
{
	const struct seen *parent = find_seen(s, p->stat.ppid);

	if (p->stat.ppid == 0)
		return false; /* init and kernel threads */
	return !parent || p->stat.ppid == 1 || parent->stat.session != p->stat.session;
}

/* Everybody in the cgroup belongs to the tree or has nobody. */
static bool cgroup_is_ours(const struct scan *s, const char *cgroup)
{
	if (!cgroup[0] || !strcmp(cgroup, "/"))
		return false;
	for (const struct seen *p = s->all; p; p = p->hh.next)
		if (!strcmp(p->cgroup, cgroup) && !p->tracked && !is_orphan(s, p))
			return false;
	return true;
}

static int adopt_orphans(struct scan *s, const char *cgroup, struct ln_error *err)
{
	bool ours = cgroup_is_ours(s, cgroup);

	for (struct seen *p = s->all; p; p = p->hh.next) {
		int r;

		if (p->tracked || !is_orphan(s, p))
			continue;
		if (!is_tracked(s, p->stat.session) && !is_tracked(s, p->stat.pgrp) &&
		    !(ours && !strcmp(p->cgroup, cgroup)))
			continue;
		r = ln_bpf_track_pid(s->b, s->agent, p->pid, err);
		if (r < 0)
			return r;
		p->tracked = true;
		if (ln_bpf_adopted_add(s->b, s->agent, p->pid, s->root, NULL) < 0)
			return ln_error_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

static int by_length(const void *a, const void *b)
{
	size_t la = strlen((*(struct seen *const *)a)->cgroup);
	size_t lb = strlen((*(struct seen *const *)b)->cgroup);

	return la < lb ? -1 : la > lb;
}

static bool is_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return !strcmp(top, "/") || (!strncmp(path, top, n) && (!path[n] || path[n] == '/'));
}

/* Counts packets on each cgroup of the tree, once: programs of a cgroup see those below it. */
static int cover_cgroups(struct scan *s, struct ln_error *err)
{
	LN_AUTO_FREE struct seen **list = calloc(HASH_COUNT(s->all) + 1, sizeof(*list));
	size_t n = 0, covered = 0;

	if (!list)
		return ln_error_set(err, ENOMEM, "out of memory");
	for (struct seen *p = s->all; p; p = p->hh.next)
		if (p->tracked && p->cgroup[0])
			list[n++] = p;
	qsort(list, n, sizeof(*list), by_length);
	for (size_t i = 0; i < n; i++) {
		LN_AUTO_CLOSE int fd = -1;
		bool known = false;
		int r;

		for (size_t j = 0; j < covered && !known; j++)
			known = is_below(list[i]->cgroup, list[j]->cgroup);
		if (known)
			continue;
		fd = openat(s->b->cgroup_root_fd, list[i]->cgroup[1] ? list[i]->cgroup + 1 : ".",
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue; /* gone with its last process */
		r = ln_bpf_cover(s->b, fd, err);
		if (r < 0)
			return r;
		if (!strcmp(list[i]->cgroup, "/"))
			ln_bpf_add_fact(s->b, "own cgroup", false, false,
					"the tree is in the root cgroup: every packet of the host "
					"passes the hook");
		list[covered++] = list[i];
	}
	return 0;
}

static int tell_sockets(struct ln_bpf *b, struct ln_error *err)
{
	for (uint32_t pass = 0; pass < 2; pass++) {
		int r;

		b->skel->bss->cfg_seed_pass = pass;
		r = run_iterator(b->skel->progs.on_seed_file, NULL, NULL, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int ln_bpf_mark_listeners(struct ln_bpf *b, struct ln_error *err)
{
	return run_iterator(b->skel->progs.on_mark_file, NULL, NULL, err);
}

int ln_bpf_adopt(struct ln_bpf *b, uint32_t agent, uint32_t pid, struct ln_error *err)
{
	LN_CLEANUP(scan_done) struct scan s = {.b = b, .agent = agent, .root = pid};
	const struct seen *root;
	int r = ln_bpf_track_pid(b, agent, pid, err);

	if (r == 0 && ln_bpf_adopted_add(b, agent, pid, 0, NULL) < 0)
		r = ln_error_set(err, ENOMEM, "out of memory");
	if (r == 0)
		r = adopt_children(b, err);
	if (r == 0 && scan_proc(&s) < 0)
		r = ln_error_set(err, EIO, "cannot list the processes in /proc");
	if (r < 0)
		return r;
	root = find_seen(&s, pid);
	if (!root)
		return ln_error_set(err, ESRCH, "process %u is gone", pid);
	r = adopt_orphans(&s, root->cgroup, err);
	if (r == 0)
		r = adopt_children(b, err);
	if (r == 0)
		r = cover_cgroups(&s, err);
	if (r == 0)
		r = ln_bpf_mark_listeners(b, err);
	if (r == 0)
		r = tell_sockets(b, err);
	if (r == 0)
		r = ln_bpf_sweep_first(b, agent, pid, err);
	if (r == 0)
		ln_bpf_ring_kick(b);
	return r;
}
