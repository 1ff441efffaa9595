/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which names are aliases of which, as a trusted resolver said: "a CNAME b" in one answer makes
 * what a later answer says of b evidence for a too. An alias counts while now <= expires + grace,
 * as a name does. Bound: `max` in all and LN_ALIASES_PER_TARGET that lead one agent to one name;
 * the one that was told longest ago goes first, and is counted unless it is over. When full, the
 * agent that holds most gives. O(1), and O(agents) when full.
 */
#ifndef LINNET_DNS_ALIASES_H
#define LINNET_DNS_ALIASES_H

#include <stdint.h>
#include "chain.h"

#define LN_ALIASES_PER_TARGET 64

struct ln_alias {
	char name[LN_NAME_MAX]; /* that leads to the target; canonical */
	uint32_t ttl_s;         /* the smallest on the way */
	uint64_t expires_ns;
	char chain[LN_CHAIN_TEXT_MAX]; /* from behind `name` to the target, the target included */
};

struct ln_aliases; /* opaque */

struct ln_aliases *ln_aliases_new(size_t max, uint64_t grace_ns);
void ln_aliases_free(struct ln_aliases **a);
void ln_aliases_set_grace(struct ln_aliases *a, uint64_t grace_ns);

/* Adds or renews (agent, target, name): of two expiries the later one holds. A name is not an
 * alias of itself. -EINVAL, -ENOMEM; the latter counts as evicted. */
int ln_aliases_add(struct ln_aliases *a, uint32_t agent, const char *target,
		   const struct ln_alias *alias, uint64_t now_ns);
/* Copies up to `max` that lead to the target and are not over; returns how many. */
size_t ln_aliases_find(const struct ln_aliases *a, uint32_t agent, const char *target,
		       uint64_t now_ns, struct ln_alias *ret, size_t max);
size_t ln_aliases_count(const struct ln_aliases *a);
uint64_t ln_aliases_evicted(const struct ln_aliases *a); /* counter */

#endif
