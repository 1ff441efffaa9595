/* SPDX-License-Identifier: Apache-2.0 */
/* What a cgroup path says about who runs the process: a container engine, or a systemd unit. Pure:
 * bytes in, pieces of them out. Whoever may make cgroups can make up any path: it names, and
 * decides nothing. */
#ifndef LINNET_PROC_CONTAINER_H
#define LINNET_PROC_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>

#define LN_CONTAINER_ID_SHORT 12 /* as people write them */

/* Lengths 0: there is none. */
struct ln_container {
	const char *runtime; /* static text: "docker", "podman", …; NULL unknown */
	const char *id;      /* into the path, as all of them */
	size_t id_len;
	const char *unit;
	size_t unit_len;
};

/* The innermost container, and the innermost unit that is not the container's own. */
void ln_container_parse(const char *path, size_t len, struct ln_container *ret);

#endif
