/* SPDX-License-Identifier: Apache-2.0 */
/* The webhook without a network: where it may go, and when it tries again. What it does with real
 * servers is in tests/kernel/test_sinks.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "output/backoff.h"
#include "output/webhook_url.h"
#include "sinks_fixture.h"

static void pauses(void **state)
{
	static const uint64_t whole_s[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};

	for (unsigned i = 0; i < LN_ARRAY_SIZE(whole_s); i++) {
		uint64_t whole = whole_s[i] * LN_NS_PER_S;
		assert_int_equal(ln_backoff_ns(i + 1, 0, 0), whole / 2);
		uint64_t most = ln_backoff_ns(i + 1, 0, UINT32_MAX);
		assert_true(most <= whole && most >= whole - 16);
		assert_true(ln_backoff_ns(i + 1, 0, 1U << 31) > whole / 2);
	}
	assert_int_equal(ln_backoff_ns(UINT32_MAX, 0, 0), 30 * LN_NS_PER_S);
	/* Retry-After: within bounds, and never sooner than without it. */
	assert_int_equal(ln_backoff_ns(1, 7, 0), 7 * LN_NS_PER_S);
	assert_int_equal(ln_backoff_ns(9, 7, 0), 30 * LN_NS_PER_S);
	assert_int_equal(ln_backoff_ns(1, UINT64_MAX, 0), 300 * LN_NS_PER_S);
}

static void answers(void **state)
{
	static const struct {
		long status;
		enum ln_answer answer;
	} rows[] = {
	    {200, LN_ANSWER_DONE},  {204, LN_ANSWER_DONE},  {0, LN_ANSWER_NEVER},
	    {302, LN_ANSWER_NEVER}, {400, LN_ANSWER_NEVER}, {401, LN_ANSWER_NEVER},
	    {404, LN_ANSWER_NEVER}, {408, LN_ANSWER_AGAIN}, {429, LN_ANSWER_AGAIN},
	    {500, LN_ANSWER_AGAIN}, {503, LN_ANSWER_AGAIN},
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++)
		assert_int_equal(ln_backoff_answer(rows[i].status), rows[i].answer);
}

static void urls(void **state)
{
	static const struct {
		const char *url, *shown; /* NULL: refused */
		bool https;
	} rows[] = {
	    {"https://hooks.example.com/T0/secret?key=x", "https://hooks.example.com", true},
	    {"https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443", true},
	    {"HTTPS://h.example", "https://h.example", true},
	    {"http://127.0.0.1:8080/x", "http://127.0.0.1:8080", false},
	    {"http://127.9.9.9/", "http://127.9.9.9", false},
	    {"http://[::1]/x", "http://[::1]", false},
	    {"http://localhost/x", "http://localhost", false},
	    {"http://h.example/", NULL, false},
	    {"http://127.0.0.1.h.example/", NULL, false},
	    {"http://localhost.example/", NULL, false},
	    {"http://10.0.0.1/", NULL, false},
	    {"http://127.0.0.1@h.example/", NULL, false},
	    {"https://user:pw@h.example/", NULL, false},
	    {"ftp://h.example/", NULL, false},
	    {"file:///etc/passwd", NULL, false},
	    {"h.example/x", NULL, false},
	    {"https://", NULL, false},
	    {"", NULL, false},
	};
	const struct ln_curl *curl = NULL;
	struct ln_error err = {0};

	assert_int_equal(ln_curl_load(&err, &curl), 0);
	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		char shown[128] = "";
		bool https = false;
		int r = ln_webhook_url_check(rows[i].url, curl, &err, shown, &https);
		if ((r == 0) != (rows[i].shown != NULL))
			fail_msg("%s: %d", rows[i].url, r);
		if (!rows[i].shown)
			continue;
		assert_string_equal(shown, rows[i].shown);
		assert_int_equal(https, rows[i].https);
	}
}

/* Nobody listens: it waits for its time, and tells why; the bound holds. */
static void nobody_there(void **state)
{
	struct ln_error err = {0};
	struct ln_sink *s = NULL;
	const struct ln_webhook_config config = {.url = "http://127.0.0.1:1/x", .token = "t0ken"};

	setenv("SSLKEYLOGFILE", "/tmp/linnet-keys", 1);
	assert_int_equal(ln_sink_webhook_new(&config, &err, &s), 0);
	tell(s, 300);
	assert_int_equal(s->ops->pending(s), 256);
	assert_int_equal(s->dropped, 44);
	s->why[0] = '\0';
	uint64_t end = ln_clock_mono_ns() + PATIENCE_NS;
	while (s->why[0] == '\0' && ln_clock_mono_ns() < end) {
		struct pollfd p = {.fd = s->ops->fd(s), .events = POLLIN};
		s->ops->dispatch(s, ln_clock_mono_ns());
		poll(&p, 1, 10);
	}
	assert_string_equal(s->why, "Couldn't connect to server");
	assert_int_equal(s->ops->pending(s), 256);
	assert_string_equal(s->target, "http://127.0.0.1:1");
	ln_sink_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pauses),
	    cmocka_unit_test(answers),
	    cmocka_unit_test(urls),
	    cmocka_unit_test_setup(nobody_there, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
