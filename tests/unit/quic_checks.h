/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of QUIC share: datagrams of one client, and what must come of them. */
#ifndef LINNET_TESTS_QUIC_CHECKS_H
#define LINNET_TESTS_QUIC_CHECKS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include "payload/quic.h"
#include "quic_fixture.h"

#define DCID       "\x83\x94\xc8\xf0\x3e\x51\x57\x08"
#define OTHER_DCID "\x01\x02\x03\x04\x05\x06\x07\x08"
#define NAME       "www.example.org"

static const struct seal plain = {.dcid = DCID, .pad_to = 1162};

static inline int put(struct ln_quic *q, const struct wire *w, struct ln_tls_hello *ret)
{
	/* A copy of its own size: a sanitizer sees a read beyond its end. */
	LN_AUTO_FREE uint8_t *copy = malloc(LN_MAX(w->len, 1U));

	assert_non_null(copy);
	memcpy(copy, w->bytes, w->len);
	return ln_quic_put(q, copy, w->len, ret);
}

static inline void assert_hello(const struct ln_tls_hello *h, const char *name)
{
	assert_true(h->has_name);
	assert_string_equal(h->name, name);
	assert_int_equal(h->version, 0x0304);
}

/* The datagrams in this order make the hello known with the last of them, and not before. */
static inline void assert_known_after(const struct wire *w, size_t n)
{
	struct ln_quic *q = ln_quic_new();
	struct ln_tls_hello h;

	for (size_t i = 0; i + 1 < n; i++)
		assert_int_equal(put(q, &w[i], &h), -EAGAIN);
	assert_int_equal(put(q, &w[n - 1], &h), 0);
	assert_hello(&h, NAME);
	assert_string_equal(h.alpn, "h3");
	assert_int_equal(put(q, &w[0], &h), -EBADMSG);
	ln_quic_free(&q);
	assert_null(q);
}

static inline void assert_never_known(const struct wire *w, int result)
{
	struct ln_quic *q = ln_quic_new();
	struct ln_tls_hello h = {.version = 1};

	assert_int_equal(put(q, w, &h), result);
	assert_int_equal(h.version, 1);
	ln_quic_free(&q);
}

static inline struct wire whole_hello(void)
{
	struct wire hello = {.len = 0}, frames = {.len = 0};

	put_hello(&hello, NAME, 32);
	put_crypto(&frames, &hello, 0, hello.len);
	return frames;
}

static inline struct wire datagram(const struct seal *how, const struct wire *frames)
{
	struct wire w = {.len = 0};

	put_initial(&w, how, frames);
	return w;
}

#endif
