// SPDX-License-Identifier: GPL-2.0-or-later
/* Capabilities that the tree used with success, and the device of tunnels: what has to be done
 * before bytes leave beside IP sockets. Neither refuses. */
#include "channel.bpf.h"
#include "syscall.bpf.h"
#include "victim.bpf.h"

#define ALLOW          1
#define REFUSE         0
#define SOCK_TYPE_MASK 0xf

#define CAP_NET_ADMIN  12
#define CAP_NET_RAW    13
#define CAP_SYS_MODULE 16
#define CAP_SYS_PTRACE 19
#define CAP_PERFMON    38
#define CAP_BPF        39
#define WATCHED                                                                                    \
	(1ULL << CAP_NET_ADMIN | 1ULL << CAP_NET_RAW | 1ULL << CAP_SYS_MODULE |                    \
	 1ULL << CAP_SYS_PTRACE | 1ULL << CAP_PERFMON | 1ULL << CAP_BPF)

#define USER_NS_DEPTH 32                          /* kernel/user_namespace.c, create_user_ns */
#define HOLD_BACK_NS  (1ULL * 1000 * 1000 * 1000) /* one word a second about the same use */
#define MISC_MAJOR    10
#define TUN_MINOR     200

extern struct task_struct *bpf_task_from_vpid(__s32 vpid) __ksym __weak;
extern void bpf_task_release(struct task_struct *p) __ksym __weak;

/* Whether the namespace lies below the one in which the agent's watch began. */
static __always_inline bool is_own_ns(__u32 agent, const struct user_namespace *ns)
{
	const struct agent_home *home = bpf_map_lookup_elem(&homes, &agent);

	if (!home || !home->user_ns || BPF_CORE_READ(ns, ns.inum) == home->user_ns)
		return false;
	for (int i = 0; i < USER_NS_DEPTH; i++) {
		ns = BPF_CORE_READ(ns, parent);
		if (!ns)
			return false;
		if (BPF_CORE_READ(ns, ns.inum) == home->user_ns)
			return true;
	}
	return false;
}

/* What the use is: a socket beside IP, or no more than the capability. `family` is 0 then. */
static __always_inline enum ln_abi_channel what_for(const struct call *c, int cap, __u32 *family)
{
	__u32 wanted = c->args[0];

	*family = 0;
	if (!c->known || c->number != CALL_SOCKET || (cap != CAP_NET_RAW && cap != CAP_NET_ADMIN) ||
	    !leaves_host(wanted) || wanted == AF_INET || wanted == AF_INET6)
		return LN_ABI_PRIVILEGE;
	*family = wanted;
	return wanted == AF_PACKET || wanted == AF_XDP ? LN_ABI_PACKET_SOCKET : LN_ABI_OTHER_SOCKET;
}

/* Whether this use is to be told now; *held_back: how many were not, before it. */
static __always_inline bool may_tell(const struct use_key *key, __u32 flags, __u32 *held_back)
{
	struct use *use = bpf_map_lookup_elem(&uses, key);
	struct use first = {.told_ns = bpf_ktime_get_ns(), .flags = flags};

	*held_back = 0;
	if (!use) {
		bpf_map_update_elem(&uses, key, &first, BPF_ANY);
		return true;
	}
	if (first.told_ns - use->told_ns < HOLD_BACK_NS) {
		__sync_fetch_and_add(&use->held_back, 1);
		__sync_fetch_and_add(&stat_held_back, 1);
		return false;
	}
	*held_back = use->held_back;
	use->held_back = 0;
	use->told_ns = first.told_ns;
	use->flags = flags;
	return true;
}

/* The process that a call names by its number, in the caller's namespace of processes. A memory
 * write by it makes that one the tree's: so does ptrace, but there on_signal knows when. */
static __always_inline void name_target(struct ln_abi_channel_event *ev,
					const struct ln_abi_task *owner, struct task_struct *me,
					const struct call *c)
{
	struct task_struct *target;
	bool writes = c->number == CALL_PROCESS_VM_WRITEV;

	if (!c->known || (!writes && c->number != CALL_PTRACE))
		return;
	target = bpf_task_from_vpid(writes ? c->args[0] : c->args[1]);
	if (!target)
		return;
	ev->other.pid = target->tgid;
	bpf_probe_read_kernel(ev->other.comm, sizeof(ev->other.comm), target->comm);
	if (writes)
		take_victim(owner, me, target);
	bpf_task_release(target);
}

