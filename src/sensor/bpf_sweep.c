/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sweeps: walks over all tasks and descriptors of the host, for what no hook sees (see
 * bpf/sweep.bpf.c). The iterators are kept as links, so that they can be run without privileges.
 * One walk follows the other by the clock, and costs at most a thousandth of a CPU: after one that
 * took d of its time the next comes in 1000 d, or in a second when that is longer. When something
 * happened that a walk can explain, it is run at once and once more (a descriptor may not be in the
 * table yet), but never sooner than 50 d after the last one. What is found is told after the ring
 * has been read, so that the engine knows the process.
 */
#include "bpf_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/capability.h>
#include "base/clock.h"
#include "linnet.skel.h"

#define PERIOD_NS      LN_NS_PER_S
#define PERIOD_SHARE   1000
#define ASKED_SHARE    50
#define ASKED_SWEEPS   2
#define ENDS_NS        (30 * LN_NS_PER_S)
#define FOUND_MAX      1024
#define WALK_TRIES_MAX 1000 /* the kernel lets go of a long walk after a million objects */

/* Iterators that are kept, and what stops working without each. */
static const struct {
	size_t at;   /* offset in the skeleton's list of programs */
	size_t link; /* offset in struct ln_bpf_sweep */
	const char *name, *without;
} walks[] = {
    {offsetof(struct linnet, progs.on_sweep_task), offsetof(struct ln_bpf_sweep, tasks),
     "sweep of tasks", "a tracer that stops nothing is not seen"},
    {offsetof(struct linnet, progs.on_sweep_file), offsetof(struct ln_bpf_sweep, files), "sweep",
     "received sockets and rings are not seen"},
    {offsetof(struct linnet, progs.on_seed_file), offsetof(struct ln_bpf_sweep, seed),
     "sweep of victims", "open connections of a process that the agent traces are not told"},
    {offsetof(struct linnet, progs.on_held_back), offsetof(struct ln_bpf_sweep, held_back),
     "sweep of capabilities", "how often a capability was used may stay untold"},
    {offsetof(struct linnet, progs.on_unseen_ends), offsetof(struct ln_bpf_sweep, ends),
     "sweep of ends", "an end of a connection that the kernel shows to no program stays untold"},
};

/* Tracepoints that not every kernel has. A program for one that is missing would not load, and take
 * the others with it. */
void ln_bpf_sweep_prepare(struct ln_bpf *b, const struct ln_sensor_config *c)
{
	const struct {
		struct bpf_program *prog;
		const char *needs;
	} optional[] = {
	    {b->skel->progs.on_capable, "btf_trace_cap_capable"},
	    {b->skel->progs.on_signal, "btf_trace_signal_generate"},
	    {b->skel->progs.on_wait, "btf_trace_sched_process_wait"},
	    {b->skel->progs.on_ring_create, "btf_trace_io_uring_create"},
	    {b->skel->progs.on_send, "btf_trace_sock_send_length"},
	};
	const struct ln_bpf_names *names = &b->names;

	for (size_t i = 0; i < LN_ARRAY_SIZE(optional); i++)
		if (!ln_bpf_names_have(names, optional[i].needs))
			bpf_program__set_autoload(optional[i].prog, false);
	if (!c->deep)
		bpf_program__set_autoload(b->skel->progs.on_send, false);
	if (!c->progress) {
		bpf_program__set_autoload(b->skel->progs.on_progress, false);
		bpf_map__set_autocreate(b->skel->maps.progress, false);
	}
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_DEVICE, BPF_FUNC_get_current_pid_tgid,
				    NULL) != 1)
		bpf_program__set_autoload(b->skel->progs.on_device, false);
}

static int protect(struct ln_bpf *b, uint32_t pid, struct ln_error *err)
{
	__u8 one = 1;

	if (pid && bpf_map_update_elem(bpf_map__fd(b->skel->maps.ourselves), &pid, &one, BPF_ANY))
		return ln_error_set(err, errno, "cannot register process %u: %s", pid,
				    strerror(errno));
	return 0;
}

