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

#define LN_ABI_VERSION 3

#define LN_ABI_TASKS_MAX      65536 /* tracked thread groups */
#define LN_ABI_TCP_FLOWS_MAX  65536 /* connections of the tree */
#define LN_ABI_VERDICTS_MAX   16384 /* destinations whose wake-up is settled */
#define LN_ABI_RING_BYTES     (1 << 20)
#define LN_ABI_UDP_SLOTS      8    /* destinations counted at once on one UDP socket */
#define LN_ABI_EXE_MAX        2048 /* path components, leaf first, NUL after each */
#define LN_ABI_ARGS_MAX       4096 /* argument vector as in /proc/PID/cmdline */
#define LN_ABI_DNS_MAX        4096 /* DNS payload of one datagram */
#define LN_ABI_DNS_PORTS      4
#define LN_ABI_BYTES_MAX      4096 /* payload in one record */
#define LN_ABI_FIRST_BYTES    8192 /* of what a TCP connection sends */
#define LN_ABI_FIRST_TURNS    16   /* the other side spoke in between: the first bytes are over */
#define LN_ABI_FIRST_TOLD     (4 * LN_ABI_FIRST_BYTES) /* with what is sent again */
#define LN_ABI_FIRST_RECORDS  4096
#define LN_ABI_FIRST_PACKETS  4         /* of what a UDP flow sends, when they look like QUIC */
#define LN_ABI_STREAM_BYTES   (1 << 20) /* DNS over TCP, each direction */
#define LN_ABI_STREAM_RECORDS 32768
#define LN_ABI_PROGRESS_MAX   1024 /* open flows that are told of in one walk */
#define LN_ABI_STRANGERS_MAX  8    /* DNS answers of strangers to one socket */
#define LN_ABI_COVER_MAX      16   /* cgroups on which packets are seen */
#define LN_ABI_CGROUP_MAX     1024 /* path components of a cgroup, leaf first, NUL after each */
#define LN_ABI_UNIX_MAX       108  /* sun_path */
#define LN_ABI_COMM_MAX       16
#define LN_ABI_LINEAGE_MAX    65536 /* processes whose parent went during adoption */

/* What block mode decides by. */
#define LN_ABI_PORT_RANGES    7     /* in one piece of a set */
#define LN_ABI_PORT_PIECES    64    /* of one set */
#define LN_ABI_RESOLVERS_MAX  8     /* trusted ones */
#define LN_ABI_PERMITS_MAX    65536 /* addresses that names permit */
#define LN_ABI_PERMIT_SLOTS   4     /* sets of ports that names permit at one address */
#define LN_ABI_QUESTIONS_MAX  4096  /* DNS questions without an answer */
#define LN_ABI_QUESTION_BYTES 264   /* a name of full length, type and class; whole words */
#define LN_ABI_CUTS_MAX       65536 /* sockets that may send no more */

#define LN_ABI_LISTENERS_MAX    4096 /* of the trees, as members of a SO_REUSEPORT group */
#define LN_ABI_TREE_CLIENTS_MAX 4096 /* loopback connections between connect and accept */

enum ln_abi_kind {
	LN_ABI_FORK = 1,
	LN_ABI_EXEC,
	LN_ABI_EXIT,
	LN_ABI_FLOW_OPEN,
	LN_ABI_FLOW_CLOSE,
	LN_ABI_DNS,
	LN_ABI_FLOW_WIRE,
	LN_ABI_CHANNEL,
	LN_ABI_CGROUP,
	LN_ABI_BYTES,
	LN_ABI_FLOW_PROGRESS, /* as FLOW_CLOSE: what an open flow has sent so far */
};

/* How the owner of a flow or channel was found. */
enum ln_abi_how {
	LN_ABI_BY_TASK,   /* the caller is a process of the tree, the socket is the tree's too */
	LN_ABI_BY_SOCKET, /* the socket's mark says so; the caller is not known */
	LN_ABI_BY_CGROUP, /* only the cgroup says so */
	LN_ABI_AMBIGUOUS, /* the caller and the socket disagree: see RECEIVED and PASSED */
	LN_ABI_HOW_COUNT,
};

