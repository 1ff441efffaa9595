// SPDX-License-Identifier: GPL-2.0-or-later
/* What really leaves and comes in: UDP datagrams and DNS messages on the agent's own cgroups, and
 * the life of TCP connections. Often in softirq, where the current task is somebody else: only the
 * socket's memory says whose it is. None of these ever drops a packet. */
#include "listen.bpf.h"

#define PASS 1

#define PORT_DNS   53
#define PORT_MDNS  5353
#define PORT_LLMNR 5355

#define IP_OFFSET_MASK      0x1fff
#define IP_HEADER_WORDS     5
#define IPV6_HEADER_LEN     40
#define IPV6_EXTENSIONS_MAX 4 /* as many as a socket can be told to send */
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
static __always_inline bool dest_from_socket(struct bpf_sock *sk, struct ln_abi_flow *dest)
{
	__u16 port = sk->dst_port;

	if (!port)
		return false;
	dest->remote_port = bpf_ntohs(port);
	if (sk->family == AF_INET)
		addr_from_v4(dest, sk->dst_ip4);
	else
		addr_from_words(dest, sk->dst_ip6[0], sk->dst_ip6[1], sk->dst_ip6[2],
				sk->dst_ip6[3]);
	return true;
}

/* Whether the socket knows better than the packet where this one was meant to go. Not when it was
 * connected more than once: the packet may be an earlier one, corked or of another thread. Nor
 * when the packet takes a way of its own. */
