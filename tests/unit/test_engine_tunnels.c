/* SPDX-License-Identifier: Apache-2.0 */
/* What names that no rule covers carry, by registered domain. */
#include "engine_fixture.h"

static const struct ln_name_group *group(const struct fixture *f)
{
	assert_non_null(f->last.group);
	return f->last.group;
}

static void test_from_the_first_question_on(void **state)
{
	struct fixture *f = start();

	ask(f, 1, "secret.evil.test");
	assert_true(f->last.alert);
	assert_string_equal(group(f)->domain, "evil.test");
	assert_int_equal(group(f)->names, 1);
	assert_int_equal(group(f)->label_bytes, 6);
	ask(f, 2, "evil.test");
	assert_int_equal(group(f)->names, 2);
	assert_int_equal(group(f)->label_bytes, 6);
	ask(f, 3, "a.bc.evil.test");
	assert_int_equal(group(f)->label_bytes, 9);
	ask(f, 4, "a.bc.evil.test"); /* says nothing new */
	assert_int_equal(group(f)->names, 3);
	assert_int_equal(group(f)->label_bytes, 9);
	assert_int_equal(group(f)->questions, 4);
	ask(f, 5, "a.bc.other.test");
	assert_int_equal(group(f)->questions, 1);
	ask(f, 6, "api.example.com");
	assert_null(f->last.group);
	stop(f);
}

static void test_by_what_somebody_registered(void **state)
{
	static const struct {
		const char *name, *domain;
	} rows[] = {
	    {"a.b.evil.co.uk", "evil.co.uk"}, {"x.y.github.io", "y.github.io"},
	    {"github.io", "github.io"},       {"printer", "printer"},
	    {"a.b.evil.test", "evil.test"},
	};
	struct fixture *f = start();

	for (uint16_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		ask(f, i, rows[i].name);
		assert_string_equal(group(f)->domain, rows[i].domain);
	}
	stop(f);
}

static void test_types(void **state)
{
	static const uint16_t types[] = {1, 28, 16, 16, 10, 65399};
	struct fixture *f = start();
	uint8_t buf[512];

	for (uint16_t i = 0; i < LN_ARRAY_SIZE(types); i++)
		message(f, RESOLVER, false, buf,
			put_question(buf, i, false, "x.evil.test", types[i]));
	assert_int_equal(group(f)->n_types, 5);
	assert_int_equal(group(f)->types[4], 65399);
	for (uint16_t i = 0; i < 20; i++)
		message(f, RESOLVER, false, buf,
			put_question(buf, i, false, "x.evil.test", 1000 + i));
	assert_int_equal(group(f)->n_types, 8);
	stop(f);
}

/* The record of 16 bytes, without the name that was asked for. */
static void test_what_came_back(void **state)
{
	struct fixture *f = start();
	const uint8_t addr[4] = {198, 51, 100, 1};

	ask(f, 1, "x.evil.test");
	answer(f, 2, "x.evil.test", addr, 60); /* not asked for */
	answer(f, 1, "x.evil.test", addr, 60);
	ask(f, 3, "y.evil.test");
	assert_int_equal(group(f)->answer_bytes, 16);
	stop(f);
}

static void test_covered_names_of_the_same_domain_do_not_count(void **state)
{
	struct fixture *f = start();
	const uint8_t addr[4] = {198, 51, 100, 1};

	ask(f, 1, "x.example.com");
	ask(f, 2, "api.example.com");
	answer(f, 2, "api.example.com", addr, 60);
	ask(f, 3, "y.example.com");
	assert_int_equal(group(f)->names, 2);
	assert_int_equal(group(f)->answer_bytes, 0);
	stop(f);
}

static void test_the_count_of_repeats_tells_it_too(void **state)
{
	struct fixture *f = start();
	char name[64];

	for (unsigned int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "%03u.evil.co.uk", i);
		ask(f, (uint16_t)i, name);
	}
	assert_int_equal(f->alerts[LN_FINDING_DNS_QUERY], LN_GROUP_NAMES_MAX);
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	assert_string_equal(f->reported, "*.evil.co.uk");
	assert_int_equal(group(f)->names, 100);
	assert_int_equal(group(f)->label_bytes, 300);
	stop(f);
}

static void test_names_are_bounded(void **state)
{
	struct fixture *f = start();
	const unsigned int n = LN_TUNNEL_NAMES_MAX + 100;
	char name[64];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%08u.evil.test", i);
		ask(f, (uint16_t)i, name);
	}
	assert_int_equal(group(f)->names, LN_TUNNEL_NAMES_MAX);
	assert_true(group(f)->more);
	assert_int_equal(group(f)->label_bytes, 8 * n);
	assert_int_equal(group(f)->questions, n);
	stop(f);
}

static void test_names_of_all_domains_are_bounded(void **state)
{
	struct fixture *f = start();
	const unsigned int each = LN_TUNNEL_NAMES_MAX, domains = LN_TUNNEL_NAMES_ALL / each;
	char name[64];

	for (unsigned int i = 0; i < domains * each; i++) {
		snprintf(name, sizeof(name), "%u.evil%u.test", i, i % domains);
		ask(f, (uint16_t)i, name);
		assert_false(group(f)->more);
	}
	ask(f, 1, "a.onemore.test");
	assert_int_equal(group(f)->names, 0);
	assert_true(group(f)->more);
	stop(f);
}

static void test_domains_are_bounded(void **state)
{
	struct fixture *f = start();
	char name[64];

	ask(f, 1, "kept.evil.test");
	for (unsigned int i = 0; i < LN_TUNNELS_MAX; i++) {
		snprintf(name, sizeof(name), "a.zone%u.test", i);
		ask(f, (uint16_t)i, name);
		if (i == LN_TUNNELS_MAX / 2)
			ask(f, 1, "kept.evil.test");
	}
	assert_int_equal(summary(f).tables_full, 1);
	assert_int_equal(f->engine->tunnel_names, LN_TUNNELS_MAX);
	ask(f, 2, "more.evil.test");
	assert_int_equal(group(f)->names, 2);
	ask(f, 3, "b.zone0.test");
	assert_int_equal(group(f)->names, 1);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_from_the_first_question_on),
	    cmocka_unit_test(test_by_what_somebody_registered),
	    cmocka_unit_test(test_types),
	    cmocka_unit_test(test_what_came_back),
	    cmocka_unit_test(test_covered_names_of_the_same_domain_do_not_count),
	    cmocka_unit_test(test_the_count_of_repeats_tells_it_too),
	    cmocka_unit_test(test_names_are_bounded),
	    cmocka_unit_test(test_names_of_all_domains_are_bounded),
	    cmocka_unit_test(test_domains_are_bounded),
	};

	return cmocka_run_group_tests_name("engine_tunnels", tests, NULL, NULL);
}
