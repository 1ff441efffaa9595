/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's state and what its files call of each other. Only src/engine includes it. */
#ifndef LINNET_ENGINE_INTERNAL_H
#define LINNET_ENGINE_INTERNAL_H

#include "base/buf.h"
#include "base/heap.h"
#include "base/macros.h"
#include "destinations.h"
#include "dns/aliases.h"
#include "dns/message.h"
#include "engine.h"

#define LN_REASON_CONNECTION "Connection not in allow-list."
#define LN_REASON_NAME       "Name not in allow-list."
#define LN_REASON_RELOADED   "Connection not in the policy any more, since it was reloaded."
#define LN_REASON_INBOUND    "Inbound connection not in expected_inbound."
#define LN_REASON_DENIED     "Connection is denied by the policy."
#define LN_REASON_BANNED     "Name is denied by the policy."
#define LN_REASON_RECEIVED   "Socket was made outside the agent."

#define LN_TITLE_INBOUND  "INBOUND CHANNEL"
#define LN_TITLE_RECEIVED "SOCKET RECEIVED"

#define LN_NAMES_MAX        65536 /* and one more for each rule */
#define LN_OPEN_FLOWS_MAX   131072
#define LN_QUESTIONS_MAX    4096
#define LN_DNS_STREAMS_MAX  256
#define LN_TUNNELS_MAX      1024
#define LN_TUNNEL_NAMES_MAX 4096  /* of one domain */
#define LN_TUNNEL_NAMES_ALL 65536 /* of all */
#define LN_PORT_DNS         53
#define LN_QUESTION_LIFE_NS (30 * LN_NS_PER_S)
/* How long it is known what was asked, and how long an answer may be late at the most: for that
 * long nobody can tell what was asked after something was missed. */
#define LN_QUESTION_PAST_NS  (300 * LN_NS_PER_S)
#define LN_QUESTION_DOUBT_NS (60 * LN_NS_PER_S)
#define LN_TTL_MIN_S         5u
#define LN_TTL_MAX_S         3600u
#define LN_TOLD_MAX          16384
#define LN_ALERTS_PER_S      64
#define LN_REPEAT_MAX_NS     (300 * LN_NS_PER_S)
#define LN_GROUP_NAMES_MAX   8
#define LN_GROUP_WINDOW_NS   (60 * LN_NS_PER_S)
#define LN_LOSS_REASONS_MAX  8
#define LN_CGROUPS_MAX       4096
#define LN_TAMPERS_MAX       16
#define LN_READINGS_MAX      4096
#define LN_READING_BYTES     (16u << 20) /* of all of them */
#define LN_ALIASES_MAX       16384
#define LN_HOLDS_MAX         256
#define LN_HOLD_NS           (250 * LN_NS_PER_MS)
#define LN_HOLD_MONITOR_NS   (25 * LN_NS_PER_MS)
#define LN_HOLD_ATTACH_NS    (600 * LN_NS_PER_S)
#define LN_HOLD_EVENTS_MAX   64
#define LN_HOLD_BYTES_MAX    (32 << 10)
#define LN_HOLD_NAMES_MAX    32

/* What may come in a flood: LN_ALERTS_PER_S a second are told one by one, the rest as a count. */
enum ln_fold_kind {
	LN_FOLD_FLOWS,
	LN_FOLD_NAMES,
	LN_FOLD_ANSWERS,
	LN_FOLD_CHANNELS,
	LN_FOLD_CLAIMS,
	LN_FOLD_REPEATS,
	LN_FOLD_COUNT
};

struct ln_fold {
	uint64_t start_ns; /* of the second */
	unsigned int told; /* in it */
	uint64_t folded;
	uint32_t agent, pid; /* of the last one */
};

/* One reason for losses; told at most once a second. */
struct ln_loss {
	char reason[64];
	uint64_t count; /* since it was told */
	uint64_t quiet_until_ns;
	uint32_t agent;
};

/* One way of tampering that was told; again in a second at the earliest. */
struct ln_tamper {
	char what[128];
	uint64_t quiet_until_ns;
};

