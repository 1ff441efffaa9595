/* SPDX-License-Identifier: Apache-2.0 */
/* DNS over TCP: however its bytes come, its messages are those that UDP would carry. */
#include "engine_fixture.h"

#define API "api.example.com"

static const uint8_t first[4] = {198, 51, 100, 1}, second[4] = {198, 51, 100, 2};

/* One direction of a conversation, as it is written. */
struct line {
	size_t len;
	uint8_t bytes[70000];
};

static void put_message(struct line *l, const uint8_t *bytes, size_t len)
{
	l->bytes[l->len] = (uint8_t)(len >> 8);
	l->bytes[l->len + 1] = (uint8_t)len;
	memcpy(l->bytes + l->len + 2, bytes, len);
	l->len += 2 + len;
}

static void put_query(struct line *l, uint16_t id, const char *name)
{
	uint8_t buf[512];

	put_message(l, buf, put_question(buf, id, false, name, LN_DNS_A));
}

static void put_answer(struct line *l, uint16_t id, const char *name, const uint8_t addr[4])
{
	const uint8_t record[12] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
	uint8_t buf[512];
	size_t len = put_question(buf, id, true, name, LN_DNS_A);

	memcpy(buf + len, record, sizeof(record));
	memcpy(buf + len + sizeof(record), addr, 4);
	put_message(l, buf, len + sizeof(record) + 4);
}

static struct ln_event piece(struct fixture *f, uint64_t id, bool in, const struct line *l,
			     size_t at, size_t len)
{
	struct ln_event ev = event(f, LN_EVENT_BYTES);

	ev.bytes.flow = make_flow(id, RESOLVER, IPPROTO_TCP);
	ev.bytes.flow.same_tree = f->same_tree;
	ev.bytes.inbound = in;
	ev.bytes.offset = (uint32_t)at;
	ev.bytes.bytes = l->bytes + at;
	ev.bytes.len = len;
	return ev;
}

static void pass(struct fixture *f, uint64_t id, bool in, const struct line *l, size_t at,
		 size_t len)
{
	struct ln_event ev = piece(f, id, in, l, at, len);

	ln_engine_feed(f->engine, &ev);
}

static void pass_all(struct fixture *f, uint64_t id, bool in, const struct line *l, size_t step)
{
	for (size_t at = 0; at < l->len; at += step)
		pass(f, id, in, l, at, LN_MIN(step, l->len - at));
}

static enum ln_verdict reach(struct fixture *f, const uint8_t addr[4])
{
	struct ln_flow flow = {.id = 900 + addr[3], .proto = IPPROTO_TCP};

	flow.remote.addr = ln_addr_make(4, addr);
	flow.remote.port = 443;
	open_flow(f, &flow);
	return f->last.verdict;
}

static void ask_and_answer(struct fixture *f, struct line *out, struct line *in)
{
	put_query(out, 1, API);
	put_query(out, 2, API);
	put_answer(in, 2, API, second); /* in another order, as RFC 7766, 6.2.1.1 permits */
	put_answer(in, 1, API, first);
}

static void test_pipelined_in_pieces_of_any_size(void **state)
{
	static const size_t steps[] = {1, 2, 3, 7, 40, 1000};

	for (size_t i = 0; i < LN_ARRAY_SIZE(steps); i++) {
		struct fixture *f = start();
		LN_AUTO_FREE struct line *out = calloc(1, sizeof(*out));
		LN_AUTO_FREE struct line *in = calloc(1, sizeof(*in));

		ask_and_answer(f, out, in);
		pass_all(f, 1, false, out, steps[i]);
		assert_int_equal(summary(f).dns_queries, 2);
		pass_all(f, 1, true, in, steps[i]);
		assert_int_equal(f->n[LN_FINDING_DNS_ANSWER], 2);
		assert_int_equal(f->n[LN_FINDING_LOST], 0);
		assert_int_equal(reach(f, first), LN_VERDICT_EXPECTED);
		assert_int_equal(reach(f, second), LN_VERDICT_EXPECTED);
		stop(f);
	}
}

static void test_pieces_in_any_order_and_twice(void **state)
{
	struct fixture *f = start();
	LN_AUTO_FREE struct line *out = calloc(1, sizeof(*out));
	LN_AUTO_FREE struct line *in = calloc(1, sizeof(*in));

	ask_and_answer(f, out, in);
	pass_all(f, 1, false, out, 9);
	pass_all(f, 1, false, out, 9);
	for (size_t at = in->len; at-- > 0;)
		pass(f, 1, true, in, at, 1);
	assert_int_equal(summary(f).dns_queries, 2);
	assert_int_equal(f->n[LN_FINDING_DNS_ANSWER], 2);
	assert_int_equal(reach(f, first), LN_VERDICT_EXPECTED);
	stop(f);
}

static void test_an_unlisted_name_is_an_alert(void **state)
{
	struct fixture *f = start();
	LN_AUTO_FREE struct line *out = calloc(1, sizeof(*out));

	put_query(out, 1, "data.tunnel.test");
	pass_all(f, 1, false, out, 1);
	assert_int_equal(f->alerts[LN_FINDING_DNS_QUERY], 1);
	assert_string_equal(f->last.title, LN_TITLE_NAME);
	stop(f);
}

