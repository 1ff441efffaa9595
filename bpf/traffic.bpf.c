// SPDX-License-Identifier: GPL-2.0-or-later
/* What really leaves and comes in on the agent's own cgroups: datagrams of all kinds, DNS messages,
 * and TCP packets that go elsewhere than they should. Often in softirq, where the current task is
 * somebody else: only the socket's memory says whose it is. None of these ever drops a packet. */
#include "listen.bpf.h"

#define PASS 1

#define ETH_P_IP 0x0800

#define PORT_DNS   53
#define PORT_MDNS  5353
#define PORT_LLMNR 5355

#define IP_OFFSET_MASK      0x1fff
#define IP_HEADER_WORDS     5
#define IP_OPTIONS_MAX      40
#define IPOPT_NOOP          1
#define IPOPT_LSRR          131
#define IPOPT_SSRR          137
#define IPV6_HEADER_LEN     40
#define IPV6_EXTENSIONS_MAX 4 /* as many as a socket can be told to send */
#define IPPROTO_HOPOPTS     0
#define IPPROTO_ROUTING     43
#define IPPROTO_FRAGMENT    44
#define IPPROTO_DSTOPTS     60

struct packet {
	struct ln_abi_flow dest; /* family, proto, remote, remote_port of the other side */
	__u32 payload_at;
	__u32 payload_len;
	bool routed; /* it may say itself which way it goes: the destination is its first hop */
	bool whole;  /* the header of the protocol is there */
};

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

#define IP_AT_MASK     0xffff
#define IP_PROTO_SHIFT 16
#define IP_IS_6        (1 << 24)
#define IP_IS_ROUTED   (1 << 25)
#define IP_IS_WHOLE    (1 << 26)

/* The slow paths are global functions: the verifier checks each once, on its own, instead of once
 * for each way that leads to it. They look everything up again. */

/* The IP header in one number: where what follows it begins, the protocol, the bits above; -1: not
 * to be read. */
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

/* Reads the IP header: the other side's address, the protocol and where its header is. `out`: the
 * other side is the destination. */
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

static __always_inline bool read_ports(struct __sk_buff *skb, bool out, struct packet *p)
{
	__u16 ports[2];

	if (bpf_skb_load_bytes(skb, p->payload_at, ports, 4))
		return false;
	p->dest.remote_port = bpf_ntohs(out ? ports[1] : ports[0]);
	p->dest.local_port = bpf_ntohs(out ? ports[0] : ports[1]);
	return true;
}

/* False for what has no UDP header that can be read: a later fragment, ESP, too many extension
 * headers. */
