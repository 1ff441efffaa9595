/* SPDX-License-Identifier: Apache-2.0 */
/* The actions of the self-test as data: one use of a way out each, and the finding that it must
 * lead to. They run in a private network namespace, between a process of the tree and one outside,
 * and leave nothing behind. */
#ifndef LINNET_DAEMON_PROBES_H
#define LINNET_DAEMON_PROBES_H

#include <sys/types.h>
#include "engine/finding.h"

#define LN_PROBES_MAX 16

/* In memory that the processes of the test share. */
struct ln_probe_slot {
	bool wanted;
	pid_t pid;        /* in the tree, the probe's own */
	uint64_t sent_ns; /* just before the action */
	int error;        /* errno: why it cannot be tried here */
	uint16_t port;    /* a listener's */
	char name[32];    /* a UNIX socket's, abstract */
	pid_t victim;     /* owned by the process outside: a process to inject into */
};

struct ln_probe {
	const char *name;
	/* Rows of the sensors' channel tables: the probe is tried when one of them is not BLIND. */
	const char *channel, *poll_channel; /* NULL: none */
	/* Outside, before. 0, or -errno: it cannot be tried. What it opens stays open until the
	 * end: *ret_fd, untouched when that is nothing. NULL: nothing to prepare. */
	int (*prepare)(struct ln_probe_slot *s, int *ret_fd);
	/* In the tree. What it opens stays open; -errno: it cannot be tried. */
	int (*act)(struct ln_probe_slot *s);
	/* Outside, after `act`; NULL: nothing to do. */
	void (*answer)(const struct ln_probe_slot *s);
	/* The finding is about the probe's process already. */
	bool (*caught)(const struct ln_probe_slot *s, const struct ln_finding *f);
};

size_t ln_probes(const struct ln_probe **ret);

#endif
