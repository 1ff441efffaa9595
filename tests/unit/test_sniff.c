/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

/* What is told of a text, and whether more may come, in pieces of any size. */
static void sniff_text(const char *text, size_t n, bool more)
{
	stream.len = 0;
	put(&stream, text, strlen(text));
	for (size_t each = stream.len; each > 0; each--) {
		sniff(&stream, each);
		assert_int_equal(seen.n, n);
		assert_int_equal(seen.more, more);
	}
}

static void expect_claim(size_t i, enum ln_layer layer, unsigned int depth, const char *name)
{
	assert_true(i < seen.n);
	assert_int_equal(seen.claims[i].layer, layer);
	assert_int_equal(seen.claims[i].depth, depth);
	assert_string_equal(seen.claims[i].name, name);
}

static void test_what_is_said_inside_of_a_tunnel(void **state)
{
	stream.len = 0;
	put_text(&stream, "CONNECT a.example:1080 HTTP/1.1\r\n\r\n");
	put_text(&stream, "\x05\x01\0\x05\x01\0\x03\x09"
			  "b.example\x01\xbb");
	put_hello(&stream, "c.example");
	for (size_t each = 1; each <= stream.len; each++) {
		sniff(&stream, each);
		assert_int_equal(seen.n, 3);
		expect_claim(0, LN_LAYER_HTTP_PROXY, 0, "a.example");
		expect_claim(1, LN_LAYER_SOCKS5, 1, "b.example");
		expect_claim(2, LN_LAYER_TLS, 2, "c.example");
		assert_false(seen.more);
	}
}

static void test_relays_in_a_row_are_bounded(void **state)
{
	char text[512] = "";
	size_t len = 0;

	for (int i = 0; i < 8; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"CONNECT relay%d.example:1 HTTP/1.1\r\n\r\n", i);
	sniff_text(text, LN_SNIFF_DEPTH + 1, false);
	expect_claim(LN_SNIFF_DEPTH, LN_LAYER_HTTP_PROXY, LN_SNIFF_DEPTH, "relay3.example");
}

static void test_a_tunnel_that_is_asked_for_again_is_the_same(void **state)
{
	sniff_text("CONNECT a.example:443 HTTP/1.1\r\n\r\n"
		   "CONNECT a.example:443 HTTP/1.1\r\nProxy-Authorization: x\r\n\r\n"
		   "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
		   2, true);
	expect_claim(0, LN_LAYER_HTTP_PROXY, 0, "a.example");
	expect_claim(1, LN_LAYER_HTTP, 1, "a.example");
}

static void test_later_requests_of_a_connection(void **state)
{
	sniff_text("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
		   "GET /again HTTP/1.1\r\nHost: a.example\r\n\r\n"
		   "POST / HTTP/1.1\r\nHost: b.example\r\nContent-Length: 5\r\n\r\nGET /"
		   "GET /dns-query HTTP/1.1\r\nHost: b.example\r\n\r\n"
		   "GET / HTTP/1.1\r\nHost: ",
		   3, true);
	expect_claim(0, LN_LAYER_HTTP, 0, "a.example");
	expect_claim(1, LN_LAYER_HTTP, 0, "b.example");
	expect_claim(2, LN_LAYER_HTTP, 0, "b.example");
	assert_string_equal(seen.claims[2].detail, "GET /dns-query");
	sniff_text("GET http://a.example/ HTTP/1.1\r\n\r\nGET http://b.example/ HTTP/1.1\r\n\r\n",
		   2, true);
	expect_claim(1, LN_LAYER_HTTP_PROXY, 0, "b.example");
	/* Another protocol after an upgrade is none that was named by its first bytes. */
	sniff_text("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n\x81\x05hello", 1, false);
}

