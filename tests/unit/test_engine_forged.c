/* SPDX-License-Identifier: Apache-2.0 */
/* Forged DNS answers: each kind is told and grants nothing; and what looks like one but is how
 * resolvers and networks work is nothing. */
#include "engine_fixture.h"

#define API      "api.example.com"
#define SECOND   "10.0.0.54:53"
#define STRANGER "203.0.113.99:53"
#define LONG     (400 * LN_NS_PER_S) /* nothing is remembered that long */

static const uint8_t addr[4] = {198, 51, 100, 7}, other[4] = {198, 51, 100, 8};

/* What is said on one socket; like(): as the last thing, but for what the test changes. */
struct word {
	uint64_t flow;
	const char *at, *name;
	uint16_t id, type, local_port;
	bool answer, stranger, same_tree, existing;
	const uint8_t *addr;
	const char *extra; /* owner of one more record */
	bool additional;   /* which is in the additional section */
};

static size_t put_record(uint8_t *at, const char *owner, const uint8_t bytes[4])
{
	static const uint8_t head[10] = {0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
	uint8_t buf[512];
	size_t len = 2;

	memcpy(at, (const uint8_t[]){0xc0, 12}, 2);
	if (owner) {
		len = put_question(buf, 0, false, owner, 1) - 16;
		memcpy(at, buf + 12, len);
	}
	memcpy(at + len, head, sizeof(head));
	memcpy(at + len + sizeof(head), bytes, 4);
	return len + sizeof(head) + 4;
}

static void say(struct fixture *f, const struct word *w)
{
	struct ln_event ev = event(f, LN_EVENT_DNS);
	uint8_t buf[512];
	size_t len = put_question(buf, w->id, w->answer, w->name, w->type);

	buf[7] = 0;
	if (w->addr) {
		len += put_record(buf + len, NULL, w->addr);
		buf[7]++;
	}
	if (w->extra) {
		len += put_record(buf + len, w->extra, other);
		buf[w->additional ? 11 : 7]++;
	}
	ev.dns.flow = make_flow(w->flow, w->at, IPPROTO_UDP);
	ev.dns.flow.local.port = w->local_port;
	ev.dns.flow.same_tree = w->same_tree;
	ev.dns.flow.existing = w->existing;
	ev.dns.answer = w->answer;
	ev.dns.stranger = w->stranger;
	ev.dns.bytes = buf;
	ev.dns.len = len;
	ln_engine_feed(f->engine, &ev);
}

static struct word question(void)
{
	return (struct word){
	    .flow = 7, .at = RESOLVER, .name = API, .id = 1, .type = LN_DNS_A, .local_port = 40000};
}

static struct word reply(void)
{
	struct word w = question();

	w.answer = true;
	w.addr = addr;
	return w;
}

static enum ln_verdict reach(struct fixture *f, const uint8_t bytes[4])
{
	struct ln_flow flow = {.id = 900 + bytes[3], .proto = IPPROTO_TCP};

	flow.remote.addr = ln_addr_make(4, bytes);
	flow.remote.port = 443;
	open_flow(f, &flow);
	return f->last.verdict;
}

static void check_nothing(struct fixture *f)
{
	assert_int_equal(f->alerts[LN_FINDING_DNS_ANSWER], 0);
	assert_int_equal(summary(f).dns_forged, 0);
}

/* Each is told once, repeated as a count, and grants nothing; the true answer does. */
static void check_forged(const struct word *forged, enum ln_forgery kind)
{
	struct fixture *f = start();
	struct word w = question();

	say(f, &w);
	for (int i = 0; i < 3; i++)
		say(f, forged);
	assert_int_equal(f->last.forgery, kind);
	assert_string_equal(f->last.title, "FORGED DNS ANSWER");
	assert_int_equal(f->alerts[LN_FINDING_DNS_ANSWER], 1);
	assert_int_equal(summary(f).dns_forged, 3);
	assert_int_equal(reach(f, addr), LN_VERDICT_UNEXPECTED);
	w = reply();
	w.addr = other;
	say(f, &w);
	assert_int_equal(f->last.forgery, LN_FORGERY_NONE);
	assert_int_equal(reach(f, other), LN_VERDICT_EXPECTED);
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->told, 2);
	stop(f);
}

static void test_wrong_id(void **state)
{
	struct word w = reply();

	w.id = 2;
	check_forged(&w, LN_FORGERY_ID);
}

static void test_wrong_port(void **state)
{
	struct word w = reply();

	w.flow = 8;
	w.local_port = 40001;
	check_forged(&w, LN_FORGERY_ID);
}

