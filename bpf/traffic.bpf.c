// SPDX-License-Identifier: GPL-2.0-or-later
/* What really leaves and comes in: UDP datagrams and DNS messages on the agent's own cgroups, and
 * the life of TCP connections. Often in softirq, where the current task is somebody else: only the
 * socket's memory says whose it is. None of these ever drops a packet. */
#include "flow.bpf.h"

#define PASS 1

#define PORT_DNS   53
#define PORT_MDNS  5353
#define PORT_LLMNR 5355

#define IP_OFFSET_MASK      0x1fff
#define IP_HEADER_WORDS     5
#define IPV6_HEADER_LEN     40
#define IPV6_EXTENSIONS_MAX 8
#define IPPROTO_HOPOPTS     0
#define IPPROTO_ROUTING     43
#define IPPROTO_DSTOPTS     60

struct udp_packet {
	struct ln_abi_flow dest; /* family, proto, remote, remote_port of the other side */
	__u32 payload_at;
	__u32 payload_len;
	bool routed; /* it may say itself which way it goes: the destination is its first hop */
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

/* Reads the IP and UDP headers of the packet; `out`: the other side is the destination. False for
 * what has no UDP header that can be read: a later fragment, ESP, too many extension headers. */
static __always_inline bool read_udp(struct __sk_buff *skb, bool out, struct udp_packet *p)
{
	__u32 at, words[4];
	__u16 ports[2], len;
	__u8 first;

	if (bpf_skb_load_bytes(skb, 0, &first, 1))
		return false;
	if (first >> 4 == 4) {
		__u16 fragment;
		__u8 proto;

		at = (first & 0xf) * 4;
		p->routed = (first & 0xf) > IP_HEADER_WORDS;
		if (bpf_skb_load_bytes(skb, 6, &fragment, 2) ||
		    (fragment & bpf_htons(IP_OFFSET_MASK)) ||
		    bpf_skb_load_bytes(skb, 9, &proto, 1) || proto != IPPROTO_UDP ||
		    bpf_skb_load_bytes(skb, out ? 16 : 12, words, 4))
			return false;
		addr_from_v4(&p->dest, words[0]);
	} else {
		__u8 next;

		at = IPV6_HEADER_LEN;
		if (bpf_skb_load_bytes(skb, 6, &next, 1) ||
		    !skip_extensions(skb, &next, &at, &p->routed) || next != IPPROTO_UDP ||
		    bpf_skb_load_bytes(skb, out ? 24 : 8, words, 16))
			return false;
		addr_from_words(&p->dest, words[0], words[1], words[2], words[3]);
	}
	if (bpf_skb_load_bytes(skb, at, ports, 4) || bpf_skb_load_bytes(skb, at + 4, &len, 2))
		return false;
	p->dest.proto = IPPROTO_UDP;
	p->dest.remote_port = bpf_ntohs(out ? ports[1] : ports[0]);
	p->dest.local_port = bpf_ntohs(out ? ports[0] : ports[1]);
	len = bpf_ntohs(len);
	p->payload_at = at + 8;
	p->payload_len = len > 8 ? len - 8 : 0;
	return true;
}

/* A connected socket's named destination: what the agent asked for, before any NAT. */
static __always_inline void dest_from_socket(struct bpf_sock *sk, struct ln_abi_flow *dest)
{
	__u16 port = sk->dst_port;

	if (!port)
		return;
	dest->remote_port = bpf_ntohs(port);
	if (sk->family == AF_INET)
		addr_from_v4(dest, sk->dst_ip4);
	else
		addr_from_words(dest, sk->dst_ip6[0], sk->dst_ip6[1], sk->dst_ip6[2],
				sk->dst_ip6[3]);
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

/* The socket of a packet, and what it remembers: false when it is not UDP, or not the tree's. */
static __always_inline bool udp_socket(struct __sk_buff *skb, struct bpf_sock **sk,
				       struct sock_state **s, struct udp_flows **u)
{
	struct bpf_sock *any = skb->sk;

	if (!any)
		return false;
	*sk = bpf_sk_fullsock(any);
	if (!*sk || (*sk)->protocol != IPPROTO_UDP)
		return false;
	*s = bpf_sk_storage_get(&socks, *sk, 0, 0);
	if (!*s || !(*s)->cookie)
		return false;
	*u = bpf_sk_storage_get(&udp_flows, *sk, 0, 0);
	return true;
}

/* The slow paths are global functions: the verifier checks each once, on its own, instead of once
 * for each way that leads to it. They look everything up again. */

/* The first datagram to a destination that no hook has named: a connected socket. Returns the
 * slot's position, or -1. */
__noinline int open_from_egress(struct __sk_buff *skb)
{
	struct udp_packet p = {};
	struct bpf_sock *sk;
	struct udp_flows *u;
	struct sock_state *s;
	int at;

	if (!udp_socket(skb, &sk, &s, &u) || !read_udp(skb, true, &p))
		return -1;
	u = bpf_sk_storage_get(&udp_flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!u) {
		count_lost(LN_ABI_LOST_SOCKETS);
		return -1;
	}
	s->flow.local_port = p.dest.local_port;
	dest_from_socket(sk, &p.dest);
	at = slot_find(u, &p.dest);
	if (at >= 0)
		return at;
	if (s->flags & SOCK_SAME_TREE)
		p.dest.flags |= LN_ABI_FLOW_SAME_TREE;
	return slot_open(s, u, &p.dest, bpf_ktime_get_ns());
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
	fill_header(&ev->h, LN_ABI_DNS, s->agent, bpf_ktime_get_ns(), s->pid, s->tid);
	ev->h.flags = flags;
	ev->flow = *flow;
	ev->pad = 0;
	/* For the verifier: clang knows the bound and would drop a plain check. */
	asm volatile("%[n] &= %[mask]" : [n] "+r"(len) : [mask] "i"(2 * room - 1));
	if (len > room)
		len = room;
	ev->len = len;
	if (!len || bpf_skb_load_bytes(skb, at, ev + 1, len)) {
		count_lost(LN_ABI_LOST_DNS);
		ev->len = 0;
	}
	/* A question may be an alert; an answer is only needed before what comes after it. */
	emit_submit(ev, !(flags & LN_ABI_DNS_ANSWER));
}

#define DNS_ANSWER 0x100 /* beside the slot's position */

/* Copies the message into the ring before the packet goes on: an answer is there before the agent
 * can read it, so before the connect that uses it. */
__noinline int tell_dns(struct __sk_buff *skb, __u32 which)
{
	bool answer = which & DNS_ANSWER;
	__u16 flags = answer ? LN_ABI_DNS_ANSWER : 0;
	struct udp_packet p = {};
	struct ln_abi_flow flow;
	struct bpf_sock *sk;
	struct udp_flows *u;
	struct sock_state *s;
	__u64 len;

	if (!udp_socket(skb, &sk, &s, &u) || !u || !read_udp(skb, !answer, &p))
		return 0;
	flow_from_slot(&flow, s, &u->slots[which & (LN_ABI_UDP_SLOTS - 1)]);
	len = p.payload_len;
	if (len > LN_ABI_DNS_MAX) {
		len = LN_ABI_DNS_MAX;
		flags |= LN_ABI_DNS_CUT;
		count_lost(LN_ABI_LOST_DNS);
	}
	if (len <= DNS_SMALL)
		copy_dns(skb, s, &flow, p.payload_at, len, flags, DNS_SMALL);
	else
		copy_dns(skb, s, &flow, p.payload_at, len, flags, LN_ABI_DNS_MAX);
	return 0;
}

SEC("cgroup_skb/egress")
int on_egress(struct __sk_buff *skb)
{
	struct udp_packet p = {};
	struct udp_slot *slot;
	struct udp_flows *u;
	struct sock_state *s;
	struct bpf_sock *sk;
	int at = -1;

	if (!udp_socket(skb, &sk, &s, &u) || !read_udp(skb, true, &p))
		return PASS;
	if (u)
		at = slot_find(u, &p.dest);
	if (at < 0) {
		at = open_from_egress(skb);
		if (at < 0)
			return PASS;
		u = bpf_sk_storage_get(&udp_flows, sk, 0, 0);
		if (!u)
			return PASS;
	}
	slot = &u->slots[at & (LN_ABI_UDP_SLOTS - 1)];
	s->flow.local_port = p.dest.local_port;
	__sync_fetch_and_add(&slot->tx_packets, 1);
	__sync_fetch_and_add(&slot->tx_bytes, p.payload_len);
	if (carries_dns(slot->port))
		tell_dns(skb, at & (LN_ABI_UDP_SLOTS - 1));
	return PASS;
}

SEC("cgroup_skb/ingress")
int on_ingress(struct __sk_buff *skb)
{
	struct udp_packet p = {};
	struct udp_slot *slot;
	struct udp_flows *u;
	struct sock_state *s;
	struct bpf_sock *sk;
	int at;

	if (!udp_socket(skb, &sk, &s, &u) || !u || !read_udp(skb, false, &p))
		return PASS;
	/* Only from where the agent has sent to: a stranger cannot fill the ring. */
	at = slot_find(u, &p.dest);
	if (at < 0)
		return PASS;
	slot = &u->slots[at & (LN_ABI_UDP_SLOTS - 1)];
	__sync_fetch_and_add(&slot->rx_packets, 1);
	__sync_fetch_and_add(&slot->rx_bytes, p.payload_len);
	if (carries_dns(slot->port))
		tell_dns(skb, (at & (LN_ABI_UDP_SLOTS - 1)) | DNS_ANSWER);
	return PASS;
}

static __always_inline enum ln_abi_outcome tcp_outcome(const struct sock_state *s, int err)
{
	if (s->flags & SOCK_ESTABLISHED) {
		if (err == ECONNRESET || err == EPIPE)
			return LN_ABI_OUTCOME_RESET;
		if (err == ETIMEDOUT)
			return LN_ABI_OUTCOME_TIMED_OUT;
		return LN_ABI_OUTCOME_CONNECTED;
	}
	if (err == ECONNREFUSED)
		return LN_ABI_OUTCOME_REFUSED;
	if (err == ETIMEDOUT)
		return LN_ABI_OUTCOME_TIMED_OUT;
	if (err == EHOSTUNREACH || err == ENETUNREACH)
		return LN_ABI_OUTCOME_UNREACHABLE;
	return LN_ABI_OUTCOME_ABORTED;
}

static __always_inline void local_from_socket(const struct sock *sk, struct ln_abi_flow *flow)
{
	flow->local_port = sk->__sk_common.skc_num;
	if (flow->family == 4)
		bpf_core_read(flow->local, 4, &sk->__sk_common.skc_rcv_saddr);
	else
		bpf_core_read(flow->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
}

/* A FIN that came in takes one number of the sequence space, and bytes_received counts it
 * (net/ipv4/tcp_input.c, tcp_rcv_nxt_update); tcp_fin leaves SOCK_DONE behind. */
static __always_inline __u64 tcp_received(const struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	__u64 bytes = BPF_CORE_READ(tp, bytes_received);
	bool fin = sk->__sk_common.skc_flags & 1UL << SOCK_DONE;

	return bytes && fin ? bytes - 1 : bytes;
}

static __always_inline void tcp_closed(const struct sock *sk, struct sock_state *s)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	struct flow_counts counts = {
	    .open_ns = s->open_ns,
	    /* without what was sent twice */
	    .tx_bytes = BPF_CORE_READ(tp, bytes_sent) - BPF_CORE_READ(tp, bytes_retrans),
	    .rx_bytes = tcp_received(sk),
	    .tx_packets = BPF_CORE_READ(tp, segs_out),
	    .rx_packets = BPF_CORE_READ(tp, segs_in),
	};
	enum ln_abi_outcome outcome = tcp_outcome(s, sk->sk_err);

	s->flags &= ~SOCK_OPEN;
	tell_close(s, &s->flow, &counts, outcome);
}

/* The move to TCP_CLOSE happens exactly once in the life of a connection, however it ends, and the
 * counters are still there (net/ipv4/tcp.c, tcp_set_state; inet_csk_listen_start). */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_tcp_state, struct sock *sk, int from, int to)
{
	struct sock_state *s;

	if (to == BPF_TCP_LISTEN) {
		__u64 pid_tgid = bpf_get_current_pid_tgid();
		__u32 pid = pid_tgid >> 32;
		const struct ln_abi_task *owner = bpf_map_lookup_elem(&tasks, &pid);

		if (!owner)
			return 0;
		s = bpf_sk_storage_get(&socks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (!s) {
			count_lost(LN_ABI_LOST_SOCKETS);
			return 0;
		}
		s->agent = owner->agent;
		s->pid = pid;
		s->tid = pid_tgid;
		return 0;
	}
	if (to != BPF_TCP_ESTABLISHED && to != BPF_TCP_CLOSE)
		return 0;
	s = bpf_sk_storage_get(&socks, sk, 0, 0);
	if (!s || !(s->flags & SOCK_OPEN))
		return 0;
	if (to == BPF_TCP_ESTABLISHED) {
		s->flags |= SOCK_ESTABLISHED;
		local_from_socket(sk, &s->flow);
		return 0;
	}
	tcp_closed(sk, s);
	return 0;
}
