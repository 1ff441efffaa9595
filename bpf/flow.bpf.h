/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Telling flows: opening and closing, and the destinations of a UDP socket. */
#ifndef LINNET_FLOW_BPF_H
#define LINNET_FLOW_BPF_H

#include "cgroup.bpf.h"

/* At first sight a destination is quiet for this long: the reader is awake by then. */
#define FIRST_SIGHT_NS (100ULL * 1000 * 1000)

static __always_inline void set_owner(struct owner *o, const struct ln_abi_task *task,
				      __u64 pid_tgid)
{
	o->agent = task->agent;
	o->pid = pid_tgid >> 32;
	o->tid = pid_tgid;
}

#define ALLOW 1

static __always_inline const struct ln_abi_task *current_owner(__u64 *pid_tgid)
{
	__u32 pid;

	*pid_tgid = bpf_get_current_pid_tgid();
	pid = *pid_tgid >> 32;
	return bpf_map_lookup_elem(&tasks, &pid);
}

static __always_inline bool addr_is_loopback(__u8 family, const __u8 *addr)
{
	const __u64 *words = (const __u64 *)addr;

	if (family == 4)
		return addr[0] == 127;
	return words[0] == 0 && words[1] == bpf_cpu_to_be64(1);
}

/* The best guess before 5.16: most sockets are used where they were made. */
static __always_inline bool current_is_covered(void)
{
	for (int level = 0; level < CGROUP_DEPTH_MAX; level++) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(level);

		if (!id)
			return false;
		if (bpf_map_lookup_elem(&covered_cgroups, &id))
			return true;
	}
	return false;
}

/* Whether the packets of this socket are seen: they pass the hooks of the cgroup that it was made
 * in, wherever its process is now. `sock`: a struct sock or bpf_sock, which are the same address.
 */
static __always_inline bool socket_is_covered(const void *sock)
{
	const struct sock *sk;

	if (!bpf_core_field_exists(struct sock_cgroup_data, cgroup))
		return current_is_covered();
	/* A plain number to the verifier: it lets nobody look into a bpf_sock. */
	bpf_probe_read_kernel(&sk, sizeof(sk), &sock);
	return cgroup_is_covered(BPF_CORE_READ(sk, sk_cgrp_data.cgroup));
}

/* One IPv6 address as the four words of a hook context → family and bytes, ::ffff:a.b.c.d → IPv4,
 * the unspecified address → loopback, which is where the kernel takes it (ip(7); RFC 4291 2.5.2
 * forbids it as a destination, Linux means the own host). */
static __always_inline void addr_from_words(struct ln_abi_flow *flow, __u32 a, __u32 b, __u32 c,
					    __u32 d)
{
	__u32 *words = (__u32 *)flow->remote;

	if (a == 0 && b == 0 && c == bpf_htonl(0xffff)) {
		flow->family = 4;
		words[0] = d ? d : bpf_htonl(0x7f000001);
		words[1] = words[2] = words[3] = 0;
		return;
	}
	flow->family = 6;
	words[0] = a;
	words[1] = b;
	words[2] = c;
	words[3] = (a | b | c | d) ? d : bpf_htonl(1);
}

static __always_inline void addr_from_v4(struct ln_abi_flow *flow, __u32 addr)
{
	__u32 *words = (__u32 *)flow->remote;

	flow->family = 4;
	words[0] = addr ? addr : bpf_htonl(0x7f000001);
	words[1] = words[2] = words[3] = 0;
}

/* Whether this destination must wake the reader: it has no word that it can wait. */
static __always_inline bool dest_is_urgent(__u32 agent, const struct ln_abi_flow *flow,
					   __u64 now_ns)
{
	struct ln_abi_dest key = {
	    .agent = agent,
	    .port = flow->remote_port,
	    .proto = flow->proto,
	    .family = flow->family,
	};
	struct ln_abi_verdict *known, first = {.until_ns = now_ns + FIRST_SIGHT_NS};

	__builtin_memcpy(key.addr, flow->remote, 16);
	known = bpf_map_lookup_elem(&verdicts, &key);
	if (known) {
		if (now_ns < known->until_ns)
			return false;
		known->until_ns = now_ns + FIRST_SIGHT_NS;
		return true;
	}
	if (bpf_map_update_elem(&verdicts, &key, &first, BPF_ANY))
		count_lost(LN_ABI_LOST_VERDICTS);
	return true;
}

