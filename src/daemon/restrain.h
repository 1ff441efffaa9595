/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends, stops and lets go on an agent: by its cgroup, where it has one of its own, else process by
 * process. A cgroup is done as a whole by the kernel, also what is being forked meanwhile; single
 * processes have to be looked for again until none is left. 0 or -errno.
 */
#ifndef LINNET_DAEMON_RESTRAIN_H
#define LINNET_DAEMON_RESTRAIN_H

#include <stdbool.h>
#include <stddef.h>

/* SIGKILL to all of it and below, frozen or not. Before Linux 5.14 (no cgroup.kill) it is frozen
 * first, and each process is killed by itself. */
int ln_restrain_kill(int cgroup_fd);
/* Waits up to `wait_ms` until the kernel says that nothing runs any more: -ETIMEDOUT. */
int ln_restrain_freeze(int cgroup_fd, int wait_ms);
int ln_restrain_thaw(int cgroup_fd);
/* Whether it was told to freeze. */
bool ln_restrain_is_frozen(int cgroup_fd);
int ln_restrain_signal(int pidfd, int signo);

#endif