static void test_wrong_name(void **state)
{
	struct word w = reply();

	w.name = "www.example.com";
	check_forged(&w, LN_FORGERY_QUESTION);
}

static void test_wrong_type(void **state)
{
	struct word w = reply();

	w.type = LN_DNS_AAAA;
	w.addr = NULL;
	check_forged(&w, LN_FORGERY_QUESTION);
}

static void test_unasked(void **state)
{
	struct word w = reply();

	w.name = "www.example.com";
	w.id = 9;
	check_forged(&w, LN_FORGERY_UNASKED);
}

static void test_from_a_stranger(void **state)
{
	struct word w = reply();

	w.at = STRANGER;
	w.flow = 0;
	w.stranger = true;
	check_forged(&w, LN_FORGERY_SOURCE);
	w.id = 9;
	w.name = "www.example.com";
	check_forged(&w, LN_FORGERY_UNASKED);
}

static void test_by_the_agent_itself(void **state)
{
	struct word w = reply();

	w.same_tree = true;
	check_forged(&w, LN_FORGERY_OWN);
	w.at = "127.0.0.1:5300";
	w.flow = 8;
	check_forged(&w, LN_FORGERY_OWN);
}

/* The agent's own resolver passes on what a trusted one has said, or says nothing of the policy. */
static void test_the_agents_resolver_that_forwards(void **state)
{
	struct fixture *f = start();
	struct word w = question();

	say(f, &w);
	w = reply();
	say(f, &w);
	w.same_tree = true;
	w.flow = 8;
	say(f, &w);
	w.name = "www.example.com";
	say(f, &w);
	w.name = API;
	w.addr = NULL;
	say(f, &w);
	check_nothing(f);
	stop(f);
}

/* What belongs to the question is as good as ever. */
static void test_records_that_do_not_belong(void **state)
{
	for (int additional = 0; additional < 2; additional++) {
		struct fixture *f = start();
		struct word w = question();

		say(f, &w);
		w = reply();
		w.extra = "www.elsewhere.test";
		w.additional = additional;
		say(f, &w);
		assert_int_equal(f->last.forgery, LN_FORGERY_FOREIGN);
		assert_int_equal(f->alerts[LN_FINDING_DNS_ANSWER], 1);
		assert_non_null(strstr(f->last_hint, "www.elsewhere.test"));
		assert_int_equal(reach(f, addr), LN_VERDICT_EXPECTED);
		assert_int_equal(reach(f, other), LN_VERDICT_UNEXPECTED);
		stop(f);
	}
}

static void test_a_listed_name_is_this_host(void **state)
{
	static const struct {
		const char *name;
		uint8_t addr[4];
		bool forged;
	} cases[] = {
	    {API, {127, 0, 0, 1}, true},
	    {API, {127, 9, 9, 9}, true},
	    {API, {0, 0, 0, 0}, true},
	    {"x.dyn.example.com", {127, 0, 0, 1}, true},
	    {"ads.example.net",
	     {0, 0, 0, 0},
	     false}, /* a resolver that blocks what nobody listed */
	    {"myhost", {127, 0, 1, 1}, false},
	    {"localhost", {127, 0, 0, 1}, false},
	    {"api.localhost", {127, 0, 0, 1}, false},
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(cases); i++) {
		struct fixture *f = start();
		struct word w = question();

		w.name = cases[i].name;
		say(f, &w);
		w.answer = true;
		w.addr = cases[i].addr;
		say(f, &w);
		assert_int_equal(f->last.forgery,
				 cases[i].forged ? LN_FORGERY_LOCAL : LN_FORGERY_NONE);
		assert_int_equal(f->alerts[LN_FINDING_DNS_ANSWER], cases[i].forged);
		assert_int_equal(reach(f, cases[i].addr), LN_VERDICT_UNEXPECTED);
		stop(f);
	}
}

/* dnsmasq answers from /etc/hosts, where a listed name may be on loopback. */
static void test_what_the_hosts_say_too(void **state)
{
	struct fixture *f = start();
	struct ln_event ev = event(f, LN_EVENT_NAME);
	struct word w = question();
	const uint8_t local[4] = {127, 0, 1, 1};

	ev.name.addr = ln_addr_make(4, local);
	ev.name.evidence = (struct ln_name_evidence){
	    .name = API, .source = LN_NAME_HOSTS, .grants = true, .expires_ns = UINT64_MAX};
	ln_engine_feed(f->engine, &ev);
	say(f, &w);
	w.answer = true;
	w.addr = local;
	say(f, &w);
	check_nothing(f);
	stop(f);
}

