/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the BPF sensor share: bpf.c loads and attaches, bpf_ring.c waits and drains,
 * bpf_adopt.c takes what lived before, bpf_cgroups.c knows where it is, bpf_inspect.c looks whether
 * all is as we left it, bpf_sweep.c finds what no hook sees, bpf_lsm.c has BPF LSM and the guard.
 */
#ifndef LINNET_SENSOR_BPF_PRIVATE_H
#define LINNET_SENSOR_BPF_PRIVATE_H

#include <sys/types.h>
#include "bpf_channels.h"
#include "sensor.h"
#include "decode.h"

struct linnet; /* the skeleton */
struct bpf_link;
struct ring_buffer;
struct bpf_map;
struct ln_permits;

#define LN_BPF_LINKS_MAX 64
#define LN_BPF_FACTS_MAX 64
#define LN_BPF_HELD_MAX  64  /* connections that the first process of a `run` came with */
#define LN_BPF_HINTS     256 /* a power of two */

/* A destination that was hinted lately, to spare the system call. */
struct ln_bpf_hint {
	struct ln_abi_dest dest;
	uint64_t until_ns;
};

/* A process found by adoption, to be told before the first event. */
struct ln_bpf_adopted {
	uint32_t agent, pid, ppid;
	uint32_t ns_pid;    /* 0 unknown */
	uint64_t cgroup_id; /* 0 unknown */
	const char *why;    /* see struct ln_event */
	char *exe, *args;   /* owned */
	size_t exe_len, args_len;
	bool cut;
};

/* Walks over all descriptors, see bpf_sweep.c. */
struct ln_bpf_sweep {
	/* Owned; NULL: not to be had here, or not wanted. */
	struct bpf_link *tasks, *files, *seed, *held_back, *ends, *progress;
	int timer_fd;                       /* owned; for an asked one that has to wait */
	uint64_t next_ns;                   /* no periodic one before */
	uint64_t ready_ns;                  /* no asked one before */
	uint64_t ends_ns;                   /* no walk over the connections before */
	unsigned asked;                     /* how many are wanted */
	bool newcomers;                     /* somebody joined the tree alive */
	bool broken;                        /* told, or a fact */
	struct ln_abi_channel_event *found; /* owned */
	size_t n_found, cap_found;
	uint64_t untold;
	uint64_t held_back_seen;
	bool held_back_left;
};

#define LN_BPF_TASKS_A_LOOK 256
/* The kernel side takes a process out of `tasks` before it tells the exit, and may be interrupted
 * in between. After this time the word is here. */
#define LN_BPF_RIPE_NS (50 * LN_NS_PER_MS)

/* A link as it was at the first look. */
struct ln_bpf_link_seen {
	int link;         /* its descriptor; only compared, 0 none */
	const char *name; /* borrowed from the skeleton */
	uint64_t cgroup;  /* 0: none */
	uint32_t prog_id;
	bool told; /* that it is no longer so */
};

struct ln_bpf_covered {
	uint64_t id;
	int events; /* owned; cgroup.events */
};

struct ln_bpf_task;

struct ln_bpf_inspect {
	bool blind; /* this kernel lets nobody but root look */
	struct ln_bpf_link_seen links[LN_BPF_LINKS_MAX];
	struct ln_bpf_covered covers[LN_ABI_COVER_MAX];
	size_t n_covers;
	struct ln_bpf_task *tasks; /* owned; who lives, as far as the events say */
	struct ln_bpf_task *next;  /* whose turn it is; NULL: the first's */
	uint64_t taken_ended;      /* of those that were taken out of `tasks` */
	uint32_t missed[LN_BPF_TASKS_A_LOOK];
	size_t n_missed;
	char text[160]; /* what was told last */
};

struct ln_bpf_cgroup {
	uint64_t id;
	char *path;   /* owned */
	bool covered; /* packets are counted on it */
};

/* Each with a zero byte behind it; NULL: none could be read. */
struct ln_bpf_names {
	char *text; /* owned, or in the mapping */
	size_t size;
	void *map; /* owned; NULL: it was read */
	size_t map_size;
};

/* Block mode: the tables by which the kernel decides. */
struct ln_bpf_permits {
	bool on, loopback;
	bool holds; /* on_failure: closed */
	uint64_t grace_ns;
	struct ln_permits *table; /* owned; the policy's */
	uint32_t *pieces;         /* owned; of each of its sets the first piece */
	uint32_t half;  /* pieces in one half of the map: the other one is for the next policy */
	uint32_t first; /* of the half that is used */
	uint64_t failed, failed_seen; /* what could not be written */
};

struct ln_bpf {
	struct ln_sensor base;
	struct linnet *skel;
	int cgroup_root_fd;          /* owned; only until the privileges go */
	int links[LN_BPF_LINKS_MAX]; /* owned */
	size_t n_links;
	struct ln_sensor_fact facts[LN_BPF_FACTS_MAX];
	size_t n_facts;
	struct ln_channel_fact channels[LN_BPF_CHANNELS_MAX];
	size_t n_cover;
	size_t n_tracked;
	struct ln_bpf_names names; /* of the kernel; only while loading */
	bool deep;
	bool is_first; /* addresses are seen before programs of other cgroups can change them */

