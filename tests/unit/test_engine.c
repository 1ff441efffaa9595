/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's bounds and its timing. What it says about ordinary events is in tests/replay. */
#include "engine/destinations.h"
#include "engine_fixture.h"

static void test_words(void **state)
{
	assert_string_equal(ln_event_kind_text(LN_EVENT_FORK), "fork");
	assert_string_equal(ln_event_kind_text(LN_EVENT_TICK), "tick");
	assert_string_equal(ln_outcome_text(LN_OUTCOME_TIMED_OUT), "timed-out");
	assert_string_equal(ln_finding_kind_text(LN_FINDING_LOST), "lost");
	assert_string_equal(ln_verdict_text(LN_VERDICT_UNEXPECTED), "unexpected");
	assert_string_equal(ln_verdict_text(LN_VERDICT_COUNT), "unknown");
	assert_string_equal(ln_outcome_text(LN_OUTCOME_COUNT), "unknown");
	assert_string_equal(ln_event_kind_text(LN_EVENT_COUNT), "unknown");
	assert_string_equal(ln_finding_kind_text(LN_FINDING_COUNT), "unknown");
}

static void test_without_policy_everything_is_unexpected(void **state)
{
	struct fixture *f = start_with(ln_policy_new_empty("nobody"));
	struct ln_flow flow = make_flow(1, "198.51.100.1:443", IPPROTO_TCP);

	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_true(f->last.alert);
	assert_null(f->last.rule);
	assert_string_equal(f->last.agent_name, "nobody");
	assert_string_equal(f->last_reason, "Connection not in allow-list.");
	assert_string_equal(f->last_hint, "to allow it, add: destination \"198.51.100.1\", "
					  "port 443, protocol \"TCP\"");
	assert_int_equal(ln_engine_rule_hits(f->engine, 0), 0);
	stop(f);
}

static void test_close_keeps_the_verdict_of_its_open(void **state)
{
	struct fixture *f = start();
	const uint8_t addr[4] = {198, 51, 100, 1};
	struct ln_flow flow = make_flow(9, "198.51.100.1:443", IPPROTO_TCP);

	ask(f, 1, "x.dyn.example.com");
	answer(f, 1, "x.dyn.example.com", addr, 60);
	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_DYNAMIC);
	/* Long after the evidence ended. */
	f->now_ns += 86400 * LN_NS_PER_S;
	close_flow(f, &flow);
	assert_int_equal(f->last.kind, LN_FINDING_FLOW_CLOSE);
	assert_int_equal(f->last.verdict, LN_VERDICT_DYNAMIC);
	assert_int_equal(f->last.rule->kind, LN_RULE_DYNAMIC);
	assert_int_equal(ln_engine_rule_hits(f->engine, f->last.rule->id), 1);
	assert_int_equal(summary(f).flows, 1);
	assert_int_equal(summary(f).tx_bytes, 10);
	assert_int_equal(summary(f).rx_bytes, 20);
	/* A second close of the same flow is one whose open is not known. */
	close_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_int_equal(summary(f).flows, 2);
	stop(f);
}

static void test_a_flow_id_that_opens_again(void **state)
{
	struct fixture *f = start();
	struct ln_flow flow = make_flow(9, "127.0.0.1:80", IPPROTO_TCP);

	flow.same_tree = true;
	open_flow(f, &flow);
	flow.same_tree = false;
	open_flow(f, &flow);
	close_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_int_equal(summary(f).flows, 2);
	close_flow(f, &flow); /* nothing is left of the first */
	assert_int_equal(summary(f).flows, 3);
	stop(f);
}

/* What one agent did is no repeat when another does it, and names of one are not the other's. */
static void test_agents_are_apart(void **state)
{
	struct fixture *f = start();
	const uint8_t addr[4] = {198, 51, 100, 1};
	struct ln_flow flow = make_flow(1, "203.0.113.1:1", IPPROTO_TCP);

	open_flow(f, &flow);
	f->agent = 2;
	open_flow(f, &flow);
	assert_true(f->last.alert);
	f->agent = 1;
	ask(f, 1, "api.example.com");
	f->agent = 2;
	answer(f, 1, "api.example.com", addr, 60);
	assert_false(f->last.trusted);
	f->agent = 1;
	answer(f, 1, "api.example.com", addr, 60);
	assert_true(f->last.trusted);
	flow = make_flow(2, "198.51.100.1:443", IPPROTO_TCP);
	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	f->agent = 2;
	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	stop(f);
}

