/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The system call that the current task is in, from the registers that it came with. What is not
 * known is zero: a kernel worker, a 32-bit call, a machine that is not listed here. */
#ifndef LINNET_SYSCALL_BPF_H
#define LINNET_SYSCALL_BPF_H

#include "kernel_types.bpf.h"

#define PF_IO_WORKER 0x00000010 /* include/linux/sched.h */
#define PF_KTHREAD   0x00200000
#define TS_COMPAT    0x0002 /* arch/x86/include/asm/thread_info.h */
#define PSR_MODE32   0x10   /* arch/arm64/include/uapi/asm/ptrace.h */
#define O_ACCMODE    3
#define SYSCALLS_MAX 1024 /* also leaves x32 out, which has a bit of its own */

#if defined(__TARGET_ARCH_x86)
enum {
	CALL_READ = 0,
	CALL_OPEN = 2,
	CALL_STAT = 4,
	CALL_LSTAT = 6,
	CALL_PREAD64 = 17,
	CALL_READV = 19,
	CALL_ACCESS = 21,
	CALL_SOCKET = 41,
	CALL_RECVFROM = 45,
	CALL_RECVMSG = 47,
	CALL_KILL = 62,
	CALL_GETDENTS = 78,
	CALL_CHDIR = 80,
	CALL_READLINK = 89,
	CALL_PTRACE = 101,
	CALL_RT_SIGQUEUEINFO = 129,
	CALL_TKILL = 200,
	CALL_GETDENTS64 = 217,
	CALL_TGKILL = 234,
	CALL_OPENAT = 257,
	CALL_NEWFSTATAT = 262,
	CALL_READLINKAT = 267,
	CALL_FACCESSAT = 269,
	CALL_RT_TGSIGQUEUEINFO = 297,
	CALL_PROCESS_VM_READV = 310,
	CALL_PROCESS_VM_WRITEV = 311,
	CALL_KCMP = 312,
	CALL_STATX = 332,
	CALL_PIDFD_SEND_SIGNAL = 424,
	CALL_PIDFD_GETFD = 438,
	CALL_FACCESSAT2 = 439,
};
#else /* include/uapi/asm-generic/unistd.h */
enum {
	CALL_FACCESSAT = 48,
	CALL_CHDIR = 49,
	CALL_OPENAT = 56,
	CALL_GETDENTS64 = 61,
	CALL_READ = 63,
	CALL_READV = 65,
	CALL_PREAD64 = 67,
	CALL_READLINKAT = 78,
	CALL_NEWFSTATAT = 79,
	CALL_PTRACE = 117,
	CALL_KILL = 129,
	CALL_TKILL = 130,
	CALL_TGKILL = 131,
	CALL_RT_SIGQUEUEINFO = 138,
	CALL_SOCKET = 198,
	CALL_RECVFROM = 207,
	CALL_RECVMSG = 212,
	CALL_RT_TGSIGQUEUEINFO = 240,
	CALL_PROCESS_VM_READV = 270,
	CALL_PROCESS_VM_WRITEV = 271,
	CALL_KCMP = 272,
	CALL_STATX = 291,
	CALL_PIDFD_SEND_SIGNAL = 424,
	CALL_PIDFD_GETFD = 438,
	CALL_FACCESSAT2 = 439,
};
#endif

struct call {
	bool known;
	__u32 number;
	__u64 args[3];
};

static __always_inline void current_call(struct task_struct *me, struct call *ret)
{
	if (me->flags & (PF_IO_WORKER | PF_KTHREAD) ||
	    !bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return;
#if defined(__TARGET_ARCH_x86)
	if (me->thread_info.status & TS_COMPAT)
		return;
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(me);
	ret->number = regs->orig_ax < SYSCALLS_MAX ? regs->orig_ax : SYSCALLS_MAX;
	ret->args[0] = regs->di;
	ret->args[1] = regs->si;
	ret->args[2] = regs->dx;
#elif defined(__TARGET_ARCH_arm64)
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(me);
	if (regs->pstate & PSR_MODE32)
		return;
	ret->number = regs->syscallno;
	ret->args[0] = regs->orig_x0;
	ret->args[1] = regs->regs[1];
	ret->args[2] = regs->regs[2];
#else
	ret->number = SYSCALLS_MAX;
#endif
	ret->known = ret->number < SYSCALLS_MAX;
}

/* Whether the call can only look, whatever the right to it: `ps` and `lsof` of root look into every
 * process. How a file is opened stands in a register, so nobody can change it meanwhile. */
static __always_inline bool call_only_looks(const struct call *c)
{
	if (!c->known)
		return false;
	switch (c->number) {
#if defined(__TARGET_ARCH_x86)
	case CALL_OPEN:
		return (c->args[1] & O_ACCMODE) == 0;
	case CALL_STAT:
	case CALL_LSTAT:
	case CALL_ACCESS:
	case CALL_GETDENTS:
	case CALL_READLINK:
#endif
	case CALL_READ:
	case CALL_READV:
	case CALL_PREAD64:
	case CALL_RECVFROM:
	case CALL_RECVMSG:
	case CALL_CHDIR:
	case CALL_GETDENTS64:
	case CALL_NEWFSTATAT:
	case CALL_READLINKAT:
	case CALL_FACCESSAT:
	case CALL_FACCESSAT2:
	case CALL_STATX:
		return true;
	case CALL_OPENAT:
		return (c->args[2] & O_ACCMODE) == 0;
	}
	return false;
}

/* As an event names it: 0 for none. */
static __always_inline __u32 call_word(const struct call *c)
{
	return c->known ? c->number + 1 : 0;
}

#endif
