/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watched processes as /proc shows them, one scan after the other. A PID and its start time
 * are one process. A new process belongs to a tree when its parent does, when the leader of its
 * session does, or when it is an orphan that came to linnet (see ln_poll_tree_track). Marks stay
 * until ln_poll_tree_settle. Iteration order: parents before children. Bound: `max` processes,
 * and 262,144 others that are remembered as foreign. A scan costs one directory read, a stat of
 * each new PID, and some ten system calls a watched process.
 */
#ifndef LINNET_SENSOR_POLL_TREE_H
#define LINNET_SENSOR_POLL_TREE_H

#include "base/error.h"
#include "poll_proc.h"

struct ln_poll_tree; /* opaque */

int ln_poll_tree_new(size_t max, struct ln_error *err, struct ln_poll_tree **ret);
void ln_poll_tree_free(struct ln_poll_tree **t);

/* A child of linnet that has not run yet. From here on linnet is a child subreaper, orphans come
 * to it, and every new child of linnet is taken for one: linnet must fork nothing more. Children
 * that it had before are its own. Orphans are reaped here; the root is left to who forked it. */
int ln_poll_tree_track(struct ln_poll_tree *t, uint32_t agent, uint32_t pid, struct ln_error *err);
/* A living process with its descendants. */
int ln_poll_tree_adopt(struct ln_poll_tree *t, uint32_t agent, uint32_t pid, struct ln_error *err);

int ln_poll_tree_scan(struct ln_poll_tree *t);
/* After the marks were told: clears them, forgets who is gone. */
void ln_poll_tree_settle(struct ln_poll_tree *t);

/* NULL starts; NULL ends. Includes who is gone and not settled. */
struct ln_poll_proc *ln_poll_tree_next(struct ln_poll_tree *t, const struct ln_poll_proc *p);
/* Gone, and their PID is another process by now: tell their end before anything else. */
struct ln_poll_proc *ln_poll_tree_next_reused(struct ln_poll_tree *t, const struct ln_poll_proc *p);
size_t ln_poll_tree_size(const struct ln_poll_tree *t);
size_t ln_poll_tree_living(struct ln_poll_tree *t, uint32_t agent);
bool ln_poll_tree_lives(struct ln_poll_tree *t, uint32_t pid);
uint64_t ln_poll_tree_refused(const struct ln_poll_tree *t); /* counter: processes not watched */

struct ln_poll_reader *ln_poll_tree_reader(struct ln_poll_tree *t); /* borrowed */

#endif
