/* SPDX-License-Identifier: Apache-2.0 */
/* Flows that wait for a name to be confirmed before they are told: src/engine/holds.c. */
#include <sys/socket.h>
#include "engine_fixture.h"

#define PLACE "203.0.113.10:443"
#define OTHER "203.0.113.99:443"
#define NSCD  "/var/run/nscd/socket"
#define MS(n) ((n)*LN_NS_PER_MS)

static const char policy_text[] = "agent_name: \"tester\"\n"
				  "expected_outbound:\n"
				  "  - {destination: api.example.com, port: 443, protocol: TCP}\n"
				  "  - {destination: two.example.com, port: 443, protocol: TCP}\n"
				  "  - {destination: mail.example.com, port: 25, protocol: TCP}\n"
				  "allowed_dynamic_resolution: [\"*.dyn.example.com\"]\n";

/* What the engine asked for. */
static struct asked {
	uint64_t ticket;
	size_t times, n_names;
	char names[8][LN_NAME_MAX];
	bool refuse;
} asked;

static bool on_ask(uint64_t ticket, const char *const *names, size_t n, void *user)
{
	if (asked.refuse)
		return false;
	asked.times++;
	asked.ticket = ticket;
	asked.n_names = n;
	for (size_t i = 0; i < n && i < LN_ARRAY_SIZE(asked.names); i++)
		snprintf(asked.names[i], LN_NAME_MAX, "%s", names[i]);
	return true;
}

static struct fixture *start_holding(struct ln_engine_config config)
{
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;
	struct fixture *f;

	assert_int_equal(
	    ln_policy_parse("t.yaml", policy_text, strlen(policy_text), false, &diags, &policy), 0);
	ln_diags_done(&diags);
	f = start_with(policy);
	ln_engine_free(&f->engine);
	config.policy = policy;
	config.agent = 1;
	config.on_finding = on_finding;
	config.user = f;
	memset(&asked, 0, sizeof(asked));
	assert_int_equal(ln_engine_new(&config, &f->engine), 0);
	return f;
}

static struct fixture *start_asking(void)
{
	return start_holding((struct ln_engine_config){.ask = on_ask});
}

static void reach_unix(struct fixture *f, const char *path, uint32_t listener)
{
	struct ln_event ev = event(f, LN_EVENT_CHANNEL);

	ev.channel.kind = LN_CHANNEL_UNIX_SOCKET;
	ev.channel.family = AF_UNIX;
	ev.channel.path = path;
	ev.channel.path_len = strlen(path);
	ev.channel.other.pid = listener;
	ln_engine_feed(f->engine, &ev);
}

static void tell_name(struct fixture *f, const char *name, const char *addr,
		      enum ln_name_source source)
{
	struct ln_event ev = event(f, LN_EVENT_NAME);

	ev.agent = 0;
	ev.pid = 0;
	assert_true(ln_addr_parse(addr, &ev.name.addr));
	snprintf(ev.name.evidence.name, LN_NAME_MAX, "%s", name);
	ev.name.evidence.source = source;
	ev.name.evidence.grants = true;
	ev.name.evidence.seen_ns = f->now_ns;
	ev.name.evidence.expires_ns = f->now_ns + 60 * LN_NS_PER_S;
	ln_engine_feed(f->engine, &ev);
}

static void looked(struct fixture *f, uint64_t ticket, bool failed)
{
	struct ln_event ev = event(f, LN_EVENT_LOOKED);

	ev.looked.ticket = ticket;
	ev.looked.failed = failed;
	ln_engine_feed(f->engine, &ev);
}

static void open_to(struct fixture *f, uint64_t id, const char *remote)
{
	const struct ln_flow flow = make_flow(id, remote, IPPROTO_TCP);

	open_flow(f, &flow);
}

static void close_to(struct fixture *f, uint64_t id, const char *remote)
{
	const struct ln_flow flow = make_flow(id, remote, IPPROTO_TCP);

	close_flow(f, &flow);
}

/* Where the agent has used nscd, and connects to a place of which no name is known. */
static struct fixture *start_held(void)
{
	struct fixture *f = start_asking();

	reach_unix(f, NSCD, 77);
	open_to(f, 1, PLACE);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 0);
	assert_int_equal(asked.times, 1);
	return f;
}