static int start_walk(int link)
{
	LN_AUTO_CLOSE int fd = bpf_iter_create(link);

	return fd < 0 ? -errno : 0;
}

/* An iterator counts when the monitor can run it, which has no privileges then. */
static struct bpf_link *keep_walk(struct ln_bpf *b, struct bpf_program *prog, const char *name,
				  const char *without)
{
	struct bpf_link *link = bpf_program__attach_iter(prog, NULL);
	int r = link ? ln_bpf_without_root(start_walk, bpf_link__fd(link)) : -ENOTSUP;

	b->sweep.broken = b->sweep.broken || (link && r < 0);
	ln_bpf_add_fact(b, name, r == 0, false, "%s", r == 0 ? "" : without);
	return link;
}

int ln_bpf_sweep_open(struct ln_bpf *b, const struct ln_sensor_config *c, struct ln_error *err)
{
	struct ln_bpf_sweep *s = &b->sweep;
	int r;

	s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->timer_fd < 0)
		return ln_error_set(err, errno, "cannot make a timer: %s", strerror(errno));
	for (size_t i = 0; i < LN_ARRAY_SIZE(walks); i++) {
		struct bpf_program *prog = *(struct bpf_program **)((char *)b->skel + walks[i].at);
		struct bpf_link **link = (struct bpf_link **)((char *)s + walks[i].link);

		*link = keep_walk(b, prog, walks[i].name, walks[i].without);
	}
	if (c->progress)
		s->progress = keep_walk(b, b->skel->progs.on_progress, "sweep of open flows",
					"limits on bytes count a flow when it ends");
	r = protect(b, (uint32_t)getpid(), err);
	return r < 0 ? r : protect(b, c->launcher, err);
}

void ln_bpf_sweep_close(struct ln_bpf *b)
{
	struct ln_bpf_sweep *s = &b->sweep;

	for (size_t i = 0; i < LN_ARRAY_SIZE(walks); i++)
		bpf_link__destroy(*(struct bpf_link **)((char *)s + walks[i].link));
	bpf_link__destroy(s->progress);
	ln_closep(&s->timer_fd);
	free(s->found);
}

/* The user namespace in which an agent's watch begins. */
static void note_home(struct ln_bpf *b, uint32_t agent, uint32_t pid)
{
	struct agent_home {
		uint32_t user_ns, pad;
	} home = {0};
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%u/ns/user", pid);
	if (stat(path, &st) < 0)
		return;
	home.user_ns = (uint32_t)st.st_ino;
	bpf_map_update_elem(bpf_map__fd(b->skel->maps.homes), &agent, &home, BPF_NOEXIST);
}

/* Runs an iterator to its end; `take` gets whole records of `size` bytes (NULL: it writes none). */
static int walk(struct bpf_link *link, size_t size,
		void (*take)(struct ln_bpf_sweep *s, const void *record), struct ln_bpf_sweep *s)
{
	_Alignas(8) char records[16 * sizeof(struct ln_abi_channel_event)];
	LN_AUTO_CLOSE int fd = link ? bpf_iter_create(bpf_link__fd(link)) : -1;
	size_t room = size ? sizeof(records) / size * size : sizeof(records);
	int tries = WALK_TRIES_MAX;
	ssize_t n;

	if (!link)
		return 0;
	if (fd < 0)
		return -errno;
	while ((n = read(fd, records, room)) != 0) {
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0 && tries-- == 0)
			return -EAGAIN;
		for (size_t at = 0; n > 0 && size && at + size <= (size_t)n; at += size)
			take(s, records + at);
	}
	return 0;
}

static void take_found(struct ln_bpf_sweep *s, const void *record)
{
	if (s->n_found == s->cap_found) {
		size_t cap = s->cap_found ? 2 * s->cap_found : 16;
		struct ln_abi_channel_event *found =
		    cap > FOUND_MAX ? NULL : reallocarray(s->found, cap, sizeof(*found));

		if (!found) {
			s->untold++;
			return;
		}
		s->found = found;
		s->cap_found = cap;
	}
	memcpy(&s->found[s->n_found++], record, sizeof(s->found[0]));
}

