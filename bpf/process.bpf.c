// SPDX-License-Identifier: GPL-2.0-or-later
/* The tracked tree: fork adds, exec describes, exit of the last thread removes. All three run in
 * the context of the task itself; the child cannot run before on_fork has returned
 * (kernel/fork.c, kernel_clone: trace_sched_process_fork before wake_up_new_task). */
#include "cgroup.bpf.h"
#include "tree.bpf.h"
#include "victim.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define PATH_DEPTH_MAX 64
#define NAME_MAX_      256

struct exec_scratch {
	struct ln_abi_exec ev;
	/* The last component may reach over LN_ABI_EXE_MAX; a power of two bounds it by a mask. */
	__u8 data[2 * LN_ABI_EXE_MAX + LN_ABI_ARGS_MAX];
};

/* Exec events are built here: too big for the stack. One writer at a time: tracepoint programs run
 * with preemption off and do not nest. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_scratch);
} exec_buffers SEC(".maps");

/* Out of line, for on_fork alone: what only happens while a living tree is being adopted. Whether
 * the caller is kin to it, though not known yet; the number of the child means nobody else. */
static __noinline __u32 fork_by_kin(__u32 child_pid)
{
	bpf_map_delete_elem(&lineage, &child_pid);
	return kin_find(bpf_get_current_task());
}

/* The first argument is `current`, also for CLONE_PARENT. A thread has the tgid of its group. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 parent_pid = parent->tgid, child_pid = child->tgid;
	struct ln_abi_task *owner, task = {};
	struct ln_abi_fork *ev;
	__u64 now_ns;

	if (parent_pid == child_pid)
		return 0;
	owner = bpf_map_lookup_elem(&tasks, &parent_pid);
	if (!owner && parent->ptrace) {
		take_if_traced(parent);
		owner = bpf_map_lookup_elem(&tasks, &parent_pid);
	}
	if (owner)
		task.agent = owner->agent;
	else if (cfg_adopts && cfg_adopting)
		task.agent = fork_by_kin(child_pid);
	if (!task.agent)
		return 0;
	now_ns = bpf_ktime_get_ns();
	task.parent = parent_pid;
	task.since_ns = now_ns;
	/* Not told as a child when there is no room: nobody would ever tell its end. */
	if (!tree_add(child_pid, &task))
		return 0;
	ev = emit_reserve(struct ln_abi_fork);
	if (ev) {
		fill_header(&ev->h, LN_ABI_FORK, task.agent, now_ns, parent_pid, parent->pid);
		ev->child = child_pid;
		ev->child_ns_pid = ns_pid(child);
		emit_submit(ev, false);
	}
	/* clone3(2), CLONE_INTO_CGROUP. */
	if (BPF_CORE_READ(child, cgroups) != BPF_CORE_READ(parent, cgroups))
		cgroup_tell((__u64)BPF_CORE_READ(child, group_leader), task.agent, true);
	return 0;
}

/* Copies the names on the way from the file to the root of its mount tree, leaf first: unlike
 * /proc/PID/exe it is right for a process that lives a millisecond. bpf_d_path is not admitted
 * here. After a pivot_root the walk ends at the container's root, after a chroot at the host's. */
static __always_inline void copy_path(struct exec_scratch *s, struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct vfsmount *vfs = BPF_CORE_READ(file, f_path.mnt);
	struct mount *mnt = (void *)vfs - bpf_core_field_offset(struct mount, mnt);
	struct dentry *root = BPF_CORE_READ(vfs, mnt_root), *parent;

	s->ev.exe_len = 0;
	for (int i = 0; i < PATH_DEPTH_MAX; i++) {
		/* Read back each time: what the verifier takes as unknown, it can prune. Volatile,
		 * or clang enters the loop behind this load: verifiers before 6.8 refuse that. */
		__u32 at = *(volatile __u16 *)&s->ev.exe_len;
		long n;

		parent = BPF_CORE_READ(dentry, d_parent);
		if (dentry == root || (dentry == parent && at)) {
			struct mount *up = BPF_CORE_READ(mnt, mnt_parent);

			if (up == mnt)
				return;
			dentry = BPF_CORE_READ(mnt, mnt_mountpoint);
			mnt = up;
			root = BPF_CORE_READ(mnt, mnt.mnt_root);
			continue;
		}
		if (at >= LN_ABI_EXE_MAX)
			break;
		n = bpf_probe_read_kernel_str(&s->data[at & (LN_ABI_EXE_MAX - 1)], NAME_MAX_,
					      BPF_CORE_READ(dentry, d_name.name));
		if (n <= 0)
			break;
		s->ev.exe_len = at + n;
		if (dentry == parent) /* a file without a directory, such as a memfd */
			return;
		dentry = parent;
	}
	s->ev.h.flags |= LN_ABI_EXEC_EXE_CUT;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	__u32 pid = task->tgid, zero = 0;
	struct ln_abi_task *owner = bpf_map_lookup_elem(&tasks, &pid);
	__u64 start, len, exe_len;
	struct exec_scratch *s;

	if (!owner)
		return 0;
	s = bpf_map_lookup_elem(&exec_buffers, &zero);
	if (!s)
		return 0;
	fill_header(&s->ev.h, LN_ABI_EXEC, owner->agent, bpf_ktime_get_ns(), pid, task->pid);
	copy_path(s, BPF_CORE_READ(bprm, file));
	start = BPF_CORE_READ(task, mm, arg_start);
	len = BPF_CORE_READ(task, mm, arg_end) - start;
	if (len > LN_ABI_ARGS_MAX) {
		len = LN_ABI_ARGS_MAX;
		s->ev.h.flags |= LN_ABI_EXEC_ARGS_CUT;
	}
	exe_len = s->ev.exe_len;
	asm volatile("%[n] &= %[mask]" : [n] "+r"(exe_len) : [mask] "i"(2 * LN_ABI_EXE_MAX - 1));
	/* The pages were written by this exec and are still there: no fault to wait for. */
	if (bpf_probe_read_user(&s->data[exe_len], len, (void *)start)) {
		len = 0;
		s->ev.h.flags |= LN_ABI_EXEC_ARGS_BAD;
	}
	s->ev.args_len = len;
	s->ev.ns_pid = ns_pid(task);
	s->ev.cgroup_id = bpf_get_current_cgroup_id();
	cgroup_tell(bpf_get_current_task(), owner->agent, false);
	emit_copy(s, sizeof(s->ev) + exe_len + len, false);
	return 0;
}

/* Fires for each thread; do_exit has lowered signal->live before (kernel/exit.c), so the last one
 * sees zero, also when the group's leader died long ago. During adoption each thread leaves its own
 * children behind. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	__u32 pid = task->tgid;
	struct ln_abi_task *owner = bpf_map_lookup_elem(&tasks, &pid);
	struct ln_abi_exit *ev;
	__u32 agent;
	int code;

	if (cfg_adopts && cfg_adopting) {
		__u64 at = bpf_get_current_task();
		__u64 kin = owner ? owner->agent : kin_find(at);

		if (kin)
			kin_leave(at, kin);
	}
	if (!owner || BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0;
	agent = owner->agent;
	tree_remove(pid);
	ev = emit_reserve(struct ln_abi_exit);
	if (!ev)
		return 0;
	code = BPF_CORE_READ(task, signal, group_exit_code);
	fill_header(&ev->h, LN_ABI_EXIT, agent, bpf_ktime_get_ns(), pid, task->pid);
	ev->code = code ? code : task->exit_code;
	ev->pad = 0;
	emit_submit(ev, false);
	return 0;
}
