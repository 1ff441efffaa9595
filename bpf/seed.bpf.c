// SPDX-License-Identifier: GPL-2.0-or-later
/* Adoption: iterators that take what lived before the watch began. They run after the fork, exit
 * and connect hooks are live, and user space runs them until nothing new is found. */
#include "listen.bpf.h"
#include "tree.bpf.h"

/* Told through the iterator's own output, not the ring: user space reads it while it may still look
 * into /proc. */
SEC("iter/task")
int on_seed_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct ln_abi_seed record = {};
	__u64 at, kin;

	if (!task)
		return 0;
	record.pid = task->tgid;
	if (bpf_map_lookup_elem(&tasks, &record.pid))
		return 0;
	at = (__u64)BPF_CORE_READ(task, group_leader);
	kin = kin_find(at);
	record.parent = BPF_CORE_READ(task, real_parent, tgid);
	if (!kin || !kin_take(at, kin, record.parent, false))
		return 0;
	record.agent = kin;
	record.kin = kin >> 32;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

static __always_inline bool is_connected(unsigned char state)
{
	return state != BPF_TCP_CLOSE && state != BPF_TCP_LISTEN && state != BPF_TCP_TIME_WAIT;
}

static __always_inline bool tree_listens(const struct sock *sk, __u16 port)
{
	struct listen_key key = {.net = (__u64)BPF_CORE_READ(sk, __sk_common.skc_net.net),
				 .port = port};

	return bpf_map_lookup_elem(&listen_ports, &key);
}

static __always_inline void remember_listener(const struct sock *sk)
{
	struct listen_key key = {.net = (__u64)BPF_CORE_READ(sk, __sk_common.skc_net.net),
				 .port = sk->__sk_common.skc_num};
	__u8 one = 1;

	if (bpf_map_update_elem(&listen_ports, &key, &one, BPF_ANY))
		count_lost(LN_ABI_LOST_SOCKETS);
}

static __always_inline void seeded_flow(struct sock *sk, const struct owner *owner,
					struct tcp_flow *ret)
{
	__builtin_memset(ret, 0, sizeof(*ret));
	ret->owner = *owner;
	ret->generation = ret->open = 1;
	/* 0 while it is not answered; without a branch, which the verifier would follow twice. */
	ret->established = sk->__sk_common.skc_state ^ BPF_TCP_SYN_SENT;
	ret->sock = (__u64)sk;
	ret->open_ns = bpf_ktime_get_ns();
	ret->flow.id = flow_id(bpf_get_socket_cookie(sk), 1);
	ret->flow.netns = socket_netns(sk);
	ret->flow.proto = IPPROTO_TCP;
	ret->flow.flags = LN_ABI_FLOW_EXISTING;
	local_addr(sk, &ret->flow);
	remote_from_socket(sk, &ret->flow);
	ret->flow.local_port = sk->__sk_common.skc_num;
}

/* A loopback connection of the tree's own making: its other end may be the tree's too. */
static __always_inline void remember_client(struct sock *sk, const struct owner *owner)
{
	struct tree_client key;
	struct tcp_flow f;
	__u8 one = 1;

	seeded_flow(sk, owner, &f);
	if (!addr_is_loopback(f.flow.family, f.flow.remote))
		return;
	tree_client_key(&f.flow, owner->agent, true, &key);
	bpf_map_update_elem(&tree_clients, &key, &one, BPF_ANY);
}

/* A TCP connection that is open: told as existing, unless it has been told. */
static __always_inline void seed_tcp(struct sock *sk, const struct owner *owner)
{
	struct caller who = {.owner = *owner, .how = LN_ABI_BY_TASK};
	struct tcp_flow f;
	__u64 cookie;

	if (tree_listens(sk, sk->__sk_common.skc_num)) {
		inbound_flow(sk, owner, LN_ABI_FLOW_EXISTING, &f);
	} else {
		seeded_flow(sk, owner, &f);
		if (addr_is_loopback(f.flow.family, f.flow.remote) &&
		    tree_listens(sk, f.flow.remote_port))
			f.flow.flags |= LN_ABI_FLOW_SAME_TREE;
	}
	cookie = f.flow.id >> 16;
	if (bpf_map_lookup_elem(&tcp_flows, &cookie))
		return;
	if (bpf_map_update_elem(&tcp_flows, &cookie, &f, BPF_NOEXIST))
		count_lost(LN_ABI_LOST_MARKS);
	if (f.flow.flags & LN_ABI_FLOW_INBOUND)
		tell_inbound(&f.owner, &f.flow, f.open_ns);
	else
		tell_open(&who, &f.flow, 0, f.open_ns);
}

