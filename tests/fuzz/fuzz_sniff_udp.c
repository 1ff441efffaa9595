/* SPDX-License-Identifier: Apache-2.0 */
/* Any datagrams as what a flow over UDP sends first. Each piece says how it is sent: as it is, or
 * sealed as an Initial packet of QUIC, whose tag no fuzzer guesses. */
#include <netinet/in.h>
#include "claim_checks.h"

#define assert_true(x)         require(x)
#define assert_int_equal(a, b) require((a) == (b))
#include "../unit/quic_fixture.h"

#define PIECE_MAX     1500
#define DATAGRAMS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char ids[2][8] = {"\x83\x94\xc8\xf0\x3e\x51\x57\x08",
			       "\x01\x02\x03\x04\x05\x06\x07\x08"};

struct heard {
	size_t n;
	struct ln_claim last;
};

static void note(const struct ln_claim *c, void *user)
{
	struct heard *h = user;

	require_claim(c);
	require(c->layer == LN_LAYER_QUIC || c->layer == LN_LAYER_OTHER);
	require(c->depth == 0 && c->port == 0);
	require(h->n == 0 || !same_claim(c, &h->last)); /* what was said is not said again */
	h->last = *c;
	h->n++;
}

static size_t take(const uint8_t **data, size_t *size, size_t width)
{
	size_t v = 0;

	for (; width > 0 && *size > 0; width--, (*size)--)
		v = v << 8 | *(*data)++;
	return v;
}

/* The next datagram into memory of its own. */
static uint8_t *next_datagram(const uint8_t **data, size_t *size, size_t *ret_len)
{
	size_t choice = take(data, size, 1);
	size_t said = take(data, size, 2) % (PIECE_MAX + 1), len = LN_MIN(said, *size);
	struct wire frames = {.len = 0}, w = {.len = 0};
	const struct seal how = {
	    .version = choice & 1 ? V2 : V1,
	    .dcid = ids[choice >> 1 & 1],
	    .key_dcid = ids[choice >> 2 & 1],
	    .number = choice >> 3 & 3,
	    .number_len = 1,
	};

	put_bytes(&frames, *data, len);
	*data += len;
	*size -= len;
	if (choice & 0x80)
		put_initial(&w, &how, &frames);
	*ret_len = choice & 0x80 ? w.len : frames.len;
	return copy_of(choice & 0x80 ? w.bytes : frames.bytes, *ret_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ln_sniff *s = ln_sniff_new(IPPROTO_UDP);
	struct heard heard = {.n = 0};
	bool more = true;

	require(s != NULL);
	for (unsigned int n = 1; size > 0 && n <= DATAGRAMS_MAX; n++) {
		size_t len, before = heard.n;
		LN_AUTO_FREE uint8_t *bytes = next_datagram(&data, &size, &len);
		bool went_on = ln_sniff_put(s, 0, bytes, len, note, &heard);

		require(more || !went_on); /* what is over stays over */
		require(heard.n <= before + more);
		require(!went_on || n < LN_SNIFF_DATAGRAMS);
		require(went_on || heard.n > 0); /* no flow ends without a word */
		more = went_on;
	}
	ln_sniff_free(&s);
	return 0;
}
