/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Telling flows: opening and closing, and the destinations of a UDP socket. */
#ifndef LINNET_FLOW_BPF_H
#define LINNET_FLOW_BPF_H

#include "cgroup.bpf.h"
#include "inject.bpf.h"

/* At first sight a destination is quiet for this long: the reader is awake by then. */
#define FIRST_SIGHT_NS (100ULL * 1000 * 1000)

static __always_inline void set_owner(struct owner *o, const struct ln_abi_task *task,
				      __u64 pid_tgid)
{
	o->agent = task->agent;
	o->pid = pid_tgid >> 32;
	o->tid = pid_tgid;
}

static __always_inline bool addr_is_loopback(__u8 family, const __u8 *addr)
{
	const __u64 *words = (const __u64 *)addr;

	if (family == 4)
		return addr[0] == 127;
	return words[0] == 0 && words[1] == bpf_cpu_to_be64(1);
}

#define PORT_DNS 53

/* Where DNS is spoken, and a resolver answers whoever asks. */
static __always_inline bool is_dns_port(__u16 port)
{
	if (port == PORT_DNS)
		return true;
	for (int i = 0; i < LN_ABI_DNS_PORTS; i++)
		if (cfg_dns_ports[i] && cfg_dns_ports[i] == port)
			return true;
	return false;
}

#define ALLOW  1
#define REFUSE 0

static __always_inline const struct ln_abi_task *current_owner(__u64 *pid_tgid)
{
	__u32 pid;

	*pid_tgid = bpf_get_current_pid_tgid();
	pid = *pid_tgid >> 32;
	return bpf_map_lookup_elem(&tasks, &pid);
}

/* Whether a socket that should have a mark of the tree, and has none, must come from outside. What
 * the kernel made for itself (a path of MPTCP, the connection of a mount) has no file, so nobody
 * could hand it over. One socket of the tree without a mark is enough to accuse nobody any more.
 * `sock`: a struct sock or bpf_sock. */
static __always_inline bool came_from_outside(const void *sock)
{
	const struct sock *sk;

	if (!cfg_has_sock_create || !*(volatile __u32 *)&marks_ready ||
	    *(volatile __u64 *)&stat_lost[LN_ABI_LOST_MARKS] ||
	    *(volatile __u64 *)&stat_lost[LN_ABI_LOST_TASKS])
		return false;
	bpf_probe_read_kernel(&sk, sizeof(sk), &sock);
	/* What a newcomer has from before gets its mark in a moment. */
	return BPF_CORE_READ(sk, sk_socket, file) && !is_newcomer(bpf_get_current_pid_tgid() >> 32);
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

/* A global function: it is called from many places, and the verifier checks it once. `other`: who
 * else has a part in it; NULL: nobody. */
__weak __noinline int tell_open(const struct caller *who, const struct ln_abi_flow *flow,
				const struct ln_abi_party *other, __u64 now_ns)
{
	struct ln_abi_flow_open *ev;
	bool urgent;

	if (!who || !flow)
		return 0;
	urgent = dest_is_urgent(who->owner.agent, flow, now_ns);
	ev = emit_reserve(struct ln_abi_flow_open);
	if (!ev)
		return 0;
	fill_header(&ev->h, LN_ABI_FLOW_OPEN, who->owner.agent, now_ns, who->owner.pid,
		    who->owner.tid);
	ev->flow = *flow;
	ev->flow.flags |= who->flags;
	ev->how = who->how;
	__builtin_memset(ev->pad, 0, sizeof(ev->pad));
	ev->listener = who->listener;
	if (other)
		ev->other = *other;
	else
		__builtin_memset(&ev->other, 0, sizeof(ev->other));
	emit_submit(ev, urgent);
	return 0;
}

/* What a destination is besides its address, in one number: port, family, protocol. */
static __always_inline __u32 dest_key(const struct ln_abi_flow *dest)
{
	return dest->remote_port | (__u32)dest->family << 16 | (__u32)dest->proto << 24;
}

static __always_inline void place_set(struct place *place, const struct ln_abi_flow *dest)
{
	const __u64 *addr = (const __u64 *)dest->remote;

	place->addr[0] = addr[0];
	place->addr[1] = addr[1];
	place->key = dest_key(dest);
}

static __always_inline bool place_is(const struct place *place, const struct ln_abi_flow *dest)
{
	const __u64 *addr = (const __u64 *)dest->remote;

	return place->key == dest_key(dest) && place->addr[0] == addr[0] &&
	       place->addr[1] == addr[1];
}

static __always_inline void flow_set_place(struct ln_abi_flow *flow, const struct place *place)
{
	flow->remote_port = place->key;
	flow->family = place->key >> 16;
	flow->proto = place->key >> 24;
	__builtin_memcpy(flow->remote, place->addr, 16);
}

/* The packets of `flow` go to `wire`. Its owner is known by the socket alone. `flags`: whether that
 * is refused. */
static __always_inline void tell_wire(const struct owner *o, const struct ln_abi_flow *flow,
				      const struct place *wire, enum ln_abi_wire why, __u16 flags)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct ln_abi_flow_wire *ev;
	struct ln_abi_flow to = {};
	bool urgent;

	flow_set_place(&to, wire);
	urgent = dest_is_urgent(o->agent, &to, now_ns);
	ev = emit_reserve(struct ln_abi_flow_wire);
	if (!ev)
		return;
	fill_header(&ev->h, LN_ABI_FLOW_WIRE, o->agent, now_ns, o->pid, o->tid);
	ev->flow = *flow;
	ev->flow.flags |= flags;
	__builtin_memcpy(ev->wire, wire->addr, sizeof(ev->wire));
	ev->wire_port = to.remote_port;
	ev->wire_family = to.family;
	ev->why = why;
	ev->how = LN_ABI_BY_SOCKET;
	__builtin_memset(ev->pad, 0, sizeof(ev->pad));
	emit_submit(ev, urgent);
}

