// SPDX-License-Identifier: GPL-2.0-or-later
/* What no hook sees, found by walking over all tasks and descriptors of the host now and then:
 * victims of a tracer that stops nothing; sockets, rings, tunnels and memory of other processes in
 * the descriptor tables of the tree. Each is told once, through the iterator's own output, which
 * user space reads when it has read the ring. One walk at a time: user space has one thread. */
#include "stranger.bpf.h"

#define FMODE_WRITE         0x2 /* include/linux/fs.h */
#define S_IFMT              0170000
#define S_IFCHR             0020000
#define DEV_TUN             (10 << 20 | 200)
#define ANON_INODE_FS_MAGIC 0x09041934 /* include/uapi/linux/magic.h */
#define PROC_SUPER_MAGIC    0x9fa0
#define RINGS_REGISTERED    16 /* include/linux/io_uring_types.h, IO_RINGFD_REG_MAX */
#define NAME_LEN            16

struct found {
	struct seq_file *seq;
	struct task_struct *task;
	__u32 agent;
	bool existing;
};

/* Writes the record; false when there is no room: the kernel then asks for the same object again.
 */
static __always_inline bool write_found(const struct found *f, struct ln_abi_channel_event *ev)
{
	if (f->existing)
		ev->flags |= LN_ABI_CHANNEL_EXISTING;
	return bpf_seq_write(f->seq, ev, sizeof(*ev)) == 0;
}

static __always_inline void found_socket(const struct found *f, struct sock *sk)
{
	__u64 cookie = bpf_get_socket_cookie(sk);
	struct sighted_key key = {.id = cookie, .agent = f->agent, .sight = SIGHT_SOCKET};
	enum ln_abi_channel channel = channel_of_socket(sk, cookie, f->agent);
	struct ln_abi_channel_event ev;
	__u32 now = sweep_number;

	if (!channel || was_sighted(&key, true))
		return;
	/* From before, and connected to nothing yet: the connect hooks will see it. */
	if (channel == LN_ABI_SOCKET_RECEIVED
		? f->existing && !sk->__sk_common.skc_dport
		: was_announced(f->agent, channel, sk->__sk_common.skc_family)) {
		set_sighted(&key);
		return;
	}
	channel_fill(&ev, channel, f->agent, f->task->tgid, f->task->pid);
	fill_socket(&ev, sk, cookie);
	if (!write_found(f, &ev))
		return;
	set_sighted(&key);
	if (channel == LN_ABI_SOCKET_RECEIVED)
		bpf_map_update_elem(&sought, &cookie, &now, BPF_ANY);
}

/* A thing that is known by its kernel address only. */
static __always_inline void found_object(const struct found *f, const void *object,
					 enum ln_abi_channel channel,
					 const struct task_struct *maker)
{
	struct sighted_key key = {.id = (__u64)object, .agent = f->agent, .sight = SIGHT_OBJECT};
	struct ln_abi_channel_event ev;

	if (was_sighted(&key, false))
		return;
	if (was_announced(f->agent, channel, 0)) {
		set_sighted(&key);
		return;
	}
	channel_fill(&ev, channel, f->agent, f->task->tgid, f->task->pid);
	ev.how = LN_ABI_AMBIGUOUS;
	if (maker) {
		ev.other.pid = BPF_CORE_READ(maker, tgid);
		BPF_CORE_READ_STR_INTO(&ev.other.comm, maker, comm);
	}
	if (write_found(f, &ev))
		set_sighted(&key);
}

/* NULL: it is gone, or this kernel does not say. */
static __always_inline const struct task_struct *owner_of_memory(const struct mm_struct *mm)
{
	return bpf_core_field_exists(struct mm_struct, owner) ? BPF_CORE_READ(mm, owner) : 0;
}

/* A ring is the tree's when it was marked at its making, or when its maker's memory is that of the
 * process that holds it. */
static __always_inline bool is_own_ring(const struct io_ring_ctx *ring, const struct mm_struct *mm,
					__u32 agent)
{
	__u64 address = (__u64)ring;
	const __u32 *made_by = bpf_map_lookup_elem(&rings, &address);

	if (made_by && *made_by == agent)
		return true;
	return bpf_core_field_exists(struct io_ring_ctx, mm_account) && mm &&
	       mm == BPF_CORE_READ(ring, mm_account);
}

static __always_inline void found_ring(const struct found *f, const struct io_ring_ctx *ring)
{
	const struct mm_struct *mm = 0;

	if (bpf_core_field_exists(struct io_ring_ctx, mm_account))
		mm = BPF_CORE_READ(ring, mm_account);
	found_object(f, ring, LN_ABI_RING_RECEIVED, mm ? owner_of_memory(mm) : 0);
}

/* /proc/PID/mem, open for writing, of a process outside the tree. */
static __always_inline void found_memory(const struct found *f, const struct ln_abi_task *owner,
					 const struct file *file)
{
	const struct mm_struct *mm = BPF_CORE_READ(file, private_data);
	const struct task_struct *victim;

	if (!mm || !(BPF_CORE_READ(file, f_mode) & FMODE_WRITE))
		return;
	victim = owner_of_memory(mm);
	if (victim && BPF_CORE_READ(victim, tgid) != f->task->tgid)
		take_victim(owner, f->task, victim);
}

