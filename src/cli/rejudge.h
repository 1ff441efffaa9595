/* SPDX-License-Identifier: Apache-2.0 */
/* A connection log judged anew: each run of it by an engine of its own, under another policy. */
#ifndef LINNET_CLI_REJUDGE_H
#define LINNET_CLI_REJUDGE_H

#include "sensor/log.h"

struct ln_rejudge {
	const struct ln_policy *policy; /* borrowed; NULL: nothing is judged, only read */
	void (*header)(const struct ln_log_header *h, void *user);   /* may be NULL */
	void (*record)(const struct ln_log_record *was, void *user); /* may be NULL; each one */
	/* For a record that was judged: what it was, and the finding that it is now. */
	void (*judged)(const struct ln_log_record *was, const struct ln_finding *now, void *user);
	void *user;
};

/* "-" is standard input. Tells lines that cannot be used. 0; or -errno, when it has told why. */
int ln_rejudge_file(const char *path, const struct ln_rejudge *how, struct ln_log_sums *ret);

#endif
