/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `run` and `attach`. For a run there are three processes: the launcher (which the user started; it
 * is the agent's parent, passes signals on and mirrors stops), the monitor (its own session, no
 * privilege) and the agent, which is forked before linnet has opened anything and executed when
 * the monitor is ready. For an attach there are two: the launcher passes the user's signals on to
 * the monitor.
 */
#ifndef LINNET_DAEMON_LAUNCH_H
#define LINNET_DAEMON_LAUNCH_H

#include "identity.h"
#include "watch.h"

#define LN_EXIT_FAILED     125 /* linnet failed before the start */
#define LN_EXIT_CANNOT_RUN 126
#define LN_EXIT_NOT_FOUND  127
#define LN_EXIT_SIGNAL     128 /* + its number */

struct ln_launch_config {
	struct ln_watch_config watch;       /* pids and cgroup_fd are filled in */
	const struct ln_identity *identity; /* borrowed */
	char *const *argv;                  /* NULL-terminated */
	int alert_code; /* instead of the agent's status when something was unexpected; 0: never */
};

/* Both say what went wrong themselves and return the exit status of the program. */
int ln_launch_run(const struct ln_launch_config *c);
int ln_launch_attach(const struct ln_watch_config *c, int alert_code);

#endif