static __always_inline bool read_udp(struct __sk_buff *skb, bool out, struct packet *p)
{
	__u16 len;

	if (!read_ip(skb, p, out) || !p->whole || p->dest.proto != IPPROTO_UDP ||
	    !read_ports(skb, out, p) || bpf_skb_load_bytes(skb, p->payload_at + 4, &len, 2))
		return false;
	len = bpf_ntohs(len);
	p->payload_at += 8;
	p->payload_len = len > 8 ? len - 8 : 0;
	return true;
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

static __always_inline bool carries_dns(__u16 port)
{
	if (port == PORT_DNS || port == PORT_MDNS || port == PORT_LLMNR)
		return true;
	for (int i = 0; i < LN_ABI_DNS_PORTS; i++)
		if (cfg_dns_ports[i] && cfg_dns_ports[i] == port)
			return true;
	return false;
}

static __always_inline struct bpf_sock *full_socket(struct __sk_buff *skb)
{
	struct bpf_sock *any = skb->sk;

	return any ? bpf_sk_fullsock(any) : 0;
}

/* What the socket remembers: NULL when it is not the tree's. */
static __always_inline struct sock_state *tree_socket(struct bpf_sock *sk)
{
	struct sock_state *s = bpf_sk_storage_get(&socks, sk, 0, 0);

	return s && s->cookie ? s : 0;
}

static __always_inline bool is_udp(struct bpf_sock *sk)
{
	return sk->protocol == IPPROTO_UDP && sk->type != SOCK_RAW;
}

static __always_inline bool is_tcp(struct bpf_sock *sk)
{
	return sk->protocol == IPPROTO_TCP && sk->type != SOCK_RAW;
}

/* How many datagrams this is on the wire: a large one may be cut later, or was joined before. */
static __always_inline __u32 datagrams(struct __sk_buff *skb)
{
	__u32 n = skb->gso_segs;

	return n ? n : 1;
}

/* Counts a packet in the slot of its destination. Returns the port by which that was named, -1: no
 * slot. */
static __always_inline int slot_count(struct udp_flows *u, const struct packet *p, bool out,
				      __u32 packets)
{
	struct udp_slot *slot;
	int at, port = -1;

	bpf_spin_lock(&u->lock);
	at = out ? slot_find_wire(u, &p->dest) : slot_find(u, &p->dest);
	if (at >= 0) {
		slot = &u->slots[at & (LN_ABI_UDP_SLOTS - 1)];
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
 * goes elsewhere than named. Returns the port by which the destination was named, 0 when there is
 * nothing to tell. */
__noinline int open_from_egress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = full_socket(skb);
	struct place wire = {};
	struct packet p = {};
	struct caller who;
	struct udp_flows *u;
	struct sock_state *s;
	bool elsewhere;

	if (!sk)
		return 0;
	s = tree_socket(sk);
	if (!s || !read_out(skb, sk, &p))
		return 0;
	caller_from_socket(s, &who);
	u = bpf_sk_storage_get(&udp_flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!u) {
		count_lost(LN_ABI_LOST_SOCKETS);
		tell_roomless(s, &who, &p.dest, &s->other);
		return 0;
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
	slot_open(s, u, &who, &p.dest, &s->other, bpf_ktime_get_ns());
	if (!elsewhere)
		return p.dest.remote_port;
	p.routed = is_routed(skb, &p);
	if (slot_set_wire(u, &p.dest, &wire, p.routed))
		tell_wire(&s->owner, &p.dest, &wire,
			  p.routed ? LN_ABI_WIRE_ROUTED : LN_ABI_WIRE_CHANGED);
	return p.dest.remote_port;
}

/* Counts a packet that goes out. Returns as slot_count. */
__noinline int count_out(struct __sk_buff *skb)
{
	struct bpf_sock *sk = full_socket(skb);
	struct packet p = {};
	struct udp_flows *u;

	if (!sk)
		return -1;
	u = bpf_sk_storage_get(&udp_flows, sk, 0, 0);
	return u && read_out(skb, sk, &p) ? slot_count(u, &p, true, datagrams(skb)) : -1;
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
	place_set(&wire, &p.dest);
	if (place_is(&wire, &f->flow) || place_is(&f->wire, &p.dest) ||
	    comes_back(skb, &f->flow, &wire))
		return 0;
	f->wire = wire;
	tell_wire(&f->owner, &f->flow, &wire,
		  is_routed(skb, &p) ? LN_ABI_WIRE_ROUTED : LN_ABI_WIRE_CHANGED);
	return 0;
}

#define DNS_SMALL 512 /* most messages; a power of two, as LN_ABI_DNS_MAX is */

/* Reserves room for `room` bytes (a constant), copies the message there and submits. In place,
 * not through a per-CPU buffer, because softirq may interrupt another copy on this CPU. */
static __always_inline void copy_dns(struct __sk_buff *skb, const struct sock_state *s,
				     const struct ln_abi_flow *flow, __u32 at, __u64 len,
				     __u16 flags, const __u64 room)
{
	struct ln_abi_dns *ev = bpf_ringbuf_reserve(&events, sizeof(*ev) + room, 0);

	if (!ev) {
		count_lost(LN_ABI_LOST_RING);
		return;
	}
	fill_header(&ev->h, LN_ABI_DNS, s->owner.agent, bpf_ktime_get_ns(), s->owner.pid,
		    s->owner.tid);
	ev->h.flags = flags;
	ev->flow = *flow;
	ev->pad = 0;
	/* For the verifier: clang knows the bounds and would drop plain checks, and before 6.8 a
	 * comparison with zero does not raise the lower one. */
	asm volatile("%[n] += -1\n%[n] &= %[mask]\n%[n] += 1"
		     : [n] "+r"(len)
		     : [mask] "i"(2 * room - 1));
	if (len > room)
		len = room;
	ev->len = len;
	if (bpf_skb_load_bytes(skb, at, ev + 1, len)) {
		count_lost(LN_ABI_LOST_DNS);
		ev->len = 0;
	}
	/* A question may be an alert; an answer is only needed before what comes after it. */
	emit_submit(ev, !(flags & LN_ABI_DNS_ANSWER));
}

/* Copies the message into the ring before the packet goes on: an answer is there before the agent
 * can read it, so before the connect that uses it. The slot is looked up once more: another thread
 * may have put a trusted resolver in the place where a moment ago a stranger was. What comes as the
 * answer to a question that chose its way itself may be anybody's. */
__noinline int tell_dns(struct __sk_buff *skb, __u32 answer)
{
	__u16 flags = answer ? LN_ABI_DNS_ANSWER : 0;
	struct packet p = {};
	struct udp_slot slot;
	struct ln_abi_flow flow;
	struct bpf_sock *sk = full_socket(skb);
	struct udp_flows *u;
	struct sock_state *s;
	__u64 len;
	int at;

	if (!sk)
		return 0;
	s = tree_socket(sk);
	u = s ? bpf_sk_storage_get(&udp_flows, sk, 0, 0) : 0;
	if (!u || !read_udp(skb, !answer, &p) || !p.payload_len)
		return 0;
	len = p.payload_len;
	bpf_spin_lock(&u->lock);
	at = answer ? slot_find(u, &p.dest) : slot_find_wire(u, &p.dest);
	if (at >= 0)
		__builtin_memcpy(&slot, &u->slots[at & (LN_ABI_UDP_SLOTS - 1)], sizeof(slot));
	bpf_spin_unlock(&u->lock);
	if (at < 0) {
		count_lost(LN_ABI_LOST_DNS);
		return 0;
	}
	if (answer && slot.routed)
		return 0;
	flow_from_slot(&flow, s, &slot);
	if (len > LN_ABI_DNS_MAX || datagrams(skb) > 1) {
		flags |= LN_ABI_DNS_CUT;
		count_lost(LN_ABI_LOST_DNS);
	}
	if (len > LN_ABI_DNS_MAX)
		len = LN_ABI_DNS_MAX;
	if (len <= DNS_SMALL)
		copy_dns(skb, s, &flow, p.payload_at, len, flags, DNS_SMALL);
	else
		copy_dns(skb, s, &flow, p.payload_at, len, flags, LN_ABI_DNS_MAX);
	return 0;
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
		return PASS;
	}
	s = tree_socket(sk);
	if (!s)
		return PASS;
	if (is_udp(sk))
		s->local_port = sk->src_port;
	port = count_out(skb);
	if (port < 0) {
		port = open_from_egress(skb);
		count_out(skb);
	}
	if (is_udp(sk) && carries_dns(port))
		tell_dns(skb, false);
	return PASS;
}

SEC("cgroup_skb/ingress")
int on_ingress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = full_socket(skb);
	struct packet p = {};
	struct udp_flows *u;

	if (!sk || is_tcp(sk) || !tree_socket(sk))
		return PASS;
	if (!is_udp(sk)) {
		count_other_in(skb);
		return PASS;
	}
	u = bpf_sk_storage_get(&udp_flows, sk, 0, 0);
	/* Only from where the agent has sent to: a stranger cannot fill the ring. */
	if (u && read_udp(skb, false, &p) && carries_dns(slot_count(u, &p, false, datagrams(skb))))
		tell_dns(skb, true);
	return PASS;
}
