/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include "payload/stream.h"

static int put(struct ln_stream *s, uint32_t offset, const char *text)
{
	return ln_stream_put(s, offset, (const uint8_t *)text, strlen(text));
}

static void expect(const struct ln_stream *s, const char *text)
{
	size_t len;
	const uint8_t *bytes = ln_stream_bytes(s, &len);

	assert_int_equal(len, strlen(text));
	if (len > 0)
		assert_memory_equal(bytes, text, len);
}

static void test_in_order(void **state)
{
	struct ln_stream *s = ln_stream_new(16);

	expect(s, "");
	assert_int_equal(put(s, 0, "abc"), 0);
	assert_int_equal(put(s, 3, ""), 0);
	assert_int_equal(put(s, 3, "def"), 0);
	expect(s, "abcdef");
	ln_stream_consume(s, 2);
	expect(s, "cdef");
	ln_stream_consume(s, 99);
	expect(s, "");
	assert_int_equal(put(s, 6, "g"), 0);
	expect(s, "g");
	ln_stream_free(&s);
	assert_null(s);
	ln_stream_free(&s);
}

static void test_holes_are_filled_in_any_order(void **state)
{
	struct ln_stream *s = ln_stream_new(16);

	put(s, 4, "e");
	put(s, 2, "c");
	expect(s, "");
	put(s, 0, "a");
	expect(s, "a");
	put(s, 3, "d");
	put(s, 1, "b");
	expect(s, "abcde");
	assert_false(ln_stream_differed(s));
	ln_stream_free(&s);
}

static void test_the_first_copy_of_a_byte_wins(void **state)
{
	struct ln_stream *s = ln_stream_new(16);

	put(s, 1, "b");
	put(s, 3, "d");
	put(s, 0, "abcde");
	assert_false(ln_stream_differed(s));
	put(s, 6, "g");
	put(s, 0, "XXXXXfXh");
	expect(s, "abcdefgh");
	assert_true(ln_stream_differed(s));
	ln_stream_free(&s);
}

static void test_what_was_consumed_does_not_come_back(void **state)
{
	struct ln_stream *s = ln_stream_new(4);

	put(s, 0, "abcd");
	ln_stream_consume(s, 3);
	assert_int_equal(put(s, 0, "XYZ"), 0);
	assert_int_equal(put(s, 1, "bcdef"), 0);
	expect(s, "def");
	assert_false(ln_stream_differed(s));
	ln_stream_free(&s);
}

static void test_consuming_keeps_what_is_behind_a_hole(void **state)
{
	struct ln_stream *s = ln_stream_new(16);

	put(s, 0, "ab");
	put(s, 4, "ef");
	put(s, 7, "h");
	ln_stream_consume(s, 1);
	expect(s, "b");
	ln_stream_consume(s, 1);
	expect(s, "");
	put(s, 2, "cd");
	expect(s, "cdef");
	put(s, 6, "g");
	expect(s, "cdefgh");
	ln_stream_free(&s);
}

static void test_no_more_than_the_bound_is_held(void **state)
{
	struct ln_stream *s = ln_stream_new(4);

	assert_int_equal(put(s, 0, "abcdef"), -EMSGSIZE);
	expect(s, "abcd");
	assert_int_equal(put(s, 4, "e"), -EMSGSIZE);
	assert_int_equal(put(s, 5, "f"), -EMSGSIZE);
	assert_int_equal(put(s, 1u << 31, "x"), 0); /* before the window */
	ln_stream_consume(s, 1);
	assert_int_equal(put(s, 4, "e"), 0);
	expect(s, "bcde");
	ln_stream_free(&s);
	assert_null(ln_stream_new(0));
	assert_null(ln_stream_new((size_t)INT32_MAX + 1));
}

static void test_offsets_wrap(void **state)
{
	struct ln_stream *s = ln_stream_new(INT32_MAX);
	static const uint8_t zeros[1 << 16];
	uint32_t offset = 0;

	for (int i = 0; i < UINT16_MAX; i++, offset += sizeof(zeros)) {
		assert_int_equal(ln_stream_put(s, offset, zeros, sizeof(zeros)), 0);
		ln_stream_consume(s, sizeof(zeros));
	}
	ln_stream_put(s, offset, zeros, sizeof(zeros) - 2);
	ln_stream_consume(s, sizeof(zeros) - 2);
	put(s, 0, "cd");
	put(s, UINT32_MAX, "b");
	put(s, UINT32_MAX - 2, "XabcdX");
	expect(s, "abcdX");
	ln_stream_consume(s, 3);
	put(s, UINT32_MAX, "bcdX");
	put(s, 3, "f");
	expect(s, "dXf");
	ln_stream_free(&s);
}

static void test_too_many_holes_are_refused_and_can_be_filled(void **state)
{
	struct ln_stream *s = ln_stream_new(4096);
	uint32_t n = 0;
	size_t len;

	while (put(s, 1 + 2 * n, "b") == 0)
		assert_true(++n < 100);
	assert_int_equal(put(s, 1 + 2 * n, "b"), -E2BIG);
	assert_int_equal(put(s, 2 * n, "a"), 0); /* touches the last piece */
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(put(s, 2 * i, "a"), 0);
	ln_stream_bytes(s, &len);
	assert_int_equal(len, 2 * n + 1);
	ln_stream_free(&s);
}

/* Every pair and triple of pieces against a map of single bytes. */
static void test_like_a_map_of_bytes(void **state)
{
	uint32_t random = 1;

	for (int round = 0; round < 20000; round++) {
		struct ln_stream *s = ln_stream_new(24);
		uint8_t model[64] = {0};
		bool there[64] = {false};
		size_t base = 0, len, want;

		for (int step = 0; step < 6; step++) {
			uint8_t piece[16];
			size_t at, n;

			random = random * 1664525 + 1013904223;
			at = (random >> 8) % 30;
			n = (random >> 16) % sizeof(piece);
			for (size_t i = 0; i < n; i++)
				piece[i] = (uint8_t)(random >> (i % 24));
			ln_stream_put(s, (uint32_t)at, piece, n);
			for (size_t i = 0; i < n; i++)
				if (at + i >= base && at + i < base + 24 && !there[at + i]) {
					there[at + i] = true;
					model[at + i] = piece[i];
				}
			for (want = base; there[want]; want++)
				;
			assert_memory_equal(ln_stream_bytes(s, &len), model + base, want - base);
			assert_int_equal(len, want - base);
			if (random & 1) {
				ln_stream_consume(s, len / 2);
				base += len / 2;
			}
		}
		ln_stream_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_in_order),
	    cmocka_unit_test(test_holes_are_filled_in_any_order),
	    cmocka_unit_test(test_the_first_copy_of_a_byte_wins),
	    cmocka_unit_test(test_what_was_consumed_does_not_come_back),
	    cmocka_unit_test(test_consuming_keeps_what_is_behind_a_hole),
	    cmocka_unit_test(test_no_more_than_the_bound_is_held),
	    cmocka_unit_test(test_offsets_wrap),
	    cmocka_unit_test(test_too_many_holes_are_refused_and_can_be_filled),
	    cmocka_unit_test(test_like_a_map_of_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
