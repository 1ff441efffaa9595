// SPDX-License-Identifier: GPL-2.0-or-later
/* What the agent's packets say, copied into the ring before the packet goes on: so an answer is
 * there before the agent can read it, and before the connect that uses it. DNS messages, all of a
 * connection to a DNS port, the first bytes of every other one, the first packets of QUIC. */
#include "bytes.bpf.h"

#define QUIC_V2        0x6b3343cf /* RFC 9369 */
#define QUIC_TYPE_MASK 0x30
#define QUIC_INITIAL   0x00
#define QUIC_INITIAL2  0x10

#define QUESTION_MAX 512 /* a larger one is urgent each time */

#define PIECES_MAX 16 /* of one packet: 64 KiB */
/* Fewer where the verifier goes through each of them, see bpf_compat.c: as many as the first bytes
 * of a connection are. Written by user space before the load. */
const volatile __u32 cfg_pieces = PIECES_MAX;
/* A segment that comes in further ahead than this is none that the kernel will take. */
#define WINDOW_MAX (1 << 20)

/* What goes into a record. The records of DNS messages and of other bytes are laid out alike. */
struct piece {
	struct ln_abi_flow flow;
	struct owner owner;
	__u16 kind;
	__u16 flags;
	__u32 at; /* in the packet */
	__u32 len;
	__u32 offset;
	__u32 urgent;
};
_Static_assert(__builtin_offsetof(struct ln_abi_dns, flow) ==
		       __builtin_offsetof(struct ln_abi_bytes, flow) &&
		   __builtin_offsetof(struct ln_abi_dns, question) ==
		       __builtin_offsetof(struct ln_abi_bytes, offset) &&
		   __builtin_offsetof(struct ln_abi_dns, len) ==
		       __builtin_offsetof(struct ln_abi_bytes, len) &&
		   sizeof(struct ln_abi_dns) == sizeof(struct ln_abi_bytes) &&
		   LN_ABI_DNS_CUT == LN_ABI_BYTES_CUT && LN_ABI_DNS_MAX == LN_ABI_BYTES_MAX,
	       "one way to copy both");

static __always_inline void fill_piece(struct ln_abi_bytes *ev, const struct piece *p)
{
	fill_header(&ev->h, p->kind, p->owner.agent, bpf_ktime_get_ns(), p->owner.pid,
		    p->owner.tid);
	ev->h.flags = p->flags;
	ev->flow = p->flow;
	ev->offset = p->offset;
}

/* A number for the question that the message is, zeroed to its room. The message's own number,
 * which differs each time, is left out. Another question may have the same number: then it is read
 * some milliseconds late. */
static __always_inline __u32 question_number(const struct ln_abi_flow *to, const __u64 *message,
					     const __u64 room)
{
	const __u64 *addr = (const __u64 *)to->remote;
	__u64 h = addr[0] ^ addr[1] ^ dest_key(to);

	for (__u64 i = 0; i < room / sizeof(*message); i++) {
		h ^= i ? message[i] : message[i] & ~bpf_cpu_to_be64(0xffffULL << 48);
		h *= 0x9e3779b97f4a7c15ULL;
		h ^= h >> 32;
	}
	return (__u32)h ?: 1;
}

static __always_inline bool question_is_urgent(__u32 agent, __u32 number)
{
	struct ln_abi_flow to = {.proto = IPPROTO_UDP};

	*(__u32 *)to.remote = number;
	return dest_is_urgent(agent, &to, bpf_ktime_get_ns());
}

/* Reserves room for `room` bytes (a constant, a power of two), copies there and submits. In place,
 * not through a per-CPU buffer, because softirq may interrupt another copy on this CPU. */
static __always_inline void copy_into(struct __sk_buff *skb, const struct piece *p,
				      const __u64 room)
{
	struct ln_abi_bytes *ev = bpf_ringbuf_reserve(&events, sizeof(*ev) + room, 0);
	__u64 len = p->len;
	__u32 urgent = p->urgent;

	if (!ev) {
		count_lost(LN_ABI_LOST_RING);
		return;
	}
	fill_piece(ev, p);
	/* For the verifier: clang knows the bounds and would drop plain checks, and before 6.8 a
	 * comparison with zero does not raise the lower one. */
	asm volatile("%[n] += -1\n%[n] &= %[mask]\n%[n] += 1"
		     : [n] "+r"(len)
		     : [mask] "i"(2 * room - 1));
	if (len > room)
		len = room;
	ev->len = len;
	if (room <= QUESTION_MAX)
		__builtin_memset(ev + 1, 0, room);
	if (bpf_skb_load_bytes(skb, p->at, ev + 1, len)) {
		count_lost(p->kind == LN_ABI_DNS ? LN_ABI_LOST_DNS : LN_ABI_LOST_BYTES);
		ev->h.flags |= LN_ABI_BYTES_CUT;
		ev->len = 0;
	} else if (room <= QUESTION_MAX && p->kind == LN_ABI_DNS && !p->flags) {
		ev->offset = question_number(&p->flow, (const __u64 *)(ev + 1), room);
		urgent = question_is_urgent(p->owner.agent, ev->offset);
	}
	emit_submit(ev, urgent);
}

