/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy as tables for who must decide without it: in block mode the kernel. What stands in a
 * table for a destination is everything that holds for it, that of wider networks and of shorter
 * suffixes included, so that one look-up of the closest entry is enough. Sets of ports are kept
 * once, however many destinations have them. Building costs O(n log n).
 */
#ifndef LINNET_POLICY_PERMITS_H
#define LINNET_POLICY_PERMITS_H

#include "policy.h"

/* In a set what denies comes first, so that the first range that fits decides. */
struct ln_permit_range {
	uint16_t first, last;
	uint8_t proto; /* 0: any */
	uint8_t deny;
};

struct ln_permit_set {
	uint32_t first; /* in `ranges` */
	uint32_t n;
};

struct ln_permit_net {
	struct ln_net net;
	uint32_t set;
};

struct ln_permit_name {
	const char *name; /* borrowed from the table */
	uint32_t whole;   /* set of this very name; 0 none */
	uint32_t below;   /* of all below it; 0 none */
};

struct ln_permits {
	struct ln_permit_range *ranges; /* owned */
	struct ln_permit_set *sets;     /* owned; the first one is empty */
	struct ln_permit_net *nets;     /* owned; sorted */
	struct ln_permit_name *names;   /* owned */
	size_t n_ranges, n_sets, n_nets, n_names;
	void *index; /* owned; of the names */
};

/* `now_s`: wall clock; a rule that has expired by then permits nothing. 0 or -ENOMEM. */
int ln_permits_new(const struct ln_policy *p, uint64_t now_s, struct ln_permits **ret);
void ln_permits_free(struct ln_permits **p);
/* The set that holds for a canonical name; 0: no rule is about it. */
uint32_t ln_permits_find_name(const struct ln_permits *p, const char *name);
/* The entry of this very network; NULL: there is none. */
const struct ln_permit_net *ln_permits_find_net(const struct ln_permits *p,
						const struct ln_net *net);

#endif
