/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every map, knob and counter of the kernel side: key, value, writer, bound. All are weak: each
 * .bpf.c that includes this file names the same object after linking.
 */
#ifndef LINNET_MAPS_BPF_H
#define LINNET_MAPS_BPF_H

#include "kernel_types.bpf.h"
#include "event_abi.h"

/* Thread-group id → the agent it belongs to. Written at fork, exit and adoption in kernel, and by
 * user space for the root of a tree. Full: the child is not watched, counted, told. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LN_ABI_TASKS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct ln_abi_task);
} tasks __weak SEC(".maps");

/* During adoption: who of the tree has ended, and whom it left behind. Written by on_exit, emptied
 * by user space. Full: counted, told. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LN_ABI_LINEAGE_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct ln_abi_lineage);
} lineage __weak SEC(".maps");

/* Cgroups that user space has been told the path of. Full: the least used goes, and is told once
 * more. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u8);
} cgroups_told __weak SEC(".maps");

/* Events for user space, in the order in which they happened. Full: counted, told. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, LN_ABI_RING_BYTES);
} events __weak SEC(".maps");

/* Destinations that need no wake-up for a while. Written by user space after a verdict, and in
 * kernel at first sight. A hint only: the engine stays the judge. Full: the least used goes. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LN_ABI_VERDICTS_MAX);
	__type(key, struct ln_abi_dest);
	__type(value, struct ln_abi_verdict);
} verdicts __weak SEC(".maps");

/* A walk over one of our maps that an unprivileged reader can have run: an iterator over all maps
 * of the kernel, which is called once more at its end, without one. The iterator over the entries
 * of a map (iter/bpf_map_elem) would be the natural one, but there are kernels that refuse it
 * (EPERM, seen with a 6.18), as they do all whose entries are given as plain memory. */
#define ONCE_A_RUN(ctx) (!(ctx)->map)

/* Who a flow belongs to. */
struct owner {
	__u32 agent;
	__u32 pid;
	__u32 tid;
};

/* And how that is known. */
struct caller {
	struct owner owner;
	__u16 flags; /* LN_ABI_FLOW_RECEIVED, _PASSED */
	__u8 how;    /* enum ln_abi_how */
	__u8 pad;
	struct ln_abi_party listener; /* of a loopback destination, outside the tree */
};

/* A destination, as briefly as it can be kept. */
struct place {
	__u64 addr[2];
	__u32 key; /* dest_key; 0: none */
	__u32 pad;
};

/* One direction of a connection, as far as it is told. */
struct stream {
	__u32 from; /* sequence number of its first byte */
	__u32 told; /* bytes, with those that were sent again */
	__u16 records;
	__u8 known; /* where it begins */
	__u8 done;  /* no more is told */
};

/* A TCP socket of the tree, and the connection that it has. That there is an entry marks the socket
 * as the tree's. A map of our own, not memory of the socket: that takes two allocations for each,
 * and the agent can use up the account that they go to. Written when the socket is made, at connect
 * and at adoption; goes with the socket. Made in advance, though that is a tenth of the start's CPU
 * time and 13 MiB: else giving an entry back costs half as much again, and an agent that uses up
 * the memory could leave its sockets without a mark. Full: told, counted, without an end. */
struct tcp_flow {
	struct owner owner;
	__u16 generation; /* flows on this socket so far */
	__u8 open;        /* told, and not yet closed */
	__u8 foreign;     /* used by the tree, made by somebody else */
	__u64 sock;       /* address of its struct sock: only to see whether it is still there */
	__u64 open_ns;
	struct ln_abi_flow flow;
	struct place wire;        /* where its packets go, when that is elsewhere and told */
	struct stream streams[2]; /* what is told of it: out, in */
	__u32 received;           /* when the last of it was told */
	__u8 turns;               /* how often that had become more */
	__u8 established;         /* the other side has answered */
	__u8 pads[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LN_ABI_TCP_FLOWS_MAX);
	__type(key, __u64); /* socket cookie */
	__type(value, struct tcp_flow);
} tcp_flows __weak SEC(".maps");

