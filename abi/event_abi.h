/* SPDX-License-Identifier: GPL-2.0-or-later OR Apache-2.0 */
/*
 * What the kernel side says to user space: event kinds, structs, limits. The only header that
 * both sides share. It includes nothing: the includer brings __u8 .. __u64. Every struct has
 * explicit pads and an asserted size; times are CLOCK_MONOTONIC nanoseconds; addresses are in
 * network order, IPv4 in the first four bytes; ports are in host order. A reader must reject a
 * record that is shorter than its kind says.
 */
#ifndef LINNET_EVENT_ABI_H
#define LINNET_EVENT_ABI_H

#define LN_ABI_VERSION 1

#define LN_ABI_TASKS_MAX     65536 /* tracked thread groups */
#define LN_ABI_TCP_FLOWS_MAX 65536 /* connections of the tree */
#define LN_ABI_VERDICTS_MAX  16384 /* destinations whose wake-up is settled */
#define LN_ABI_RING_BYTES    (1 << 20)
#define LN_ABI_UDP_SLOTS     8    /* destinations counted at once on one UDP socket */
#define LN_ABI_EXE_MAX       2048 /* path components, leaf first, NUL after each */
#define LN_ABI_ARGS_MAX      4096 /* argument vector as in /proc/PID/cmdline */
#define LN_ABI_DNS_MAX       4096 /* DNS payload of one datagram */
#define LN_ABI_DNS_PORTS     4
#define LN_ABI_COVER_MAX     16 /* cgroups on which packets are seen */

enum ln_abi_kind {
	LN_ABI_FORK = 1,
	LN_ABI_EXEC,
	LN_ABI_EXIT,
	LN_ABI_FLOW_OPEN,
	LN_ABI_FLOW_CLOSE,
	LN_ABI_DNS,
};

/* Reasons why something was not told or not seen; index of the counters. */
enum ln_abi_lost {
	LN_ABI_LOST_RING,     /* ring buffer full: an event is gone */
	LN_ABI_LOST_TASKS,    /* tracked map full: a child is not watched */
	LN_ABI_LOST_SOCKETS,  /* no socket storage: a flow has no close or counts */
	LN_ABI_LOST_DNS,      /* a DNS message too long, fragmented or unreadable */
	LN_ABI_LOST_VERDICTS, /* wake-up map refused an entry: only latency suffers */
	LN_ABI_LOST_COUNT,
};

/* What the reader of the ring is at. */
enum ln_abi_reader {
	LN_ABI_READER_WAITS,   /* wake it when it has read everything */
	LN_ABI_READER_DEFERS,  /* it comes in some milliseconds: wake it for what cannot wait */
	LN_ABI_READER_RETURNS, /* it is reading, or comes in a fraction of a millisecond */
};

struct ln_abi_header {
	__u16 kind;
	__u16 flags;
	__u32 agent; /* id that user space gave to the tracked tree */
	__u64 time_ns;
	__u32 pid; /* thread group, as the initial pid namespace sees it */
	__u32 tid;
};
_Static_assert(sizeof(struct ln_abi_header) == 24, "abi");

struct ln_abi_fork { /* pid is the parent */
	struct ln_abi_header h;
	__u32 child;
	__u32 pad;
};
_Static_assert(sizeof(struct ln_abi_fork) == 32, "abi");

#define LN_ABI_EXEC_EXE_CUT  0x1 /* the path was longer than told */
#define LN_ABI_EXEC_ARGS_CUT 0x2
#define LN_ABI_EXEC_ARGS_BAD 0x4 /* argument pages could not be read */
struct ln_abi_exec {
	struct ln_abi_header h;
	__u16 exe_len;
	__u16 args_len;
	__u32 pad;
	/* exe_len bytes of components, then args_len bytes of arguments */
};
_Static_assert(sizeof(struct ln_abi_exec) == 32, "abi");

struct ln_abi_exit {
	struct ln_abi_header h;
	__u32 code; /* as in wait(2) */
	__u32 pad;
};
_Static_assert(sizeof(struct ln_abi_exit) == 32, "abi");

#define LN_ABI_FLOW_EXISTING  0x0001 /* was open before the watch began */
#define LN_ABI_FLOW_SAME_TREE 0x0002 /* loopback, and the listener belongs to the same agent */
#define LN_ABI_FLOW_MPTCP     0x0004
#define LN_ABI_FLOW_UNCOUNTED 0x0008 /* no egress hook covers this socket: bytes unknown */
#define LN_ABI_FLOW_EVICTED   0x0010 /* close: only the counting ended, see LN_ABI_UDP_SLOTS */

enum ln_abi_outcome {
	LN_ABI_OUTCOME_NONE,      /* UDP: nothing to tell */
	LN_ABI_OUTCOME_CONNECTED, /* was established, then closed in order */
	LN_ABI_OUTCOME_REFUSED,
	LN_ABI_OUTCOME_TIMED_OUT,
	LN_ABI_OUTCOME_RESET,       /* was established, then reset by the peer */
	LN_ABI_OUTCOME_UNREACHABLE, /* no route, or an ICMP error */
	LN_ABI_OUTCOME_ABORTED,     /* given up by the agent before it was established */
	LN_ABI_OUTCOME_COUNT,
};

struct ln_abi_flow {
	__u64 id; /* socket cookie << 16 | generation */
	__u64 netns;
	__u8 family; /* 4 or 6, of the real destination */
	__u8 proto;  /* IPPROTO_* as on the wire */
	__u16 flags;
	__u16 remote_port;
	__u16 local_port; /* 0 when not yet bound */
	__u8 remote[16];
	__u8 local[16];
};
_Static_assert(sizeof(struct ln_abi_flow) == 56, "abi");

struct ln_abi_flow_open {
	struct ln_abi_header h;
	struct ln_abi_flow flow;
};
_Static_assert(sizeof(struct ln_abi_flow_open) == 80, "abi");

struct ln_abi_flow_close {
	struct ln_abi_header h;
	struct ln_abi_flow flow;
	__u64 open_ns;
	__u64 tx_bytes; /* payload for TCP, payload for UDP */
	__u64 rx_bytes;
	__u64 tx_packets;
	__u64 rx_packets;
	__u8 outcome;
	__u8 pad[7];
};
_Static_assert(sizeof(struct ln_abi_flow_close) == 128, "abi");

#define LN_ABI_DNS_ANSWER 0x1 /* came in; else it went out */
#define LN_ABI_DNS_CUT    0x2
struct ln_abi_dns {
	struct ln_abi_header h;
	struct ln_abi_flow flow;
	__u32 len;
	__u32 pad;
	/* len bytes of DNS message */
};
_Static_assert(sizeof(struct ln_abi_dns) == 88, "abi");

/* What the adoption iterator writes: a process that lived before the watch began. */
struct ln_abi_seed {
	__u32 pid;
	__u32 parent;
	__u32 agent;
	__u32 pad;
};
_Static_assert(sizeof(struct ln_abi_seed) == 16, "abi");

/* Value of the tracked-tree map, key: thread-group id. */
struct ln_abi_task {
	__u32 agent;
	__u32 parent;
	__u64 since_ns;
};
_Static_assert(sizeof(struct ln_abi_task) == 16, "abi");

/* Key and value of the wake-up cache: written by user space after a verdict, read in kernel. */
struct ln_abi_dest {
	__u32 agent;
	__u16 port;
	__u8 proto;
	__u8 family;
	__u8 addr[16];
};
_Static_assert(sizeof(struct ln_abi_dest) == 24, "abi");

struct ln_abi_verdict {
	__u64 until_ns; /* no wake-up before this time */
};

#endif
