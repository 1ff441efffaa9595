// SPDX-License-Identifier: GPL-2.0-or-later
/* Every send of the host, of whatever family, in the context of the sender: dear, so only on
 * request. Finds at once what a sweep finds within a second or so. */
#include "stranger.bpf.h"

static __always_inline void sent_by_tree(struct sock *sk, const struct ln_abi_task *owner,
					 __u64 pid_tgid)
{
	__u64 cookie = bpf_get_socket_cookie(sk);
	struct sighted_key key = {.id = cookie, .agent = owner->agent, .sight = SIGHT_SOCKET};
	enum ln_abi_channel channel = channel_of_socket(sk, cookie, owner->agent);
	struct ln_abi_channel_event *ev;

	if (!channel || was_sighted(&key, true))
		return;
	/* Its own, from before: the walk that follows tells it. */
	if (is_newcomer(pid_tgid >> 32))
		return;
	set_sighted(&key);
	if (channel != LN_ABI_SOCKET_RECEIVED &&
	    was_announced(owner->agent, channel, sk->__sk_common.skc_family))
		return;
	ev = channel_begin(channel, owner->agent, pid_tgid >> 32, pid_tgid);
	if (!ev)
		return;
	fill_socket(ev, sk, cookie);
	emit_submit(ev, true);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(on_send, struct sock *sk, int ret, int flags)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	const struct ln_abi_task *owner = tracked(pid_tgid >> 32);

	if (owner && ret >= 0)
		sent_by_tree(sk, owner, pid_tgid);
	return 0;
}