/* `listener`: see struct ln_abi_flow_open; NULL none. */
static __always_inline void tell_open(const struct owner *o, const struct ln_abi_flow *flow,
				      const struct ln_abi_party *listener, __u64 now_ns)
{
	struct ln_abi_flow_open *ev;
	bool urgent = dest_is_urgent(o->agent, flow, now_ns);

	ev = emit_reserve(struct ln_abi_flow_open);
	if (!ev)
		return;
	fill_header(&ev->h, LN_ABI_FLOW_OPEN, o->agent, now_ns, o->pid, o->tid);
	ev->flow = *flow;
	ev->how = LN_ABI_BY_TASK;
	__builtin_memset(ev->pad, 0, sizeof(ev->pad));
	if (listener)
		ev->listener = *listener;
	else
		__builtin_memset(&ev->listener, 0, sizeof(ev->listener));
	__builtin_memset(&ev->other, 0, sizeof(ev->other));
	emit_submit(ev, urgent);
}

/* A datagram of a socket that has no room for slots: told each time, without an end. */
static __always_inline void tell_roomless(const struct sock_state *s, struct ln_abi_flow *dest)
{
	dest->id = s->cookie << 16;
	dest->netns = s->netns;
	dest->proto = IPPROTO_UDP;
	dest->flags |= LN_ABI_FLOW_UNCOUNTED;
	tell_open(&s->owner, dest, 0, bpf_ktime_get_ns());
}

struct flow_counts {
	__u64 open_ns, tx_bytes, rx_bytes, tx_packets, rx_packets;
};

static __always_inline void tell_close(const struct owner *o, const struct ln_abi_flow *flow,
				       const struct flow_counts *counts,
				       enum ln_abi_outcome outcome)
{
	struct ln_abi_flow_close *ev = emit_reserve(struct ln_abi_flow_close);

	if (!ev)
		return;
	fill_header(&ev->h, LN_ABI_FLOW_CLOSE, o->agent, bpf_ktime_get_ns(), o->pid, o->tid);
	ev->flow = *flow;
	ev->open_ns = counts->open_ns;
	ev->tx_bytes = counts->tx_bytes;
	ev->rx_bytes = counts->rx_bytes;
	ev->tx_packets = counts->tx_packets;
	ev->rx_packets = counts->rx_packets;
	ev->outcome = outcome;
	__builtin_memset(ev->pad, 0, sizeof(ev->pad));
	emit_submit(ev, false);
}

static __always_inline __u64 flow_id(__u64 cookie, __u16 generation)
{
	return cookie << 16 | generation;
}

/* The end of a connect that failed before its SYN: that leaves no trace in the socket's state. */
static __always_inline void tcp_never_began(const struct tcp_flow *f)
{
	struct flow_counts counts = {.open_ns = f->open_ns};

	tell_close(&f->owner, &f->flow, &counts, LN_ABI_OUTCOME_UNREACHABLE);
}

/* The UDP flow in a slot, as an event names it. */
static __always_inline void flow_from_slot(struct ln_abi_flow *flow, const struct sock_state *s,
					   const struct udp_slot *slot)
{
	__builtin_memset(flow, 0, sizeof(*flow));
	flow->id = slot->id;
	flow->netns = s->netns;
	flow->family = slot->family;
	flow->proto = IPPROTO_UDP;
	flow->remote_port = slot->port;
	flow->local_port = s->local_port;
	__builtin_memcpy(flow->remote, slot->addr, 16);
	if (slot->same_tree)
		flow->flags |= LN_ABI_FLOW_SAME_TREE;
	if (s->uncounted)
		flow->flags |= LN_ABI_FLOW_UNCOUNTED;
}

