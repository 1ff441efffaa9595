/* SPDX-License-Identifier: Apache-2.0 */
/* What happened, as every sensor tells it to the engine. Pointers are borrowed for the call. */
#ifndef LINNET_ENGINE_EVENT_H
#define LINNET_ENGINE_EVENT_H

#include "base/addr.h"
#include "dns/names.h"

enum ln_event_kind {
	LN_EVENT_FORK,  /* pid: the parent */
	LN_EVENT_ADOPT, /* pid was there before the watch: exec fields say what it runs */
	LN_EVENT_EXEC,
	LN_EVENT_EXIT,
	LN_EVENT_FLOW_OPEN,
	LN_EVENT_FLOW_CLOSE,
	LN_EVENT_DNS,  /* one message, raw */
	LN_EVENT_NAME, /* evidence that linnet found: its own look-up, or /etc/hosts */
	LN_EVENT_LOST,
	LN_EVENT_TICK, /* the time only: nothing happened */
	LN_EVENT_COUNT,
};
const char *ln_event_kind_text(enum ln_event_kind k); /* "fork", "flow-open", … */

enum ln_outcome {
	LN_OUTCOME_NONE,
	LN_OUTCOME_CONNECTED,
	LN_OUTCOME_REFUSED,
	LN_OUTCOME_TIMED_OUT,
	LN_OUTCOME_RESET,
	LN_OUTCOME_UNREACHABLE,
	LN_OUTCOME_ABORTED,
	LN_OUTCOME_COUNT,
};
const char *ln_outcome_text(enum ln_outcome o); /* "none", "connected", "timed-out", … */

struct ln_flow {
	uint64_t id; /* unique while linnet runs */
	uint8_t proto;
	bool existing;  /* open before the watch began */
	bool same_tree; /* loopback, and the listener belongs to the same agent */
	bool mptcp;
	bool uncounted; /* bytes and packets are not known */
	struct ln_endpoint remote;
	struct ln_endpoint local; /* port 0 and family 0 while unknown */
	uint64_t netns;           /* cookie; 0 unknown */
};

struct ln_flow_end {
	uint64_t open_ns;
	uint64_t tx_bytes, rx_bytes, tx_packets, rx_packets;
	enum ln_outcome outcome;
	bool evicted; /* only the counting ended: the kernel side ran out of slots */
};

struct ln_event {
	enum ln_event_kind kind;
	uint64_t time_ns; /* monotonic: order and expiry */
	uint64_t wall_ns; /* for people */
	uint32_t agent;
	uint32_t pid, tid;
	union {
		struct {
			uint32_t child;
		} fork;
		struct { /* EXEC and ADOPT */
			const char *exe;
			size_t exe_len;
			const char *args; /* NUL after each */
			size_t args_len;
			bool cut;
			uint32_t ppid; /* ADOPT only; 0 unknown or outside */
		} exec;
		struct {
			int status; /* as in wait(2) */
		} exit;
		struct {
			struct ln_flow flow;
			struct ln_flow_end end; /* FLOW_CLOSE only */
		} flow;
		struct {
			struct ln_flow flow; /* the socket that carried it; remote: the resolver */
			bool answer;
			bool cut;
			const uint8_t *bytes;
			size_t len;
		} dns;
		struct {
			struct ln_addr addr;
			struct ln_name_evidence evidence;
		} name;
		struct {
			const char *reason; /* static text: "ring buffer full" */
			uint64_t count;     /* since the last one */
		} lost;
	};
};

#endif
