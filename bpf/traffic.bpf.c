// SPDX-License-Identifier: GPL-2.0-or-later
/* What really leaves and comes in on the agent's own cgroups: datagrams of all kinds, and TCP
 * packets that go elsewhere than they should. What they say is told by bytes.bpf.c. Often in
 * softirq, where the current task is somebody else: only the socket's memory says whose it is. None
 * of these ever drops a packet but in block mode, where it is told. */
#include "answer.bpf.h"
#include "bytes.bpf.h"
#include "listen.bpf.h"
#include "permit.bpf.h"

#define PASS 1
#define DROP 0

#define PORT_NONE    -1
#define PORT_REFUSED -2

/* Walks over the extension headers; `next` and `at` become those of what follows them. */
static __always_inline bool skip_extensions(struct __sk_buff *skb, __u8 *next, __u32 *at,
					    bool *routed)
{
	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		__u8 head[2]; /* next header; length in 8 bytes, without the first 8 */

		if (*next != IPPROTO_HOPOPTS && *next != IPPROTO_ROUTING &&
		    *next != IPPROTO_DSTOPTS)
			return true;
		if (bpf_skb_load_bytes(skb, *at, head, 2))
			return false;
		*routed |= *next == IPPROTO_ROUTING;
		*next = head[0];
		*at += (head[1] + 1) * 8;
	}
	return true;
}

__noinline int ip_header(struct __sk_buff *skb)
{
	bool routed = false, whole;
	__u32 at = IPV6_HEADER_LEN;
	__u16 fragment;
	__u8 first, proto;

	if (bpf_skb_load_bytes(skb, 0, &first, 1))
		return -1;
	if (first >> 4 == 4) {
		at = (first & 0xf) * 4;
		if (bpf_skb_load_bytes(skb, 6, &fragment, 2) ||
		    bpf_skb_load_bytes(skb, 9, &proto, 1))
			return -1;
		whole = !(fragment & bpf_htons(IP_OFFSET_MASK));
		routed = at > IP_HEADER_WORDS * 4;
	} else {
		if (bpf_skb_load_bytes(skb, 6, &proto, 1))
			return -1;
		whole = skip_extensions(skb, &proto, &at, &routed);
	}
	return (at & IP_AT_MASK) | (__u32)proto << IP_PROTO_SHIFT |
	       (first >> 4 == 4 ? 0 : IP_IS_6) | (routed ? IP_IS_ROUTED : 0) |
	       (whole ? IP_IS_WHOLE : 0);
}

__noinline int read_ip(struct __sk_buff *skb, struct packet *p, __u32 out)
{
	int head = ip_header(skb);
	__u32 words[4];

	if (!p || head < 0)
		return 0;
	p->payload_at = head & IP_AT_MASK;
	p->dest.proto = head >> IP_PROTO_SHIFT;
	p->routed = head & IP_IS_ROUTED;
	p->whole = head & IP_IS_WHOLE;
	if (head & IP_IS_6) {
		if (bpf_skb_load_bytes(skb, out ? 24 : 8, words, 16))
			return 0;
		addr_from_words(&p->dest, words[0], words[1], words[2], words[3]);
	} else {
		if (bpf_skb_load_bytes(skb, out ? 16 : 12, words, 4))
			return 0;
		addr_from_v4(&p->dest, words[0]);
	}
	return 1;
}

/* Whether the IPv4 header has the option that sends the packet by way of others. `left` is masked
 * so that the verifier sees the same unknown number after each option. */
__noinline int has_source_route(struct __sk_buff *skb, __u32 len)
{
	__u32 left = len - IP_HEADER_WORDS * 4;

	for (int i = 0; i < IP_OPTIONS_MAX && left; i++) {
		__u8 option[2]; /* kind; length, but for the two shortest */

		if (bpf_skb_load_bytes(skb, len - left, option, 2) || !option[0])
			return 0;
		if (option[0] == IPOPT_LSRR || option[0] == IPOPT_SSRR)
			return 1;
		left -= option[0] == IPOPT_NOOP || option[1] < 2 ? 1 : option[1];
		asm volatile("%[n] &= 63" : [n] "+r"(left));
	}
	return 0;
}

static __always_inline bool has_ports(__u8 proto)
{
	return proto == IPPROTO_UDPLITE || proto == IPPROTO_UDP || proto == IPPROTO_TCP ||
	       proto == IPPROTO_SCTP || proto == IPPROTO_DCCP;
}

/* Any other packet, as its sender may have written it himself: there is always an address, and
 * ports where the protocol has some. Its payload is what follows the IP header. */
