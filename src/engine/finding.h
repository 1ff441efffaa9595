/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine says about it; what every sink receives. All pointers are borrowed for the call.
 * Raw bytes (names excepted) are hostile: a sink escapes them. */
#ifndef LINNET_ENGINE_FINDING_H
#define LINNET_ENGINE_FINDING_H

#include "dns/message.h"
#include "event.h"
#include "payload/sniff.h"
#include "policy/policy.h"
#include "proc/cgroups.h"
#include "proc/tree.h"

enum ln_finding_kind {
	LN_FINDING_FLOW_OPEN,
	LN_FINDING_FLOW_CLOSE,
	LN_FINDING_DNS_QUERY,
	LN_FINDING_DNS_ANSWER,
	LN_FINDING_NAME,    /* own look-up or hosts: evidence that grants */
	LN_FINDING_PROCESS, /* fork, adopt, exec, exit, cgroup: see event_kind */
	LN_FINDING_REPEATS, /* how often a violation that was told has come again */
	LN_FINDING_WIRE,    /* named and real destination differ; judged by the real one */
	LN_FINDING_CHANNEL, /* see channel->kind */
	LN_FINDING_CLAIM,   /* what the bytes of a flow say about where it goes: see claim */
	LN_FINDING_TAMPER,
	LN_FINDING_POLICY,  /* another policy was given while the watch runs: see policy */
	LN_FINDING_VERDICT, /* an open flow has another verdict under it */
	LN_FINDING_LIMIT,   /* more than the policy's limits admit: `flow` was the last straw */
	LN_FINDING_LOST,
	LN_FINDING_COUNT,
};
const char *ln_finding_kind_text(enum ln_finding_kind k); /* "flow-open", "dns-query", … */

enum ln_verdict {
	LN_VERDICT_NONE, /* not a matter of policy */
	LN_VERDICT_EXPECTED,
	LN_VERDICT_DYNAMIC,  /* allowed by allowed_dynamic_resolution, and logged as such */
	LN_VERDICT_DNS,      /* to a trusted resolver */
	LN_VERDICT_INTERNAL, /* loopback to the same tree */
	LN_VERDICT_UNEXPECTED,
	LN_VERDICT_COUNT,
};
const char *ln_verdict_text(enum ln_verdict v); /* "expected", … */

/* Headlines that are used in more than one place. */
#define LN_TITLE_OUTBOUND "UNEXPECTED OUTBOUND CONNECTION"
#define LN_TITLE_NAME     "UNEXPECTED DNS QUERY"
#define LN_TITLE_FORGED   "FORGED DNS ANSWER"
#define LN_TITLE_MISMATCH "NAME MISMATCH"
#define LN_TITLE_RELAY    "UNEXPECTED DESTINATION BEHIND RELAY"

/* For people. What names it: "TLS SNI", "HTTP Host", "HTTP proxy request"; and what is spoken. */
const char *ln_claim_text(const struct ln_claim *c);
const char *ln_protocol_text(enum ln_layer layer);

/* A destination, and what permits it: a flow's own remote end, or what was asked of a relay, which
 * may be a name without an address. */
struct ln_target {
	enum ln_verdict verdict;
	const struct ln_rule *rule; /* borrowed from the policy; NULL: none permits */
	char name[LN_NAME_MAX];     /* as which it is permitted, or was asked for; "" none */
	struct ln_endpoint remote;  /* family 0: only the relay knows the address */
	uint8_t proto;
	uint8_t depth; /* relays on the way; 0: the flow itself */
};
/* How names are asked for, where it is not by the agent's own resolvers. */
enum ln_dns_way {
	LN_DNS_WAY_NONE,
	LN_DNS_WAY_PLAIN,
	LN_DNS_WAY_DOT,
	LN_DNS_WAY_DOQ,
	LN_DNS_WAY_DOH,
	LN_DNS_WAY_MDNS,
	LN_DNS_WAY_LLMNR,
	LN_DNS_WAY_NETBIOS,
	LN_DNS_WAY_COUNT,
};
const char *ln_dns_way_text(enum ln_dns_way w);  /* "none", "dns", "dot", … */
const char *ln_dns_way_words(enum ln_dns_way w); /* for people; NULL: none */

/* What was asked for below one registered domain, of names that no rule covers. */
struct ln_name_group {
	const char *domain;
	uint64_t questions;
	uint64_t names;        /* different ones */
	bool more;             /* and others that could not be kept apart */
	uint64_t label_bytes;  /* of these names, without the domain */
	uint64_t answer_bytes; /* that came back, without the questions in them */
	const uint16_t *types; /* that were asked for, the first eight */
	size_t n_types;
};

/* Why a DNS answer cannot be what it says. */
enum ln_forgery {
	LN_FORGERY_NONE,
	LN_FORGERY_SOURCE,   /* from where nobody asked */
	LN_FORGERY_ID,       /* transaction id or port of no question */
	LN_FORGERY_QUESTION, /* id of a question, but not its name or type */
	LN_FORGERY_CASE,     /* the name in another mixture of capital letters */
	LN_FORGERY_UNASKED,
	LN_FORGERY_FOREIGN, /* records that have nothing to do with the question */
	LN_FORGERY_LOCAL,   /* a listed name that is said to be this host */
	LN_FORGERY_OWN,     /* by the agent itself */
	LN_FORGERY_COUNT,
};
const char *ln_forgery_text(enum ln_forgery g); /* "none", "source", … */

