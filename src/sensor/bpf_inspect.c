/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the probes are as we left them; by the unprivileged monitor, with the descriptors that it
 * holds. Before the privileges go, every map is frozen that only the kernel side writes from then
 * on. What cannot be frozen is compared, and so is what another BPF program could still write: the
 * processes that the events say to live must be in `tasks`. One look costs a system call for each
 * link to a cgroup, and one for each of at most LN_BPF_TASKS_A_LOOK processes, in turn.
 */
#include "bpf_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "base/clock.h"
#include "base/table.h"
#include "linnet.skel.h"

#define ENOTSUPP 524 /* include/linux/errno.h; user space has no name for it */

/* A process of the tree that lives, as far as the events say. */
struct ln_bpf_task {
	uint32_t pid, agent;
	uint64_t losses; /* of events when it was last seen: later its end may be among them */
	uint64_t missed_ns;
	bool taken; /* out of the watch: nobody will tell its end */
	UT_hash_handle hh;
};

static LN_FORMAT(4, 5) void tell(struct ln_bpf *b, ln_event_fn fn, void *user, const char *what,
				 ...)
{
	const struct ln_event ev = {
	    .kind = LN_EVENT_TAMPER,
	    .time_ns = ln_clock_mono_ns(),
	    .wall_ns = ln_clock_wall_ns(),
	    .tamper.what = b->inspect.text,
	};
	va_list ap;

	va_start(ap, what);
	vsnprintf(b->inspect.text, sizeof(b->inspect.text), what, ap);
	va_end(ap);
	fn(&ev, user);
}

static int link_info(int link, struct bpf_link_info *ret)
{
	__u32 len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return bpf_obj_get_info_by_fd(link, ret, &len) < 0 ? -errno : 0;
}

int ln_bpf_without_root(int (*call)(int fd), int fd)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct all[_LINUX_CAPABILITY_U32S_3], none[LN_ARRAY_SIZE(all)];
	int r;

	if (syscall(SYS_capget, &head, all) < 0)
		return -errno;
	memcpy(none, all, sizeof(none));
	for (size_t i = 0; i < LN_ARRAY_SIZE(none); i++)
		none[i].effective = 0;
	if (syscall(SYS_capset, &head, none) < 0)
		return -errno;
	r = call(fd);
	return syscall(SYS_capset, &head, all) < 0 ? -errno : r;
}

static int look_at(int link)
{
	struct bpf_link_info info;

	return link_info(link, &info);
}

/* An event file of the cgroup: reading it tells when the cgroup is gone. The root has none, and
 * stays. */
void ln_bpf_inspect_cover(struct ln_bpf *b, int cgroup_fd)
{
	struct ln_bpf_inspect *in = &b->inspect;
	struct stat st;
	int fd;

	if (in->n_covers == LN_ARRAY_SIZE(in->covers) || fstat(cgroup_fd, &st) < 0)
		return;
	fd = openat(cgroup_fd, "cgroup.events", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0)
		in->covers[in->n_covers++] = (struct ln_bpf_covered){.id = st.st_ino, .events = fd};
}

/* Its links go with it, and that is no attack. */
static bool cgroup_is_gone(const struct ln_bpf_inspect *in, uint64_t id)
{
	char byte;

	for (size_t i = 0; i < in->n_covers; i++)
		if (in->covers[i].id == id)
			return pread(in->covers[i].events, &byte, 1, 0) < 0 && errno == ENODEV;
	return false;
}

/* "cgroup/connect4" */
static const char *program_name(const struct ln_bpf *b, uint32_t id)
{
	struct bpf_program *prog;

	bpf_object__for_each_program (prog, b->skel->obj) {
		struct bpf_prog_info info = {0};
		__u32 len = sizeof(info);
		int fd = bpf_program__fd(prog);

		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.id == id)
			return bpf_program__section_name(prog);
	}
	return "unknown";
}

static void note_link(struct ln_bpf *b, size_t i, const struct bpf_link_info *info)
{
	b->inspect.links[i] = (struct ln_bpf_link_seen){
	    .link = b->links[i],
	    .prog_id = info->prog_id,
	    .cgroup = info->type == BPF_LINK_TYPE_CGROUP ? info->cgroup.cgroup_id : 0,
	    .name = program_name(b, info->prog_id),
	};
}

/* A program cannot be changed when it is loaded, but a link to a cgroup can: to another program, or
 * to none. The kernel knows no such operation for links of tracing programs. */
static void look_at_link(struct ln_bpf *b, size_t i, ln_event_fn fn, void *user)
{
	struct ln_bpf_link_seen *seen = &b->inspect.links[i];
	bool is_new = seen->link != b->links[i];
	struct bpf_link_info info;
	int r;

	if (!is_new && (seen->told || !seen->cgroup))
		return;
	r = link_info(b->links[i], &info);
	if (is_new)
		note_link(b, i, &info);
	seen->told = true;
	if (r < 0)
		tell(b, fn, user, "a probe cannot be looked at any more: %s: %s", seen->name,
		     strerror(-r));
	else if (seen->prog_id != info.prog_id)
		tell(b, fn, user, "a probe was replaced: %s", seen->name);
	else if (seen->cgroup && !info.cgroup.cgroup_id &&
		 !cgroup_is_gone(&b->inspect, seen->cgroup))
		tell(b, fn, user, "a probe was detached: %s; without it %s", seen->name,
		     ln_bpf_without(seen->name));
	else
		seen->told = false;
}

