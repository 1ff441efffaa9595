/* SPDX-License-Identifier: Apache-2.0 */
/* What became of a violation, in each mode. */
#include "engine_fixture.h"

#define BAD  "203.0.113.9:443"
#define BAD2 "203.0.113.10:443"

struct deeds {
	unsigned int asked;
	uint64_t asked_before_told; /* findings told when it was asked for */
	struct ln_deed next;
};

static struct ln_deed act(const struct ln_finding *finding, void *user)
{
	struct fixture *f = user;
	struct deeds *d = f->deeds;

	(void)finding;
	d->asked++;
	d->asked_before_told = f->n[LN_FINDING_FLOW_OPEN];
	return d->next;
}

static struct fixture *begin(enum ln_mode mode, bool dry_run, struct deeds *d)
{
	struct fixture *f = start();

	f->engine->mode = mode;
	f->engine->dry_run = dry_run;
	f->engine->act = d ? act : NULL;
	f->deeds = d;
	return f;
}

static void expect(const struct fixture *f, enum ln_action action, const char *why)
{
	assert_int_equal(f->last.action, action);
	if (why)
		assert_string_equal(f->last.action_why, why);
	else
		assert_null(f->last.action_why);
}

static void monitor_mode_logs(void **state)
{
	struct fixture *f = begin(LN_MODE_MONITOR, false, NULL);
	const struct ln_flow bad = make_flow(1, BAD, IPPROTO_TCP);
	const struct ln_flow resolver = make_flow(2, RESOLVER, IPPROTO_UDP);

	open_flow(f, &bad);
	expect(f, LN_ACTION_LOGGED, NULL);
	close_flow(f, &bad);
	expect(f, LN_ACTION_LOGGED, NULL);
	open_flow(f, &resolver);
	expect(f, LN_ACTION_NONE, NULL);
	ask(f, 1, "evil.example.net");
	expect(f, LN_ACTION_LOGGED, NULL);
	assert_int_equal(summary(f).blocked, 0);
	stop(f);
}

static void block_mode_tells_what_was_refused(void **state)
{
	struct fixture *f = begin(LN_MODE_BLOCK, false, NULL);
	struct ln_flow bad = make_flow(1, BAD, IPPROTO_TCP);

	bad.refused = true;
	open_flow(f, &bad);
	assert_true(f->last.alert);
	expect(f, LN_ACTION_BLOCKED, NULL);
	bad.id = 2;
	open_flow(f, &bad);
	expect(f, LN_ACTION_BLOCKED, NULL);
	assert_int_equal(summary(f).blocked, 2);
	f->now_ns += 20 * LN_NS_PER_S;
	ln_engine_tick(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->last.kind, LN_FINDING_REPEATS);
	expect(f, LN_ACTION_BLOCKED, NULL);
	assert_int_equal(summary(f).blocked, 2);
	assert_int_equal(summary(f).blocked_permitted, 0);
	stop(f);
}

static void block_mode_tells_what_was_not(void **state)
{
	struct fixture *f = begin(LN_MODE_BLOCK, false, NULL);
	struct ln_flow flow = make_flow(1, BAD, IPPROTO_TCP);

	open_flow(f, &flow);
	expect(f, LN_ACTION_LET_THROUGH, "the kernel side let it pass, see `linnet doctor`");
	flow = make_flow(2, BAD2, IPPROTO_TCP);
	flow.existing = true;
	open_flow(f, &flow);
	expect(f, LN_ACTION_LET_THROUGH, "it was open before the watch began");
	assert_int_equal(summary(f).let_through, 2);
	ask(f, 1, "evil.example.net");
	assert_int_equal(f->last.kind, LN_FINDING_DNS_QUERY);
	expect(f, LN_ACTION_LOGGED, "DNS questions are not refused");
	assert_int_equal(summary(f).let_through, 2);
	stop(f);
}

/* What the kernel side refused was refused, whatever the verdict is here. */
static void a_false_refusal_is_counted(void **state)
{
	struct fixture *f = begin(LN_MODE_BLOCK, false, NULL);
	struct ln_flow flow = make_flow(1, RESOLVER, IPPROTO_UDP);

	flow.refused = true;
	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_DNS);
	expect(f, LN_ACTION_BLOCKED, NULL);
	assert_int_equal(summary(f).blocked_permitted, 1);
	stop(f);
}

static void channels_in_block_mode(void **state)
{
	struct fixture *f = begin(LN_MODE_BLOCK, false, NULL);
	struct ln_event ev = event(f, LN_EVENT_CHANNEL);

	ev.channel = (struct ln_channel){.kind = LN_CHANNEL_RAW_SOCKET, .refused = true};
	ln_engine_feed(f->engine, &ev);
	expect(f, LN_ACTION_BLOCKED, NULL);
	ev.channel.refused = false;
	ln_engine_feed(f->engine, &ev);
	expect(f, LN_ACTION_LET_THROUGH, "this way is not refused here, see `linnet doctor`");
	ev.channel = (struct ln_channel){.kind = LN_CHANNEL_PRIVILEGE};
	ln_engine_feed(f->engine, &ev);
	expect(f, LN_ACTION_LOGGED, "The use of privileges is not refused");
	stop(f);
}

static void a_dry_run_tells_what_would_be(void **state)
{
	struct fixture *f = begin(LN_MODE_BLOCK, true, NULL);
	struct ln_flow flow = make_flow(1, BAD, IPPROTO_TCP);

	flow.would_refuse = true;
	open_flow(f, &flow);
	expect(f, LN_ACTION_WOULD_BLOCK, NULL);
	assert_true(f->last.dry_run);
	flow = make_flow(2, BAD2, IPPROTO_TCP);
	flow.existing = true;
	open_flow(f, &flow);
	expect(f, LN_ACTION_LET_THROUGH, "it was open before the watch began");
	assert_int_equal(summary(f).would_act, 1);
	assert_int_equal(summary(f).blocked, 0);
	stop(f);
}