struct ln_engine {
	const struct ln_policy *policy; /* borrowed */
	char *agent_name;               /* owned */
	uint32_t agent;
	size_t n_resolvers;
	struct ln_endpoint *resolvers; /* owned */
	bool *keeps_case;              /* owned; which of them copy a name's capital letters */
	uint64_t netns;
	size_t n_search;
	char (*search)[LN_NAME_MAX]; /* owned */
	uint64_t repeat_every_ns;
	const char *run; /* borrowed; NULL: alerts have no ids */
	uint64_t alerts;
	char alert_id[32]; /* of the alert that is being told */
	enum ln_mode mode;
	bool dry_run;
	uint32_t handle;
	struct ln_deed (*act)(const struct ln_finding *f, void *user);
	struct ln_deed deed; /* the last one */
	ln_finding_fn on_finding;
	ln_grant_fn on_grant;
	ln_revoke_fn on_revoke;
	void *user;

	uint64_t start_ns;                       /* of the first event */
	uint64_t now_ns, wall_ns;                /* never goes back */
	struct ln_tree *tree;                    /* owned */
	struct ln_names *names;                  /* owned */
	struct ln_cgroups *cgroups;              /* owned */
	struct ln_aliases *aliases;              /* owned */
	uint64_t names_evicted, aliases_evicted; /* as last looked at */
	uint64_t processes_refused, cgroups_evicted;

	struct ln_holds *holds;             /* owned */
	struct ln_open_flow *open_flows;    /* owned; oldest first */
	struct ln_question *questions;      /* owned; oldest first */
	struct ln_question *past_questions; /* owned; retired first first */
	uint64_t unsure_until_ns;  /* until then an answer may be to a question that was missed */
	uint64_t untrusted_ns;     /* when somebody else than a trusted resolver was asked last */
	struct ln_tunnel *tunnels; /* owned; longest idle first */
	size_t tunnel_names;       /* that they hold */
	struct ln_dns_stream *dns_streams; /* owned; oldest first */
	struct ln_reading *readings;       /* owned; oldest first */
	size_t reading_bytes;              /* that they may hold */
	struct ln_told *told;              /* owned */
	struct ln_told *told_by_use;       /* the same, longest idle first */
	struct ln_heap told_due;           /* those with repeats that are not told yet */
	struct ln_fold folds[LN_FOLD_COUNT];
	struct ln_loss losses[LN_LOSS_REASONS_MAX];
	size_t n_losses;
	struct ln_tamper tampers[LN_TAMPERS_MAX];
	struct ln_destinations destinations;
	struct ln_limit_state *limit_states; /* owned; by limit */
	struct ln_seen_place *seen_places;   /* owned */
	uint64_t *rule_hits;                 /* owned; by rule id */
	struct ln_engine_summary sum;

	/* Reused from event to event. */
	struct ln_name_evidence found[2 * LN_NAMES_PER_ADDR];
	size_t n_found;
	/* Names that lead to the one that an answer is about; that one first. */
	struct ln_alias leads[1 + LN_ALIASES_PER_TARGET];
	size_t n_leads;
	struct ln_name_evidence named[2 * LN_NAMES_PER_ADDR];
	struct ln_addr answers[LN_DNS_ADDRS_MAX];
	struct ln_buf reason, hint, subject, same;
	const struct ln_rule *reason_rule; /* of which `reason` tells */
	bool reason_stale;
};

/* engine.c */

/* What every finding of this event has in common. */
struct ln_finding ln_engine_finding(struct ln_engine *e, const struct ln_event *ev,
				    enum ln_finding_kind kind);
/* The same for a finding that time brings, not an event. */
struct ln_finding ln_engine_timed_finding(struct ln_engine *e, enum ln_finding_kind kind,
					  uint32_t agent, uint32_t pid);
/* Sets the action, too. */
void ln_engine_emit(struct ln_engine *e, struct ln_finding *f);
void ln_engine_add_name(struct ln_engine *e, uint32_t agent, const struct ln_addr *addr,
			const struct ln_name_evidence *evidence);
