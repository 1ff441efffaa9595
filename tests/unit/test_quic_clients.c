/* SPDX-License-Identifier: Apache-2.0 */
/* What real clients sent when they were asked for https://www.example.org/: the inputs `client-*`
 * of the fuzz target, each a letter and then datagrams behind their lengths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include "base/macros.h"
#include "payload/quic.h"

#define CORPUS "tests/fuzz/corpus/quic/"

static size_t read_input(const char *name, uint8_t *buf, size_t size)
{
	char path[128];
	LN_CLEANUP(ln_fclosep) FILE *f = NULL;

	snprintf(path, sizeof(path), CORPUS "%s", name);
	f = fopen(path, "rb");
	assert_non_null(f);
	size_t len = fread(buf, 1, size, f);
	assert_int_equal(buf[0], 'd');
	return len;
}

static void assert_client(const char *input, unsigned int n_datagrams)
{
	uint8_t buf[8192];
	size_t len = read_input(input, buf, sizeof(buf)), at = 1;
	struct ln_quic *q = ln_quic_new();
	struct ln_tls_hello h;
	unsigned int n = 0;
	int r = -EAGAIN;

	for (; at + 2 <= len && r == -EAGAIN; n++) {
		size_t datagram_len = (size_t)buf[at] << 8 | buf[at + 1];

		assert_true(ln_quic_maybe(buf + at + 2, datagram_len));
		r = ln_quic_put(q, buf + at + 2, datagram_len, &h);
		at += 2 + datagram_len;
	}
	assert_int_equal(r, 0);
	assert_int_equal(n, n_datagrams);
	assert_true(h.has_name);
	assert_string_equal(h.name, "www.example.org");
	assert_string_equal(h.alpn, "h3");
	ln_quic_free(&q);
}

/* One Initial with one CRYPTO frame. */
static void test_ngtcp2(void **state)
{
	assert_client("client-ngtcp2", 1);
}

/* A post-quantum hello in shuffled pieces: its first and last bytes are in the first datagram. */
static void test_chromium(void **state)
{
	assert_client("client-chromium-v1", 2);
	assert_client("client-chromium-v2", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ngtcp2),
	    cmocka_unit_test(test_chromium),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
