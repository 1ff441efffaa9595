/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroups in which processes of the tree are, by id: path, and what it says. At most `max` of
 * them; when full, one that was not asked for lately goes, counted. A look-up is O(1). */
#ifndef LINNET_PROC_CGROUPS_H
#define LINNET_PROC_CGROUPS_H

#include <stdint.h>
#include "container.h"

struct ln_cgroup_info {
	uint64_t id;
	const char *path; /* raw, NUL-terminated */
	size_t path_len;
	struct ln_container in; /* points into path */
};

struct ln_cgroups; /* opaque */

struct ln_cgroups *ln_cgroups_new(size_t max);
void ln_cgroups_free(struct ln_cgroups **c);
/* The path replaces one that is known. Without memory it stays unknown. */
void ln_cgroups_put(struct ln_cgroups *c, uint64_t id, const char *path, size_t len);
/* Valid until the next put; NULL: unknown. */
const struct ln_cgroup_info *ln_cgroups_find(struct ln_cgroups *c, uint64_t id);
uint64_t ln_cgroups_evicted(const struct ln_cgroups *c); /* counter */

#endif
