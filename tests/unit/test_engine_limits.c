/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of a policy: how much in a period, and to how many new destinations. */
#include "engine_fixture.h"

static struct fixture *start_limited(const char *limits)
{
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;
	char text[1024];

	snprintf(text, sizeof(text),
		 "agent_name: tester\nexpected_outbound:\n"
		 "  - {destination: \"100.0.0.0/8\", port: any, protocol: any}\n"
		 "  - {destination: \"api.example.com\", port: 443, protocol: TCP}\n"
		 "limits:\n%s",
		 limits);
	assert_int_equal(ln_policy_parse("l.yaml", text, strlen(text), false, &diags, &policy), 0);
	ln_diags_done(&diags);
	return start_with(policy);
}

static void sent(struct fixture *f, const struct ln_flow *flow, enum ln_event_kind kind,
		 uint64_t bytes)
{
	struct ln_event ev = event(f, kind);

	ev.flow.flow = *flow;
	ev.flow.end.tx_bytes = bytes;
	ln_engine_feed(f->engine, &ev);
}

static void progress(struct fixture *f, const struct ln_flow *flow, uint64_t bytes)
{
	sent(f, flow, LN_EVENT_FLOW_PROGRESS, bytes);
}

static void test_an_expected_place_that_carries_too_much(void **state)
{
	struct fixture *f = start_limited("  - {bytes_out: 1000B, period: 1h}\n");
	struct ln_flow flow = nth_flow(1);

	open_flow(f, &flow);
	progress(f, &flow, 600);
	progress(f, &flow, 1000);
	assert_int_equal(f->n[LN_FINDING_LIMIT], 0);
	progress(f, &flow, 1001);
	assert_int_equal(f->alerts[LN_FINDING_LIMIT], 1);
	assert_string_equal(f->last.title, "VOLUME LIMIT");
	assert_non_null(strstr(f->last_reason, "1001 bytes sent within 3600 s"));
	assert_int_equal(summary(f).violations, 1);
	/* Once a period. */
	progress(f, &flow, 500000);
	assert_int_equal(f->n[LN_FINDING_LIMIT], 1);
	stop(f);
}

/* What progress has told already does not count again at the end. */
static void test_the_end_of_a_flow_counts_the_rest(void **state)
{
	struct fixture *f = start_limited("  - {bytes_out: 1000B, period: 1h}\n");
	struct ln_flow flow = nth_flow(1), other = nth_flow(2);

	open_flow(f, &flow);
	progress(f, &flow, 600);
	sent(f, &flow, LN_EVENT_FLOW_CLOSE, 900);
	assert_int_equal(f->n[LN_FINDING_LIMIT], 0);
	open_flow(f, &other);
	sent(f, &other, LN_EVENT_FLOW_CLOSE, 101);
	assert_int_equal(f->alerts[LN_FINDING_LIMIT], 1);
	stop(f);
}

static void test_a_period_later_it_is_forgotten(void **state)
{
	struct fixture *f = start_limited("  - {bytes_out: 1000B, period: 16s}\n");
	struct ln_flow flow = nth_flow(1);

	open_flow(f, &flow);
	for (uint64_t n = 1; n <= 20; n++) {
		progress(f, &flow, 900 * n);
		f->now_ns += 16 * LN_NS_PER_S;
	}
	assert_int_equal(f->n[LN_FINDING_LIMIT], 0);
	f->now_ns -= 15 * LN_NS_PER_S;
	progress(f, &flow, 900 * 21);
	assert_int_equal(f->alerts[LN_FINDING_LIMIT], 1);
	stop(f);
}

static void test_a_limit_is_for_its_destination(void **state)
{
	struct fixture *f =
	    start_limited("  - {destination: \"*.example.com\", bytes_out: 1000B, period: 1h}\n");
	struct ln_flow other = nth_flow(1);
	struct ln_flow named = make_flow(99, "203.0.113.10:443", IPPROTO_TCP);
	static const uint8_t addr[4] = {203, 0, 113, 10};

	open_flow(f, &other);
	progress(f, &other, 1000000);
	ask(f, 1, "api.example.com");
	answer(f, 1, "api.example.com", addr, 60);
	open_flow(f, &named);
	progress(f, &named, 1000);
	assert_int_equal(f->n[LN_FINDING_LIMIT], 0);
	/* By the name that permitted it, also when the answer is past. */
	f->now_ns += 1700 * LN_NS_PER_S;
	progress(f, &named, 1001);
	assert_int_equal(f->alerts[LN_FINDING_LIMIT], 1);
	stop(f);
}

static void test_new_destinations(void **state)
{
	struct fixture *f = start_limited("  - {new_destinations: 3, period: 1h}\n");

	for (uint32_t i = 0; i < 3; i++) {
		struct ln_flow flow = nth_flow(i);
		open_flow(f, &flow);
		flow.id += 1000;
		open_flow(f, &flow); /* the same again is not new */
	}
	assert_int_equal(f->n[LN_FINDING_LIMIT], 0);
	struct ln_flow flow = nth_flow(3);
	open_flow(f, &flow);
	assert_int_equal(f->alerts[LN_FINDING_LIMIT], 1);
	assert_string_equal(f->last.title, "NEW DESTINATIONS LIMIT");
	stop(f);
}

/* A pool of addresses behind one name is one destination. */
static void test_a_name_of_many_addresses_is_one_destination(void **state)
{
	struct fixture *f = start_limited("  - {new_destinations: 1, period: 1h}\n");

	for (uint8_t i = 1; i < 20; i++) {
		const uint8_t addr[4] = {203, 0, 113, i};
		struct ln_flow flow = {.id = i, .proto = IPPROTO_TCP};

		ask(f, i, "api.example.com");
		answer(f, i, "api.example.com", addr, 60);
		flow.remote.addr = ln_addr_make(4, addr);
		flow.remote.port = 443;
		open_flow(f, &flow);
	}
	assert_int_equal(f->n[LN_FINDING_LIMIT], 0);
	stop(f);
}

static void test_what_stays_inside_does_not_count(void **state)
{
	struct fixture *f =
	    start_limited("  - {bytes_out: 10B, new_destinations: 1, period: 1h}\n");
	struct ln_flow flow = make_flow(7, "127.0.0.1:80", IPPROTO_TCP);

	flow.same_tree = true;
	open_flow(f, &flow);
	flow.id = 8;
	flow.remote.port = 81;
	open_flow(f, &flow);
	progress(f, &flow, 100000);
	assert_int_equal(f->n[LN_FINDING_LIMIT], 0);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_an_expected_place_that_carries_too_much),
	    cmocka_unit_test(test_the_end_of_a_flow_counts_the_rest),
	    cmocka_unit_test(test_a_period_later_it_is_forgotten),
	    cmocka_unit_test(test_a_limit_is_for_its_destination),
	    cmocka_unit_test(test_new_destinations),
	    cmocka_unit_test(test_a_name_of_many_addresses_is_one_destination),
	    cmocka_unit_test(test_what_stays_inside_does_not_count),
	};

	return cmocka_run_group_tests_name("engine_limits", tests, NULL, NULL);
}