static void test_open_flows_are_bounded(void **state)
{
	struct fixture *f = start();
	struct ln_flow flow = make_flow(0, "127.0.0.1:80", IPPROTO_TCP);

	flow.same_tree = true;
	for (uint32_t i = 0; i <= LN_OPEN_FLOWS_MAX; i++) {
		flow.id = i + 1;
		open_flow(f, &flow);
	}
	assert_int_equal(summary(f).tables_full, 1);
	assert_int_equal(f->alerts[LN_FINDING_LOST], 1);
	assert_int_equal(summary(f).lost, 0); /* of events nothing was lost */
	assert_int_equal(summary(f).flows, LN_OPEN_FLOWS_MAX + 1);
	flow.id = 2; /* still known */
	close_flow(f, &flow);
	assert_int_equal(summary(f).flows, LN_OPEN_FLOWS_MAX + 1);
	flow.id = 1; /* the oldest, which had to go */
	close_flow(f, &flow);
	assert_int_equal(summary(f).flows, LN_OPEN_FLOWS_MAX + 2);
	stop(f);
}

/* Every destination of a scan is a finding; every one is told, by itself or in a count. */
static void test_scan_is_told_completely(void **state)
{
	struct fixture *f = start();
	const uint32_t n = LN_TOLD_MAX + 5000;

	for (uint32_t i = 0; i < n; i++) {
		struct ln_flow flow = nth_flow(i);

		f->now_ns = START_NS + i * LN_NS_PER_MS;
		open_flow(f, &flow);
	}
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], n);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN] + f->told, n);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], LN_ALERTS_PER_S * (n / 1000 + 1));
	assert_int_equal(f->folds, n / 1000 + 1);
	assert_int_equal(f->n[LN_FINDING_REPEATS], f->folds);
	assert_int_equal(summary(f).violations, n);
	assert_int_equal(summary(f).destinations, n);
	assert_int_equal(summary(f).alerts_folded, f->told);
	assert_int_equal(summary(f).tables_full, 5000); /* the idlest ones went */
	stop(f);
}

static void test_more_destinations_than_are_kept_apart(void **state)
{
	struct fixture *f = start();

	for (uint32_t i = 0; i <= LN_DESTINATIONS_MAX; i++) {
		struct ln_flow flow = nth_flow(i);

		assert_false(summary(f).destinations_over);
		open_flow(f, &flow);
	}
	assert_int_equal(summary(f).destinations, LN_DESTINATIONS_MAX);
	assert_true(summary(f).destinations_over);
	stop(f);
}

/* Repeats of many violations: each is counted in some REPEATS, and those are few a second. */
static void test_repeats_of_many_are_told_completely(void **state)
{
	struct fixture *f = start();
	const uint32_t n = 1000;

	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < n; i++) {
			struct ln_flow flow = nth_flow(i);

			open_flow(f, &flow);
		}
	}
	f->told = 0;
	f->n[LN_FINDING_REPEATS] = 0;
	f->now_ns += 11 * LN_NS_PER_S;
	ln_engine_tick(f->engine, f->now_ns, wall_of(f->now_ns));
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	/* The first round is told by alerts and one count of the fold. */
	assert_int_equal(f->told, 2 * n + (n - LN_ALERTS_PER_S));
	assert_int_equal(f->n[LN_FINDING_REPEATS], LN_ALERTS_PER_S + 2);
	assert_int_equal(summary(f).repeats, 2 * n);
	stop(f);
}

static void test_a_forgotten_violation_tells_its_repeats(void **state)
{
	struct fixture *f = start();
	struct ln_flow flow = nth_flow(0);

	for (int i = 0; i < 5; i++)
		open_flow(f, &flow);
	assert_int_equal(f->n[LN_FINDING_REPEATS], 0);
	for (uint32_t i = 1; i <= LN_TOLD_MAX; i++) {
		flow = nth_flow(i);
		open_flow(f, &flow);
	}
	assert_int_equal(f->n[LN_FINDING_REPEATS], 1);
	assert_int_equal(f->told, 4);
	/* It is new when it comes again. */
	flow = nth_flow(0);
	f->now_ns += 2 * LN_NS_PER_S;
	open_flow(f, &flow);
	assert_true(f->last.alert);
	stop(f);
}