/* What a socket of the tree remembers: its owner. Written in process context: when it is made, for
 * TCP at bind and listen; at connect and sendmsg when the tree got it from somebody else. So
 * softirq code finds the owner. Lives with the socket; an accepted child inherits the listener's.
 */
struct sock_state {
	struct owner owner;
	__u16 generation; /* flows on this socket so far, without TCP */
	__u16 flags;      /* _RECEIVED or _PASSED: how it was used when it was connected */
	__u8 uncounted;   /* made outside the cgroups where egress is seen */
	__u8 foreign;     /* used by the tree, made by somebody else */
	__u16 local_port;
	__u16 bind_port; /* UDP: the port that the caller asked for; 0 none */
	__u8 listens;    /* told */
	__u8 pads[3];
	__u64 cookie;
	__u64 netns;
	__u64 connects; /* UDP */
	__u64 subflow;  /* MPTCP: cookie of the socket that its first path is */
	struct ln_abi_party other;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct sock_state);
} socks __weak SEC(".maps");

struct udp_slot {
	__u64 id; /* 0: free */
	__u64 open_ns;
	__u64 tx_bytes, rx_bytes, tx_packets, rx_packets;
	struct place dest;
	struct place wire; /* stands for `dest`: there its datagrams really go */
	__u8 same_tree;
	__u8 routed; /* its datagrams choose their way themselves: no answer to them is trusted */
	__u8 quic;   /* packets that began like QUIC */
	__u8 refused;
	__u32 pads;
};

/* The destinations of one socket that is not TCP. Full: the slot that is next in turn is closed
 * early. The lock is for the threads of the agent: without it they could make a slot of two halves,
 * and what they then send to that destination would count as told. */
struct udp_flows {
	struct bpf_spin_lock lock;
	__u32 next;
	__u32 at;         /* where slot_find was last successful */
	__u32 wired;      /* some slots have a wire */
	__u32 named_once; /* a thread has named a destination, in sendmsg */
	__u32 named_by;   /* which one did last; 0 none since connect */
	__u32 strangers;  /* answers from elsewhere that were told */
	__u32 pad;
	struct place named;
	struct udp_slot slots[LN_ABI_UDP_SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct udp_flows);
} udp_flows __weak SEC(".maps");

/* Ports that tracked sockets listen on, per network namespace; only during adoption, to tell an
 * accepted connection from one that went out. Written by on_seed_file, pass 0. */
struct listen_key {
	__u64 net;
	__u32 port;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct listen_key);
	__type(value, __u8);
} listen_ports __weak SEC(".maps");

/* Ids of the cgroups on which egress and ingress are attached. Written by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LN_ABI_COVER_MAX);
	__type(key, __u64);
	__type(value, __u8);
} covered_cgroups __weak SEC(".maps");

/* What a user namespace means to an agent: the one in which its watch began. Written by user space
 * before the tree is watched. Full: the namespaces that the tree makes are not told apart. */
struct agent_home {
	__u32 user_ns; /* inode number */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32); /* agent */
	__type(value, struct agent_home);
} homes __weak SEC(".maps");

/* When the use of a capability was told last, and how often it was used since without a word.
 * Full: the least used goes, with what it held back. */
struct use_key {
	__u32 agent;
	__u32 pid;
	__u32 capability;
	__u32 syscall;
	__u32 family;
};

struct use {
	__u64 told_ns;
	__u32 held_back;
	__u32 flags; /* of the event */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct use_key);
	__type(value, struct use);
} uses __weak SEC(".maps");

/* Told by a hook just now, so that the walk over the descriptors need not tell it again. Full: it
 * does. */
struct announced_key {
	__u32 agent;
	__u16 channel;
	__u16 family;
};

struct announced {
	__u64 until_ns;
	__u64 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, struct announced_key);
	__type(value, struct announced);
} announced __weak SEC(".maps");

