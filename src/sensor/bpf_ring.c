/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for the ring buffer without being woken for everything; enum ln_abi_reader is the word to
 * the kernel side. A wake-up for an ordinary event starts a timer, and the ring is read when it
 * fires (DEFERS). An urgent event (stat_urgent grew) is read at once; then the next look comes by
 * timer in a quarter of a millisecond, and nobody wakes us for it (RETURNS), until such a look
 * finds nothing urgent (WAITS). The ring is watched edge-triggered, or unread events would keep the
 * descriptor ready.
 */
#include "bpf_private.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <bpf/libbpf.h>
#include "base/clock.h"
#include "linnet.skel.h"

#define DEFER_NS   (50 * LN_NS_PER_MS)
#define RETURN_NS  (LN_NS_PER_MS / 4)
#define UNIX_NS    LN_NS_PER_MS
#define UNIX_TRIES 3

static void feed(struct ln_bpf *b, struct ln_event *ev)
{
	/* Where no cgroup is covered, that was said at the start. */
	if (ev->kind == LN_EVENT_CGROUP)
		ev->cgroup.uncovered = ev->cgroup.uncovered && b->n_cover > 0;
	ln_bpf_inspect_note(b, ev);
	b->fn(ev, b->user);
	ln_bpf_sweep_saw(b, ev);
}

/* Connections that the first process of a `run` came with are told when it is known what it runs.
 * More than there is room for are told at once. */
static bool hold(struct ln_bpf *b, const void *record, const struct ln_event *ev)
{
	if (ev->kind != LN_EVENT_FLOW_OPEN || ev->pid != b->unnamed_pid ||
	    !ev->flow.flow.existing || b->n_held == LN_ARRAY_SIZE(b->held))
		return false;
	memcpy(&b->held[b->n_held++], record, sizeof(b->held[0]));
	return true;
}

static void tell_held(struct ln_bpf *b)
{
	struct ln_event ev;

	b->unnamed_pid = 0;
	for (size_t i = 0; i < b->n_held; i++)
		if (ln_decode(&b->decoder, &b->held[i], sizeof(b->held[i]), &ev) == 0)
			feed(b, &ev);
	b->n_held = 0;
}

static int on_record(void *ctx, void *record, size_t len)
{
	struct ln_bpf *b = ctx;
	struct ln_event ev;

	if (ln_decode(&b->decoder, record, len, &ev) < 0) {
		b->undecodable++;
		return 0;
	}
	if (b->unnamed_pid == 0) {
		feed(b, &ev);
	} else if (!hold(b, record, &ev)) {
		feed(b, &ev);
		if (ev.pid == b->unnamed_pid &&
		    (ev.kind == LN_EVENT_EXEC || ev.kind == LN_EVENT_EXIT))
			tell_held(b);
	}
	return 0;
}

int ln_bpf_ring_open(struct ln_bpf *b, struct ln_error *err)
{
	struct epoll_event ring_ev = {.events = EPOLLIN | EPOLLET, .data.u32 = 1};
	struct epoll_event timer_ev = {.events = EPOLLIN, .data.u32 = 2};
	struct epoll_event sweep_ev = {.events = EPOLLIN, .data.u32 = 3};
	int ring_fd = bpf_map__fd(b->skel->maps.events);
	long page = sysconf(_SC_PAGESIZE);
	void *positions;

	b->ring = ring_buffer__new(ring_fd, on_record, b, NULL);
	if (!b->ring)
		return ln_error_set(err, errno, "cannot map the event buffer: %s", strerror(errno));
	positions = mmap(NULL, 2 * (size_t)page, PROT_READ, MAP_SHARED, ring_fd, 0);
	if (positions == MAP_FAILED)
		return ln_error_set(err, errno, "cannot map the event buffer: %s", strerror(errno));
	b->positions = positions;
	b->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	b->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (b->epoll_fd < 0 || b->timer_fd < 0 ||
	    epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, ring_fd, &ring_ev) < 0 ||
	    epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, b->timer_fd, &timer_ev) < 0 ||
	    epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, b->sweep.timer_fd, &sweep_ev) < 0)
		return ln_error_set(err, errno, "cannot wait for events: %s", strerror(errno));
	return 0;
}

