/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What packets say, copied for user space; and the cheap tests that all other packets pay. */
#ifndef LINNET_BYTES_BPF_H
#define LINNET_BYTES_BPF_H

#include "packet.bpf.h"

#define TCP_SYN 0x02
#define TCP_URG 0x20

#define IP4_PLAIN    0x45 /* first byte of an IPv4 header without options */
#define IP4_PLAIN_AT 20
#define UDP_LEN      8
#define TCP_LEN      20
#define TCP_DOFF_AT  12
#define QUIC_LONG    0xc0 /* long header, and the bit that is always set (RFC 9000, 17.2) */

/* Each tells what there is to tell, by the socket's memory of the flow; in bytes.bpf.c. */
int tell_dns(struct __sk_buff *skb, __u32 answer);
int tell_stranger(struct __sk_buff *skb);
int tell_quic(struct __sk_buff *skb);
int tell_stream(struct __sk_buff *skb, __u32 in);
/* The SYN of a connection goes out: its stream begins there. `at`: of the TCP header. */
int stream_syn(struct __sk_buff *skb, __u64 cookie, __u32 at);

/* Whether a TCP packet has more than headers; also when that is not to be seen at once. */
static __always_inline bool has_payload(struct __sk_buff *skb)
{
	const __u8 *head = (void *)(long)skb->data;
	const __u8 *end = (void *)(long)skb->data_end;

	if (head + IPV6_HEADER_LEN + TCP_LEN <= end && head[0] >> 4 == 6 && head[6] == IPPROTO_TCP)
		return skb->len > IPV6_HEADER_LEN + (head[IPV6_HEADER_LEN + TCP_DOFF_AT] >> 4) * 4u;
	if (head + IP4_PLAIN_AT + TCP_LEN <= end && head[0] == IP4_PLAIN)
		return skb->len > IP4_PLAIN_AT + (head[IP4_PLAIN_AT + TCP_DOFF_AT] >> 4) * 4u;
	return true;
}

#define QUIC_TOLD (LN_ABI_FIRST_PACKETS + 1) /* in a slot: that there were more is told */

/* A copy of the slot of this datagram's other side; its counter of QUIC packets becomes higher by
 * `packets`. False: there is none. */
static __always_inline bool slot_copy(struct udp_flows *u, const struct ln_abi_flow *dest, bool out,
				      __u32 packets, struct udp_slot *ret)
{
	struct udp_slot *slot;
	int at;

	bpf_spin_lock(&u->lock);
	at = out ? slot_find_wire(u, dest) : slot_find(u, dest);
	if (at >= 0) {
		slot = &u->slots[at & (LN_ABI_UDP_SLOTS - 1)];
		__builtin_memcpy(ret, slot, sizeof(*ret));
		packets += slot->quic;
		slot->quic = packets < QUIC_TOLD ? packets : QUIC_TOLD;
	}
	bpf_spin_unlock(&u->lock);
	return at >= 0;
}

static __always_inline bool peer_is_dns(struct bpf_sock *sk)
{
	__u16 port = sk->dst_port;

	return carries_dns(bpf_ntohs(port));
}

/* Whether a TCP packet that goes out may be one of the first of its connection, or DNS. */
static __always_inline bool may_tell_stream(struct __sk_buff *skb, struct bpf_sock *sk)
{
	const struct bpf_tcp_sock *tp;

	if (peer_is_dns(sk))
		return true;
	tp = bpf_tcp_sock(sk);
	/* The SYN counts as acknowledged, too. */
	return tp && tp->bytes_acked <= LN_ABI_FIRST_BYTES + 1 && has_payload(skb);
}

/* Whether a datagram that goes out may begin like a QUIC packet of a handshake. */
static __always_inline bool may_be_quic(struct __sk_buff *skb)
{
	const __u8 *head = (void *)(long)skb->data;
	const __u8 *end = (void *)(long)skb->data_end;

	if (head + IPV6_HEADER_LEN + UDP_LEN < end && head[0] >> 4 == 6 && head[6] == IPPROTO_UDP)
		return (head[IPV6_HEADER_LEN + UDP_LEN] & QUIC_LONG) == QUIC_LONG;
	if (head + IP4_PLAIN_AT + UDP_LEN < end && head[0] == IP4_PLAIN)
		return (head[IP4_PLAIN_AT + UDP_LEN] & QUIC_LONG) == QUIC_LONG;
	return true;
}

#endif