/* A datagram of a socket that has no room for slots: told each time, without an end. */
static __always_inline void tell_roomless(const struct sock_state *s, const struct caller *who,
					  struct ln_abi_flow *dest,
					  const struct ln_abi_party *other)
{
	dest->id = s->cookie << 16;
	dest->netns = s->netns;
	dest->flags |= LN_ABI_FLOW_UNCOUNTED;
	tell_open(who, dest, other, bpf_ktime_get_ns());
}

/* For whom a packet counts of which only the socket is known. */
static __always_inline void caller_from_socket(const struct sock_state *s, struct caller *who)
{
	__u16 flags = s->flags | (s->foreign ? LN_ABI_FLOW_RECEIVED : 0);

	who->owner = s->owner;
	who->flags = flags;
	who->how = flags ? LN_ABI_AMBIGUOUS : LN_ABI_BY_SOCKET;
	who->pad = 0;
	__builtin_memset(&who->listener, 0, sizeof(who->listener));
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

static __always_inline __u16 slot_port(const struct udp_slot *slot)
{
	return slot->dest.key;
}

/* The flow in a slot, as an event names it. */
static __always_inline void flow_from_slot(struct ln_abi_flow *flow, const struct sock_state *s,
					   const struct udp_slot *slot)
{
	__builtin_memset(flow, 0, sizeof(*flow));
	flow->id = slot->id;
	flow->netns = s->netns;
	flow->local_port = s->local_port;
	flow_set_place(flow, &slot->dest);
	if (slot->same_tree)
		flow->flags |= LN_ABI_FLOW_SAME_TREE;
	if (s->uncounted)
		flow->flags |= LN_ABI_FLOW_UNCOUNTED;
	if (cfg_blocks && slot->refused)
		flow->flags |= LN_ABI_FLOW_REFUSED;
}

static __always_inline void fill_slot_close(struct ln_abi_flow_close *ev,
					    const struct sock_state *s, const struct udp_slot *slot,
					    __u64 now_ns, __u16 flags)
{
	fill_header(&ev->h, LN_ABI_FLOW_CLOSE, s->owner.agent, now_ns, s->owner.pid, s->owner.tid);
	flow_from_slot(&ev->flow, s, slot);
	ev->flow.flags |= flags;
	ev->open_ns = slot->open_ns;
	ev->tx_bytes = slot->tx_bytes;
	ev->rx_bytes = slot->rx_bytes;
	ev->tx_packets = slot->tx_packets;
	ev->rx_packets = slot->rx_packets;
	ev->outcome = cfg_blocks && slot->refused ? LN_ABI_OUTCOME_BLOCKED : LN_ABI_OUTCOME_NONE;
	__builtin_memset(ev->pad, 0, sizeof(ev->pad));
}

static __always_inline void tell_slot_close(const struct sock_state *s, const struct udp_slot *slot)
{
	struct ln_abi_flow_close *ev = emit_reserve(struct ln_abi_flow_close);

	if (!ev)
		return;
	fill_slot_close(ev, s, slot, bpf_ktime_get_ns(), 0);
	emit_submit(ev, false);
}

/* Which slot holds this destination; -1: none. Under the lock. The position goes through the map's
 * memory: the verifier then sees one unknown number instead of eight known ones, and checks what
 * follows once. */
static __always_inline int slot_find(struct udp_flows *u, const struct ln_abi_flow *dest)
{
	struct udp_slot *last = &u->slots[u->at & (LN_ABI_UDP_SLOTS - 1)];

	if (last->id && place_is(&last->dest, dest))
		return u->at & (LN_ABI_UDP_SLOTS - 1);
	for (__u32 i = 0; i < LN_ABI_UDP_SLOTS; i++) {
		if (u->slots[i].id && place_is(&u->slots[i].dest, dest)) {
			u->at = i;
			return u->at & (LN_ABI_UDP_SLOTS - 1);
		}
	}
	return -1;
}

/* The same for a packet that goes out: its address may stand for another one. */
static __always_inline int slot_find_wire(struct udp_flows *u, const struct ln_abi_flow *dest)
{
	int at = slot_find(u, dest);

	if (at >= 0 || !u->wired)
		return at;
	for (__u32 i = 0; i < LN_ABI_UDP_SLOTS; i++) {
		if (u->slots[i].id && place_is(&u->slots[i].wire, dest)) {
			u->at = i;
			return u->at & (LN_ABI_UDP_SLOTS - 1);
		}
	}
	return -1;
}

enum slot_state { SLOT_NONE, SLOT_OPEN, SLOT_REFUSED };

/* Whether there is a slot for what this thread names now; egress will know what it named. */
static __always_inline enum slot_state slot_name(struct udp_flows *u,
						 const struct ln_abi_flow *dest)
{
	__u32 tid = bpf_get_current_pid_tgid();
	bool refused = false;
	int at;

	bpf_spin_lock(&u->lock);
	u->named_by = tid;
	u->named_once = 1;
	place_set(&u->named, dest);
	at = slot_find(u, dest);
	if (cfg_blocks && at >= 0)
		refused = u->slots[at & (LN_ABI_UDP_SLOTS - 1)].refused;
	bpf_spin_unlock(&u->lock);
	if (at < 0)
		return SLOT_NONE;
	return refused ? SLOT_REFUSED : SLOT_OPEN;
}

/* The slot of a destination that is refused. */
static __always_inline int slot_find_refused(struct udp_flows *u, const struct ln_abi_flow *dest)
{
	int at = slot_find(u, dest);

	return at >= 0 && u->slots[at & (LN_ABI_UDP_SLOTS - 1)].refused ? at : -1;
}

/* A new flow: takes the next slot, closing what was in it, and tells the opening; unless another
 * thread has just done so. What closes is told first, and its record is there before the lock.
 * `again`: what was refused is permitted by now, and takes its own slot. */
static __always_inline void slot_open(struct sock_state *s, struct udp_flows *u,
				      const struct caller *who, struct ln_abi_flow *dest,
				      const struct ln_abi_party *other, __u64 now_ns, bool again)
{
	struct ln_abi_flow_close *closing = 0;
	bool evicted = false, missed = false;
	struct udp_slot *slot;
	__u32 reserved = 0;
	int at;

	/* A number says whether there is a record: older verifiers (6.1) do not know a second time
	 * that the pointer is none or not, and then miss the release. */
	if ((cfg_blocks && again) || u->slots[u->next & (LN_ABI_UDP_SLOTS - 1)].id) {
		closing = bpf_ringbuf_reserve(&events, sizeof(*closing), 0);
		if (closing)
			reserved = 1;
		else
			count_lost(LN_ABI_LOST_RING);
		barrier_var(reserved);
	} else {
		missed = true;
	}
	dest->id = 0;
	dest->netns = s->netns;
	if (s->uncounted)
		dest->flags |= LN_ABI_FLOW_UNCOUNTED;
	bpf_spin_lock(&u->lock);
	at = cfg_blocks && again ? slot_find_refused(u, dest) : -1;
	if (at >= 0 || slot_find(u, dest) < 0) {
		slot = &u->slots[(at >= 0 ? (__u32)at : u->next++) & (LN_ABI_UDP_SLOTS - 1)];
		evicted = slot->id;
		if (reserved && evicted)
			fill_slot_close(closing, s, slot, now_ns,
					at >= 0 ? 0 : LN_ABI_FLOW_EVICTED);
		dest->id = slot->id = flow_id(s->cookie, ++s->generation);
		slot->open_ns = now_ns;
		slot->tx_bytes = slot->rx_bytes = slot->tx_packets = slot->rx_packets = 0;
		place_set(&slot->dest, dest);
		slot->wire.key = 0;
		slot->same_tree = !!(dest->flags & LN_ABI_FLOW_SAME_TREE);
		slot->routed = 0;
		slot->quic = 0;
		if (cfg_blocks)
			slot->refused = !!(dest->flags & LN_ABI_FLOW_REFUSED);
	}
	bpf_spin_unlock(&u->lock);
	if (reserved && evicted)
		emit_submit(closing, false);
	else if (reserved)
		bpf_ringbuf_discard(closing, wake_flags(false));
	else if (evicted && missed) /* another thread has filled the last free slot meanwhile */
		count_lost(LN_ABI_LOST_RING);
	if (dest->id)
		tell_open(who, dest, other, now_ns);
}

#endif
