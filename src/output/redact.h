/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines without the values that look like secrets: KEY=VALUE and KEY: VALUE where KEY ends
 * in a word such as token or password, the argument after such a flag, "Bearer VALUE", well-known
 * token shapes (sk-…, ghp_…, AKIA…) and the password in a URL. Names of secrets stay, and so does
 * everything else: an alert must still tell what was run. Time is linear in the argument.
 */
#ifndef LINNET_OUTPUT_REDACT_H
#define LINNET_OUTPUT_REDACT_H

#include "base/buf.h"

#define LN_REDACTED "[redacted]"

struct ln_redact {
	bool off;           /* show everything */
	bool value_next;    /* the argument to come is the value of a flag */
	struct ln_buf copy; /* the argument that was changed last */
};

void ln_redact_done(struct ln_redact *r);
void ln_redact_start(struct ln_redact *r); /* a new command line begins */
/* The argument itself when nothing in it looks like a secret, else a copy that lives until the
 * next call. *len: in and out. */
const char *ln_redact_arg(struct ln_redact *r, const char *arg, size_t *len);

#endif
