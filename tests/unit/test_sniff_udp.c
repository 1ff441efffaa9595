/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <netinet/in.h>
#include "payload/sniff.h"
#include "quic_fixture.h"

#define DCID "\x83\x94\xc8\xf0\x3e\x51\x57\x08"
#define NAME "www.example.org"

struct flow {
	struct ln_sniff *sniff;
	struct ln_claim claim; /* the last one */
	unsigned int n_claims;
};

static void note(const struct ln_claim *c, void *user)
{
	struct flow *f = user;

	f->claim = *c;
	f->n_claims++;
}

static struct flow new_flow(void)
{
	struct flow f = {.sniff = ln_sniff_new(IPPROTO_UDP)};

	assert_non_null(f.sniff);
	return f;
}

static bool put(struct flow *f, const struct wire *w)
{
	/* The offset says nothing of a datagram. */
	return ln_sniff_put(f->sniff, 0xffffffff, w->bytes, w->len, note, f);
}

/* Frames of `each` bytes of a hello, one a datagram. */
static size_t datagrams(const char *name, size_t share, size_t each, struct wire *ret, size_t max)
{
	struct wire hello = {.len = 0};
	struct seal how = {.dcid = DCID};
	size_t n = 0;

	put_hello(&hello, name, share);
	for (size_t at = 0; at < hello.len && n < max; at += each) {
		struct wire frames = {.len = 0};

		ret[n].len = 0;
		put_crypto(&frames, &hello, at, LN_MIN(each, hello.len - at));
		put_initial(&ret[n++], &how, &frames);
		how.number++;
	}
	return n;
}

static void test_a_hello_in_up_to_four_datagrams(void **state)
{
	static const size_t eaches[] = {2000, 800, 500, 400};
	struct wire w[4];

	for (size_t i = 0; i < LN_ARRAY_SIZE(eaches); i++) {
		struct flow f = new_flow();
		size_t n = datagrams(NAME, 1216, eaches[i], w, 4);

		assert_int_equal(n, i + 1);
		for (size_t k = 0; k < n; k++) {
			assert_int_equal(f.n_claims, 0);
			assert_int_equal(put(&f, &w[k]), k < 3);
		}
		assert_int_equal(f.n_claims, 1);
		assert_int_equal(f.claim.layer, LN_LAYER_QUIC);
		assert_true(f.claim.has_name);
		assert_string_equal(f.claim.name, NAME);
		assert_string_equal(f.claim.alpn, "h3");
		for (size_t k = n; k < 4; k++) /* said once more */
			assert_int_equal(put(&f, &w[k - n]), k < 3);
		assert_false(put(&f, &w[0]));
		assert_int_equal(f.n_claims, 1);
		ln_sniff_free(&f.sniff);
	}
}

/* Servers tell connections apart by their ids: the name of the first says nothing of the next. */
static void test_another_connection_from_the_same_port(void **state)
{
	struct seal how = {.dcid = "\x11\x22\x33\x44\x55\x66\x77\x88"};
	struct wire first, hello = {.len = 0}, frames = {.len = 0}, second = {.len = 0};
	struct wire ping = {.len = 0}, third = {.len = 0};
	struct flow f = new_flow();

	assert_int_equal(datagrams(NAME, 32, 2000, &first, 1), 1);
	put_hello(&hello, "www.evil.test", 32);
	put_crypto(&frames, &hello, 0, hello.len);
	put_initial(&second, &how, &frames);
	put_bytes(&ping, "\x1c", 1); /* CONNECTION_CLOSE: of this one no hello will come */
	put_initial(&third, &how, &ping);
	assert_true(put(&f, &first));
	assert_true(put(&f, &third));
	assert_true(put(&f, &second));
	assert_int_equal(f.n_claims, 2);
	assert_string_equal(f.claim.name, "www.evil.test");
	assert_false(put(&f, &first));
	assert_int_equal(f.n_claims, 3); /* and back */
	ln_sniff_free(&f.sniff);
}

/* What was opened is QUIC; that its name is not known must not look like no name. */
static void test_a_hello_that_does_not_end(void **state)
{
	struct flow f = new_flow();
	struct wire w[4];

	assert_int_equal(datagrams(NAME, 1216, 100, w, 4), 4);
	for (size_t k = 0; k < 4; k++)
		assert_int_equal(put(&f, &w[k]), k < 3);
	assert_int_equal(f.n_claims, 1);
	assert_int_equal(f.claim.layer, LN_LAYER_QUIC);
	assert_true(f.claim.has_name);
	assert_string_equal(f.claim.name, "");
	ln_sniff_free(&f.sniff);
}

static void test_an_address_is_no_name(void **state)
{
	struct flow f = new_flow();
	struct wire w;

	assert_int_equal(datagrams("192.0.2.7", 32, 2000, &w, 1), 1);
	assert_true(put(&f, &w));
	assert_false(f.claim.has_name);
	assert_int_equal(f.claim.addr.family, 4);
	ln_sniff_free(&f.sniff);
}

static void test_other_datagrams_are_told_at_once(void **state)
{
	static const char *const others[] = {"", "\x12\x34\x01", "\x16\xfe\xfd...."};

	for (size_t i = 0; i < LN_ARRAY_SIZE(others); i++) {
		struct flow f = new_flow();
		struct wire w = {.len = 0};

		put_bytes(&w, others[i], strlen(others[i]));
		assert_false(put(&f, &w));
		assert_int_equal(f.n_claims, 1);
		assert_int_equal(f.claim.layer, LN_LAYER_OTHER);
		assert_string_equal(f.claim.detail, "");
		ln_sniff_free(&f.sniff);
	}
}

/* It makes the server say which versions it has. */
static void test_a_greased_version_first(void **state)
{
	struct flow f = new_flow();
	struct wire greased = {.len = 0}, w;

	put_bytes(&greased, "\xc0\x1a\x2a\x3a\x4a", 5);
	put_zeros(&greased, 1195);
	assert_int_equal(datagrams(NAME, 32, 2000, &w, 1), 1);
	assert_true(put(&f, &greased));
	assert_true(put(&f, &w));
	assert_int_equal(f.claim.layer, LN_LAYER_QUIC);
	assert_string_equal(f.claim.name, NAME);
	ln_sniff_free(&f.sniff);
}

static void test_what_does_not_open_is_no_quic(void **state)
{
	struct flow f = new_flow();
	struct wire w;

	assert_int_equal(datagrams(NAME, 32, 2000, &w, 1), 1);
	w.bytes[w.len - 1] ^= 1;
	for (int k = 0; k < 4; k++)
		assert_int_equal(put(&f, &w), k < 3);
	assert_int_equal(f.n_claims, 1);
	assert_int_equal(f.claim.layer, LN_LAYER_OTHER);
	assert_true(strlen(f.claim.detail) > 0);
	ln_sniff_free(&f.sniff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_hello_in_up_to_four_datagrams),
	    cmocka_unit_test(test_another_connection_from_the_same_port),
	    cmocka_unit_test(test_a_hello_that_does_not_end),
	    cmocka_unit_test(test_an_address_is_no_name),
	    cmocka_unit_test(test_other_datagrams_are_told_at_once),
	    cmocka_unit_test(test_a_greased_version_first),
	    cmocka_unit_test(test_what_does_not_open_is_no_quic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