static void kill_mode_acts_before_it_tells(void **state)
{
	struct deeds d = {.next = {.action = LN_ACTION_KILLED, .news = true}};
	struct fixture *f = begin(LN_MODE_KILL, false, &d);
	struct ln_flow flow = make_flow(1, BAD, IPPROTO_TCP);

	open_flow(f, &flow);
	assert_int_equal(d.asked, 1);
	assert_int_equal(d.asked_before_told, 0);
	expect(f, LN_ACTION_KILLED, NULL);
	d.next.news = false;
	close_flow(f, &flow);
	assert_int_equal(d.asked, 1);
	expect(f, LN_ACTION_KILLED, NULL);
	assert_int_equal(summary(f).deeds, 1);
	stop(f);
}

static void a_kill_that_failed_is_not_told_as_one(void **state)
{
	struct deeds d = {.next = {.action = LN_ACTION_LET_THROUGH, .why = "no answer"}};
	struct fixture *f = begin(LN_MODE_KILL, false, &d);
	struct ln_flow flow = make_flow(1, BAD, IPPROTO_TCP);

	open_flow(f, &flow);
	expect(f, LN_ACTION_LET_THROUGH, "no answer");
	f->engine->act = NULL;
	flow = make_flow(2, BAD2, IPPROTO_TCP);
	open_flow(f, &flow);
	expect(f, LN_ACTION_LET_THROUGH, "nobody is there to do it");
	stop(f);
}

/* Whoever can send a packet to the agent must not be able to end it. */
static void what_others_do_ends_nobody(void **state)
{
	struct deeds d = {.next = {.action = LN_ACTION_KILLED, .news = true}};
	struct fixture *f = begin(LN_MODE_KILL, false, &d);
	struct ln_event ev = event(f, LN_EVENT_TAMPER);

	ev.tamper.what = "a probe was detached";
	ln_engine_feed(f->engine, &ev);
	expect(f, LN_ACTION_LOGGED, "It is not the agent's doing");
	answer(f, 9, "api.example.com", (const uint8_t[]){198, 51, 100, 1}, 60);
	assert_int_equal(f->last.kind, LN_FINDING_DNS_ANSWER);
	assert_int_not_equal(f->last.forgery, LN_FORGERY_NONE);
	expect(f, LN_ACTION_LOGGED, "It is not the agent's doing");
	assert_int_equal(d.asked, 0);
	stop(f);
}

static void a_repetition_after_a_resume_is_told(void **state)
{
	struct deeds d = {.next = {.action = LN_ACTION_FROZEN, .news = true}};
	struct fixture *f = begin(LN_MODE_FREEZE, false, &d);
	struct ln_flow flow = make_flow(1, BAD, IPPROTO_TCP);

	f->engine->handle = 77;
	open_flow(f, &flow);
	expect(f, LN_ACTION_FROZEN, NULL);
	assert_int_equal(f->last.handle, 77);
	flow.id = 2;
	d.next.news = false;
	open_flow(f, &flow);
	assert_false(f->last.alert);
	flow.id = 3;
	d.next.news = true;
	open_flow(f, &flow);
	assert_true(f->last.alert);
	assert_int_equal(f->last.repeat_of, 2);
	assert_int_equal(summary(f).deeds, 2);
	stop(f);
}

/* What the bytes say of a flow that was told is no second violation. */
static void the_bytes_of_a_told_flow_end_nobody(void **state)
{
	struct deeds d = {.next = {.action = LN_ACTION_FROZEN, .news = true}};
	struct fixture *f = begin(LN_MODE_FREEZE, false, &d);
	const struct ln_flow flow = make_flow(1, BAD, IPPROTO_TCP);
	struct ln_event ev = event(f, LN_EVENT_BYTES);
	const struct ln_claim other = {.layer = LN_LAYER_OTHER};
	struct ln_target asked = {0};

	open_flow(f, &flow);
	ev.bytes.flow = flow;
	ln_claims_take(f->engine, &ev, &other, &asked);
	assert_int_equal(f->last.kind, LN_FINDING_CLAIM);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	assert_false(f->last.alert);
	assert_int_equal(d.asked, 1);
	stop(f);
}

static void a_dry_run_ends_nobody(void **state)
{
	struct deeds d = {.next = {.action = LN_ACTION_KILLED, .news = true}};
	struct fixture *f = begin(LN_MODE_KILL, true, &d);
	const struct ln_flow flow = make_flow(1, BAD, IPPROTO_TCP);

	open_flow(f, &flow);
	expect(f, LN_ACTION_WOULD_KILL, NULL);
	assert_int_equal(d.asked, 0);
	assert_int_equal(summary(f).would_act, 1);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(monitor_mode_logs),
	    cmocka_unit_test(block_mode_tells_what_was_refused),
	    cmocka_unit_test(block_mode_tells_what_was_not),
	    cmocka_unit_test(a_false_refusal_is_counted),
	    cmocka_unit_test(channels_in_block_mode),
	    cmocka_unit_test(a_dry_run_tells_what_would_be),
	    cmocka_unit_test(kill_mode_acts_before_it_tells),
	    cmocka_unit_test(a_kill_that_failed_is_not_told_as_one),
	    cmocka_unit_test(what_others_do_ends_nobody),
	    cmocka_unit_test(a_repetition_after_a_resume_is_told),
	    cmocka_unit_test(the_bytes_of_a_told_flow_end_nobody),
	    cmocka_unit_test(a_dry_run_ends_nobody),
	};

	return cmocka_run_group_tests_name("engine_actions", tests, NULL, NULL);
}
