/* SPDX-License-Identifier: Apache-2.0 */
/* What happened, as every sensor tells it to the engine. Pointers are borrowed for the call. */
#ifndef LINNET_ENGINE_EVENT_H
#define LINNET_ENGINE_EVENT_H

#include "base/addr.h"
#include "dns/names.h"
#include "payload/sniff.h"

enum ln_event_kind {
	LN_EVENT_FORK,  /* pid: the parent */
	LN_EVENT_ADOPT, /* pid was there before the watch: exec fields say what it runs */
	LN_EVENT_EXEC,
	LN_EVENT_EXIT,
	LN_EVENT_FLOW_OPEN,
	LN_EVENT_FLOW_CLOSE,
	LN_EVENT_FLOW_PROGRESS, /* an open one, and what it has sent so far */
	LN_EVENT_DNS,           /* one message, raw */
	LN_EVENT_NAME,          /* evidence that linnet found: its own look-up, or /etc/hosts */
	LN_EVENT_WIRE,          /* a flow's packets go elsewhere than it was named */
	LN_EVENT_CHANNEL,       /* a way out that is no flow, or its preparation */
	LN_EVENT_CGROUP,        /* the path of a cgroup in which the tree is */
	LN_EVENT_BYTES,         /* what a flow carries */
	LN_EVENT_CLAIM,         /* what a flow's bytes said, read before: from a log */
	LN_EVENT_TAMPER,        /* somebody touched linnet itself */
	LN_EVENT_LOOKED, /* linnet's own look-ups for one ticket are through, see ln_engine_config
			  */
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
	LN_OUTCOME_BLOCKED, /* refused by linnet */
	LN_OUTCOME_COUNT,
};
const char *ln_outcome_text(enum ln_outcome o); /* "none", "connected", "timed-out", … */

/* How the owner was found. */
enum ln_how {
	LN_HOW_TASK,      /* the caller is in the tree, and so is the socket's maker */
	LN_HOW_SOCKET,    /* by the socket's mark */
	LN_HOW_CGROUP,    /* by nothing but the cgroup */
	LN_HOW_AMBIGUOUS, /* caller and socket disagree */
	LN_HOW_COUNT,
};
const char *ln_how_text(enum ln_how h); /* "task", … */

/* Another process that has a part in it. */
struct ln_party {
	uint32_t pid;  /* 0 unknown */
	char comm[16]; /* raw bytes, NUL-terminated; "" unknown */
};

struct ln_flow {
	uint64_t id; /* unique while linnet runs */
	uint8_t proto;
	enum ln_how how;
	bool received;  /* the socket was made outside the tree; `other`: its maker */
	bool passed;    /* made by the tree, used by `other`, which is outside */
	bool inbound;   /* the other side began it */
	bool existing;  /* open before the watch began */
	bool same_tree; /* loopback, and the listener belongs to the same agent */
	bool mptcp;
	bool uncounted;    /* bytes and packets are not known */
	bool refused;      /* block mode did not let it happen; WIRE: this path of it */
	bool would_refuse; /* dry run: block mode would not have let it happen */
	struct ln_endpoint remote;
	struct ln_endpoint local; /* port 0 and family 0 while unknown */
	uint64_t netns;           /* cookie; 0 unknown */
	struct ln_party listener; /* loopback: who listens there, outside the tree */
	struct ln_party other;    /* see `received` and `passed` */
};

enum ln_wire_why {
	LN_WIRE_CHANGED, /* NAT, or another program that rewrites */
	LN_WIRE_ROUTED,  /* source route or segment routing header: the first hop */
	LN_WIRE_SUBFLOW, /* MPTCP: one more path, to an address of its own */
	LN_WIRE_COUNT,
};
const char *ln_wire_why_text(enum ln_wire_why w); /* "changed", … */

