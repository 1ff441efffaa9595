/* SPDX-License-Identifier: Apache-2.0 */
/* Block mode: the end of a rule reaches the kernel side. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/clock.h"
#include "daemon/watch_impl.h"

#define FIRST_RETRY_S 10

static int takes; /* what the sensor says to a policy: 0, or an errno */
static int given; /* policies so far */

static int take_policy(struct ln_sensor *s, const struct ln_policy *policy, struct ln_error *err)
{
	given++;
	return takes ? ln_error_set(err, takes, "no room") : 0;
}

static void what_was_not_taken_is_given_again(void **state)
{
	static const struct ln_sensor_ops OPS = {.name = "fake", .set_policy = take_policy};
	struct ln_sensor sensor = {.ops = &OPS};
	struct ln_policy *policy = ln_policy_new_empty("unit");
	struct ln_engine_config config = {.policy = policy, .agent = 1};
	struct ln_watch w = {.sensor = &sensor, .c = {.policy = policy, .mode = LN_MODE_BLOCK}};

	assert_non_null(policy);
	assert_int_equal(ln_engine_new(&config, &w.engine), 0);
	takes = ENOMEM;
	ln_watch_end_rules(&w);
	uint64_t soon_s = ln_clock_wall_ns() / LN_NS_PER_S + FIRST_RETRY_S;
	assert_int_equal(given, 1);
	assert_in_range(w.rule_ends_s, soon_s - 1, soon_s);
	ln_watch_end_rules(&w);
	assert_int_equal(given, 1); /* not before its time */
	takes = 0;
	ln_watch_clock_was_set(&w);
	ln_watch_end_rules(&w);
	assert_int_equal(given, 2);
	assert_true(w.rule_ends_s == UINT64_MAX); /* no rule ends any more */
	ln_engine_free(&w.engine);
	ln_policy_free(&policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_not_taken_is_given_again),
	};

	return cmocka_run_group_tests_name("rule_ends", tests, NULL, NULL);
}
