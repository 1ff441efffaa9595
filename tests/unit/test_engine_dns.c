/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's bounds for DNS. What it says about ordinary messages is in tests/replay. */
#include "engine_fixture.h"

static void test_questions_are_bounded(void **state)
{
	struct fixture *f = start();
	const uint8_t first[4] = {198, 51, 100, 1}, second[4] = {198, 51, 100, 2};
	struct ln_flow flow = make_flow(1, "198.51.100.1:443", IPPROTO_TCP);

	for (uint16_t i = 0; i <= LN_QUESTIONS_MAX; i++)
		ask(f, i, "api.example.com");
	assert_int_equal(summary(f).tables_full, 1);
	answer(f, 0, "api.example.com", first, 60);
	assert_false(f->last.trusted);
	answer(f, 1, "api.example.com", second, 60);
	assert_true(f->last.trusted);
	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_UNEXPECTED);
	flow = make_flow(2, "198.51.100.2:443", IPPROTO_TCP);
	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	stop(f);
}

static void test_asking_again_renews_a_question(void **state)
{
	struct fixture *f = start();
	const uint8_t addr[4] = {198, 51, 100, 1};

	ask(f, 1, "api.example.com");
	f->now_ns += 20 * LN_NS_PER_S;
	ask(f, 1, "api.example.com");
	f->now_ns += 20 * LN_NS_PER_S;
	answer(f, 1, "api.example.com", addr, 60);
	assert_true(f->last.trusted);
	stop(f);
}

static void test_names_in_many_zones_are_folded(void **state)
{
	struct fixture *f = start();
	char name[64];

	for (unsigned int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "data.zone%u.test", i);
		ask(f, (uint16_t)i, name);
	}
	assert_int_equal(f->alerts[LN_FINDING_DNS_QUERY], LN_ALERTS_PER_S);
	f->now_ns += LN_NS_PER_S;
	ln_engine_tick(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->folds, 1);
	assert_int_equal(f->told, 200 - LN_ALERTS_PER_S);
	assert_int_equal(summary(f).dns_unexpected, 200);
	stop(f);
}

/* A flood to somebody else must not push out what trusted resolvers were asked. */
static void test_only_trusted_questions_are_kept(void **state)
{
	struct fixture *f = start();
	const uint8_t addr[4] = {198, 51, 100, 1};

	ask(f, 0, "api.example.com");
	for (uint32_t i = 0; i <= LN_QUESTIONS_MAX; i++)
		ask_at(f, "9.9.9.9:53", (uint16_t)i, "api.example.com");
	assert_int_equal(summary(f).tables_full, 0);
	answer(f, 0, "api.example.com", addr, 60);
	assert_true(f->last.trusted);
	stop(f);
}

/* One zone: every question is told by an alert or in a count, and the count comes in time. */
static void test_a_tunnel_is_told_completely(void **state)
{
	struct fixture *f = start();
	const unsigned int n = 3000;
	char name[64];

	for (unsigned int i = 0; i < n; i++) {
		f->now_ns += 20 * LN_NS_PER_MS;
		snprintf(name, sizeof(name), "%x.data.tunnel.test", i);
		ask(f, (uint16_t)i, name);
	}
	assert_true(f->n[LN_FINDING_REPEATS] >= 2);
	assert_string_equal(f->reported, "*.tunnel.test");
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_int_equal(f->alerts[LN_FINDING_DNS_QUERY], LN_GROUP_NAMES_MAX);
	assert_int_equal(f->alerts[LN_FINDING_DNS_QUERY] + f->told, n);
	assert_int_equal(summary(f).dns_unexpected, n);
	assert_int_equal(summary(f).tables_full, 0); /* the folded names take no room */
	stop(f);
}

/* The longest name that there is, and the longest group. */
static void test_names_of_full_length(void **state)
{
	struct fixture *f = start();
	char name[LN_NAME_MAX];

	for (size_t i = 0; i < 253; i++)
		name[i] = i % 64 == 63 ? '.' : 'a';
	name[253] = '\0';
	for (uint16_t i = 0; i < 2; i++)
		ask(f, i, name);
	assert_int_equal(f->alerts[LN_FINDING_DNS_QUERY], 1);
	assert_int_equal(f->last.repeat_of, 1);
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_string_equal(f->reported, name);
	stop(f);
}

/* Who asks itself learns nothing: a listener of the agent, or one in a namespace that it made. */
static void test_a_resolver_of_the_agents_own_grants_nothing(void **state)
{
	static const struct {
		bool same_tree, trusted;
		uint64_t netns;
	} cases[] = {
	    {.netns = 77, .trusted = true},
	    {.netns = 0, .trusted = true},
	    {.netns = 78},
	    {.netns = 77, .same_tree = true},
	};
	const uint8_t addr[4] = {198, 51, 100, 1};

	for (size_t i = 0; i < LN_ARRAY_SIZE(cases); i++) {
		struct fixture *f = start();
		struct ln_flow flow = make_flow(1, "198.51.100.1:443", IPPROTO_TCP);

		f->engine->netns = 77;
		f->netns = cases[i].netns;
		f->same_tree = cases[i].same_tree;
		ask(f, 1, "api.example.com");
		answer(f, 1, "api.example.com", addr, 60);
		assert_int_equal(f->last.trusted, cases[i].trusted);
		open_flow(f, &flow);
		assert_int_equal(f->last.verdict,
				 cases[i].trusted ? LN_VERDICT_EXPECTED : LN_VERDICT_UNEXPECTED);
		stop(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_questions_are_bounded),
	    cmocka_unit_test(test_asking_again_renews_a_question),
	    cmocka_unit_test(test_only_trusted_questions_are_kept),
	    cmocka_unit_test(test_names_in_many_zones_are_folded),
	    cmocka_unit_test(test_a_tunnel_is_told_completely),
	    cmocka_unit_test(test_names_of_full_length),
	    cmocka_unit_test(test_a_resolver_of_the_agents_own_grants_nothing),
	};

	return cmocka_run_group_tests_name("engine_dns", tests, NULL, NULL);
}
