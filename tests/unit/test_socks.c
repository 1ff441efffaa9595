/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include "base/macros.h"
#include "payload/head.h"

#define UNREADABLE "?"
#define BYTES(s)   s, sizeof(s) - 1

struct sample {
	const char *bytes;
	size_t len;
	const char *host; /* UNREADABLE, a name, or an address */
	uint16_t port;
	const char *detail;
	enum ln_head_next next;
};

static int read_bytes(const char *bytes, size_t len, bool cut, struct ln_head *ret)
{
	const uint8_t *b = (const uint8_t *)bytes;

	return b[0] == 4 ? ln_socks4_read_head(b, len, cut, ret)
			 : ln_socks5_read_head(b, len, cut, ret);
}

static void expect_samples(const struct sample *samples, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct sample *s = &samples[i];
		char more[512], addr[LN_ADDR_TEXT_MAX];
		struct ln_head h;

		for (size_t len = 1; len < s->len; len++)
			assert_int_equal(read_bytes(s->bytes, len, false, &h), -EAGAIN);
		memcpy(more, s->bytes, s->len);
		memcpy(more + s->len, "\x16\x03\x01", 3);
		assert_int_equal(read_bytes(more, s->len + 3, false, &h), 0);
		assert_int_equal(h.len, s->len);
		assert_int_equal(h.next, s->next);
		assert_int_equal(h.claim.layer,
				 s->bytes[0] == 4 ? LN_LAYER_SOCKS4 : LN_LAYER_SOCKS5);
		assert_string_equal(h.claim.detail, s->detail);
		assert_int_equal(h.claim.port, s->port);
		assert_int_equal(h.claim.has_name, h.claim.addr.family == 0);
		if (h.claim.addr.family != 0)
			assert_string_equal(ln_addr_format(&h.claim.addr, addr), s->host);
		else
			assert_string_equal(h.claim.name,
					    strcmp(s->host, UNREADABLE) == 0 ? "" : s->host);
	}
}

static void test_version_4(void **state)
{
	static const struct sample samples[] = {
	    {BYTES("\x04\x01\x01\xbb\xc0\0\x02\x01user\0"), "192.0.2.1", 443, "CONNECT",
	     LN_HEAD_TUNNEL},
	    {BYTES("\x04\x02\0\x15\xc0\0\x02\x01\0"), "192.0.2.1", 21, "BIND", LN_HEAD_TUNNEL},
	    {BYTES("\x04\x01\0\x50\0\0\0\x01user\0A.Example\0"), "a.example", 80, "CONNECT",
	     LN_HEAD_TUNNEL},
	    {BYTES("\x04\x01\0\x50\0\0\0\0\0"), "0.0.0.0", 80, "CONNECT", LN_HEAD_TUNNEL},
	    {BYTES("\x04\x01\0\x50\0\0\0\xff\0"
		   "192.0.2.9\0"),
	     "192.0.2.9", 80, "CONNECT", LN_HEAD_TUNNEL},
	    {BYTES("\x04\xf0\0\0\0\0\0\x01\0a.example\0"), "a.example", 0, "RESOLVE", LN_HEAD_END},
	    {BYTES("\x04\x01\0\x50\0\0\0\x01\0\0"), UNREADABLE, 80, "CONNECT", LN_HEAD_TUNNEL},
	    {BYTES("\x04\x01\0\x50\0\0\0\x01\0a b\0"), UNREADABLE, 80, "CONNECT", LN_HEAD_TUNNEL},
	};

	expect_samples(samples, LN_ARRAY_SIZE(samples));
}

static void test_version_5(void **state)
{
	static const struct sample samples[] = {
	    {BYTES("\x05\x01\0\x05\x01\0\x01\xc0\0\x02\x01\x01\xbb"), "192.0.2.1", 443, "CONNECT",
	     LN_HEAD_TUNNEL},
	    {BYTES("\x05\x02\0\x01\x05\x01\0\x03\x09"
		   "A.example\0\x50"),
	     "a.example", 80, "CONNECT", LN_HEAD_TUNNEL},
	    {BYTES("\x05\x01\0\x05\x02\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50"),
	     "2001:db8::1", 80, "BIND", LN_HEAD_TUNNEL},
	    {BYTES("\x05\x01\0\x05\x01\0\x04\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x01\0\x50"),
	     "192.0.2.1", 80, "CONNECT", LN_HEAD_TUNNEL},
	    {BYTES("\x05\x01\0\x05\x01\0\x03\x0b"
		   "2001:db8::2\0\x50"),
	     "2001:db8::2", 80, "CONNECT", LN_HEAD_TUNNEL},
	    {BYTES("\x05\x01\0\x05\x01\0\x03\0\0\x50"), UNREADABLE, 80, "CONNECT", LN_HEAD_TUNNEL},
	    {BYTES("\x05\x01\0\x05\x01\0\x03\x09"
		   "a.example"
		   "\0\x50"),
	     "a.example", 80, "CONNECT", LN_HEAD_TUNNEL},
	    {BYTES("\x05\x01\0\x05\x01\0\x03\x03"
		   "a\0b\0\x50"),
	     UNREADABLE, 80, "CONNECT", LN_HEAD_TUNNEL},
	    {BYTES("\x05\x01\0\x05\x03\0\x01\0\0\0\0\0\0"), UNREADABLE, 0, "UDP ASSOCIATE",
	     LN_HEAD_END},
	    {BYTES("\x05\x01\0\x05\xf1\0\x01\xc0\0\x02\x01\0\0"), "192.0.2.1", 0, "RESOLVE_PTR",
	     LN_HEAD_END},
	};

	expect_samples(samples, LN_ARRAY_SIZE(samples));
}