static __always_inline bool socket_knows(const struct sock_state *s, const struct udp_packet *p)
{
	return s->connects == 1 && !p->routed;
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

/* How many datagrams this is on the wire: a large one may be cut later, or was joined before. */
static __always_inline __u32 datagrams(struct __sk_buff *skb)
{
	__u32 n = skb->gso_segs;

	return n ? n : 1;
}

/* Counts a packet in the slot of its destination and copies the slot. */
static __always_inline bool slot_count(struct udp_flows *u, const struct udp_packet *p, bool out,
				       __u32 packets, struct udp_slot *ret)
{
	struct udp_slot *slot;
	int at;

	bpf_spin_lock(&u->lock);
	at = slot_find(u, &p->dest);
	if (at >= 0) {
		slot = &u->slots[at & (LN_ABI_UDP_SLOTS - 1)];
		if (out) {
			slot->tx_packets += packets;
			slot->tx_bytes += p->payload_len;
		} else {
			slot->rx_packets += packets;
			slot->rx_bytes += p->payload_len;
		}
		__builtin_memcpy(ret, slot, sizeof(*ret));
	}
	bpf_spin_unlock(&u->lock);
	return at >= 0;
}

#define BY_SOCKET 0x10000 /* beside a port */
#define ANSWER    0x20000

/* A datagram for whose destination there is no slot: the first one on a connected socket, or one
 * that NAT sent elsewhere. Returns the destination's port, 0 when there is nothing to tell; with
 * BY_SOCKET when the socket named it. */
__noinline int count_from_egress(struct __sk_buff *skb)
{
	struct udp_packet p = {};
	struct ln_abi_party listener = {};
	struct udp_slot slot = {};
	struct bpf_sock *sk;
	struct udp_flows *u;
	struct sock_state *s;
	int by_socket = 0;

	if (!udp_socket(skb, &sk, &s, &u))
		return 0;
	if (!read_udp(skb, true, &p)) {
		p.payload_len = 0;
		if (!dest_from_socket(sk, &p.dest))
			return 0;
	} else if (socket_knows(s, &p) && dest_from_socket(sk, &p.dest)) {
		by_socket = BY_SOCKET;
	}
	u = bpf_sk_storage_get(&udp_flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!u) {
		count_lost(LN_ABI_LOST_SOCKETS);
		tell_roomless(s, &p.dest);
		return 0;
	}
	if (p.dest.local_port)
		s->local_port = p.dest.local_port;
	if (listener_is_ours(skb, s->owner.agent, &p.dest, &listener))
		p.dest.flags |= LN_ABI_FLOW_SAME_TREE;
	slot_open(s, u, &p.dest, &listener, bpf_ktime_get_ns());
	slot_count(u, &p, true, datagrams(skb), &slot);
	return p.dest.remote_port | by_socket;
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
 * may have put a trusted resolver in the place where a moment ago a stranger was. */
__noinline int tell_dns(struct __sk_buff *skb, __u32 which)
{
	bool answer = which & ANSWER;
	__u16 flags = answer ? LN_ABI_DNS_ANSWER : 0;
	struct udp_packet p = {};
	struct udp_slot slot = {};
	struct ln_abi_flow flow;
	struct bpf_sock *sk;
	struct udp_flows *u;
	struct sock_state *s;
	__u64 len;

	if (!udp_socket(skb, &sk, &s, &u) || !u || !read_udp(skb, !answer, &p) || !p.payload_len)
		return 0;
	len = p.payload_len;
	p.payload_len = 0;
	if (which & BY_SOCKET)
		dest_from_socket(sk, &p.dest);
	if (!slot_count(u, &p, !answer, 0, &slot)) {
		count_lost(LN_ABI_LOST_DNS);
		return 0;
	}
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
	struct udp_packet p = {};
	struct udp_slot slot = {};
	struct udp_flows *u;
	struct sock_state *s;
	struct bpf_sock *sk;
	int port;

	if (!udp_socket(skb, &sk, &s, &u))
		return PASS;
	if (u && read_udp(skb, true, &p) && slot_count(u, &p, true, datagrams(skb), &slot)) {
		s->local_port = p.dest.local_port;
		port = slot.port;
	} else {
		port = count_from_egress(skb);
	}
	if (carries_dns(port))
		tell_dns(skb, port & BY_SOCKET);
	return PASS;
}

SEC("cgroup_skb/ingress")
int on_ingress(struct __sk_buff *skb)
{
	struct udp_packet p = {};
	struct udp_slot slot = {};
	struct udp_flows *u;
	struct sock_state *s;
	struct bpf_sock *sk;

	if (!udp_socket(skb, &sk, &s, &u) || !u || !read_udp(skb, false, &p))
		return PASS;
	/* Only from where the agent has sent to: a stranger cannot fill the ring. */
	if (slot_count(u, &p, false, datagrams(skb), &slot) && carries_dns(slot.port))
		tell_dns(skb, ANSWER);
	return PASS;
}

static __always_inline enum ln_abi_outcome tcp_outcome(const struct tcp_sock *tp, int err,
						       bool inbound)
{
	/* The SYN counts: none came back, nothing was ever acknowledged. That of a connection that
	 * was accepted does not. */
	if (tp->bytes_acked || inbound) {
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
	if (err == EHOSTUNREACH || err == ENETUNREACH || !tp->segs_out)
		return LN_ABI_OUTCOME_UNREACHABLE;
	return LN_ABI_OUTCOME_ABORTED;
}

/* The port that the socket was bound to: skc_num is gone by now (inet_put_port). */
static __always_inline void local_from_socket(const struct sock *sk, const struct tcp_sock *tp,
					      struct ln_abi_flow *flow)
{
	flow->local_port = bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport);
	if (flow->family == 4)
		*(__u32 *)flow->local = sk->__sk_common.skc_rcv_saddr;
	else
		bpf_core_read(flow->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
}

/* A FIN that came in takes one number of the sequence space, and bytes_received counts it
 * (net/ipv4/tcp_input.c, tcp_rcv_nxt_update); tcp_fin leaves SOCK_DONE behind. */
static __always_inline __u64 tcp_received(const struct sock *sk, const struct tcp_sock *tp)
{
	bool fin = sk->__sk_common.skc_flags & 1UL << SOCK_DONE;

	return tp->bytes_received && fin ? tp->bytes_received - 1 : tp->bytes_received;
}

static __always_inline void tcp_closed(struct sock *sk, struct tcp_flow *f)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	enum ln_abi_outcome outcome = LN_ABI_OUTCOME_ABORTED;
	struct flow_counts counts = {.open_ns = f->open_ns};

	if (tp) {
		counts.tx_bytes =
		    tp->bytes_sent - tp->bytes_retrans; /* without what was sent twice */
		counts.rx_bytes = tcp_received(sk, tp);
		counts.tx_packets = tp->segs_out;
		counts.rx_packets = tp->segs_in;
		local_from_socket(sk, tp, &f->flow);
		outcome = tcp_outcome(tp, sk->sk_err, f->flow.flags & LN_ABI_FLOW_INBOUND);
	}
	f->open = 0;
	tell_close(&f->owner, &f->flow, &counts, outcome);
}

/* A listener gets its mark; also one that was never bound by name, and has no port yet. */
static __always_inline void tcp_listens(struct sock *sk)
{
	struct ln_abi_flow local = {.proto = IPPROTO_TCP};
	const struct ln_abi_task *task;
	struct sock_state *s;
	__u64 pid_tgid, cookie;

	task = current_owner(&pid_tgid);
	if (!task) {
		mark_outside(sk, pid_tgid >> 32, true);
		return;
	}
	cookie = bpf_get_socket_cookie(sk);
	bpf_map_update_elem(&tree_listeners, &cookie, &task->agent, BPF_ANY);
	s = bpf_sk_storage_get(&socks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s) {
		count_lost(LN_ABI_LOST_SOCKETS);
		return;
	}
	set_owner(&s->owner, task, pid_tgid);
	local_addr(sk, &local);
	local.local_port = sk->__sk_common.skc_num;
	local.netns = socket_netns(sk);
	s->listens = 1;
	tell_listen(&s->owner, &local, cookie, sk->__sk_common.skc_family, 0);
}

/* A socket that nobody asked for its cookie is none of ours: one read for all others. */
static __always_inline struct tcp_flow *tcp_find(const struct sock *sk, __u64 *cookie)
{
	*cookie = sk->__sk_common.skc_cookie.counter;
	return *cookie ? bpf_map_lookup_elem(&tcp_flows, cookie) : 0;
}

/* The client's end of a connection that the tree makes to itself: known before the other end. */
static __always_inline void tcp_reached(struct sock *sk)
{
	struct tree_client key;
	struct tcp_flow *f;
	__u64 cookie;
	__u8 one = 1;

	f = tcp_find(sk, &cookie);
	if (!f || !(f->flow.flags & LN_ABI_FLOW_SAME_TREE))
		return;
	local_addr(sk, &f->flow);
	f->flow.local_port = sk->__sk_common.skc_num;
	tree_client_key(&f->flow, f->owner.agent, true, &key);
	bpf_map_update_elem(&tree_clients, &key, &one, BPF_ANY);
}

/* Nobody accepted it, and its port may be an outsider's next. */
static __always_inline void tree_client_ended(const struct tcp_flow *f)
{
	struct tree_client key;

	if ((f->flow.flags & (LN_ABI_FLOW_SAME_TREE | LN_ABI_FLOW_INBOUND)) !=
	    LN_ABI_FLOW_SAME_TREE)
		return;
	tree_client_key(&f->flow, f->owner.agent, true, &key);
	bpf_map_delete_elem(&tree_clients, &key);
}

/* The mark that an accepted connection of the tree inherited; one read for all others. */
static __always_inline const struct sock_state *accepted_mark(struct sock *sk)
{
	const struct sock_state *s;

	if (!sk->sk_bpf_storage)
		return 0;
	s = bpf_sk_storage_get(&socks, sk, 0, 0);
	return s && s->owner.agent ? s : 0;
}

static __always_inline void tcp_accepted(struct sock *sk)
{
	const struct sock_state *s = accepted_mark(sk);
	struct tcp_flow f;
	__u64 cookie;

	if (!s)
		return;
	inbound_flow(sk, &s->owner, 0, &f);
	cookie = f.flow.id >> 16;
	/* It is there: not accepted, but a connect that met another one. */
	if (bpf_map_lookup_elem(&tcp_flows, &cookie))
		return;
	if (bpf_map_update_elem(&tcp_flows, &cookie, &f, BPF_NOEXIST)) {
		count_lost(LN_ABI_LOST_SOCKETS);
		f.flow.flags |= LN_ABI_FLOW_UNCOUNTED;
	}
	tell_inbound(&f.owner, &f.flow, f.open_ns);
}

/* An accepted connection whose beginning on_tcp_state did not see: nobody asked for its cookie. */
static __always_inline void tcp_accepted_unseen(struct sock *sk)
{
	const struct sock_state *s;
	struct tcp_flow f;

	if (sk->__sk_common.skc_cookie.counter || !sk->__sk_common.skc_dport)
		return;
	s = accepted_mark(sk);
	if (!s)
		return;
	inbound_flow(sk, &s->owner, 0, &f);
	tell_inbound(&f.owner, &f.flow, f.open_ns);
	tcp_closed(sk, &f);
}

/* The move to TCP_CLOSE happens exactly once in the life of a connection, however it ends, and the
 * counters are still there (net/ipv4/tcp.c, tcp_set_state; inet_csk_listen_start). */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_tcp_state, struct sock *sk, int from, int to)
{
	struct tcp_flow *f;
	__u64 cookie;

	if (to == BPF_TCP_LISTEN)
		tcp_listens(sk);
	else if (to == BPF_TCP_ESTABLISHED && from == BPF_TCP_SYN_SENT)
		tcp_reached(sk);
	else if (to == BPF_TCP_ESTABLISHED && from == BPF_TCP_SYN_RECV)
		tcp_accepted(sk);
	if (to != BPF_TCP_CLOSE)
		return 0;
	f = tcp_find(sk, &cookie);
	if (f && f->open)
		tcp_closed(sk, f);
	return 0;
}

/* What had no move to CLOSE: a connect that failed before its SYN. And what had one that
 * on_tcp_state did not see, because softirq interrupted it at work on this CPU and the kernel runs
 * no tracing program inside itself (kernel/trace/bpf_trace.c, __bpf_trace_run). This one cannot be
 * interrupted so: sockets are destroyed with softirq off. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(on_tcp_destroy, struct sock *sk)
{
	struct tcp_flow *f;
	__u64 cookie;

	f = tcp_find(sk, &cookie);
	if (!f) {
		tcp_accepted_unseen(sk);
		return 0;
	}
	if (f->open)
		tcp_closed(sk, f);
	tree_client_ended(f);
	bpf_map_delete_elem(&tcp_flows, &cookie);
	return 0;
}
