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

static const uint8_t *bytes_of(const char *text)
{
	return (const uint8_t *)text;
}

static int read_text(const char *text, size_t len, struct ln_head *ret)
{
	return ln_http_read_head(bytes_of(text), len, false, ret);
}

/* "" no name; UNREADABLE; a name; or an address. */
static void expect_host(const struct ln_claim *c, const char *host)
{
	char addr[LN_ADDR_TEXT_MAX];

	if (c->addr.family != 0) {
		assert_string_equal(ln_addr_format(&c->addr, addr), host);
		assert_string_equal(c->name, "");
		assert_false(c->has_name);
	} else if (strcmp(host, UNREADABLE) == 0) {
		assert_true(c->has_name);
		assert_string_equal(c->name, "");
	} else {
		assert_string_equal(c->name, host);
		assert_int_equal(c->has_name, host[0] != '\0');
	}
}

struct sample {
	const char *text;
	enum ln_layer layer;
	const char *host;
	uint16_t port;
	const char *detail;
};

/* No byte of it is too many, and what follows makes no difference. */
static void expect_samples(const struct sample *samples, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct sample *s = &samples[i];
		struct ln_head h;
		char more[1024];

		for (size_t len = 1; len < strlen(s->text); len++)
			assert_int_equal(read_text(s->text, len, &h), -EAGAIN);
		assert_int_equal(read_text(s->text, strlen(s->text), &h), 0);
		assert_int_equal(h.len, strlen(s->text));
		snprintf(more, sizeof(more), "%s%s", s->text, "Host: later.example\r\n\r\n");
		assert_int_equal(read_text(more, strlen(more), &h), 0);
		assert_int_equal(h.len, strlen(s->text));
		assert_int_equal(h.claim.layer, s->layer);
		expect_host(&h.claim, s->host);
		assert_int_equal(h.claim.port, s->port);
		assert_string_equal(h.claim.detail, s->detail);
	}
}

static void test_requests_to_a_server(void **state)
{
	static const struct sample samples[] = {
	    {"GET / HTTP/1.1\r\nHost: A.Example.\r\n\r\n", LN_LAYER_HTTP, "a.example", 0, "GET"},
	    {"GET / HTTP/1.1\r\nhOST:a.example:8080 \t\r\nX: y\r\n\r\n", LN_LAYER_HTTP, "a.example",
	     8080, "GET"},
	    {"POST /dns-query?dns=secret HTTP/1.1\r\nHost: a.example\r\n\r\n", LN_LAYER_HTTP,
	     "a.example", 0, "POST /dns-query"},
	    {"GET /resolve?name=x HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", LN_LAYER_HTTP, "192.0.2.1",
	     0, "GET /resolve"},
	    {"GET /token/secret HTTP/1.1\r\nHost: [2001:db8::1]:81\r\n\r\n", LN_LAYER_HTTP,
	     "2001:db8::1", 81, "GET"},
	    {"OPTIONS * HTTP/1.1\r\nHost: a.example:\r\n\r\n", LN_LAYER_HTTP, "a.example", 0,
	     "OPTIONS"},
	    {"GET / HTTP/1.0\r\n\r\n", LN_LAYER_HTTP, "", 0, "GET"},
	    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", LN_LAYER_HTTP, "", 0, "GET"},
	    {"GET /\r\n", LN_LAYER_HTTP, UNREADABLE, 0, "GET"},
	    {" \tGET / HTTP/02.1\nHost: a.example\n\n", LN_LAYER_HTTP, "a.example", 0, "GET"},
	    {"GET / HTTP/2.0\r\nHost: a.example\r\n\r\n", LN_LAYER_HTTP, "a.example", 0, "GET"},
	    {"\r\n\nGET\t /a b  HTTP/1.1\nHost: a.example\n\n", LN_LAYER_HTTP, "a.example", 0,
	     "GET"},
	    {"GET\v/ HTTP/1.1\nHost: a.example\n\n", LN_LAYER_HTTP, "a.example", 0, "GET"},
	    {"GET / HTTP/1.1\r\nA: b\r\n c: d\r\nHost: a.example\r\n  \r\n\r\n", LN_LAYER_HTTP,
	     "a.example", 0, "GET"},
	    {"GET / HTTP/1.1\r\nHost: a.example\r\nHost: A.example\r\n\r\n", LN_LAYER_HTTP,
	     "a.example", 0, "GET"},
	};

	expect_samples(samples, LN_ARRAY_SIZE(samples));
}