static __always_inline bool is_named(const struct file *file, unsigned long magic, const char *name,
				     __u32 len)
{
	char is[NAME_LEN] = {};

	if (BPF_CORE_READ(file, f_path.dentry, d_sb, s_magic) != magic)
		return false;
	bpf_probe_read_kernel_str(is, sizeof(is), BPF_CORE_READ(file, f_path.dentry, d_name.name));
	for (__u32 i = 0; i < len; i++)
		if (is[i] != name[i])
			return false;
	return true;
}

#define IS_NAMED(file, magic, name) is_named(file, magic, name, sizeof(name))

static __always_inline bool is_tunnel(const struct file *file)
{
	return BPF_CORE_READ(file, f_inode, i_rdev) == DEV_TUN &&
	       (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) == S_IFCHR;
}

/* The ring of the file whose address is at `at`, when it is news and neither the agent's nor made
 * with this memory; else 0. A global function: the verifier checks it once, not each round. */
__noinline __u64 strange_ring(__u64 at, __u64 mm, __u32 agent)
{
	struct sighted_key key = {.agent = agent, .sight = SIGHT_OBJECT};
	const struct io_ring_ctx *ring;
	const struct file *file;

	if (bpf_probe_read_kernel(&file, sizeof(file), (void *)at) || !file)
		return 0;
	ring = BPF_CORE_READ(file, private_data);
	key.id = (__u64)ring;
	if (was_sighted(&key, false) || is_own_ring(ring, (const void *)mm, agent))
		return 0;
	return (__u64)ring;
}

/* Rings that a thread registered stay usable after their descriptor is closed. One of them a sweep:
 * the verifier checks the telling once. */
static __always_inline const struct io_ring_ctx *registered_stranger(const struct found *f)
{
	const struct task_struct *task = f->task;
	const struct io_uring_task *io = BPF_CORE_READ(task, io_uring);
	__u64 at, mm = (__u64)BPF_CORE_READ(task, mm);
	const struct io_ring_ctx *ring;

	if (!io || !bpf_core_field_exists(struct io_uring_task, registered_rings))
		return 0;
	at = (__u64)io + bpf_core_field_offset(struct io_uring_task, registered_rings);
	for (int i = 0; i < RINGS_REGISTERED; i++, at += sizeof(void *)) {
		ring = (const void *)strange_ring(at, mm, f->agent);
		if (ring)
			return ring;
	}
	return 0;
}

static __always_inline void begin_found(struct found *f, struct bpf_iter_meta *meta,
					struct task_struct *task, const struct ln_abi_task *owner)
{
	f->seq = meta->seq;
	f->task = task;
	f->agent = owner->agent;
	f->existing = cfg_sweep == LN_ABI_SWEEP_FIRST || is_newcomer(task->tgid);
}

SEC("iter/task")
int on_sweep_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	const struct ln_abi_task *owner;
	const struct io_ring_ctx *ring;
	struct found f;

	if (!task)
		return 0;
	if (!task->ptrace && !BPF_CORE_READ(task, io_uring))
		return 0;
	owner = tracked(task->tgid);
	if (!owner) {
		take_if_traced(task);
		return 0;
	}
	begin_found(&f, ctx->meta, task, owner);
	ring = registered_stranger(&f);
	if (ring)
		found_ring(&f, ring);
	return 0;
}

/* Somebody else who holds a socket that the tree received: most likely its maker. */
static __always_inline void tell_holder(struct seq_file *seq, struct task_struct *task,
					struct sock *sk)
{
	struct ln_abi_holder holder = {.cookie = sk->__sk_common.skc_cookie.counter};
	const __u32 *sweep;

	if (!holder.cookie)
		return;
	sweep = bpf_map_lookup_elem(&sought, &holder.cookie);
	if (!sweep || *sweep != sweep_number)
		return;
	holder.who.pid = task->tgid;
	bpf_probe_read_kernel(holder.who.comm, sizeof(holder.who.comm), task->comm);
	if (bpf_seq_write(seq, &holder, sizeof(holder)) == 0)
		bpf_map_delete_elem(&sought, &holder.cookie);
}

SEC("iter/task_file")
int on_sweep_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	const struct ln_abi_task *owner;
	const struct io_ring_ctx *ring;
	struct socket *socket;
	struct found f;

	if (!task || !file)
		return 0;
	owner = tracked(task->tgid);
	if (cfg_sweep == LN_ABI_SWEEP_HOLDERS ? !!owner : !owner)
		return 0;
	socket = bpf_sock_from_file(file);
	if (socket && socket->sk && !owner)
		tell_holder(ctx->meta->seq, task, socket->sk);
	if (!owner)
		return 0;
	begin_found(&f, ctx->meta, task, owner);
	if (socket) {
		if (socket->sk)
			found_socket(&f, socket->sk);
	} else if (IS_NAMED(file, ANON_INODE_FS_MAGIC, "[io_uring]")) {
		ring = BPF_CORE_READ(file, private_data);
		if (!is_own_ring(ring, BPF_CORE_READ(task, mm), f.agent))
			found_ring(&f, ring);
	} else if (IS_NAMED(file, PROC_SUPER_MAGIC, "mem")) {
		found_memory(&f, owner, file);
	} else if (is_tunnel(file)) {
		found_object(&f, file, LN_ABI_TUNNEL_DEVICE, 0);
	}
	return 0;
}
