/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink that keeps what was observed and, when all is over, writes texts of it for a process
 * that may write where the user may: a policy or a diff of one (learn), and a summary in Markdown.
 * They go through a pipe as frames, each a struct ln_report_head and its bytes. The last one is
 * END: without it the watch broke off, and nothing that came is whole.
 */
#ifndef LINNET_OUTPUT_REPORT_H
#define LINNET_OUTPUT_REPORT_H

#include "sink.h"

enum ln_report_part {
	LN_REPORT_END,
	LN_REPORT_POLICY,
	LN_REPORT_DIFF, /* nothing: nothing would have to change */
	LN_REPORT_SUMMARY,
	LN_REPORT_ERROR, /* in the place of POLICY or DIFF: why there is none */
	LN_REPORT_PARTS,
};
struct ln_report_head {
	uint32_t part;
	uint32_t pad;
	uint64_t len;
};
#define LN_REPORT_BYTES_MAX (64u << 20) /* of all parts */

struct ln_report_plan {
	bool learn;       /* POLICY, or DIFF when there is policy_text */
	bool summary;     /* SUMMARY */
	const char *text; /* borrowed; the policy file that is in force; NULL none */
	size_t text_len;
	bool existing;      /* a policy was given */
	size_t fold;        /* see ln_propose_config */
	const char *source; /* borrowed; what was watched, raw, for a comment */
	int fd;             /* borrowed; where the frames go */
	int progress_fd;    /* what is new, a line each; -1: nowhere */
};

/* The plan outlives the sink; the policy until another one is set. */
int ln_sink_report_new(const struct ln_report_plan *plan, const struct ln_policy *policy,
		       struct ln_sink **ret);
/* Not while linnet learns: the text that is edited stays what it was. */
void ln_sink_report_set_policy(struct ln_sink *s, const struct ln_policy *policy);

#endif
