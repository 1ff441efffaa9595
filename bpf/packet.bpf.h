/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A packet as the hooks of the agent's own cgroups see it, and the socket that it belongs to. */
#ifndef LINNET_PACKET_BPF_H
#define LINNET_PACKET_BPF_H

#include "flow.bpf.h"

#define ETH_P_IP 0x0800

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

#define IP_AT_MASK     0xffff
#define IP_PROTO_SHIFT 16
#define IP_IS_6        (1 << 24)
#define IP_IS_ROUTED   (1 << 25)
#define IP_IS_WHOLE    (1 << 26)

/* In traffic.bpf.c. The slow paths are global functions: the verifier checks each once, on its own,
 * instead of once for each way that leads to it. They look everything up again. */

/* The IP header in one number: where what follows it begins, the protocol, the bits above; -1: not
 * to be read. */
int ip_header(struct __sk_buff *skb);
/* Reads the IP header: the other side's address, the protocol and where its header is. `out`: the
 * other side is the destination. */
int read_ip(struct __sk_buff *skb, struct packet *p, __u32 out);

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

static __always_inline bool carries_dns(__u16 port)
{
	return port == PORT_MDNS || port == PORT_LLMNR || is_dns_port(port);
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

#endif
