/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adoption of a living tree, as root, before the first event is read. While it lasts (cfg_adopting)
 * the kernel side sees to it that nobody gets lost who forks or ends meanwhile; the task iterator
 * takes who lives, until it has found nothing twice. Orphans of before have lost the link to their
 * parent: one counts as the tree's when its session or process group was made by a process of the
 * tree, or when it shares the tree's own cgroup with nobody else. At last the packets of the tree's
 * cgroups are covered and the open sockets told. The tree is never stopped for this: see
 * docs/decisions.
 */
#include "bpf_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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
	uint32_t ns_pid;
	bool tracked;
	bool above_root; /* an ancestor of the root */
	char *cgroup;    /* owned; "" unknown */
	UT_hash_handle hh;
};

struct scan {
	struct ln_bpf *b;
	uint32_t agent, root;
	struct seen *all; /* owned */
};

static const char *const whys[LN_ABI_KIN_COUNT] = {
    [LN_ABI_KIN_DESCENT] = NULL,
    [LN_ABI_KIN_SESSION] = "attach, as an orphan in a session that the tree made",
    [LN_ABI_KIN_GROUP] = "attach, as an orphan in a process group that the tree made",
    [LN_ABI_KIN_CGROUP] = "attach, as an orphan in the tree's own cgroup",
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

static void read_image(struct ln_bpf_adopted *a)
{
	char path[64], text[LN_ABI_ARGS_MAX + 1];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/exe", a->pid);
	n = readlink(path, text, sizeof(text) - 1);
	if (n > 0 && (a->exe = malloc((size_t)n))) {
		memcpy(a->exe, text, (size_t)n);
		a->exe_len = (size_t)n;
	}
	n = read_proc(a->pid, "cmdline", text, sizeof(text));
	if (n > LN_ABI_ARGS_MAX) {
		n = LN_ABI_ARGS_MAX;
		a->cut = true;
	}
	if (n > 0 && (a->args = malloc((size_t)n))) {
		memcpy(a->args, text, (size_t)n);
		a->args_len = (size_t)n;
	}
}

static uint32_t read_ns_pid(uint32_t pid)
{
	char text[4096];
	ssize_t n = read_proc(pid, "status", text, sizeof(text));
	uint32_t ns_pid;

	return n > 0 && ln_proc_parse_ns_pid(text, (size_t)n, &ns_pid) ? ns_pid : 0;
}

static bool read_cgroup(uint32_t pid, char *ret, size_t size)
{
	char text[PATH_MAX + 256];
	ssize_t n = read_proc(pid, "cgroup", text, sizeof(text));

	return n > 0 && ln_proc_parse_cgroup2_path(text, (size_t)n, ret, size);
}

int ln_bpf_adopted_add(struct ln_bpf *b, uint32_t agent, uint32_t pid, uint32_t ppid,
		       const char *why)
{
	struct ln_bpf_adopted *a = new_adopted(b);
	const struct ln_bpf_cgroup *c;
	char path[PATH_MAX];

	if (!a)
		return -ENOMEM;
	a->agent = agent;
	a->pid = pid;
	a->ppid = ppid;
	a->why = why;
	a->ns_pid = read_ns_pid(pid);
	read_image(a);
	if (read_cgroup(pid, path, sizeof(path)) && (c = ln_bpf_cgroup_find(b, path)))
		a->cgroup_id = c->id;
	return 0;
}

static int remember(struct ln_bpf *b, uint32_t agent, uint32_t pid, uint32_t ppid,
		    enum ln_abi_kin kin)
{
	return ln_bpf_adopted_add(b, agent, pid, ppid, kin < LN_ABI_KIN_COUNT ? whys[kin] : NULL);
}

void ln_bpf_adopted_tell(struct ln_bpf *b, ln_event_fn fn, void *user)
{
	if (b->n_adopted > 0)
		ln_bpf_cgroups_tell(b, b->adopted[0].agent, fn, user);
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
			     .ns_pid = a->ns_pid,
			     .cgroup_id = a->cgroup_id,
			     .why = a->why},
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

/* Runs an iterator to its end, over one process (not before 6.1: over all) or, with 0, all; records
 * that it writes go to `on_seed` (may be NULL). */
static int run_iterator(struct bpf_program *prog, uint32_t pid,
			int (*on_seed)(const struct ln_abi_seed *, void *), void *user,
			struct ln_error *err)
{
	union bpf_iter_link_info info = {.task.pid = pid};
	DECLARE_LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info,
			    .link_info_len = sizeof(info));
	struct bpf_link *link = bpf_program__attach_iter(prog, &opts);
	struct ln_abi_seed seeds[256];
	LN_AUTO_CLOSE int fd = -1;
	ssize_t n = 0;
	int r = 0;

	if (!link && errno == E2BIG)
		link = bpf_program__attach_iter(prog, NULL);
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

struct taker {
	struct ln_bpf *b;
	uint32_t root;
};

/* Whoever got an orphan has no part in it: the root stands for the parent that is gone. */
static int on_seed(const struct ln_abi_seed *seed, void *user)
{
	struct taker *t = user;

	return remember(t->b, seed->agent, seed->pid,
			seed->kin == LN_ABI_KIN_DESCENT ? seed->parent : t->root, seed->kin);
}

/* Kin of what is tracked, again and again until two walks in a row found none. */
static int adopt_kin(struct ln_bpf *b, uint32_t root, struct ln_error *err)
{
	struct taker t = {.b = b, .root = root};
	int quiet = 0;

	for (int i = 0; i < ROUNDS_MAX && quiet < 2; i++) {
		size_t before = b->n_adopted;
		int r = run_iterator(b->skel->progs.on_seed_task, 0, on_seed, &t, err);

		if (r < 0)
			return r;
		quiet = b->n_adopted == before ? quiet + 1 : 0;
	}
	if (quiet < 2)
		ln_bpf_add_fact(b, "adoption", false, false,
				"the tree forks faster than it can be walked: some may be missing");
	return 0;
}

/* Those that the kernel side took in when their parent ended; then nothing of it is left there. */
static int adopt_left(struct ln_bpf *b, uint32_t root)
{
	int fd = bpf_map__fd(b->skel->maps.lineage), r = 0;
	struct ln_abi_lineage entry;
	uint32_t pid;

	while (bpf_map_get_next_key(fd, NULL, &pid) == 0) {
		if (r == 0 && bpf_map_lookup_elem(fd, &pid, &entry) == 0 && entry.taken)
			r = remember(b, entry.agent, pid, entry.parent ? entry.parent : root,
				     entry.kin);
		if (bpf_map_delete_elem(fd, &pid) < 0 && errno != ENOENT)
			return -errno;
	}
	return r;
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
	char text[1024], cgroup[PATH_MAX] = "";
	struct ln_proc_stat stat;
	struct ln_abi_task task;
	struct seen *p;
	ssize_t n = read_proc(pid, "stat", text, sizeof(text));

	if (n <= 0 || !ln_proc_parse_stat(text, (size_t)n, &stat))
		return 0; /* gone meanwhile */
	if (!read_cgroup(pid, cgroup, sizeof(cgroup)))
		cgroup[0] = '\0';
	p = calloc(1, sizeof(*p));
	if (!p || !(p->cgroup = strdup(cgroup))) {
		free(p);
		return -ENOMEM;
	}
	p->pid = pid;
	p->stat = stat;
	p->ns_pid = read_ns_pid(pid);
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
	scan_done(s);
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

static void mark_ancestors(const struct scan *s)
{
	struct seen *p = find_seen(s, s->root);

	/* Parents may have changed during the scan: no circle is walked twice. */
	while (p && (p = find_seen(s, p->stat.ppid)) && !p->above_root)
		p->above_root = true;
}

/* Orphans of the tree go to an ancestor of the root, or to the init of their PID namespace. */
static bool is_orphan(const struct scan *s, const struct seen *p)
{
	const struct seen *parent = find_seen(s, p->stat.ppid);

	return !parent || parent->above_root || parent->ns_pid == 1;
}

/* Everybody in the cgroup belongs to the tree, is an orphan, or descends from one in there. */
static bool cgroup_is_ours(const struct scan *s, const char *cgroup)
{
	if (!cgroup[0] || !strcmp(cgroup, "/"))
		return false;
	for (const struct seen *p = s->all; p; p = p->hh.next) {
		const struct seen *parent = find_seen(s, p->stat.ppid);

		if (strcmp(p->cgroup, cgroup) != 0 || p->tracked)
			continue;
		if (p->above_root || p->pid == (uint32_t)getpid())
			return false;
		if (!is_orphan(s, p) && strcmp(parent->cgroup, cgroup) != 0)
			return false;
	}
	return true;
}

/* Orphans whose session and process group are their own. */
static int adopt_by_cgroup(struct scan *s, struct ln_error *err)
{
	const struct seen *root;
	const struct ln_bpf_cgroup *c;

	if (scan_proc(s) < 0)
		return ln_error_set(err, EIO, "cannot list the processes in /proc");
	root = find_seen(s, s->root);
	if (!root)
		return ln_error_set(err, ESRCH, "process %u is gone", s->root);
	mark_ancestors(s);
	if (!cgroup_is_ours(s, root->cgroup) || !(c = ln_bpf_cgroup_find(s->b, root->cgroup)))
		return 0;
	s->b->skel->bss->cfg_adopt_cgroup = c->id;
	return adopt_kin(s->b, s->root, err);
}

static int by_length(const void *a, const void *b)
{
	size_t la = strlen((*(struct seen *const *)a)->cgroup);
	size_t lb = strlen((*(struct seen *const *)b)->cgroup);

	return la < lb ? -1 : la > lb;
}

/* Counts packets on each cgroup of the tree, once: programs of a cgroup see those below it. */
static int cover_cgroups(struct scan *s, struct ln_error *err)
{
	LN_AUTO_FREE struct seen **list = NULL;
	size_t n = 0;
	int r = 0;

	if (scan_proc(s) < 0)
		return ln_error_set(err, EIO, "cannot list the processes in /proc");
	list = calloc(HASH_COUNT(s->all) + 1, sizeof(*list));
	if (!list)
		return ln_error_set(err, ENOMEM, "out of memory");
	for (struct seen *p = s->all; p; p = p->hh.next)
		if (p->tracked && p->cgroup[0])
			list[n++] = p;
	qsort(list, n, sizeof(*list), by_length);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = ln_bpf_cover_path(s->b, list[i]->cgroup, err);
	return r;
}

int ln_bpf_mark_sockets(struct ln_bpf *b, uint32_t pid, struct ln_error *err)
{
	if (!bpf_program__autoload(b->skel->progs.on_seed_file))
		return 0;
	for (uint32_t pass = 0; pass < 2; pass++) {
		int r;

		b->skel->bss->cfg_seed_pass = pass;
		r = run_iterator(b->skel->progs.on_seed_file, pid, NULL, NULL, err);
		if (r < 0)
			return r;
	}
	b->skel->bss->marks_ready = 1;
	return 0;
}

int ln_bpf_mark_listeners(struct ln_bpf *b, struct ln_error *err)
{
	if (!bpf_program__autoload(b->skel->progs.on_mark_file))
		return 0;
	return run_iterator(b->skel->progs.on_mark_file, 0, NULL, NULL, err);
}

static int adopt(struct scan *s, struct ln_error *err)
{
	int r = ln_bpf_track_pid(s->b, s->agent, s->root, err);

	if (r == 0 && remember(s->b, s->agent, s->root, 0, LN_ABI_KIN_DESCENT) < 0)
		r = ln_error_set(err, ENOMEM, "out of memory");
	if (r == 0)
		r = adopt_kin(s->b, s->root, err);
	if (r == 0)
		r = adopt_by_cgroup(s, err);
	return r < 0 ? r : cover_cgroups(s, err);
}

int ln_bpf_adopt(struct ln_bpf *b, uint32_t agent, uint32_t pid, struct ln_error *err)
{
	LN_CLEANUP(scan_done) struct scan s = {.b = b, .agent = agent, .root = pid};
	int r;

	/* Between that and the walk over the tree's sockets these have no mark. */
	b->skel->bss->marks_ready = 0;
	/* Before the root is registered: from then on no link to it is cut unnoticed. */
	__atomic_store_n(&b->skel->bss->cfg_adopting, agent, __ATOMIC_SEQ_CST);
	r = adopt(&s, err);
	__atomic_store_n(&b->skel->bss->cfg_adopting, 0, __ATOMIC_SEQ_CST);
	b->skel->bss->cfg_adopt_cgroup = 0;
	/* Waits for programs that are at work (synchronize_rcu). Without it, which is so on some
	 * real-time hosts, one may be missed that has ended in this very moment. */
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	if (r == 0 && adopt_left(b, pid) < 0)
		r = ln_error_set(err, ENOMEM, "out of memory");
	/* Once more: from here on the kernel side tells who goes to another cgroup. */
	if (r == 0)
		r = cover_cgroups(&s, err);
	if (r == 0)
		r = ln_bpf_mark_listeners(b, err);
	if (r == 0)
		r = ln_bpf_mark_sockets(b, 0, err);
	if (r == 0)
		r = ln_bpf_sweep_first(b, agent, pid, err);
	if (r == 0)
		ln_bpf_ring_kick(b);
	return r;
}
