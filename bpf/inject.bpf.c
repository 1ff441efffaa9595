// SPDX-License-Identifier: GPL-2.0-or-later
/* How the tree gets at processes outside it: ptrace, and signals to linnet itself. There is no hook
 * on ptrace, so it is seen by what follows: the stop that PTRACE_ATTACH sends, the word that a
 * stopped victim sends its tracer, the tracer's wait, the victim's fork (on_fork), and a sweep. */
#include "channel.bpf.h"
#include "syscall.bpf.h"
#include "victim.bpf.h"

#define SIGSTOP              19
#define TRACE_SIGNAL_IGNORED 1 /* include/trace/events/signal.h */
#define KERNEL_INFO_MAX      1 /* include/linux/sched/signal.h, SEND_SIG_PRIV: no siginfo */
#define SI_USER              0
#define SI_QUEUE             -1
#define SI_TKILL             -6
#define VICTIMS_MAX          16

/* Whether a program asked for this signal: a timer or a child's end is none of its doing. A program
 * can write any negative code itself, so the call that it is in decides, where it is known. */
static __always_inline bool is_sent(const struct kernel_siginfo *info, const struct call *c)
{
	int code;

	if ((unsigned long)info <= KERNEL_INFO_MAX)
		return false;
	if (c->known)
		return c->number == CALL_KILL || c->number == CALL_TKILL ||
		       c->number == CALL_TGKILL || c->number == CALL_RT_SIGQUEUEINFO ||
		       c->number == CALL_RT_TGSIGQUEUEINFO || c->number == CALL_PIDFD_SEND_SIGNAL;
	code = BPF_CORE_READ(info, si_code);
	return code == SI_USER || code == SI_QUEUE || code == SI_TKILL;
}

static __always_inline void attacked(const struct ln_abi_task *owner, struct task_struct *me,
				     const struct task_struct *target, int sig,
				     const struct kernel_siginfo *info)
{
	struct ln_abi_channel_event *ev;
	struct call call = {};

	current_call(me, &call);
	if (!is_sent(info, &call))
		return;
	ev = channel_begin(LN_ABI_ATTACK, owner->agent, me->tgid, me->pid);
	if (!ev)
		return;
	ev->number = sig;
	ev->syscall = call_word(&call);
	ev->other.pid = BPF_CORE_READ(target, tgid);
	BPF_CORE_READ_STR_INTO(&ev->other.comm, target, comm);
	emit_submit(ev, true);
}

/* After the permission check, in the sender's context. A stopped victim sends its tracer SIGCHLD
 * itself; at PTRACE_ATTACH the tracer sends the victim SIGSTOP, when the two are linked already. */
SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal, int sig, struct kernel_siginfo *info, struct task_struct *target, int group,
	     int result)
{
	struct task_struct *me = bpf_get_current_task_btf();
	const struct ln_abi_task *owner = tracked(me->tgid);
	__u32 pid;

	if (!owner) {
		if (me->ptrace)
			take_if_traced(me);
		return 0;
	}
	if (sig == SIGSTOP)
		take_if_traced(target);
	pid = target->tgid;
	if (result != TRACE_SIGNAL_IGNORED && bpf_map_lookup_elem(&ourselves, &pid))
		attacked(owner, me, target, sig, info);
	return 0;
}

/* Takes the victim that `link` belongs to; returns the next link. A global function: the verifier
 * checks it once, not each round. */
__noinline __u64 take_linked(__u64 link)
{
	const struct list_head *at = (const void *)link;

	take_if_traced(
	    (const void *)(link - bpf_core_field_offset(struct task_struct, ptrace_entry)));
	return (__u64)BPF_CORE_READ(at, next);
}

/* A tracer that waits: PTRACE_SEIZE stops nothing by itself, and SIGCHLD can be switched off.
 * Others pay one compare, that of a list with its head. */
SEC("tp_btf/sched_process_wait")
int BPF_PROG(on_wait, struct pid *pid)
{
	struct task_struct *me = bpf_get_current_task_btf();
	__u64 head = (__u64)me + bpf_core_field_offset(struct task_struct, ptraced);
	__u64 at = (__u64)BPF_CORE_READ(me, ptraced.next);

	if (at == head || !tracked(me->tgid))
		return 0;
	for (int i = 0; i < VICTIMS_MAX && at && at != head; i++)
		at = take_linked(at);
	return 0;
}

/* Marks what the tree makes itself. A ring of somebody else may get the address of an old one. */
SEC("tp_btf/io_uring_create")
int BPF_PROG(on_ring_create, int fd, void *made)
{
	const struct ln_abi_task *owner = tracked(bpf_get_current_pid_tgid() >> 32);
	__u64 ring = (__u64)made;

	if (owner)
		bpf_map_update_elem(&rings, &ring, &owner->agent, BPF_ANY);
	else
		bpf_map_delete_elem(&rings, &ring);
	return 0;
}