static void test_a_busy_violation_is_not_forgotten(void **state)
{
	struct fixture *f = start();
	struct ln_flow busy = nth_flow(0), flow;

	open_flow(f, &busy);
	for (uint32_t i = 1; i <= LN_TOLD_MAX; i++) {
		if (i % 1000 == 0)
			open_flow(f, &busy);
		flow = nth_flow(i);
		open_flow(f, &flow);
	}
	open_flow(f, &busy);
	assert_int_equal(f->last.repeat_of, LN_TOLD_MAX / 1000 + 1);
	stop(f);
}

static void test_the_deadline_is_when_something_is_due(void **state)
{
	struct fixture *f = start();
	struct ln_flow flow = nth_flow(0);

	assert_true(ln_engine_deadline(f->engine) == UINT64_MAX);
	open_flow(f, &flow);
	assert_true(ln_engine_deadline(f->engine) == UINT64_MAX);
	f->now_ns += LN_NS_PER_S;
	open_flow(f, &flow);
	assert_true(ln_engine_deadline(f->engine) == f->now_ns + 10 * LN_NS_PER_S);
	f->now_ns += 10 * LN_NS_PER_S - 1;
	ln_engine_tick(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->n[LN_FINDING_REPEATS], 0);
	f->now_ns += 1;
	ln_engine_tick(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->n[LN_FINDING_REPEATS], 1);
	assert_int_equal(f->last.count, 1);
	assert_true(f->last.alert);
	assert_true(f->last.wall_ns == wall_of(f->now_ns));
	assert_true(ln_engine_deadline(f->engine) == UINT64_MAX);
	stop(f);
}

/* 10, 20, 40, 80, 160, 300, 300 … seconds while it goes on. */
static void test_the_period_doubles_up_to_five_minutes(void **state)
{
	static const uint64_t periods_s[] = {10, 20, 40, 80, 160, 300, 300, 300};
	struct fixture *f = start();
	struct ln_flow flow = nth_flow(0);

	open_flow(f, &flow);
	for (size_t i = 0; i < LN_ARRAY_SIZE(periods_s); i++) {
		open_flow(f, &flow);
		assert_true(ln_engine_deadline(f->engine) ==
			    f->now_ns + periods_s[i] * LN_NS_PER_S);
		f->now_ns = ln_engine_deadline(f->engine);
		ln_engine_tick(f->engine, f->now_ns, wall_of(f->now_ns));
	}
	assert_int_equal(f->n[LN_FINDING_REPEATS], LN_ARRAY_SIZE(periods_s));
	stop(f);
}

static void test_time_never_goes_back(void **state)
{
	struct fixture *f = start();
	const uint8_t addr[4] = {198, 51, 100, 1};
	struct ln_flow flow = make_flow(1, "198.51.100.1:443", IPPROTO_TCP);

	ask(f, 1, "api.example.com");
	f->now_ns += LN_NS_PER_S;
	answer(f, 1, "api.example.com", addr, 60);
	/* An event of another CPU, a little older than the answer that came before it. */
	f->now_ns -= LN_NS_PER_S / 2;
	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	assert_true(f->last.time_ns == f->now_ns);
	/* Ten seconds from the newest time, not from the event's. */
	flow = nth_flow(0);
	open_flow(f, &flow);
	open_flow(f, &flow);
	assert_true(ln_engine_deadline(f->engine) == START_NS + 11 * LN_NS_PER_S);
	stop(f);
}

static void test_reasons_of_losses_are_bounded(void **state)
{
	struct fixture *f = start();
	char reason[32];

	for (unsigned int i = 0; i < 50; i++) {
		struct ln_event ev = event(f, LN_EVENT_LOST);

		snprintf(reason, sizeof(reason), "reason %u", i);
		ev.lost.reason = reason;
		ev.lost.count = 2;
		ln_engine_feed(f->engine, &ev);
	}
	assert_int_equal(f->n[LN_FINDING_LOST], LN_LOSS_REASONS_MAX);
	assert_int_equal(f->alerts[LN_FINDING_LOST], LN_LOSS_REASONS_MAX);
	assert_string_equal(f->last_reason, "other reasons");
	assert_true(ln_engine_deadline(f->engine) == f->now_ns + LN_NS_PER_S);
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->n[LN_FINDING_LOST], LN_LOSS_REASONS_MAX + 1);
	assert_int_equal(f->last.count, 2 * (50 - LN_LOSS_REASONS_MAX));
	assert_int_equal(summary(f).lost, 100);
	stop(f);
}