/* Only of a resolver that was seen to copy capital letters. */
static void test_wrong_case(void **state)
{
	struct fixture *f = start();
	struct word w = question();

	w.name = "aPi.exAmple.com";
	say(f, &w);
	w = reply();
	say(f, &w);
	assert_true(f->last.trusted);
	w = question();
	w.name = "aPi.exAmple.com";
	w.id = 2;
	say(f, &w);
	w.answer = true;
	w.addr = addr;
	say(f, &w);
	assert_true(f->last.trusted);
	check_nothing(f);
	w.id = 3;
	w.answer = false;
	w.addr = NULL;
	say(f, &w);
	w.answer = true;
	w.addr = other;
	w.name = "api.eXample.com";
	say(f, &w);
	assert_int_equal(f->last.forgery, LN_FORGERY_CASE);
	assert_int_equal(reach(f, other), LN_VERDICT_UNEXPECTED);
	stop(f);
}

static void test_the_same_answer_again(void **state)
{
	struct fixture *f = start();
	struct word w = question();

	say(f, &w);
	w = reply();
	for (int i = 0; i < 3; i++)
		say(f, &w);
	f->now_ns += 200 * LN_NS_PER_S;
	say(f, &w);
	check_nothing(f);
	stop(f);
}

/* Asked three times, as a stub resolver does; the answers come late, all of them. */
static void test_late_answers_to_retries(void **state)
{
	struct fixture *f = start();
	struct word w = question();

	for (uint16_t id = 1; id <= 3; id++) {
		w.id = id;
		say(f, &w);
		f->now_ns += 5 * LN_NS_PER_S;
	}
	f->now_ns += 40 * LN_NS_PER_S;
	w = reply();
	for (uint16_t id = 1; id <= 3; id++) {
		w.id = id;
		say(f, &w);
		assert_false(f->last.trusted);
	}
	check_nothing(f);
	stop(f);
}

/* Each socket asks both, as musl does, with one id; the second answer is none too many. */
static void test_two_resolvers_answer(void **state)
{
	struct fixture *f = start();
	struct word w = question();

	f->engine->resolvers = realloc(f->engine->resolvers, 2 * sizeof(struct ln_endpoint));
	assert_true(ln_endpoint_parse(SECOND, 53, &f->engine->resolvers[1]));
	f->engine->keeps_case = realloc(f->engine->keeps_case, 2);
	f->engine->keeps_case[1] = false;
	f->engine->n_resolvers = 2;
	say(f, &w);
	w.flow = 8;
	w.at = SECOND;
	say(f, &w);
	w.answer = true;
	w.addr = addr;
	say(f, &w);
	w.flow = 7;
	w.at = RESOLVER;
	w.addr = other;
	say(f, &w);
	check_nothing(f);
	assert_int_equal(reach(f, addr), LN_VERDICT_EXPECTED);
	assert_int_equal(reach(f, other), LN_VERDICT_EXPECTED);
	stop(f);
}

/* The kernel side has eight slots a socket: the destination of a question may have lost its own. */
static void test_a_slot_that_was_given_away(void **state)
{
	struct fixture *f = start();
	struct word w = question();

	say(f, &w);
	w = reply();
	w.flow = 9; /* and was taken again */
	say(f, &w);
	w.flow = 0;
	w.stranger = true;
	say(f, &w);
	check_nothing(f);
	stop(f);
}

/* Of a question that may have been missed nobody can say that it was not asked. */
static void test_unasked_after_something_was_missed(void **state)
{
	struct ln_event missed[] = {
	    {.kind = LN_EVENT_LOST, .agent = 1, .lost = {.reason = "ring buffer full", .count = 1}},
	    {.kind = LN_EVENT_ADOPT, .agent = 1, .pid = 100},
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(missed); i++) {
		struct fixture *f = start();
		struct word w = reply();

		missed[i].time_ns = f->now_ns;
		missed[i].wall_ns = wall_of(f->now_ns);
		ln_engine_feed(f->engine, &missed[i]);
		say(f, &w);
		w.stranger = true;
		w.at = STRANGER;
		say(f, &w);
		check_nothing(f);
		f->now_ns += LONG;
		say(f, &w);
		assert_int_equal(f->last.forgery, LN_FORGERY_UNASKED);
		stop(f);
	}
}

static void test_unasked_on_a_socket_from_before(void **state)
{
	struct fixture *f = start();
	struct word w = reply();

	w.existing = true;
	say(f, &w);
	check_nothing(f);
	stop(f);
}