static void test_nothing_is_held_without_a_reason(void **state)
{
	struct fixture *f = start_asking();

	open_to(f, 1, PLACE);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], 1);
	assert_int_equal(f->last.held_ns, 0);
	/* glibc tries nscd each time: nobody listens there. */
	reach_unix(f, NSCD, 0);
	open_to(f, 2, OTHER);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], 2);
	/* Another socket of an outsider is no name service. */
	reach_unix(f, "/run/user/1000/bus", 78);
	open_to(f, 3, "203.0.113.98:443");
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], 3);
	assert_int_equal(asked.times, 0);
	stop(f);
}

static void test_a_name_permits_what_is_held(void **state)
{
	struct fixture *f = start_held();

	assert_int_equal(asked.n_names, 2);
	assert_string_equal(asked.names[0], "api.example.com");
	assert_string_equal(asked.names[1], "two.example.com");
	assert_int_equal(ln_engine_open_flows(f->engine), 1);
	f->now_ns += MS(3);
	tell_name(f, "two.example.com", "203.0.113.10", LN_NAME_OWN_LOOKUP);
	assert_int_equal(f->last.kind, LN_FINDING_FLOW_OPEN);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	assert_int_equal(f->last.held_ns, MS(3));
	assert_int_equal(f->last.time_ns, START_NS);
	assert_null(f->last.held);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], 0);
	assert_int_equal(ln_engine_deadline(f->engine), UINT64_MAX);
	/* The rest of the answers come too late to matter. */
	looked(f, asked.ticket, false);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 1);
	stop(f);
}

static void test_all_ways_of_names_off_the_wire(void **state)
{
	static const char *const paths[] = {
	    NSCD,
	    "/run//nscd/./socket",
	    "/run/systemd/resolve/io.systemd.Resolve",
	    "/run/dbus/system_bus_socket",
	    "/var/lib/sss/pipes/nss",
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(paths); i++) {
		struct fixture *f = start_asking();

		reach_unix(f, paths[i], 77);
		open_to(f, 1, PLACE);
		assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 0);
		stop(f);
	}
}

static void test_a_name_from_anywhere_else_permits_it_too(void **state)
{
	struct fixture *f = start_held();

	tell_name(f, "api.example.com", "203.0.113.10", LN_NAME_RESOLVED);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	stop(f);
}

static void test_an_alarm_when_all_is_answered(void **state)
{
	struct fixture *f = start_held();

	f->now_ns += MS(12);
	looked(f, asked.ticket, false);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], 1);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_int_equal(f->last.held_ns, MS(12));
	assert_string_equal(f->last.held, "by linnet's own look-up of api.example.com and 1 other");
	/* It was told: it comes again without a delay. */
	open_to(f, 2, PLACE);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 2);
	assert_int_equal(f->last.repeat_of, 1);
	assert_int_equal(f->last.held_ns, 0);
	assert_int_equal(asked.times, 1);
	stop(f);
}

static void test_what_failed_is_told_as_that(void **state)
{
	struct fixture *f = start_held();

	looked(f, asked.ticket, true);
	assert_string_equal(f->last.held,
			    "though linnet's own look-up of api.example.com and 1 other failed");
	assert_true(f->last.held_ns > 0);
	stop(f);
}

static void test_the_time_is_bounded(void **state)
{
	struct fixture *f = start_held();

	assert_int_equal(ln_engine_deadline(f->engine), START_NS + LN_HOLD_NS);
	ln_engine_tick(f->engine, START_NS + LN_HOLD_NS - 1, WALL_NS);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 0);
	ln_engine_tick(f->engine, START_NS + LN_HOLD_NS, WALL_NS);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], 1);
	assert_int_equal(f->last.held_ns, LN_HOLD_NS);
	assert_string_equal(
	    f->last.held,
	    "though linnet's own look-up of api.example.com and 1 other was not answered");
	stop(f);
}

/* The events come late, all of them: the answer that is among them counts. */
static void test_an_answer_that_is_read_late_counts(void **state)
{
	struct fixture *f = start_held();

	f->now_ns += 2 * LN_HOLD_NS;
	tell_name(f, "api.example.com", "203.0.113.10", LN_NAME_OWN_LOOKUP);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	stop(f);
}

static void test_new_addresses_are_a_reason_to_ask_again(void **state)
{
	struct fixture *f = start_held();

	/* A part of a pool, which the address is not in. */
	tell_name(f, "api.example.com", "203.0.113.50", LN_NAME_OWN_LOOKUP);
	looked(f, asked.ticket, false);
	assert_int_equal(asked.times, 2);
	assert_string_equal(asked.names[0], "two.example.com"); /* which was never answered */
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 0);
	/* The same again: by chance, perhaps. */
	f->now_ns += MS(20);
	looked(f, asked.ticket, false);
	assert_int_equal(asked.times, 3);
	ln_engine_tick(f->engine, START_NS + LN_HOLD_NS, WALL_NS);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], 1);
	assert_string_equal(f->last.held, "by linnet's own look-up of api.example.com and 1 other");
	/* Long after the last news, nothing more will come. */
	f->now_ns += LN_HOLD_NS;
	open_to(f, 2, OTHER);
	looked(f, asked.ticket, false);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], 2);
	stop(f);
}

