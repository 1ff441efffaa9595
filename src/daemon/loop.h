/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop around a watch (sd-event): what it waits on, and when it is over. The caller has
 * blocked SIGINT and SIGTERM. Once a second it has the watch inspect itself, and the launcher. */
#ifndef LINNET_DAEMON_LOOP_H
#define LINNET_DAEMON_LOOP_H

#include "watch.h"

/* What the launcher and the monitor say to each other, one byte a message. */
#define LN_CTL_READY    'R' /* monitor: the watch has begun, the agent may run */
#define LN_CTL_STARTED  'S' /* launcher: the agent has been executed */
#define LN_CTL_CANCELED 'F' /* launcher: it could not be; nothing is to be told */
#define LN_CTL_QUIT     'Q' /* launcher: end the watch, whoever still runs */
#define LN_CTL_STOPPED  'T' /* launcher: a signal stopped you, and I let you go on */
#define LN_CTL_RUNS     'A' /* monitor: I have read that */
#define LN_CTL_PAUSES   'P' /* launcher: I stop now, because the user's job does */
#define LN_CTL_POLICY   'L' /* monitor: open the policy's file; launcher: here it is, or not */
#define LN_CTL_RELOAD   'H' /* launcher: a person wants the policy to be read again */
#define LN_CTL_RESUMES  'C' /* launcher: and now I go on */

/* These may bring descriptors of processes (SCM_RIGHTS), which are then meant too. */
#define LN_CTL_KILL     'K' /* monitor: end the agent */
#define LN_CTL_FREEZE   'Z' /* monitor: stop it */
#define LN_CTL_DONE     'D' /* launcher: it is done */
#define LN_CTL_NOT_DONE 'N' /* launcher: it cannot be, or is not this watch's mode */

enum ln_loop_end {
	LN_LOOP_TREE_ENDED,
	LN_LOOP_QUIT,     /* by a signal or the launcher */
	LN_LOOP_CANCELED, /* the agent never ran */
};

struct ln_loop_config {
	struct ln_watch *watch; /* borrowed */
	int ctl_fd;             /* borrowed; to the launcher */
	bool attached;          /* there is no agent to be started */
};

int ln_loop_run(const struct ln_loop_config *c, struct ln_error *err, enum ln_loop_end *ret);

#endif
