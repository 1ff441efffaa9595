/* SPDX-License-Identifier: Apache-2.0 */
/* The names that a policy lists exactly, and until when linnet's own answer for each counts: which
 * of them are worth asking for when somebody connects and no name permits it. A look at a policy
 * of any size is bounded: the next one begins where this one ended. */
#ifndef LINNET_ENGINE_CANDIDATES_H
#define LINNET_ENGINE_CANDIDATES_H

#include "dns/names.h"
#include "policy/policy.h"

struct ln_candidate {
	const struct ln_rule *rule; /* borrowed from the policy */
	uint64_t until_ns;          /* 0: never answered */
};

struct ln_candidates {
	struct ln_candidate *list; /* owned; by name */
	size_t n, next;
};

int ln_candidates_init(struct ln_candidates *c, const struct ln_policy *policy);
void ln_candidates_done(struct ln_candidates *c);
/* linnet has obtained an address of this name. */
void ln_candidates_answered(struct ln_candidates *c, const char *name, uint64_t until_ns);
/* Names whose rules permit this port and protocol, those without a valid answer first; borrowed
 * from the policy, each once. Returns how many. */
size_t ln_candidates_pick(struct ln_candidates *c, uint16_t port, uint8_t proto, uint64_t now_ns,
			  const char **ret, size_t max);

#endif
