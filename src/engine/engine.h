/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judge: event in, findings out. Pure: no system call, no logging, no clock; time comes in
 * with the event. It owns the process tree, the name evidence, the pending questions and the
 * repeat counters, each bounded. The same events give the same findings, always. One call costs
 * O(names of the address + rules' hash look-ups).
 */
#ifndef LINNET_ENGINE_ENGINE_H
#define LINNET_ENGINE_ENGINE_H

#include "finding.h"

struct ln_engine; /* opaque */

typedef void (*ln_finding_fn)(const struct ln_finding *f, void *user);
/* Block mode: until then this name, which may be listed, leads to the address; and: what the
 * kernel may have permitted at the address on its own is no more. What was granted stays. */
typedef void (*ln_grant_fn)(uint32_t agent, const struct ln_addr *addr, const char *name,
			    uint64_t until_ns, void *user);
typedef void (*ln_revoke_fn)(uint32_t agent, const struct ln_addr *addr, void *user);

/* What came of acting upon a violation in LN_MODE_KILL and LN_MODE_FREEZE. */
struct ln_deed {
	enum ln_action action; /* KILLED, FROZEN, or LET_THROUGH */
	const char *why;       /* LET_THROUGH: static text */
	bool news;             /* it was done just now, so it is told whatever was told before */
};

struct ln_engine_config {
	const struct ln_policy *policy; /* borrowed, outlives the engine */
	const char *agent_name;         /* borrowed; NULL: the policy's */
	const char *run; /* borrowed; what the ids of alerts begin with; NULL: they have none */
	uint32_t agent;  /* id of the tree, from 1 */
	const struct ln_endpoint *resolvers; /* trusted; copied */
	size_t n_resolvers;
	uint64_t netns; /* where the resolvers are what they seem, see ln_flow; 0: anywhere */
	const char (*search)[LN_NAME_MAX]; /* search domains; copied */
	size_t n_search;
	uint64_t repeat_every_ns; /* 0: 10 s */
	bool attached;   /* the agent lived before the watch: earlier answers were not seen */
	bool dns_unseen; /* the sensor sees no DNS message */
	bool monitored;  /* systemd-resolved tells its answers, a little after it gives them */
	/* Asks for names that the policy lists, now, by linnet's own look-ups; LN_EVENT_LOOKED with
	 * this ticket follows when all were answered or have failed. False: it does not. NULL:
	 * there are no such look-ups. */
	bool (*ask)(uint64_t ticket, const char *const *names, size_t n, void *user);
	enum ln_mode mode;
	bool dry_run;    /* the mode's deeds are only told, not done */
	uint32_t handle; /* see ln_finding */
	/* KILL and FREEZE: does it to the agent, before the violation is told. NULL: nobody can. */
	struct ln_deed (*act)(const struct ln_finding *f, void *user);
	ln_finding_fn on_finding;
	ln_grant_fn on_grant;   /* NULL: nobody blocks */
	ln_revoke_fn on_revoke; /* the same */
	void *user;
};

/* Sums for the end of a run. */
struct ln_engine_summary {
	uint64_t flows, destinations, violations, repeats;
	uint64_t flows_open; /* whose end has not been seen, and may still come */
	uint64_t by_verdict[LN_VERDICT_COUNT];
	uint64_t tx_bytes, rx_bytes;
	uint64_t dns_queries, dns_unexpected, dns_malformed, dns_forged;
	uint64_t channels, channels_unexpected; /* that are no flow */
	uint64_t claims, claims_unexpected;     /* of the bytes of flows that were permitted */
	uint64_t tampers;
	uint64_t processes, lost;
	uint64_t names_evicted, processes_refused, alerts_folded, tables_full;
	/* Also repetitions. What was blocked though the policy permits it, when judged, is among
	 * the blocked. */
	uint64_t blocked, blocked_permitted, would_act, let_through;
	uint64_t deeds;         /* times that the agent was killed or frozen */
	bool destinations_over; /* there were more than could be kept apart */
};

int ln_engine_new(const struct ln_engine_config *config, struct ln_engine **ret);
void ln_engine_free(struct ln_engine **e);

void ln_engine_feed(struct ln_engine *e, const struct ln_event *ev);
/* Another policy for the same agent, with its resolvers; the old one is not used any more when this
 * has succeeded. Open flows are judged anew: what permitted one by a name goes on to, where a rule
 * permits that name. Told as LN_FINDING_POLICY after LN_FINDING_VERDICT of each flow that changes.
 * -ENOMEM: the old one stays. */
int ln_engine_take_policy(struct ln_engine *e, const struct ln_policy *policy,
			  const struct ln_endpoint *resolvers, size_t n_resolvers, uint64_t now_ns,
			  uint64_t wall_ns);
/* For a sensor that has forgotten what was granted: all that grants, once more. */
void ln_engine_grant_again(struct ln_engine *e);
/* One that cannot be taken, only told. */
void ln_engine_refuse_policy(struct ln_engine *e, const char *file, const char *why,
			     uint64_t now_ns, uint64_t wall_ns);
/* When the engine wants to be called next (repeat summaries): monotonic ns; UINT64_MAX: not until
 * an event. */
uint64_t ln_engine_deadline(const struct ln_engine *e);
void ln_engine_tick(struct ln_engine *e, uint64_t now_ns, uint64_t wall_ns);
/* Tells what is still pending (repeat counts). Call once before the summary. */
void ln_engine_finish(struct ln_engine *e, uint64_t now_ns, uint64_t wall_ns);

size_t ln_engine_living(const struct ln_engine *e); /* processes of the tree that live */
/* See ln_tree_pids. */
size_t ln_engine_pids(const struct ln_engine *e, uint64_t since_ns, uint32_t *ret, size_t max);
size_t ln_engine_open_flows(const struct ln_engine *e); /* that have not closed yet */
void ln_engine_summary(const struct ln_engine *e, struct ln_engine_summary *ret);
uint64_t ln_engine_rule_hits(const struct ln_engine *e, size_t rule_id);

#endif