static void test_requests_to_a_relay(void **state)
{
	static const struct sample samples[] = {
	    {"GET http://a.example/@b.example HTTP/1.1\r\n\r\n", LN_LAYER_HTTP_PROXY, "a.example",
	     80, "GET"},
	    {"GET http://a.example#x HTTP/1.1\r\n\r\n", LN_LAYER_HTTP_PROXY, "a.example", 80,
	     "GET"},
	    {"CONNECT a.example:443 HTTP/1.1\r\nHost: proxy.example\r\n\r\n", LN_LAYER_HTTP_PROXY,
	     "a.example", 443, "CONNECT"},
	    {"CONNECT 192.0.2.1:22 HTTP/1.0\r\n\r\n", LN_LAYER_HTTP_PROXY, "192.0.2.1", 22,
	     "CONNECT"},
	    {"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n", LN_LAYER_HTTP_PROXY, "2001:db8::1", 443,
	     "CONNECT"},
	    {"CONNECT a.example HTTP/1.1\r\n\r\n", LN_LAYER_HTTP_PROXY, "a.example", 0, "CONNECT"},
	    {"CONNECT 2001:db8::1:443 HTTP/1.1\r\n\r\n", LN_LAYER_HTTP_PROXY, UNREADABLE, 0,
	     "CONNECT"},
	    {"CONNECT a.example:443 b.example:443 HTTP/1.1\r\n\r\n", LN_LAYER_HTTP_PROXY,
	     UNREADABLE, 0, "CONNECT"},
	    {"GET http://a.example/secret?x HTTP/1.1\r\nHost: a.example\r\n\r\n",
	     LN_LAYER_HTTP_PROXY, "a.example", 80, "GET"},
	    {"GET https://u:p@A.example:8443?x HTTP/1.1\r\n\r\n", LN_LAYER_HTTP_PROXY, "a.example",
	     8443, "GET"},
	    {"GET ftp://[::1]/dns-query HTTP/1.1\r\n\r\n", LN_LAYER_HTTP_PROXY, "::1", 21,
	     "GET /dns-query"},
	    {"GET gopher://a.example HTTP/1.0\r\n\r\n", LN_LAYER_HTTP_PROXY, "a.example", 0, "GET"},
	    {"GET http://a.example\r\n", LN_LAYER_HTTP_PROXY, UNREADABLE, 80, "GET"},
	    {"GET http:///x HTTP/1.1\r\n\r\n", LN_LAYER_HTTP_PROXY, UNREADABLE, 80, "GET"},
	};

	expect_samples(samples, LN_ARRAY_SIZE(samples));
}

