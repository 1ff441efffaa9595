/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets in the hands of the tree that it did not make, or whose traffic no other hook follows. */
#ifndef LINNET_STRANGER_BPF_H
#define LINNET_STRANGER_BPF_H

#include "channel.bpf.h"
#include "listen.bpf.h"
#include "victim.bpf.h"

/* Whether this was told, or found to be in order, before. `lasting`: the id is never used again;
 * else it means the same only while each sweep finds it. */
static __always_inline bool was_sighted(const struct sighted_key *key, bool lasting)
{
	__u32 *last = bpf_map_lookup_elem(&sighted, key);

	if (!last || (!lasting && *last + 1 < sweep_number))
		return false;
	*last = sweep_number;
	return true;
}

static __always_inline void set_sighted(const struct sighted_key *key)
{
	__u32 number = sweep_number;

	bpf_map_update_elem(&sighted, key, &number, BPF_ANY);
}

/* A mark says that the tree made the socket, that it was there when the watch began, or that its
 * use was told already. A connection that was in a listener's queue when the watch began has none,
 * and is known by its port. */
static __always_inline bool is_marked(struct sock *sk, __u64 cookie, __u32 agent)
{
	struct listen_key key = {.net = (__u64)BPF_CORE_READ(sk, __sk_common.skc_net.net),
				 .port = sk->__sk_common.skc_num};
	const struct sock_state *s = bpf_sk_storage_get(&socks, sk, 0, 0);
	const struct tcp_flow *f;

	if (s && s->owner.agent == agent)
		return true;
	f = bpf_map_lookup_elem(&tcp_flows, &cookie);
	if (f && f->owner.agent == agent)
		return true;
	return sk->sk_protocol == IPPROTO_TCP && bpf_map_lookup_elem(&listen_ports, &key);
}

/* Where a socket is connected to; nothing when it is not. */
static __always_inline void flow_of_socket(const struct sock *sk, __u64 cookie,
					   struct ln_abi_flow *flow)
{
	if (!sk->__sk_common.skc_dport)
		return;
	flow->id = flow_id(cookie, 0);
	flow->netns = socket_netns(sk);
	flow->proto = sk->sk_protocol;
	flow->flags = LN_ABI_FLOW_RECEIVED;
	flow->local_port = sk->__sk_common.skc_num;
	local_addr(sk, flow);
	remote_from_socket(sk, flow);
}

/* What a socket in the tree's hands is as a channel; 0: in order, or no way out. */
static __always_inline enum ln_abi_channel channel_of_socket(struct sock *sk, __u64 cookie,
							     __u32 agent)
{
	__u32 family = sk->__sk_common.skc_family;

	if (!leaves_host(family))
		return 0;
	if (family == AF_INET || family == AF_INET6)
		return !came_from_outside(sk) || is_marked(sk, cookie, agent)
			   ? 0
			   : LN_ABI_SOCKET_RECEIVED;
	return family == AF_PACKET || family == AF_XDP ? LN_ABI_PACKET_SOCKET : LN_ABI_OTHER_SOCKET;
}

/* Fills what is known of the socket; the header and the owner are the caller's. */
static __always_inline void fill_socket(struct ln_abi_channel_event *ev, struct sock *sk,
					__u64 cookie)
{
	ev->how = LN_ABI_AMBIGUOUS;
	ev->family = sk->__sk_common.skc_family;
	ev->type = sk->sk_type;
	ev->cookie = cookie;
	if (ev->channel == LN_ABI_SOCKET_RECEIVED)
		flow_of_socket(sk, cookie, &ev->flow);
}

#endif