/* Room comes in sizes: for a word, for a question or a request, for a hello, for all. */
__noinline int copy_piece(struct __sk_buff *skb, const struct piece *p)
{
	if (!p || !p->len)
		return 0;
	if (p->len <= 64)
		copy_into(skb, p, 64);
	else if (p->len <= 512)
		copy_into(skb, p, 512);
	else if (p->len <= 2048)
		copy_into(skb, p, 2048);
	else
		copy_into(skb, p, LN_ABI_BYTES_MAX);
	return 0;
}

/* That what follows is not told. */
__noinline int tell_cut(const struct piece *p)
{
	struct ln_abi_bytes *ev;

	if (!p)
		return 0;
	ev = emit_reserve(struct ln_abi_bytes);
	if (!ev)
		return 0;
	fill_piece(ev, p);
	ev->h.flags |= LN_ABI_BYTES_CUT;
	ev->len = 0;
	emit_submit(ev, p->urgent);
	return 0;
}

/* The message is `len` bytes at m->at, and what does not fit is not told. */
static __always_inline void tell_message(struct __sk_buff *skb, struct piece *m, __u32 len)
{
	if (len > LN_ABI_DNS_MAX || datagrams(skb) > 1) {
		m->flags |= LN_ABI_DNS_CUT;
		count_lost(LN_ABI_LOST_DNS);
	}
	m->len = len < LN_ABI_DNS_MAX ? len : LN_ABI_DNS_MAX;
	copy_piece(skb, m);
}

/* The slot is looked up once more: another thread may have put a trusted resolver in the place
 * where a moment ago a stranger was. What comes as the answer to a question that chose its way
 * itself may be anybody's. */
__noinline int tell_dns(struct __sk_buff *skb, __u32 answer)
{
	struct bpf_sock *sk = full_socket(skb);
	struct piece m = {.kind = LN_ABI_DNS};
	struct packet p = {};
	struct udp_flows *u;
	struct sock_state *s;
	struct udp_slot slot;

	if (!sk)
		return 0;
	s = tree_socket(sk);
	u = s ? bpf_sk_storage_get(&udp_flows, sk, 0, 0) : 0;
	if (!u || !read_udp(skb, !answer, &p) || !p.payload_len)
		return 0;
	if (!slot_copy(u, &p.dest, !answer, 0, &slot)) {
		count_lost(LN_ABI_LOST_DNS);
		return 0;
	}
	if (answer && slot.routed)
		return 0;
	flow_from_slot(&m.flow, s, &slot);
	m.owner = s->owner;
	m.flags = answer ? LN_ABI_DNS_ANSWER : 0;
	/* A question may be an alert; an answer is only needed before what comes after it. Of
	 * questions that were judged a moment ago: question_is_urgent. */
	m.urgent = !answer;
	m.at = p.payload_at;
	tell_message(skb, &m, p.payload_len);
	return 0;
}

/* Whether something from a place without a slot is a stranger's answer: the socket has asked, and
 * all places that it ever sent to still have a slot. Told is a handful. */
static __always_inline bool is_strange(struct udp_flows *u)
{
	bool asked = false, room = false;

	bpf_spin_lock(&u->lock);
	for (__u32 i = 0; i < LN_ABI_UDP_SLOTS; i++)
		asked |= u->slots[i].id && is_dns_port(slot_port(&u->slots[i]));
	asked &= u->next <= LN_ABI_UDP_SLOTS;
	room = u->strangers < LN_ABI_STRANGERS_MAX;
	if (asked && room)
		u->strangers++;
	bpf_spin_unlock(&u->lock);
	if (asked && !room)
		count_lost(LN_ABI_LOST_STRANGERS);
	return asked && room;
}

/* A datagram from a DNS port came to a socket that has asked others. */
__noinline int tell_stranger(struct __sk_buff *skb)
{
	struct bpf_sock *sk = full_socket(skb);
	struct piece m = {.kind = LN_ABI_DNS};
	struct packet p = {};
	struct udp_flows *u;
	struct sock_state *s;

	if (!sk)
		return 0;
	s = tree_socket(sk);
	u = s ? bpf_sk_storage_get(&udp_flows, sk, 0, 0) : 0;
	if (!u || !read_udp(skb, false, &p) || !p.payload_len || !is_strange(u))
		return 0;
	m.flow = p.dest;
	m.flow.id = flow_id(s->cookie, 0);
	m.flow.netns = s->netns;
	m.owner = s->owner;
	m.flags = LN_ABI_DNS_ANSWER | LN_ABI_DNS_STRANGER;
	m.urgent = true;
	m.at = p.payload_at;
	tell_message(skb, &m, p.payload_len);
	return 0;
}