/* What became of a violation. */
enum ln_action {
	LN_ACTION_NONE, /* it is none */
	LN_ACTION_LOGGED,
	LN_ACTION_BLOCKED,
	LN_ACTION_KILLED,      /* the agent, by now */
	LN_ACTION_FROZEN,      /* the same */
	LN_ACTION_WOULD_BLOCK, /* dry run */
	LN_ACTION_WOULD_KILL,
	LN_ACTION_WOULD_FREEZE,
	LN_ACTION_LET_THROUGH, /* what the mode promises could not be done: see action_why */
	LN_ACTION_COUNT,
};
const char *ln_action_text(enum ln_action a); /* "none", "logged", "blocked", … */

/* Another policy, and what came of it. */
struct ln_policy_news {
	const char *file;
	const char *refused; /* why the old one stays; NULL: it was taken */
	size_t n_rules;
	size_t flows;          /* open ones that were judged anew */
	size_t now_unexpected; /* of them */
	size_t no_longer;      /* unexpected before, and not now */
};

struct ln_finding {
	enum ln_finding_kind kind;
	enum ln_event_kind event_kind;
	bool alert; /* a person must see it now: the first of its kind, LOST, or REPEATS */
	const char *alert_id; /* "k7f2-3": of an alert that is one thing that happened, not of
			       * REPEATS and LOST; NULL none */
	const char *title; /* what it is called: "RAW SOCKET"; static text. Set for everything that
			    * a person must know of, also when it is only counted; else NULL */
	uint64_t time_ns, wall_ns;
	uint32_t agent;
	const char *agent_name;
	uint32_t pid, tid;
	const struct ln_proc *proc;          /* NULL: unknown to the tree */
	const struct ln_cgroup_info *cgroup; /* where the process is; NULL unknown */

	enum ln_verdict verdict;
	const struct ln_rule *rule; /* NULL unless one decided */
	const char *rule_name;      /* the name that matched it; NULL by address */
	const char *reason;         /* words; for UNEXPECTED without "NONE - ": see the contract.
				     * With a title and a rule: why it is told all the same */
	const char *hint;           /* near miss, or what to add; NULL none */

	enum ln_action action;
	const char *action_why; /* LOGGED, LET_THROUGH: in words, static text; NULL: nothing more is
				 * enabled */
	enum ln_mode mode;      /* of the watch, for the words of the action */
	bool dry_run;
	uint32_t handle; /* FROZEN: the PID that `linnet resume` and `linnet kill` take */

	const struct ln_flow *flow; /* FLOW_*, VERDICT, WIRE, DNS_*, CLAIM, REPEATS, some CHANNEL */
	const struct ln_flow_end *end;    /* FLOW_CLOSE */
	const char *place;                /* what the remote address is, in words; NULL */
	const struct ln_endpoint *wire;   /* WIRE */
	enum ln_wire_why wire_why;        /* WIRE */
	const struct ln_channel *channel; /* CHANNEL, and REPEATS of one */
	const struct ln_claim *claim;     /* CLAIM */
	const struct ln_target *target;   /* CLAIM: what is asked of a relay; of other layers
					   * the place of which they claim a name */
	enum ln_dns_way dns_way;          /* FLOW_*, CLAIM */
	bool notice;      /* FLOW_OPEN, CLAIM: `subject` is news for people, but no alert */
	uint64_t held_ns; /* FLOW_OPEN: how long it waited for a name to be confirmed; 0 not */
	const char *held; /* and what came of it, in words; NULL not */
	const struct ln_policy_news *policy; /* POLICY */
	enum ln_verdict verdict_before;      /* VERDICT */
	const struct ln_party *other;        /* TAMPER: who did it; pid 0 unknown */
	const char *subject; /* CHANNEL, CLAIM, TAMPER: what it is about, in words; REPEATS of them
			      * and of WIRE, too */
	/* Candidates for the address that was judged, granting first: of `wire` for WIRE, of
	 * `target` for CLAIM, else of flow->remote. */
	const struct ln_name_evidence *names;
	size_t n_names;
	const struct ln_name_evidence *named; /* WIRE: the same for flow->remote */
	size_t n_named;

	uint32_t question; /* DNS_QUERY: the sensor's number for it; 0 none */
	const char *query; /* DNS_*, REPEATS of a query: canonical, or "" when unreadable */
	uint16_t qtype;
	const struct ln_addr *answers; /* DNS_ANSWER */
	size_t n_answers;
	uint8_t rcode;
	const struct ln_name_group *group; /* DNS_QUERY and REPEATS of one, unexpected; NULL none */
	enum ln_forgery forgery;           /* DNS_ANSWER, and REPEATS of one */
	bool trusted; /* DNS_*: with a trusted resolver, and an answer was asked for */
	const struct ln_dns_message *message; /* DNS_ANSWER: all that could be read of it */

	uint64_t count;     /* REPEATS: how often since the last word; LOST: how many */
	uint64_t repeat_of; /* FLOW_OPEN that repeats a told violation: which repetition, 1… */
	uint32_t child;     /* PROCESS, fork */
	int exit_status;    /* PROCESS, exit */
	bool uncovered;     /* PROCESS, cgroup: packets of sockets made there are not seen */
	const struct ln_name_evidence *evidence; /* NAME */
	struct ln_addr addr;                     /* NAME */
};

#endif
