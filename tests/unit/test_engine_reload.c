/* SPDX-License-Identifier: Apache-2.0 */
/* Another policy while flows are open. */
#include "engine_fixture.h"

#define LISTED     "203.0.113.10"
#define LISTED_443 LISTED ":443"

static const uint8_t listed_addr[4] = {203, 0, 113, 10};

/* A policy whose rules are "destination port" lines of TCP. */
static struct ln_policy *make_policy(const char *rules, const char *more)
{
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;
	char text[2048], destination[128], port[16];
	size_t len =
	    (size_t)snprintf(text, sizeof(text), "agent_name: tester\nexpected_outbound:\n");
	int used;

	for (; sscanf(rules, "%127s %15s%n", destination, port, &used) == 2; rules += used)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"  - {destination: \"%s\", port: %s, protocol: TCP}\n",
					destination, port);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", more);
	assert_int_equal(ln_policy_parse("new.yaml", text, len, false, &diags, &policy), 0);
	ln_diags_done(&diags);
	return policy;
}

/* The fixture's policy becomes this one. */
static void take(struct fixture *f, struct ln_policy *policy)
{
	struct ln_endpoint resolver;

	assert_true(ln_endpoint_parse(RESOLVER, 53, &resolver));
	assert_int_equal(
	    ln_engine_take_policy(f->engine, policy, &resolver, 1, f->now_ns, wall_of(f->now_ns)),
	    0);
	ln_policy_free(&f->policy);
	f->policy = policy;
}

static struct fixture *start_named(void)
{
	struct fixture *f = start_with(make_policy("api.example.com 443", ""));

	ask(f, 1, "api.example.com");
	answer(f, 1, "api.example.com", listed_addr, 60);
	return f;
}

static void test_a_flow_that_a_rule_still_permits_stays(void **state)
{
	struct fixture *f = start_named();
	struct ln_flow flow = make_flow(7, LISTED_443, IPPROTO_TCP);

	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	take(f, make_policy("other.example.com 443 api.example.com 443", ""));
	assert_int_equal(f->n[LN_FINDING_VERDICT], 0);
	assert_int_equal(f->n[LN_FINDING_POLICY], 1);
	close_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	assert_int_equal(f->last.rule->id, 1);
	stop(f);
}

/* A connection outlives the answer that named its place. */
static void test_the_name_that_permitted_counts_after_its_answer(void **state)
{
	struct fixture *f = start_named();
	struct ln_flow flow = make_flow(7, LISTED_443, IPPROTO_TCP);
	struct ln_flow late = make_flow(8, LISTED_443, IPPROTO_TCP);

	open_flow(f, &flow);
	f->now_ns += 7200 * LN_NS_PER_S;
	take(f, make_policy("*.example.com 443", ""));
	assert_int_equal(f->n[LN_FINDING_VERDICT], 0);
	open_flow(f, &late);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	close_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	stop(f);
}

static void test_a_flow_that_is_not_permitted_any_more_is_an_alert(void **state)
{
	struct fixture *f = start_named();
	struct ln_flow flow = make_flow(7, LISTED_443, IPPROTO_TCP);

	open_flow(f, &flow);
	take(f, make_policy("other.example.com 443", ""));
	assert_int_equal(f->alerts[LN_FINDING_VERDICT], 1);
	assert_int_equal(f->last.kind, LN_FINDING_POLICY);
	assert_int_equal(summary(f).violations, 1);
	close_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_null(f->last.rule);
	stop(f);
}

static void test_a_denied_name_ends_the_permission(void **state)
{
	struct fixture *f = start_named();
	struct ln_flow flow = make_flow(7, LISTED_443, IPPROTO_TCP);

	open_flow(f, &flow);
	take(f, make_policy("api.example.com 443", "deny: [\"203.0.113.0/24\"]\n"));
	assert_int_equal(f->alerts[LN_FINDING_VERDICT], 1);
	stop(f);
}

