/* SPDX-License-Identifier: Apache-2.0 */
/* Rules against each other: repeated, contradictory, shadowed, denied; and rules that are too wide.
 * Each rule is compared only with those of its own destination and of the wider ones, found through
 * the index; a destination has at most LN_CHECK_SAME_MAX rules, so this is not quadratic. */
#ifndef LINNET_POLICY_CHECKS_H
#define LINNET_POLICY_CHECKS_H

#include "policy.h"
#include "report.h"

#define LN_CHECK_SAME_MAX 256

/* `places` has one entry for each rule, by id; the policy has its index. */
void ln_check_rules(const struct ln_policy *p, const struct ln_place *places, struct ln_report *r);

#endif