static void test_a_full_name_table_is_told(void **state)
{
	struct fixture *f = start();

	for (uint32_t i = 0; summary(f).names_evicted == 0; i++) {
		struct ln_event ev = event(f, LN_EVENT_NAME);

		assert_int_equal(f->n[LN_FINDING_LOST], 0);
		assert_true(i < 100000);
		ev.name.addr = nth_flow(i).remote.addr;
		snprintf(ev.name.evidence.name, LN_NAME_MAX, "api.example.com");
		ev.name.evidence.source = LN_NAME_OWN_LOOKUP;
		ev.name.evidence.expires_ns = UINT64_MAX;
		ln_engine_feed(f->engine, &ev);
	}
	assert_int_equal(f->alerts[LN_FINDING_LOST], 1);
	stop(f);
}

static void test_a_full_process_table_is_told(void **state)
{
	struct fixture *f = start();

	for (uint32_t i = 0; summary(f).processes_refused == 0; i++) {
		struct ln_event ev = event(f, LN_EVENT_FORK);

		assert_int_equal(f->n[LN_FINDING_LOST], 0);
		assert_true(i < 100000);
		ev.fork.child = 1000 + i;
		ln_engine_feed(f->engine, &ev);
	}
	assert_int_equal(f->alerts[LN_FINDING_LOST], 1);
	assert_int_equal(f->last.kind, LN_FINDING_LOST);
	stop(f);
}

static void test_destinations_are_an_exact_bounded_set(void **state)
{
	struct ln_destinations d = {0};
	struct ln_endpoint remote;

	assert_true(ln_endpoint_parse("192.0.2.1:0", 0, &remote));
	for (uint32_t port = 0; port < LN_DESTINATIONS_MAX; port++) {
		remote.port = (uint16_t)port;
		assert_true(ln_destinations_add(&d, &remote, IPPROTO_TCP));
		assert_true(ln_destinations_add(&d, &remote, IPPROTO_TCP));
	}
	assert_int_equal(d.n, LN_DESTINATIONS_MAX);
	assert_false(ln_destinations_add(&d, &remote, IPPROTO_UDP));
	assert_true(ln_destinations_add(&d, &remote, IPPROTO_TCP));
	assert_int_equal(d.n, LN_DESTINATIONS_MAX);
	ln_destinations_done(&d);
}

static void test_processes_live_and_end(void **state)
{
	struct fixture *f = start();
	struct ln_event ev = event(f, LN_EVENT_EXEC);

	ev.exec.exe = "/bin/sh";
	ev.exec.exe_len = strlen(ev.exec.exe);
	ln_engine_feed(f->engine, &ev); /* the root: run tells its exec first */
	ev = event(f, LN_EVENT_FORK);
	ev.fork.child = 101;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(f->last.child, 101);
	assert_int_equal(ln_engine_living(f->engine), 2);
	ev = event(f, LN_EVENT_ADOPT); /* seen twice: by its fork and by the seed */
	ev.pid = 101;
	ev.exec.ppid = 100;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(ln_engine_living(f->engine), 2);
	assert_int_equal(summary(f).processes, 2);
	assert_string_equal(f->last.proc->exe, "/bin/sh");
	ev = event(f, LN_EVENT_EXIT);
	ev.exit.status = 256;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(f->last.exit_status, 256);
	ev.pid = 101;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(ln_engine_living(f->engine), 0);
	stop(f);
}

static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

static void random_beside(struct ln_event *ev, uint32_t n)
{
	static const struct ln_flow flow = {.proto = IPPROTO_TCP, .remote.port = 9};
	static const char *const paths[] = {"/run/docker.sock", "../bus", "\033[2J"};

	if (ev->kind == LN_EVENT_WIRE) {
		ev->wire.flow = nth_flow(n % 40);
		ev->wire.wire = nth_flow(n % 39).remote;
		ev->wire.why = n % LN_WIRE_COUNT;
	} else if (ev->kind == LN_EVENT_CHANNEL) {
		ev->channel.kind = n % LN_CHANNEL_COUNT;
		ev->channel.family = (uint8_t)n;
		ev->channel.number = n % 500;
		ev->channel.own_ns = n % 3 == 0;
		ev->channel.flow = n % 5 ? NULL : &flow;
		ev->channel.path = paths[n % LN_ARRAY_SIZE(paths)];
		ev->channel.path_len = n % 5;
		ev->channel.other.pid = n % 4;
	} else if (ev->kind == LN_EVENT_CGROUP) {
		ev->cgroup.id = n % 8;
		ev->cgroup.path = paths[n % LN_ARRAY_SIZE(paths)];
		ev->cgroup.path_len = strlen(ev->cgroup.path);
	} else if (ev->kind == LN_EVENT_TAMPER) {
		ev->tamper.what = paths[n % LN_ARRAY_SIZE(paths)];
	}
}