static void test_version_5_with_a_password(void **state)
{
	static const struct sample samples[] = {
	    {BYTES("\x05\x02\0\x02\x01\x04user\x06secret\x05\x01\0\x03\x09"
		   "a.example\0\x50"),
	     "a.example", 80, "CONNECT", LN_HEAD_TUNNEL},
	    {BYTES("\x05\x01\x02\x01\0\0\x05\x01\0\x01\xc0\0\x02\x01\0\x50"), "192.0.2.1", 80,
	     "CONNECT", LN_HEAD_TUNNEL},
	    {BYTES("\x05\x02\0\x02\x05\x01\0\x01\xc0\0\x02\x01\0\x50"), "192.0.2.1", 80, "CONNECT",
	     LN_HEAD_TUNNEL}, /* the server wanted none */
	};

	expect_samples(samples, LN_ARRAY_SIZE(samples));
}

static void test_an_authentication_that_hides_the_request(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} samples[] = {
	    {BYTES("\x05\x02\0\x01\x01")},
	    {BYTES("\x05\x01\x80x")},
	    {BYTES("\x05\x02\x01\x02\x01\x01\0\x01xy")},
	};
	struct ln_head h;

	for (size_t i = 0; i < LN_ARRAY_SIZE(samples); i++) {
		size_t len = samples[i].len;

		assert_int_equal(read_bytes(samples[i].bytes, len - 1, false, &h), -EAGAIN);
		assert_int_equal(read_bytes(samples[i].bytes, len, false, &h), 0);
		assert_true(h.claim.has_name);
		assert_string_equal(h.claim.name, "");
		assert_string_equal(h.claim.detail, "other authentication");
		assert_int_equal(h.next, LN_HEAD_END);
	}
}

static void test_what_is_not_socks(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} wrong[] = {
	    {BYTES("\x04\x00")}, /* Cassandra begins so */
	    {BYTES("\x04\x03")},
	    {BYTES("\x05\x00")},
	    {BYTES("\x05\x01\xff")},
	    {BYTES("\x05\x01\0\x04")},
	    {BYTES("\x05\x01\0\x01")},
	    {BYTES("\x05\x01\0\x05\x04")},
	    {BYTES("\x05\x01\0\x05\x01\0\x02")},
	};
	struct ln_head h;

	for (size_t i = 0; i < LN_ARRAY_SIZE(wrong); i++) {
		assert_int_equal(read_bytes(wrong[i].bytes, wrong[i].len, false, &h), -EBADMSG);
		assert_int_equal(read_bytes(wrong[i].bytes, wrong[i].len, true, &h), -EBADMSG);
		assert_int_equal(read_bytes(wrong[i].bytes, wrong[i].len - 1, false, &h), -EAGAIN);
	}
}

static void test_a_request_that_is_cut(void **state)
{
	struct ln_head h;

	assert_int_equal(read_bytes(BYTES("\x04\x01\0\x50\xc0\0\x02\x01user"), true, &h), 0);
	assert_true(h.claim.has_name);
	assert_int_equal(h.claim.port, 0);
	assert_int_equal(h.next, LN_HEAD_END);
	assert_int_equal(read_bytes(BYTES("\x05\x01\0\x05\x01\0\x03\x09"
					  "a.exam"),
				    true, &h),
			 0);
	assert_true(h.claim.has_name);
	assert_string_equal(h.claim.name, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_version_4),
	    cmocka_unit_test(test_version_5),
	    cmocka_unit_test(test_version_5_with_a_password),
	    cmocka_unit_test(test_an_authentication_that_hides_the_request),
	    cmocka_unit_test(test_what_is_not_socks),
	    cmocka_unit_test(test_a_request_that_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
