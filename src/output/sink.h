/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where findings go, behind one small table: console, JSON log. A sink never blocks the watch and
 * never ends it: what it cannot write it counts in `dropped`, with the first error in `error`.
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
	uint64_t wall_ns;
};

struct ln_sink_ops {
	const char *name;
	void (*header)(struct ln_sink *s, const struct ln_sink_header *h); /* may be NULL */
	void (*finding)(struct ln_sink *s, const struct ln_finding *f);
	void (*summary)(struct ln_sink *s, const struct ln_engine_summary *sum,
			const char *const *unused_rules, size_t n_unused); /* may be NULL */
	void (*flush)(struct ln_sink *s);                                  /* may be NULL */
	void (*free)(struct ln_sink *s);
};

struct ln_sink {
	const struct ln_sink_ops *ops;
	uint64_t written, dropped;
	int error; /* errno of the first failure; 0 none */
};

void ln_sink_free(struct ln_sink **s);

struct ln_console_config {
	int fd;     /* borrowed; standard error */
	bool quiet; /* alerts only: no summary */
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