/* Any other TCP socket becomes the tree's too. */
static __always_inline void seed_idle_tcp(struct sock *sk, const struct owner *owner)
{
	struct tcp_flow f = {.owner = *owner, .sock = (__u64)sk};
	__u64 cookie = bpf_get_socket_cookie(sk);

	if (!bpf_map_lookup_elem(&tcp_flows, &cookie) &&
	    bpf_map_update_elem(&tcp_flows, &cookie, &f, BPF_NOEXIST))
		count_lost(LN_ABI_LOST_MARKS);
}

/* A connected UDP socket speaks up with its next datagram, if its packets are seen. If not, it is
 * told now, without counts or end. */
static __always_inline void seed_udp(const struct sock *sk, struct sock_state *s)
{
	struct ln_abi_flow dest = {.flags = LN_ABI_FLOW_EXISTING, .proto = IPPROTO_UDP};
	struct caller who = {.owner = s->owner, .how = LN_ABI_BY_TASK};

	if (!sk->__sk_common.skc_dport || s->connects)
		return;
	s->connects = 1;
	if (socket_is_covered(sk))
		return;
	s->uncounted = 1;
	remote_from_socket(sk, &dest);
	dest.local_port = sk->__sk_common.skc_num;
	tell_roomless(s, &who, &dest, 0);
}

/* A listener is told once. One that is held outside the tree too, or was made there, keeps that
 * mark; a UDP socket listens when it asked for its port. */
static __always_inline void seed_listener(struct sock *sk, struct sock_state *s)
{
	struct ln_abi_flow local = {.proto = sk->sk_protocol};
	__u64 cookie = bpf_get_socket_cookie(sk);

	bpf_map_update_elem(&tree_listeners, &cookie, &s->owner.agent, BPF_ANY);
	if (s->listens || (sk->sk_protocol == IPPROTO_UDP &&
			   !(BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK)))
		return;
	s->listens = 1;
	local_addr(sk, &local);
	local.local_port = sk->__sk_common.skc_num;
	local.netns = s->netns;
	tell_listen(&s->owner, &local, cookie, sk->__sk_common.skc_family, LN_ABI_CHANNEL_EXISTING);
}

SEC("iter/task_file")
int on_seed_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	const struct ln_abi_task *known;
	struct owner owner = {};
	struct sock_state *s;
	struct socket *socket;
	struct sock *sk;
	bool tcp;

	if (!task || !file)
		return 0;
	owner.pid = owner.tid = task->tgid;
	known = bpf_map_lookup_elem(&tasks, &owner.pid);
	if (!known)
		return 0;
	owner.agent = known->agent;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk ||
	    (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6))
		return 0;
	tcp = sk->sk_protocol == IPPROTO_TCP && socket->type != SOCK_RAW;
	if (tcp && is_connected(sk->__sk_common.skc_state)) {
		if (cfg_seed_pass == 0)
			remember_client(sk, &owner);
		else
			seed_tcp(sk, &owner);
		return 0;
	}
	if (cfg_seed_pass == 0) {
		if (tcp && socket_listens(sk))
			remember_listener(sk);
		return 0;
	}
	if (tcp)
		seed_idle_tcp(sk, &owner);
	if (tcp && !socket_listens(sk))
		return 0;
	s = bpf_sk_storage_get(&socks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s) {
		count_lost(LN_ABI_LOST_MARKS);
		return 0;
	}
	if (!s->cookie) {
		s->cookie = bpf_get_socket_cookie(sk);
		s->netns = socket_netns(sk);
	}
	if (!s->owner.pid)
		s->owner = owner;
	if (socket->type == SOCK_RAW)
		return 0;
	if (socket_listens(sk))
		seed_listener(sk, s);
	if (sk->sk_protocol == IPPROTO_UDP)
		seed_udp(sk, s);
	return 0;
}