__noinline int read_other(struct __sk_buff *skb, struct packet *p, __u32 out)
{
	if (!p || !read_ip(skb, p, out))
		return 0;
	p->payload_len = skb->len > p->payload_at ? skb->len - p->payload_at : 0;
	if (p->whole && has_ports(p->dest.proto))
		read_ports(skb, out, p);
	return 1;
}

/* A connected socket's named destination: what the agent asked for, before any NAT. */
static __always_inline bool dest_from_socket(struct bpf_sock *sk, struct ln_abi_flow *dest)
{
	__u16 port = sk->dst_port;

	if (!port)
		return false;
	dest->proto = sk->protocol;
	dest->remote_port = bpf_ntohs(port);
	if (sk->family == AF_INET)
		addr_from_v4(dest, sk->dst_ip4);
	else
		addr_from_words(dest, sk->dst_ip6[0], sk->dst_ip6[1], sk->dst_ip6[2],
				sk->dst_ip6[3]);
	return true;
}

/* What the sender called the destination of this packet. Only where it is sure: this thread named
 * one on a socket that is not connected, and is sending it now; or the socket was connected once
 * and nobody ever named another. Else the packet may be an earlier one, corked or of another
 * thread. `named` need not be set otherwise. */
static __always_inline bool dest_as_named(const struct sock_state *s, struct udp_flows *u,
					  struct bpf_sock *sk, struct ln_abi_flow *named)
{
	bool connected = dest_from_socket(sk, named), sure = false;
	__u32 tid = 0; /* and of the idle task: no thread's */

	/* The helper for its number is not to be had here before Linux 6.10. */
	if (cfg_has_current_task)
		tid = bpf_get_current_task_btf()->pid;
	bpf_spin_lock(&u->lock);
	if (connected) {
		sure = s->connects == 1 && !u->named_once;
	} else if (tid && u->named_by == tid) {
		sure = true;
		flow_set_place(named, &u->named);
	}
	bpf_spin_unlock(&u->lock);
	return sure;
}

/* Counts a packet in the slot of its destination. Returns the port by which that was named,
 * PORT_NONE: no slot; PORT_REFUSED: what goes out is refused. */
static __always_inline int slot_count(struct udp_flows *u, const struct packet *p, bool out,
				      __u32 packets)
{
	struct udp_slot *slot;
	int at, port = PORT_NONE;

	bpf_spin_lock(&u->lock);
	at = out ? slot_find_wire(u, &p->dest) : slot_find(u, &p->dest);
	if (at >= 0) {
		slot = &u->slots[at & (LN_ABI_UDP_SLOTS - 1)];
		if (cfg_blocks && out && slot->refused) {
			bpf_spin_unlock(&u->lock);
			return PORT_REFUSED;
		}
		if (out) {
			slot->tx_packets += packets;
			slot->tx_bytes += p->payload_len;
		} else {
			slot->rx_packets += packets;
			slot->rx_bytes += p->payload_len;
		}
		port = slot_port(slot);
	}
	bpf_spin_unlock(&u->lock);
	return port;
}

/* What goes to `wire` belongs to the slot of `flow`. False: that is known already. */
static __always_inline bool slot_set_wire(struct udp_flows *u, struct ln_abi_flow *flow,
					  const struct place *wire, bool routed)
{
	struct udp_slot *slot;
	bool changed = false;
	int at;

	bpf_spin_lock(&u->lock);
	at = slot_find(u, flow);
	if (at >= 0) {
		slot = &u->slots[at & (LN_ABI_UDP_SLOTS - 1)];
		changed = slot->wire.key != wire->key || slot->wire.addr[0] != wire->addr[0] ||
			  slot->wire.addr[1] != wire->addr[1];
		slot->wire = *wire;
		slot->routed = routed;
		u->wired = 1;
		flow->id = slot->id;
	}
	bpf_spin_unlock(&u->lock);
	return changed;
}

/* A packet that its own host gets: 0.0.0.0 or :: was meant, which we call by another name. */
static __always_inline bool comes_back(struct __sk_buff *skb, const struct ln_abi_flow *named,
				       const struct place *wire)
{
	__u32 from, to;

	if (!addr_is_loopback(named->family, named->remote) ||
	    named->remote_port != (__u16)wire->key)
		return false;
	if (addr_is_loopback(wire->key >> 16, (const __u8 *)wire->addr))
		return true;
	return skb->protocol == bpf_htons(ETH_P_IP) && !bpf_skb_load_bytes(skb, 12, &from, 4) &&
	       !bpf_skb_load_bytes(skb, 16, &to, 4) && from == to;
}

