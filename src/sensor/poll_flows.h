/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets over time: which of them belong to a watched process, which of those are outbound, when
 * they came and went. A socket is known by inode, addresses and ports. Descriptors are listed only
 * when a socket or a process is new, and once in LN_POLL_RELIST scans for a socket that was passed
 * on. Bound: twice LN_POLL_SOCKETS_MAX sockets. A scan costs O(n log n) in the sockets of the
 * namespaces.
 */
#ifndef LINNET_SENSOR_POLL_FLOWS_H
#define LINNET_SENSOR_POLL_FLOWS_H

#include "poll_tree.h"
#include "sensor.h"

#define LN_POLL_RELIST    10
#define LN_POLL_FDS_MAX   65536 /* descriptors read in one scan */
#define LN_POLL_NETNS_MAX 64

enum ln_poll_loss {
	LN_POLL_LOST_SOCKETS,     /* not read or not kept: over the bound */
	LN_POLL_LOST_DESCRIPTORS, /* processes whose descriptors were not all read: too many */
	LN_POLL_LOST_UNREADABLE,  /* processes whose descriptors may not be read */
	LN_POLL_LOST_NAMESPACES,  /* over the bound */
	LN_POLL_LOST_DUMPS,       /* sockets of a namespace could not be read */
	LN_POLL_LOST_COUNT,
};

struct ln_poll_flows; /* opaque */

int ln_poll_flows_new(struct ln_poll_tree *tree, struct ln_error *err, struct ln_poll_flows **ret);
void ln_poll_flows_free(struct ln_poll_flows **f);
/* After ln_poll_tree_scan, before ln_poll_tree_settle. */
void ln_poll_flows_scan(struct ln_poll_flows *f, uint64_t now_ns);
/* FLOW_OPEN, then FLOW_CLOSE. `stamp` holds the times. */
void ln_poll_flows_tell(struct ln_poll_flows *f, const struct ln_event *stamp, ln_event_fn fn,
			void *user);
bool ln_poll_flows_has_diag(const struct ln_poll_flows *f);
uint64_t ln_poll_flows_lost(const struct ln_poll_flows *f, enum ln_poll_loss which);

#endif
