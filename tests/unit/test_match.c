/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy permits, what comes near it, and what that costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <time.h>

#include "base/buf.h"
#include "policy/parse.h"
#include "policy/policy.h"

#define HEAD "agent_name: a\nexpected_outbound:\n"

static struct ln_policy *parse(const char *text, size_t len)
{
	struct ln_diags d = {0};
	struct ln_policy *p = NULL;
	int err = ln_policy_parse("good.yaml", text, len, false, &d, &p);

	if (err != 0 || d.n_errors > 0)
		fail_msg("%d: %s", err, d.n > 0 ? d.list[0].text : "");
	ln_diags_done(&d);
	return p;
}

static const char matcher[] =
    HEAD "  - {destination: api.example.com, port: [443, 444], protocol: TCP}\n"       /* 0 */
	 "  - {destination: '*.example.com', port: 443, protocol: any}\n"              /* 1 */
	 "  - {destination: '*.deep.example.com', port: [443, 8443], protocol: TCP}\n" /* 2 */
	 "  - {destination: 10.0.0.0/8, port: 1-1024, protocol: TCP}\n"                /* 3 */
	 "  - {destination: 10.1.0.0/16, port: [80, 5000], protocol: any}\n"           /* 4 */
	 "  - {destination: 10.1.2.3, port: [22, 5000], protocol: any}\n"              /* 5 */
	 "  - {destination: '2001:db8::/32', port: any, protocol: any}\n"              /* 6 */
	 "  - {destination: one.example.org, port: 443, protocol: TCP}\n"              /* 7 */
	 "allowed_dynamic_resolution:\n"
	 "  - '*.example.org'\n"                                    /* 8 */
	 "  - {name: dyn.example.net, port: 443, protocol: TCP}\n"; /* 9 */

#define NONE (-1)
#define SOME "192.0.2.1" /* no rule is about it */

static const struct {
	const char *addr;
	uint16_t port;
	uint8_t proto;
	const char *granting[3], *naming[3];
	int rule;
	const char *name;
	enum ln_near_miss near;
	int near_rule;
	const char *near_name;
} match_rows[] = {
    /* An exact name is that name alone; a suffix is any depth, and not itself. */
    {SOME, 443, 6, {"api.example.com"}, {0}, 0, "api.example.com"},
    {SOME, 443, 6, {"www.example.com"}, {0}, 1, "www.example.com"},
    {SOME, 443, 6, {"a.b.c.d.example.com"}, {0}, 1, "a.b.c.d.example.com"},
    {SOME, 443, 17, {"api.example.com"}, {0}, 1, "api.example.com"},
    {SOME, 443, 6, {"example.com"}, {0}, NONE, NULL, LN_NEAR_SUBDOMAIN, 1, "example.com"},
    {SOME, 443, 6, {"notexample.com"}, {0}, NONE},
    {SOME, 443, 6, {"one.example.org"}, {0}, 7, "one.example.org"},
    /* The longer suffix, over the order of the names. */
    {SOME, 443, 6, {"w.example.com", "x.deep.example.com"}, {0}, 2, "x.deep.example.com"},
    {SOME, 443, 6, {"x.deep.example.com", "api.example.com"}, {0}, 0, "api.example.com"},
    /* Expected over dynamic; what expected does not permit may still be dynamic. */
    {SOME, 443, 6, {"dyn.example.net", "www.example.com"}, {0}, 1, "www.example.com"},
    {SOME, 80, 6, {"one.example.org"}, {0}, 8, "one.example.org"},
    {SOME, 443, 6, {"dyn.example.net"}, {0}, 9, "dyn.example.net"},
    {SOME, 443, 132, {"x.example.org"}, {0}, 8, "x.example.org"},
    /* Addresses: the longest prefix that permits; over names. */
    {"10.9.9.9", 80, 6, {0}, {0}, 3},
    {"10.1.9.9", 80, 6, {0}, {0}, 4},
    {"10.1.9.9", 443, 6, {"api.example.com"}, {0}, 3},
    {"10.1.2.3", 5000, 17, {0}, {0}, 5},
    {"10.1.2.3", 80, 17, {0}, {0}, 4},
    {"::ffff:10.1.2.3", 22, 6, {0}, {0}, 5},
    {"2001:db8:ffff::1", 1, 17, {0}, {0}, 6},
    {"2001:db9::1", 1, 17, {0}, {0}, NONE},
    {"11.0.0.1", 80, 6, {0}, {0}, NONE},
    /* Near misses. */
    {SOME, 8443, 6, {"api.example.com"}, {0}, NONE, NULL, LN_NEAR_PORT, 0, "api.example.com"},
    {SOME, 444, 17, {"api.example.com"}, {0}, NONE, NULL, LN_NEAR_PROTO, 0, "api.example.com"},
    {SOME,
     443,
     17,
     {"one.example.net", "dyn.example.net"},
     {0},
     NONE,
     NULL,
     LN_NEAR_PROTO,
     9,
     "dyn.example.net"},
    {SOME,
     443,
     6,
     {"sub.dyn.example.net"},
     {0},
     NONE,
     NULL,
     LN_NEAR_SUBDOMAIN,
     9,
     "sub.dyn.example.net"},
    {SOME, 443, 6, {0}, {"api.example.com"}, NONE, NULL, LN_NEAR_UNTRUSTED, 0, "api.example.com"},
    {SOME, 9, 6, {0}, {"w.example.com"}, NONE, NULL, LN_NEAR_UNTRUSTED, 1, "w.example.com"},
    {SOME,
     443,
     6,
     {"evil.example"},
     {"sub.dyn.example.net", "api.example.com"},
     NONE,
     NULL,
     LN_NEAR_UNTRUSTED,
     0,
     "api.example.com"},
    {SOME,
     9,
     6,
     {"api.example.com"},
     {"x.example.org"},
     NONE,
     NULL,
     LN_NEAR_PORT,
     0,
     "api.example.com"},
    {"10.1.2.3", 23, 17, {0}, {0}, NONE, NULL, LN_NEAR_PROTO, 3},
    {"10.9.9.9", 2000, 6, {0}, {0}, NONE, NULL, LN_NEAR_PORT, 3},
    {SOME, 443, 6, {0}, {0}, NONE},
    {SOME, 443, 6, {""}, {"."}, NONE},
};

