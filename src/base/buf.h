/* SPDX-License-Identifier: Apache-2.0 */
/* A growing text buffer with a bound. Appending past the bound or without memory sets `failed`
 * and leaves the content as it was; check it once at the end. Not NUL-terminated until
 * ln_buf_text. */
#ifndef LINNET_BASE_BUF_H
#define LINNET_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include "macros.h"

struct ln_buf {
	char *data; /* owned */
	size_t len;
	size_t cap;
	size_t max; /* 0: 1 MiB */
	bool failed;
};

void ln_buf_done(struct ln_buf *b);
void ln_buf_reset(struct ln_buf *b); /* keeps the memory */
/* Room for so many bytes more: what is added within them cannot fail. */
bool ln_buf_reserve(struct ln_buf *b, size_t extra);
void ln_buf_add(struct ln_buf *b, const void *bytes, size_t len);
void ln_buf_adds(struct ln_buf *b, const char *text);
void ln_buf_addc(struct ln_buf *b, char c);
void ln_buf_addf(struct ln_buf *b, const char *format, ...) LN_FORMAT(2, 3);
const char *ln_buf_text(struct ln_buf *b); /* "" when nothing; valid until the next call */

#endif
