/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the watch; for watch.c, prepare.c, evidence.c, inspect.c, notice.c, reload.c, sinks.c.
 */
#ifndef LINNET_DAEMON_WATCH_IMPL_H
#define LINNET_DAEMON_WATCH_IMPL_H

#include <time.h>
#include "dns/config.h"
#include "files.h"
#include "reach.h"
#include "output/sink.h"
#include "sensor/lookup.h"
#include "sensor/resolved.h"
#include "watch.h"

#define SINK_CONSOLE  0
#define SINK_LOG      1
#define SINK_REPORT   2 /* when there is one */
#define SINKS_MAX     LN_WATCH_SINKS_MAX
#define UNCOVERED_MAX 8

/* What the last inspection found. */
struct ln_inspection {
	uint64_t at_ns, cpu_ns; /* of the last look */
	int64_t wall_ahead_ns;  /* of the time since the boot */
	int log_fd;             /* borrowed from its sink; -1: not a regular file */
	char log_name[PATH_MAX];
	off_t log_size;
	struct timespec log_changed;
	unsigned looks; /* since log_name was compared */
	bool log_deleted;
	char text[256]; /* what was told last */
};

/* The policy's file, see reload.c. */
struct ln_policy_file {
	int inotify_fd;              /* owned; -1: changes are not noticed */
	char names[2][NAME_MAX + 1]; /* as given, and what that links to; in their directories */
	bool reloads;                /* it is a file that can be read again */
	bool out_of_reach;           /* the agent's user can neither change nor replace it: known */
	bool asked;                  /* the launcher has been asked for it */
	bool by_hand;                /* because a person wants it so */
	bool again;                  /* it has changed since it was asked for */
};

#define LN_ENFORCE_PIDS_MAX 65536

struct ln_enforcement {
	bool own_cgroup;  /* the agent has one */
	uint64_t done_ns; /* when it was killed or frozen last; 0 never */
	uint64_t asked_ns;
	unsigned pursuits;
	uint64_t next_ns, wait_ns; /* when to look for who was forked meanwhile; 0 not */
	char kept[64];             /* what the launcher said meanwhile */
	size_t n_kept;
	uint32_t pids[LN_ENFORCE_PIDS_MAX]; /* reused from request to request */
};

struct ln_watch {
	struct ln_enforcement enforce;
	struct ln_watch_config c;
	struct ln_sensor *sensor;         /* owned */
	struct ln_engine *engine;         /* owned */
	struct ln_lookup *lookup;         /* owned; NULL: no name to look up */
	struct ln_resolved *resolved;     /* owned; NULL: not listened to */
	const char **lookup_names;        /* owned array of borrowed names */
	struct ln_sink *sinks[SINKS_MAX]; /* owned */
	bool sink_told[SINKS_MAX];
	size_t n_sinks;
	char *tokens[LN_POLICY_SINKS_MAX]; /* owned; of the policy's sinks, until these are
					      made */
	int log_fd;                        /* owned until the sink has it */
	char log_path[PATH_MAX];
	int cgroup_events;             /* owned; -1 none */
	int pidfds[LN_WATCH_PIDS_MAX]; /* owned; -1 none */
	bool drop;                     /* root: become uid, gid */
	uid_t uid;
	gid_t gid;
	struct ln_agent_file hosts, resolv_file; /* emptied when parsed */
	struct ln_resolv_conf resolv;
	struct ln_endpoint resolvers[LN_RESOLV_SERVERS_MAX];
	size_t n_resolvers;
	char run[8];     /* what the ids of its alerts begin with */
	uint64_t netns;  /* cookie of the agent's network namespace; 0 unknown */
	bool shared_uid; /* block mode: others than the agent run as its user */
	bool yama;       /* and none of them can be taken over by it */
	bool seen;       /* some process of the tree was told */
	bool root_ended;
	uint64_t uncovered[UNCOVERED_MAX]; /* ids of cgroups that a person was told of */
	size_t n_uncovered;
	struct ln_inspection self;
	struct ln_reach reach; /* of the agent's user, where it is not linnet's own */
	struct ln_policy_file policy_file;
	uint64_t rule_ends_s;         /* block mode: when the next rule does; 0: now */
	struct ln_policy *own_policy; /* owned; the one that came last; NULL: that of `c` */
};

#define LN_WATCH_AGENT 1 /* id of the only tree */

static inline bool ln_watch_learns(const struct ln_watch *w)
{
	return w->c.report && w->c.report->learn;
}

void ln_watch_event(const struct ln_event *ev, void *user);

/* evidence.c: what the agent's own files and linnet's own questions say about names. */
void ln_watch_read_resolvers(struct ln_watch *w);
void ln_watch_feed_hosts(struct ln_watch *w);
int ln_watch_start_lookups(struct ln_watch *w, struct ln_error *err);
/* Listens to systemd-resolved, where the agent's names come from the host's one; needs
 * root. */
void ln_watch_open_resolved(struct ln_watch *w);
/* See `ask` of ln_engine_config. */
bool ln_watch_ask(uint64_t ticket, const char *const *names, size_t n, void *user);

/* Trusted are those of the policy, else those of the agent's resolv.conf. */
void ln_watch_choose_resolvers(struct ln_watch *w, const struct ln_policy *policy);

/* reload.c */
/* In block mode: what rules that have ended permitted, the kernel side forgets. Each second. */
void ln_watch_end_rules(struct ln_watch *w);
/* The kernel side gets the rules that were in force at that time, seconds since 1970. */
void ln_watch_note_rules(struct ln_watch *w, uint64_t now_s);
void ln_watch_clock_was_set(struct ln_watch *w);
bool ln_watch_limits_bytes(const struct ln_policy *policy);
/* As root, before the privileges go. */
void ln_watch_open_policy(struct ln_watch *w);

/* inspect.c: remembers which file the log is, and what it holds by now. */
void ln_watch_note_self(struct ln_watch *w);

/* sinks.c: where alerts go. The tokens of webhooks are read while linnet is root. */
int ln_watch_read_tokens(struct ln_watch *w, struct ln_error *err);
void ln_watch_forget_tokens(struct ln_watch *w);
int ln_watch_make_sinks(struct ln_watch *w, struct ln_error *err);
uint64_t ln_watch_sinks_deadline(const struct ln_watch *w);
/* At the end: lets those that still have alerts to deliver do so, for as long as each may,
 * and counts what is left. */
void ln_watch_close_sinks(struct ln_watch *w);
size_t ln_watch_sink_stats(const struct ln_watch *w, struct ln_sink_stat ret[SINKS_MAX]);

/* enforce.c: see `act` of ln_engine_config. */
struct ln_deed ln_watch_act(const struct ln_finding *f, void *user);

/* notice.c: what a person is told of the watch itself. */
void ln_watch_tell_header(struct ln_watch *w);
void ln_watch_tell_gaps(const struct ln_watch *w);
/* The tree has come to a cgroup where its packets are not seen. */
void ln_watch_tell_uncovered(struct ln_watch *w, const struct ln_event *ev);

#endif