static void match_table(void **state)
{
	struct ln_policy *p = parse(matcher, strlen(matcher));

	for (size_t i = 0; i < LN_ARRAY_SIZE(match_rows); i++) {
		struct ln_query q = {.port = match_rows[i].port,
				     .proto = match_rows[i].proto,
				     .granting = match_rows[i].granting,
				     .naming = match_rows[i].naming};
		struct ln_match m;

		assert_true(ln_addr_parse(match_rows[i].addr, &q.addr));
		while (q.n_granting < 3 && match_rows[i].granting[q.n_granting])
			q.n_granting++;
		while (q.n_naming < 3 && match_rows[i].naming[q.n_naming])
			q.n_naming++;
		memset(&m, 0xff, sizeof(m));
		ln_policy_match(p, &q, &m);
		if ((m.rule ? (int)m.rule->id : NONE) != match_rows[i].rule ||
		    m.near != match_rows[i].near)
			fail_msg("row %zu: rule %d, near %d", i, m.rule ? (int)m.rule->id : NONE,
				 m.near);
		assert_string_equal(m.name ? m.name : "",
				    match_rows[i].name ? match_rows[i].name : "");
		assert_string_equal(m.near_name ? m.near_name : "",
				    match_rows[i].near_name ? match_rows[i].near_name : "");
		if (match_rows[i].near == LN_NEAR_NONE)
			assert_null(m.near_rule);
		else
			assert_int_equal(m.near_rule->id, match_rows[i].near_rule);
	}
	ln_policy_free(&p);
}

static void covers(void **state)
{
	static const struct {
		const char *name;
		int rule;
	} names[] = {{"api.example.com", 0}, {"x.api.example.com", 1},
		     {"example.com", NONE},  {"x.deep.example.com", 2},
		     {"one.example.org", 7}, {"two.example.org", 8},
		     {"dyn.example.net", 9}, {"x.dyn.example.net", NONE},
		     {"com", NONE},          {"", NONE}};
	static const struct {
		const char *addr;
		int rule;
	} addrs[] = {{"10.200.0.1", 3},  {"10.1.0.1", 4},     {"10.1.2.3", 5},
		     {"2001:db8::9", 6}, {"192.0.2.1", NONE}, {"::1", NONE}};
	struct ln_policy *p = parse(matcher, strlen(matcher));

	for (size_t i = 0; i < LN_ARRAY_SIZE(names); i++) {
		const struct ln_rule *r = ln_policy_covers_name(p, names[i].name, 0);

		assert_int_equal(r ? (int)r->id : NONE, names[i].rule);
	}
	for (size_t i = 0; i < LN_ARRAY_SIZE(addrs); i++) {
		const struct ln_rule *r;
		struct ln_addr addr;

		assert_true(ln_addr_parse(addrs[i].addr, &addr));
		r = ln_policy_covers_addr(p, &addr, 0);
		assert_int_equal(r ? (int)r->id : NONE, addrs[i].rule);
	}
	assert_null(ln_policy_covers_addr(p, &(struct ln_addr){0}, 0));
	ln_policy_free(&p);
}

