/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection log (linnet-events(5)) read back: its records, and the events that they were made
 * of, in order, so that an engine judges them anew. Names come back as the evidence that they were:
 * what granted then grants now. DNS messages are written anew from what the log says of them.
 * Tampering, losses, repeats and forged answers are told as records only.
 *
 * A log may come from anywhere. A line that cannot be used is told, counted and passed over. A file
 * that begins without a header, or has one of a newer schema, is refused. Bounds: LN_LOG_LINE_MAX
 * bytes a line; memory for one line.
 */
#ifndef LINNET_SENSOR_LOG_H
#define LINNET_SENSOR_LOG_H

#include <jansson.h>
#include <stdio.h>
#include "base/error.h"
#include "engine/engine.h"
#include "sensor.h"

#define LN_LOG_SCHEMA        1
#define LN_LOG_LINE_MAX      (1u << 20)
#define LN_LOG_RESOLVERS_MAX 64
#define LN_LOG_SEARCH_MAX    32

/* The first record of a run; a log has one for each run that was appended to it. Texts are borrowed
 * for the call. */
struct ln_log_header {
	uint64_t line;
	uint64_t wall_ns;
	const char *version, *sensor, *agent_name;
	const char *policy_file; /* NULL: none was given */
	const char *run;         /* what its alerts' ids begin with; NULL: it has no ids */
	uint32_t root_pid;
	uint64_t netns; /* where its resolvers are what they seem; 0: anywhere */
	size_t n_resolvers;
	struct ln_endpoint resolvers[LN_LOG_RESOLVERS_MAX]; /* that were trusted */
	size_t n_search;
	char search[LN_LOG_SEARCH_MAX][LN_NAME_MAX];
	const json_t *json; /* all of it */
};

/* What every record says; the rest is in `json`. Texts are NULL where there is none, and borrowed
 * for the call. They are hostile: escape them. */
struct ln_log_record {
	uint64_t line;
	uint64_t wall_ns;
	const char *type;          /* "flow-open", "summary", … */
	enum ln_finding_kind kind; /* LN_FINDING_COUNT: no finding, or a type that is not known */
	enum ln_verdict verdict;
	bool alert;
	const char *title, *reason, *hint, *action, *alert_id;
	const char *rule; /* the destination as its policy had it; NULL: no rule decided */
	const char *rule_kind, *rule_name;
	uint32_t rule_line;
	const json_t *json;
};

struct ln_log_handlers {
	/* Each may be NULL. */
	void (*header)(const struct ln_log_header *h, void *user);
	void (*record)(const struct ln_log_record *r, void *user); /* before its events */
	ln_event_fn event;                                         /* of that record */
	void (*done)(const struct ln_log_record *r, void *user);   /* after its events */
	/* Instead of all these, or of `done` when only its events cannot be made. */
	void (*bad)(uint64_t line, const char *what, void *user);
};

struct ln_log_sums {
	uint64_t lines, runs;
	uint64_t bad; /* lines that could not be used, the cut one included */
	bool cut;     /* the last line is not whole: the log was still written, or was cut */
};

/* Reads to the end. 0; or -errno with "FILE:LINE: what; what to do" in *err: `name` is FILE. */
int ln_log_read(FILE *in, const char *name, const struct ln_log_handlers *h, void *user,
		struct ln_error *err, struct ln_log_sums *ret);

#endif
