/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One watch: a sensor, the engine, the sinks and linnet's own look-ups, wired together. Its life is
 * the order of the calls: prepare (may need root: opens everything, takes the processes), drop
 * (root is gone), begin (only now bytes of others are parsed), dispatch …, finish. What waits on
 * the descriptors is in loop.h.
 */
#ifndef LINNET_DAEMON_WATCH_H
#define LINNET_DAEMON_WATCH_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>
#include "engine/engine.h"
#include "identity.h"
#include "output/report.h"
#include "sensor/sensor.h"

#define LN_WATCH_PIDS_MAX  64
#define LN_WATCH_SINKS_MAX 19 /* console, log, report, and 16 that the policy names */

/* A kind of sensor, as a value: the tests bring their own. */
struct ln_sensor_kind {
	const char *name;
	bool root;   /* needs root, the initial PID namespace and the cgroup v2 tree */
	bool proc;   /* goes on reading /proc of the agent: see ln_privileges_drop */
	bool cgroup; /* wants a cgroup of the agent's own */
	bool dns;    /* sees the DNS messages of the agent */
	int (*make)(const struct ln_sensor_config *c, struct ln_error *err, struct ln_sensor **ret);
};
extern const struct ln_sensor_kind ln_sensor_kinds[];
/* NULL: there is no sensor of this name. */
const struct ln_sensor_kind *ln_sensor_kind_find(const char *name);
/* Whether it can work for this user in this place; *err says what to do. */
int ln_sensor_kind_check(const struct ln_sensor_kind *k, struct ln_error *err);

struct ln_watch_config {
	const struct ln_policy *policy; /* borrowed; outlives the watch */
	bool no_policy;                 /* `policy` is an empty one in its place */
	const struct ln_sensor_kind *kind;
	const char *log_path; /* NULL: the default place */
	bool quiet, color, show_args;
	bool deep, guard; /* see ln_sensor_config */
	uid_t agent_uid;
	const struct ln_identity *agent; /* borrowed for ln_watch_prepare; NULL unknown */
	enum ln_mode mode;               /* of the policy, or what was asked for in its place */
	bool dry_run;
	int ctl_fd;        /* borrowed; to the launcher, -1 none */
	bool attach;       /* the processes live already; else one, that has not run yet */
	const pid_t *pids; /* borrowed */
	size_t n_pids;
	int cgroup_fd; /* the agent's own, or -1; borrowed for ln_watch_prepare */
	/* What is to be written at the end; borrowed. Its descriptor is kept where all others that
	 * were inherited are closed. NULL: nothing. */
	const struct ln_report_plan *report;
};

struct ln_watch; /* opaque */

int ln_watch_prepare(const struct ln_watch_config *c, struct ln_error *err, struct ln_watch **ret);
int ln_watch_drop(struct ln_watch *w, struct ln_error *err);
int ln_watch_begin(struct ln_watch *w, struct ln_error *err);
void ln_watch_free(struct ln_watch **w);

int ln_watch_sensor_fd(const struct ln_watch *w);
int ln_watch_lookup_fd(const struct ln_watch *w);         /* -1: no name to look up */
int ln_watch_resolved_fd(const struct ln_watch *w);       /* -1: not listened to */
int ln_watch_policy_fd(const struct ln_watch *w);         /* inotify, or -1 */
int ln_watch_cgroup_fd(const struct ln_watch *w);         /* cgroup.events for EPOLLPRI, or -1 */
int ln_watch_pidfd(const struct ln_watch *w, size_t i);   /* of the i-th process given, or -1 */
int ln_watch_sink_fd(const struct ln_watch *w, size_t i); /* of the i-th sink, or -1 */
int ln_watch_dispatch_sensor(struct ln_watch *w);
int ln_watch_dispatch_lookup(struct ln_watch *w);
void ln_watch_dispatch_sinks(struct ln_watch *w);
/* False: it has ended, which has been told; its descriptor is closed. */
bool ln_watch_dispatch_resolved(struct ln_watch *w);
/* What has changed beside the policy's file. True: the launcher is to be asked for the file. */
bool ln_watch_dispatch_policy(struct ln_watch *w);
/* The same when a person asks for it: `by_hand`. */
bool ln_watch_want_policy(struct ln_watch *w, bool by_hand);
/* The launcher's answer: the open file, or -1. The descriptor of the look-ups is another one then.
 * True: it is to be asked once more. */
bool ln_watch_take_policy(struct ln_watch *w, int fd);
/* Whether our own look-ups have been through once; true when there are none. */
bool ln_watch_lookups_settled(const struct ln_watch *w);
/* Reads what the sensor has now, whether due or not. */
void ln_watch_drain(struct ln_watch *w);
/* Looks whether linnet itself is whole: its time, its log, its sensor; each second. What is not is
 * told by ln_watch_tamper. */
void ln_watch_inspect(struct ln_watch *w);
/* An alert by every sink: somebody has touched linnet itself. */
void ln_watch_tamper(struct ln_watch *w, const char *what, ...) LN_FORMAT(2, 3);
/* To be called when everything that was due has been dispatched: flushes the sinks, tells lost
 * records once. */
void ln_watch_settle(struct ln_watch *w);
uint64_t ln_watch_deadline(const struct ln_watch *w); /* monotonic ns, or UINT64_MAX */
void ln_watch_tick(struct ln_watch *w);

/* The first process of the watch has ended. */
bool ln_watch_root_ended(const struct ln_watch *w);
/* No process of the tree is left, as far as the events say. */
bool ln_watch_tree_ended(const struct ln_watch *w);
size_t ln_watch_open_flows(const struct ln_watch *w);
size_t ln_watch_living(const struct ln_watch *w); /* as far as the events say */
/* The same as the kernel counts them. False: the sensor cannot know. */
bool ln_watch_living_now(const struct ln_watch *w, uint64_t *ret);
uint64_t ln_watch_lost(const struct ln_watch *w);
/* Hands out what is still there, then the summary. */
void ln_watch_finish(struct ln_watch *w);
/* The watch ends in order: `on_failure: closed` of the policy does not hold the agent any more. */
void ln_watch_let_go(struct ln_watch *w);
uint64_t ln_watch_violations(const struct ln_watch *w);
/* What the launcher said while an answer of it was awaited; oldest first, each once. */
size_t ln_watch_take_kept(struct ln_watch *w, char *ret, size_t max);
/* Kill and freeze: looks for processes that were forked meanwhile, when that is due. */
void ln_watch_pursue(struct ln_watch *w);

#endif
