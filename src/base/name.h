/* SPDX-License-Identifier: Apache-2.0 */
/* Host names in one canonical form: lower case, no trailing dot, A-labels, at most 253 bytes,
 * labels of 1 to 63 bytes from [a-z0-9_-]. Two names are the same when their canonical forms
 * are the same bytes. */
#ifndef LINNET_BASE_NAME_H
#define LINNET_BASE_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define LN_NAME_MAX 254 /* with the NUL */

/* From text that is ASCII already (DNS presentation without escapes). False: not a host name. */
bool ln_name_canonical(const char *text, size_t len, char ret[LN_NAME_MAX]);
/* Whether `name` is `suffix` or ends in "." + suffix; both canonical. */
bool ln_name_under(const char *name, const char *suffix);

#endif