	int epoll_fd, timer_fd;
	struct ring_buffer *ring;
	unsigned long *positions; /* owned mapping: how far the ring is read and written */
	unsigned long consumed;   /* how far we have read it */
	enum ln_abi_reader mode;
	uint64_t urgent_seen;
	uint64_t lost_seen[LN_ABI_LOST_COUNT];
	struct ln_decoder decoder;
	uint32_t unnamed_pid; /* of a `run`, before its exec; 0 none */
	struct ln_abi_flow_open held[LN_BPF_HELD_MAX];
	size_t n_held;
	ln_event_fn fn; /* during a drain */
	void *user;
	uint64_t undecodable, undecodable_seen;

	struct bpf_link *unix_waits, *unix_files; /* owned; NULL: this kernel has no such hooks */
	uint64_t unix_walked_ns;
	uint64_t unix_left_seen;
	bool unix_last; /* nothing may wait any longer */

	struct ln_bpf_adopted *adopted; /* owned */
	size_t n_adopted, cap_adopted;
	struct ln_bpf_cgroup *cgroups; /* owned */
	size_t n_cgroups;
	struct ln_bpf_hint hints[LN_BPF_HINTS];
	struct ln_bpf_inspect inspect;
	struct ln_bpf_sweep sweep;
	struct ln_bpf_permits permits;
};

/* What is missing when this hook is: "IPv4 connects are not seen". */
const char *ln_bpf_without(const char *hook);
void ln_bpf_add_fact(struct ln_bpf *b, const char *name, bool works, bool required,
		     const char *note, ...) LN_FORMAT(5, 6);
/* Counts packets on this cgroup from now on. -ENOSPC: no room for one more. */
int ln_bpf_cover(struct ln_bpf *b, int cgroup_fd, struct ln_error *err);
int ln_bpf_track_pid(struct ln_bpf *b, uint32_t agent, uint32_t pid, struct ln_error *err);

int ln_bpf_ring_open(struct ln_bpf *b, struct ln_error *err);
void ln_bpf_ring_close(struct ln_bpf *b);
/* Makes the descriptor readable at once. */
void ln_bpf_ring_kick(struct ln_bpf *b);
/* Says to the kernel side again what the reader is at, and reads. */
void ln_bpf_ring_restore(struct ln_bpf *b);
int ln_bpf_ring_dispatch(struct ln_bpf *b, ln_event_fn fn, void *user);
int ln_bpf_ring_drain(struct ln_bpf *b, ln_event_fn fn, void *user);

/* Switches the programs off that this kernel cannot run. Before the load. */
void ln_bpf_unix_prepare(struct ln_bpf *b);
int ln_bpf_unix_open(struct ln_bpf *b, struct ln_error *err);
void ln_bpf_unix_close(struct ln_bpf *b);
/* Events of UNIX sockets that wait for the name of the other side. */
uint64_t ln_bpf_unix_waiting(const struct ln_bpf *b);
/* Puts those into the ring whose other side is known; `force`: all. */
int ln_bpf_unix_tell(struct ln_bpf *b, bool force);

/* Marks whoever listens on the host already: after the tree's processes are registered. */
int ln_bpf_mark_listeners(struct ln_bpf *b, struct ln_error *err);
/* Marks the open sockets of the tree as its own, and tells connections; pid: only of this process,
 * 0: of all. From then on a socket without a mark is one that came from outside. */
int ln_bpf_mark_sockets(struct ln_bpf *b, uint32_t pid, struct ln_error *err);
int ln_bpf_adopt(struct ln_bpf *b, uint32_t agent, uint32_t pid, struct ln_error *err);
/* Keeps what the process is and runs, to be told with the next events. `why`: see struct ln_event.
 */
int ln_bpf_adopted_add(struct ln_bpf *b, uint32_t agent, uint32_t pid, uint32_t ppid,
		       const char *why);
void ln_bpf_adopted_tell(struct ln_bpf *b, ln_event_fn fn, void *user);
void ln_bpf_adopted_done(struct ln_bpf *b);

/* Before the load, after the other programs were chosen: which programs of BPF LSM are wanted.
 * Fails when the guard is, and cannot be. */
int ln_bpf_lsm_choose(struct ln_bpf *b, bool guard, struct ln_error *err);
/* Whether a program that was not chosen is one that is missed; `at`: its place in the skeleton. */
bool ln_bpf_lsm_is_missed(const struct ln_bpf *b, size_t at);
/* As root, when all is attached: the guard learns what is linnet's. */
int ln_bpf_lsm_protect(struct ln_bpf *b, struct ln_error *err);