/* Any events, in any order, with any bytes. */
static void random_event(struct fixture *f, uint64_t *seed)
{
	static const char *const exes[] = {"/bin/a", "/bin/\033[2J", ""};
	uint8_t bytes[64];
	struct ln_event ev = event(f, next_random(seed) % LN_EVENT_COUNT);
	uint32_t n = next_random(seed);

	f->now_ns += next_random(seed) % (3 * LN_NS_PER_S);
	ev.pid = n % 50;
	ev.agent = n % 3;
	if (ev.kind == LN_EVENT_FORK) {
		ev.fork.child = next_random(seed) % 50;
	} else if (ev.kind == LN_EVENT_EXEC || ev.kind == LN_EVENT_ADOPT) {
		ev.exec.exe = exes[n % LN_ARRAY_SIZE(exes)];
		ev.exec.exe_len = strlen(ev.exec.exe);
		ev.exec.cgroup_id = n % 9;
	} else if (ev.kind == LN_EVENT_FLOW_OPEN || ev.kind == LN_EVENT_FLOW_CLOSE) {
		ev.flow.flow = nth_flow(n % 40);
		ev.flow.flow.proto = n % 2 ? IPPROTO_TCP : (uint8_t)n;
		ev.flow.flow.received = n % 7 == 0;
		ev.flow.flow.inbound = n % 11 == 0;
	} else if (ev.kind == LN_EVENT_DNS) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)next_random(seed) % 8;
		bytes[2] = n % 2 ? 0x81 : 0x01;
		ev.dns.flow = make_flow(7, RESOLVER, IPPROTO_UDP);
		ev.dns.answer = n % 2;
		ev.dns.bytes = bytes;
		ev.dns.len = n % sizeof(bytes);
	} else if (ev.kind == LN_EVENT_NAME) {
		ev.name.addr = nth_flow(n % 40).remote.addr;
		ev.name.evidence.grants = true;
		ev.name.evidence.source = n % LN_NAME_SOURCE_COUNT;
		ev.name.evidence.expires_ns = f->now_ns + LN_NS_PER_S;
		snprintf(ev.name.evidence.name, LN_NAME_MAX, "%s",
			 n % 2 ? "api.example.com" : "x.dyn.example.com");
	} else if (ev.kind == LN_EVENT_LOST) {
		ev.lost.reason = "ring buffer full";
		ev.lost.count = n % 9;
	} else {
		random_beside(&ev, n);
	}
	ln_engine_feed(f->engine, &ev);
}

static uint64_t random_run(uint64_t seed)
{
	struct fixture *f = start();
	uint64_t result;

	for (int i = 0; i < 20000; i++)
		random_event(f, &seed);
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->titled, summary(f).violations + summary(f).repeats);
	assert_true(summary(f).repeats > 1000);
	assert_true(ln_engine_deadline(f->engine) == UINT64_MAX);
	result = f->digest;
	stop(f);
	return result;
}

static void test_same_events_same_findings(void **state)
{
	assert_true(random_run(1) == random_run(1));
	assert_true(random_run(2) != random_run(3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_without_policy_everything_is_unexpected),
	    cmocka_unit_test(test_close_keeps_the_verdict_of_its_open),
	    cmocka_unit_test(test_a_flow_id_that_opens_again),
	    cmocka_unit_test(test_agents_are_apart),
	    cmocka_unit_test(test_open_flows_are_bounded),
	    cmocka_unit_test(test_scan_is_told_completely),
	    cmocka_unit_test(test_more_destinations_than_are_kept_apart),
	    cmocka_unit_test(test_repeats_of_many_are_told_completely),
	    cmocka_unit_test(test_a_forgotten_violation_tells_its_repeats),
	    cmocka_unit_test(test_a_busy_violation_is_not_forgotten),
	    cmocka_unit_test(test_the_deadline_is_when_something_is_due),
	    cmocka_unit_test(test_the_period_doubles_up_to_five_minutes),
	    cmocka_unit_test(test_time_never_goes_back),
	    cmocka_unit_test(test_reasons_of_losses_are_bounded),
	    cmocka_unit_test(test_a_full_name_table_is_told),
	    cmocka_unit_test(test_a_full_process_table_is_told),
	    cmocka_unit_test(test_destinations_are_an_exact_bounded_set),
	    cmocka_unit_test(test_processes_live_and_end),
	    cmocka_unit_test(test_same_events_same_findings),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
