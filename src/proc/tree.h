/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process trees of the watched agents: who forked whom, and what each process runs. Pure
 * data; events fill it. An exited process stays for a while, so that a flow that closes later
 * still has its owner and a child its chain of parents. Bound: `max` processes, and 256 bytes each
 * for what they run. The oldest exited one without living children goes first, then the oldest
 * exited one with; else the newcomer is refused and counted. All is O(1). A pointer to a process is
 * valid until the next fork or exec; keep the PID, not the pointer. ns_pid, cgroup_id and why are
 * the caller's to set.
 */
#ifndef LINNET_PROC_TREE_H
#define LINNET_PROC_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ln_proc {
	uint32_t pid;
	uint32_t agent;
	struct ln_proc *parent; /* borrowed from the tree; NULL at the root or when forgotten */
	uint64_t start_ns;      /* monotonic; fork, or adoption */
	uint64_t exec_ns;       /* 0 before the first exec */
	uint64_t exit_ns;       /* 0 while it lives */
	int exit_status;        /* as in wait(2) */
	char *exe;              /* borrowed from the tree; real path at exec, raw; NULL unknown */
	char *args;             /* the same; NUL after each argument, raw bytes; NULL unknown */
	size_t args_len;
	bool args_cut;
	bool inherited;     /* forked, not yet exec'd: exe and args are the parent's */
	uint32_t ns_pid;    /* in its own PID namespace; 0 unknown */
	uint64_t cgroup_id; /* a child begins in its parent's; 0 unknown */
	const char *why;    /* static text: why it is watched, when not by descent; children have
			     * it of their parents; NULL by descent */
	uint32_t children;  /* living ones */
};

struct ln_tree; /* opaque */

struct ln_tree *ln_tree_new(size_t max);
void ln_tree_free(struct ln_tree **t);

/* Adds a child (parent_pid may be unknown: 0). A PID that is present as living is taken as reused:
 * the old one is closed first. NULL: the tree is full of living processes. */
struct ln_proc *ln_tree_fork(struct ln_tree *t, uint32_t agent, uint32_t parent_pid, uint32_t pid,
			     uint64_t now_ns);
/* Adds the process when it is not known. exe and args may be NULL with length 0; each is kept up to
 * 4096 bytes, args not at all (and args_cut set) when the bound on memory is reached. */
struct ln_proc *ln_tree_exec(struct ln_tree *t, uint32_t agent, uint32_t pid, const char *exe,
			     size_t exe_len, const char *args, size_t args_len, bool args_cut,
			     uint64_t now_ns);
/* NULL: unknown, or already exited. */
struct ln_proc *ln_tree_exit(struct ln_tree *t, uint32_t pid, int status, uint64_t now_ns);
/* The newest process with this PID, living or not; NULL when unknown. */
struct ln_proc *ln_tree_find(struct ln_tree *t, uint32_t pid);
size_t ln_tree_living(const struct ln_tree *t, uint32_t agent);
/* PIDs of up to `max` living ones that began at since_ns or later; returns how many. */
size_t ln_tree_pids(const struct ln_tree *t, uint32_t agent, uint64_t since_ns, uint32_t *ret,
		    size_t max);
size_t ln_tree_size(const struct ln_tree *t);
uint64_t ln_tree_refused(const struct ln_tree *t); /* counter */

#endif
