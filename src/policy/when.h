/* SPDX-License-Identifier: Apache-2.0 */
/* A point in time in a policy: "2027-01-31", which is the beginning of that day in UTC, or as in
 * RFC 3339: "2027-01-31T18:00:00+02:00". */
#ifndef LINNET_POLICY_WHEN_H
#define LINNET_POLICY_WHEN_H

#include "yaml_tree.h"

/* Seconds since 1970; false, and reported. */
bool ln_when_parse(const struct ln_yaml_node *node, const char *key, struct ln_report *r,
		   uint64_t *ret_s);

#endif
