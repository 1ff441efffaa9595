/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes with their living descendants, by /proc, for who has no sensor: the launcher when the
 * monitor is gone, and `linnet resume` and `linnet kill`. A descendant whose parent has ended is
 * not found. Of /proc/PID/stat it takes numbers alone.
 */
#ifndef LINNET_DAEMON_FAMILY_H
#define LINNET_DAEMON_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Sends `signo` to the roots and all below, again and again until nobody new is found. Returns how
 * many it reached; -errno when it reached none. */
int ln_family_signal(const pid_t *roots, size_t n_roots, int signo);

/* Whether some other process than the roots and their descendants runs as this user. */
bool ln_family_shares_user(uid_t uid, const pid_t *roots, size_t n_roots);

#endif
