/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said about a file's raw text: before YAML reads it, or to explain why it could not.
 * Everything here is one pass over the bytes. */
#ifndef LINNET_POLICY_SOURCE_H
#define LINNET_POLICY_SOURCE_H

#include "report.h"

/* False, and reported: not UTF-8, or a character that has no place in a text file. */
bool ln_source_check(const char *bytes, size_t len, struct ln_report *r);
/* Whether the file holds anything but blanks and comments. */
bool ln_source_is_blank(const char *bytes, size_t len);
/* Every line starts at column 1, and one of them with a key that belongs inside a rule. */
bool ln_source_lost_indentation(const char *bytes, size_t len, struct ln_place *ret);
/* The first tab in the indentation of a line. */
bool ln_source_tab_indent(const char *bytes, size_t len, uint32_t line, struct ln_place *ret);
/* Reports each unquoted * at the start of a value, and puts LN_SOURCE_STAND_IN in its place, which
 * starts no valid plain value of a policy. Returns how many. */
size_t ln_source_replace_stars(char *bytes, size_t len, struct ln_report *r);
#define LN_SOURCE_STAND_IN '~'

#endif
