/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy denies, and when a rule is over: linnet.yaml(5), DENIED DESTINATIONS, RULES THAT
 * EXPIRE and WHICH RULE DECIDES. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <netinet/in.h>

#include "base/macros.h"
#include "policy/parse.h"
#include "policy/policy.h"

#define END_S 1801353600 /* 2027-01-31 */

static const char text[] =
    "agent_name: a\n"
    "expected_outbound:\n"
    "  - {destination: 192.0.2.0/24, port: any, protocol: any}\n"                     /* 3 */
    "  - {destination: \"*.example.com\", port: [80, 443], protocol: any}\n"          /* 4 */
    "  - {destination: old.test, port: 443, protocol: TCP, expires: 2027-01-31}\n"    /* 5 */
    "  - {destination: 203.0.113.7, port: 443, protocol: TCP, expires: 2027-01-31}\n" /* 6 */
    "  - {destination: 203.0.113.0/24, port: 80, protocol: TCP}\n"                    /* 7 */
    "allowed_dynamic_resolution:\n"
    "  - \"*.dyn.test\"\n"                              /* 9 */
    "  - {name: \"*.old.test\", expires: 2027-01-31}\n" /* 10 */
    "deny:\n"
    "  - {destination: 192.0.2.128/25, protocol: UDP}\n"      /* 12 */
    "  - {destination: 192.0.2.9, port: 25, protocol: TCP}\n" /* 13 */
    "  - evil.example.com\n"                                  /* 14 */
    "  - {destination: \"*.ads.example.com\", port: 80}\n"    /* 15 */
    "  - \"*.bad.dyn.test\"\n"                                /* 16 */
    "  - 192.0.2.200\n"                                       /* 17 */
    "expected_unix:\n"
    "  - {path: /run/old, expires: 2027-01-31}\n" /* 19 */
    "  - /run/new\n"                              /* 20 */
    "expected_inbound:\n"
    "  - {port: 8080, protocol: TCP, expires: 2027-01-31}\n"; /* 22 */

static struct ln_policy *parse(void)
{
	struct ln_diags d = {0};
	struct ln_policy *p = NULL;

	if (ln_policy_parse("p", text, strlen(text), false, &d, &p) != 0)
		fail_msg("line %u: %s", d.list[0].line, d.list[0].text);
	ln_diags_done(&d);
	return p;
}

struct row {
	const char *addr, *granting[2];
	uint16_t port;
	uint8_t proto;
	uint64_t now_s;
	uint32_t line; /* of the rule that decides; 0: none */
	bool denied;
	const char *name;
	uint32_t expired; /* line */
};

static const struct row rows[] = {
    /* By address: the longest prefix that denies, whatever is permitted. */
    {"192.0.2.1", {NULL}, 1, IPPROTO_TCP, 0, 3},
    {"192.0.2.129", {NULL}, 1, IPPROTO_UDP, 0, 12, true},
    {"192.0.2.129", {NULL}, 1, IPPROTO_TCP, 0, 3},
    {"192.0.2.200", {NULL}, 1, IPPROTO_UDP, 0, 17, true},
    {"192.0.2.200", {NULL}, 1, IPPROTO_TCP, 0, 17, true},
    {"192.0.2.9", {NULL}, 25, IPPROTO_TCP, 0, 13, true},
    {"192.0.2.9", {NULL}, 25, IPPROTO_UDP, 0, 3},
    {"192.0.2.9", {NULL}, 26, IPPROTO_TCP, 0, 3},
    /* By a name that leads there: it denies an address that is permitted by itself, or by another
     * name, and that nothing permits. */
    {"192.0.2.1", {"evil.example.com"}, 443, IPPROTO_TCP, 0, 14, true, "evil.example.com"},
    {"192.0.2.1", {"x.example.com"}, 443, IPPROTO_TCP, 0, 3},
    {"198.51.100.1",
     {"x.example.com", "evil.example.com"},
     443,
     IPPROTO_TCP,
     0,
     14,
     true,
     "evil.example.com"},
    {"198.51.100.1", {"x.example.com"}, 443, IPPROTO_TCP, 0, 4, false, "x.example.com"},
    {"198.51.100.1", {"evil.example.com"}, 22, IPPROTO_TCP, 0, 14, true, "evil.example.com"},
    {"198.51.100.1", {"x.evil.example.com"}, 443, IPPROTO_TCP, 0, 4, false, "x.evil.example.com"},
    {"198.51.100.1", {"x.ads.example.com"}, 80, IPPROTO_TCP, 0, 15, true, "x.ads.example.com"},
    {"198.51.100.1", {"x.ads.example.com"}, 443, IPPROTO_TCP, 0, 4, false, "x.ads.example.com"},
    {"198.51.100.1", {"ads.example.com"}, 80, IPPROTO_TCP, 0, 4, false, "ads.example.com"},
    {"198.51.100.1", {"a.bad.dyn.test"}, 9, IPPROTO_UDP, 0, 16, true, "a.bad.dyn.test"},
    {"198.51.100.1", {"bad.dyn.test"}, 9, IPPROTO_UDP, 0, 9, false, "bad.dyn.test"},
    /* An address that denies before a name that does. */
    {"192.0.2.129", {"evil.example.com"}, 443, IPPROTO_UDP, 0, 12, true},
    /* A rule is good until its time, and not from then on. */
    {"198.51.100.1", {"old.test"}, 443, IPPROTO_TCP, END_S - 1, 5, false, "old.test"},
    {"198.51.100.1", {"old.test"}, 443, IPPROTO_TCP, END_S, 0, false, NULL, 5},
    {"198.51.100.1", {"old.test"}, 443, IPPROTO_TCP, 0, 5, false, "old.test"},
    {"198.51.100.1", {"x.old.test"}, 1, IPPROTO_TCP, END_S, 0, false, NULL, 10},
    {"203.0.113.7", {NULL}, 443, IPPROTO_TCP, END_S - 1, 6},
    {"203.0.113.7", {NULL}, 443, IPPROTO_TCP, END_S, 0, false, NULL, 6},
    /* Not for that port, so that is not why; and another rule still permits. */
    {"203.0.113.7", {NULL}, 444, IPPROTO_TCP, END_S, 0},
    {"203.0.113.7", {NULL}, 80, IPPROTO_TCP, END_S, 7},
};

