/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one way an event leaves the kernel: reserve, header, submit; and the one place that counts a
 * lost one. The reader is woken at once only for what cannot wait. With flag 0 the kernel wakes it
 * when it had read everything; then it leaves the ring alone for some milliseconds, and only an
 * urgent event, or a ring that is half full, wakes it. After an urgent one it comes back by itself
 * in a fraction of a millisecond, so that a flood of them does not wake it for each.
 */
#ifndef LINNET_EMIT_BPF_H
#define LINNET_EMIT_BPF_H

#include "maps.bpf.h"

static __always_inline void count_lost(enum ln_abi_lost why)
{
	__sync_fetch_and_add(&stat_lost[why], 1);
}

static __always_inline __u64 wake_flags(bool urgent)
{
	__u32 mode;

	if (urgent) {
		/* Counted before the mode is read, after the record is reserved: the reader looks
		 * at the count and at the ring after it has set the mode. */
		__sync_fetch_and_add(&stat_urgent, 1);
		mode = *(volatile __u32 *)&reader_mode;
		if (mode == LN_ABI_READER_RETURNS)
			return BPF_RB_NO_WAKEUP;
		return mode == LN_ABI_READER_DEFERS ? BPF_RB_FORCE_WAKEUP : 0;
	}
	mode = *(volatile __u32 *)&reader_mode;
	if (mode != LN_ABI_READER_WAITS &&
	    bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > LN_ABI_RING_BYTES / 2)
		return BPF_RB_FORCE_WAKEUP;
	return 0;
}

static __always_inline void fill_header(struct ln_abi_header *h, enum ln_abi_kind kind, __u32 agent,
					__u64 now_ns, __u32 pid, __u32 tid)
{
	h->kind = kind;
	h->flags = 0;
	h->agent = agent;
	h->time_ns = now_ns;
	h->pid = pid;
	h->tid = tid;
}

/* NULL when the ring is full: counted already. */
#define emit_reserve(type)                                                                         \
	({                                                                                         \
		type *reserved_ = bpf_ringbuf_reserve(&events, sizeof(type), 0);                   \
		if (!reserved_)                                                                    \
			count_lost(LN_ABI_LOST_RING);                                              \
		reserved_;                                                                         \
	})

static __always_inline void emit_submit(void *event, bool urgent)
{
	bpf_ringbuf_submit(event, wake_flags(urgent));
}

/* For events of variable size, built in a per-CPU buffer. */
static __always_inline void emit_copy(void *event, __u64 size, bool urgent)
{
	if (bpf_ringbuf_output(&events, event, size, wake_flags(urgent)))
		count_lost(LN_ABI_LOST_RING);
}

#endif