/* An answer belongs to the conversation in which it was asked for. */
static void test_answers_of_another_conversation_grant_nothing(void **state)
{
	struct fixture *f = start();
	LN_AUTO_FREE struct line *out = calloc(1, sizeof(*out));
	LN_AUTO_FREE struct line *in = calloc(1, sizeof(*in));

	ask_and_answer(f, out, in);
	pass_all(f, 1, false, out, 50);
	pass(f, 2, false, out, 0, 1);
	pass_all(f, 2, true, in, 50);
	assert_int_equal(reach(f, first), LN_VERDICT_UNEXPECTED);
	stop(f);
}

static void test_the_agents_own_resolver_grants_nothing(void **state)
{
	struct fixture *f = start();
	LN_AUTO_FREE struct line *out = calloc(1, sizeof(*out));
	LN_AUTO_FREE struct line *in = calloc(1, sizeof(*in));

	f->same_tree = true;
	ask_and_answer(f, out, in);
	pass_all(f, 1, false, out, 50);
	pass_all(f, 1, true, in, 50);
	assert_int_equal(reach(f, first), LN_VERDICT_UNEXPECTED);
	stop(f);
}

/* A source route leads by way of somebody whom the agent chose: he may answer in the resolver's
 * name. A resolver that is reached by NAT is the one that is meant. */
static void test_a_conversation_that_chose_its_way_grants_nothing(void **state)
{
	for (enum ln_wire_why why = 0; why < LN_WIRE_COUNT; why++) {
		struct fixture *f = start();
		LN_AUTO_FREE struct line *out = calloc(1, sizeof(*out));
		LN_AUTO_FREE struct line *in = calloc(1, sizeof(*in));
		struct ln_flow flow = make_flow(1, RESOLVER, IPPROTO_TCP);
		struct ln_event ev = event(f, LN_EVENT_WIRE);

		open_flow(f, &flow);
		ev.wire.flow = flow;
		ev.wire.why = why;
		assert_true(ln_endpoint_parse("198.51.100.66:53", 0, &ev.wire.wire));
		ln_engine_feed(f->engine, &ev);
		ask_and_answer(f, out, in);
		pass_all(f, 1, false, out, 50);
		pass_all(f, 1, true, in, 50);
		assert_int_equal(f->n[LN_FINDING_DNS_ANSWER], 2);
		assert_int_equal(reach(f, first), why == LN_WIRE_ROUTED ? LN_VERDICT_UNEXPECTED
									: LN_VERDICT_EXPECTED);
		stop(f);
	}
}

static void test_what_was_missed_is_told_once(void **state)
{
	struct fixture *f = start();
	LN_AUTO_FREE struct line *out = calloc(1, sizeof(*out));
	LN_AUTO_FREE struct line *in = calloc(1, sizeof(*in));
	struct ln_event ev;

	ask_and_answer(f, out, in);
	pass_all(f, 1, false, out, 50);
	ev = piece(f, 1, true, in, 0, 10);
	ev.bytes.cut = true;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(f->n[LN_FINDING_LOST], 1);
	pass_all(f, 1, true, in, 50);
	assert_int_equal(f->n[LN_FINDING_LOST], 1);
	assert_int_equal(f->n[LN_FINDING_DNS_ANSWER], 0);
	/* The other direction goes on. */
	out->len = 0;
	put_query(out, 3, API);
	ev = piece(f, 1, false, out, 0, out->len);
	ev.bytes.offset = 2 * (uint32_t)out->len;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(summary(f).dns_queries, 3);
	stop(f);
}

static void test_a_conversation_from_before_the_watch_is_told(void **state)
{
	struct fixture *f = start();
	LN_AUTO_FREE struct line *out = calloc(1, sizeof(*out));

	put_query(out, 1, API);
	for (size_t at = 10; at < out->len; at++)
		pass(f, 1, false, out, at, 1);
	assert_int_equal(f->n[LN_FINDING_LOST], 1);
	assert_int_equal(summary(f).dns_queries, 0);
	stop(f);
}

static void test_a_message_too_many_bytes_ahead_is_told(void **state)
{
	struct fixture *f = start();
	LN_AUTO_FREE struct line *out = calloc(1, sizeof(*out));
	struct ln_event ev;

	put_query(out, 1, API);
	pass(f, 1, false, out, 0, 5);
	ev = piece(f, 1, false, out, 0, 5);
	ev.bytes.offset = 1 << 20;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(f->n[LN_FINDING_LOST], 1);
	stop(f);
}

static void test_the_largest_message(void **state)
{
	struct fixture *f = start();
	LN_AUTO_FREE struct line *out = calloc(1, sizeof(*out));
	LN_AUTO_FREE uint8_t *large = calloc(1, UINT16_MAX);

	put_question(large, 1, false, API, LN_DNS_A);
	put_message(out, large, UINT16_MAX);
	put_query(out, 2, API);
	pass_all(f, 1, false, out, 4096);
	assert_int_equal(summary(f).dns_queries, 2);
	assert_int_equal(f->n[LN_FINDING_LOST], 0);
	stop(f);
}

