/* SPDX-License-Identifier: Apache-2.0 */
/* The self-test against a sensor that says it sees, and tells nothing: that is a failure, and the
 * only one. The rest is in the kernel tests of doctor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/selftest.h"

static int deaf_fd = -1;
static uint32_t tracked;

static int deaf_track(struct ln_sensor *s, uint32_t agent, uint32_t pid, int cgroup_fd,
		      struct ln_error *err)
{
	tracked = pid;
	return 0;
}

static int deaf_get_fd(struct ln_sensor *s)
{
	return deaf_fd;
}

static int deaf_dispatch(struct ln_sensor *s, ln_event_fn fn, void *user)
{
	return 0;
}

static size_t deaf_channels(struct ln_sensor *s, const struct ln_channel_fact **ret)
{
	static const struct ln_channel_fact rows[] = {
	    {"TCP connect", LN_SIGHT_SEEN, true, "a hook that never fires", ""},
	    {"UDP connect", LN_SIGHT_BLIND, false, "", "nothing"},
	    {"inbound connections, answered", LN_SIGHT_PREPARATION, false, "the same hook", ""},
	};

	*ret = rows;
	return LN_ARRAY_SIZE(rows);
}

static void check(bool refusals, int missed_probes)
{
	static const struct ln_sensor_ops ops = {.name = "deaf",
						 .track = deaf_track,
						 .fd = deaf_get_fd,
						 .dispatch = deaf_dispatch,
						 .channels = deaf_channels};
	static const struct ln_sensor_kind kind = {.name = "deaf"};
	struct ln_sensor s = {.ops = &ops};
	struct ln_selftest test = {0};
	struct ln_error err = {0};
	const struct ln_probe *probes;
	size_t missed = 0;

	deaf_fd = eventfd(0, EFD_CLOEXEC);
	assert_true(deaf_fd >= 0);
	if (ln_selftest_run(&s, &kind, refusals, &err, &test) < 0)
		fail_msg("%s", err.text);
	assert_true(tracked > 0);
	assert_int_equal(test.n, ln_probes(&probes));
	for (size_t i = 0; i < test.n; i++) {
		const struct ln_probe_result *r = &test.results[i];
		bool claimed =
		    !strcmp(probes[i].channel, "TCP connect") ||
		    (!refusals && !strcmp(probes[i].channel, "inbound connections, answered"));

		assert_string_equal(r->name, probes[i].name);
		assert_int_equal(r->end, claimed ? LN_PROBE_MISSED : LN_PROBE_BLIND);
		missed += r->end == LN_PROBE_MISSED;
	}
	assert_int_equal(missed, missed_probes);
	close(deaf_fd);
}

static void missed_is_not_blind(void **state)
{
	check(false, 4);
}

/* Of what it says that it could refuse, nothing is. */
static void let_pass_is_not_refused(void **state)
{
	check(true, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(missed_is_not_blind),
	    cmocka_unit_test(let_pass_is_not_refused),
	};

	return cmocka_run_group_tests_name("selftest", tests, NULL, NULL);
}
