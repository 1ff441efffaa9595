/* SPDX-License-Identifier: Apache-2.0 */
/* An alert in one line and a few fields, for logs of the system. The words are those of the block
 * on standard error (alert.h): made once, and read back line by line. */
#ifndef LINNET_OUTPUT_BRIEF_H
#define LINNET_OUTPUT_BRIEF_H

#include "alert.h"

/* As of syslog(3). */
enum ln_severity {
	LN_SEVERITY_CRITICAL = 2,
	LN_SEVERITY_ERROR = 3,
	LN_SEVERITY_WARNING = 4,
	LN_SEVERITY_NOTICE = 5,
};

struct ln_brief {
	struct ln_alert alert;
	struct ln_buf line; /* "UNEXPECTED OUTBOUND CONNECTION: 104.28.14.6:443 (…)" */
	enum ln_severity severity;
};

void ln_brief_make(struct ln_brief *b, const struct ln_finding *f);
void ln_brief_done(struct ln_brief *b);
/* The rest of the line "LABEL: …" of the block; not NUL-terminated. NULL: there is none. */
const char *ln_brief_field(struct ln_brief *b, const char *label, size_t *ret_len);

#endif
