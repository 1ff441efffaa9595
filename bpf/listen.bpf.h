/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who listens, and who came in. Each listener of the host has a mark: those of a tree in `socks`,
 * all others in `outside_listeners`, so that a loopback connect can name who is there. A listener
 * that both have a part in is an outsider's.
 */
#ifndef LINNET_LISTEN_BPF_H
#define LINNET_LISTEN_BPF_H

#include "flow.bpf.h"

#define SOCK_BINDPORT_LOCK  8     /* bit of sk_userlocks: the caller asked for this port */
#define UDP_SERVER_PORT_MAX 32767 /* above it a wildcard bind is most likely a client's */
#define REUSEPORT_MAX       16    /* members of a group that are looked at */

/* The owners of listeners outside every tree, as they were at listen or bind. Lives with the
 * socket; not inherited by what it accepts, which would cost every server of the host. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct ln_abi_party);
} outside_listeners __weak SEC(".maps");

/* Cookies of the trees' listeners → agent, for members of a SO_REUSEPORT group, which can be asked
 * for nothing else. Entries stay: a cookie is never used twice. Full: the least used goes, and a
 * group that it is in counts as shared. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LN_ABI_LISTENERS_MAX);
	__type(key, __u64);
	__type(value, __u32);
} tree_listeners __weak SEC(".maps");

/* Loopback connections that a tree made to itself, as the accepted end sees them. Written when the
 * client's end is established, which comes first; taken by the other end, or by the client's end
 * when it goes. Full: the least used goes, and its other end is told as a stranger's. */
struct tree_client {
	__u64 netns;
	__u32 agent;
	__u16 client_port, server_port;
	__u8 client[16], server[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LN_ABI_TREE_CLIENTS_MAX);
	__type(key, struct tree_client);
	__type(value, __u8);
} tree_clients __weak SEC(".maps");

/* The helper that tells the name of the caller; programs of cgroup hooks have it since 6.1. */
const volatile bool cfg_cgroup_comm __weak = true;

/* Marks the listener of a process that no agent has. `sk`: a pointer that a helper takes. */
#define mark_outside(sk, pid_, has_comm)                                                           \
	({                                                                                         \
		struct ln_abi_party *mark_ =                                                       \
		    bpf_sk_storage_get(&outside_listeners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);    \
		if (mark_) {                                                                       \
			mark_->pid = pid_;                                                         \
			if (has_comm)                                                              \
				bpf_get_current_comm(mark_->comm, sizeof(mark_->comm));            \
		} else {                                                                           \
			count_lost(LN_ABI_LOST_SOCKETS);                                           \
		}                                                                                  \
	})

/* A plain number to the verifier, which lets nobody look into a bpf_sock. */
static __always_inline const struct sock *plain_sock(const void *sock)
{
	const struct sock *sk;

	bpf_probe_read_kernel(&sk, sizeof(sk), &sock);
	return sk;
}

/* Whether everybody who may get what is sent to this listener of the agent's is the agent's too:
 * with SO_REUSEPORT others of the same user may be in the group. */
static __always_inline bool group_is_ours(const struct sock *sk, __u32 agent)
{
	struct sock_reuseport *group;
	__u32 n;

	if (!BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuseport))
		return true;
	group = BPF_CORE_READ(sk, sk_reuseport_cb);
	n = BPF_CORE_READ(group, num_socks);
	if (!group || n > REUSEPORT_MAX)
		return false;
	for (__u32 i = 0; i < REUSEPORT_MAX; i++) {
		const struct sock *member = BPF_CORE_READ(group, socks[i]);
		__u64 cookie = BPF_CORE_READ(member, __sk_common.skc_cookie.counter);
		const __u32 *owner;

		if (i >= n)
			break;
		owner = bpf_map_lookup_elem(&tree_listeners, &cookie);
		if (!owner || *owner != agent)
			return false;
	}
	return true;
}

