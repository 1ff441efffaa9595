/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd-resolved's own word on what it answers, to anybody on this host: names that come to the
 * agent over varlink, D-Bus or from resolved's cache and never cross the wire. Its socket is for
 * root alone, so it is opened while linnet still is root, and it is read later; when resolved ends
 * there is no second time.
 */
#ifndef LINNET_SENSOR_RESOLVED_H
#define LINNET_SENSOR_RESOLVED_H

#include "sensor.h"

#define LN_RESOLVED_PATH "/run/systemd/resolve/io.systemd.Resolve.Monitor"

struct ln_resolved; /* opaque */

/* Connects and subscribes. `grants`: what it says about names that only DNS servers answer may
 * permit. -ENOENT: there is no resolved, or it has no such interface; -EACCES: not root. */
int ln_resolved_new(const char *path, bool grants, struct ln_resolved **ret);
void ln_resolved_free(struct ln_resolved **r);
int ln_resolved_fd(const struct ln_resolved *r);
/* Each address as LN_EVENT_NAME of every agent. -EPIPE: it has ended, or says what linnet does not
 * understand; -errno: it cannot be read any more. */
int ln_resolved_dispatch(struct ln_resolved *r, ln_event_fn fn, void *user);

#endif