/* Processes that joined the tree alive → number of the last sweep before. Old entries mean nothing.
 * Full: what the process held before may be told as received. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32); /* thread group */
	__type(value, __u32);
} newcomers __weak SEC(".maps");

/* linnet's own processes. Written by user space. Full: -E2BIG there. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32); /* thread group */
	__type(value, __u8);
} ourselves __weak SEC(".maps");

/* io_urings that the tree made, by their kernel object. Nobody tells its end: another's with the
 * same address takes the entry away. Full: the least used goes, and the ring's maker is known by
 * its memory only. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u32); /* agent */
} rings __weak SEC(".maps");

/* What a walk over the descriptors, or a send, has told or found to be in order. By socket cookie
 * for ever, by kernel address as long as each walk finds it. Full: it is told again. */
enum sight { SIGHT_SOCKET, SIGHT_OBJECT };

struct sighted_key {
	__u64 id;
	__u32 agent;
	__u32 sight;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct sighted_key);
	__type(value, __u32); /* number of the last sweep that saw it */
} sighted __weak SEC(".maps");

/* Cookies of received sockets whose maker is looked for, and the sweep that wants to know. Full:
 * the maker stays unknown. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, __u32);
} sought __weak SEC(".maps");

/* Ports, besides 53, 5353 and 5355, whose UDP payload is DNS; set before load. */
const volatile __u16 cfg_dns_ports[LN_ABI_DNS_PORTS] __weak = {};

/* What this kernel has, found out before load. */
const volatile bool cfg_has_sock_create __weak = false;  /* on_sock_create is there: marks */
const volatile bool cfg_has_current_task __weak = false; /* bpf_get_current_task_btf */
const volatile bool cfg_has_mptcp_sock __weak = false;   /* bpf_skc_to_mptcp_sock */
const volatile bool cfg_has_sock_trace __weak = false; /* a socket's memory and cookie in tracing */

/* Block mode: the tree is refused what the tables of permit.bpf.h do not permit. Dry run: that is
 * only told. Without block mode the verifier leaves all of it out. */
const volatile bool cfg_blocks __weak = false;
const volatile bool cfg_dry_run __weak = false;

/* Whether living trees will be adopted. If not, the verifier leaves out what that takes: it is a
 * good part of the time to the start. */
const volatile bool cfg_adopts __weak = false;

/* Every socket that the tree has was marked: from now on one without a mark comes from outside.
 * Written by user space after the walk over the sockets. */
__u32 marks_ready __weak = 0;

/* 0: on_seed_file collects listening ports and the tree's own loopback connections; 1: it tells
 * flows. User space. */
__u32 cfg_seed_pass __weak = 0;

/* Adoption is under way: what ends leaves a trace for its children. User space. */
__u32 cfg_adopting __weak = 0;
/* Id of a cgroup in which there is nobody but the tree; 0 none. User space, during adoption. */
__u64 cfg_adopt_cgroup __weak = 0;

/* Entries of `tasks`: user space has no other way to know, once its privileges are gone. */
__u64 tasks_living __weak = 0;

/* 1: on_seed_file looks at newcomers only. User space. */
__u32 cfg_seed_newcomers __weak = 0;

/* Sweeps so far, see sweep.bpf.c. User space. */
__u32 sweep_number __weak = 0;
/* What this sweep is for: enum ln_abi_sweep. User space. */
__u32 cfg_sweep __weak = 0;

/* Whether the reader must be woken: enum ln_abi_reader. Written by user space. */
__u32 reader_mode __weak = LN_ABI_READER_WAITS;
/* Grows with each event that cannot wait, so that the reader can tell why it was woken. */
__u64 stat_urgent __weak = 0;
/* Uses of a capability that were held back; see `uses`. */
__u64 stat_held_back __weak = 0;
/* What was not told or seen, by enum ln_abi_lost. */
__u64 stat_lost[LN_ABI_LOST_COUNT] __weak = {};

#endif