static void table(void **state)
{
	struct ln_policy *p = parse();

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		struct ln_query q = {.port = r->port,
				     .proto = r->proto,
				     .now_s = r->now_s,
				     .granting = r->granting,
				     .n_granting = (size_t)(r->granting[0] != NULL) +
						   (r->granting[1] != NULL)};
		struct ln_match m;

		assert_true(ln_addr_parse(r->addr, &q.addr));
		ln_policy_match(p, &q, &m);
		if ((m.rule ? m.rule->line : 0) != r->line || m.denied != r->denied ||
		    (m.expired ? m.expired->line : 0) != r->expired)
			fail_msg("row %zu: line %u, %d, expired line %u", i,
				 m.rule ? m.rule->line : 0, m.denied,
				 m.expired ? m.expired->line : 0);
		assert_int_equal(ln_match_permits(&m), r->line != 0 && !r->denied);
		if (r->name)
			assert_string_equal(m.name, r->name);
		else
			assert_null(m.name);
	}
	ln_policy_free(&p);
}

/* What is only claimed neither permits nor denies. */
static void claimed_names(void **state)
{
	static const char *const evil[] = {"evil.example.com"};
	struct ln_policy *p = parse();
	struct ln_query q = {.port = 443, .proto = IPPROTO_TCP, .naming = evil, .n_naming = 1};
	struct ln_match m;

	assert_true(ln_addr_parse("192.0.2.1", &q.addr));
	ln_policy_match(p, &q, &m);
	assert_int_equal(m.rule->line, 3);
	ln_policy_free(&p);
}

static void questions(void **state)
{
	struct ln_policy *p = parse();
	struct ln_addr addr;

	assert_null(ln_policy_covers_name(p, "evil.example.com", 0));
	assert_int_equal(ln_policy_denies_name(p, "evil.example.com")->line, 14);
	assert_int_equal(ln_policy_covers_name(p, "good.example.com", 0)->line, 4);
	assert_null(ln_policy_denies_name(p, "good.example.com"));
	/* Denied on one port only. */
	assert_int_equal(ln_policy_covers_name(p, "x.ads.example.com", 0)->line, 4);
	assert_null(ln_policy_denies_name(p, "x.ads.example.com"));
	assert_null(ln_policy_covers_name(p, "x.bad.dyn.test", 0));
	assert_int_equal(ln_policy_covers_name(p, "old.test", END_S - 1)->line, 5);
	assert_null(ln_policy_covers_name(p, "old.test", END_S));
	assert_true(ln_addr_parse("192.0.2.200", &addr));
	assert_null(ln_policy_covers_addr(p, &addr, 0));
	assert_true(ln_addr_parse("192.0.2.129", &addr));
	assert_int_equal(ln_policy_covers_addr(p, &addr, 0)->line, 3);
	assert_true(ln_addr_parse("192.0.2.9", &addr));
	assert_int_equal(ln_policy_covers_addr(p, &addr, 0)->line, 3);
	assert_true(ln_addr_parse("203.0.113.7", &addr));
	assert_int_equal(ln_policy_covers_addr(p, &addr, 0)->line, 6);
	assert_int_equal(ln_policy_covers_addr(p, &addr, END_S)->line, 7);
	ln_policy_free(&p);
}

static void beside(void **state)
{
	struct ln_policy *p = parse();

	assert_int_equal(ln_policy_match_unix(p, "/run/old", 8, false, END_S - 1)->line, 19);
	assert_null(ln_policy_match_unix(p, "/run/old", 8, false, END_S));
	assert_int_equal(ln_policy_match_inbound(p, IPPROTO_TCP, 8080, NULL, END_S - 1)->line, 22);
	assert_null(ln_policy_match_inbound(p, IPPROTO_TCP, 8080, NULL, END_S));
	ln_policy_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table),
	    cmocka_unit_test(claimed_names),
	    cmocka_unit_test(questions),
	    cmocka_unit_test(beside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