static void test_only_what_a_listed_name_could_permit(void **state)
{
	struct fixture *f = start_asking();
	struct ln_flow flow = make_flow(3, PLACE, IPPROTO_TCP);

	reach_unix(f, NSCD, 77);
	open_to(f, 1, "203.0.113.10:80");
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 1);
	open_to(f, 2, "127.0.0.1:443");
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 2);
	flow.inbound = true;
	open_flow(f, &flow);
	flow.inbound = false;
	flow.received = true;
	open_flow(f, &flow);
	flow.received = false;
	flow.proto = IPPROTO_ICMP;
	open_flow(f, &flow);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 5);
	assert_int_equal(asked.times, 0);
	open_to(f, 6, "203.0.113.10:25");
	assert_int_equal(asked.n_names, 1);
	assert_string_equal(asked.names[0], "mail.example.com");
	stop(f);
}

static void test_nobody_who_can_be_asked(void **state)
{
	struct fixture *f = start_holding((struct ln_engine_config){0});

	reach_unix(f, NSCD, 77);
	open_to(f, 1, PLACE);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], 1);
	stop(f);
	f = start_asking();
	asked.refuse = true;
	reach_unix(f, NSCD, 77);
	open_to(f, 1, PLACE);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], 1);
	stop(f);
}

static void test_attach_holds_for_a_while(void **state)
{
	struct fixture *f =
	    start_holding((struct ln_engine_config){.ask = on_ask, .attached = true});

	open_to(f, 1, PLACE);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 0);
	looked(f, asked.ticket, false);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], 1);
	f->now_ns += LN_HOLD_ATTACH_NS;
	open_to(f, 2, OTHER);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], 2);
	assert_int_equal(asked.times, 1);
	stop(f);
}

static void test_a_sensor_that_sees_no_dns_is_a_reason(void **state)
{
	struct fixture *f =
	    start_holding((struct ln_engine_config){.ask = on_ask, .dns_unseen = true});

	f->now_ns += 2 * LN_HOLD_ATTACH_NS;
	open_to(f, 1, PLACE);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 0);
	stop(f);
}

/* systemd-resolved answers the agent first, and tells linnet a little later. */
static void test_the_monitor_is_waited_for(void **state)
{
	struct fixture *f =
	    start_holding((struct ln_engine_config){.ask = on_ask, .monitored = true});

	reach_unix(f, "/run/systemd/resolve/io.systemd.Resolve", 77);
	open_to(f, 1, "203.0.113.10:8080"); /* which only a wildcard permits: nothing to ask */
	assert_int_equal(asked.times, 0);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 0);
	tell_name(f, "a.dyn.example.com", "203.0.113.10", LN_NAME_RESOLVED);
	assert_int_equal(f->last.verdict, LN_VERDICT_DYNAMIC);
	open_to(f, 2, OTHER);
	looked(f, asked.ticket, false); /* sooner than the monitor */
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 1);
	tell_name(f, "evil.example.org", "203.0.113.99", LN_NAME_RESOLVED);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 1);
	open_to(f, 3, "203.0.113.98:8080");
	ln_engine_tick(f->engine, START_NS + LN_HOLD_MONITOR_NS, WALL_NS);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], 2);
	assert_string_equal(f->last.held, "in which systemd-resolved told no name of it");
	stop(f);
}

static void test_nothing_overtakes_what_is_held(void **state)
{
	struct fixture *f = start_held();

	close_to(f, 1, PLACE);
	open_to(f, 2, PLACE);
	assert_int_equal(f->n[LN_FINDING_FLOW_CLOSE], 0);
	assert_int_equal(ln_engine_open_flows(f->engine), 2);
	/* What is about other flows goes on. */
	open_to(f, 3, "203.0.113.99:80");
	close_to(f, 3, "203.0.113.99:80");
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 1);
	assert_int_equal(f->n[LN_FINDING_FLOW_CLOSE], 1);
	f->digest = 0;
	tell_name(f, "api.example.com", "203.0.113.10", LN_NAME_OWN_LOOKUP);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 3);
	assert_int_equal(f->n[LN_FINDING_FLOW_CLOSE], 2);
	assert_int_equal(f->last.kind, LN_FINDING_FLOW_OPEN); /* of flow 2, the last in line */
	assert_int_equal(summary(f).flows_open, 1);
	assert_int_equal(summary(f).by_verdict[LN_VERDICT_EXPECTED], 2);
	stop(f);
}

