/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what a QUIC client sends. No fuzzer guesses a tag, so the first byte chooses where
 * the rest goes: into datagrams as they are, into the frames of opened packets, or into packets
 * that are sealed here. What comes out keeps the promises of payload/quic.h and tls.h. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "payload/quic.h"
#include "payload/quic_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool promise)
{
	if (!promise)
		abort();
}

#define assert_true(x)         require(x)
#define assert_int_equal(a, b) require((a) == (b))
#include "../unit/quic_fixture.h"

#define PIECE_MAX 4096
#define TRIES_MAX 16

static const char ids[2][8] = {"\x83\x94\xc8\xf0\x3e\x51\x57\x08",
			       "\x01\x02\x03\x04\x05\x06\x07\x08"};

struct input {
	const uint8_t *at;
	size_t left;
};

static unsigned int take_number(struct input *in, size_t width)
{
	unsigned int v = 0;

	for (; width > 0 && in->left > 0; width--, in->left--)
		v = v << 8 | *in->at++;
	return v;
}

/* The next piece, as long as its first two bytes say, in memory of its own. */
static uint8_t *take_piece(struct input *in, size_t *ret_len)
{
	size_t len = take_number(in, 2) % (PIECE_MAX + 1);
	uint8_t *copy;

	len = LN_MIN(len, in->left);
	copy = malloc(LN_MAX(len, 1U));
	require(copy != NULL);
	if (len > 0)
		memcpy(copy, in->at, len);
	in->at += len;
	in->left -= len;
	*ret_len = len;
	return copy;
}

static void check_hello(const struct ln_tls_hello *h)
{
	require(strnlen(h->name, sizeof(h->name)) < sizeof(h->name));
	require(strnlen(h->alpn, sizeof(h->alpn)) < sizeof(h->alpn));
	require(h->has_name || h->name[0] == '\0');
	for (const char *p = h->name; *p != '\0'; p++)
		require(*p > ' ' && *p < 0x7f);
	for (const char *p = h->alpn; *p != '\0'; p++)
		require(*p >= ' ' && *p < 0x7f);
}

static int put(struct ln_quic *q, const uint8_t *bytes, size_t len)
{
	struct ln_tls_hello h = {.version = 0};
	int r = ln_quic_put(q, bytes, len, &h);

	require(r == 0 || r == -EAGAIN || r == -EBADMSG);
	if (r == 0)
		check_hello(&h);
	if (r != -EAGAIN)
		require(ln_quic_put(q, bytes, len, &h) == -EBADMSG);
	return r;
}

static void put_datagrams(struct input *in, struct ln_quic *q)
{
	unsigned int n = 0;

	while (in->left > 0) {
		size_t len;
		LN_AUTO_FREE uint8_t *bytes = take_piece(in, &len);

		(void)ln_quic_maybe(bytes, len);
		require(++n <= TRIES_MAX);
		if (put(q, bytes, len) != -EAGAIN)
			return;
	}
}

static void put_frames(struct input *in)
{
	struct ln_stream *crypto = ln_stream_new(LN_QUIC_CRYPTO_MAX);
	bool more = true;

	require(crypto != NULL);
	while (in->left > 0 && more) {
		struct ln_tls_hello h = {.version = 0};
		size_t len, hello_len;
		LN_AUTO_FREE uint8_t *bytes = take_piece(in, &len);

		more = ln_quic_frames(bytes, len, crypto);
		const uint8_t *hello = ln_stream_bytes(crypto, &hello_len);
		require(hello_len <= LN_QUIC_CRYPTO_MAX);
		if (ln_tls_read_message(hello, hello_len, &h) == 0)
			check_hello(&h);
	}
	ln_stream_free(&crypto);
}

static void put_sealed(struct input *in, struct ln_quic *q)
{
	while (in->left > 0) {
		unsigned int choice = take_number(in, 1);
		struct seal how = {
		    .version = choice & 1 ? V2 : V1,
		    .dcid = ids[choice >> 1 & 1],
		    .key_dcid = ids[choice >> 2 & 1],
		    .number = take_number(in, 1),
		    .number_len = (choice >> 3 & 3) + 1,
		    .token_len = choice >> 5 & 1,
		    .flip = choice >> 6 & 1 ? 0x4c : 0,
		};
		struct wire frames = {.len = 0}, w = {.len = 0};
		size_t len;
		LN_AUTO_FREE uint8_t *bytes = take_piece(in, &len);

		put_bytes(&frames, bytes, len);
		put_initial(&w, &how, &frames);
		if (choice >> 7) /* two in one datagram */
			put_initial(&w, &how, &(struct wire){.len = 0});
		if (put(q, w.bytes, w.len) != -EAGAIN)
			return;
	}
}

/* When no more comes: what there is of a hello, and nothing after it. */
static void check_cut(struct ln_quic *q)
{
	struct ln_tls_hello h = {.version = 0};
	int r = ln_quic_cut(q, &h);

	require(r == 0 || r == -EBADMSG);
	if (r == 0)
		check_hello(&h);
	require(ln_quic_put(q, (const uint8_t *)"", 0, &h) == -EBADMSG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct ln_quic *q = ln_quic_new();

	require(q != NULL);
	switch (take_number(&in, 1)) {
	case 'd':
		put_datagrams(&in, q);
		break;
	case 'f':
		put_frames(&in);
		break;
	case 's':
		put_sealed(&in, q);
		break;
	default:
		break;
	}
	check_cut(q);
	ln_quic_free(&q);
	return 0;
}