/* Whether it begins as a QUIC packet with which a client introduces itself. Of a version that is
 * not known that may be any with a long header; version 0 is no client's. */
static __always_inline bool is_initial(struct __sk_buff *skb, __u32 at)
{
	__u8 head[5];
	__u32 version;

	if (bpf_skb_load_bytes(skb, at, head, sizeof(head)))
		return false;
	version = (__u32)head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4];
	if ((head[0] & QUIC_LONG) != QUIC_LONG || !version)
		return false;
	if (version == 1)
		return (head[0] & QUIC_TYPE_MASK) == QUIC_INITIAL;
	return version != QUIC_V2 || (head[0] & QUIC_TYPE_MASK) == QUIC_INITIAL2;
}

/* The packets that follow in one large datagram, which is cut only later, are of `each` bytes. */
static __always_inline void tell_packets(struct __sk_buff *skb, struct piece *m, __u32 at,
					 __u32 left, __u32 each)
{
	for (int i = 0; i < LN_ABI_FIRST_PACKETS; i++) {
		__u32 len = left < each ? left : each;

		if (!len || m->offset >= LN_ABI_FIRST_PACKETS)
			break;
		m->flags = len > LN_ABI_BYTES_MAX ? LN_ABI_BYTES_CUT : 0;
		m->len = len < LN_ABI_BYTES_MAX ? len : LN_ABI_BYTES_MAX;
		m->at = at;
		copy_piece(skb, m);
		m->offset++;
		at += len;
		left -= len;
	}
}

__noinline int tell_quic(struct __sk_buff *skb)
{
	struct bpf_sock *sk = full_socket(skb);
	struct piece m = {.kind = LN_ABI_BYTES};
	__u32 each = skb->gso_size;
	struct packet p = {};
	struct udp_flows *u;
	struct sock_state *s;
	struct udp_slot slot;

	if (!sk)
		return 0;
	s = tree_socket(sk);
	u = s ? bpf_sk_storage_get(&udp_flows, sk, 0, 0) : 0;
	if (!u || !read_udp(skb, true, &p) || !is_initial(skb, p.payload_at) ||
	    !slot_copy(u, &p.dest, true, datagrams(skb), &slot))
		return 0;
	if (slot.same_tree || slot.quic >= QUIC_TOLD)
		return 0;
	flow_from_slot(&m.flow, s, &slot);
	m.owner = s->owner;
	m.offset = slot.quic;
	m.urgent = dest_is_urgent(m.owner.agent, &m.flow, bpf_ktime_get_ns());
	tell_packets(skb, &m, p.payload_at, p.payload_len, each ? each : p.payload_len);
	/* No loss: mostly a client says once more what nobody answered. */
	if (slot.quic + datagrams(skb) >= QUIC_TOLD) {
		m.offset = LN_ABI_FIRST_PACKETS - 1;
		tell_cut(&m);
	}
	return 0;
}

struct segment {
	__u32 seq;
	__u32 at; /* of the payload, in the packet */
	__u32 len;
	__u32 flags;
};

static __always_inline bool read_segment(struct __sk_buff *skb, struct segment *ret)
{
	__u32 words[4], bits, at;
	int head = ip_header(skb);

	at = head & IP_AT_MASK;
	if (head < 0 || !(head & IP_IS_WHOLE) || (__u8)(head >> IP_PROTO_SHIFT) != IPPROTO_TCP ||
	    bpf_skb_load_bytes(skb, at, words, sizeof(words)))
		return false;
	bits = bpf_ntohl(words[3]);
	ret->seq = bpf_ntohl(words[1]);
	ret->flags = bits >> 16;
	ret->at = at + (bits >> 28) * 4;
	ret->len = skb->len > ret->at ? skb->len - ret->at : 0;
	return true;
}

/* Where the stream begins in the sequence space: after the SYN. When that was not seen, the kernel
 * knows it: it counts a SYN of ours as acknowledged (net/ipv4/tcp_input.c, tcp_snd_una_update), and
 * none as received; a connection that TCP_REPAIR put together has none. */
