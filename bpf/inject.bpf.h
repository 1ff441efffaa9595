/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process outside the tree that does the tree's work, because a process of the tree traces it. */
#ifndef LINNET_INJECT_BPF_H
#define LINNET_INJECT_BPF_H

#include "maps.bpf.h"

/* The process of the tree that traces the current one; NULL: none. One field read for a process
 * that nobody traces. */
static __always_inline const struct ln_abi_task *tracer_of_current(__u32 *ret_pid)
{
	const struct ln_abi_task *tracer;
	const struct task_struct *task;
	__u32 pid;

	if (!cfg_has_current_task)
		return 0;
	task = bpf_get_current_task_btf();
	if (!task->ptrace)
		return 0;
	pid = BPF_CORE_READ(task, parent, tgid);
	tracer = bpf_map_lookup_elem(&tasks, &pid);
	if (tracer)
		*ret_pid = pid;
	return tracer;
}

/* The current process as somebody who has a part in it. */
static __always_inline void party_of_current(struct ln_abi_party *ret)
{
	ret->pid = bpf_get_current_pid_tgid() >> 32;
	if (cfg_has_current_task)
		bpf_probe_read_kernel(ret->comm, sizeof(ret->comm),
				      bpf_get_current_task_btf()->comm);
}

/* Whether a process joined the tree alive just now: what it holds was there before. Two sweeps,
 * because the first may be under way. */
static __always_inline bool is_newcomer(__u32 pid)
{
	const __u32 *joined = bpf_map_lookup_elem(&newcomers, &pid);

	return joined && *joined + 2 >= sweep_number;
}

#endif