/* Block mode: takes back what the kernel may have permitted at the address on its own. */
void ln_engine_revoke(struct ln_engine *e, uint32_t agent, const struct ln_addr *addr);
bool ln_engine_is_resolver(const struct ln_engine *e, const struct ln_flow *flow);
/* Whether it is listed as one, whoever answers there. */
bool ln_engine_lists_resolver(const struct ln_engine *e, const struct ln_endpoint *remote);

/* What ln_engine_feed does when the event is not put behind one that is held. */
void ln_engine_take(struct ln_engine *e, const struct ln_event *ev);

/* holds.c: see there. */
struct ln_candidates;
struct ln_holds *ln_holds_new(const struct ln_engine_config *config);
void ln_holds_free(struct ln_holds **h);
/* Whether a flow that is unexpected is held; else it is to be told now. */
bool ln_holds_take(struct ln_engine *e, const struct ln_event *ev);
/* Of another policy. Takes what *c owns. */
void ln_holds_set_candidates(struct ln_engine *e, const struct ln_candidates *c);
/* Whether the event waits behind a flow that is held, because it must not overtake it. */
bool ln_holds_keep(struct ln_engine *e, const struct ln_event *ev);
/* The flow that is being told was held: sets held_ns and held. */
void ln_holds_mark(struct ln_engine *e, struct ln_finding *f);
void ln_holds_note_channel(struct ln_engine *e, const struct ln_channel *c);
void ln_holds_note_name(struct ln_engine *e, const struct ln_addr *addr,
			const struct ln_name_evidence *evidence, bool is_new);
void ln_holds_looked(struct ln_engine *e, uint64_t ticket, bool failed);
void ln_holds_advance(struct ln_engine *e);
void ln_holds_finish(struct ln_engine *e);
uint64_t ln_holds_deadline(const struct ln_engine *e);
size_t ln_holds_flows(const struct ln_engine *e);

/* flows.c */
void ln_flows_open(struct ln_engine *e, const struct ln_event *ev);
void ln_flows_close(struct ln_engine *e, const struct ln_event *ev);
/* What an open flow has sent so far. */
void ln_flows_progress(struct ln_engine *e, const struct ln_event *ev);
void ln_flows_wire(struct ln_engine *e, const struct ln_event *ev);
size_t ln_flows_count(const struct ln_engine *e);
/* What is remembered of an open flow. */
struct ln_flow_memory {
	enum ln_verdict verdict;
	const struct ln_rule *rule; /* borrowed from the policy; NULL none */
	const char *rule_name;      /* borrowed until the next event; NULL by address */
	struct ln_party listener;
	uint32_t pid, tid; /* who opened it */
	bool read;         /* its first bytes need no further look */
	bool routed;       /* its packets took a way that they chose themselves */
};
bool ln_flows_recall(const struct ln_engine *e, uint64_t id, struct ln_flow_memory *ret);
void ln_flows_set_read(struct ln_engine *e, uint64_t id);
/* Each open flow by the policy that has just come; counts them in *news. */
void ln_flows_judge_anew(struct ln_engine *e, struct ln_policy_news *news);
void ln_flows_done(struct ln_engine *e);

/* bytes.c: the first bytes of each flow until they have said what they are */
void ln_bytes_take(struct ln_engine *e, const struct ln_event *ev);
void ln_bytes_claim(struct ln_engine *e, const struct ln_event *ev); /* LN_EVENT_CLAIM */
void ln_bytes_close(struct ln_engine *e, uint64_t flow_id);
void ln_bytes_done(struct ln_engine *e);
/* What relays were asked for goes by the rules that have just come. */
void ln_bytes_policy_changed(struct ln_engine *e);

/* claims.c */

/* Judges what the bytes of this LN_EVENT_BYTES claim. *relayed is kept by the caller for the next
 * claim of the same flow: what was asked of the innermost relay. */
void ln_claims_take(struct ln_engine *e, const struct ln_event *ev, const struct ln_claim *c,
		    struct ln_target *relayed);

