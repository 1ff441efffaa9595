/* SPDX-License-Identifier: Apache-2.0 */
/* What of linnet's own files the agent's user can get at. The kernel is asked, by a process with
 * the agent's ids, so that groups, access lists and the directories above all count. */
#ifndef LINNET_DAEMON_REACH_H
#define LINNET_DAEMON_REACH_H

#include <stdbool.h>
#include "identity.h"

struct ln_reach {
	bool policy_read, policy_write;
	bool policy_replace; /* as log_replace */
	bool log_read, log_write;
	bool log_replace; /* by another, or by none: some directory on the way is the agent's */
};

/* As root, by a process with one thread. `policy` may be NULL. -errno: it is not known. */
int ln_reach_find(const struct ln_identity *agent, const char *policy, const char *log,
		  struct ln_reach *ret);

#endif
