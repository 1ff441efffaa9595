/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent by a process id, for `linnet resume` and `linnet kill`: by its cgroup `linnet-PID`, or
 * by the processes that a launcher holds, or else a process with its descendants. What is asked of
 * a launcher is only believed of a linnet that runs as our own user.
 */
#ifndef LINNET_DAEMON_TARGET_H
#define LINNET_DAEMON_TARGET_H

#include <sys/types.h>
#include "base/error.h"

enum ln_target_deed { LN_TARGET_RESUME, LN_TARGET_KILL };

/* `pid`: of linnet, or any process of the agent. *ret_what says what was done, in words. */
int ln_target_do(pid_t pid, enum ln_target_deed deed, struct ln_error *err, char *ret_what,
		 size_t size);

#endif