static __always_inline void privilege_used(struct task_struct *me, const struct ln_abi_task *owner,
					   const struct user_namespace *ns, int cap)
{
	struct use_key key = {.agent = owner->agent, .pid = me->tgid, .capability = cap};
	struct ln_abi_channel_event *ev;
	enum ln_abi_channel channel;
	struct call call = {};
	__u32 held_back;
	__u16 flags = 0;

	current_call(me, &call);
	key.syscall = call_word(&call);
	channel = what_for(&call, cap, &key.family);
	if (channel != LN_ABI_PRIVILEGE)
		announce(owner->agent, channel, key.family);
	if (is_own_ns(owner->agent, ns))
		flags |= LN_ABI_CHANNEL_OWN_NS;
	if (call_only_looks(&call))
		flags |= LN_ABI_CHANNEL_READ;
	if (!may_tell(&key, flags, &held_back))
		return;
	ev = channel_begin(channel, owner->agent, me->tgid, me->pid);
	if (!ev)
		return;
	ev->number = cap;
	ev->syscall = key.syscall;
	ev->flags = flags;
	ev->held_back = held_back;
	if (channel != LN_ABI_PRIVILEGE) {
		ev->family = key.family;
		ev->type = call.args[1] & SOCK_TYPE_MASK;
		ev->number = call.args[2];
	} else if (cap == CAP_SYS_PTRACE) {
		name_target(ev, owner, me, &call);
	}
	emit_submit(ev, !flags);
}

/* Fires for each check on the host: all but a few end at the first compare. Only a check of the
 * caller's own rights counts; the kernel also asks about those of others. */
SEC("tp_btf/cap_capable")
int BPF_PROG(on_capable, const struct cred *cred, struct user_namespace *target_ns,
	     const struct user_namespace *capable_ns, int cap, int ret)
{
	const struct ln_abi_task *owner;
	struct task_struct *me;

	if (!(WATCHED >> (cap & 63) & 1) || ret)
		return 0;
	me = bpf_get_current_task_btf();
	owner = tracked(me->tgid);
	if (!owner || BPF_CORE_READ(me, cred) != cred)
		return 0;
	privilege_used(me, owner, target_ns, cap);
	return 0;
}

static long tell_held_back(struct bpf_map *map, const struct use_key *key, struct use *use,
			   void *unused)
{
	struct ln_abi_channel_event *ev;
	__u32 held_back;

	if (!use->held_back || bpf_ktime_get_ns() - use->told_ns < HOLD_BACK_NS)
		return 0;
	held_back = use->held_back;
	use->held_back = 0;
	use->told_ns = bpf_ktime_get_ns();
	ev = channel_begin(LN_ABI_PRIVILEGE, key->agent, key->pid, key->pid);
	if (!ev)
		return 0;
	if (key->family)
		ev->channel = key->family == AF_PACKET || key->family == AF_XDP
				  ? LN_ABI_PACKET_SOCKET
				  : LN_ABI_OTHER_SOCKET;
	else
		ev->number = key->capability;
	ev->family = key->family;
	ev->syscall = key->syscall;
	ev->flags = use->flags;
	ev->held_back = held_back - 1; /* this one is the last of them */
	emit_submit(ev, false);
	return 0;
}

/* What was held back and never used again, told by a sweep; see ONCE_A_RUN. */
SEC("iter/bpf_map")
int on_held_back(struct bpf_iter__bpf_map *ctx)
{
	if (ONCE_A_RUN(ctx))
		bpf_for_each_map_elem(&uses, tell_held_back, 0, 0);
	return 0;
}

/* Called for each device that anybody opens, beside the programs that allow or refuse it: those of
 * systemd and of containers are asked too, and one that refuses is enough. In block mode this one
 * does: what goes into a tunnel no hook sees. */
SEC("cgroup/dev")
int on_device(struct bpf_cgroup_dev_ctx *ctx)
{
	const struct ln_abi_task *owner;
	struct ln_abi_channel_event *ev;
	__u64 pid_tgid;

	if (ctx->minor != TUN_MINOR || ctx->major != MISC_MAJOR ||
	    (ctx->access_type & 0xffff) != BPF_DEVCG_DEV_CHAR ||
	    !(ctx->access_type >> 16 & (BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)))
		return ALLOW;
	pid_tgid = bpf_get_current_pid_tgid();
	owner = tracked(pid_tgid >> 32);
	if (!owner)
		return ALLOW;
	announce(owner->agent, LN_ABI_TUNNEL_DEVICE, 0);
	ev = channel_begin(LN_ABI_TUNNEL_DEVICE, owner->agent, pid_tgid >> 32, pid_tgid);
	if (ev) {
		ev->flags = block_flags();
		emit_submit(ev, true);
	}
	return cfg_blocks && !cfg_dry_run ? REFUSE : ALLOW;
}
