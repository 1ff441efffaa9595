/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of one direction of a flow in order, from pieces that come late, twice or overlapping.
 * What was taken once never changes: the first copy of a byte wins. Bounded: at most `max` bytes
 * are held, behind what was consumed. No I/O.
 */
#ifndef LINNET_PAYLOAD_STREAM_H
#define LINNET_PAYLOAD_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ln_stream; /* opaque */

struct ln_stream *ln_stream_new(size_t max);
void ln_stream_free(struct ln_stream **s);
/* offset: of the first byte in the stream, modulo 2^32. 0; -EMSGSIZE: some of it is beyond the
 * bound and was not kept; -ENOMEM, -E2BIG (too many gaps): nothing of it was kept. */
int ln_stream_put(struct ln_stream *s, uint32_t offset, const uint8_t *bytes, size_t len);
/* What is there in order and not consumed; valid until the next call. */
const uint8_t *ln_stream_bytes(const struct ln_stream *s, size_t *ret_len);
void ln_stream_consume(struct ln_stream *s, size_t len); /* at most what ln_stream_bytes said */
/* Whether a piece of it was not taken for want of memory. */
bool ln_stream_no_memory(const struct ln_stream *s);
bool ln_stream_differed(const struct ln_stream *s); /* a second copy of a byte was another one */

#endif
