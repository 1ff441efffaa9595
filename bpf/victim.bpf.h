/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process outside the tree into which the tree reaches: it is the tree's from then on. */
#ifndef LINNET_VICTIM_BPF_H
#define LINNET_VICTIM_BPF_H

#include "cgroup.bpf.h"
#include "channel.bpf.h"
#include "inject.bpf.h"
#include "tree.bpf.h"

static __always_inline const struct ln_abi_task *tracked(__u32 pid)
{
	return bpf_map_lookup_elem(&tasks, &pid);
}

/* It has gone through on_exit, or is about to: what is put into `tasks` now nobody removes. */
static __always_inline bool is_over(const struct task_struct *task)
{
	return BPF_CORE_READ(task, signal, live.counter) <= 0;
}

/* `by` is one of the tree's tasks. Told once for each victim: a process that is tracked already, of
 * whichever agent, is none, and so is one that has ended and that its tracer has not waited for. */
static __always_inline void take_victim(const struct ln_abi_task *owner,
					const struct task_struct *by,
					const struct task_struct *victim)
{
	__u32 pid = BPF_CORE_READ(victim, tgid), by_pid = BPF_CORE_READ(by, tgid);
	struct ln_abi_task own = {.agent = owner->agent, .parent = by_pid};
	struct ln_abi_channel_event *ev;
	__u32 joined = sweep_number;
	long r;

	if (is_over(victim))
		return;
	own.since_ns = bpf_ktime_get_ns();
	r = bpf_map_update_elem(&tasks, &pid, &own, BPF_NOEXIST);
	if (r) {
		if (r != -EEXIST)
			count_lost(LN_ABI_LOST_TASKS);
		return;
	}
	__sync_fetch_and_add(&tasks_living, 1);
	bpf_map_update_elem(&newcomers, &pid, &joined, BPF_ANY);
	if (is_over(victim)) { /* meanwhile */
		tree_remove(pid);
		return;
	}
	ev = channel_begin(LN_ABI_INJECTION, own.agent, by_pid, BPF_CORE_READ(by, pid));
	if (!ev)
		return;
	ev->other.pid = pid;
	BPF_CORE_READ_STR_INTO(&ev->other.comm, victim, comm);
	emit_submit(ev, true);
	cgroup_tell((__u64)BPF_CORE_READ(victim, group_leader), own.agent, true);
}

/* Takes `victim` when a process of the tree traces it. One field read for what nobody traces. */
static __always_inline void take_if_traced(const struct task_struct *victim)
{
	const struct ln_abi_task *owner;
	const struct task_struct *tracer;

	if (!BPF_CORE_READ(victim, ptrace))
		return;
	tracer = BPF_CORE_READ(victim, parent);
	owner = tracked(BPF_CORE_READ(tracer, tgid));
	if (owner)
		take_victim(owner, tracer, victim);
}

#endif
