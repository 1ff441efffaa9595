/* SPDX-License-Identifier: Apache-2.0 */
/* The first bytes of flows as they come in pieces, and how many are kept. */
#include "engine_fixture.h"
#include "hello_fixture.h"

#define API "198.51.100.1:443"

static struct fixture *start_bytes(void)
{
	struct fixture *f = start();

	ask(f, 1, "api.example.com");
	answer(f, 1, "api.example.com", (const uint8_t[]){198, 51, 100, 1}, 60);
	return f;
}

static void send_piece(struct fixture *f, const struct ln_flow *flow, const struct bytes *b,
		       size_t from, size_t to)
{
	struct ln_event ev = event(f, LN_EVENT_BYTES);

	ev.bytes.flow = *flow;
	ev.bytes.offset = (uint32_t)from;
	ev.bytes.bytes = b->data + from;
	ev.bytes.len = to - from;
	ln_engine_feed(f->engine, &ev);
}

static void send_hello(struct fixture *f, const struct ln_flow *flow, const char *name)
{
	static struct bytes b;

	b.len = 0;
	put_hello(&b, name);
	send_piece(f, flow, &b, 0, b.len);
}

static void test_a_hello_in_single_bytes(void **state)
{
	struct fixture *f = start_bytes();
	struct ln_flow flow = make_flow(1, API, IPPROTO_TCP);
	static struct bytes b;

	b.len = 0;
	put_hello(&b, "www.evil.example");
	open_flow(f, &flow);
	for (size_t i = 0; i + 1 < b.len; i++)
		send_piece(f, &flow, &b, i, i + 1);
	assert_int_equal(f->n[LN_FINDING_CLAIM], 0);
	send_piece(f, &flow, &b, b.len - 1, b.len);
	assert_int_equal(f->n[LN_FINDING_CLAIM], 1);
	assert_string_equal(f->last.title, "NAME MISMATCH");
	assert_int_equal(f->alerts[LN_FINDING_CLAIM], 1);
	/* Sent once more, and what follows, is nothing new. */
	send_piece(f, &flow, &b, 0, b.len);
	send_piece(f, &flow, &b, 10, b.len);
	assert_int_equal(f->n[LN_FINDING_CLAIM], 1);
	close_flow(f, &flow);
	stop(f);
}

/* The same id is another flow when it opens again. */
static void test_a_flow_id_that_opens_again_is_read_again(void **state)
{
	struct fixture *f = start_bytes();
	struct ln_flow flow = make_flow(1, API, IPPROTO_TCP);

	open_flow(f, &flow);
	send_hello(f, &flow, "api.example.com");
	close_flow(f, &flow);
	open_flow(f, &flow);
	send_hello(f, &flow, "api.example.com");
	assert_int_equal(f->n[LN_FINDING_CLAIM], 2);
	assert_int_equal(summary(f).violations, 0);
	stop(f);
}

static void test_what_is_not_read(void **state)
{
	struct fixture *f = start_bytes();
	struct ln_event ev = event(f, LN_EVENT_BYTES);
	struct ln_flow flow = make_flow(1, "198.51.100.9:443", IPPROTO_TCP);

	flow.inbound = true;
	open_flow(f, &flow);
	send_hello(f, &flow, "www.evil.example");
	flow = make_flow(2, "127.0.0.1:443", IPPROTO_TCP);
	flow.same_tree = true;
	open_flow(f, &flow);
	send_hello(f, &flow, "www.evil.example");
	flow.id = 20; /* its opening was lost */
	send_hello(f, &flow, "www.evil.example");
	flow = make_flow(3, API, IPPROTO_TCP);
	open_flow(f, &flow);
	ev.bytes.flow = flow;
	ev.bytes.inbound = true; /* it came in */
	ev.bytes.bytes = (const uint8_t *)"SSH-2.0-x\r\n";
	ev.bytes.len = 11;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(f->n[LN_FINDING_CLAIM], 0);
	/* Of a flow that is not known, bytes from the middle. */
	ev.bytes.inbound = false;
	ev.bytes.offset = 100;
	ev.bytes.flow.id = 4;
	ln_engine_feed(f->engine, &ev);
	assert_int_equal(f->n[LN_FINDING_CLAIM], 0);
	assert_null(f->engine->readings);
	stop(f);
}

