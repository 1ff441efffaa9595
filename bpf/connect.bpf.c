// SPDX-License-Identifier: GPL-2.0-or-later
/* Where the tree names a destination: connect and sendmsg, at the cgroup root, in the context of
 * the caller (io_uring workers included: they share its thread group). Fast Open and MPTCP come
 * through connect too. An untracked process pays one look-up, and one read that shows whether its
 * socket is the tree's. None of these ever refuses but in block mode, where it is told. */
#include "inject.bpf.h"
#include "listen.bpf.h"
#include "permit.bpf.h"

static __always_inline bool is_stranger(const struct caller *who)
{
	return who->flags & LN_ABI_FLOW_PASSED;
}

/* The caller is of the tree, the socket is not. Without branches: each would make the verifier
 * check what follows once more. */
static __always_inline void set_received(struct caller *who, __u8 foreign)
{
	__u16 received = foreign & !(who->flags / LN_ABI_FLOW_PASSED);

	who->flags |= received * LN_ABI_FLOW_RECEIVED;
	who->how |= received * LN_ABI_AMBIGUOUS;
}

/* The socket's memory of its owner, made or renewed for the caller; a socket that had none and
 * should have was received. NULL: no memory, counted. */
static __always_inline struct sock_state *own_socket(struct bpf_sock_addr *ctx, struct caller *who)
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
	if (!s->cookie) {
		s->cookie = bpf_get_socket_cookie(ctx);
		s->netns = bpf_get_netns_cookie(ctx);
		s->foreign = !is_stranger(who) && came_from_outside(sk);
	}
	s->owner = who->owner;
	set_received(who, *(volatile __u8 *)&s->foreign);
	return s;
}

/* Who uses a socket beside its owner; NULL: nobody. */
static __always_inline struct ln_abi_party *stranger(const struct caller *who,
						     struct ln_abi_party *ret)
{
	if (!is_stranger(who))
		return 0;
	__builtin_memset(ret, 0, sizeof(*ret));
	party_of_current(ret);
	return ret;
}

/* A UDP flow of a socket that has no room for its memory: told each time, without an end. The agent
 * can bring that about: control data and filters are charged to the same account
 * (net.core.optmem_max). */
static __always_inline int tell_lone(struct bpf_sock_addr *ctx, const struct caller *who,
				     struct ln_abi_flow *dest)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct ln_abi_party other;
	bool refused;

	dest->id = flow_id(bpf_get_socket_cookie(ctx), 0);
	dest->netns = bpf_get_netns_cookie(ctx);
	dest->flags |= LN_ABI_FLOW_UNCOUNTED;
	refused = refuse(dest, who->owner.agent);
	tell_open(who, dest, stranger(who, &other), now_ns);
	if (!refused)
		return ALLOW;
	tell_refused(&who->owner, dest, now_ns);
	return REFUSE;
}

/* The destination, by global functions: what they fill in is unknown to the verifier, which then
 * checks what follows once instead of once for each kind of address. */
__noinline int named_dest4(struct bpf_sock_addr *ctx, struct ln_abi_flow *ret)
{
	/* 0.0.0.0 is the address that the socket is bound to, and else loopback. */
	if (ret)
		addr_from_v4(ret, ctx->user_ip4 || !ctx->sk ? ctx->user_ip4 : ctx->sk->src_ip4);
	return 0;
}

__noinline int named_dest6(struct bpf_sock_addr *ctx, struct ln_abi_flow *ret)
{
	if (ret)
		addr_from_words(ret, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2],
				ctx->user_ip6[3]);
	return 0;
}

static __always_inline void named_dest(struct bpf_sock_addr *ctx, struct ln_abi_flow *ret,
				       __u8 family)
{
	if (family == 4)
		named_dest4(ctx, ret);
	else
		named_dest6(ctx, ret);
	ret->proto = ctx->protocol;
	ret->remote_port = bpf_ntohs(ctx->user_port);
}

LISTENER_FUNCTION(connect_listener, struct bpf_sock_addr)

static __always_inline bool is_mptcp(const struct tcp_sock *tp)
{
	return bpf_core_field_exists(struct tcp_sock, is_mptcp) && tp && tp->is_mptcp;
}

/* What the socket of an MPTCP connection remembers, whose path `sk` is; NULL: not the tree's. */
static __always_inline struct sock_state *mptcp_state(struct bpf_sock *sk)
{
	struct mptcp_sock *parent;

	if (!cfg_has_mptcp_sock)
		return 0;
	parent = bpf_skc_to_mptcp_sock(sk);
	return parent ? bpf_sk_storage_get(&socks, parent, 0, 0) : 0;
}

/* One more path of a connection that is open: to an address that the peer announced, or from one
 * more of our own. Connected by a worker of the kernel, or by who manages the paths. A flag in
 * `dest` says whether it is refused. */
