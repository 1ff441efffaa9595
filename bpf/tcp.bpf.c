// SPDX-License-Identifier: GPL-2.0-or-later
/* The life of TCP connections: listening, established, accepted, and their ends with what they
 * carried. Often in softirq, where the current task is somebody else. */
#include "listen.bpf.h"

static __always_inline enum ln_abi_outcome tcp_outcome(const struct tcp_sock *tp, int err,
						       bool inbound)
{
	/* The SYN counts: none came back, nothing was ever acknowledged. That of a connection that
	 * was accepted does not. */
	if (tp->bytes_acked || inbound) {
		if (err == ECONNRESET || err == EPIPE)
			return LN_ABI_OUTCOME_RESET;
		if (err == ETIMEDOUT)
			return LN_ABI_OUTCOME_TIMED_OUT;
		return LN_ABI_OUTCOME_CONNECTED;
	}
	if (err == ECONNREFUSED)
		return LN_ABI_OUTCOME_REFUSED;
	if (err == ETIMEDOUT)
		return LN_ABI_OUTCOME_TIMED_OUT;
	if (err == EHOSTUNREACH || err == ENETUNREACH || !tp->segs_out)
		return LN_ABI_OUTCOME_UNREACHABLE;
	return LN_ABI_OUTCOME_ABORTED;
}

/* The port that the socket was bound to: skc_num is gone by now (inet_put_port). */
static __always_inline void local_from_socket(const struct sock *sk, const struct tcp_sock *tp,
					      struct ln_abi_flow *flow)
{
	flow->local_port = bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport);
	if (flow->family == 4)
		*(__u32 *)flow->local = sk->__sk_common.skc_rcv_saddr;
	else
		bpf_core_read(flow->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
}

/* A FIN that came in takes one number of the sequence space, and bytes_received counts it
 * (net/ipv4/tcp_input.c, tcp_rcv_nxt_update); tcp_fin leaves SOCK_DONE behind. */
static __always_inline __u64 tcp_received(const struct sock *sk, const struct tcp_sock *tp)
{
	bool fin = sk->__sk_common.skc_flags & 1UL << SOCK_DONE;

	return tp->bytes_received && fin ? tp->bytes_received - 1 : tp->bytes_received;
}

static __always_inline void tcp_closed(struct sock *sk, struct tcp_flow *f)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	enum ln_abi_outcome outcome = LN_ABI_OUTCOME_ABORTED;
	struct flow_counts counts = {.open_ns = f->open_ns};

	if (tp) {
		counts.tx_bytes =
		    tp->bytes_sent - tp->bytes_retrans; /* without what was sent twice */
		counts.rx_bytes = tcp_received(sk, tp);
		counts.tx_packets = tp->segs_out;
		counts.rx_packets = tp->segs_in;
		local_from_socket(sk, tp, &f->flow);
		outcome = tcp_outcome(tp, sk->sk_err, f->flow.flags & LN_ABI_FLOW_INBOUND);
	}
	f->open = 0;
	tell_close(&f->owner, &f->flow, &counts, outcome);
}

/* A listener gets its mark; also one that was never bound by name, and has no port yet. */
static __always_inline void tcp_listens(struct sock *sk)
{
	struct ln_abi_flow local = {.proto = IPPROTO_TCP};
	const struct ln_abi_task *task;
	struct sock_state *s;
	__u64 pid_tgid, cookie;

	task = current_owner(&pid_tgid);
	if (!task) {
		mark_outside(sk, pid_tgid >> 32, true);
		return;
	}
	cookie = bpf_get_socket_cookie(sk);
	bpf_map_update_elem(&tree_listeners, &cookie, &task->agent, BPF_ANY);
	s = bpf_sk_storage_get(&socks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s) {
		count_lost(LN_ABI_LOST_SOCKETS);
		return;
	}
	if (!s->cookie)
		s->cookie = sk->__sk_common.skc_cookie.counter;
	set_owner(&s->owner, task, pid_tgid);
	s->cookie = cookie;
	local_addr(sk, &local);
	local.local_port = sk->__sk_common.skc_num;
	local.netns = socket_netns(sk);
	s->listens = 1;
	tell_listen(&s->owner, &local, cookie, sk->__sk_common.skc_family, 0);
}

/* A socket that nobody asked for its cookie is none of ours: one read for all others. */
static __always_inline struct tcp_flow *tcp_find(const struct sock *sk, __u64 *cookie)
{
	*cookie = sk->__sk_common.skc_cookie.counter;
	return *cookie ? bpf_map_lookup_elem(&tcp_flows, cookie) : 0;
}

/* A connect that was answered. Of a connection that the tree makes to itself, the client's end is
 * known before the other one. */
static __always_inline void tcp_reached(struct sock *sk)
{
	struct tree_client key;
	struct tcp_flow *f;
	__u64 cookie;
	__u8 one = 1;

	f = tcp_find(sk, &cookie);
	if (!f)
		return;
	f->established = 1;
	if (!(f->flow.flags & LN_ABI_FLOW_SAME_TREE))
		return;
	local_addr(sk, &f->flow);
	f->flow.local_port = sk->__sk_common.skc_num;
	tree_client_key(&f->flow, f->owner.agent, true, &key);
	bpf_map_update_elem(&tree_clients, &key, &one, BPF_ANY);
}

