// SPDX-License-Identifier: GPL-2.0-or-later
/* Adoption under load. A living process of the tree is found by its parents. A link between the two
 * is only cut by a death, and on_exit runs before the kernel cuts it: then the children are taken
 * in, and the dead one is remembered in `lineage`. So from the moment that the root is registered
 * nobody gets lost, whatever forks or ends meanwhile. For links that were cut before there is the
 * session, the process group and the cgroup. */
#include "cgroup.bpf.h"
#include "tree.bpf.h"

#define DEPTH_MAX    64
#define CHILDREN_MAX 1024

static __always_inline __u32 agent_of(__u32 pid)
{
	const struct ln_abi_task *task = bpf_map_lookup_elem(&tasks, &pid);
	const struct ln_abi_lineage *known;

	if (task)
		return task->agent;
	known = bpf_map_lookup_elem(&lineage, &pid);
	return known ? known->agent : 0;
}

static __always_inline __u64 by(__u32 agent, enum ln_abi_kin why)
{
	return agent | (__u64)why << 32;
}

/* As the initial pid namespace numbers it. */
static __always_inline __u32 leader_of(const struct task_struct *task, enum pid_type type)
{
	return BPF_CORE_READ(task, signal, pids[type], numbers[0].nr);
}

/* Who adopts orphans is the init of a pid namespace, or a subreaper, which is hardly ever in the
 * orphan's session; a shell is in that of its jobs. */
static __always_inline bool is_orphan(const struct task_struct *parent, __u32 session)
{
	return ns_pid(parent) == 1 || leader_of(parent, PIDTYPE_SID) != session;
}

/* The bodies of the loops are global functions: the verifier checks each once, not each round. */

/* Of the task alone: kin, or the parent to go on with, which has the highest bit set as every
 * address in kernel; 0: nobody's. */
__noinline __u64 kin_of_one(__u64 at)
{
	const struct task_struct *task = (const void *)at, *parent;
	__u32 pid, session, group, agent;
	__u64 cgroup;

	/* First the link, then who is known: who cuts it has noted them before. */
	parent = BPF_CORE_READ(task, real_parent);
	pid = BPF_CORE_READ(task, tgid);
	agent = agent_of(pid);
	if (agent)
		return by(agent, LN_ABI_KIN_DESCENT);
	if (pid <= 1)
		return 0;
	/* Who is in a session has been forked by somebody in it, up to its leader. */
	session = leader_of(task, PIDTYPE_SID);
	agent = agent_of(session);
	if (agent)
		return by(agent, LN_ABI_KIN_SESSION);
	group = leader_of(task, PIDTYPE_PGID);
	agent = group == pid ? 0 : agent_of(group);
	if (agent && is_orphan(parent, session))
		return by(agent, LN_ABI_KIN_GROUP);
	cgroup = cfg_adopt_cgroup;
	if (cgroup && BPF_CORE_READ(cgroup_of(task), kn, id) == cgroup)
		return by(cfg_adopting, LN_ABI_KIN_CGROUP);
	return (__u64)parent;
}

__noinline __u64 kin_find(__u64 task)
{
	for (int i = 0; i < DEPTH_MAX; i++) {
		__u64 found = kin_of_one(task);

		if (!(found >> 63))
			return found;
		task = found;
	}
	count_lost(LN_ABI_LOST_LINEAGE);
	return 0;
}

__noinline int kin_take(__u64 at, __u64 kin, __u32 parent, __u32 left)
{
	const struct task_struct *task = (const void *)at;
	__u32 pid = BPF_CORE_READ(task, tgid), agent = kin;
	struct ln_abi_task own = {.agent = agent, .parent = parent};
	struct ln_abi_lineage entry = {.agent = agent, .parent = parent, .kin = kin >> 32};

	if (bpf_map_lookup_elem(&tasks, &pid))
		return 0;
	/* Also when it is ending: what on_exit does for it has yet to come, and looks here. */
	if (left && bpf_map_update_elem(&lineage, &pid, &entry, BPF_NOEXIST) == -E2BIG)
		count_lost(LN_ABI_LOST_LINEAGE);
	if (BPF_CORE_READ(task, signal, live.counter) <= 0)
		return 0;
	own.since_ns = bpf_ktime_get_ns();
	if (!tree_add(pid, &own))
		return 0;
	/* It may have gone through on_exit meanwhile: then nobody would remove the entry. */
	if (BPF_CORE_READ(task, signal, live.counter) <= 0) {
		tree_remove(pid);
		return 0;
	}
	entry.taken = 1;
	if (left)
		bpf_map_update_elem(&lineage, &pid, &entry, BPF_EXIST);
	return 1;
}

/* Takes one child in; returns the next link of the list, which ends at its head. */
__noinline __u64 kin_leave_one(__u64 link, __u64 head, __u64 kin, __u32 parent)
{
	const struct list_head *child = (const void *)link;
	const struct list_head *first = (const void *)head;
	__u64 next;

	kin_take(link - bpf_core_field_offset(struct task_struct, sibling), (__u32)kin, parent, 1);
	next = (__u64)BPF_CORE_READ(child, next);
	/* Taken off the list meanwhile (list_del_init): once more from the start. */
	return next == link ? (__u64)BPF_CORE_READ(first, next) : next;
}

__noinline int kin_leave(__u64 at, __u64 kin)
{
	const struct task_struct *task = (const void *)at;
	__u64 head = at + bpf_core_field_offset(struct task_struct, children);
	__u64 child = (__u64)BPF_CORE_READ(task, children.next);
	__u32 pid = BPF_CORE_READ(task, tgid);
	struct ln_abi_lineage entry = {.agent = kin, .kin = kin >> 32};

	if (bpf_map_update_elem(&lineage, &pid, &entry, BPF_NOEXIST) == -E2BIG)
		count_lost(LN_ABI_LOST_LINEAGE);
	for (int i = 0; i < CHILDREN_MAX; i++) {
		if (child == head)
			return 0;
		child = kin_leave_one(child, head, kin, pid);
	}
	count_lost(LN_ABI_LOST_LINEAGE);
	return 0;
}
