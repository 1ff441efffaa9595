/* SPDX-License-Identifier: Apache-2.0 */
/* The key `dns` of linnet.yaml(5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include "policy/parse.h"
#include "policy/policy.h"

#define HEAD                                                                                       \
	"agent_name: a\nexpected_outbound:\n"                                                      \
	"  - {destination: a.example, port: 443, protocol: TCP}\n"

static struct ln_diags diags;

static int parse(const char *more, struct ln_policy **ret)
{
	char text[256];

	ln_diags_done(&diags);
	snprintf(text, sizeof(text), HEAD "%s", more);
	return ln_policy_parse("f", text, strlen(text), false, &diags, ret);
}

static void grace_has_a_unit(void **state)
{
	static const struct {
		const char *text;
		uint64_t seconds;
	} rows[] = {
	    {"", 600},
	    {"dns: {grace: 0s}\n", 0},
	    {"dns: {grace: 30s}\n", 30},
	    {"dns:\n  grace: \"10m\"\n", 600},
	    {"dns: {grace: 1h}\n", 3600},
	    {"dns: {grace: 24h}\n", 86400},
	    {"dns: {grace: 86400s}\n", 86400},
	};
	struct ln_policy *p = NULL;

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(rows[i].text, &p), 0);
		assert_int_equal(diags.n, 0);
		assert_int_equal(ln_policy_grace_ns(p), rows[i].seconds * LN_NS_PER_S);
		ln_policy_free(&p);
	}
	p = ln_policy_new_empty("a");
	assert_int_equal(ln_policy_grace_ns(p), LN_POLICY_GRACE_NS);
	ln_policy_free(&p);
}

static void what_is_wrong_is_told(void **state)
{
	static const char number[] = "grace must be a whole number with s, m or h behind it, like "
				     "30s, 10m or 1h (found ";
	static const struct {
		const char *text;
		uint32_t column;
		const char *message;
	} rows[] = {
	    {"dns: {grace: 600}\n", 14,
	     "grace needs a unit (found \"600\"); write it like 30s, 10m or 1h"},
	    {"dns: {grace: 0}\n", 14, "grace needs a unit (found \"0\");"},
	    {"dns: {grace: 25h}\n", 14, "grace must be at most 24h (found \"25h\")"},
	    {"dns: {grace: 1441m}\n", 14, "grace must be at most 24h"},
	    {"dns: {grace: 999999999h}\n", 14, "grace must be at most 24h"},
	    {"dns: {grace: 9999999999s}\n", 14, number},
	    {"dns: {grace: 1h30m}\n", 14, number},
	    {"dns: {grace: -1s}\n", 14, number},
	    {"dns: {grace: 10M}\n", 14, number},
	    {"dns: {grace: s}\n", 14, number},
	    {"dns: {grace: \"5m\\0\"}\n", 14, number},
	    {"dns: {grace: ~}\n", 14, "(found nothing)"},
	    {"dns: {grace: [1s]}\n", 14, "(found a list)"},
	    {"dns: {graze: 1s}\n", 7, "unknown key \"graze\"; did you mean \"grace\"?"},
	    {"dns: {ttl: 1s}\n", 7, "unknown key \"ttl\"; did you mean \"grace\"?"},
	    {"dns: {other: 1s}\n", 7, "unknown key \"other\"; remove it, the keys here are grace"},
	    {"dns: {grace: 1s, grace: 2s}\n", 18, "\"grace\" is given twice, first on line 4"},
	    {"dns: [192.0.2.53]\n", 6,
	     "dns must be a mapping with grace (found a list); resolvers have a key of their own, "
	     "\"resolvers\""},
	    {"dns: {}\n", 6, "dns must be a mapping with grace (found nothing)"},
	    {"dns: ~\n", 6, "dns must be a mapping with grace (found nothing)"},
	    {"dns: 10m\n", 6, "dns must be a mapping with grace (found \"10m\")"},
	    {"grace: 1s\n", 1, "unknown key \"grace\"; did you mean \"dns\"?"},
	};
	struct ln_policy *p = NULL;

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(rows[i].text, &p), -EINVAL);
		assert_null(p);
		assert_int_equal(diags.n, 1);
		if (!strstr(diags.list[0].text, rows[i].message))
			fail_msg("%s: %s", rows[i].text, diags.list[0].text);
		assert_int_equal(diags.list[0].line, 4);
		assert_int_equal(diags.list[0].column, rows[i].column);
	}
	ln_diags_done(&diags);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(grace_has_a_unit),
	    cmocka_unit_test(what_is_wrong_is_told),
	};

	return cmocka_run_group_tests_name("policy_dns", tests, NULL, NULL);
}
