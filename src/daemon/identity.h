/* SPDX-License-Identifier: Apache-2.0 */
/* As whom the agent runs: --user, else the user who called sudo, else as linnet itself. All is
 * looked up before the fork, so that a wrong name is told before anything has started. */
#ifndef LINNET_DAEMON_IDENTITY_H
#define LINNET_DAEMON_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>
#include "base/error.h"

#define LN_IDENTITY_GROUPS_MAX 256

struct ln_identity {
	bool change; /* false: the agent keeps linnet's own ids and environment */
	uid_t uid;
	gid_t gid;
	size_t n_groups;
	gid_t groups[LN_IDENTITY_GROUPS_MAX];
	char *name, *home, *shell; /* owned; NULL: no account, the environment is left alone */
};

/* `user`: a name or a number, NULL when not given. */
int ln_identity_find(const char *user, struct ln_error *err, struct ln_identity *ret);
/* As whom a process runs: its effective ids, which decide what it may open. No account. */
int ln_identity_of(pid_t pid, struct ln_error *err, struct ln_identity *ret);
void ln_identity_done(struct ln_identity *id);
/* In the agent's process, right before exec. 0 or -errno. */
int ln_identity_apply(const struct ln_identity *id);

#endif
