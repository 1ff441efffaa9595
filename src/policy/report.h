/* SPDX-License-Identifier: Apache-2.0 */
/* Collects what is wrong with a file, with the place of each. Bounded: past LN_REPORT_MAX only a
 * count is kept. What a text shows of the file goes through ln_report_quote first. */
#ifndef LINNET_POLICY_REPORT_H
#define LINNET_POLICY_REPORT_H

#include "parse.h"

#define LN_REPORT_MAX 1000
#define LN_QUOTE_MAX  300 /* 64 bytes of a file, escaped */

struct ln_place {
	uint32_t line, column; /* from 1; 0: the file as a whole */
};

struct ln_report {
	struct ln_diags *diags; /* borrowed */
	bool strict;
	bool no_memory;
	size_t unkept; /* messages past the bound */
	bool unkept_error;
};

void ln_report_error(struct ln_report *r, struct ln_place at, const char *format, ...)
    LN_FORMAT(3, 4);
/* An error in strict mode. */
void ln_report_warning(struct ln_report *r, struct ln_place at, const char *format, ...)
    LN_FORMAT(3, 4);
/* Puts the list into file order and says how many were not kept. */
void ln_report_finish(struct ln_report *r);

/* The text in double quotes, escaped and cut. */
const char *ln_report_quote(char buf[LN_QUOTE_MAX], const char *text, size_t len);

#endif