/* The socket that listens on this loopback destination; NULL: none, or no such destination. Only
 * for loopback: a listener on 0.0.0.0 would otherwise make every remote address look like our own.
 * To be released. `ctx`: of a program that may look up sockets. */
static __always_inline struct bpf_sock *loopback_listener(void *ctx, const struct ln_abi_flow *dest)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size;

	if (!addr_is_loopback(dest->family, dest->remote))
		return 0;
	if (dest->family == 4) {
		tuple.ipv4.saddr = bpf_htonl(0x7f000001);
		__builtin_memcpy(&tuple.ipv4.daddr, dest->remote, 4);
		tuple.ipv4.dport = bpf_htons(dest->remote_port);
		size = sizeof(tuple.ipv4);
	} else {
		tuple.ipv6.saddr[3] = bpf_htonl(1);
		__builtin_memcpy(tuple.ipv6.daddr, dest->remote, 16);
		tuple.ipv6.dport = bpf_htons(dest->remote_port);
		size = sizeof(tuple.ipv6);
	}
	if (dest->proto == IPPROTO_TCP)
		return bpf_sk_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	return bpf_sk_lookup_udp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
}

/* Does the listener on this loopback destination belong to the agent? If not, `ret` becomes who
 * listens, when that is known. Asked when the flow begins, so that it cannot change hands in
 * between. */
static __always_inline bool listener_is_ours(void *ctx, __u32 agent, const struct ln_abi_flow *dest,
					     struct ln_abi_party *ret)
{
	struct bpf_sock *sk = loopback_listener(ctx, dest);
	const struct ln_abi_party *outsider;
	const struct sock_state *s;
	bool ours = false;

	if (!sk)
		return false;
	outsider = bpf_sk_storage_get(&outside_listeners, sk, 0, 0);
	s = bpf_sk_storage_get(&socks, sk, 0, 0);
	if (outsider)
		*ret = *outsider;
	else if (s && s->owner.agent == agent)
		ours = group_is_ours(plain_sock(sk), agent);
	if (!ours && !outsider && s)
		ret->pid = s->owner.pid;
	bpf_sk_release(sk);
	return ours;
}

/* The same as a global function, which the verifier checks once: one a type of program. */
#define LISTENER_FUNCTION(name, context)                                                           \
	__weak __noinline int name(context *ctx, __u32 agent, const struct ln_abi_flow *dest,      \
				   struct ln_abi_party *ret)                                       \
	{                                                                                          \
		return ctx && dest && ret && listener_is_ours(ctx, agent, dest, ret);              \
	}

/* A TCP listener, or a UDP socket that has a port and no peer. */
static __always_inline bool socket_listens(const struct sock *sk)
{
	if (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6)
		return false;
	if (sk->sk_protocol == IPPROTO_TCP)
		return sk->__sk_common.skc_state == BPF_TCP_LISTEN;
	return sk->sk_protocol == IPPROTO_UDP && sk->__sk_common.skc_num &&
	       !sk->__sk_common.skc_dport;
}

/* Tells that a process of the tree listens. */
static __always_inline void tell_listen(const struct owner *o, const struct ln_abi_flow *local,
					__u64 cookie, __u8 family, __u16 flags)
{
	struct ln_abi_channel_event *ev = emit_reserve(struct ln_abi_channel_event);

	if (!ev)
		return;
	__builtin_memset(ev, 0, sizeof(*ev));
	fill_header(&ev->h, LN_ABI_CHANNEL, o->agent, bpf_ktime_get_ns(), o->pid, o->tid);
	ev->channel = LN_ABI_LISTEN;
	ev->how = LN_ABI_BY_TASK;
	ev->family = family;
	ev->type = local->proto == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
	ev->flags = flags;
	ev->cookie = cookie;
	ev->flow = *local;
	emit_submit(ev, true);
}

/* Which network a socket is in: its cookie. */
static __always_inline __u64 socket_netns(const struct sock *sk)
{
	if (!bpf_core_field_exists(struct net, net_cookie))
		return 0;
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, net_cookie);
}

