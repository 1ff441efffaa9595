/* SPDX-License-Identifier: Apache-2.0 */
/* Daemons that do things for whoever talks to their UNIX socket: start processes, use keys, reach
 * the network. The list is the data in daemons.c. */
#ifndef LINNET_ENGINE_DAEMONS_H
#define LINNET_ENGINE_DAEMONS_H

#include "event.h"

struct ln_daemon {
	const char *name; /* "Docker" */
	const char *does; /* "it starts processes outside the agent" */
};

/* By what the socket is called; when that does not tell (a link, a relative path), by who listens.
 * NULL: none of them. */
const struct ln_daemon *ln_daemon_find(const struct ln_channel *c);

#endif