/* Nobody accepted it, and its port may be an outsider's next. */
static __always_inline void tree_client_ended(const struct tcp_flow *f)
{
	struct tree_client key;

	if ((f->flow.flags & (LN_ABI_FLOW_SAME_TREE | LN_ABI_FLOW_INBOUND)) !=
	    LN_ABI_FLOW_SAME_TREE)
		return;
	tree_client_key(&f->flow, f->owner.agent, true, &key);
	bpf_map_delete_elem(&tree_clients, &key);
}

/* The mark that an accepted connection of the tree inherited; one read for all others. */
static __always_inline const struct sock_state *accepted_mark(struct sock *sk)
{
	const struct sock_state *s;

	if (!BPF_CORE_READ(sk, sk_bpf_storage))
		return 0;
	s = bpf_sk_storage_get(&socks, sk, 0, 0);
	return s && s->owner.agent ? s : 0;
}

static __always_inline void tcp_accepted(struct sock *sk)
{
	const struct sock_state *s = accepted_mark(sk);
	struct tcp_flow f;
	__u64 cookie;

	if (!s)
		return;
	inbound_flow(sk, &s->owner, 0, &f);
	cookie = f.flow.id >> 16;
	/* It is there: not accepted, but a connect that met another one. */
	if (bpf_map_lookup_elem(&tcp_flows, &cookie))
		return;
	if (bpf_map_update_elem(&tcp_flows, &cookie, &f, BPF_NOEXIST)) {
		count_lost(LN_ABI_LOST_SOCKETS);
		f.flow.flags |= LN_ABI_FLOW_UNCOUNTED;
	}
	tell_inbound(&f.owner, &f.flow, f.open_ns);
}

/* An accepted connection whose beginning on_tcp_state did not see: nobody asked for its cookie. */
static __always_inline void tcp_accepted_unseen(struct sock *sk)
{
	const struct sock_state *s;
	struct tcp_flow f;

	if (sk->__sk_common.skc_cookie.counter || !sk->__sk_common.skc_dport)
		return;
	s = accepted_mark(sk);
	if (!s)
		return;
	inbound_flow(sk, &s->owner, 0, &f);
	tell_inbound(&f.owner, &f.flow, f.open_ns);
	tcp_closed(sk, &f);
}

/* The move to TCP_CLOSE happens exactly once in the life of a connection, however it ends, and the
 * counters are still there (net/ipv4/tcp.c, tcp_set_state; inet_csk_listen_start). */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_tcp_state, struct sock *sk, int from, int to)
{
	struct tcp_flow *f;
	__u64 cookie;

	if (to == BPF_TCP_LISTEN && cfg_has_sock_trace)
		tcp_listens(sk);
	else if (to == BPF_TCP_ESTABLISHED && from == BPF_TCP_SYN_SENT)
		tcp_reached(sk);
	else if (cfg_has_sock_trace && to == BPF_TCP_ESTABLISHED && from == BPF_TCP_SYN_RECV)
		tcp_accepted(sk);
	if (to != BPF_TCP_CLOSE)
		return 0;
	f = tcp_find(sk, &cookie);
	if (f && f->open)
		tcp_closed(sk, f);
	return 0;
}

/* What had no move to CLOSE: a connect that failed before its SYN. And what had one that
 * on_tcp_state did not see, because softirq interrupted it at work on this CPU and the kernel runs
 * no tracing program inside itself (kernel/trace/bpf_trace.c, __bpf_trace_run). This one can be
 * interrupted as well (__tcp_close works off the backlog with softirq on): on_unseen_ends. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(on_tcp_destroy, struct sock *sk)
{
	struct tcp_flow *f;
	__u64 cookie;

	f = tcp_find(sk, &cookie);
	if (!f) {
		if (cfg_has_sock_trace)
			tcp_accepted_unseen(sk);
		return 0;
	}
	if (f->open)
		tcp_closed(sk, f);
	tree_client_ended(f);
	bpf_map_delete_elem(&tcp_flows, &cookie);
	return 0;
}

/* The address may belong to another socket by now, which has another cookie, or to none: the memory
 * of TCP sockets stays readable (SLAB_TYPESAFE_BY_RCU), and what cannot be read is zero. */
static __always_inline bool tcp_is_gone(__u64 sock, __u64 cookie)
{
	const struct sock *sk = (const struct sock *)sock;

	return (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) != cookie ||
	       !BPF_CORE_READ(sk, __sk_common.skc_refcnt.refs.counter);
}

static long tell_unseen_end(struct bpf_map *map, const __u64 *key, struct tcp_flow *f, void *unused)
{
	struct flow_counts counts = {};
	__u64 cookie = *key, sock = f->sock;

	if (!sock || !tcp_is_gone(sock, cookie))
		return 0;
	/* Its end may have been shown meanwhile, and the entry taken for another socket. */
	if (bpf_map_lookup_elem(&tcp_flows, &cookie) != f)
		return 0;
	if (f->open) {
		counts.open_ns = f->open_ns;
		f->flow.flags |= LN_ABI_FLOW_UNCOUNTED;
		tell_close(&f->owner, &f->flow, &counts,
			   f->established ? LN_ABI_OUTCOME_CONNECTED : LN_ABI_OUTCOME_NONE);
	}
	tree_client_ended(f);
	bpf_map_delete_elem(&tcp_flows, &cookie);
	return 0;
}

/* Entries whose socket is gone: their end was shown to neither program above. Run by the sensor now
 * and then, and at the end; see ONCE_A_RUN. */
SEC("iter/bpf_map")
int on_unseen_ends(struct bpf_iter__bpf_map *ctx)
{
	if (ONCE_A_RUN(ctx))
		bpf_for_each_map_elem(&tcp_flows, tell_unseen_end, 0, 0);
	return 0;
}
