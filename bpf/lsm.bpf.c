// SPDX-License-Identifier: GPL-2.0-or-later
/* What kernels with BPF LSM add: the moment at which a descriptor is passed, at which one process
 * reaches into another, at which a socket of any family is made. And, when asked for, the guard:
 * the tree may not touch linnet itself. All of these run after the kernel's own checks: what gets
 * here is allowed. A program that is switched off by user space is one whose other hook is there.
 */
#include "channel.bpf.h"
#include "stranger.bpf.h"
#include "syscall.bpf.h"
#include "victim.bpf.h"

#define EPERM              1
#define PTRACE_MODE_ATTACH 0x02 /* include/linux/ptrace.h */
#define SOCK_TYPE_MASK     0xf  /* include/linux/net.h */

/* 1: refuse what would touch linnet; set before load. */
const volatile __u32 cfg_guard __weak = 0;
/* Ids of linnet's own maps, programs and links. Written by user space. */
struct own_object {
	__u32 kind; /* the bpf command that opens one by its id */
	__u32 id;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct own_object);
	__type(value, __u8);
} own_objects __weak SEC(".maps");

/* clang makes the negative of a truth value of a choice between -EPERM and 0, and then since Linux
 * 6.12 the verifier no longer knows that the program returns one of them. */
static __always_inline int refusal(void)
{
	int error;

	asm volatile("%[error] = %[n]" : [error] "=r"(error) : [n] "i"(-EPERM));
	return error;
}

static __always_inline bool is_ours(__u32 pid)
{
	return bpf_map_lookup_elem(&ourselves, &pid);
}

/* Tells that the tree reached for linnet; returns what the hook is to return. */
static __always_inline int attacked(const struct ln_abi_task *owner, struct task_struct *me,
				    __u32 target, __u32 sig)
{
	struct ln_abi_channel_event *ev =
	    channel_begin(LN_ABI_ATTACK, owner->agent, me->tgid, me->pid);
	struct call call = {};

	if (ev) {
		current_call(me, &call);
		ev->number = sig;
		ev->syscall = call_word(&call);
		ev->other.pid = target;
		if (cfg_guard)
			ev->flags = LN_ABI_CHANNEL_REFUSED;
		emit_submit(ev, true);
	}
	return cfg_guard ? refusal() : 0;
}

/* Whether this access lets the caller change what the other process does. Reading its memory or
 * taking a descriptor of it is no injection; what is not known may be one. */
static __always_inline bool is_injection(struct task_struct *me)
{
	struct call call = {};

	current_call(me, &call);
	if (!call.known)
		return true;
	return !call_only_looks(&call) && call.number != CALL_PROCESS_VM_READV &&
	       call.number != CALL_KCMP && call.number != CALL_PIDFD_GETFD;
}

SEC("lsm/ptrace_access_check")
int BPF_PROG(on_lsm_ptrace, struct task_struct *child, unsigned int mode)
{
	struct task_struct *me = bpf_get_current_task_btf();
	const struct ln_abi_task *owner;

	if (!(mode & PTRACE_MODE_ATTACH))
		return 0;
	owner = tracked(me->tgid);
	if (!owner)
		return 0;
	/* Its memory holds the policy: with the guard nobody reads it. */
	if (is_ours(child->tgid))
		return cfg_guard || is_injection(me) ? attacked(owner, me, child->tgid, 0) : 0;
	if (!tracked(child->tgid) && is_injection(me))
		take_victim(owner, me, child);
	return 0;
}

/* For the guard only, as the next one: without it on_signal tells. */
SEC("lsm/task_kill")
int BPF_PROG(on_lsm_kill, struct task_struct *p, struct kernel_siginfo *info, int sig)
{
	struct task_struct *me;
	const struct ln_abi_task *owner;

	if (!sig || !is_ours(p->tgid))
		return 0;
	me = bpf_get_current_task_btf();
	owner = tracked(me->tgid);
	return owner ? attacked(owner, me, p->tgid, sig) : 0;
}

/* The one way to somebody else's map, program or link that has no name in a file system. */
SEC("lsm/bpf")
int BPF_PROG(on_lsm_bpf, int cmd, union bpf_attr *attr, unsigned int size)
{
	struct own_object object = {.kind = cmd};
	const struct ln_abi_task *owner;
	struct task_struct *me;

	if (cmd != BPF_MAP_GET_FD_BY_ID && cmd != BPF_PROG_GET_FD_BY_ID &&
	    cmd != BPF_LINK_GET_FD_BY_ID)
		return 0;
	me = bpf_get_current_task_btf();
	owner = tracked(me->tgid);
	if (!owner)
		return 0;
	bpf_probe_read_kernel(&object.id, sizeof(object.id), &attr->map_id);
	return bpf_map_lookup_elem(&own_objects, &object) ? attacked(owner, me, 0, 0) : 0;
}

/* A descriptor comes in by a UNIX socket or pidfd_getfd. */
SEC("lsm/file_receive")
int BPF_PROG(on_lsm_receive, struct file *file)
{
	struct task_struct *me = bpf_get_current_task_btf();
	const struct ln_abi_task *owner = tracked(me->tgid);
	struct ln_abi_channel_event *ev;
	enum ln_abi_channel channel;
	struct sighted_key key = {.sight = SIGHT_SOCKET};
	struct socket *socket;
	struct sock *sk;

	if (!owner)
		return 0;
	socket = bpf_sock_from_file(file);
	sk = socket ? socket->sk : 0;
	if (!sk)
		return 0;
	key.id = bpf_get_socket_cookie(sk);
	key.agent = owner->agent;
	channel = channel_of_socket(sk, key.id, owner->agent);
	if (!channel || was_sighted(&key, true))
		return 0;
	set_sighted(&key);
	ev = channel_begin(channel, owner->agent, me->tgid, me->pid);
	if (!ev)
		return 0;
	fill_socket(ev, sk, key.id);
	emit_submit(ev, true);
	return 0;
}

/* Families beside IP, where no capability check tells of them; in block mode they are refused. */
SEC("lsm/socket_create")
int BPF_PROG(on_lsm_socket, int family, int type, int protocol, int kern)
{
	struct task_struct *me;
	const struct ln_abi_task *owner;
	struct ln_abi_channel_event *ev;
	enum ln_abi_channel channel;

	if (kern || family == AF_INET || family == AF_INET6 || !leaves_host(family))
		return 0;
	me = bpf_get_current_task_btf();
	owner = tracked(me->tgid);
	if (!owner)
		return 0;
	channel =
	    family == AF_PACKET || family == AF_XDP ? LN_ABI_PACKET_SOCKET : LN_ABI_OTHER_SOCKET;
	announce(owner->agent, channel, family);
	ev = channel_begin(channel, owner->agent, me->tgid, me->pid);
	if (ev) {
		ev->family = family;
		ev->type = type & SOCK_TYPE_MASK;
		ev->number = protocol;
		ev->flags = block_flags();
		emit_submit(ev, true);
	}
	return cfg_blocks && !cfg_dry_run ? refusal() : 0;
}
