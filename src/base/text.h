/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile bytes made fit for a terminal or a log. Valid UTF-8 passes; C0 and C1 controls, DEL,
 * line and paragraph separators, bidirectional overrides and isolates, zero-width characters and
 * a backslash become escapes (\n, \x1b, \u202e); a byte that is not UTF-8 becomes \xNN. */
#ifndef LINNET_BASE_TEXT_H
#define LINNET_BASE_TEXT_H

#include "buf.h"

/* For a terminal or a one-line text. */
void ln_text_escape(struct ln_buf *out, const void *bytes, size_t len);
/* The same for one word of a command line: quoted with '…' when it holds blanks or is empty. */
void ln_text_escape_word(struct ln_buf *out, const void *bytes, size_t len);
/* A JSON string with its quotes (RFC 8259, 7). A byte that is not UTF-8 becomes U+FFFD; what is
 * dangerous on a terminal (see above) is written as \uNNNN. */
void ln_text_json(struct ln_buf *out, const void *bytes, size_t len);
/* Length in bytes of the valid UTF-8 sequence at `s` (RFC 3629), 0 when there is none. */
size_t ln_utf8_length(const uint8_t *s, size_t len, uint32_t *ret_code_point);

#endif
