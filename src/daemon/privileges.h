/* SPDX-License-Identifier: Apache-2.0 */
/* Getting rid of root. Each function reads back what it did and fails when the kernel does not
 * agree: a monitor that kept a privilege must not go on. */
#ifndef LINNET_DAEMON_PRIVILEGES_H
#define LINNET_DAEMON_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>
#include "base/error.h"

/* The range that systemd keeps for users without an account (its "dynamic users"). */
#define LN_SPARE_UID_FIRST 61184
#define LN_SPARE_UID_LAST  65519

/* Whom the monitor becomes: the user `linnet`, else a uid that no account has. Never agent_uid. */
int ln_privileges_choose(uid_t agent_uid, struct ln_error *err, uid_t *ret_uid, gid_t *ret_gid);

/* To uid and gid, without other groups, capabilities, or a way back. `keep_proc` leaves what
 * reading /proc/PID/fd of other users needs (CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH), for polling. */
int ln_privileges_drop(uid_t uid, gid_t gid, bool keep_proc, struct ln_error *err);

/* For a process that was not root: no_new_privs and not dumpable. */
int ln_privileges_seal(struct ln_error *err);

/* The launcher: stays uid 0, with CAP_KILL to pass signals on and to let the monitor go on; with
 * CAP_DAC_READ_SEARCH to open a changed policy wherever it is; and, when there is a `cgroup` of the
 * agent's, with CAP_DAC_OVERRIDE in its place, to remove that, too (the root of that tree has mode
 * 0555). */
int ln_privileges_drop_launcher(bool cgroup, struct ln_error *err);

#endif