static void test_bytes_and_questions_wait_with_their_own_copy(void **state)
{
	struct fixture *f = start_held();
	uint8_t buf[512];
	struct ln_event ev = event(f, LN_EVENT_DNS);

	ev.dns.flow = make_flow(1, PLACE, IPPROTO_UDP);
	ev.dns.bytes = buf;
	ev.dns.len = put_question(buf, 1, false, "a.example.org", LN_DNS_A);
	ln_engine_feed(f->engine, &ev);
	memset(buf, 0xff, sizeof(buf));
	ev = event(f, LN_EVENT_BYTES);
	ev.bytes.flow = make_flow(1, PLACE, IPPROTO_TCP);
	ev.bytes.bytes = buf;
	ev.bytes.len = sizeof(buf);
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(f->n[LN_FINDING_DNS_QUERY], 0);
	looked(f, asked.ticket, false);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 1);
	assert_int_equal(f->n[LN_FINDING_DNS_QUERY], 1);
	assert_int_equal(summary(f).dns_malformed, 0);
	stop(f);
}

static void test_an_exec_is_not_waited_for(void **state)
{
	struct fixture *f = start_held();
	struct ln_event ev = event(f, LN_EVENT_EXEC);

	ev.pid = 101;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 0);
	ev.pid = 100;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 1);
	assert_int_equal(f->last.kind, LN_FINDING_PROCESS);
	stop(f);
}

static void test_events_of_one_destination_are_bounded(void **state)
{
	struct fixture *f = start_held();

	for (uint64_t id = 2; id <= LN_HOLD_EVENTS_MAX; id++)
		open_to(f, id, PLACE);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 0);
	open_to(f, 1000, PLACE);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], LN_HOLD_EVENTS_MAX + 1);
	assert_int_equal(f->alerts[LN_FINDING_FLOW_OPEN], 1);
	assert_int_equal(ln_engine_open_flows(f->engine), LN_HOLD_EVENTS_MAX + 1);
	stop(f);
}

static void test_destinations_are_bounded(void **state)
{
	struct fixture *f = start_asking();
	struct ln_flow flow;

	reach_unix(f, NSCD, 77);
	for (uint32_t n = 0; n < LN_HOLDS_MAX + 3; n++) {
		flow = nth_flow(n);
		flow.remote.port = 443;
		open_flow(f, &flow);
	}
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], 3);
	assert_int_equal(ln_engine_open_flows(f->engine), LN_HOLDS_MAX + 3);
	ln_engine_finish(f->engine, f->now_ns, WALL_NS);
	assert_int_equal(f->n[LN_FINDING_FLOW_OPEN], LN_HOLDS_MAX + 3);
	stop(f);
}

static void test_what_is_held_at_the_end_is_freed(void **state)
{
	struct fixture *f = start_held();

	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nothing_is_held_without_a_reason),
	    cmocka_unit_test(test_a_name_permits_what_is_held),
	    cmocka_unit_test(test_all_ways_of_names_off_the_wire),
	    cmocka_unit_test(test_a_name_from_anywhere_else_permits_it_too),
	    cmocka_unit_test(test_an_alarm_when_all_is_answered),
	    cmocka_unit_test(test_what_failed_is_told_as_that),
	    cmocka_unit_test(test_the_time_is_bounded),
	    cmocka_unit_test(test_an_answer_that_is_read_late_counts),
	    cmocka_unit_test(test_new_addresses_are_a_reason_to_ask_again),
	    cmocka_unit_test(test_only_what_a_listed_name_could_permit),
	    cmocka_unit_test(test_nobody_who_can_be_asked),
	    cmocka_unit_test(test_attach_holds_for_a_while),
	    cmocka_unit_test(test_a_sensor_that_sees_no_dns_is_a_reason),
	    cmocka_unit_test(test_the_monitor_is_waited_for),
	    cmocka_unit_test(test_nothing_overtakes_what_is_held),
	    cmocka_unit_test(test_bytes_and_questions_wait_with_their_own_copy),
	    cmocka_unit_test(test_an_exec_is_not_waited_for),
	    cmocka_unit_test(test_events_of_one_destination_are_bounded),
	    cmocka_unit_test(test_destinations_are_bounded),
	    cmocka_unit_test(test_what_is_held_at_the_end_is_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
