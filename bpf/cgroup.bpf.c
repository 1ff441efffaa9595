// SPDX-License-Identifier: GPL-2.0-or-later
/* In which cgroups the tree is: their paths name containers and units, and where no egress hook
 * hangs, datagrams are seen less well. */
#include "cgroup.bpf.h"
#include "tree.bpf.h"

#define PATH_DEPTH_MAX 32
#define NAME_MAX_      256

struct cgroup_scratch {
	struct ln_abi_cgroup ev;
	/* The last component may reach over LN_ABI_CGROUP_MAX; a power of two bounds it by a mask.
	 */
	__u8 data[2 * LN_ABI_CGROUP_MAX];
};

/* Built here: too big for the stack. One writer at a time, as for exec_buffers. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgroup_scratch);
} cgroup_buffers SEC(".maps");

static __always_inline const struct kernfs_node *above(const struct kernfs_node *kn)
{
	const struct kernfs_node___new *renamed = (const void *)kn;

	if (bpf_core_field_exists(renamed->__parent))
		return BPF_CORE_READ(renamed, __parent);
	return BPF_CORE_READ(kn, parent);
}

/* The names on the way to the root, leaf first; the root has none. */
static __always_inline void copy_path(struct cgroup_scratch *s, const struct kernfs_node *kn)
{
	s->ev.len = 0;
	for (int i = 0; i < PATH_DEPTH_MAX; i++) {
		/* Read back each time, and volatile: see process.bpf.c. */
		__u32 at = *(volatile __u16 *)&s->ev.len;
		const struct kernfs_node *up = above(kn);
		long n;

		if (!up)
			return;
		if (at >= LN_ABI_CGROUP_MAX - NAME_MAX_)
			break;
		n = bpf_probe_read_kernel_str(&s->data[at & (LN_ABI_CGROUP_MAX - 1)], NAME_MAX_,
					      BPF_CORE_READ(kn, name));
		if (n <= 0)
			break;
		s->ev.len = at + n;
		kn = up;
	}
	s->ev.h.flags |= LN_ABI_CGROUP_CUT;
}

__noinline int cgroup_tell(__u64 at, __u32 agent, __u32 moved)
{
	const struct task_struct *task = (const void *)at;
	struct cgroup *cgroup = cgroup_of(task);
	__u64 id = BPF_CORE_READ(cgroup, kn, id), len;
	struct cgroup_scratch *s;
	__u32 zero = 0;
	__u8 one = 1;

	/* Until adoption is over not all is covered that will be; it tells the rest itself. */
	if (cfg_adopting || (!moved && bpf_map_lookup_elem(&cgroups_told, &id)))
		return 0;
	s = bpf_map_lookup_elem(&cgroup_buffers, &zero);
	if (!s)
		return 0;
	bpf_map_update_elem(&cgroups_told, &id, &one, BPF_ANY);
	fill_header(&s->ev.h, LN_ABI_CGROUP, agent, bpf_ktime_get_ns(), BPF_CORE_READ(task, tgid),
		    BPF_CORE_READ(task, pid));
	s->ev.id = id;
	copy_path(s, BPF_CORE_READ(cgroup, kn));
	if (!cgroup_is_covered(cgroup))
		s->ev.h.flags |= LN_ABI_CGROUP_UNCOVERED;
	if (moved)
		s->ev.h.flags |= LN_ABI_CGROUP_MOVED;
	len = s->ev.len;
	asm volatile("%[n] &= %[mask]" : [n] "+r"(len) : [mask] "i"(2 * LN_ABI_CGROUP_MAX - 1));
	emit_copy(s, sizeof(s->ev) + len, false);
	return 0;
}

/* Also fires for cgroup v1: then the task is where it was, and that is told once more. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_cgroup_move, struct cgroup *to, const char *path, struct task_struct *task)
{
	__u32 pid = task->tgid;
	const struct ln_abi_task *owner = bpf_map_lookup_elem(&tasks, &pid);

	if (owner)
		cgroup_tell((__u64)BPF_CORE_READ(task, group_leader), owner->agent, true);
	return 0;
}
