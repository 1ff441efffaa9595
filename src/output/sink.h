/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where findings go, behind one small table: console, JSON log, and what gets alerts only (exec,
 * webhook, journal, syslog). A sink never blocks the watch and never ends it: what it cannot write
 * it counts in `dropped`, with the first error in `error` or `why`. One that has to wait for
 * something has a descriptor and a deadline: it does its work in dispatch, when the loop is free.
 * The process must ignore SIGPIPE.
 */
#ifndef LINNET_OUTPUT_SINK_H
#define LINNET_OUTPUT_SINK_H

#include "base/error.h"
#include "engine/engine.h"

struct ln_sink;

/* What stands at the head of every record. */
struct ln_sink_header {
	const char *version;
	const char *sensor; /* "bpf", "poll" */
	const char *agent_name;
	const char *policy_file; /* NULL: none was given, a gap */
	size_t n_rules;
	const char *const *blind; /* what is not seen here, each "name: what that means" */
	size_t n_blind;
	uint32_t root_pid;
	enum ln_mode mode;
	bool dry_run;
	const char *run;                     /* what the ids of its alerts begin with; NULL none */
	const struct ln_endpoint *resolvers; /* trusted */
	size_t n_resolvers;
	const char (*search)[LN_NAME_MAX]; /* search domains of the agent */
	size_t n_search;
	uint64_t netns; /* of the agent; 0 unknown */
	uint64_t wall_ns;
};

/* What came of the alerts that a sink was given. */
struct ln_sink_stat {
	const char *name;   /* of its kind: "stderr", "log", "exec", … */
	const char *target; /* where to; never a secret. NULL: the name says it */
	uint64_t written, dropped;
};

struct ln_sink_summary {
	const struct ln_engine_summary *sum;
	const char *const *unused_rules;
	size_t n_unused;
	const struct ln_sink_stat *sinks;
	size_t n_sinks;
};

struct ln_sink_ops {
	const char *name; /* "stderr", "log", "exec", … */
	void (*header)(struct ln_sink *s, const struct ln_sink_header *h); /* may be NULL */
	void (*finding)(struct ln_sink *s, const struct ln_finding *f);
	void (*summary)(struct ln_sink *s, const struct ln_sink_summary *sum); /* may be NULL */
	void (*flush)(struct ln_sink *s);                                      /* may be NULL */
	/* The next four are there together, or NULL for a sink that never waits. */
	int (*fd)(struct ln_sink *s);            /* readable: dispatch has work; -1 none */
	uint64_t (*deadline)(struct ln_sink *s); /* and when it has in any case; UINT64_MAX none */
	void (*dispatch)(struct ln_sink *s, uint64_t now_ns);
	size_t (*pending)(struct ln_sink *s); /* alerts that are on their way */
	/* No finding comes any more. What is still pending may go on for `grace_ns`. */
	void (*closing)(struct ln_sink *s); /* may be NULL */
	uint64_t grace_ns;
	void (*free)(struct ln_sink *s); /* what is pending is given up */
};

struct ln_sink {
	const struct ln_sink_ops *ops;
	uint64_t written, dropped;
	int error;     /* errno of the first failure; 0 none */
	char why[160]; /* the same in words, where an errno does not say it; "" none */
	char target[128];
};

void ln_sink_free(struct ln_sink **s);
/* The first failure in words. */
const char *ln_sink_why(const struct ln_sink *s);
/* Keeps the words of the first failure. */
void ln_sink_failed(struct ln_sink *s, const char *format, ...) LN_FORMAT(2, 3);

struct ln_console_config {
	int fd;         /* borrowed; standard error */
	bool quiet;     /* alerts only: no summary */
	bool no_alerts; /* they go elsewhere: only the summary and notices */
	bool learning;  /* what a rule could permit is no alert */
	bool color;
	bool show_args; /* do not redact values that look like secrets */
};
int ln_sink_console_new(const struct ln_console_config *c, struct ln_sink **ret);

struct ln_jsonl_config {
	int fd; /* owned; O_APPEND */
	bool show_args;
};
int ln_sink_jsonl_new(const struct ln_jsonl_config *c, struct ln_sink **ret);

#endif