static __always_inline bool tell_subflow(const struct sock_state *parent, __u64 cookie,
					 struct ln_abi_flow *dest)
{
	const __u16 refusals = LN_ABI_FLOW_REFUSED | LN_ABI_FLOW_WOULD_REFUSE;
	const struct tcp_flow *f;
	__u64 first = parent->subflow;
	struct place wire = {};

	if (!first || first == cookie)
		return false;
	f = bpf_map_lookup_elem(&tcp_flows, &first);
	if (!f || !f->open)
		return false;
	place_set(&wire, dest);
	dest->netns = f->flow.netns;
	refuse(dest, f->owner.agent);
	tell_wire(&f->owner, &f->flow, &wire, LN_ABI_WIRE_SUBFLOW, dest->flags & refusals);
	return true;
}

/* An accepted socket that was disconnected, to go elsewhere: it has the mark that its listener got,
 * whose cookie is another one. Any other one has the mark of bind or listen, which proves nothing.
 */
static __always_inline bool was_accepted(struct bpf_sock *sk, __u64 cookie)
{
	const struct sock_state *s = bpf_sk_storage_get(&socks, sk, 0, 0);

	return s && s->cookie != cookie;
}

static const struct tcp_flow fresh_flow = {};

/* The entry of the socket, which it has since it was made; NULL: there is no room for one. `known`:
 * without an entry it may be the tree's all the same. */
static __always_inline struct tcp_flow *tcp_entry(struct bpf_sock_addr *ctx, __u64 cookie,
						  bool known, struct caller *who)
{
	struct tcp_flow *f = bpf_map_lookup_elem(&tcp_flows, &cookie);
	bool foreign = false;

	if (!f) {
		foreign = !known && !is_stranger(who) && ctx->sk && came_from_outside(ctx->sk) &&
			  !was_accepted(ctx->sk, cookie);
		bpf_map_update_elem(&tcp_flows, &cookie, &fresh_flow, BPF_NOEXIST);
		f = bpf_map_lookup_elem(&tcp_flows, &cookie);
		if (f) {
			f->foreign = foreign;
			f->sock = (__u64)ctx->sk;
		} else {
			count_lost(LN_ABI_LOST_SOCKETS);
		}
	}
	set_received(who, f ? *(volatile __u8 *)&f->foreign : foreign);
	return f;
}

static __always_inline int tcp_connect(struct bpf_sock_addr *ctx, struct caller *who,
				       struct ln_abi_flow *dest)
{
	__u64 cookie = bpf_get_socket_cookie(ctx), now_ns = bpf_ktime_get_ns();
	struct ln_abi_party other;
	struct sock_state *parent;
	struct tcp_flow *f;
	bool known = false, refused;

	if (ctx->sk && is_mptcp(bpf_skc_to_tcp_sock(ctx->sk))) {
		dest->flags |= LN_ABI_FLOW_MPTCP;
		parent = mptcp_state(ctx->sk);
		if (parent && tell_subflow(parent, cookie, dest))
			return cfg_blocks && dest->flags & LN_ABI_FLOW_REFUSED ? REFUSE : ALLOW;
		if (parent)
			parent->subflow = cookie;
		known = parent || !cfg_has_mptcp_sock;
	}
	f = tcp_entry(ctx, cookie, known, who);
	if (f && f->open)
		tcp_never_began(f);
	dest->netns = bpf_get_netns_cookie(ctx);
	if (connect_listener(ctx, who->owner.agent, dest, &who->listener))
		dest->flags |= LN_ABI_FLOW_SAME_TREE;
	refused = refuse(dest, who->owner.agent);
	if (!f) {
		dest->id = flow_id(cookie, 0);
		dest->flags |= LN_ABI_FLOW_UNCOUNTED;
		tell_open(who, dest, stranger(who, &other), now_ns);
		if (refused)
			tell_refused(&who->owner, dest, now_ns);
		return refused ? REFUSE : ALLOW;
	}
	dest->id = flow_id(cookie, ++f->generation);
	f->owner = who->owner;
	f->open_ns = now_ns;
	f->flow = *dest;
	f->wire.key = 0;
	__builtin_memset(f->streams, 0, sizeof(f->streams));
	f->received = f->turns = f->established = 0;
	f->open = !refused;
	tell_open(who, dest, stranger(who, &other), now_ns);
	if (refused)
		tell_refused(&f->owner, &f->flow, now_ns);
	return refused ? REFUSE : ALLOW;
}

/* Nothing leaves yet, and often nothing ever will: getaddrinfo(3) connects a UDP socket to each
 * answer only to learn the source address. The flow opens with its first datagram, in egress. */
static __always_inline void udp_connect(struct bpf_sock_addr *ctx, struct sock_state *s,
					const struct caller *who)
{
	struct udp_flows *u;

	__sync_fetch_and_add(&s->connects, 1);
	s->flags = who->flags;
	if (is_stranger(who))
		party_of_current(&s->other);
	if (!socket_is_covered(ctx->sk))
		s->uncounted = 1;
	/* What was named before is not what comes now. */
	u = bpf_sk_storage_get(&udp_flows, ctx->sk, 0, 0);
	if (!u)
		return;
	bpf_spin_lock(&u->lock);
	u->named_by = 0;
	bpf_spin_unlock(&u->lock);
}

