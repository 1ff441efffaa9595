/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a stream in any order, overlapping, and different ones at the same place, against a
 * map of single bytes. An input is the bound, then steps: how far to consume, or a place, a length
 * and what the bytes are. */
#include <errno.h>
#include "claim_checks.h"
#include "payload/stream.h"

#define REACH 4096 /* of all that is put */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct model {
	uint8_t bytes[REACH];
	bool there[REACH];
	bool differed;
	size_t base;
	size_t max;
};

/* Puts into both. */
static void put(struct ln_stream *s, struct model *m, size_t at, size_t len, uint8_t seed)
{
	LN_AUTO_FREE uint8_t *piece = malloc(len + 1);
	size_t end = m->base + m->max;
	int r;

	require(piece != NULL);
	for (size_t i = 0; i < len; i++)
		piece[i] = (uint8_t)(at + i + (i % 7 == 0 ? seed : 0));
	r = ln_stream_put(s, (uint32_t)at, piece, len);
	require(r == 0 || r == -E2BIG || r == -EMSGSIZE);
	require(r == -E2BIG || (r == -EMSGSIZE) == (len > 0 && at + len > end));
	for (size_t i = at; i < at + len && r != -E2BIG; i++) {
		if (i < m->base || i >= end)
			continue;
		m->differed |= m->there[i] && m->bytes[i] != piece[i - at];
		if (!m->there[i])
			m->bytes[i] = piece[i - at];
		m->there[i] = true;
	}
}

static void compare(const struct ln_stream *s, const struct model *m)
{
	size_t len, want = m->base;
	const uint8_t *bytes = ln_stream_bytes(s, &len);

	while (want < REACH && m->there[want])
		want++;
	require(len == want - m->base && len <= m->max);
	require(len == 0 || memcmp(bytes, m->bytes + m->base, len) == 0);
	require(ln_stream_differed(s) == m->differed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model m;
	struct ln_stream *s;

	if (size == 0)
		return 0;
	memset(&m, 0, sizeof(m));
	m.max = (size_t)data[0] * 8 + 1;
	s = ln_stream_new(m.max);
	require(s != NULL);
	for (size_t i = 1; i + 4 <= size; i += 4) {
		const uint8_t *step = data + i;
		size_t at = ((size_t)(step[0] & 0x7f) << 8 | step[1]) % (REACH - 300), len;

		if (step[0] & 0x80) {
			ln_stream_bytes(s, &len);
			ln_stream_consume(s, step[1]);
			m.base += LN_MIN(len, step[1]);
		} else {
			put(s, &m, at, step[2], step[3]);
		}
		compare(s, &m);
	}
	ln_stream_free(&s);
	return 0;
}
