/* SPDX-License-Identifier: Apache-2.0 */
/* What a user will read when something fails: what, where, and what to do, in one text. */
#ifndef LINNET_BASE_ERROR_H
#define LINNET_BASE_ERROR_H

#include "macros.h"

struct ln_error {
	int code; /* positive errno, 0 when nothing is wrong */
	char text[512];
};

/* Fills *err (may be NULL) and returns -code, so that a caller can write
 * `return ln_error_set(err, EINVAL, "…; do …");`. */
int ln_error_set(struct ln_error *err, int code, const char *format, ...) LN_FORMAT(3, 4);

/* Puts "prefix: " before the text that is already there; keeps the code. Returns -code,
 * or -EIO when err is NULL: a failure never turns into 0 on its way up. */
int ln_error_prefix(struct ln_error *err, const char *format, ...) LN_FORMAT(2, 3);

#endif