static void test_what_could_be_two_names_is_none(void **state)
{
	static const struct sample samples[] = {
	    {"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", LN_LAYER_HTTP,
	     UNREADABLE, 0, "GET: two hosts"},
	    {"GET / HTTP/1.1\r\nHost: a.example\r\nHost : a.example:81\r\n\r\n", LN_LAYER_HTTP,
	     UNREADABLE, 81, "GET: two hosts"},
	    {"GET / HTTP/1.1\r\n Host: a.example\r\nHost:\r\n\r\n", LN_LAYER_HTTP, UNREADABLE, 0,
	     "GET: two hosts"},
	    {"GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n", LN_LAYER_HTTP_PROXY,
	     UNREADABLE, 80, "GET: two hosts"},
	    {"GET / HTTP/1.1\r\nHost: a.example\r\n .b.example\r\n\r\n", LN_LAYER_HTTP, UNREADABLE,
	     0, "GET"},
	    {"GET / HTTP/1.1\r\nHost: a.example\r\n \r\n\tb.example\r\n\r\n", LN_LAYER_HTTP,
	     UNREADABLE, 0, "GET"},
	    {"GET / HTTP/1.1\r\nX: y\rHost: b.example\r\nHost: a.example\r\n\r\n", LN_LAYER_HTTP,
	     UNREADABLE, 0, "GET"},
	    {"GET http://a.example@b.example@c.example/ HTTP/1.1\r\n\r\n", LN_LAYER_HTTP_PROXY,
	     UNREADABLE, 80, "GET"},
	    {"GET http://a.example\\@b.example/ HTTP/1.1\r\n\r\n", LN_LAYER_HTTP_PROXY, UNREADABLE,
	     0, "GET"},
	    {"GET http://a.example#@b.example/ HTTP/1.1\r\n\r\n", LN_LAYER_HTTP_PROXY, UNREADABLE,
	     0, "GET"},
	    {"GET http://a.example?@b.example HTTP/1.1\r\n\r\n", LN_LAYER_HTTP_PROXY, UNREADABLE, 0,
	     "GET"},
	    {"GET b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", LN_LAYER_HTTP, UNREADABLE, 0,
	     "GET"},
	    {"GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n", LN_LAYER_HTTP, UNREADABLE, 0,
	     "GET"},
	    {"GET / HTTP/1.1\r\nHost: a.example:99999\r\n\r\n", LN_LAYER_HTTP, UNREADABLE, 0,
	     "GET"},
	    {"GET / HTTP/1.1\r\nHost: a.example:0\r\n\r\n", LN_LAYER_HTTP, UNREADABLE, 0, "GET"},
	    {"connect a.example:1 HTTP/1.1\r\nHost: b.example\r\n\r\n", LN_LAYER_HTTP_PROXY,
	     UNREADABLE, 0, "connect"},
	    {"CONNECT a.example:1\r\n", LN_LAYER_HTTP_PROXY, UNREADABLE, 1, "CONNECT"},
	    {"GET key\n", LN_LAYER_HTTP, UNREADABLE, 0, "GET"},
	    {"GET / HTTP/1.1\r\nHost: 127.1\r\n\r\n", LN_LAYER_HTTP, UNREADABLE, 0, "GET"},
	    {"GET / HTTP/1.1\r\nHost: 0x7F.0.0.01\r\n\r\n", LN_LAYER_HTTP, UNREADABLE, 0, "GET"},
	    {"GET / HTTP/1.1\r\nHost: 0x7f000001\r\n\r\n", LN_LAYER_HTTP, UNREADABLE, 0, "GET"},
	    {"GET / HTTP/1.1\r\nHost: 127.0.0.011.\r\n\r\n", LN_LAYER_HTTP, UNREADABLE, 0, "GET"},
	    {"GET / HTTP/1.1\r\nHost: a:80:81\r\n\r\n", LN_LAYER_HTTP, UNREADABLE, 0, "GET"},
	    {"GET / HTTP/1.1\r\nHost: u@a.example\r\n\r\n", LN_LAYER_HTTP, UNREADABLE, 0, "GET"},
	    {"GET / HTTP/1.1\r\nHost: [192.0.2.1]\r\n\r\n", LN_LAYER_HTTP, UNREADABLE, 0, "GET"},
	    {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", LN_LAYER_HTTP, UNREADABLE, 0, "GET"},
	    {"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", LN_LAYER_HTTP, UNREADABLE, 0, "GET"},
	    {"GET / HTTP/1.1\r\nHost: [fe80::1%eth0]\r\n\r\n", LN_LAYER_HTTP, UNREADABLE, 0, "GET"},
	};
	static const char nul[] = "GET / HTTP/1.1\r\nX: \0\r\nHost: a.example\r\n\r\n";
	struct ln_head h;

	expect_samples(samples, LN_ARRAY_SIZE(samples));
	assert_int_equal(read_text(nul, sizeof(nul) - 1, &h), 0);
	expect_host(&h.claim, UNREADABLE);
}

static void test_what_is_no_request(void **state)
{
	static const char *const wrong[] = {
	    "EHLO a.example\r\n",
	    "USER anonymous\r\n",
	    "get key\r\n",
	    "GET / RTSP/1.0\r\n",
	    "GET / HTTP/x\r\n",
	    "GET /x\r",
	    "{",
	    "\r\n:",
	    "GET:",
	    "METHODMETHODMETHODMETHODMETHODMET",
	    "OPTIONS rtsp://a.example RTSP/1.0\r\n",
	    "QUIT now\r\n",
	};
	struct ln_head h;

	for (size_t i = 0; i < LN_ARRAY_SIZE(wrong); i++) {
		int want = strcmp(wrong[i], "GET /x\r") == 0 ? -EAGAIN : -EBADMSG;

		assert_int_equal(read_text(wrong[i], strlen(wrong[i]), &h), want);
	}
}

static void test_the_preface_of_http2(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	struct ln_head h;

	for (size_t len = 1; len < strlen(preface); len++)
		assert_int_equal(read_text(preface, len, &h), -EAGAIN);
	assert_int_equal(read_text(preface, strlen(preface), &h), 0);
	assert_int_equal(h.claim.layer, LN_LAYER_HTTP2);
	assert_false(h.claim.has_name);
}

static void test_what_follows_a_head(void **state)
{
	static const struct {
		const char *headers;
		enum ln_head_next next;
		uint64_t body_len;
	} samples[] = {
	    {"", LN_HEAD_REQUEST, 0},
	    {"Content-Length: 12\r\n", LN_HEAD_REQUEST, 12},
	    {"Content-Length: 12\r\ncontent-length:12\r\n", LN_HEAD_REQUEST, 12},
	    {"Content-Length: 12\r\nContent-Length: 13\r\n", LN_HEAD_END, 0},
	    {"Content-Length:\r\n", LN_HEAD_END, 0},
	    {"Content-Length: -1\r\n", LN_HEAD_END, 0},
	    {"Content-Length: 1x\r\n", LN_HEAD_END, 0},
	    {"Transfer-Encoding: chunked\r\n", LN_HEAD_END, 0},
	};
	struct ln_head h;
	char text[256];

	for (size_t i = 0; i < LN_ARRAY_SIZE(samples); i++) {
		snprintf(text, sizeof(text), "POST / HTTP/1.1\r\n%s\r\n", samples[i].headers);
		assert_int_equal(read_text(text, strlen(text), &h), 0);
		assert_int_equal(h.next, samples[i].next);
		if (h.next == LN_HEAD_REQUEST)
			assert_int_equal(h.body_len, samples[i].body_len);
	}
	snprintf(text, sizeof(text), "CONNECT a:1 HTTP/1.1\r\nContent-Length: 3\r\n\r\n");
	assert_int_equal(read_text(text, strlen(text), &h), 0);
	assert_int_equal(h.next, LN_HEAD_TUNNEL);
}

static void test_a_head_that_is_cut(void **state)
{
	static const struct sample samples[] = {
	    {"GET / HTTP/1.1\r\nHost: a.example\r\nCookie: x", LN_LAYER_HTTP, "a.example", 0,
	     "GET"},
	    {"GET / HTTP/1.1\r\nCookie: x\r\nHost: a.exam", LN_LAYER_HTTP, UNREADABLE, 0, "GET"},
	    {"GET /xxxxxxxx", LN_LAYER_HTTP, UNREADABLE, 0, "GET"},
	    {"GET http://a.example/xxx", LN_LAYER_HTTP_PROXY, UNREADABLE, 80, "GET"},
	    {"CONNECT a.exam", LN_LAYER_HTTP_PROXY, UNREADABLE, 0, "CONNECT"},
	    {"CONNECT a.example:1 HTTP/1.1\r\nX: y", LN_LAYER_HTTP_PROXY, "a.example", 1,
	     "CONNECT"},
	};
	struct ln_head h;

	for (size_t i = 0; i < LN_ARRAY_SIZE(samples); i++) {
		const char *text = samples[i].text;

		assert_int_equal(ln_http_read_head(bytes_of(text), strlen(text), true, &h), 0);
		assert_int_equal(h.claim.layer, samples[i].layer);
		expect_host(&h.claim, samples[i].host);
		assert_int_equal(h.claim.port, samples[i].port);
		assert_string_equal(h.claim.detail, samples[i].detail);
		assert_int_equal(h.next, LN_HEAD_END);
	}
	assert_int_equal(ln_http_read_head(bytes_of("EHLO xxx"), 8, true, &h), -EBADMSG);
	assert_int_equal(ln_http_read_head(bytes_of("GET"), 3, true, &h), -EBADMSG);
	assert_int_equal(ln_http_read_head(bytes_of("PRI *"), 5, true, &h), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_requests_to_a_server),
	    cmocka_unit_test(test_requests_to_a_relay),
	    cmocka_unit_test(test_what_could_be_two_names_is_none),
	    cmocka_unit_test(test_what_is_no_request),
	    cmocka_unit_test(test_the_preface_of_http2),
	    cmocka_unit_test(test_what_follows_a_head),
	    cmocka_unit_test(test_a_head_that_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
