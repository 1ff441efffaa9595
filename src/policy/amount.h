/* SPDX-License-Identifier: Apache-2.0 */
/* Amounts in a policy: bytes with their unit, "10MB", and how many of something, "20". */
#ifndef LINNET_POLICY_AMOUNT_H
#define LINNET_POLICY_AMOUNT_H

#include "yaml_tree.h"

/* From 1 byte up. False, and reported. */
bool ln_bytes_parse(const struct ln_yaml_node *node, const char *key, struct ln_report *r,
		    uint64_t *ret);
/* From 1 to 999,999,999. False, and reported. */
bool ln_count_parse(const struct ln_yaml_node *node, const char *key, struct ln_report *r,
		    uint64_t *ret);

#endif
