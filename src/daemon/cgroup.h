/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's own cgroup (v2): `linnet-<pid>` below the cgroup that linnet runs in, where the
 * byte counters hang. It goes with the agent's last process; what could not go then is swept up
 * by the next start. Names are never followed as symbolic links. A walk is bounded.
 */
#ifndef LINNET_DAEMON_CGROUP_H
#define LINNET_DAEMON_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>
#include "base/error.h"

struct ln_cgroup {
	int parent_fd; /* owned; -1 none */
	int fd;        /* owned; -1 none */
	char name[32];
};
#define LN_CGROUP_NONE                                                                             \
	{                                                                                          \
		.parent_fd = -1, .fd = -1                                                          \
	}

/* The root of the cgroup2 tree as an open directory, mounted or not. -errno, *err says why. */
int ln_cgroup_root(struct ln_error *err, int *ret_fd);
/* Makes `linnet-<owner>` below the calling process's own cgroup. */
int ln_cgroup_make(pid_t owner, struct ln_error *err, struct ln_cgroup *ret);
/* fork(2), with the child born in the cgroup: moving a process makes the kernel wait some 10 ms for
 * all CPUs (clone3(2), CLONE_INTO_CGROUP, Linux 5.7). -1 and errno as fork. The C library's
 * fork handlers do not run: the child of a process with one thread only. */
pid_t ln_cgroup_fork(const struct ln_cgroup *c);
int ln_cgroup_enter(const struct ln_cgroup *c, pid_t pid, struct ln_error *err);
/* Reads "populated" of an open cgroup.events. 1, 0, or -errno. */
int ln_cgroup_populated(int events_fd);
int ln_cgroup_open_events(const struct ln_cgroup *c); /* descriptor or -errno */
/* Waits up to `wait_ms` until it is empty, then removes it with all below it and closes it. False:
 * it is still there. */
bool ln_cgroup_remove(struct ln_cgroup *c, int wait_ms);
void ln_cgroup_close(struct ln_cgroup *c);
/* Removes what dead linnets left below `root_fd`; returns how many. */
unsigned ln_cgroup_sweep(int root_fd);

#endif
