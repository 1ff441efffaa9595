/* SPDX-License-Identifier: Apache-2.0 */
/* A time with its unit in a policy: "30s", "10m", "1h". */
#ifndef LINNET_POLICY_DURATION_H
#define LINNET_POLICY_DURATION_H

#include "yaml_tree.h"

/* Both bounds are included. False, and reported. */
bool ln_duration_parse(const struct ln_yaml_node *node, const char *key, uint32_t min_s,
		       uint32_t max_s, struct ln_report *r, uint64_t *ret_ns);

#endif
