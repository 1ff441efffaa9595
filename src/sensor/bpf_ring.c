/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for the ring buffer without being woken for everything. A wake-up for an ordinary event
 * starts a timer, and the ring is drained when it fires: meanwhile the kernel finds unread events
 * before its own and wakes nobody. An urgent event (stat_urgent grew) is drained at once. The ring
 * is watched edge-triggered, or unread events would keep the descriptor ready.
 */
#include "bpf_private.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <bpf/libbpf.h>
#include "base/clock.h"
#include "linnet.skel.h"

#define DEFER_NS (50 * LN_NS_PER_MS)

static int on_record(void *ctx, void *record, size_t len)
{
	struct ln_bpf *b = ctx;
	struct ln_event ev;

	if (ln_decode(&b->decoder, record, len, &ev) < 0) {
		b->undecodable++;
		return 0;
	}
	b->fn(&ev, b->user);
	return 0;
}

int ln_bpf_ring_open(struct ln_bpf *b, struct ln_error *err)
{
	struct epoll_event ring_ev = {.events = EPOLLIN | EPOLLET, .data.u32 = 1};
	struct epoll_event timer_ev = {.events = EPOLLIN, .data.u32 = 2};
	int ring_fd = bpf_map__fd(b->skel->maps.events);

	b->ring = ring_buffer__new(ring_fd, on_record, b, NULL);
	if (!b->ring)
		return ln_error_set(err, errno, "cannot map the event buffer: %s", strerror(errno));
	b->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	b->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (b->epoll_fd < 0 || b->timer_fd < 0 ||
	    epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, ring_fd, &ring_ev) < 0 ||
	    epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, b->timer_fd, &timer_ev) < 0)
		return ln_error_set(err, errno, "cannot wait for events: %s", strerror(errno));
	return 0;
}

void ln_bpf_ring_close(struct ln_bpf *b)
{
	ring_buffer__free(b->ring);
	b->ring = NULL;
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

static void tell_losses(struct ln_bpf *b)
{
	for (int i = 0; i < LN_ABI_LOST_COUNT; i++) {
		uint64_t now = __atomic_load_n(&b->skel->bss->stat_lost[i], __ATOMIC_RELAXED);
		struct ln_event ev = {
		    .kind = LN_EVENT_LOST,
		    .time_ns = ln_clock_mono_ns(),
		    .wall_ns = ln_clock_wall_ns(),
		    .lost = {.reason = ln_decode_lost_text(i), .count = now - b->lost_seen[i]},
		};

		if (now == b->lost_seen[i])
			continue;
		b->lost_seen[i] = now;
		b->fn(&ev, b->user);
	}
}

int ln_bpf_ring_drain(struct ln_bpf *b, ln_event_fn fn, void *user)
{
	int n;

	b->fn = fn;
	b->user = user;
	b->deferred = false;
	__atomic_store_n(&b->skel->bss->reader_deferred, 0, __ATOMIC_SEQ_CST);
	b->urgent_seen = urgent_now(b);
	b->decoder.wall_offset_ns = (int64_t)(ln_clock_wall_ns() - ln_clock_mono_ns());
	ln_bpf_adopted_tell(b, fn, user);
	do {
		n = ring_buffer__consume(b->ring);
		/* The kernel wakes nobody while it sees unread events. Our position must be out
		 * before we look for the last time, or an event could fall between the two. */
		atomic_thread_fence(memory_order_seq_cst);
	} while (n > 0);
	tell_losses(b);
	return n < 0 ? n : 0;
}

/* Leaves what is there for later. False: something urgent came in meanwhile. */
static bool defer(struct ln_bpf *b)
{
	if (b->deferred)
		return urgent_now(b) == b->urgent_seen;
	__atomic_store_n(&b->skel->bss->reader_deferred, 1, __ATOMIC_SEQ_CST);
	atomic_thread_fence(memory_order_seq_cst);
	if (urgent_now(b) != b->urgent_seen)
		return false;
	b->deferred = true;
	set_timer(b, DEFER_NS);
	return true;
}

int ln_bpf_ring_dispatch(struct ln_bpf *b, ln_event_fn fn, void *user)
{
	struct epoll_event evs[2];
	bool due = false;
	uint64_t ticks;
	int n = epoll_wait(b->epoll_fd, evs, 2, 0);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		if (evs[i].data.u32 != 2)
			continue;
		if (read(b->timer_fd, &ticks, sizeof(ticks)) == sizeof(ticks))
			due = true;
	}
	/* Woken again while deferring means urgent, or a ring that is half full. */
	if (n > 0 && !due && !b->deferred && defer(b))
		return 0;
	if (n == 0)
		return 0;
	return ln_bpf_ring_drain(b, fn, user);
}
