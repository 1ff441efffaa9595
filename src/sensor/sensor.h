/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where events come from, behind one small table: bpf, poll, replay. A sensor has one descriptor
 * to wait on; when it is readable, dispatch() hands every event that is due to the function, in
 * order. Life: new (may need root) → track or adopt → seal → (privileges go) → dispatch … → free.
 */
#ifndef LINNET_SENSOR_SENSOR_H
#define LINNET_SENSOR_SENSOR_H

#include "base/error.h"
#include "engine/event.h"
#include "engine/finding.h"

struct ln_sensor;

typedef void (*ln_event_fn)(const struct ln_event *ev, void *user);

/* A word back from the engine: this destination, or DNS question, needs no wake-up until then. */
struct ln_hint {
	uint32_t agent;
	uint32_t question; /* the sensor's number; 0: it is about a destination */
	uint8_t proto;
	struct ln_endpoint remote;
	uint64_t until_ns; /* monotonic */
};

/* One line of what this sensor sees or does not see here. */
struct ln_sensor_fact {
	const char *name; /* "connect4", "UDP byte counts" */
	bool works;
	bool required;
	char note[160]; /* why not, or what follows */
};

/* How much of a channel is seen. */
enum ln_sight {
	LN_SIGHT_SEEN,        /* each use, with its owner */
	LN_SIGHT_PREPARATION, /* what has to be done before is an alert, the use is not seen */
	LN_SIGHT_BLIND,
	LN_SIGHT_COUNT,
};
const char *ln_sight_text(enum ln_sight s); /* "seen", "alert on preparation", "BLIND" */

/* One way out, as this sensor sees it here. */
struct ln_channel_fact {
	const char *name; /* "TCP connect", "packet sockets, AF_XDP" */
	enum ln_sight sight;
	bool refusable; /* block mode could refuse it */
	const char *by; /* hooks that see it: "cgroup/connect4, cgroup/connect6"; "" none */
	char note[160];
};

struct ln_sensor_config {
	const uint16_t *dns_ports; /* borrowed; besides 53 */
	size_t n_dns_ports;
	uint32_t launcher; /* a process of linnet's own besides this one; 0 none */
	bool deep;         /* watch every send on the host too: dearer, see linnet(1) */
	bool adopts;       /* adopt() will be called */
	bool progress;     /* tell of open flows what they have sent, each second or so */
	bool guard; /* with BPF LSM: refuse the tree's ptrace, kill and bpf on linnet itself */
	/* Block mode: the tree is refused what is not permitted; see struct ln_grant too. */
	bool blocks;
	bool dry_run;      /* what would be refused is only told */
	bool fails_closed; /* when linnet dies, what was permitted last goes on to hold */
	const struct ln_policy *policy; /* borrowed, outlives the sensor; for block mode */
};

/* In block mode, a word from the engine: a name leads to this address, and that counts. */
struct ln_grant {
	uint32_t agent;
	struct ln_addr addr;
	const char *name;  /* canonical */
	uint64_t until_ns; /* monotonic */
};

struct ln_sensor_ops {
	const char *name; /* "bpf", "poll", "replay" */
	/* Registers a process that has not run yet: its whole future tree is watched. cgroup_fd:
	 * the agent's own cgroup (v2), or -1. */
	int (*track)(struct ln_sensor *s, uint32_t agent, uint32_t pid, int cgroup_fd,
		     struct ln_error *err);
	/* Takes a living process with its tree and its open sockets. */
	int (*adopt)(struct ln_sensor *s, uint32_t agent, uint32_t pid, struct ln_error *err);
	/* Nothing more will be tracked or adopted, and the privileges are about to go: closes what
	 * others could change. NULL: nothing to close. */
	int (*seal)(struct ln_sensor *s, struct ln_error *err);
	int (*fd)(struct ln_sensor *s);
	/* 0, or -errno when the sensor can go on no more. */
	int (*dispatch)(struct ln_sensor *s, ln_event_fn fn, void *user);
	/* Drains everything that is there now, whether due or not: for the end. */
	int (*drain)(struct ln_sensor *s, ln_event_fn fn, void *user);
	void (*hint)(struct ln_sensor *s, const struct ln_hint *hint); /* NULL: not wanted */
	/* Block mode; NULL: this sensor refuses nothing. Trusted resolvers, in the network
	 * namespace with this cookie, 0: in any; they replace those of before. */
	void (*trust)(struct ln_sensor *s, const struct ln_endpoint *resolvers, size_t n,
		      uint64_t netns);
	void (*grant)(struct ln_sensor *s, const struct ln_grant *grant);
	/* What the kernel permitted at this address on its own is no more; what was granted stays.
	 */
	void (*revoke)(struct ln_sensor *s, uint32_t agent, const struct ln_addr *addr);
	/* Another policy; what was granted by names is forgotten, and has to be granted again. The
	 * old one may go when this has succeeded; else it stays in force. */
	int (*set_policy)(struct ln_sensor *s, const struct ln_policy *policy,
			  struct ln_error *err);
	/* The flow's socket sends no more. */
	void (*cut)(struct ln_sensor *s, uint64_t flow_id);
	/* The watch ends in order: what was to hold the agent after the sensor's death does not. */
	void (*let_go)(struct ln_sensor *s);
	/* How many processes of all trees live, as the kernel counts them, also when events were
	 * lost. NULL: nobody knows better than the events. */
	uint64_t (*living)(struct ln_sensor *s);
	/* What works and what does not: `*ret` is borrowed, valid until free. */
	size_t (*facts)(struct ln_sensor *s, const struct ln_sensor_fact **ret);
	/* The channel table, complete after track or adopt; the same life as facts. */
	size_t (*channels)(struct ln_sensor *s, const struct ln_channel_fact **ret);
	/* Looks whether the sensor itself is whole, and walks over what no hook sees. To be called
	 * each second. NULL: nothing to look at. */
	void (*inspect)(struct ln_sensor *s, ln_event_fn fn, void *user);
	void (*free)(struct ln_sensor *s);
};

struct ln_sensor {
	const struct ln_sensor_ops *ops;
};

/* NULL-safe: ops->free, and *s = NULL. */
void ln_sensor_free(struct ln_sensor **s);

/* cgroup_root_fd: the root of the cgroup2 tree, borrowed for the call. At most four DNS ports are
 * taken, -EINVAL above. */
int ln_sensor_bpf_new(int cgroup_root_fd, const struct ln_sensor_config *c, struct ln_error *err,
		      struct ln_sensor **ret);
int ln_sensor_poll_new(struct ln_error *err, struct ln_sensor **ret);
/* Events from a story file, see tests/replay/README.md. */
int ln_sensor_replay_new(const char *path, struct ln_error *err, struct ln_sensor **ret);

#endif
