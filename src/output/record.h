/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Findings as JSON records, one line each; the fields are linnet-events(5). Pure text, one buffer
 * for all of them: 60,000 records a second must be possible, so nothing is allocated for a record
 * once the buffer has grown.
 */
#ifndef LINNET_OUTPUT_RECORD_H
#define LINNET_OUTPUT_RECORD_H

#include "redact.h"
#include "sink.h"

#define LN_RECORD_SCHEMA 1

struct ln_record {
	struct ln_buf text; /* records, each with its line break */
	struct ln_redact redact;
	uint64_t netns; /* as the header said */
};

void ln_record_done(struct ln_record *r);
/* Each appends one record. */
void ln_record_header(struct ln_record *r, const struct ln_sink_header *h);
void ln_record_finding(struct ln_record *r, const struct ln_finding *f);
void ln_record_summary(struct ln_record *r, uint64_t wall_ns, const struct ln_sink_summary *all,
		       uint64_t log_dropped);
/* Records that could not be written before this one. */
void ln_record_gap(struct ln_record *r, uint64_t wall_ns, uint64_t count, int error);
/* Alerts that a sink of alerts could not keep. */
void ln_record_dropped(struct ln_record *r, uint64_t wall_ns, uint64_t count);

#endif