/* actions.c */

/* What becomes of this finding, as far as nothing is done for it now. *ret_why as action_why. */
enum ln_action ln_actions_plan(const struct ln_engine *e, const struct ln_finding *f,
			       const char **ret_why);
/* Acts where the mode says so, and counts. One that has an action keeps it. */
void ln_actions_take(struct ln_engine *e, struct ln_finding *f);

/* limits.c */
/* For the limits of a policy, of which nothing is counted yet. NULL: no memory. */
struct ln_limit_state *ln_limits_new(const struct ln_policy *policy);
/* A flow has opened; e->found has its names. `permitted_as`: NULL by address, or not. */
void ln_limits_open(struct ln_engine *e, const struct ln_event *ev, enum ln_verdict verdict,
		    const char *permitted_as);
/* `n` more bytes have left by the flow of this event. */
void ln_limits_bytes(struct ln_engine *e, const struct ln_event *ev, const char *permitted_as,
		     uint64_t n);
void ln_limits_done(struct ln_engine *e);

/* reload.c */
int ln_engine_copy_resolvers(struct ln_engine *e, const struct ln_endpoint *resolvers, size_t n);

/* channels.c */
void ln_channels_take(struct ln_engine *e, const struct ln_event *ev);

/* tampers.c */
void ln_tampers_take(struct ln_engine *e, const struct ln_event *ev);

/* The wall clock in seconds: what a rule's end is compared with. */
static inline uint64_t ln_engine_wall_s(const struct ln_engine *e)
{
	return e->wall_ns / LN_NS_PER_S;
}

/* judge.c */
struct ln_judgement {
	enum ln_verdict verdict;
	bool stale; /* by a name that is past its TTL, inside the grace */
	struct ln_match match;
};
/* By the policy alone, with the names that are in e->found. */
void ln_judge_found(struct ln_engine *e, const struct ln_flow *flow, struct ln_judgement *ret);
/* Fills e->found with the names of the remote address too; match.name points there. */
void ln_judge_flow(struct ln_engine *e, uint32_t agent, const struct ln_flow *flow,
		   struct ln_judgement *ret);
/* The same for one that is open: the name by which it was permitted (NULL none) counts still,
 * because connections live longer than answers. */
void ln_judge_open_flow(struct ln_engine *e, uint32_t agent, const struct ln_flow *flow,
			const char *permitted_as, struct ln_judgement *ret);
/* The same for an address that is asked of a relay: only the rules for destinations count. */
void ln_judge_address(struct ln_engine *e, uint32_t agent, const struct ln_flow *flow,
		      struct ln_judgement *ret);
/* Both are in words and valid until the next call of either. */
const char *ln_judge_reason(struct ln_engine *e, const struct ln_flow *flow,
			    const struct ln_judgement *j);
/* "Rule at line 7 expired on …" */
const char *ln_judge_over_reason(struct ln_engine *e, const struct ln_rule *rule);
bool ln_judge_is_name_multicast(const struct ln_flow *flow); /* mDNS or LLMNR */

/* hint.c */
const char *ln_hint_flow(struct ln_engine *e, const struct ln_flow *flow,
			 const struct ln_match *match);
const char *ln_hint_name(struct ln_engine *e, const char *name);
/* For a name that was claimed, or asked of a relay, at this port. */
const char *ln_hint_claim(struct ln_engine *e, const char *name, const struct ln_flow *flow,
			  const struct ln_match *match);
/* "to allow it, add …" to expected_inbound; `from`: who came, NULL a listener. */
const char *ln_hint_inbound(struct ln_engine *e, uint8_t proto, uint16_t local_port,
			    const struct ln_addr *from);
/* The same for expected_unix, after `words` (NULL: none). */
const char *ln_hint_unix(struct ln_engine *e, const struct ln_channel *c, const char *words);