static void take_holder(struct ln_bpf_sweep *s, const void *record)
{
	const struct ln_abi_holder *h = record;

	for (size_t i = 0; i < s->n_found; i++)
		if (s->found[i].channel == LN_ABI_SOCKET_RECEIVED &&
		    s->found[i].cookie == h->cookie && !s->found[i].other.pid)
			s->found[i].other = h->who;
}

/* Open connections of processes that joined the tree alive. */
static int walk_newcomers(struct ln_bpf *b)
{
	int r = 0;

	if (!b->sweep.newcomers)
		return 0;
	b->sweep.newcomers = false;
	b->skel->bss->cfg_seed_newcomers = 1;
	for (uint32_t pass = 0; r == 0 && pass < 2; pass++) {
		b->skel->bss->cfg_seed_pass = pass;
		r = walk(b->sweep.seed, 0, NULL, &b->sweep);
	}
	b->skel->bss->cfg_seed_newcomers = 0;
	return r;
}

static int walk_files(struct ln_bpf *b, enum ln_abi_sweep what)
{
	struct ln_bpf_sweep *s = &b->sweep;
	size_t before = s->n_found;
	bool received = false;
	int r;

	b->skel->bss->cfg_sweep = what;
	r = walk(s->tasks, sizeof(s->found[0]), take_found, s);
	if (r == 0)
		r = walk(s->files, sizeof(s->found[0]), take_found, s);
	for (size_t i = before; i < s->n_found; i++)
		received = received || s->found[i].channel == LN_ABI_SOCKET_RECEIVED;
	if (r < 0 || !received)
		return r;
	b->skel->bss->cfg_sweep = LN_ABI_SWEEP_HOLDERS;
	return walk(s->files, sizeof(struct ln_abi_holder), take_holder, s);
}

/* Connections whose end was shown to no program. The table has room for many, and such an end is
 * rare. */
static int walk_ends(struct ln_bpf_sweep *s)
{
	s->ends_ns = ln_clock_mono_ns() + ENDS_NS;
	return walk(s->ends, 0, NULL, s);
}

/* Not by the clock on the wall: a busy machine would make a walk look dear. */
static uint64_t cpu_ns(void)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * LN_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int walk_all(struct ln_bpf *b, enum ln_abi_sweep what)
{
	struct ln_bpf_sweep *s = &b->sweep;
	uint64_t began_ns = cpu_ns(), took_ns, now_ns, held_back;
	int r;

	b->skel->bss->sweep_number++;
	r = walk_newcomers(b);
	if (r == 0)
		r = walk_files(b, what);
	held_back = __atomic_load_n(&b->skel->bss->stat_held_back, __ATOMIC_RELAXED);
	if (r == 0 && (held_back != s->held_back_seen || s->held_back_left)) {
		/* What was held back in the last second is left for the next time. */
		s->held_back_left = held_back != s->held_back_seen;
		s->held_back_seen = held_back;
		r = walk(s->held_back, 0, NULL, s);
	}
	if (r == 0 && s->progress) {
		b->skel->bss->progress_left = LN_ABI_PROGRESS_MAX;
		r = walk(s->progress, 0, NULL, s);
	}
	took_ns = cpu_ns() - began_ns;
	now_ns = ln_clock_mono_ns();
	s->next_ns = now_ns + LN_MAX(PERIOD_NS, PERIOD_SHARE * took_ns);
	s->ready_ns = now_ns + ASKED_SHARE * took_ns;
	/* Rare and bounded: the other walks need not wait longer for it. */
	return r == 0 && now_ns >= s->ends_ns ? walk_ends(s) : r;
}

/* All that the processes hold when the watch begins was there before. */
int ln_bpf_sweep_first(struct ln_bpf *b, uint32_t agent, uint32_t pid, struct ln_error *err)
{
	int r;

	note_home(b, agent, pid);
	b->sweep.ends_ns = ln_clock_mono_ns() + ENDS_NS;
	r = walk_all(b, LN_ABI_SWEEP_FIRST);
	if (r < 0)
		return ln_error_set(err, -r, "cannot walk over open descriptors: %s", strerror(-r));
	b->sweep.ready_ns = 0;
	return 0;
}

