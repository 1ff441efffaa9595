/* SPDX-License-Identifier: Apache-2.0 */
/* A text as lines, the changes that were made to it, and both together: the new text, or a unified
 * diff that patch(1) takes. The changes are known, so nothing is searched for. O(lines). */
#ifndef LINNET_OUTPUT_DIFF_H
#define LINNET_OUTPUT_DIFF_H

#include "base/buf.h"

struct ln_lines {
	const char **at; /* owned; n + 1 of them, the last is the end of the text */
	size_t n;
};

/* The text is borrowed. 0 or -ENOMEM. */
int ln_lines_split(const char *text, size_t len, struct ln_lines *ret);
void ln_lines_done(struct ln_lines *l);
/* From 0; without its line break. */
const char *ln_lines_get(const struct ln_lines *l, size_t i, size_t *ret_len);

struct ln_change {
	size_t line;        /* from 0: new text stands before it; n: at the end */
	bool gone;          /* and this line is not there any more */
	struct ln_buf text; /* whole lines */
};

struct ln_changes {
	struct ln_change *list; /* owned; ln_changes_sort puts them into the order of lines */
	size_t n, cap;
	bool failed;
};

/* NULL without memory, and `failed`. Valid until the next one. */
struct ln_change *ln_changes_add(struct ln_changes *c, size_t line, bool gone);
void ln_changes_sort(struct ln_changes *c); /* those of one line stay in their order */
void ln_changes_done(struct ln_changes *c);

void ln_diff_apply(struct ln_buf *out, const struct ln_lines *l, const struct ln_changes *c,
		   const char *eol);
/* Nothing when nothing changes. `name`: the file, raw. */
void ln_diff_write(struct ln_buf *out, const char *name, const struct ln_lines *l,
		   const struct ln_changes *c, const char *eol);

#endif
