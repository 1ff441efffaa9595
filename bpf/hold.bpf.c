// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Block mode with `on_failure: closed`: what holds the agent when linnet has died. These hang on
 * the agent's own cgroup without a link, so they stay when the monitor goes, with the tables as
 * they were, and go with the cgroup. They tell nothing: while linnet lives, the other hooks have
 * told and refused the same before. Everybody in the cgroup is the agent's. When the watch ends in
 * order it says so, and they let go.
 */
#include "bytes.bpf.h"
#include "listen.bpf.h"
#include "permit.bpf.h"

#define PASS 1
#define DROP 0

/* In connect.bpf.c: the destination that the caller names. */
int named_dest4(struct bpf_sock_addr *ctx, struct ln_abi_flow *ret);
int named_dest6(struct bpf_sock_addr *ctx, struct ln_abi_flow *ret);

static __always_inline bool has_let_go(void)
{
	return !cfg_blocks || cfg_dry_run || *(volatile __u32 *)&cfg_let_go;
}

/* Nobody marks the listeners of the tree any more: one in the agent's cgroup is its own. */
static __always_inline bool listener_is_held(struct bpf_sock_addr *ctx,
					     const struct ln_abi_flow *dest)
{
	struct bpf_sock *sk = loopback_listener(ctx, dest);
	bool held;

	if (!sk)
		return false;
	held = socket_is_covered(sk);
	bpf_sk_release(sk);
	return held;
}

/* What on_connect4 and its kin have let through just now, with more knowledge than is here. */
static __always_inline bool was_permitted(struct bpf_sock_addr *ctx, const struct ln_abi_flow *dest)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	const struct tcp_flow *f;
	struct place place = {};
	struct udp_flows *u;
	bool refused = true;
	int at;

	if (dest->proto == IPPROTO_TCP) {
		f = bpf_map_lookup_elem(&tcp_flows, &cookie);
		place_set(&place, dest);
		return f && f->open && place_is(&place, &f->flow);
	}
	u = ctx->sk ? bpf_sk_storage_get(&udp_flows, ctx->sk, 0, 0) : 0;
	if (!u)
		return false;
	bpf_spin_lock(&u->lock);
	at = slot_find(u, dest);
	if (at >= 0)
		refused = u->slots[at & (LN_ABI_UDP_SLOTS - 1)].refused;
	bpf_spin_unlock(&u->lock);
	return !refused;
}

static __always_inline int hold(struct bpf_sock_addr *ctx, __u8 family)
{
	struct ln_abi_flow dest = {};

	if (has_let_go())
		return ALLOW;
	if (family == 4)
		named_dest4(ctx, &dest);
	else
		named_dest6(ctx, &dest);
	dest.proto = ctx->protocol;
	dest.remote_port = bpf_ntohs(ctx->user_port);
	dest.netns = bpf_get_netns_cookie(ctx);
	if (was_permitted(ctx, &dest) || is_permitted(&dest, *(volatile __u32 *)&cfg_hold_agent) ||
	    listener_is_held(ctx, &dest))
		return ALLOW;
	return REFUSE;
}

/* A UDP connect sends nothing: see on_connect4. */
SEC("cgroup/connect4")
int hold_connect4(struct bpf_sock_addr *ctx)
{
	return ctx->protocol == IPPROTO_TCP ? hold(ctx, 4) : ALLOW;
}

SEC("cgroup/connect6")
int hold_connect6(struct bpf_sock_addr *ctx)
{
	return ctx->protocol == IPPROTO_TCP ? hold(ctx, 6) : ALLOW;
}

SEC("cgroup/sendmsg4")
int hold_sendmsg4(struct bpf_sock_addr *ctx)
{
	return hold(ctx, 4);
}

SEC("cgroup/sendmsg6")
int hold_sendmsg6(struct bpf_sock_addr *ctx)
{
	return hold(ctx, 6);
}

SEC("cgroup/sock_create")
int hold_sock_create(struct bpf_sock *sk)
{
	return has_let_go() || is_judged(sk) ? ALLOW : REFUSE;
}

/* Datagrams of connected sockets; all others were judged when they were named. */
SEC("cgroup_skb/egress")
int hold_egress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = full_socket(skb);
	struct ln_abi_flow dest = {};
	struct udp_flows *u;
	bool open = false;
	__u16 port;
	int at;

	if (has_let_go() || !sk || is_tcp(sk))
		return PASS;
	port = sk->dst_port;
	if (!port)
		return is_udp(sk) ? PASS : DROP;
	dest.proto = sk->protocol;
	dest.remote_port = bpf_ntohs(port);
	if (sk->family == AF_INET)
		addr_from_v4(&dest, sk->dst_ip4);
	else
		addr_from_words(&dest, sk->dst_ip6[0], sk->dst_ip6[1], sk->dst_ip6[2],
				sk->dst_ip6[3]);
	u = bpf_sk_storage_get(&udp_flows, sk, 0, 0);
	if (u) {
		bpf_spin_lock(&u->lock);
		at = slot_find(u, &dest);
		open = at >= 0 && !u->slots[at & (LN_ABI_UDP_SLOTS - 1)].refused;
		bpf_spin_unlock(&u->lock);
	}
	return open || is_permitted(&dest, *(volatile __u32 *)&cfg_hold_agent) ? PASS : DROP;
}