void ln_bpf_ring_close(struct ln_bpf *b)
{
	ring_buffer__free(b->ring);
	b->ring = NULL;
	if (b->positions)
		munmap(b->positions, 2 * (size_t)sysconf(_SC_PAGESIZE));
	b->positions = NULL;
	ln_closep(&b->epoll_fd);
	ln_closep(&b->timer_fd);
}

static void set_timer(struct ln_bpf *b, uint64_t in_ns)
{
	struct itimerspec spec = {
	    .it_value = {.tv_sec = in_ns / LN_NS_PER_S, .tv_nsec = in_ns % LN_NS_PER_S}};

	timerfd_settime(b->timer_fd, 0, &spec, NULL);
}

void ln_bpf_ring_kick(struct ln_bpf *b)
{
	set_timer(b, 1);
}

static uint64_t urgent_now(struct ln_bpf *b)
{
	return __atomic_load_n(&b->skel->bss->stat_urgent, __ATOMIC_RELAXED);
}

/* The kernel side reads the mode after it has reserved a record and counted what is urgent; we look
 * at both after the mode is out. So whoever comes second sees the first. */
static void set_mode(struct ln_bpf *b, enum ln_abi_reader mode)
{
	b->mode = mode;
	__atomic_store_n(&b->skel->bss->reader_mode, mode, __ATOMIC_SEQ_CST);
	atomic_thread_fence(memory_order_seq_cst);
}

void ln_bpf_ring_restore(struct ln_bpf *b)
{
	set_mode(b, b->mode);
	ln_bpf_ring_kick(b);
}

/* Bytes in the ring, those of records not yet submitted included. The consumer's position is at the
 * start of the mapping, the producer's a page later (kernel/bpf/ringbuf.c, struct bpf_ringbuf). */
static unsigned long unread(const struct ln_bpf *b)
{
	const unsigned long *consumer = b->positions;
	const unsigned long *producer = consumer + sysconf(_SC_PAGESIZE) / sizeof(*consumer);

	return __atomic_load_n(producer, __ATOMIC_ACQUIRE) -
	       __atomic_load_n(consumer, __ATOMIC_ACQUIRE);
}

static void tell_loss(struct ln_bpf *b, const char *reason, uint64_t now, uint64_t *seen)
{
	struct ln_event ev = {
	    .kind = LN_EVENT_LOST,
	    .time_ns = ln_clock_mono_ns(),
	    .wall_ns = ln_clock_wall_ns(),
	    .lost = {.reason = reason, .count = now - *seen},
	};

	/* One that was set back is told by the inspection. */
	if (now <= *seen)
		return;
	*seen = now;
	b->fn(&ev, b->user);
}

static void tell_losses(struct ln_bpf *b)
{
	for (int i = 0; i < LN_ABI_LOST_COUNT; i++)
		tell_loss(b, ln_decode_lost_text(i),
			  __atomic_load_n(&b->skel->bss->stat_lost[i], __ATOMIC_RELAXED),
			  &b->lost_seen[i]);
	tell_loss(b, "a record of the kernel side could not be read", b->undecodable,
		  &b->undecodable_seen);
	tell_loss(b, ln_decode_lost_text(LN_ABI_LOST_PERMITS), b->permits.failed,
		  &b->permits.failed_seen);
}

static unsigned long position(const struct ln_bpf *b)
{
	return __atomic_load_n(b->positions, __ATOMIC_ACQUIRE);
}

static int consume(struct ln_bpf *b)
{
	int n;

	if (position(b) != b->consumed)
		ln_bpf_inspect_position(b, b->fn, b->user);
	do {
		n = ring_buffer__consume(b->ring);
		/* The kernel wakes nobody while it sees unread events. Our position must be out
		 * before we look for the last time, or an event could fall between the two. */
		atomic_thread_fence(memory_order_seq_cst);
	} while (n > 0);
	b->consumed = position(b);
	return n;
}