/* A name is judged although its message never ends. */
static void test_an_unfinished_question_is_judged_at_the_end(void **state)
{
	struct fixture *f = start();
	LN_AUTO_FREE struct line *out = calloc(1, sizeof(*out));
	struct ln_flow flow = make_flow(1, RESOLVER, IPPROTO_TCP);

	put_query(out, 1, "data.tunnel.test");
	out->bytes[1]++;
	pass_all(f, 1, false, out, 50);
	assert_int_equal(summary(f).dns_queries, 0);
	open_flow(f, &flow);
	close_flow(f, &flow);
	assert_int_equal(summary(f).dns_queries, 1);
	assert_int_equal(f->alerts[LN_FINDING_DNS_QUERY], 1);
	stop(f);
}

static void test_what_is_no_dns_is_not_read_for_ever(void **state)
{
	struct fixture *f = start();
	LN_AUTO_FREE struct line *out = calloc(1, sizeof(*out));

	out->len = 4000; /* messages of no bytes */
	pass_all(f, 1, false, out, 4000);
	assert_in_range(summary(f).dns_malformed, 1, 100);
	assert_int_equal(f->alerts[LN_FINDING_DNS_QUERY], 1);
	assert_int_equal(f->n[LN_FINDING_LOST], 1);
	stop(f);
}

static void test_conversations_are_bounded(void **state)
{
	struct fixture *f = start();
	LN_AUTO_FREE struct line *out = calloc(1, sizeof(*out));

	put_query(out, 1, API);
	for (uint64_t id = 1; id <= LN_DNS_STREAMS_MAX + 1; id++)
		pass(f, id, false, out, 0, 5);
	assert_int_equal(summary(f).tables_full, 1);
	assert_int_equal(f->n[LN_FINDING_LOST], 1);
	pass(f, 2, false, out, 5, out->len - 5);
	assert_int_equal(summary(f).dns_queries, 1);
	pass(f, 1, false, out, 5, out->len - 5);
	assert_int_equal(summary(f).dns_queries, 1);
	stop(f);
}

static void test_only_dns_is_read(void **state)
{
	struct fixture *f = start();
	LN_AUTO_FREE struct line *out = calloc(1, sizeof(*out));
	struct ln_event ev;

	put_query(out, 1, "data.tunnel.test");
	ev = piece(f, 1, false, out, 0, out->len);
	ev.bytes.flow.remote.port = 443;
	ln_engine_feed(f->engine, &ev);
	ev.bytes.flow.remote.port = 53;
	ev.bytes.flow.inbound = true;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(summary(f).dns_queries, 0);
	ev.bytes.flow.inbound = false;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(summary(f).dns_queries, 1);
	stop(f);
}

/* TLS on port 53 of who knows whom is read as TLS; that of a trusted resolver is a question. */
static void test_what_begins_as_something_else(void **state)
{
	struct fixture *f = start();
	LN_AUTO_FREE struct line *out = calloc(1, sizeof(*out));
	struct ln_event ev;

	memcpy(out->bytes, "GET / HTTP/1.1\r\nHost: www.evil.test\r\n\r\n", 40);
	ev = piece(f, 1, false, out, 0, 2);
	assert_true(ln_endpoint_parse("9.9.9.9:53", 53, &ev.bytes.flow.remote));
	ln_engine_feed(f->engine, &ev);
	ev.bytes.offset = 2;
	ev.bytes.bytes += 2;
	ev.bytes.len = 38;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(f->n[LN_FINDING_CLAIM], 1);
	assert_int_equal(f->n[LN_FINDING_LOST], 0);
	pass(f, 2, false, out, 0, 40);
	assert_int_equal(f->n[LN_FINDING_CLAIM], 1);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pipelined_in_pieces_of_any_size),
	    cmocka_unit_test(test_pieces_in_any_order_and_twice),
	    cmocka_unit_test(test_an_unlisted_name_is_an_alert),
	    cmocka_unit_test(test_answers_of_another_conversation_grant_nothing),
	    cmocka_unit_test(test_the_agents_own_resolver_grants_nothing),
	    cmocka_unit_test(test_a_conversation_that_chose_its_way_grants_nothing),
	    cmocka_unit_test(test_what_was_missed_is_told_once),
	    cmocka_unit_test(test_a_conversation_from_before_the_watch_is_told),
	    cmocka_unit_test(test_a_message_too_many_bytes_ahead_is_told),
	    cmocka_unit_test(test_the_largest_message),
	    cmocka_unit_test(test_an_unfinished_question_is_judged_at_the_end),
	    cmocka_unit_test(test_what_is_no_dns_is_not_read_for_ever),
	    cmocka_unit_test(test_conversations_are_bounded),
	    cmocka_unit_test(test_only_dns_is_read),
	    cmocka_unit_test(test_what_begins_as_something_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