static void test_what_was_unexpected_may_be_expected_now(void **state)
{
	struct fixture *f = start_with(make_policy("other.example.com 443", ""));
	struct ln_flow flow = make_flow(7, LISTED_443, IPPROTO_TCP);

	open_flow(f, &flow);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], 1);
	take(f, make_policy(LISTED " 443", ""));
	assert_int_equal(f->n[LN_FINDING_VERDICT], 1);
	assert_int_equal(f->alerts[LN_FINDING_VERDICT], 0);
	close_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	stop(f);
}

/* The rule that would have permitted it goes with the policy that had it. */
static void test_an_expired_rule_goes_with_its_policy(void **state)
{
	struct fixture *f = start_with(make_policy(
	    "api.example.com 443",
	    "  - {destination: " LISTED ", port: 443, protocol: TCP, expires: 2023-10-01}\n"));
	struct ln_flow flow = make_flow(7, LISTED_443, IPPROTO_TCP);

	open_flow(f, &flow);
	assert_string_equal(f->last_reason,
			    "Rule at line 4 expired on 2023-10-01T00:00:00Z (" LISTED ").");
	take(f, make_policy("api.example.com 443", ""));
	close_flow(f, &flow);
	assert_string_equal(f->last_reason, LN_REASON_CONNECTION);
	stop(f);
}

/* Also of a rule that another flow's reason has overwritten, or that is gone. */
static void test_repeats_keep_the_reason(void **state)
{
	struct fixture *f = start_with(make_policy(
	    "api.example.com 443\n203.0.113.11 443",
	    "  - {destination: " LISTED ", port: 443, protocol: TCP, expires: 2023-10-01}\n"));
	struct ln_flow flow = make_flow(7, LISTED_443, IPPROTO_TCP);
	struct ln_flow listed = make_flow(8, "203.0.113.11:443", IPPROTO_TCP);

	open_flow(f, &flow);
	flow.id++;
	open_flow(f, &flow);
	open_flow(f, &listed);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	take(f, make_policy("api.example.com 443", ""));
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->n[LN_FINDING_REPEATS], 1);
	assert_string_equal(f->last_reason,
			    "Rule at line 5 expired on 2023-10-01T00:00:00Z (" LISTED ").");
	stop(f);
}

static void test_uses_are_counted_on_for_rules_that_stay(void **state)
{
	struct fixture *f = start_with(make_policy(LISTED " 443 198.51.100.1 80", ""));
	struct ln_flow flow = make_flow(7, LISTED_443, IPPROTO_TCP);

	open_flow(f, &flow);
	close_flow(f, &flow);
	take(f, make_policy("192.0.2.1 22 198.51.100.1 80 " LISTED " 443", ""));
	assert_int_equal(ln_engine_rule_hits(f->engine, 0), 0);
	assert_int_equal(ln_engine_rule_hits(f->engine, 1), 0);
	assert_int_equal(ln_engine_rule_hits(f->engine, 2), 1);
	stop(f);
}

static void test_a_refused_policy_changes_nothing(void **state)
{
	struct fixture *f = start_named();
	struct ln_flow flow = make_flow(7, LISTED_443, IPPROTO_TCP);

	ln_engine_refuse_policy(f->engine, "new.yaml", "it has 2 errors", f->now_ns,
				wall_of(f->now_ns));
	assert_int_equal(f->n[LN_FINDING_POLICY], 1);
	assert_string_equal(f->last_reason, "it has 2 errors");
	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_flow_that_a_rule_still_permits_stays),
	    cmocka_unit_test(test_the_name_that_permitted_counts_after_its_answer),
	    cmocka_unit_test(test_a_flow_that_is_not_permitted_any_more_is_an_alert),
	    cmocka_unit_test(test_a_denied_name_ends_the_permission),
	    cmocka_unit_test(test_what_was_unexpected_may_be_expected_now),
	    cmocka_unit_test(test_an_expired_rule_goes_with_its_policy),
	    cmocka_unit_test(test_repeats_keep_the_reason),
	    cmocka_unit_test(test_uses_are_counted_on_for_rules_that_stay),
	    cmocka_unit_test(test_a_refused_policy_changes_nothing),
	};

	return cmocka_run_group_tests_name("engine_reload", tests, NULL, NULL);
}