/* Events of UNIX sockets come when their other side is known; false: some still wait. */
static bool consume_unix(struct ln_bpf *b)
{
	if (ln_bpf_unix_waiting(b) == 0)
		return true;
	/* What is asked while a walk runs needs the next one. */
	for (int i = 0; i < (b->unix_last ? UNIX_TRIES : 1) && ln_bpf_unix_waiting(b) > 0; i++)
		ln_bpf_unix_tell(b, b->unix_last);
	consume(b);
	if (b->unix_last)
		tell_loss(b, "UNIX connections could not be looked at",
			  b->unix_left_seen + ln_bpf_unix_waiting(b), &b->unix_left_seen);
	return ln_bpf_unix_waiting(b) == 0;
}

int ln_bpf_ring_drain(struct ln_bpf *b, ln_event_fn fn, void *user)
{
	bool unix_told;
	uint64_t urgent;
	int r;

	/* From the first look on, the privileges are gone and nothing more can be attached. */
	ln_closep(&b->cgroup_root_fd);
	b->fn = fn;
	b->user = user;
	ln_bpf_inspect_memory(b, fn, user);
	set_mode(b, LN_ABI_READER_RETURNS);
	urgent = urgent_now(b);
	b->decoder.wall_offset_ns = (int64_t)(ln_clock_wall_ns() - ln_clock_mono_ns());
	ln_bpf_adopted_tell(b, fn, user);
	r = consume(b);
	unix_told = consume_unix(b);
	if (r == 0 && ln_bpf_sweep_ready(b)) {
		ln_bpf_sweep_run(b);
		r = consume(b);
	}
	ln_bpf_sweep_tell(b);
	if (r == 0 && urgent == b->urgent_seen) {
		set_mode(b, LN_ABI_READER_WAITS);
		r = consume(b);
	}
	tell_losses(b);
	/* More of the kind is likely; or a record is reserved but not yet submitted, and who does
	 * so may have seen a mode in which it wakes nobody. */
	if (urgent != b->urgent_seen || unread(b) > 0) {
		b->urgent_seen = urgent;
		set_mode(b, LN_ABI_READER_RETURNS);
		set_timer(b, RETURN_NS);
	} else if (!unix_told) {
		set_timer(b, UNIX_NS);
	}
	if (ln_bpf_inspect_missed(b, fn, user) && b->mode == LN_ABI_READER_WAITS)
		set_timer(b, LN_BPF_RIPE_NS);
	return r;
}

/* Leaves what is there for later. False: something urgent came in meanwhile. */
static bool defer(struct ln_bpf *b)
{
	set_mode(b, LN_ABI_READER_DEFERS);
	if (urgent_now(b) != b->urgent_seen)
		return false;
	set_timer(b, DEFER_NS);
	return true;
}

/* Whether a wake-up that is not the timer's is a reason to read now. */
static bool must_read(struct ln_bpf *b)
{
	switch (b->mode) {
	case LN_ABI_READER_WAITS:
		return urgent_now(b) != b->urgent_seen || !defer(b);
	case LN_ABI_READER_DEFERS:
		return true; /* urgent, or a ring that is half full */
	case LN_ABI_READER_RETURNS:
		return unread(b) > LN_ABI_RING_BYTES / 2;
	}
	return true;
}

int ln_bpf_ring_dispatch(struct ln_bpf *b, ln_event_fn fn, void *user)
{
	struct epoll_event evs[3];
	bool due = false;
	uint64_t ticks;
	int n = epoll_wait(b->epoll_fd, evs, 3, 0);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		int timer_fd = evs[i].data.u32 == 3 ? b->sweep.timer_fd : b->timer_fd;

		if (evs[i].data.u32 == 1)
			continue;
		if (read(timer_fd, &ticks, sizeof(ticks)) == sizeof(ticks))
			due = true;
	}
	if (due || (n > 0 && must_read(b)))
		return ln_bpf_ring_drain(b, fn, user);
	return 0;
}