static __always_inline void stream_begin(struct stream *st, const struct bpf_tcp_sock *tp,
					 const struct segment *seg, bool in)
{
	__u32 acked = tp->bytes_acked;

	if (st->known)
		return;
	if (seg->flags & TCP_SYN)
		st->from = seg->seq + 1;
	else if (in)
		st->from = tp->rcv_nxt - (__u32)tp->bytes_received;
	else
		st->from = tp->snd_una - acked + !!acked;
	st->known = 1;
}

__noinline int stream_syn(struct __sk_buff *skb, __u64 cookie, __u32 at)
{
	struct tcp_flow *f = bpf_map_lookup_elem(&tcp_flows, &cookie);
	__u32 seq;

	if (!f || f->streams[0].known || bpf_skb_load_bytes(skb, at + 4, &seq, sizeof(seq)))
		return 0;
	f->streams[0].from = bpf_ntohl(seq) + 1;
	f->streams[0].known = 1;
	return 0;
}

/* Whether the kernel has this already, or will not take it. */
static __always_inline bool is_out_of_window(const struct segment *seg,
					     const struct bpf_tcp_sock *tp)
{
	return seg->seq + seg->len - tp->rcv_nxt - 1 >= WINDOW_MAX;
}

/* The first bytes of a connection are its first 8 KiB, or less when it has become a conversation:
 * each time when the other side has spoken in between is a turn. */
static __always_inline bool is_first(struct tcp_flow *f, struct stream *st,
				     const struct bpf_tcp_sock *tp, __u32 offset,
				     struct segment *seg)
{
	__u32 received = tp->bytes_received;

	if (offset >= LN_ABI_FIRST_BYTES)
		return false;
	if (seg->len > LN_ABI_FIRST_BYTES - offset)
		seg->len = LN_ABI_FIRST_BYTES - offset;
	if (received != f->received) {
		f->received = received;
		f->turns++;
	}
	if (f->turns <= LN_ABI_FIRST_TURNS)
		return true;
	st->done = 1;
	return false;
}

/* What is sent again is told again, as it may have become another, but not for ever. What is sent
 * out of band the other side may leave out. */
static __always_inline void tell_pieces(struct __sk_buff *skb, struct stream *st, struct piece *m,
					struct segment *seg, __u32 bytes_max, __u32 records_max)
{
	for (__u32 i = 0; i < PIECES_MAX && i < cfg_pieces && seg->len; i++) {
		__u32 len = seg->len < LN_ABI_BYTES_MAX ? seg->len : LN_ABI_BYTES_MAX;

		if (st->told + len > bytes_max || st->records >= records_max)
			break;
		m->at = seg->at;
		m->len = len;
		copy_piece(skb, m);
		st->told += len;
		st->records++;
		m->offset += len;
		seg->at += len;
		seg->len -= len;
	}
	if (seg->len || seg->flags & TCP_URG) {
		st->done = 1;
		count_lost(LN_ABI_LOST_BYTES);
		tell_cut(m);
	}
}

__noinline int tell_stream(struct __sk_buff *skb, __u32 in)
{
	struct bpf_sock *sk = full_socket(skb);
	struct piece m = {.kind = LN_ABI_BYTES};
	const struct bpf_tcp_sock *tp;
	struct segment seg = {};
	struct tcp_flow *f;
	struct stream *st;
	__u64 cookie;
	bool dns;

	tp = sk && sk->state != BPF_TCP_LISTEN ? bpf_tcp_sock(sk) : 0;
	if (!tp)
		return 0;
	cookie = bpf_get_socket_cookie(skb);
	f = bpf_map_lookup_elem(&tcp_flows, &cookie);
	if (!f || !f->open || f->flow.flags & LN_ABI_FLOW_INBOUND)
		return 0;
	dns = carries_dns(f->flow.remote_port);
	st = &f->streams[in & 1];
	if (st->done || (!dns && (in || f->flow.flags & LN_ABI_FLOW_SAME_TREE)) ||
	    !read_segment(skb, &seg))
		return 0;
	stream_begin(st, tp, &seg, in);
	m.offset = seg.seq + !!(seg.flags & TCP_SYN) - st->from;
	if (!seg.len || (in && is_out_of_window(&seg, tp)) ||
	    (!dns && !is_first(f, st, tp, m.offset, &seg)))
		return 0;
	m.flow = f->flow;
	m.owner = f->owner;
	m.flags = in ? LN_ABI_BYTES_IN : 0;
	if (dns) {
		m.urgent = !in;
		tell_pieces(skb, st, &m, &seg, LN_ABI_STREAM_BYTES, LN_ABI_STREAM_RECORDS);
	} else {
		m.urgent = dest_is_urgent(m.owner.agent, &m.flow, bpf_ktime_get_ns());
		tell_pieces(skb, st, &m, &seg, LN_ABI_FIRST_TOLD, LN_ABI_FIRST_RECORDS);
	}
	return 0;
}