/* Opens the flow of a datagram with a named destination, once. What is refused is asked about each
 * time, and becomes another flow when it is permitted. */
static __always_inline int udp_named(struct bpf_sock_addr *ctx, struct sock_state *s,
				     struct caller *who, struct ln_abi_flow *dest)
{
	enum slot_state slot;
	struct ln_abi_party other;
	struct udp_flows *u;
	bool refused;

	u = bpf_sk_storage_get(&udp_flows, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!u) {
		count_lost(LN_ABI_LOST_SOCKETS);
		return tell_lone(ctx, who, dest);
	}
	slot = slot_name(u, dest);
	if (slot == SLOT_OPEN)
		return ALLOW;
	if (listener_is_ours(ctx, s->owner.agent, dest, &who->listener))
		dest->flags |= LN_ABI_FLOW_SAME_TREE;
	if (!socket_is_covered(ctx->sk))
		s->uncounted = 1;
	dest->netns = s->netns;
	refused = refuse(dest, s->owner.agent);
	if (slot == SLOT_REFUSED && refused)
		return REFUSE;
	slot_open(s, u, who, dest, stranger(who, &other), bpf_ktime_get_ns(), slot == SLOT_REFUSED);
	return refused ? REFUSE : ALLOW;
}

/* The owner of the socket, which the caller, a stranger, uses. A TCP socket that nobody asked for
 * its cookie is none of ours: one read for all others. */
static __always_inline const struct owner *owner_of_socket(struct bpf_sock_addr *ctx)
{
	const struct sock_state *s = 0;
	const struct tcp_sock *tp;
	const struct tcp_flow *f;
	__u64 cookie;

	if (!ctx->sk)
		return 0;
	if (ctx->protocol != IPPROTO_TCP) {
		s = bpf_sk_storage_get(&socks, ctx->sk, 0, 0);
	} else {
		tp = bpf_skc_to_tcp_sock(ctx->sk);
		if (!tp)
			return 0;
		cookie = tp->inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter;
		f = cookie ? bpf_map_lookup_elem(&tcp_flows, &cookie) : 0;
		if (f)
			return &f->owner;
		if (is_mptcp(tp))
			s = mptcp_state(ctx->sk);
	}
	return s && s->cookie ? &s->owner : 0;
}

/* For whom a process outside the tree does this: its use of a socket concerns us when the socket is
 * the tree's, or when a process of the tree makes it do so. */
static __always_inline bool find_stranger(struct bpf_sock_addr *ctx, struct caller *ret)
{
	const struct ln_abi_task *tracer;
	const struct owner *owner;
	__u32 pid;

	tracer = tracer_of_current(&pid);
	if (tracer) {
		set_owner(&ret->owner, tracer, (__u64)pid << 32 | pid);
	} else {
		owner = owner_of_socket(ctx);
		if (!owner)
			return false;
		ret->owner = *owner;
	}
	ret->how = LN_ABI_AMBIGUOUS;
	ret->flags = LN_ABI_FLOW_PASSED;
	return true;
}

/* Who does this, in the tree; 0: it does not concern us. A global function for the same reason. */
__noinline int find_caller(struct bpf_sock_addr *ctx, struct caller *ret)
{
	const struct ln_abi_task *task;
	__u64 pid_tgid;

	if (!ret)
		return 0;
	task = current_owner(&pid_tgid);
	if (!task)
		return find_stranger(ctx, ret);
	set_owner(&ret->owner, task, pid_tgid);
	ret->how = LN_ABI_BY_TASK;
	return 1;
}

static __always_inline int handle_connect(struct bpf_sock_addr *ctx, __u8 family)
{
	struct ln_abi_flow dest = {};
	struct caller who = {};
	struct sock_state *s;

	if (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_UDP)
		return ALLOW;
	if (!find_caller(ctx, &who))
		return ALLOW;
	named_dest(ctx, &dest, family);
	if (ctx->protocol == IPPROTO_TCP)
		return tcp_connect(ctx, &who, &dest);
	s = own_socket(ctx, &who);
	if (!s)
		return tell_lone(ctx, &who, &dest);
	udp_connect(ctx, s, &who);
	/* No egress hook will see its datagrams: better early than never. */
	if (s->uncounted)
		return udp_named(ctx, s, &who, &dest);
	return ALLOW;
}

/* UDP-Lite comes here too. */
static __always_inline int handle_sendmsg(struct bpf_sock_addr *ctx, __u8 family)
{
	struct ln_abi_flow dest = {};
	struct caller who = {};
	struct sock_state *s;

	if (!find_caller(ctx, &who))
		return ALLOW;
	named_dest(ctx, &dest, family);
	s = own_socket(ctx, &who);
	return s ? udp_named(ctx, s, &who, &dest) : tell_lone(ctx, &who, &dest);
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
		tell_slot_close(s, slot);
		slot->id = 0;
	}
	return ALLOW;
}