/* IPv6 or IPv4 address of a socket as family and bytes; unspecified stays so. */
static __always_inline void local_addr(const struct sock *sk, struct ln_abi_flow *flow)
{
	__u32 *words = (__u32 *)flow->local;

	words[0] = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
	flow->family = 4;
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET)
		return;
	bpf_core_read(words, 16, &sk->__sk_common.skc_v6_rcv_saddr);
	if (words[0] == 0 && words[1] == 0 && words[2] == bpf_htonl(0xffff)) {
		words[0] = words[3];
		words[1] = words[2] = words[3] = 0;
		return;
	}
	flow->family = 6;
}

static __always_inline void remote_from_socket(const struct sock *sk, struct ln_abi_flow *flow)
{
	__u32 words[4];

	flow->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET) {
		addr_from_v4(flow, BPF_CORE_READ(sk, __sk_common.skc_daddr));
		return;
	}
	bpf_core_read(words, 16, &sk->__sk_common.skc_v6_daddr);
	addr_from_words(flow, words[0], words[1], words[2], words[3]);
}

/* The key under which both ends of a loopback connection of the tree find one another. `client`:
 * this socket is the client's end. */
static __always_inline void tree_client_key(const struct ln_abi_flow *flow, __u32 agent,
					    bool client, struct tree_client *ret)
{
	__builtin_memset(ret, 0, sizeof(*ret));
	ret->netns = flow->netns;
	ret->agent = agent;
	ret->client_port = client ? flow->local_port : flow->remote_port;
	ret->server_port = client ? flow->remote_port : flow->local_port;
	__builtin_memcpy(ret->client, client ? flow->local : flow->remote, 16);
	__builtin_memcpy(ret->server, client ? flow->remote : flow->local, 16);
}

/* Urgent at most each 100 ms for one port, whoever comes. */
static __always_inline bool inbound_is_urgent(__u32 agent, const struct ln_abi_flow *flow,
					      __u64 now_ns)
{
	struct ln_abi_flow port = {.remote_port = flow->local_port, .proto = flow->proto};

	return dest_is_urgent(agent, &port, now_ns);
}

static __always_inline void tell_inbound(const struct owner *o, const struct ln_abi_flow *flow,
					 __u64 now_ns)
{
	bool urgent = inbound_is_urgent(o->agent, flow, now_ns);
	struct ln_abi_flow_open *ev = emit_reserve(struct ln_abi_flow_open);

	if (!ev)
		return;
	__builtin_memset(ev, 0, sizeof(*ev));
	fill_header(&ev->h, LN_ABI_FLOW_OPEN, o->agent, now_ns, o->pid, o->tid);
	ev->flow = *flow;
	ev->how = LN_ABI_BY_SOCKET;
	emit_submit(ev, urgent);
}

/* An accepted connection of a tree, as a flow that is open. */
static __always_inline void inbound_flow(struct sock *sk, const struct owner *owner, __u16 flags,
					 struct tcp_flow *ret)
{
	struct tree_client key;

	__builtin_memset(ret, 0, sizeof(*ret));
	ret->owner = *owner;
	ret->generation = ret->open = ret->established = 1;
	ret->sock = (__u64)sk;
	ret->open_ns = bpf_ktime_get_ns();
	ret->flow.id = flow_id(bpf_get_socket_cookie(sk), 1);
	ret->flow.netns = socket_netns(sk);
	ret->flow.proto = IPPROTO_TCP;
	ret->flow.flags = LN_ABI_FLOW_INBOUND | flags;
	local_addr(sk, &ret->flow);
	ret->flow.local_port =
	    bpf_ntohs(BPF_CORE_READ((struct tcp_sock *)sk, inet_conn.icsk_inet.inet_sport));
	remote_from_socket(sk, &ret->flow);
	tree_client_key(&ret->flow, owner->agent, false, &key);
	if (!bpf_map_delete_elem(&tree_clients, &key))
		ret->flow.flags |= LN_ABI_FLOW_SAME_TREE;
}

#endif
