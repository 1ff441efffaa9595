/* SPDX-License-Identifier: Apache-2.0 */
/* International names that may be taken for others, after Unicode UTS 39 and with small tables: a
 * label that mixes the letters of two of six scripts, and a name that is a listed ASCII name in
 * letters that look the same. Not detected: names of ASCII alone ("paypa1", "rnail"), accents,
 * scripts and letters that are not in the tables, two international names that look alike. */
#ifndef LINNET_POLICY_LOOKALIKE_H
#define LINNET_POLICY_LOOKALIKE_H

#include "policy.h"
#include "report.h"

/* `places` has one entry for each rule, by id; the policy has its index. */
void ln_check_lookalikes(const struct ln_policy *p, const struct ln_place *places,
			 struct ln_report *r);

#endif