/* What follows is not told: there is nothing to wait for. */
static void test_bytes_that_are_cut(void **state)
{
	struct fixture *f = start_bytes();
	struct ln_flow flow = make_flow(1, API, IPPROTO_TCP);
	struct ln_event ev = event(f, LN_EVENT_BYTES);
	static struct bytes b;

	b.len = 0;
	put_hello(&b, "www.evil.example");
	open_flow(f, &flow);
	ev.bytes.flow = flow;
	ev.bytes.bytes = b.data;
	ev.bytes.len = 20;
	ev.bytes.cut = true;
	ln_engine_feed(f->engine, &ev);
	assert_null(f->engine->readings);
	send_piece(f, &flow, &b, 20, b.len);
	assert_null(f->engine->readings);
	stop(f);
}

static void test_readings_are_bounded(void **state)
{
	struct fixture *f = start_bytes();
	struct ln_flow flow = make_flow(0, API, IPPROTO_TCP);
	static struct bytes b;

	b.len = 0;
	put_hello(&b, "www.evil.example");
	for (uint32_t i = 0; i <= LN_READINGS_MAX; i++) {
		flow.id = i + 1;
		open_flow(f, &flow);
		send_piece(f, &flow, &b, 0, 20);
	}
	assert_int_equal(f->engine->reading_bytes, 20 * LN_READINGS_MAX);
	assert_int_equal(summary(f).tables_full, 1);
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->alerts[LN_FINDING_LOST], 1);
	/* The first one went, and does not come back; the second is still there. */
	flow.id = 1;
	send_piece(f, &flow, &b, 20, b.len);
	assert_int_equal(f->n[LN_FINDING_CLAIM], 0);
	flow.id = 2;
	send_piece(f, &flow, &b, 20, b.len);
	assert_int_equal(f->n[LN_FINDING_CLAIM], 1);
	flow.id = 3;
	close_flow(f, &flow);
	assert_int_equal(f->engine->reading_bytes, 20 * (LN_READINGS_MAX - 2));
	stop(f);
}

static void test_bytes_of_readings_are_bounded(void **state)
{
	struct fixture *f = start_bytes();
	struct ln_flow flow = make_flow(0, API, IPPROTO_TCP);
	static struct bytes m, b;
	static const uint8_t padding[12000];

	hello_begin(&m);
	put_ext(&m, 21, padding, sizeof(padding));
	hello_end(&m);
	put_records(&b, m.data, m.len, 16384);
	b.len = 8000;
	for (uint64_t n = 0; n <= LN_READING_BYTES; n += b.len) {
		flow.id++;
		open_flow(f, &flow);
		send_piece(f, &flow, &b, 0, b.len);
	}
	assert_true(f->engine->reading_bytes <= LN_READING_BYTES);
	assert_int_equal(summary(f).tables_full, 1);
	for (; flow.id > 0; flow.id--)
		close_flow(f, &flow);
	assert_null(f->engine->readings);
	assert_int_equal(f->engine->reading_bytes, 0);
	stop(f);
}

/* What has spoken may go without a word: a later request is all that is missed. */
static void test_who_has_spoken_is_no_loss(void **state)
{
	struct fixture *f = start_bytes();
	struct ln_flow flow = make_flow(0, API, IPPROTO_TCP);
	static struct bytes b;

	b.len = 0;
	put(&b, "GET / HTTP/1.1\r\n\r\n", 18);
	for (uint32_t i = 0; i <= LN_READINGS_MAX; i++) {
		flow.id = i + 1;
		open_flow(f, &flow);
		send_piece(f, &flow, &b, 0, b.len);
	}
	assert_int_equal(f->n[LN_FINDING_CLAIM], LN_READINGS_MAX + 1);
	assert_int_equal(summary(f).tables_full, 1);
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->alerts[LN_FINDING_LOST], 0);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_hello_in_single_bytes),
	    cmocka_unit_test(test_a_flow_id_that_opens_again_is_read_again),
	    cmocka_unit_test(test_what_is_not_read),
	    cmocka_unit_test(test_bytes_that_are_cut),
	    cmocka_unit_test(test_readings_are_bounded),
	    cmocka_unit_test(test_bytes_of_readings_are_bounded),
	    cmocka_unit_test(test_who_has_spoken_is_no_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
