/* SPDX-License-Identifier: Apache-2.0 */
/* linnet.yaml(5), ERRORS: what is wholly denied, and warnings of rules that are too wide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "base/buf.h"
#include "policy/parse.h"
#include "policy/policy.h"

#define HEAD       "agent_name: a\nexpected_outbound:\n"
#define RULE(d, p) "  - {destination: \"" d "\", port: " p ", protocol: TCP, purpose: x}\n"

struct row {
	const char *text, *message; /* NULL: none */
	uint32_t line;
	bool error; /* also when not strict */
};

static const struct row rows[] = {
    {HEAD RULE("192.0.0.0/15", "1"),
     "\"192.0.0.0/15\" is wider than a /16; list the networks that the agent needs", 3},
    {HEAD RULE("192.0.0.0/16", "1"), NULL},
    {HEAD RULE("2001:da0::/27", "1"),
     "\"2001:da0::/27\" is wider than a /32; list the networks that the agent needs", 3},
    {HEAD RULE("2001:db8::/32", "1"), NULL},
    {HEAD RULE("a.test", "any"),
     "\"a.test\" is permitted on every port; list the ports that the agent needs", 3},
    {HEAD RULE("a.test", "1-65535"), NULL},
    /* A dynamic name is of any port unless it says more; a ban may be as wide as it likes. */
    {HEAD RULE("a.test", "1") "allowed_dynamic_resolution: [b.test]\n"
			      "deny: [0.0.0.0/1, \"*.com\"]\n",
     NULL},
    /* Wholly denied. */
    {HEAD RULE("a.test", "1") "deny: [a.test]\n",
     "this rule is shadowed by line 4, which denies all of it (\"a.test\", any/any); remove one of "
     "the two, or narrow line 4",
     3, true},
    {HEAD RULE("b.a.test", "1") "deny: [\"*.a.test\"]\n",
     "this rule is shadowed by line 4, which denies all of it (\"*.a.test\", any/any); remove one "
     "of the two, or narrow line 4",
     3, true},
    {HEAD RULE("*.b.test", "1") "deny: [{destination: \"*.b.test\", port: 1-2}]\n",
     "this rule is shadowed by line 4, which denies all of it (\"*.b.test\", 1-2/any); remove one "
     "of the two, or narrow line 4",
     3, true},
    {HEAD RULE("10.1.0.0/16", "1") "deny: [10.0.0.0/8]\n",
     "this rule is shadowed by line 4, which denies all of it (\"10.0.0.0/8\", any/any); remove "
     "one of the two, or narrow line 4",
     3, true},
    {HEAD RULE("a.test", "1") "allowed_dynamic_resolution: [b.test]\ndeny: [b.test]\n",
     "this rule is shadowed by line 5, which denies all of it (\"b.test\", any/any); remove one of "
     "the two, or narrow line 5",
     4, true},
    /* Denied in part, or something else. */
    {HEAD RULE("a.test", "[1, 2]") "deny: [{destination: a.test, port: 1}]\n", NULL},
    {HEAD RULE("a.test", "1") "deny: [{destination: a.test, protocol: UDP}]\n", NULL},
    {HEAD RULE("*.a.test", "1") "deny: [a.test, b.a.test, \"*.b.a.test\"]\n", NULL},
    {HEAD RULE("a.test", "1") "deny: [\"*.a.test\"]\n", NULL},
    {HEAD RULE("10.0.0.0/16", "1") "deny: [10.0.0.0/17]\n", NULL},
    /* Bans among themselves. */
    {HEAD RULE("a.test", "1") "deny: [b.test, b.test]\n",
     "this rule repeats the one on line 4; remove it", 4, true},
    {HEAD RULE("a.test", "1") "deny:\n- b.c.test\n- \"*.c.test\"\n",
     "this rule is shadowed by line 6, which denies all of it (\"*.c.test\", any/any); remove one "
     "of the two, or narrow line 6",
     5, true},
    /* What ends earlier does not stand for what lasts longer. */
    {HEAD
     "  - {destination: 10.0.0.0/16, port: 1, protocol: TCP, expires: 2027-01-01, purpose: x}\n"
     "  - {destination: 10.0.0.1, port: 1, protocol: TCP, purpose: x}\n"
     "  - {destination: 10.0.0.2, port: 1, protocol: TCP, expires: 2027-01-02, purpose: x}\n",
     NULL},
    {HEAD
     "  - {destination: 10.0.0.0/16, port: 1, protocol: TCP, expires: 2027-01-02, purpose: x}\n"
     "  - {destination: 10.0.0.2, port: 1, protocol: TCP, expires: 2027-01-02, purpose: x}\n",
     "this rule is shadowed by line 3, which permits all of it (\"10.0.0.0/16\", 1/TCP); remove "
     "one of the two, or narrow line 3",
     4, true},
};

static void check(const struct row *r, bool strict)
{
	struct ln_diags d = {0};
	struct ln_policy *p = NULL;
	bool wrong = r->message && (strict || r->error);
	int err = ln_policy_parse("p", r->text, strlen(r->text), strict, &d, &p);

	if (err != (wrong ? -EINVAL : 0) || d.n != (r->message != NULL))
		fail_msg("%s: %d, %zu messages, %s", r->text, err, d.n,
			 d.n > 0 ? d.list[0].text : "");
	if (r->message) {
		assert_string_equal(d.list[0].text, r->message);
		assert_int_equal(d.list[0].line, r->line);
		assert_int_equal(d.list[0].warning, !wrong);
	}
	ln_diags_done(&d);
	ln_policy_free(&p);
}

static void table(void **state)
{
	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		check(&rows[i], false);
		check(&rows[i], true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(table)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
