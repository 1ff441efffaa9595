/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what a flow sends first: at once, byte for byte, in larger pieces, and in pieces
 * that come in another order and twice. The claims are the same. */
#include <netinet/in.h>
#include "claim_checks.h"

#define CLAIMS_MAX 1024 /* more than fit into LN_SNIFF_MAX bytes */
#define PIECES_MAX 12   /* out of order: no more holes than a stream keeps */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	struct ln_claim claims[CLAIMS_MAX];
	size_t n;
	bool more;
};

static void note(const struct ln_claim *c, void *user)
{
	struct result *r = user;

	require(r->n < CLAIMS_MAX);
	require_claim(c);
	require(r->n == 0 || c->depth >= r->claims[r->n - 1].depth);
	r->claims[r->n++] = *c;
}

static void put(struct ln_sniff *s, const uint8_t *data, size_t at, size_t len, struct result *r)
{
	bool more = ln_sniff_put(s, (uint32_t)at, data + at, len, note, r);

	require(r->more || !more); /* what is over stays over */
	r->more = more;
}

static struct ln_sniff *begin(struct result *r)
{
	struct ln_sniff *s = ln_sniff_new(IPPROTO_TCP);

	require(s != NULL);
	r->n = 0;
	r->more = true;
	return s;
}

/* In pieces of 1 to `most` bytes; of `most` when random is 0. */
static void in_order(const uint8_t *data, size_t size, size_t most, uint32_t random,
		     struct result *r)
{
	struct ln_sniff *s = begin(r);
	size_t at = 0;

	while (at < size) {
		size_t len = random == 0 ? most : 1 + (random >> 8) % most;

		len = LN_MIN(len, size - at);
		put(s, data, at, len, r);
		at += len;
		if (random != 0)
			random = random * 1664525 + 1013904223;
	}
	ln_sniff_free(&s);
}

/* The last piece first, and each piece with some of its neighbour. */
static void out_of_order(const uint8_t *data, size_t size, uint32_t random, struct result *r)
{
	struct ln_sniff *s = begin(r);
	size_t each = size / PIECES_MAX + 1;

	for (size_t n = PIECES_MAX; n > 0; n--) {
		size_t k = random % 3 == 0 ? n - 1 : (n - 1 + random) % PIECES_MAX;
		size_t at = LN_MIN(each * k, size);

		put(s, data, at, LN_MIN(each + random % 5, size - at), r);
	}
	for (size_t n = PIECES_MAX; n > 0; n--) {
		size_t at = LN_MIN(each * (n - 1), size);

		put(s, data, at, LN_MIN(each, size - at), r);
	}
	ln_sniff_free(&s);
}

static void require_same(const struct result *a, const struct result *b)
{
	require(a->n == b->n && a->more == b->more);
	for (size_t i = 0; i < a->n; i++)
		require(same_claim(&a->claims[i], &b->claims[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct result whole, other;
	uint32_t random = 2166136261;

	for (size_t i = 0; i < size; i++)
		random = (random ^ data[i]) * 16777619;
	in_order(data, size, LN_MAX(size, 1U), 0, &whole);
	in_order(data, size, size <= 512 ? 1 : 16, random, &other);
	require_same(&whole, &other);
	in_order(data, size, 64, random, &other);
	require_same(&whole, &other);
	out_of_order(data, size, random, &other);
	require_same(&whole, &other);
	return 0;
}
