// SPDX-License-Identifier: GPL-2.0-or-later
/* What open flows have sent so far: a walk over the descriptors of the tree, each second or so.
 * Loaded only for a policy that limits bytes, so that nobody else pays for it; and no packet does.
 */
#include "flow.bpf.h"

/* What was told of a flow last. Full: the least used goes, and is told once more. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* flow id */
	__type(value, __u64);
} progress __weak SEC(".maps");

/* How many flows may still be told of in this walk; the others have their turn in the next one,
 * and nothing is lost by that. User space. */
__u32 progress_left __weak = 0;

static __always_inline bool is_news(__u64 id, __u64 sent)
{
	__u64 *told = bpf_map_lookup_elem(&progress, &id);

	if (told ? *told == sent : !sent)
		return false;
	if (!progress_left)
		return false;
	progress_left--;
	bpf_map_update_elem(&progress, &id, &sent, BPF_ANY);
	return true;
}

static __always_inline void tell_progress(const struct owner *o, const struct ln_abi_flow *flow,
					  __u64 open_ns, __u64 sent)
{
	struct ln_abi_flow_close *ev = emit_reserve(struct ln_abi_flow_close);

	if (!ev)
		return;
	__builtin_memset(ev, 0, sizeof(*ev));
	fill_header(&ev->h, LN_ABI_FLOW_PROGRESS, o->agent, bpf_ktime_get_ns(), o->pid, o->tid);
	ev->flow = *flow;
	ev->open_ns = open_ns;
	ev->tx_bytes = sent;
	emit_submit(ev, false);
}

static __always_inline void tcp_progress(struct sock *sk)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u64 cookie = bpf_get_socket_cookie(sk), sent;
	const struct tcp_flow *f = bpf_map_lookup_elem(&tcp_flows, &cookie);

	if (!f || !f->open || !tp)
		return;
	sent = tp->bytes_sent - tp->bytes_retrans;
	if (is_news(f->flow.id, sent))
		tell_progress(&f->owner, &f->flow, f->open_ns, sent);
}

static __always_inline void udp_progress(struct sock *sk)
{
	const struct sock_state *s = bpf_sk_storage_get(&socks, sk, 0, 0);
	struct udp_flows *u = bpf_sk_storage_get(&udp_flows, sk, 0, 0);
	struct ln_abi_flow flow;

	if (!s || !u)
		return;
	for (int i = 0; i < LN_ABI_UDP_SLOTS; i++) {
		const struct udp_slot *slot = &u->slots[i];

		if (!slot->id || !is_news(slot->id, slot->tx_bytes))
			continue;
		flow_from_slot(&flow, s, slot);
		tell_progress(&s->owner, &flow, slot->open_ns, slot->tx_bytes);
	}
}

SEC("iter/task_file")
int on_progress(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct sock *sk;
	__u32 pid;

	if (!task || !file)
		return 0;
	pid = task->tgid;
	if (!bpf_map_lookup_elem(&tasks, &pid))
		return 0;
	socket = bpf_sock_from_file(file);
	sk = socket ? socket->sk : 0;
	if (!sk ||
	    (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6))
		return 0;
	if (sk->sk_protocol == IPPROTO_TCP)
		tcp_progress(sk);
	else
		udp_progress(sk);
	return 0;
}