/* So many that the first ones are forgotten, whether they were answered or not. */
static void test_questions_that_were_forgotten(void **state)
{
	for (int answered = 0; answered < 2; answered++) {
		struct fixture *f = start();
		struct word w = question();

		for (uint32_t i = 0; i < 3 * LN_QUESTIONS_MAX; i++) {
			w.id = (uint16_t)i;
			w.answer = false;
			w.addr = NULL;
			say(f, &w);
			w.answer = true;
			w.addr = addr;
			if (answered)
				say(f, &w);
		}
		w.id = 0;
		say(f, &w);
		check_nothing(f);
		stop(f);
	}
}

static void test_other_responders(void **state)
{
	static const char *const from[] = {"192.168.1.9:5353", "192.168.1.9:5355"};
	struct fixture *f = start();
	struct word w = reply();

	for (size_t i = 0; i < LN_ARRAY_SIZE(from); i++) {
		w.at = from[i];
		w.stranger = true;
		say(f, &w);
	}
	/* who is not trusted answers from another of its addresses */
	w = question();
	w.at = "9.9.9.9:53";
	say(f, &w);
	w = reply();
	w.at = "9.9.9.10:53";
	w.stranger = true;
	say(f, &w);
	w.stranger = false;
	w.at = "9.9.9.9:53";
	w.id = 77;
	say(f, &w);
	check_nothing(f);
	stop(f);
}

/* A question that cannot be read whole is answered with an error that names it. */
static void test_an_answer_to_a_broken_question(void **state)
{
	struct fixture *f = start();
	uint8_t buf[512];
	size_t len = put_question(buf, 1, false, API, LN_DNS_A);
	struct word w = reply();

	buf[5] = 1;
	buf[7] = 1;
	message(f, RESOLVER, false, buf, len);
	w.addr = NULL;
	say(f, &w);
	check_nothing(f);
	stop(f);
}

/* Names that are only claimed push out no name that was answered. */
static void test_a_flood_takes_nothing_away(void **state)
{
	struct fixture *f = start();
	struct word w = question();
	char name[64];

	say(f, &w);
	w = reply();
	say(f, &w);
	w.name = name;
	w.id = 9;
	for (unsigned int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "a%u.example.com", i);
		say(f, &w);
	}
	assert_int_equal(reach(f, addr), LN_VERDICT_EXPECTED);
	stop(f);
}

static void test_a_flood_is_folded(void **state)
{
	struct fixture *f = start();
	struct word w = question();
	char name[64];

	say(f, &w);
	w = reply();
	w.name = name;
	w.id = 9;
	w.addr = NULL;
	for (unsigned int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "a%u.example.com", i);
		say(f, &w);
	}
	assert_int_equal(f->alerts[LN_FINDING_DNS_ANSWER], LN_ALERTS_PER_S);
	f->now_ns += LN_NS_PER_S;
	ln_engine_tick(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->told, 200 - LN_ALERTS_PER_S);
	assert_non_null(strstr(f->last_reason, "forged DNS answers"));
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_wrong_id),
	    cmocka_unit_test(test_wrong_port),
	    cmocka_unit_test(test_wrong_name),
	    cmocka_unit_test(test_wrong_type),
	    cmocka_unit_test(test_unasked),
	    cmocka_unit_test(test_from_a_stranger),
	    cmocka_unit_test(test_by_the_agent_itself),
	    cmocka_unit_test(test_the_agents_resolver_that_forwards),
	    cmocka_unit_test(test_records_that_do_not_belong),
	    cmocka_unit_test(test_a_listed_name_is_this_host),
	    cmocka_unit_test(test_what_the_hosts_say_too),
	    cmocka_unit_test(test_wrong_case),
	    cmocka_unit_test(test_the_same_answer_again),
	    cmocka_unit_test(test_late_answers_to_retries),
	    cmocka_unit_test(test_two_resolvers_answer),
	    cmocka_unit_test(test_a_slot_that_was_given_away),
	    cmocka_unit_test(test_unasked_after_something_was_missed),
	    cmocka_unit_test(test_unasked_on_a_socket_from_before),
	    cmocka_unit_test(test_questions_that_were_forgotten),
	    cmocka_unit_test(test_other_responders),
	    cmocka_unit_test(test_an_answer_to_a_broken_question),
	    cmocka_unit_test(test_a_flood_takes_nothing_away),
	    cmocka_unit_test(test_a_flood_is_folded),
	};

	return cmocka_run_group_tests_name("engine_forged", tests, NULL, NULL);
}