/* An IPv6 routing header says so itself; IPv4 options may be others. */
static __always_inline bool is_routed(struct __sk_buff *skb, const struct packet *p)
{
	return p->routed && (skb->protocol != bpf_htons(ETH_P_IP) ||
			     has_source_route(skb, (ip_header(skb) & IP_AT_MASK)));
}

/* Any packet that goes out, of a socket that is not TCP. One of a UDP socket that cannot be read
 * goes where the socket is connected to. */
static __always_inline bool read_out(struct __sk_buff *skb, struct bpf_sock *sk, struct packet *p)
{
	if (!read_other(skb, p, true))
		return false;
	if (!is_udp(sk))
		return true;
	if (!p->whole || p->dest.proto != IPPROTO_UDP) {
		p->payload_len = 0;
		return dest_from_socket(sk, &p->dest);
	}
	p->payload_len = p->payload_len > 8 ? p->payload_len - 8 : 0;
	return true;
}

LISTENER_FUNCTION(packet_listener, struct __sk_buff)

/* A packet for whose destination there is no slot: the first one on a connected socket, or one that
 * goes elsewhere than named; `again`: the slot is refused. Returns the port by which the
 * destination was named, 0 when there is nothing to tell, PORT_REFUSED when the packet must not go.
 */
__noinline int open_from_egress(struct __sk_buff *skb, __u32 again)
{
	struct bpf_sock *sk = full_socket(skb);
	struct place wire = {};
	struct packet p = {};
	struct caller who;
	struct udp_flows *u;
	struct sock_state *s;
	bool elsewhere, refused;

	if (!sk)
		return 0;
	s = tree_socket(sk);
	if (!s || !read_out(skb, sk, &p))
		return 0;
	caller_from_socket(s, &who);
	p.dest.netns = s->netns;
	u = bpf_sk_storage_get(&udp_flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!u) {
		count_lost(LN_ABI_LOST_SOCKETS);
		refused = refuse(&p.dest, s->owner.agent);
		tell_roomless(s, &who, &p.dest, &s->other);
		return refused ? PORT_REFUSED : 0;
	}
	if (p.dest.local_port)
		s->local_port = p.dest.local_port;
	place_set(&wire, &p.dest);
	elsewhere = dest_as_named(s, u, sk, &p.dest) && !place_is(&wire, &p.dest) &&
		    !comes_back(skb, &p.dest, &wire);
	if (!elsewhere)
		flow_set_place(&p.dest, &wire);
	if (packet_listener(skb, s->owner.agent, &p.dest, &who.listener))
		p.dest.flags |= LN_ABI_FLOW_SAME_TREE;
	refused = refuse(&p.dest, s->owner.agent);
	if (refused && again)
		return PORT_REFUSED;
	slot_open(s, u, &who, &p.dest, &s->other, bpf_ktime_get_ns(), again);
	if (refused)
		return PORT_REFUSED;
	if (!elsewhere)
		return p.dest.remote_port;
	p.routed = is_routed(skb, &p);
	if (slot_set_wire(u, &p.dest, &wire, p.routed))
		tell_wire(&s->owner, &p.dest, &wire,
			  p.routed ? LN_ABI_WIRE_ROUTED : LN_ABI_WIRE_CHANGED, 0);
	return p.dest.remote_port;
}

/* Counts a packet that goes out. Returns as slot_count. */
__noinline int count_out(struct __sk_buff *skb)
{
	struct bpf_sock *sk = full_socket(skb);
	struct packet p = {};
	struct udp_flows *u;

	if (!sk)
		return PORT_NONE;
	u = bpf_sk_storage_get(&udp_flows, sk, 0, 0);
	return u && read_out(skb, sk, &p) ? slot_count(u, &p, true, datagrams(skb)) : PORT_NONE;
}

/* A packet of a socket that is neither UDP nor TCP came in. */
__noinline int count_other_in(struct __sk_buff *skb)
{
	struct bpf_sock *sk = full_socket(skb);
	struct packet p = {};
	struct udp_flows *u;

	if (!sk)
		return 0;
	u = bpf_sk_storage_get(&udp_flows, sk, 0, 0);
	if (u && read_other(skb, &p, false))
		slot_count(u, &p, false, datagrams(skb));
	return 0;
}

/* Whether a TCP packet goes where its socket is connected to. Where that is where the agent said is
 * looked at only with the first one; but a source route can be set at any time. */
