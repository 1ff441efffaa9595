/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes what a watch leaves for the user: a policy, a diff, a summary. A process of its own, which
 * is started before anything is watched, opens files with the rights of the user who called linnet
 * and no others, and reads what to write from a pipe (output/report.h). Its real user id stays
 * linnet's, so that an agent of the same user can neither signal nor trace it. What broke off is
 * not written. A file comes into being whole, under a name that leads through no link.
 */
#ifndef LINNET_DAEMON_SCRIBE_H
#define LINNET_DAEMON_SCRIBE_H

#include <stdbool.h>
#include <sys/types.h>
#include "base/error.h"
#include "identity.h"

#define LN_SCRIBE_SUMMARIES 2

enum ln_scribe_end {
	LN_SCRIBE_SAME,    /* there is no change to propose */
	LN_SCRIBE_WRITTEN, /* all that came */
	LN_SCRIBE_FAILED,  /* and said why */
};

struct ln_scribe_config {
	const struct ln_identity *as; /* borrowed; `change` false: as linnet itself */
	const char *policy;           /* the file for a policy; NULL: standard output */
	const char *diff;             /* for a diff; NULL: standard output */
	bool force;                   /* a file that is there may be replaced */
	bool learn;                   /* a policy or a diff is to come */
	const char *summaries[LN_SCRIBE_SUMMARIES]; /* appended to; NULL none */
};

struct ln_scribe {
	pid_t pid; /* 0: none */
	int fd;    /* owned; for the frames; -1 none */
};

/* Returns when the files have been opened, or an error says why not. */
int ln_scribe_start(const struct ln_scribe_config *c, struct ln_error *err, struct ln_scribe *ret);
/* Closes the pipe and waits until all is written. */
enum ln_scribe_end ln_scribe_end(struct ln_scribe *s);

#endif