/* Maps that user space goes on writing. The internal ones are .rodata, which libbpf has frozen, and
 * .bss, which is mapped. */
static bool stays_open(const struct ln_bpf *b, const struct bpf_map *map)
{
	return bpf_map__is_internal(map) || map == b->skel->maps.events ||
	       map == b->skel->maps.verdicts || ln_bpf_permits_writes(b, map);
}

int ln_bpf_seal(struct ln_bpf *b, struct ln_error *err)
{
	struct bpf_link_info info;
	struct bpf_map *map;
	int r;

	r = ln_bpf_lsm_protect(b, err);
	if (r < 0)
		return r;
	r = b->n_links ? ln_bpf_without_root(look_at, b->links[0]) : 0;
	b->inspect.blind = r < 0;
	if (r < 0)
		ln_bpf_add_fact(b, "self-inspection", false, false,
				"a probe or map of linnet that root takes away is not noticed: %s",
				strerror(-r));
	for (size_t i = 0; i < b->n_links; i++)
		if (link_info(b->links[i], &info) == 0)
			note_link(b, i, &info);
	bpf_object__for_each_map (map, b->skel->obj) {
		/* A map with a lock in it cannot be frozen. Ours are memory of sockets, which only
		 * who has the socket can reach. */
		if (bpf_map__fd(map) >= 0 && !stays_open(b, map) &&
		    bpf_map_freeze(bpf_map__fd(map)) < 0 && errno != ENOTSUPP)
			return ln_error_set(err, errno, "cannot freeze the map %s: %s",
					    bpf_map__name(map), strerror(errno));
	}
	return 0;
}

/* Memory that anybody with the right to open our maps can map, and write. */
void ln_bpf_inspect_memory(struct ln_bpf *b, ln_event_fn fn, void *user)
{
	uint64_t urgent = __atomic_load_n(&b->skel->bss->stat_urgent, __ATOMIC_RELAXED);
	bool back = urgent < b->urgent_seen;

	for (int i = 0; i < LN_ABI_LOST_COUNT; i++) {
		uint64_t now = __atomic_load_n(&b->skel->bss->stat_lost[i], __ATOMIC_RELAXED);

		back = back || now < b->lost_seen[i];
		b->lost_seen[i] = LN_MIN(b->lost_seen[i], now);
	}
	b->urgent_seen = LN_MIN(b->urgent_seen, urgent);
	if (back)
		tell(b, fn, user, "a counter of the kernel side was set back");
	if (__atomic_load_n(&b->skel->bss->reader_mode, __ATOMIC_RELAXED) != b->mode ||
	    b->skel->bss->cfg_adopting) {
		tell(b, fn, user, "a mode of the kernel side was changed from outside");
		b->skel->bss->cfg_adopting = 0;
		ln_bpf_ring_restore(b);
	}
}

void ln_bpf_inspect_position(struct ln_bpf *b, ln_event_fn fn, void *user)
{
	tell(b, fn, user, "events were taken out of the buffer by somebody else");
}

static uint64_t losses(const struct ln_bpf *b)
{
	return __atomic_load_n(&b->skel->bss->stat_lost[LN_ABI_LOST_RING], __ATOMIC_RELAXED) +
	       b->undecodable;
}

static struct ln_bpf_task *find_task(const struct ln_bpf *b, uint32_t pid)
{
	struct ln_bpf_task *t;

	HASH_FIND_INT(b->inspect.tasks, &pid, t);
	return t;
}

static void forget_task(struct ln_bpf *b, struct ln_bpf_task *t)
{
	if (b->inspect.next == t)
		b->inspect.next = t->hh.next;
	HASH_DEL(b->inspect.tasks, t);
	free(t);
}

/* One that cannot be kept is one that is not looked at. */
static void note_task(struct ln_bpf *b, uint32_t agent, uint32_t pid)
{
	struct ln_bpf_task *t = find_task(b, pid);

	if (!t && HASH_COUNT(b->inspect.tasks) < LN_ABI_TASKS_MAX && (t = calloc(1, sizeof(*t)))) {
		t->pid = pid;
		HASH_ADD_INT(b->inspect.tasks, pid, t);
		if (!t->hh.tbl) {
			free(t);
			t = NULL;
		}
	}
	if (!t)
		return;
	t->agent = agent;
	t->losses = losses(b);
	t->missed_ns = 0;
	t->taken = false;
}

