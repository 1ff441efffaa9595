// SPDX-License-Identifier: GPL-2.0-or-later
/* Where the tree names a destination: connect and sendmsg, at the cgroup root, in the context of
 * the caller (io_uring workers included: they share its thread group). Fast Open and MPTCP come
 * through connect too. An untracked process pays one look-up. None of these ever refuses. */
#include "listen.bpf.h"

/* The socket's memory of its owner, made or renewed for the caller. NULL: no memory, counted. */
static __always_inline struct sock_state *own_socket(struct bpf_sock_addr *ctx,
						     const struct ln_abi_task *owner,
						     __u64 pid_tgid)
{
	struct bpf_sock *sk = ctx->sk;
	struct sock_state *s;

	if (!sk)
		return 0;
	s = bpf_sk_storage_get(&socks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s) {
		count_lost(LN_ABI_LOST_SOCKETS);
		return 0;
	}
	if (!s->cookie)
		s->cookie = bpf_get_socket_cookie(ctx);
	if (!s->netns)
		s->netns = bpf_get_netns_cookie(ctx);
	set_owner(&s->owner, owner, pid_tgid);
	return s;
}

/* A UDP flow of a socket that has no room for its memory: told each time, without an end. The agent
 * can bring that about: control data and filters are charged to the same account
 * (net.core.optmem_max). */
static __always_inline void tell_lone(struct bpf_sock_addr *ctx, const struct ln_abi_task *task,
				      __u64 pid_tgid, struct ln_abi_flow *dest)
{
	struct owner owner;

	set_owner(&owner, task, pid_tgid);
	dest->id = flow_id(bpf_get_socket_cookie(ctx), 0);
	dest->netns = bpf_get_netns_cookie(ctx);
	dest->flags |= LN_ABI_FLOW_UNCOUNTED;
	tell_open(&owner, dest, 0, bpf_ktime_get_ns());
}

static __always_inline void dest_from_context(struct bpf_sock_addr *ctx, __u8 family,
					      struct ln_abi_flow *dest)
{
	/* 0.0.0.0 is the address that the socket is bound to, and else loopback. */
	if (family == 4)
		addr_from_v4(dest, ctx->user_ip4 || !ctx->sk ? ctx->user_ip4 : ctx->sk->src_ip4);
	else
		addr_from_words(dest, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2],
				ctx->user_ip6[3]);
	dest->proto = ctx->protocol;
	dest->remote_port = bpf_ntohs(ctx->user_port);
}

static __always_inline bool is_mptcp(struct bpf_sock_addr *ctx)
{
	struct tcp_sock *tp;

	if (!ctx->sk || !bpf_core_field_exists(struct tcp_sock, is_mptcp))
		return false;
	tp = bpf_skc_to_tcp_sock(ctx->sk);
	return tp && tp->is_mptcp;
}

static __always_inline void tcp_connect(struct bpf_sock_addr *ctx, const struct ln_abi_task *task,
					__u64 pid_tgid, const struct ln_abi_flow *dest)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct tcp_flow f = {.generation = 1, .open = 1, .flow = *dest}, *old;
	struct ln_abi_party listener = {};

	set_owner(&f.owner, task, pid_tgid);
	f.open_ns = bpf_ktime_get_ns();
	f.flow.netns = bpf_get_netns_cookie(ctx);
	f.flow.id = flow_id(cookie, 1);
	if (is_mptcp(ctx))
		f.flow.flags |= LN_ABI_FLOW_MPTCP;
	if (listener_is_ours(ctx, task->agent, dest, &listener))
		f.flow.flags |= LN_ABI_FLOW_SAME_TREE;
	if (bpf_map_update_elem(&tcp_flows, &cookie, &f, BPF_NOEXIST)) {
		/* The socket was connected before, or the map is full. */
		old = bpf_map_lookup_elem(&tcp_flows, &cookie);
		if (old && old->open)
			tcp_never_began(old);
		f.generation = old ? old->generation + 1 : 0;
		f.flow.id = flow_id(cookie, f.generation);
		if (!old || bpf_map_update_elem(&tcp_flows, &cookie, &f, BPF_ANY)) {
			count_lost(LN_ABI_LOST_SOCKETS);
			f.flow.flags |= LN_ABI_FLOW_UNCOUNTED;
		}
	}
	tell_open(&f.owner, &f.flow, &listener, f.open_ns);
}

