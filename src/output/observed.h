/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was observed in a watch, as a value: one entry for each destination (by the best name that
 * evidence grants, else by address), name that was asked for, UNIX socket and port of the agent's,
 * filled from findings. Bounded by kind; what comes when a kind is full is counted and not kept, so
 * that a flood of one kind takes no room of another. O(1) a finding.
 */
#ifndef LINNET_OUTPUT_OBSERVED_H
#define LINNET_OUTPUT_OBSERVED_H

#include "engine/finding.h"

#define LN_OBSERVED_ADDRS      8
#define LN_OBSERVED_FLOWS_MAX  65536 /* open flows whose bytes will be added to their entry */
#define LN_OBSERVED_COMMAND    80    /* bytes of the command that are kept */
#define LN_OBSERVED_REASON_MAX 200

enum ln_observed_kind {
	LN_OBSERVED_DEST,     /* TCP or UDP that goes out */
	LN_OBSERVED_CLAIM,    /* a site that only the agent named, where another name permits */
	LN_OBSERVED_NAME,     /* asked for */
	LN_OBSERVED_RESOLVER, /* a trusted one, which was asked */
	LN_OBSERVED_UNIX,     /* outside the tree */
	LN_OBSERVED_INBOUND,  /* a port of the agent's own */
	LN_OBSERVED_OTHER,    /* a violation that no rule can permit */
	LN_OBSERVED_KINDS,
};

enum ln_observed_grade {
	LN_GRADE_NONE,    /* no name was seen */
	LN_GRADE_CLAIMED, /* `called`, which grants nothing */
	LN_GRADE_TRUSTED, /* `text` is a name that evidence grants */
};

struct ln_observed {
	enum ln_observed_kind kind;
	enum ln_observed_grade grade;
	char text[LN_NAME_MAX];   /* name, address, path ("@…": abstract), or title and subject */
	char called[LN_NAME_MAX]; /* CLAIMED: as what; UNIX: by whom it is served; "" none */
	struct ln_addr addr;      /* DEST by address; family 0: by name */
	uint16_t port;
	uint8_t proto;
	bool listable; /* a policy can say it */
	bool denied;   /* by a rule that denies: `rule` */
	bool existing; /* open before the watch began */
	uint64_t count, unexpected;
	uint64_t tx_bytes, rx_bytes, first_wall_ns, last_wall_ns;
	unsigned verdicts;                 /* 1 << enum ln_verdict */
	const char *place;                 /* static; NULL none */
	char command[LN_OBSERVED_COMMAND]; /* of the first process; printable ASCII */
	char rule[LN_OBSERVED_REASON_MAX]; /* that decided first; "" none */
	struct ln_addr addrs[LN_OBSERVED_ADDRS];
	size_t n_addrs;
	uint64_t more_addrs; /* sightings of addresses past the bound */
};

struct ln_observations; /* opaque */

int ln_observations_new(struct ln_observations **ret);
void ln_observations_free(struct ln_observations **o);

/* The entry that is new by it, NULL: none. Valid until the next call. */
const struct ln_observed *ln_observe(struct ln_observations *o, const struct ln_finding *f);
/* Whether a rule could permit what the finding tells: then it is an entry of another kind than
 * OTHER. */
bool ln_observed_can_be_listed(const struct ln_finding *f);

/* All entries by kind, text, port and protocol; the array is the caller's to free. NULL: no
 * memory. */
const struct ln_observed **ln_observations_sorted(const struct ln_observations *o, size_t *ret_n);
/* How many were not kept because their kind was full, or for want of memory. */
uint64_t ln_observations_over(const struct ln_observations *o, enum ln_observed_kind k);
/* Whether a rule of this policy permitted anything, questions for names included. */
bool ln_observations_rule_used(const struct ln_observations *o, uint32_t rule_id);
/* When nothing more can be told; 0: nothing was. */
uint64_t ln_observations_last_wall_ns(const struct ln_observations *o);

#endif