/* bpf_permits.c: block mode. Before the load: knobs and sizes. */
int ln_bpf_permits_prepare(struct ln_bpf *b, const struct ln_sensor_config *c,
			   struct ln_error *err);
/* After it, before anything is attached: what the policy permits. */
int ln_bpf_permits_open(struct ln_bpf *b, struct ln_error *err);
/* What stays when the monitor dies, on the agent's own cgroup; -1: there is none. */
int ln_bpf_permits_hold(struct ln_bpf *b, uint32_t agent, int cgroup_fd, struct ln_error *err);
void ln_bpf_permits_done(struct ln_bpf *b);
/* Whether user space goes on writing this map. */
bool ln_bpf_permits_writes(const struct ln_bpf *b, const struct bpf_map *map);
void ln_bpf_trust(struct ln_sensor *s, const struct ln_endpoint *resolvers, size_t n,
		  uint64_t netns);
void ln_bpf_grant(struct ln_sensor *s, const struct ln_grant *grant);
void ln_bpf_revoke(struct ln_sensor *s, uint32_t agent, const struct ln_addr *addr);
int ln_bpf_set_policy(struct ln_sensor *s, const struct ln_policy *policy, struct ln_error *err);
void ln_bpf_cut(struct ln_sensor *s, uint64_t flow_id);
void ln_bpf_let_go(struct ln_sensor *s);

/* As root, when everything is tracked that will be: nobody writes the maps any more. */
int ln_bpf_seal(struct ln_bpf *b, struct ln_error *err);
/* What the call comes to when privileges are gone: before Linux 5.19 bpf(2) is closed then on most
 * systems (kernel.unprivileged_bpf_disabled). */
int ln_bpf_without_root(int (*call)(int fd), int fd);
/* Before the load: what this kernel would refuse the whole object for. */
void ln_bpf_compat_prepare(struct ln_bpf *b);
/* bpf_names.c: what this kernel has, by name. */
void ln_bpf_names_read(struct ln_bpf_names *ret);
bool ln_bpf_names_have(const struct ln_bpf_names *names, const char *name);
void ln_bpf_names_done(struct ln_bpf_names *names);

/* A cgroup on which links hang, which go with it. */
void ln_bpf_inspect_cover(struct ln_bpf *b, int cgroup_fd);
/* Each event, so that it is known who lives. */
void ln_bpf_inspect_note(struct ln_bpf *b, const struct ln_event *ev);
void ln_bpf_inspect(struct ln_bpf *b, ln_event_fn fn, void *user);
/* Looks again at what was missed, after the events that were there. True: some is not yet clear,
 * look again in LN_BPF_RIPE_NS. */
bool ln_bpf_inspect_missed(struct ln_bpf *b, ln_event_fn fn, void *user);
/* Counters and mode; before they are read or set again. */
void ln_bpf_inspect_memory(struct ln_bpf *b, ln_event_fn fn, void *user);
/* Somebody else has moved the reader's position. */
void ln_bpf_inspect_position(struct ln_bpf *b, ln_event_fn fn, void *user);
void ln_bpf_inspect_done(struct ln_bpf *b);
/* Before the load: switches off what this kernel lacks or nobody asked for. */
void ln_bpf_sweep_prepare(struct ln_bpf *b, const struct ln_sensor_config *c);
int ln_bpf_sweep_open(struct ln_bpf *b, const struct ln_sensor_config *c, struct ln_error *err);
void ln_bpf_sweep_close(struct ln_bpf *b);
/* When the agent's processes are registered, before they go on: what they hold was there before. */
int ln_bpf_sweep_first(struct ln_bpf *b, uint32_t agent, uint32_t pid, struct ln_error *err);
/* To be called each second or so: walks when it is time. */
void ln_bpf_sweep(struct ln_bpf *b, ln_event_fn fn, void *user);
/* Before the last look at the ring: puts into it the ends of connections that nothing showed. */
void ln_bpf_sweep_ends(struct ln_bpf *b);
/* For the reader of the ring: each event after it was told, so that a walk is asked for that can
 * explain it; whether an asked walk is due; the walk; then, with the ring read once more, what it
 * found. */
void ln_bpf_sweep_saw(struct ln_bpf *b, const struct ln_event *ev);
bool ln_bpf_sweep_ready(struct ln_bpf *b);
void ln_bpf_sweep_run(struct ln_bpf *b);
void ln_bpf_sweep_tell(struct ln_bpf *b);

/* By its path below the cgroup root; valid until the next call. NULL: gone. */
const struct ln_bpf_cgroup *ln_bpf_cgroup_find(struct ln_bpf *b, const char *path);
/* ln_bpf_cover, unless one above is covered, or the cgroup is gone. */
int ln_bpf_cover_path(struct ln_bpf *b, const char *path, struct ln_error *err);
void ln_bpf_cgroups_tell(struct ln_bpf *b, uint32_t agent, ln_event_fn fn, void *user);
void ln_bpf_cgroups_done(struct ln_bpf *b);

#endif
