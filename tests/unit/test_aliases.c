/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include "base/macros.h"
#include "dns/aliases.h"

#define S     LN_NS_PER_S
#define GRACE (600 * S)

static struct ln_alias found[LN_ALIASES_PER_TARGET + 1];

static int add(struct ln_aliases *a, uint32_t agent, const char *name, const char *target,
	       uint64_t now_ns, uint32_t ttl_s)
{
	struct ln_alias alias = {.ttl_s = ttl_s, .expires_ns = now_ns + ttl_s * S};

	snprintf(alias.name, sizeof(alias.name), "%s", name);
	snprintf(alias.chain, sizeof(alias.chain), "%s", target);
	return ln_aliases_add(a, agent, target, &alias, now_ns);
}

static size_t find(struct ln_aliases *a, uint32_t agent, const char *target, uint64_t now_ns)
{
	return ln_aliases_find(a, agent, target, now_ns, found, LN_ARRAY_SIZE(found));
}

static struct ln_aliases *aliases;

static int begin(void **state)
{
	aliases = ln_aliases_new(100, GRACE);
	return aliases ? 0 : -1;
}

static int end(void **state)
{
	ln_aliases_free(&aliases);
	return aliases ? -1 : 0;
}

static void all_that_lead_to_a_name_are_kept(void **state)
{
	add(aliases, 1, "a.test", "b.test", 1 * S, 60);
	add(aliases, 1, "x.test", "b.test", 1 * S, 30);
	add(aliases, 2, "y.test", "b.test", 1 * S, 30);
	assert_int_equal(ln_aliases_count(aliases), 3);
	assert_int_equal(find(aliases, 1, "b.test", 2 * S), 2);
	assert_string_equal(found[0].name, "a.test");
	assert_string_equal(found[0].chain, "b.test");
	assert_int_equal(found[0].ttl_s, 60);
	assert_int_equal(found[0].expires_ns, 61 * S);
	assert_string_equal(found[1].name, "x.test");
	assert_int_equal(find(aliases, 2, "b.test", 2 * S), 1);
	assert_int_equal(find(aliases, 1, "a.test", 2 * S), 0);
	assert_int_equal(find(aliases, 1, "b.tes", 2 * S), 0);
	assert_int_equal(find(aliases, 0, "b.test", 2 * S), 0);
	assert_int_equal(ln_aliases_find(aliases, 1, "b.test", 2 * S, found, 1), 1);
}

static void an_alias_ends_with_its_grace(void **state)
{
	add(aliases, 1, "a.test", "b.test", 1 * S, 60);
	assert_int_equal(find(aliases, 1, "b.test", 61 * S + GRACE), 1);
	assert_int_equal(find(aliases, 1, "b.test", 61 * S + GRACE + 1), 0);
	add(aliases, 1, "a.test", "b.test", 5 * S, 1); /* the later expiry holds */
	assert_int_equal(ln_aliases_count(aliases), 1);
	assert_int_equal(find(aliases, 1, "b.test", 61 * S + GRACE), 1);
	add(aliases, 1, "a.test", "b.test", 100 * S, 60);
	assert_int_equal(find(aliases, 1, "b.test", 160 * S + GRACE), 1);
	assert_int_equal(ln_aliases_evicted(aliases), 0);
}

static void what_is_no_alias_is_refused(void **state)
{
	char name[LN_NAME_MAX + 10];

	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(add(aliases, 1, "a.test", "a.test", 1, 60), -EINVAL);
	assert_int_equal(add(aliases, 1, "", "a.test", 1, 60), -EINVAL);
	assert_int_equal(add(aliases, 1, "a.test", "", 1, 60), -EINVAL);
	assert_int_equal(add(aliases, 1, "a.test", name, 1, 60), -EINVAL);
	assert_int_equal(ln_aliases_count(aliases), 0);
	assert_int_equal(ln_aliases_evicted(aliases), 0);
}

