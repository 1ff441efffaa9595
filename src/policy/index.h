/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the rules of a destination are. Rules of one list and one destination form a chain in the
 * order of their ids. Names and suffixes share one hash, which is computed from the last byte
 * to the first, so that one pass over a name gives the hash of each of its suffixes. Networks are
 * in a second hash by address and prefix length; an address is looked up once for each length
 * that occurs, the longest first. Both are open-addressed and at most half full. Rules about UNIX
 * sockets and inbound connections are in neither.
 */
#ifndef LINNET_POLICY_INDEX_H
#define LINNET_POLICY_INDEX_H

#include "policy.h"

#define LN_NO_RULE         UINT32_MAX
#define LN_ALLOW_KINDS     2 /* that permit a destination; the first ones */
#define LN_RULE_KINDS      3 /* that are about destinations: these, and LN_RULE_DENY */
#define LN_NAME_LABELS_MAX 127
#define LN_LOCAL_MAX       256 /* rules in a list about UNIX sockets or what comes in */
#define LN_SETTINGS_MAX    256 /* limits */

struct ln_rule_chain {
	uint32_t first, last; /* rule ids; LN_NO_RULE: empty */
};

struct ln_name_slot {
	const char *name; /* borrowed from a rule; NULL: free */
	uint32_t hash;
	uint32_t len;
	struct ln_rule_chain exact[LN_RULE_KINDS];
	struct ln_rule_chain suffix[LN_RULE_KINDS];
};

struct ln_net_slot {
	struct ln_net net; /* family 0: free */
	struct ln_rule_chain chain[LN_RULE_KINDS];
};

struct ln_policy {
	char *agent_name;      /* owned */
	char *file;            /* owned */
	struct ln_rule *rules; /* owned */
	size_t n_rules;
	uint32_t start[LN_RULE_COUNT + 1]; /* rules of one kind stand together: where each begins */
	struct ln_endpoint *resolvers;     /* owned */
	size_t n_resolvers;
	uint64_t grace_ns;
	enum ln_mode mode;
	bool fails_closed;
	enum ln_loopback loopback;
	struct ln_limit *limits; /* owned */
	size_t n_limits;
	struct ln_policy_sink *sinks; /* owned */
	size_t n_sinks;
	struct psl_ctx_st *suffixes; /* owned; the public suffix list; NULL: none here */

	uint32_t *next;             /* owned; by rule id: the next in its chain */
	struct ln_name_slot *names; /* owned */
	uint32_t names_mask;
	struct ln_net_slot *nets; /* owned */
	uint32_t nets_mask;
	uint8_t lens4[33], lens6[129]; /* prefix lengths that occur, descending */
	size_t n_lens4, n_lens6;
};

/* One suffix of a name, the name itself included, that some rule is about. */
struct ln_level {
	const struct ln_name_slot *slot;
	bool whole; /* it is the name itself */
};

/* 0 or -ENOMEM. The rules stand in the order of their kinds. */
int ln_index_build(struct ln_policy *p);
void ln_index_done(struct ln_policy *p);
/* From the shortest suffix to the name itself; returns how many. */
size_t ln_index_name_levels(const struct ln_policy *p, const char *name,
			    struct ln_level ret[LN_NAME_LABELS_MAX]);
/* The slot of this very network; NULL: no rule is about it. */
const struct ln_net_slot *ln_index_net(const struct ln_policy *p, const struct ln_addr *addr,
				       uint8_t prefix_len);
/* The prefix lengths that occur for a family, descending; returns how many. */
size_t ln_index_lengths(const struct ln_policy *p, uint8_t family, const uint8_t **ret);

#endif