static void empty_policy(void **state)
{
	struct ln_policy *p = ln_policy_new_empty("lonely");
	const char *const name = "a.example";
	struct ln_query q = {.port = 443, .proto = 6, .granting = &name, .n_granting = 1};
	const struct ln_endpoint *resolvers;
	struct ln_match m;

	assert_non_null(p);
	assert_true(ln_addr_parse("192.0.2.1", &q.addr));
	ln_policy_match(p, &q, &m);
	assert_null(m.rule);
	assert_int_equal(m.near, LN_NEAR_NONE);
	assert_string_equal(ln_policy_agent_name(p), "lonely");
	assert_int_equal(ln_policy_rules(p), 0);
	assert_int_equal(ln_policy_resolvers(p, &resolvers), 0);
	assert_null(ln_policy_covers_name(p, name, 0));
	ln_policy_free(&p);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Names, addresses and networks in turn. */
static struct ln_policy *many_rules(int n)
{
	struct ln_buf text = {.max = LN_POLICY_BYTES_MAX};
	struct ln_policy *p;

	ln_buf_adds(&text, HEAD);
	for (int i = 0; i < n; i++) {
		if (i % 3 == 0)
			ln_buf_addf(&text, "  - destination: host%d.service.example.com\n", i);
		else if (i % 3 == 1)
			ln_buf_addf(&text, "  - destination: 10.%d.%d.%d\n", i >> 16, i >> 8 & 255,
				    i & 255);
		else
			ln_buf_addf(&text, "  - destination: 2001:db8:%x:%x::/64\n", i >> 16,
				    i & 0xffff);
		ln_buf_addf(&text, "    port: 443\n    protocol: TCP\n    purpose: rule %d\n", i);
	}
	p = parse(text.data, text.len);
	assert_int_equal(ln_policy_rules(p), n);
	ln_buf_done(&text);
	return p;
}

/* The fastest of some rounds over names that the policy lists and names that it does not. */
static double match_cost(const struct ln_policy *p, size_t n_rules)
{
	enum { NAMES = 512, ROUNDS = 20 };
	static char names[NAMES][64];
	double best = 1e9;

	for (size_t i = 0; i < NAMES; i++) {
		size_t listed = i * 7919 % n_rules / 3 * 3;

		snprintf(names[i], sizeof(names[i]), "host%zu.service.example.%s", listed,
			 i % 2 == 0 ? "com" : "net");
	}
	for (int round = 0; round < ROUNDS; round++) {
		double start = seconds();
		size_t hits = 0;

		for (size_t i = 0; i < NAMES; i++) {
			const char *const name = names[i];
			struct ln_query q = {.addr = {.family = 4, .bytes = {192, 0, 2, 1}},
					     .port = 443,
					     .proto = 6,
					     .granting = &name,
					     .n_granting = 1};
			struct ln_match m;

			ln_policy_match(p, &q, &m);
			hits += m.rule != NULL;
		}
		assert_int_equal(hits, NAMES / 2);
		best = LN_MIN(best, (seconds() - start) / NAMES);
	}
	return best;
}

/* Generous, for sanitizers and busy machines: what it must catch is anything quadratic. */
static void many_rules_stay_fast(void **state)
{
	double start = seconds(), few_cost, many_cost;
	struct ln_policy *many = many_rules(100000), *few;

	assert_true(seconds() - start < 5.0);
	few = many_rules(10);
	few_cost = match_cost(few, 10);
	many_cost = match_cost(many, 100000);
	print_message("# a match costs %.0f ns with 10 rules, %.0f ns with 100,000\n",
		      few_cost * 1e9, many_cost * 1e9);
	assert_true(many_cost < few_cost * 10 + 1e-6);
	ln_policy_free(&few);
	ln_policy_free(&many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(match_table),
	    cmocka_unit_test(covers),
	    cmocka_unit_test(empty_policy),
	    cmocka_unit_test(many_rules_stay_fast),
	};

	return cmocka_run_group_tests_name("match", tests, NULL, NULL);
}