static void the_one_told_longest_ago_goes(void **state)
{
	char name[32];

	ln_aliases_free(&aliases);
	aliases = ln_aliases_new(1000, GRACE);
	for (int i = 0; i < LN_ALIASES_PER_TARGET; i++) {
		snprintf(name, sizeof(name), "n%d.test", i);
		assert_int_equal(add(aliases, 1, name, "b.test", 1 * S, 60), 0);
	}
	add(aliases, 1, "n0.test", "b.test", 2 * S, 60); /* renewed */
	add(aliases, 1, "new.test", "b.test", 2 * S, 60);
	assert_int_equal(ln_aliases_evicted(aliases), 1);
	assert_int_equal(find(aliases, 1, "b.test", 3 * S), LN_ALIASES_PER_TARGET);
	assert_string_equal(found[0].name, "n2.test");
	assert_string_equal(found[LN_ALIASES_PER_TARGET - 2].name, "n0.test");
	assert_string_equal(found[LN_ALIASES_PER_TARGET - 1].name, "new.test");
	/* One that is over is no loss. */
	add(aliases, 1, "newer.test", "b.test", 5000 * S, 60);
	assert_int_equal(ln_aliases_evicted(aliases), 1);
}

static void who_holds_most_gives(void **state)
{
	char target[32];

	add(aliases, 2, "a.test", "b.test", 1 * S, 60);
	for (int i = 0; i < 1000; i++) {
		snprintf(target, sizeof(target), "t%d.test", i);
		assert_int_equal(add(aliases, 1, "a.test", target, 2 * S, 60), 0);
	}
	assert_int_equal(ln_aliases_count(aliases), 100);
	assert_int_equal(ln_aliases_evicted(aliases), 901);
	assert_int_equal(find(aliases, 2, "b.test", 3 * S), 1);
	assert_int_equal(find(aliases, 1, "t900.test", 3 * S), 0);
	assert_int_equal(find(aliases, 1, "t901.test", 3 * S), 1);
	assert_int_equal(find(aliases, 1, "t999.test", 3 * S), 1);
}

/* Against a plain list, with few names, so that all of them meet. */
static void random_use_agrees_with_a_list(void **state)
{
	struct {
		bool used;
		uint64_t expires_ns;
	} model[2][8][8] = {0};
	uint64_t now_ns = 0;

	srandom(7);
	for (int round = 0; round < 20000; round++) {
		uint32_t agent = (uint32_t)random() % 2;
		int from = (int)(random() % 8), to = (int)(random() % 8);
		uint32_t ttl_s = (uint32_t)random() % 1000;
		char name[16], target[16];
		size_t n = 0;

		now_ns += (uint64_t)(random() % 100) * S;
		snprintf(name, sizeof(name), "n%d", from);
		snprintf(target, sizeof(target), "n%d", to);
		assert_int_equal(add(aliases, agent, name, target, now_ns, ttl_s),
				 from == to ? -EINVAL : 0);
		if (from != to) {
			uint64_t *expires_ns = &model[agent][to][from].expires_ns;

			*expires_ns = LN_MAX(*expires_ns, now_ns + ttl_s * S);
			model[agent][to][from].used = true;
		}
		for (int i = 0; i < 8; i++)
			n += model[agent][to][i].used &&
			     model[agent][to][i].expires_ns + GRACE >= now_ns;
		assert_int_equal(find(aliases, agent, target, now_ns), n);
	}
	assert_true(ln_aliases_count(aliases) <= 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(all_that_lead_to_a_name_are_kept, begin, end),
	    cmocka_unit_test_setup_teardown(an_alias_ends_with_its_grace, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_no_alias_is_refused, begin, end),
	    cmocka_unit_test_setup_teardown(the_one_told_longest_ago_goes, begin, end),
	    cmocka_unit_test_setup_teardown(who_holds_most_gives, begin, end),
	    cmocka_unit_test_setup_teardown(random_use_agrees_with_a_list, begin, end),
	};

	return cmocka_run_group_tests_name("aliases", tests, NULL, NULL);
}
