/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Only the kernel fields that we read, relocated at load time (CO-RE). The UAPI part comes from
 * <linux/bpf.h>. A name with ___ is another shape of the same kernel type. */
#ifndef LINNET_KERNEL_TYPES_BPF_H
#define LINNET_KERNEL_TYPES_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_endian.h>

typedef _Bool bool;
#define true 1
#define false 0

#define AF_UNIX         1
#define AF_INET         2
#define AF_INET6        10
#define SOCK_STREAM     1
#define SOCK_DGRAM      2
#define SOCK_RAW        3
#define IPPROTO_ICMP    1
#define IPPROTO_TCP     6
#define IPPROTO_UDP     17
#define IPPROTO_DCCP    33
#define IPPROTO_ICMPV6  58
#define IPPROTO_SCTP    132
#define IPPROTO_UDPLITE 136
#define IPPROTO_MPTCP   262
#define SOCK_DEAD       0
#define SOCK_DONE       1 /* bit of skc_flags, include/net/sock.h; the same since 2.6 */
#define E2BIG           7
#define EEXIST          17
#define ECONNRESET      104
#define ETIMEDOUT       110
#define ECONNREFUSED    111
#define EPIPE           32
#define ENETUNREACH     101
#define EHOSTUNREACH    113

/* Without relocation: for each type that has one libbpf looks through all of the kernel's, which is
 * a millisecond. Here it is the first member, or the verifier checks each offset. */

struct list_head {
	struct list_head *next;
};

struct seq_file;
struct task_struct;
struct file;
struct bpf_map;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct bpf_iter__bpf_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	long long counter;
} atomic64_t;

typedef struct refcount_struct {
	atomic_t refs;
} refcount_t;

struct qstr {
	const unsigned char *name;
};

struct super_block {
	unsigned long s_magic;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct super_block *d_sb;
};

struct inode {
	unsigned short i_mode;
	__u32 i_rdev;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	unsigned int f_mode;
	void *private_data;
	struct inode *f_inode;
};

struct linux_binprm {
	struct file *file;
};

struct mm_struct {
	struct task_struct *owner; /* only with CONFIG_MEMCG: ask bpf_core_field_exists first */
	unsigned long arg_start;
	unsigned long arg_end;
};

struct upid {
	int nr;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct pid {
	unsigned int level;
	struct hlist_head tasks[2]; /* by enum pid_type: PIDTYPE_PID, PIDTYPE_TGID */
	struct upid numbers[1];
};

enum pid_type {
	PIDTYPE_PID,
	PIDTYPE_TGID,
	PIDTYPE_PGID,
	PIDTYPE_SID,
	PIDTYPE_MAX,
};

struct signal_struct {
	atomic_t live;
	struct pid *pids[PIDTYPE_MAX];
	int group_exit_code;
};

struct ns_common {
	unsigned int inum;
};

struct user_namespace {
	struct user_namespace *parent;
	struct ns_common ns;
};

struct cred {
	struct user_namespace *user_ns;
};

struct css_set;

struct thread_info {
	__u32 status; /* x86 only */
};

struct io_ring_ctx {
	struct mm_struct *mm_account;
};

struct io_uring_task {
	struct file *registered_rings[16];
};

struct kernel_siginfo {
	int si_code;
};

/* What the current system call began with. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	__u64 regs[31];
	__u64 pstate;
	__u64 orig_x0;
	int syscallno;
};
#endif

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	struct list_head ptraced;
	struct list_head ptrace_entry;
	const struct cred *cred;
	struct io_uring_task *io_uring;
	int pid;
	int tgid;
	unsigned int ptrace;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	int exit_code;
	struct task_struct *real_parent;
	struct list_head children; /* each thread's own */
	struct list_head sibling;
	struct task_struct *parent; /* who traces it; else real_parent */
	struct mm_struct *mm;
	struct signal_struct *signal;
	char comm[16];
	struct css_set *cgroups;
	struct hlist_node pid_links[2];
};

struct net {
	__u64 net_cookie; /* a plain number since 5.12 */
};

typedef struct {
	struct net *net;
} possible_net_t;

struct kernfs_node {
	__u64 id;
	const char *name;
	struct kernfs_node *parent;
};

struct kernfs_node___new { /* since 6.15 */
	struct kernfs_node *__parent;
};

struct cgroup_subsys_state {
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state
	    self; /* the first member: a pointer to one is one to the other */
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp; /* in the v2 hierarchy, also where nobody mounted it */
};

struct sock_cgroup_data {
	struct cgroup *cgroup; /* since 5.16; before, it shared its place with marks of cgroup v1 */
};

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_reuseport : 1;
	unsigned long skc_flags;
	atomic64_t skc_cookie;
	refcount_t skc_refcnt;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct bpf_local_storage;
struct sock;

struct sock_reuseport {
	__u16 num_socks;
	struct sock *socks[1];
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_type;
	__u16 sk_protocol;
	int sk_err;
	__u8 sk_userlocks : 4; /* a whole byte in newer kernels: only read as a bit field */
	struct pid *sk_peer_pid;
	struct sock_cgroup_data sk_cgrp_data;
	struct sock_reuseport *sk_reuseport_cb;
	struct bpf_local_storage *sk_bpf_storage;
	struct socket *sk_socket;
};

struct inet_sock {
	struct sock sk;
	__u16 inet_sport;
};

struct socket {
	short type;
	struct file *file;
	struct sock *sk;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_received;
	__u64 bytes_acked;
	__u32 segs_out;
	__u32 segs_in;
	bool is_mptcp; /* only with CONFIG_MPTCP: ask bpf_core_field_exists first */
};

struct mptcp_sock {
	struct inet_connection_sock sk;
};

struct sockaddr_un {
	__u16 sun_family;
	char sun_path[108];
};

struct unix_address {
	int len; /* of what is used of the name, sun_family included */
	struct sockaddr_un name[0];
};

struct unix_sock {
	struct sock sk;
	struct unix_address *addr;
	struct sock *peer;
};

struct sockaddr;

/* What a struct bpf_sock_addr really is. */
struct bpf_sock_addr_kern {
	struct sock *sk;
	struct sockaddr *uaddr;
	__u32 uaddrlen; /* since 6.7 */
};

struct bpf_map {
	__u32 id;
};

#pragma clang attribute pop

/* Since 6.18. Known to the kernel by name, in the BTF of a map's value. */
struct bpf_task_work {
	__u64 opaque;
};

#endif