/* questions.c */
/* One message, however it came. */
struct ln_dns_bytes {
	const struct ln_flow *flow;
	bool answer;
	bool stranger; /* see event.h */
	const uint8_t *bytes;
	size_t len;
};
/* Whether it could be read at all. */
bool ln_questions_message(struct ln_engine *e, const struct ln_event *ev,
			  const struct ln_dns_bytes *m);
/* Something was missed at that time: questions may have been asked that are not known. */
void ln_questions_doubt(struct ln_engine *e, uint64_t from_ns);
void ln_questions_done(struct ln_engine *e);

/* dns_stream.c */
/* Of LN_EVENT_BYTES; whether the flow is a DNS conversation over TCP. */
bool ln_dns_stream_take(struct ln_engine *e, const struct ln_event *ev);
void ln_dns_stream_end(struct ln_engine *e, const struct ln_event *ev); /* FLOW_CLOSE */
void ln_dns_streams_done(struct ln_engine *e);

/* learn.c */
void ln_learn_answer(struct ln_engine *e, const struct ln_finding *f,
		     const struct ln_dns_message *msg);

/* dns_ways.c: both set dns_way, and a notice where it is news */
void ln_dns_ways_flow(struct ln_engine *e, struct ln_finding *f);
void ln_dns_ways_claim(struct ln_engine *e, struct ln_finding *f); /* after it was judged */
enum ln_dns_way ln_dns_way_of_flow(const struct ln_engine *e, const struct ln_flow *flow);

/* tunnels.c */
/* Counts a question for a name that no rule covers. NULL: no memory. */
const struct ln_name_group *ln_tunnels_question(struct ln_engine *e, uint32_t agent,
						const struct ln_dns_message *msg);
void ln_tunnels_answer(struct ln_engine *e, uint32_t agent, const struct ln_dns_message *msg,
		       size_t len);
const struct ln_name_group *ln_tunnels_find(struct ln_engine *e, uint32_t agent, const char *name);
void ln_tunnels_done(struct ln_engine *e);

/* qname.c */
struct ln_name_judgement {
	bool covered;
	const struct ln_rule *rule; /* may be NULL */
	const char *reason;         /* words; valid until the next question is judged */
};
/* Whether asking a resolver for this canonical name is covered. */
void ln_judge_name(struct ln_engine *e, uint32_t agent, const char *name,
		   struct ln_name_judgement *ret);

/* repeats.c: first at once, then counts. Both set alert and repeat_of of a finding with a title. */

/* Of a flow, a wire address, a claim or a channel. For a channel or a claim e->same holds what
 * makes it the same as another of its kind. */
void ln_repeats_take(struct ln_engine *e, struct ln_finding *f);
/* Of a claim that is no violation: whether it is news. */
bool ln_repeats_is_news(struct ln_engine *e, const struct ln_finding *f);
/* Whether this destination was told already. */
bool ln_repeats_told(struct ln_engine *e, uint32_t agent, const struct ln_flow *flow);
void ln_repeats_query(struct ln_engine *e, struct ln_finding *f);
void ln_repeats_advance(struct ln_engine *e);
void ln_repeats_finish(struct ln_engine *e);
uint64_t ln_repeats_deadline(const struct ln_engine *e);
void ln_repeats_done(struct ln_engine *e);

/* folds.c */

/* Whether this one may be told on its own now; if not it is counted as `n`. */
bool ln_folds_pass(struct ln_engine *e, enum ln_fold_kind kind, uint64_t n,
		   const struct ln_finding *f);
void ln_folds_advance(struct ln_engine *e);
void ln_folds_finish(struct ln_engine *e);
uint64_t ln_folds_deadline(const struct ln_engine *e);

/* losses.c */
void ln_losses_add(struct ln_engine *e, uint32_t agent, const char *reason, uint64_t count);
/* Something that was seen could not be kept: what follows is told less well. Needs no memory. */
void ln_losses_no_memory(struct ln_engine *e, uint32_t agent);
void ln_losses_advance(struct ln_engine *e);
void ln_losses_finish(struct ln_engine *e);
uint64_t ln_losses_deadline(const struct ln_engine *e);

#endif