enum ln_channel_kind {
	LN_CHANNEL_RAW_SOCKET,
	LN_CHANNEL_PACKET_SOCKET,
	LN_CHANNEL_OTHER_SOCKET,
	LN_CHANNEL_TUNNEL_DEVICE,
	LN_CHANNEL_UNIX_SOCKET,
	LN_CHANNEL_SOCKET_RECEIVED,
	LN_CHANNEL_RING_RECEIVED,
	LN_CHANNEL_LISTEN,
	LN_CHANNEL_PRIVILEGE,
	LN_CHANNEL_INJECTION,
	LN_CHANNEL_ATTACK,
	LN_CHANNEL_COUNT,
};
const char *ln_channel_kind_text(enum ln_channel_kind k); /* "raw-socket", … */

/* What each kind fills is said in abi/event_abi.h. */
struct ln_channel {
	enum ln_channel_kind kind;
	enum ln_how how;
	uint8_t family; /* AF_* */
	uint8_t type;   /* SOCK_* */
	uint32_t number;
	uint32_t held_back;  /* PRIVILEGE: how often it was used before without a word */
	const char *syscall; /* static text; NULL unknown */
	bool own_ns, same_tree, abstract, existing;
	bool refused, would_refuse; /* as of a flow */
	bool read_only;             /* PRIVILEGE: the system call can only look */
	uint64_t cookie;
	struct ln_party other;
	const struct ln_flow *flow; /* NULL: no addresses */
	const char *path;           /* UNIX_SOCKET: raw bytes, NULs included when abstract */
	size_t path_len;
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
			uint32_t child_ns_pid; /* in its own PID namespace; 0 unknown */
		} fork;
		struct { /* EXEC and ADOPT */
			const char *exe;
			size_t exe_len;
			const char *args; /* NUL after each */
			size_t args_len;
			bool cut;
			uint32_t ppid; /* ADOPT only; 0 unknown or outside */
			uint32_t ns_pid;
			uint64_t cgroup_id; /* 0 unknown */
			const char *why;    /* ADOPT only: static text; NULL: by descent */
		} exec;
		struct {
			int status; /* as in wait(2) */
		} exit;
		struct {
			struct ln_flow flow;
			struct ln_flow_end end; /* FLOW_CLOSE, and its bytes in FLOW_PROGRESS */
		} flow;
		struct {
			struct ln_flow flow; /* the socket that carried it; remote: the resolver */
			bool answer;
			bool cut;
			bool stranger; /* came from where this socket has sent nothing: `remote` */
			uint32_t question; /* the sensor's number for it; 0 none */
			const uint8_t *bytes;
			size_t len;
		} dns;
		struct {
			struct ln_flow flow;
			bool inbound;    /* these bytes came in */
			bool cut;        /* what should follow is not told */
			uint32_t offset; /* TCP: in the stream; UDP: which packet, from 0 */
			const uint8_t *bytes;
			size_t len;
		} bytes;
		struct {
			struct ln_flow flow;
			const struct ln_claim *claim; /* NULL: nothing is claimed */
		} claim;
		struct {
			struct ln_addr addr;
			struct ln_name_evidence evidence;
		} name;
		struct {
			struct ln_flow flow; /* as named */
			struct ln_endpoint wire;
			enum ln_wire_why why;
		} wire;
		struct ln_channel channel;
		struct {
			uint64_t id;
			const char *path; /* "/system.slice/x.service", raw */
			size_t path_len;
			bool moved;     /* pid came there from another one, or was born there */
			bool uncovered; /* packets of sockets made there are not seen */
		} cgroup;
		struct {
			const char *what; /* "a probe was detached: cgroup/connect4" */
			struct ln_party by;
		} tamper;
		struct {
			uint64_t ticket;
			bool failed; /* not all of them were answered */
		} looked;
		struct {
			const char *reason; /* static text: "ring buffer full" */
			uint64_t count;     /* since the last one */
		} lost;
	};
};

#endif
