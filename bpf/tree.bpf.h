/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tracked tree: the only way into `tasks` and out of it, and who is kin to it. */
#ifndef LINNET_TREE_BPF_H
#define LINNET_TREE_BPF_H

#include "emit.bpf.h"

#define PID_LEVELS_MAX 32 /* include/linux/pid_namespace.h, MAX_PID_NS_LEVEL */

/* False: no room, counted. */
static __always_inline bool tree_add(__u32 pid, const struct ln_abi_task *task)
{
	long r = bpf_map_update_elem(&tasks, &pid, task, BPF_NOEXIST);

	if (r == 0)
		__sync_fetch_and_add(&tasks_living, 1);
	else if (r == -EEXIST)
		r = bpf_map_update_elem(&tasks, &pid, task, BPF_EXIST);
	if (r)
		count_lost(LN_ABI_LOST_TASKS);
	return r == 0;
}

static __always_inline void tree_remove(__u32 pid)
{
	if (bpf_map_delete_elem(&tasks, &pid) == 0)
		__sync_fetch_and_add(&tasks_living, -1);
}

/* The number that the process has for itself: in the deepest of its pid namespaces. */
static __always_inline __u32 ns_pid(const struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level) & (PID_LEVELS_MAX - 1);
	/* By hand: an index that is no constant would be taken with the size of our own type. */
	__u64 at = (__u64)pid + bpf_core_field_offset(struct pid, numbers) +
		   level * bpf_core_type_size(struct upid) + bpf_core_field_offset(struct upid, nr);
	__u32 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), (const void *)at);
	return number;
}

/* Tasks are given as plain numbers: a global function takes no pointer to one. */

/* Whose the task is, by its living ancestors, its session, its process group or its cgroup: the
 * agent, and enum ln_abi_kin in the upper half; 0: nobody's. */
__u64 kin_find(__u64 task);
/* Takes the task in: 1, or 0 when it was there, is ending, or has no room. `left`: its parent is
 * ending, so this is also written into `lineage`. */
int kin_take(__u64 task, __u64 kin, __u32 parent, __u32 left);
/* The thread is ending: its children lose the link to the tree. */
int kin_leave(__u64 task, __u64 kin);

#endif