static void test_a_later_request_beyond_the_bound_says_nothing(void **state)
{
	stream.len = 0;
	put_text(&stream, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\nGET /");
	while (stream.len < 2 * LN_SNIFF_MAX)
		put8(&stream, 'x');
	sniff(&stream, 1000);
	assert_int_equal(seen.n, 1);
	assert_false(seen.more);
	stream.len = 0;
	put_text(&stream, "PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 9000\r\n\r\n");
	while (stream.len < 2 * LN_SNIFF_MAX)
		put8(&stream, 'x');
	sniff(&stream, 1000);
	assert_int_equal(seen.n, 1);
	assert_false(seen.more);
}

/* Heads that are longer than what is read again at each byte. */
static void test_long_heads_in_pieces(void **state)
{
	static const char *const ends[] = {"\n\n", "\r\n\r\n", "\n\r\n", "\r\n\n"};

	for (size_t i = 0; i < 4; i++)
		for (int where = 0; where < 2; where++) {
			stream.len = 0;
			while (stream.len < 100)
				put_text(&stream, "\r\n");
			put_text(&stream, "GET /");
			while (where == 0 && stream.len < 500)
				put8(&stream, 'x');
			put_text(&stream, " HTTP/1.1\r\n");
			while (where == 1 && stream.len < 500)
				put_text(&stream, "A: b\r\n");
			put_text(&stream, "Host: a.example");
			put(&stream, ends[i], strlen(ends[i]));
			for (size_t each = 1; each < 10; each++) {
				sniff(&stream, each);
				assert_int_equal(seen.n, 1);
				expect_claim(0, LN_LAYER_HTTP, 0, "a.example");
			}
			stream.len--;
			sniff(&stream, 1);
			assert_int_equal(seen.n, 0);
		}
}

static void test_a_long_line_that_is_no_request(void **state)
{
	stream.len = 0;
	put_text(&stream, "EHLO ");
	while (stream.len < 1000)
		put8(&stream, 'x');
	put_text(&stream, "\r\n");
	for (size_t each = 1; each < 10; each++) {
		sniff(&stream, each);
		assert_int_equal(seen.n, 1);
		expect_claim(0, LN_LAYER_OTHER, 0, "");
	}
}

static void test_ssh_is_told_with_its_banner(void **state)
{
	sniff_text("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", 1, false);
	expect_claim(0, LN_LAYER_SSH, 0, "");
	assert_string_equal(seen.claims[0].detail, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3");
	sniff_text("SSH-2.0-\x1b[31mx\n", 1, false);
	assert_string_equal(seen.claims[0].detail, "SSH-2.0-?[31mx");
	sniff_text("SSH-2.0-x", 0, true);
	sniff_text("SSHX / HTTP/1.0\r\n\r\n", 1, true);
	expect_claim(0, LN_LAYER_HTTP, 0, "");
	stream.len = 0;
	put(&stream, "SSH-", 4);
	while (stream.len < 300)
		put8(&stream, 'x');
	sniff(&stream, 1);
	assert_int_equal(seen.n, 1);
	assert_int_equal(strlen(seen.claims[0].detail), 63);
}

static void test_pieces_in_any_order(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
	const uint8_t *bytes = (const uint8_t *)text;
	struct ln_sniff *s = ln_sniff_new(IPPROTO_TCP);

	memset(&seen, 0, sizeof(seen));
	assert_true(ln_sniff_put(s, 20, bytes + 20, sizeof(text) - 21, note, NULL));
	assert_true(ln_sniff_put(s, 0, bytes, 5, note, NULL));
	assert_true(ln_sniff_put(s, 2, (const uint8_t *)"XX", 2, note, NULL)); /* again */
	assert_int_equal(seen.n, 0);
	assert_true(ln_sniff_put(s, LN_SNIFF_MAX, bytes, 1, note, NULL));
	assert_true(ln_sniff_put(s, 3, bytes + 3, 20, note, NULL));
	assert_int_equal(seen.n, 1);
	expect_claim(0, LN_LAYER_HTTP, 0, "a.example");
	ln_sniff_free(&s);
	ln_sniff_free(&s);
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
	    cmocka_unit_test(test_what_is_said_inside_of_a_tunnel),
	    cmocka_unit_test(test_relays_in_a_row_are_bounded),
	    cmocka_unit_test(test_a_tunnel_that_is_asked_for_again_is_the_same),
	    cmocka_unit_test(test_later_requests_of_a_connection),
	    cmocka_unit_test(test_a_later_request_beyond_the_bound_says_nothing),
	    cmocka_unit_test(test_long_heads_in_pieces),
	    cmocka_unit_test(test_a_long_line_that_is_no_request),
	    cmocka_unit_test(test_ssh_is_told_with_its_banner),
	    cmocka_unit_test(test_pieces_in_any_order),
	    cmocka_unit_test(test_every_layer_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
