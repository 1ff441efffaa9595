/* SPDX-License-Identifier: Apache-2.0 */
/* What payload/sniff.h and payload/head.h promise of what comes out, whatever goes in. */
#ifndef LINNET_FUZZ_CLAIM_CHECKS_H
#define LINNET_FUZZ_CLAIM_CHECKS_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/macros.h"
#include "payload/head.h"

static inline void require(bool promise)
{
	if (!promise)
		abort();
}

static inline void require_name(const char *name, bool has_name)
{
	char again[LN_NAME_MAX];

	require(strnlen(name, LN_NAME_MAX) < LN_NAME_MAX);
	if (name[0] == '\0')
		return;
	require(has_name);
	require(ln_name_canonical(name, strlen(name), again) && strcmp(name, again) == 0);
}

static inline void require_printable(const char *text, size_t size)
{
	require(strnlen(text, size) < size);
	for (; *text != '\0'; text++)
		require(*text >= ' ' && *text <= '~');
}

static inline void require_claim(const struct ln_claim *c)
{
	struct ln_addr addr;

	require((unsigned int)c->layer < LN_LAYER_COUNT && c->depth <= LN_SNIFF_DEPTH);
	require_name(c->name, c->has_name);
	require(!ln_addr_parse(c->name, &addr));
	require(c->addr.family == 0 || c->addr.family == 4 || c->addr.family == 6);
	require(c->addr.family == 0 || !c->has_name);
	require_printable(c->alpn, sizeof(c->alpn));
	require_printable(c->detail, sizeof(c->detail));
}

static inline bool same_claim(const struct ln_claim *a, const struct ln_claim *b)
{
	return a->layer == b->layer && a->depth == b->depth && a->port == b->port &&
	       a->ech == b->ech && ln_head_same_host(a, b) && strcmp(a->alpn, b->alpn) == 0 &&
	       strcmp(a->detail, b->detail) == 0;
}

/* Some lengths up to `size`: each of a short input, else 24 of them and always the last. */
static inline size_t next_length(size_t len, size_t size)
{
	return LN_MIN(LN_MAX(len + 1, len + size / 24), size);
}

/* A copy of `len` bytes with nothing readable behind it. */
static inline uint8_t *copy_of(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);

	require(copy != NULL);
	memcpy(copy, bytes, len);
	return copy;
}

typedef int (*read_head_fn)(const uint8_t *, size_t, bool, struct ln_head *);

/* What a reader said of a part, it says of more. When no more comes, it is sure. */
static inline void check_reader(read_head_fn reader, const uint8_t *data, size_t size)
{
	struct ln_head whole = {0};
	int r = size > 0 ? reader(data, size, false, &whole) : -EAGAIN;

	require(r == 0 || r == -EAGAIN || r == -EBADMSG);
	if (r == 0) {
		require_claim(&whole.claim);
		require(whole.len <= size && (whole.len > 0 || whole.next == LN_HEAD_END));
	}
	for (size_t len = 1; len < size; len = next_length(len, size)) {
		LN_AUTO_FREE uint8_t *part = copy_of(data, len);
		struct ln_head h = {0};
		int early = reader(part, len, false, &h);

		require(early == -EAGAIN || early == r);
		if (early == 0)
			require(same_claim(&h.claim, &whole.claim) && h.len == whole.len &&
				h.next == whole.next && h.body_len == whole.body_len);
		early = reader(part, len, true, &h);
		require(early == 0 || early == -EBADMSG);
		if (early == 0)
			require_claim(&h.claim);
	}
}

#endif