static __always_inline void tell_slot_close(const struct sock_state *s, const struct udp_slot *slot,
					    __u16 flags)
{
	struct ln_abi_flow flow;
	struct flow_counts counts = {
	    .open_ns = slot->open_ns,
	    .tx_bytes = slot->tx_bytes,
	    .rx_bytes = slot->rx_bytes,
	    .tx_packets = slot->tx_packets,
	    .rx_packets = slot->rx_packets,
	};

	flow_from_slot(&flow, s, slot);
	flow.flags |= flags;
	tell_close(&s->owner, &flow, &counts, LN_ABI_OUTCOME_NONE);
}

static __always_inline bool slot_is(const struct udp_slot *slot, const struct ln_abi_flow *dest)
{
	const __u64 *addr = (const __u64 *)dest->remote;

	return slot->port == dest->remote_port && slot->addr[0] == addr[0] &&
	       slot->addr[1] == addr[1] && slot->family == dest->family;
}

static __always_inline void slot_set(struct udp_slot *slot, const struct ln_abi_flow *dest)
{
	const __u64 *addr = (const __u64 *)dest->remote;

	slot->addr[0] = addr[0];
	slot->addr[1] = addr[1];
	slot->port = dest->remote_port;
	slot->family = dest->family;
}

/* Which slot holds this destination; -1: none. Under the lock. The position goes through the map's
 * memory: the verifier then sees one unknown number instead of eight known ones, and checks what
 * follows once. */
static __always_inline int slot_find(struct udp_flows *u, const struct ln_abi_flow *dest)
{
	struct udp_slot *last = &u->slots[u->at & (LN_ABI_UDP_SLOTS - 1)];

	if (last->id && slot_is(last, dest))
		return u->at & (LN_ABI_UDP_SLOTS - 1);
	for (__u32 i = 0; i < LN_ABI_UDP_SLOTS; i++) {
		if (u->slots[i].id && slot_is(&u->slots[i], dest)) {
			u->at = i;
			return u->at & (LN_ABI_UDP_SLOTS - 1);
		}
	}
	return -1;
}

static __always_inline bool slot_exists(struct udp_flows *u, const struct ln_abi_flow *dest)
{
	int at;

	bpf_spin_lock(&u->lock);
	at = slot_find(u, dest);
	bpf_spin_unlock(&u->lock);
	return at >= 0;
}

/* A new UDP flow: takes the next slot, closing what was in it, and tells the opening; unless
 * another thread has just done so. */
static __always_inline void slot_open(struct sock_state *s, struct udp_flows *u,
				      struct ln_abi_flow *dest, const struct ln_abi_party *listener,
				      __u64 now_ns)
{
	struct udp_slot *slot, old = {};

	dest->id = 0;
	dest->netns = s->netns;
	dest->proto = IPPROTO_UDP;
	if (s->uncounted)
		dest->flags |= LN_ABI_FLOW_UNCOUNTED;
	bpf_spin_lock(&u->lock);
	if (slot_find(u, dest) < 0) {
		slot = &u->slots[u->next++ & (LN_ABI_UDP_SLOTS - 1)];
		__builtin_memcpy(&old, slot, sizeof(old));
		dest->id = slot->id = flow_id(s->cookie, ++s->generation);
		slot->open_ns = now_ns;
		slot->tx_bytes = slot->rx_bytes = slot->tx_packets = slot->rx_packets = 0;
		slot_set(slot, dest);
		slot->same_tree = !!(dest->flags & LN_ABI_FLOW_SAME_TREE);
	}
	bpf_spin_unlock(&u->lock);
	if (!dest->id)
		return;
	if (old.id)
		tell_slot_close(s, &old, LN_ABI_FLOW_EVICTED);
	tell_open(&s->owner, dest, listener, now_ns);
}

#endif