static __always_inline bool goes_home(struct __sk_buff *skb, struct bpf_sock *sk)
{
	const __u32 *head = (void *)(long)skb->data;
	__u32 dst_ip4 = sk->dst_ip4;

	/* Loaded here, or clang loads from one of two places, which the verifier does not admit. */
	asm volatile("" : "+r"(dst_ip4));
	if (sk->state == BPF_TCP_SYN_SENT ||
	    (void *)head + IPV6_HEADER_LEN > (void *)(long)skb->data_end)
		return false;
	if (*(const __u8 *)head >> 4 == 4)
		return head[4] == dst_ip4;
	return head[9] == sk->dst_ip6[3] && head[8] == sk->dst_ip6[2] &&
	       head[7] == sk->dst_ip6[1] && head[6] == sk->dst_ip6[0];
}

/* A TCP packet whose destination must be compared with what the agent named. */
__noinline int check_tcp(struct __sk_buff *skb)
{
	struct bpf_sock *sk = full_socket(skb);
	struct place wire = {};
	struct packet p = {};
	struct tcp_flow *f;
	__u64 cookie;

	if (!sk || sk->state == BPF_TCP_LISTEN)
		return 0;
	cookie = bpf_get_socket_cookie(skb);
	f = bpf_map_lookup_elem(&tcp_flows, &cookie);
	if (!f || !f->open || !read_other(skb, &p, true) || !p.whole)
		return 0;
	if (sk->state == BPF_TCP_SYN_SENT)
		stream_syn(skb, cookie, p.payload_at);
	place_set(&wire, &p.dest);
	if (place_is(&wire, &f->flow) || place_is(&f->wire, &p.dest) ||
	    comes_back(skb, &f->flow, &wire))
		return 0;
	f->wire = wire;
	tell_wire(&f->owner, &f->flow, &wire,
		  is_routed(skb, &p) ? LN_ABI_WIRE_ROUTED : LN_ABI_WIRE_CHANGED, 0);
	return 0;
}

/* Whether the flows of this socket were ended from outside. */
static __always_inline bool is_cut(struct __sk_buff *skb)
{
	__u64 cookie;

	if (!cfg_blocks || !*(volatile __u32 *)&stat_cuts)
		return false;
	cookie = bpf_get_socket_cookie(skb);
	return bpf_map_lookup_elem(&cuts, &cookie);
}

SEC("cgroup_skb/egress")
int on_egress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = full_socket(skb);
	struct sock_state *s;
	int port;

	if (!sk)
		return PASS;
	if (is_tcp(sk)) {
		if (!goes_home(skb, sk))
			check_tcp(skb);
		if (may_tell_stream(skb, sk))
			tell_stream(skb, false);
		return is_cut(skb) ? DROP : PASS;
	}
	s = tree_socket(sk);
	if (!s)
		return PASS;
	if (is_cut(skb))
		return DROP;
	if (is_udp(sk))
		s->local_port = sk->src_port;
	port = count_out(skb);
	if (port < 0) {
		port = open_from_egress(skb, cfg_blocks && port == PORT_REFUSED);
		if (cfg_blocks && port == PORT_REFUSED)
			return DROP;
		count_out(skb);
	}
	if (!is_udp(sk))
		return PASS;
	if (cfg_blocks && carries_dns(port))
		note_question(skb);
	if (carries_dns(port))
		tell_dns(skb, false);
	else if (may_be_quic(skb))
		tell_quic(skb);
	return PASS;
}

SEC("cgroup_skb/ingress")
int on_ingress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = full_socket(skb);
	struct packet p = {};
	struct udp_flows *u;
	int port;

	if (!sk)
		return PASS;
	if (is_tcp(sk)) {
		if (peer_is_dns(sk))
			tell_stream(skb, true);
		return PASS;
	}
	if (!tree_socket(sk))
		return PASS;
	if (!is_udp(sk)) {
		count_other_in(skb);
		return PASS;
	}
	u = bpf_sk_storage_get(&udp_flows, sk, 0, 0);
	if (!u || !read_udp(skb, false, &p))
		return PASS;
	/* All only from where the agent has sent to: a stranger cannot fill the ring. */
	port = slot_count(u, &p, false, datagrams(skb));
	if (cfg_blocks && port >= 0 && carries_dns(port))
		permit_answer(skb);
	if (port >= 0 && carries_dns(port))
		tell_dns(skb, true);
	else if (port < 0 && is_dns_port(p.dest.remote_port))
		tell_stranger(skb);
	return PASS;
}