/* Nothing leaves yet, and often nothing ever will: getaddrinfo(3) connects a UDP socket to each
 * answer only to learn the source address. The flow opens with its first datagram, in egress. */
static __always_inline void udp_connect(struct bpf_sock_addr *ctx, struct sock_state *s)
{
	__sync_fetch_and_add(&s->connects, 1);
	if (!socket_is_covered(ctx->sk))
		s->uncounted = 1;
}

/* Opens the flow of a datagram with a named destination, once. */
static __always_inline void udp_named(struct bpf_sock_addr *ctx, struct sock_state *s,
				      struct ln_abi_flow *dest)
{
	struct ln_abi_party listener = {};
	struct udp_flows *u;

	u = bpf_sk_storage_get(&udp_flows, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!u) {
		count_lost(LN_ABI_LOST_SOCKETS);
		tell_roomless(s, dest);
		return;
	}
	if (slot_exists(u, dest))
		return;
	if (listener_is_ours(ctx, s->owner.agent, dest, &listener))
		dest->flags |= LN_ABI_FLOW_SAME_TREE;
	if (!socket_is_covered(ctx->sk))
		s->uncounted = 1;
	slot_open(s, u, dest, &listener, bpf_ktime_get_ns());
}

static __always_inline int handle_connect(struct bpf_sock_addr *ctx, __u8 family)
{
	struct ln_abi_flow dest = {};
	const struct ln_abi_task *owner;
	struct sock_state *s;
	__u64 pid_tgid;

	owner = current_owner(&pid_tgid);
	if (!owner)
		return ALLOW;
	if (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_UDP)
		return ALLOW;
	dest_from_context(ctx, family, &dest);
	if (ctx->protocol == IPPROTO_TCP) {
		tcp_connect(ctx, owner, pid_tgid, &dest);
		return ALLOW;
	}
	s = own_socket(ctx, owner, pid_tgid);
	if (!s) {
		tell_lone(ctx, owner, pid_tgid, &dest);
		return ALLOW;
	}
	udp_connect(ctx, s);
	/* No egress hook will see its datagrams: better early than never. */
	if (s->uncounted)
		udp_named(ctx, s, &dest);
	return ALLOW;
}

static __always_inline int handle_sendmsg(struct bpf_sock_addr *ctx, __u8 family)
{
	struct ln_abi_flow dest = {};
	const struct ln_abi_task *owner;
	struct sock_state *s;
	__u64 pid_tgid;

	owner = current_owner(&pid_tgid);
	if (!owner)
		return ALLOW;
	dest_from_context(ctx, family, &dest);
	dest.proto = IPPROTO_UDP;
	s = own_socket(ctx, owner, pid_tgid);
	if (s)
		udp_named(ctx, s, &dest);
	else
		tell_lone(ctx, owner, pid_tgid, &dest);
	return ALLOW;
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *ctx)
{
	return handle_connect(ctx, 4);
}

SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr *ctx)
{
	return handle_connect(ctx, 6);
}

SEC("cgroup/sendmsg4")
int on_sendmsg4(struct bpf_sock_addr *ctx)
{
	return handle_sendmsg(ctx, 4);
}

SEC("cgroup/sendmsg6")
int on_sendmsg6(struct bpf_sock_addr *ctx)
{
	return handle_sendmsg(ctx, 6);
}

/* The last descriptor is gone: UDP flows end here. A TCP flow ends later, after the last bytes. */
SEC("cgroup/sock_release")
int on_sock_release(struct bpf_sock *sk)
{
	const struct sock_state *s = bpf_sk_storage_get(&socks, sk, 0, 0);
	struct udp_flows *u;

	if (!s)
		return ALLOW;
	u = bpf_sk_storage_get(&udp_flows, sk, 0, 0);
	if (!u)
		return ALLOW;
	for (int i = 0; i < LN_ABI_UDP_SLOTS; i++) {
		struct udp_slot *slot = &u->slots[i];

		if (!slot->id)
			continue;
		tell_slot_close(s, slot, 0);
		slot->id = 0;
	}
	return ALLOW;
}