static void tell(struct ln_bpf *b, const struct ln_event *ev)
{
	b->fn(ev, b->user);
}

static void tell_found(struct ln_bpf *b)
{
	struct ln_bpf_sweep *s = &b->sweep;

	for (size_t i = 0; i < s->n_found; i++) {
		struct ln_event ev;

		if (ln_decode(&b->decoder, &s->found[i], sizeof(s->found[i]), &ev) == 0)
			tell(b, &ev);
		else
			b->undecodable++;
	}
	s->n_found = 0;
}

static void tell_untold(struct ln_bpf *b, const char *reason, uint64_t count)
{
	const struct ln_event ev = {
	    .kind = LN_EVENT_LOST,
	    .time_ns = ln_clock_mono_ns(),
	    .wall_ns = ln_clock_wall_ns(),
	    .lost = {.reason = reason, .count = count},
	};

	if (count)
		tell(b, &ev);
}

static void set_timer(struct ln_bpf_sweep *s, uint64_t at_ns)
{
	const struct itimerspec spec = {.it_value = {.tv_sec = (time_t)(at_ns / LN_NS_PER_S),
						     .tv_nsec = (long)(at_ns % LN_NS_PER_S)}};

	timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void sweep_soon(struct ln_bpf *b)
{
	b->sweep.asked = ASKED_SWEEPS;
}

bool ln_bpf_sweep_ready(struct ln_bpf *b)
{
	uint64_t now_ns;

	if (!b->sweep.asked || b->sweep.broken)
		return false;
	now_ns = ln_clock_mono_ns();
	if (now_ns < b->sweep.ready_ns) {
		set_timer(&b->sweep, b->sweep.ready_ns);
		return false;
	}
	return true;
}

void ln_bpf_sweep_run(struct ln_bpf *b)
{
	struct ln_bpf_sweep *s = &b->sweep;
	int r;

	r = walk_all(b, LN_ABI_SWEEP_NEWS);
	if (s->asked > 0 && --s->asked > 0)
		set_timer(s, s->ready_ns);
	if (r < 0) {
		s->broken = true;
		tell_untold(b, "received sockets are not seen: the walk over them failed", 1);
	}
}

void ln_bpf_sweep_ends(struct ln_bpf *b)
{
	if (!b->sweep.broken)
		walk_ends(&b->sweep);
}

void ln_bpf_sweep_tell(struct ln_bpf *b)
{
	tell_found(b);
	tell_untold(b, "too many received descriptors at once", b->sweep.untold);
	b->sweep.untold = 0;
}

/* The victim of an injection is known to the engine before anything that it does is told. */
static void victim_joins(struct ln_bpf *b, const struct ln_event *ev)
{
	ln_bpf_adopted_add(b, ev->agent, ev->channel.other.pid, ev->pid,
			   "injection, by a process of the agent");
	ln_bpf_adopted_tell(b, b->fn, b->user);
	b->sweep.newcomers = true;
	sweep_soon(b);
}

void ln_bpf_sweep_saw(struct ln_bpf *b, const struct ln_event *ev)
{
	const struct ln_channel *c = &ev->channel;

	if (ev->kind != LN_EVENT_CHANNEL)
		return;
	if (c->kind == LN_CHANNEL_INJECTION)
		victim_joins(b, ev);
	else if (c->kind == LN_CHANNEL_UNIX_SOCKET
		     ? !c->same_tree
		     : c->kind == LN_CHANNEL_PRIVILEGE &&
			   (c->number == CAP_NET_RAW || c->number == CAP_SYS_PTRACE))
		sweep_soon(b);
}

void ln_bpf_sweep(struct ln_bpf *b, ln_event_fn fn, void *user)
{
	if (b->sweep.broken || ln_clock_mono_ns() < b->sweep.next_ns)
		return;
	/* What is in the ring may be news to the walk: a victim, whose sockets are its own. */
	ln_bpf_ring_drain(b, fn, user);
	ln_bpf_sweep_run(b);
	ln_bpf_ring_drain(b, fn, user);
}
