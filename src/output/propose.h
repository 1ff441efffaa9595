/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what was observed to rules that would have permitted it: names rather than addresses where
 * evidence grants, ports of one destination together, names of one registered domain as a wildcard
 * when that is asked for. What a rule denies, and what nobody should permit without a thought, is
 * not proposed; the reason is kept. Pure, and in one order whatever the order of events was.
 */
#ifndef LINNET_OUTPUT_PROPOSE_H
#define LINNET_OUTPUT_PROPOSE_H

#include "observed.h"

#define LN_PROPOSAL_PORTS 16
#define LN_FOLD_DEFAULT   3

/* Why a rule stands apart; the order in a file. */
enum ln_proposal_part {
	LN_PART_NAME,
	LN_PART_CLAIM,   /* only the agent gave the name: the rule permits no address by itself */
	LN_PART_ADDRESS, /* no name that can be trusted led there */
	LN_PART_ASKED,   /* allowed_dynamic_resolution: only asked for */
	LN_PART_UNIX,
	LN_PART_INBOUND,
	LN_PART_COUNT,
};

struct ln_proposal {
	enum ln_proposal_part part;
	enum ln_rule_kind list;
	char text[LN_NAME_MAX + 2]; /* destination, name or path */
	uint16_t ports[LN_PROPOSAL_PORTS];
	size_t n_ports;
	uint8_t proto;
	size_t folded; /* how many names it stands for; 0: it is no wildcard */
	uint64_t count, tx_bytes, rx_bytes, first_wall_ns;
	char command[LN_OBSERVED_COMMAND];
	char why[LN_NAME_MAX + 80]; /* ADDRESS: in words; "" nothing to say */
};

/* What is not proposed. */
struct ln_unproposed {
	char text[LN_NAME_MAX + 16];
	char why[LN_NAME_MAX + 80];
};

struct ln_proposals {
	struct ln_proposal *rules; /* owned */
	size_t n;
	struct ln_unproposed * not ; /* owned */
	size_t n_not;
	uint64_t over; /* sightings that found no room in the table */
};

struct ln_propose_config {
	const struct ln_policy *policy; /* borrowed; the one in force */
	bool existing;                  /* it was given, so its lists are added to */
	size_t fold;                    /* names of a domain that become one; 0: never */
};

int ln_propose(const struct ln_observations *o, const struct ln_propose_config *c,
	       struct ln_proposals *ret);
void ln_proposals_done(struct ln_proposals *p);

/* "443", "80, 443": for people. */
const char *ln_proposal_ports(const struct ln_proposal *p, char *buf, size_t size);

#endif
