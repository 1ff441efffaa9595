/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <netinet/in.h>
#include "hello_fixture.h"
#include "payload/sniff.h"

static struct {
	struct ln_claim claims[16];
	size_t n;
	bool more;
} seen;

static void note(const struct ln_claim *c, void *user)
{
	assert_true(seen.n < 16);
	seen.claims[seen.n++] = *c;
}

/* Puts a stream in pieces of `each` bytes. */
static void sniff(const struct bytes *b, size_t each)
{
	struct ln_sniff *s = ln_sniff_new(IPPROTO_TCP);

	assert_non_null(s);
	memset(&seen, 0, sizeof(seen));
	seen.more = true;
	for (size_t i = 0; i < b->len; i += each) {
		size_t n = b->len - i < each ? b->len - i : each;

		seen.more = ln_sniff_put(s, (uint32_t)i, b->data + i, n, note, NULL);
	}
	ln_sniff_free(&s);
}

static struct bytes stream;

static void test_a_hello_in_pieces(void **state)
{
	stream.len = 0;
	put_hello(&stream, "a.example");
	for (size_t each = 1; each <= stream.len; each++) {
		sniff(&stream, each);
		assert_false(seen.more);
		assert_int_equal(seen.n, 1);
		assert_int_equal(seen.claims[0].layer, LN_LAYER_TLS);
		assert_string_equal(seen.claims[0].name, "a.example");
		assert_int_equal(seen.claims[0].depth, 0);
	}
	stream.len--;
	sniff(&stream, 1);
	assert_int_equal(seen.n, 0);
	assert_true(seen.more);
}

static void test_an_address_is_no_name(void **state)
{
	stream.len = 0;
	put_hello(&stream, "192.0.2.7");
	sniff(&stream, stream.len);
	assert_int_equal(seen.n, 1);
	assert_false(seen.claims[0].has_name);
	assert_string_equal(seen.claims[0].name, "");
	assert_int_equal(seen.claims[0].addr.family, 4);
}

static void test_none_of_these_is_told_once(void **state)
{
	stream.len = 0;
	put(&stream, "\x00\x01\x02", 3);
	sniff(&stream, 1);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.claims[0].layer, LN_LAYER_OTHER);
	assert_false(seen.more);
}

static void test_a_hello_beyond_the_bound(void **state)
{
	static struct bytes m;
	static const uint8_t share[9000];

	for (int name_first = 0; name_first < 2; name_first++) {
		hello_begin(&m);
		if (name_first)
			put_sni(&m, "a.example", 9);
		put_ext(&m, 51, share, sizeof(share));
		if (!name_first)
			put_sni(&m, "a.example", 9);
		hello_end(&m);
		stream.len = 0;
		put_records(&stream, m.data, m.len, 16384);
		for (size_t each = 1; each <= stream.len; each += 4999) {
			sniff(&stream, each);
			assert_int_equal(seen.n, 1);
			assert_int_equal(seen.claims[0].layer, LN_LAYER_TLS);
			assert_true(seen.claims[0].has_name);
			assert_string_equal(seen.claims[0].name, name_first ? "a.example" : "");
			assert_false(seen.more);
		}
	}
}

static void test_every_layer_has_a_text(void **state)
{
	for (int l = 0; l < LN_LAYER_COUNT; l++)
		assert_string_not_equal(ln_layer_text((enum ln_layer)l), "unknown");
	assert_string_equal(ln_layer_text(LN_LAYER_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_hello_in_pieces),
	    cmocka_unit_test(test_an_address_is_no_name),
	    cmocka_unit_test(test_none_of_these_is_told_once),
	    cmocka_unit_test(test_a_hello_beyond_the_bound),
	    cmocka_unit_test(test_every_layer_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
