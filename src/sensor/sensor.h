/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where events come from, behind one small table: bpf, poll, replay. A sensor has one descriptor
 * to wait on; when it is readable, dispatch() hands every event that is due to the function, in
 * order. Life: new (may need root) → track or adopt → (privileges go) → dispatch … → free.
 */
#ifndef LINNET_SENSOR_SENSOR_H
#define LINNET_SENSOR_SENSOR_H

#include "base/error.h"
#include "engine/event.h"
#include "engine/finding.h"

struct ln_sensor;

typedef void (*ln_event_fn)(const struct ln_event *ev, void *user);

/* A word back from the engine: this destination needs no wake-up until then. */
struct ln_hint {
	uint32_t agent;
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

struct ln_sensor_ops {
	const char *name; /* "bpf", "poll", "replay" */
	/* Registers a process that has not run yet: its whole future tree is watched. cgroup_fd:
	 * the agent's own cgroup (v2), or -1. */
	int (*track)(struct ln_sensor *s, uint32_t agent, uint32_t pid, int cgroup_fd,
		     struct ln_error *err);
	/* Takes a living process with its tree and its open sockets. */
	int (*adopt)(struct ln_sensor *s, uint32_t agent, uint32_t pid, struct ln_error *err);
	int (*fd)(struct ln_sensor *s);
	/* 0, or -errno when the sensor can go on no more. */
	int (*dispatch)(struct ln_sensor *s, ln_event_fn fn, void *user);
	/* Drains everything that is there now, whether due or not: for the end. */
	int (*drain)(struct ln_sensor *s, ln_event_fn fn, void *user);
	void (*hint)(struct ln_sensor *s, const struct ln_hint *hint); /* NULL: not wanted */
	/* What works and what does not: `*ret` is borrowed, valid until free. */
	size_t (*facts)(struct ln_sensor *s, const struct ln_sensor_fact **ret);
	void (*free)(struct ln_sensor *s);
};

struct ln_sensor {
	const struct ln_sensor_ops *ops;
};

/* NULL-safe: ops->free, and *s = NULL. */
void ln_sensor_free(struct ln_sensor **s);

/* cgroup_root_fd: the root of the cgroup2 tree, borrowed for the call. dns_ports: those (besides
 * 53) on which the policy's resolvers listen; at most four are taken, -EINVAL above. */
int ln_sensor_bpf_new(int cgroup_root_fd, const uint16_t *dns_ports, size_t n, struct ln_error *err,
		      struct ln_sensor **ret);
int ln_sensor_poll_new(struct ln_error *err, struct ln_sensor **ret);
/* Events from a story file, see tests/replay/README.md. */
int ln_sensor_replay_new(const char *path, struct ln_error *err, struct ln_sensor **ret);

#endif
