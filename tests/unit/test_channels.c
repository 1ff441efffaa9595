/* SPDX-License-Identifier: Apache-2.0 */
/* The channel table of the bpf sensor, computed from hooks that are said to work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/macros.h"
#include "sensor/bpf_channels.h"

static struct ln_channel_fact rows[LN_BPF_CHANNELS_MAX];

/* `user`: the hooks that work, " a b c "; NULL: all. */
static bool works(const char *hook, void *user)
{
	char word[64];

	snprintf(word, sizeof(word), " %s ", hook);
	return !user || strstr(user, word);
}

static const struct ln_channel_fact *row(const char *name, const char *hooks)
{
	char set[512];
	size_t n;

	snprintf(set, sizeof(set), " %s ", hooks);
	n = ln_bpf_channels(works, set, rows);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	fail_msg("no row %s", name);
	return NULL;
}

static void nothing_attached_is_blind(void **state)
{
	char none[] = "";
	size_t n = ln_bpf_channels(works, none, rows);

	assert_true(n > 20);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(rows[i].sight, LN_SIGHT_BLIND);
		assert_false(rows[i].refusable);
		assert_string_equal(rows[i].by, "");
		assert_true(strlen(rows[i].note) > 0);
	}
}

static void all_attached(void **state)
{
	size_t n = ln_bpf_channels(works, NULL, rows), blind = 0;

	for (size_t i = 0; i < n; i++) {
		blind += rows[i].sight == LN_SIGHT_BLIND;
		assert_int_equal(rows[i].sight == LN_SIGHT_BLIND, rows[i].by[0] == '\0');
		assert_true(strlen(rows[i].note) < sizeof(rows[i].note) - 1); /* not cut */
		assert_true(strlen(rows[i].name) <= 31);                      /* doctor's column */
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(rows[i].name, rows[k].name);
	}
	assert_true(blind > 0); /* some are, whatever the kernel has */
	assert_true(blind < n / 2);
}

/* Every hook of a set must work: one is not enough. */
static void a_set_is_all_of_it(void **state)
{
	const struct ln_channel_fact *c = row("TCP connect", "cgroup/connect4 cgroup/connect6");

	assert_int_equal(c->sight, LN_SIGHT_SEEN);
	assert_true(c->refusable);
	assert_string_equal(c->by, "cgroup/connect4, cgroup/connect6");
	assert_string_equal(c->note, "");
	assert_int_equal(row("TCP connect", "cgroup/connect4")->sight, LN_SIGHT_BLIND);
	assert_int_equal(row("TCP connect", "cgroup/connect6")->sight, LN_SIGHT_BLIND);
	assert_int_equal(row("TCP connect", "cgroup/connect44 cgroup/connect6")->sight,
			 LN_SIGHT_BLIND);
}

/* The best that is there, then the next best. */
static void ways_in_their_order(void **state)
{
	static const char name[] = "raw IP sockets";
	const struct ln_channel_fact *c =
	    row(name, "cap_capable cgroup/sock_create cgroup_skb/egress");

	assert_int_equal(c->sight, LN_SIGHT_SEEN);
	assert_string_equal(c->by, "cgroup/sock_create, cgroup_skb/egress");
	c = row(name, "cap_capable cgroup/sock_create");
	assert_int_equal(c->sight, LN_SIGHT_PREPARATION);
	assert_string_equal(c->by, "cgroup/sock_create");
	assert_true(c->refusable);
	c = row(name, "cap_capable cgroup_skb/egress");
	assert_int_equal(c->sight, LN_SIGHT_PREPARATION);
	assert_string_equal(c->by, "cap_capable");
	assert_false(c->refusable);
	assert_true(strlen(c->note) > 0);
	assert_int_equal(row(name, "cgroup_skb/egress")->sight, LN_SIGHT_BLIND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_attached_is_blind),
	    cmocka_unit_test(all_attached),
	    cmocka_unit_test(a_set_is_all_of_it),
	    cmocka_unit_test(ways_in_their_order),
	};

	return cmocka_run_group_tests_name("channels", tests, NULL, NULL);
}
