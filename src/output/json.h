/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values appended to a buffer, without printf: a record needs a dozen numbers, and printf
 * would be half of its cost. */
#ifndef LINNET_OUTPUT_JSON_H
#define LINNET_OUTPUT_JSON_H

#include "base/addr.h"
#include "base/buf.h"

#define LN_JSON_ADD(b, text)  ln_buf_add(b, text, sizeof(text) - 1)
#define LN_JSON_KEY(b, name)  LN_JSON_ADD(b, ",\"" name "\":")
#define LN_JSON_OPEN(b, name) LN_JSON_ADD(b, "{\"" name "\":")

void ln_json_number(struct ln_buf *b, uint64_t n);
void ln_json_hex(struct ln_buf *b, uint64_t n); /* as text */
void ln_json_ms(struct ln_buf *b, uint64_t ns); /* milliseconds to the microsecond */
void ln_json_bool(struct ln_buf *b, bool value);
void ln_json_text(struct ln_buf *b, const char *text); /* NULL: null */
void ln_json_time(struct ln_buf *b, uint64_t wall_ns);
void ln_json_addr(struct ln_buf *b, const struct ln_addr *addr);
void ln_json_endpoint(struct ln_buf *b, const struct ln_endpoint *ep); /* null when empty */
void ln_json_list(struct ln_buf *b, const char *const *texts, size_t n);

#endif