void ln_bpf_inspect_note(struct ln_bpf *b, const struct ln_event *ev)
{
	struct ln_bpf_task *t;

	switch (ev->kind) {
	case LN_EVENT_FORK:
		note_task(b, ev->agent, ev->fork.child);
		break;
	case LN_EVENT_ADOPT:
		note_task(b, ev->agent, ev->pid);
		break;
	case LN_EVENT_EXIT:
		t = find_task(b, ev->pid);
		if (t)
			forget_task(b, t);
		break;
	default:
		break;
	}
}

static bool is_watched(const struct ln_bpf *b, const struct ln_bpf_task *t)
{
	struct ln_abi_task task;

	return bpf_map_lookup_elem(bpf_map__fd(b->skel->maps.tasks), &t->pid, &task) == 0 &&
	       task.agent == t->agent;
}

/* Readable: its last thread has ended, though its parent may not have been told. */
static bool lives(uint32_t pid)
{
	LN_AUTO_CLOSE int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return fd >= 0 && poll(&p, 1, 0) == 0;
}

/* Only one that was missed before, and whose end has had the time to be told. */
static bool was_taken_away(struct ln_bpf *b, struct ln_bpf_task *t)
{
	struct ln_bpf_inspect *in = &b->inspect;
	uint64_t now = ln_clock_mono_ns();

	if (is_watched(b, t)) {
		t->losses = losses(b);
		t->missed_ns = 0;
		return false;
	}
	/* Its end may be among what was lost, and the number may be somebody else's by now. */
	if (t->losses != losses(b) || !lives(t->pid)) {
		forget_task(b, t);
		return false;
	}
	if (t->missed_ns && now - t->missed_ns >= LN_BPF_RIPE_NS)
		return true;
	if (!t->missed_ns)
		t->missed_ns = now;
	in->missed[in->n_missed++] = t->pid;
	return false;
}

static void tell_taken(struct ln_bpf *b, uint32_t pid, size_t n, ln_event_fn fn, void *user)
{
	char others[48] = "";

	if (n == 0)
		return;
	if (n > 1)
		snprintf(others, sizeof(others), " and %zu others", n - 1);
	tell(b, fn, user,
	     "process %u%s was taken out of the watch: the map of the tree was changed from "
	     "outside",
	     pid, others);
}

bool ln_bpf_inspect_missed(struct ln_bpf *b, ln_event_fn fn, void *user)
{
	uint32_t pids[LN_ARRAY_SIZE(b->inspect.missed)], first = 0;
	size_t n = b->inspect.n_missed, taken = 0;

	memcpy(pids, b->inspect.missed, n * sizeof(pids[0]));
	b->inspect.n_missed = 0;
	for (size_t i = 0; i < n; i++) {
		struct ln_bpf_task *t = find_task(b, pids[i]);

		if (!t || !was_taken_away(b, t))
			continue;
		first = taken++ ? first : t->pid;
		t->taken = true;
	}
	tell_taken(b, first, taken, fn, user);
	return b->inspect.n_missed > 0;
}

/* The end of one that the kernel side no longer knows: a watch ends with its last process. */
static void look_at_taken(struct ln_bpf *b, struct ln_bpf_task *t, ln_event_fn fn, void *user)
{
	const struct ln_event ev = {
	    .kind = LN_EVENT_EXIT,
	    .time_ns = ln_clock_mono_ns(),
	    .wall_ns = ln_clock_wall_ns(),
	    .agent = t->agent,
	    .pid = t->pid,
	    .tid = t->pid,
	};

	if (lives(t->pid))
		return;
	forget_task(b, t);
	b->inspect.taken_ended++;
	fn(&ev, user);
}

/* Some of them, in turn. */
static void look_at_tasks(struct ln_bpf *b, ln_event_fn fn, void *user)
{
	struct ln_bpf_inspect *in = &b->inspect;
	size_t most = LN_MIN((size_t)HASH_COUNT(in->tasks), LN_ARRAY_SIZE(in->missed));

	ln_bpf_inspect_missed(b, fn, user);
	for (; most > in->n_missed; most--) {
		struct ln_bpf_task *t = in->next ? in->next : in->tasks;

		if (!t)
			break;
		in->next = t->hh.next;
		if (t->taken)
			look_at_taken(b, t, fn, user);
		else if (!t->missed_ns)
			was_taken_away(b, t);
	}
	if (in->n_missed)
		ln_bpf_ring_kick(b);
}

void ln_bpf_inspect(struct ln_bpf *b, ln_event_fn fn, void *user)
{
	ln_bpf_inspect_memory(b, fn, user);
	if (b->inspect.blind)
		return;
	for (size_t i = 0; i < b->n_links; i++)
		look_at_link(b, i, fn, user);
	look_at_tasks(b, fn, user);
}

void ln_bpf_inspect_done(struct ln_bpf *b)
{
	struct ln_bpf_inspect *in = &b->inspect;
	struct ln_bpf_task *t, *next;

	HASH_ITER (hh, in->tasks, t, next) {
		HASH_DEL(in->tasks, t);
		free(t);
	}
	while (in->n_covers > 0)
		ln_closep(&in->covers[--in->n_covers].events);
}
