// SPDX-License-Identifier: GPL-2.0-or-later
/* Where the tree makes a socket, at the cgroup root, in the context of the maker: the socket gets
 * its mark here, so that one without a mark is known to come from outside. Only inet sockets pass
 * here, and only those that no part of the kernel makes for itself. In block mode the tree makes no
 * others than TCP and UDP: for what it sends by those no hook can refuse one destination. */
#include "channel.bpf.h"
#include "permit.bpf.h"

/* Connect finds the entry and only fills it in. */
static __always_inline void mark_tcp(struct bpf_sock *sk, const struct owner *owner)
{
	struct tcp_flow f = {.owner = *owner, .sock = (__u64)sk};
	__u64 cookie = bpf_get_socket_cookie(sk);

	if (bpf_map_update_elem(&tcp_flows, &cookie, &f, BPF_NOEXIST))
		count_lost(LN_ABI_LOST_MARKS);
}

static __always_inline void mark_other(struct bpf_sock *sk, const struct owner *owner)
{
	struct sock_state *s = bpf_sk_storage_get(&socks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!s) {
		count_lost(LN_ABI_LOST_MARKS);
		return;
	}
	s->cookie = bpf_get_socket_cookie(sk);
	s->netns = bpf_get_netns_cookie(sk);
	s->owner = *owner;
}

static __always_inline void tell_socket(struct bpf_sock *sk, const struct owner *owner,
					enum ln_abi_channel channel, __u16 flags)
{
	struct ln_abi_channel_event *ev = emit_reserve(struct ln_abi_channel_event);

	if (!ev)
		return;
	__builtin_memset(ev, 0, sizeof(*ev));
	fill_header(&ev->h, LN_ABI_CHANNEL, owner->agent, bpf_ktime_get_ns(), owner->pid,
		    owner->tid);
	ev->channel = channel;
	ev->how = LN_ABI_BY_TASK;
	ev->family = sk->family;
	ev->type = sk->type;
	ev->number = sk->protocol;
	ev->cookie = bpf_get_socket_cookie(sk);
	ev->flags = flags;
	emit_submit(ev, true);
}

static __always_inline bool is_followed(__u32 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ||
	       protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 || protocol == IPPROTO_MPTCP;
}

SEC("cgroup/sock_create")
int on_sock_create(struct bpf_sock *sk)
{
	const struct ln_abi_task *task;
	struct owner owner;
	__u64 pid_tgid;

	task = current_owner(&pid_tgid);
	if (!task)
		return ALLOW;
	set_owner(&owner, task, pid_tgid);
	if (cfg_blocks && !is_judged(sk)) {
		tell_socket(sk, &owner,
			    sk->type == SOCK_RAW ? LN_ABI_RAW_SOCKET : LN_ABI_OTHER_SOCKET,
			    block_flags());
		if (!cfg_dry_run)
			return REFUSE;
		mark_other(sk, &owner);
	} else if (sk->type == SOCK_RAW) {
		mark_other(sk, &owner);
		tell_socket(sk, &owner, LN_ABI_RAW_SOCKET, 0);
	} else if (sk->protocol == IPPROTO_TCP) {
		mark_tcp(sk, &owner);
	} else {
		mark_other(sk, &owner);
		if (!is_followed(sk->protocol))
			tell_socket(sk, &owner, LN_ABI_OTHER_SOCKET, 0);
	}
	return ALLOW;
}
