/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Telling a way out that is no flow, or the preparation of one. */
#ifndef LINNET_CHANNEL_BPF_H
#define LINNET_CHANNEL_BPF_H

#include "emit.bpf.h"

#define AF_UNIX    1
#define AF_NETLINK 16
#define AF_PACKET  17
#define AF_ALG     38
#define AF_XDP     44

/* Channels that a hook has told, and whose descriptor a walk will find: it need not tell it again.
 */
#define ANNOUNCED_NS (2ULL * 1000 * 1000 * 1000)

/* Whether bytes of a socket of this family can get off this machine, or to another one on it. */
static __always_inline bool leaves_host(__u32 family)
{
	return family != AF_UNIX && family != AF_NETLINK && family != AF_ALG;
}

static __always_inline void channel_fill(struct ln_abi_channel_event *ev,
					 enum ln_abi_channel channel, __u32 agent, __u32 pid,
					 __u32 tid)
{
	__builtin_memset(ev, 0, sizeof(*ev));
	fill_header(&ev->h, LN_ABI_CHANNEL, agent, bpf_ktime_get_ns(), pid, tid);
	ev->channel = channel;
}

/* NULL when the ring is full: counted already. Attributed to the task unless the caller says
 * otherwise. */
static __always_inline struct ln_abi_channel_event *channel_begin(enum ln_abi_channel channel,
								  __u32 agent, __u32 pid, __u32 tid)
{
	struct ln_abi_channel_event *ev = emit_reserve(struct ln_abi_channel_event);

	if (ev)
		channel_fill(ev, channel, agent, pid, tid);
	return ev;
}

/* Of what block mode refuses. */
static __always_inline __u16 block_flags(void)
{
	if (!cfg_blocks)
		return 0;
	return cfg_dry_run ? LN_ABI_CHANNEL_WOULD_REFUSE : LN_ABI_CHANNEL_REFUSED;
}

static __always_inline void announce(__u32 agent, enum ln_abi_channel channel, __u32 family)
{
	struct announced_key key = {.agent = agent, .channel = channel, .family = family};
	__u64 now_ns = bpf_ktime_get_ns();
	struct announced first = {.count = 1, .until_ns = now_ns + ANNOUNCED_NS}, *known;

	known = bpf_map_lookup_elem(&announced, &key);
	if (!known) {
		bpf_map_update_elem(&announced, &key, &first, BPF_ANY);
		return;
	}
	if (now_ns >= known->until_ns)
		known->count = 0;
	known->until_ns = now_ns + ANNOUNCED_NS;
	__sync_fetch_and_add(&known->count, 1);
}

/* Whether this sight was announced; each announcement counts for one. */
static __always_inline bool was_announced(__u32 agent, enum ln_abi_channel channel, __u32 family)
{
	struct announced_key key = {.agent = agent, .channel = channel, .family = family};
	struct announced *known = bpf_map_lookup_elem(&announced, &key);

	if (!known || !known->count || bpf_ktime_get_ns() >= known->until_ns)
		return false;
	__sync_fetch_and_add(&known->count, -1);
	return true;
}

#endif