/* Reasons why something was not told or not seen; index of the counters. */
enum ln_abi_lost {
	LN_ABI_LOST_RING,     /* ring buffer full: an event is gone */
	LN_ABI_LOST_TASKS,    /* tracked map full: a child is not watched */
	LN_ABI_LOST_SOCKETS,  /* no socket storage: a flow has no close or counts */
	LN_ABI_LOST_DNS,      /* a DNS message too long, fragmented or unreadable */
	LN_ABI_LOST_VERDICTS, /* wake-up map refused an entry: only latency suffers */
	LN_ABI_LOST_LINEAGE,  /* adoption: a family too large or too deep, a child is not watched */
	LN_ABI_LOST_BYTES,    /* what a flow says: too much, or not to be read */
	LN_ABI_LOST_STRANGERS, /* more DNS answers of strangers than are told */
	LN_ABI_LOST_MARKS, /* a socket of the tree has no mark: none counts as received any more */
	LN_ABI_LOST_PERMITS, /* block mode: what a name permits was not kept */
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

/* Another process that has a part in it. */
struct ln_abi_party {
	__u32 pid; /* 0: not known */
	__u32 pad;
	char comm[LN_ABI_COMM_MAX]; /* as task->comm, NUL-terminated, or empty */
};
_Static_assert(sizeof(struct ln_abi_party) == 24, "abi");

struct ln_abi_fork { /* pid is the parent */
	struct ln_abi_header h;
	__u32 child;
	__u32 child_ns_pid; /* in the child's own pid namespace */
};
_Static_assert(sizeof(struct ln_abi_fork) == 32, "abi");

#define LN_ABI_EXEC_EXE_CUT  0x1 /* the path was longer than told */
#define LN_ABI_EXEC_ARGS_CUT 0x2
#define LN_ABI_EXEC_ARGS_BAD 0x4 /* argument pages could not be read */
struct ln_abi_exec {
	struct ln_abi_header h;
	__u16 exe_len;
	__u16 args_len;
	__u32 ns_pid;    /* in its own pid namespace */
	__u64 cgroup_id; /* cgroup v2; 0 unknown */
			 /* exe_len bytes of components, then args_len bytes of arguments */
};
_Static_assert(sizeof(struct ln_abi_exec) == 40, "abi");

/* A cgroup in which a process of the tree was seen for the first time; or this process has come
 * there from another one. */
#define LN_ABI_CGROUP_UNCOVERED 0x1 /* packets of sockets that are made there are not seen */
#define LN_ABI_CGROUP_CUT       0x2 /* the path was longer than told */
#define LN_ABI_CGROUP_MOVED     0x4 /* came there without an exec: moved, or born there */
struct ln_abi_cgroup {
	struct ln_abi_header h;
	__u64 id;
	__u16 len;
	__u16 pad[3];
	/* len bytes of components */
};
_Static_assert(sizeof(struct ln_abi_cgroup) == 40, "abi");

struct ln_abi_exit {
	struct ln_abi_header h;
	__u32 code; /* as in wait(2) */
	__u32 pad;
};
_Static_assert(sizeof(struct ln_abi_exit) == 32, "abi");

#define LN_ABI_FLOW_EXISTING     0x0001 /* was open before the watch began */
#define LN_ABI_FLOW_SAME_TREE    0x0002 /* loopback, and the listener belongs to the same agent */
#define LN_ABI_FLOW_MPTCP        0x0004
#define LN_ABI_FLOW_UNCOUNTED    0x0008 /* no egress hook covers this socket: bytes unknown */
#define LN_ABI_FLOW_EVICTED      0x0010 /* close: only the counting ended, see LN_ABI_UDP_SLOTS */
#define LN_ABI_FLOW_RECEIVED     0x0020 /* the socket was made outside the tree; `other`: its maker */
#define LN_ABI_FLOW_PASSED       0x0040 /* made by the tree, used by `other`, which is outside */
#define LN_ABI_FLOW_INBOUND      0x0080 /* the other side began it */
#define LN_ABI_FLOW_REFUSED      0x0100 /* block mode did not let it happen */
#define LN_ABI_FLOW_WOULD_REFUSE 0x0200 /* dry run: block mode would not */

enum ln_abi_outcome {
	LN_ABI_OUTCOME_NONE,      /* UDP: nothing to tell */
	LN_ABI_OUTCOME_CONNECTED, /* was established, then closed in order */
	LN_ABI_OUTCOME_REFUSED,
	LN_ABI_OUTCOME_TIMED_OUT,
	LN_ABI_OUTCOME_RESET,       /* was established, then reset by the peer */
	LN_ABI_OUTCOME_UNREACHABLE, /* no route, or an ICMP error */
	LN_ABI_OUTCOME_ABORTED,     /* given up by the agent before it was established */
	LN_ABI_OUTCOME_BLOCKED,     /* LN_ABI_FLOW_REFUSED */
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
	__u8 how; /* enum ln_abi_how */
	__u8 pad[7];
	struct ln_abi_party listener; /* loopback: who listens there, outside the tree */
	struct ln_abi_party other;    /* see LN_ABI_FLOW_RECEIVED and _PASSED */
};
_Static_assert(sizeof(struct ln_abi_flow_open) == 136, "abi");

/* The packet goes elsewhere than the application said. */
enum ln_abi_wire {
	LN_ABI_WIRE_CHANGED, /* NAT, or another program that rewrites */
	LN_ABI_WIRE_ROUTED,  /* source route or segment routing header: `wire` is the first hop */
	LN_ABI_WIRE_SUBFLOW, /* MPTCP: one more path of the flow, to an address of its own */
	LN_ABI_WIRE_COUNT,
};

struct ln_abi_flow_wire {
	struct ln_abi_header h;
	struct ln_abi_flow flow; /* as named */
	__u8 wire[16];
	__u16 wire_port;
	__u8 wire_family;
	__u8 why; /* enum ln_abi_wire */
	__u8 how;
	__u8 pad[3];
};
_Static_assert(sizeof(struct ln_abi_flow_wire) == 104, "abi");

/* A way out, or the preparation of one, that is no flow of an IP socket. */
enum ln_abi_channel {
	LN_ABI_RAW_SOCKET = 1,  /* AF_INET, AF_INET6 and SOCK_RAW; number: the protocol */
	LN_ABI_PACKET_SOCKET,   /* AF_PACKET, AF_XDP */
	LN_ABI_OTHER_SOCKET,    /* a family or protocol whose traffic is not followed */
	LN_ABI_TUNNEL_DEVICE,   /* /dev/net/tun was opened */
	LN_ABI_UNIX_SOCKET,     /* connect or send to a named UNIX socket; `path` */
	LN_ABI_SOCKET_RECEIVED, /* a socket of `other` is in the descriptor table; `flow` */
	LN_ABI_RING_RECEIVED,   /* an io_uring that the tree did not make is there */
	LN_ABI_LISTEN,          /* `flow`: local address and port */
	LN_ABI_PRIVILEGE,       /* number: the capability, that was granted */
	LN_ABI_INJECTION,       /* `other` is outside the tree, and from now on watched too */
	LN_ABI_ATTACK,          /* number: the signal that was sent to linnet itself */
	LN_ABI_CHANNEL_COUNT,
};

#define LN_ABI_CHANNEL_OWN_NS       0x1  /* PRIVILEGE: in a user namespace that the tree made */
#define LN_ABI_CHANNEL_SAME_TREE    0x2  /* UNIX_SOCKET: the listener belongs to the same agent */
#define LN_ABI_CHANNEL_ABSTRACT     0x4  /* UNIX_SOCKET: path starts after the NUL */
#define LN_ABI_CHANNEL_REFUSED      0x8  /* the guard, or block mode, did not let it happen */
#define LN_ABI_CHANNEL_EXISTING     0x10 /* was there before the watch began */
#define LN_ABI_CHANNEL_READ         0x20 /* PRIVILEGE: the system call can only look */
#define LN_ABI_CHANNEL_WOULD_REFUSE 0x40 /* dry run: block mode would not have let it happen */

struct ln_abi_channel_event {
	struct ln_abi_header h;
	__u8 channel; /* enum ln_abi_channel */
	__u8 how;
	__u8 family; /* AF_*, 0 none */
	__u8 type;   /* SOCK_* */
	__u32 number;
	__u32 syscall; /* number + 1 of the system call in which it happened; 0 unknown */
	__u16 flags;
	__u16 path_len;
	__u64 cookie; /* of the socket; 0 none */
	struct ln_abi_party other;
	struct ln_abi_flow flow; /* family 0: no addresses */
	char path[LN_ABI_UNIX_MAX];
	__u32 held_back; /* PRIVILEGE: how often it was used before without a word */
};
_Static_assert(sizeof(struct ln_abi_channel_event) == 240, "abi");

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

#define LN_ABI_DNS_ANSWER   0x1 /* came in; else it went out */
#define LN_ABI_DNS_CUT      0x2
#define LN_ABI_DNS_STRANGER 0x4 /* came in from where the socket has sent nothing: `remote` */
struct ln_abi_dns {
	struct ln_abi_header h;
	struct ln_abi_flow flow;
	__u32 question; /* a number for what is asked of whom; 0 an answer, or a large question */
	__u32 len;
	/* len bytes of DNS message */
};
_Static_assert(sizeof(struct ln_abi_dns) == 88, "abi");

/* What a flow carries, as it is on the wire: the first bytes that a TCP connection sends, all of
 * both directions when it is a DNS conversation, and the first datagrams that look like QUIC. */
#define LN_ABI_BYTES_IN  0x1 /* came in; else it went out */
#define LN_ABI_BYTES_CUT 0x2 /* bytes that should follow are not told: too many, or unreadable */
struct ln_abi_bytes {
	struct ln_abi_header h;
	struct ln_abi_flow flow;
	__u32 offset; /* TCP: in the stream, of the first byte; UDP: which packet of the flow, 0… */
	__u32 len;
	/* len bytes */
};
_Static_assert(sizeof(struct ln_abi_bytes) == 88, "abi");

/* Why a living process is taken as one of the tree. */
enum ln_abi_kin {
	LN_ABI_KIN_DESCENT, /* its parents lead to the tree */
	LN_ABI_KIN_SESSION, /* orphan: the leader of its session is of the tree */
	LN_ABI_KIN_GROUP,   /* orphan: so is the leader of its process group */
	LN_ABI_KIN_CGROUP,  /* orphan: nobody but the tree is in its cgroup */
	LN_ABI_KIN_COUNT,
};

/* What the adoption iterator writes: a process that lived before the watch began. */
struct ln_abi_seed {
	__u32 pid;
	__u32 parent;
	__u32 agent;
	__u32 kin; /* enum ln_abi_kin */
};
_Static_assert(sizeof(struct ln_abi_seed) == 16, "abi");

/* What a walk over all descriptors looks for. */
enum ln_abi_sweep {
	LN_ABI_SWEEP_NEWS,  /* what the tree holds and did not make: writes ln_abi_channel_event */
	LN_ABI_SWEEP_FIRST, /* the same, when a watch begins: all of it was there before */
	LN_ABI_SWEEP_HOLDERS, /* who else holds what was found: writes ln_abi_holder */
};

/* A process outside the tree that holds a socket which the tree received. */
struct ln_abi_holder {
	__u64 cookie;
	struct ln_abi_party who;
};
_Static_assert(sizeof(struct ln_abi_holder) == 32, "abi");

/* Value of the tracked-tree map, key: thread-group id. */
struct ln_abi_task {
	__u32 agent;
	__u32 parent;
	__u64 since_ns;
};
_Static_assert(sizeof(struct ln_abi_task) == 16, "abi");

/* Only during adoption, key: thread-group id of a process of the tree that is ending, or of a child
 * that it left. */
struct ln_abi_lineage {
	__u32 agent;
	__u32 parent;
	__u32 kin;
	__u32 taken; /* it was put into the tracked-tree map then, and not told */
};
_Static_assert(sizeof(struct ln_abi_lineage) == 16, "abi");

/* Key and value of the wake-up cache: written by user space after a verdict, read in kernel. Family
 * 0: a DNS question, its number is the address. */
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

/* Block mode. A set of ports is a chain of pieces; the first range that fits decides. Piece 0 is
 * the empty set. */
struct ln_abi_port_range {
	__u16 first, last;
	__u8 proto; /* 0: any */
	__u8 deny;
	__u16 pad;
};

struct ln_abi_port_piece {
	__u32 n;
	__u32 next; /* 0: the last one */
	struct ln_abi_port_range ranges[LN_ABI_PORT_RANGES];
};
_Static_assert(sizeof(struct ln_abi_port_piece) == 64, "abi");

struct ln_abi_host {
	__u32 family;
	__u8 addr[16];
};

/* Key of a trie: the family counts as the first 32 bits. */
struct ln_abi_network {
	__u32 prefix_len;
	struct ln_abi_host host;
};

/* Key of a name: SipHash-1-3 of the hash of what follows its first label (8 bytes, little endian; 0
 * for the last label) and of that label in lower case, backwards. Value: sets of ports. */
struct ln_abi_name_rule {
	__u32 whole; /* of this very name */
	__u32 below; /* of all below it */
};

struct ln_abi_resolver {
	__u32 family; /* 0: none here */
	__u16 port;
	__u16 pad;
	__u8 addr[16];
	__u64 netns; /* cookie of the network namespace in which it is, 0: any */
};

/* What names permit at an address. A slot has when it ends in its upper 40 bits, in units of 2^20
 * ns, and a set of ports in the lower 24; 0: free. */
#define LN_ABI_SLOT_SET_BITS  24
#define LN_ABI_SLOT_TIME_BITS 20
struct ln_abi_permit_key {
	__u32 agent;
	struct ln_abi_host host;
};
_Static_assert(sizeof(struct ln_abi_permit_key) == 24, "abi");

struct ln_abi_permit {
	__u64 slots[LN_ABI_PERMIT_SLOTS];
};

#endif
