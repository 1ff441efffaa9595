// SPDX-License-Identifier: GPL-2.0-or-later
/* Binding, at the cgroup root: whose a bound socket is, and which UDP sockets are servers. None of
 * these ever refuses. What listens on TCP is seen in tcp.bpf.c. */
#include "listen.bpf.h"

/* Whether the caller asks for a port: after the bind nobody can tell. */
static __always_inline int handle_bind(struct bpf_sock_addr *ctx)
{
	const struct ln_abi_task *owner;
	struct sock_state *s;
	__u64 pid_tgid;

	owner = current_owner(&pid_tgid);
	if (!owner || ctx->protocol != IPPROTO_UDP || !ctx->sk)
		return ALLOW;
	s = bpf_sk_storage_get(&socks, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s) {
		count_lost(LN_ABI_LOST_SOCKETS);
		return ALLOW;
	}
	s->bind_port = bpf_ntohs(ctx->user_port);
	return ALLOW;
}

SEC("cgroup/bind4")
int on_bind4(struct bpf_sock_addr *ctx)
{
	return handle_bind(ctx);
}

SEC("cgroup/bind6")
int on_bind6(struct bpf_sock_addr *ctx)
{
	return handle_bind(ctx);
}

/* The sockets of others are marked only where a loopback datagram could find them: a resolver that
 * binds a port for each question does not pay. */
static __always_inline bool outsider_matters(const struct ln_abi_flow *local)
{
	const __u64 *words = (const __u64 *)local->local;

	if (local->proto != IPPROTO_UDP)
		return false;
	if (addr_is_loopback(local->family, local->local))
		return true;
	return !words[0] && !words[1] && local->local_port <= UDP_SERVER_PORT_MAX;
}

static __always_inline int handle_post_bind(struct bpf_sock *sk, struct ln_abi_flow *local)
{
	const struct ln_abi_task *owner;
	struct sock_state *s;
	__u64 pid_tgid, cookie;

	owner = current_owner(&pid_tgid);
	local->proto = sk->protocol;
	local->local_port = sk->src_port;
	if (!owner) {
		if (outsider_matters(local))
			mark_outside(sk, pid_tgid >> 32, cfg_cgroup_comm);
		return ALLOW;
	}
	s = bpf_sk_storage_get(&socks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s) {
		count_lost(LN_ABI_LOST_SOCKETS);
		return ALLOW;
	}
	set_owner(&s->owner, owner, pid_tgid);
	cookie = bpf_get_socket_cookie(sk);
	if (sk->protocol == IPPROTO_TCP)
		s->cookie = cookie; /* its own, not a listener's: see was_accepted */
	if (sk->protocol != IPPROTO_UDP)
		return ALLOW;
	bpf_map_update_elem(&tree_listeners, &cookie, &owner->agent, BPF_ANY);
	/* A DNS server is one also where the kernel chose the port. */
	if (!s->bind_port && !is_dns_port(local->local_port))
		return ALLOW;
	local->netns = bpf_get_netns_cookie(sk);
	s->listens = 1;
	tell_listen(&s->owner, local, cookie, sk->family, 0);
	return ALLOW;
}

SEC("cgroup/post_bind4")
int on_post_bind4(struct bpf_sock *sk)
{
	struct ln_abi_flow local = {.family = 4};

	*(__u32 *)local.local = sk->src_ip4;
	return handle_post_bind(sk, &local);
}

SEC("cgroup/post_bind6")
int on_post_bind6(struct bpf_sock *sk)
{
	struct ln_abi_flow local = {.family = 6};
	__u32 *words = (__u32 *)local.local;

	words[0] = sk->src_ip6[0];
	words[1] = sk->src_ip6[1];
	words[2] = sk->src_ip6[2];
	words[3] = sk->src_ip6[3];
	return handle_post_bind(sk, &local);
}

/* Marks the listeners from before the watch, once for the whole host. Who holds one beside the tree
 * is an outsider to it; a mark goes when its process has become the tree's. */
SEC("iter/task_file")
int on_mark_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct ln_abi_flow local = {};
	struct ln_abi_party *mark;
	struct socket *socket;
	struct sock *sk;
	__u32 pid;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || !socket_listens(sk))
		return 0;
	pid = task->tgid;
	mark = bpf_sk_storage_get(&outside_listeners, sk, 0, 0);
	if (bpf_map_lookup_elem(&tasks, &pid)) {
		if (mark && mark->pid == pid)
			bpf_sk_storage_delete(&outside_listeners, sk);
		return 0;
	}
	local_addr(sk, &local);
	local.local_port = sk->__sk_common.skc_num;
	local.proto = sk->sk_protocol;
	if (mark || (local.proto == IPPROTO_UDP && !outsider_matters(&local)))
		return 0;
	mark = bpf_sk_storage_get(&outside_listeners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!mark) {
		count_lost(LN_ABI_LOST_SOCKETS);
		return 0;
	}
	mark->pid = pid;
	bpf_probe_read_kernel_str(mark->comm, sizeof(mark->comm), task->comm);
	return 0;
}
