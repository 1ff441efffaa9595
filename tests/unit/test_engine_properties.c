/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to hold of every story, whatever is in it. LINNET_STORIES=100000 tells more of them, and
 * LINNET_SEED=N begins with another one; a failure says with which.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "property_play.h"

#define STORIES_DEFAULT 600

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t first_seed(void)
{
	return number_of("LINNET_SEED", 1);
}

static uint64_t n_stories(void)
{
	return number_of("LINNET_STORIES", STORIES_DEFAULT);
}

static void as_it_is(const struct story *s, struct order *ret)
{
	ret->n = s->n;
	for (size_t i = 0; i < s->n; i++)
		ret->list[i] = (uint16_t)i;
}

static void test_verdicts_are_what_the_facts_say(void **state)
{
	static struct story s;
	static struct play p;
	static struct order order;

	for (uint64_t i = 0; i < n_stories(); i++) {
		story_make(first_seed() + i, &s);
		as_it_is(&s, &order);
		play_begin(&p, &s, true, true);
		play_tell(&p, &order);
		check(&p, p.repeats <= p.told_repeats);
	}
}

/* A question that is asked again, later, may be answered again; nothing else opens anything. */
static bool may_come_again(const struct story_event *s, bool later)
{
	return s->step == STEP_EVENT && (!later || s->ev.kind != LN_EVENT_DNS || s->ev.dns.answer);
}

static void with_some_again(const struct story *s, struct order *ret)
{
	struct story_random r = {.state = s->seed + 1};

	ret->n = 0;
	for (size_t i = 0; i < s->n; i++) {
		size_t before = story_pick(&r, (uint32_t)i + 1);

		ret->list[ret->n++] = (uint16_t)i;
		if (story_pick(&r, 4) == 0 && may_come_again(&s->events[i], false))
			ret->list[ret->n++] = (uint16_t)i | AGAIN;
		if (story_pick(&r, 4) == 0 && may_come_again(&s->events[before], true))
			ret->list[ret->n++] = (uint16_t)before | AGAIN;
	}
}

static void test_what_comes_twice_or_late_opens_nothing(void **state)
{
	static struct story s;
	static struct play once, twice;
	static struct order order;

	for (uint64_t i = 0; i < n_stories(); i++) {
		story_make(first_seed() + i, &s);
		as_it_is(&s, &order);
		play_begin(&once, &s, false, false);
		play_tell(&once, &order);
		with_some_again(&s, &order);
		play_begin(&twice, &s, false, false);
		play_tell(&twice, &order);
		for (twice.at = 0; twice.at < s.n; twice.at++) {
			const struct opened *a = &once.opened[twice.at],
					    *b = &twice.opened[twice.at];

			check(&twice, !a->told || !b->told || a->verdict == b->verdict);
		}
	}
}

/* One agent's events are nothing to another; evidence is a set. */
static bool may_swap(const struct story_event *a, const struct story_event *b)
{
	if (a->burst != b->burst || a->step != STEP_EVENT || b->step != STEP_EVENT)
		return false;
	if (a->ev.kind == LN_EVENT_NAME && b->ev.kind == LN_EVENT_NAME)
		return true;
	return a->ev.agent != b->ev.agent && a->ev.agent != 0 && b->ev.agent != 0;
}

static void in_another_order(const struct story *s, struct order *ret)
{
	struct story_random r = {.state = s->seed + 2};

	as_it_is(s, ret);
	for (size_t n = 0; n < 4 * s->n; n++) {
		size_t i = story_pick(&r, (uint32_t)s->n - 1);
		uint16_t first = ret->list[i], second = ret->list[i + 1];

		if (!may_swap(&s->events[first], &s->events[second]))
			continue;
		ret->list[i] = second;
		ret->list[i + 1] = first;
	}
}

static void test_the_order_of_independent_events_is_nothing(void **state)
{
	static struct story s;
	static struct play one, other;
	static struct order order;

	for (uint64_t i = 0; i < n_stories(); i++) {
		story_make(first_seed() + i, &s);
		as_it_is(&s, &order);
		play_begin(&one, &s, false, false);
		play_tell(&one, &order);
		in_another_order(&s, &order);
		play_begin(&other, &s, false, false);
		play_tell(&other, &order);
		for (other.at = 0; other.at < s.n; other.at++) {
			const struct opened *a = &one.opened[other.at],
					    *b = &other.opened[other.at];

			check(&other, a->told == b->told && a->digest == b->digest);
		}
	}
}

/* What ln_table_hash takes its key from: see meson.build. */
static uint64_t hash_key[2] = {1, 2};
static bool hash_is_keyed;
unsigned long __real_getauxval(unsigned long type);
unsigned long __wrap_getauxval(unsigned long type);

unsigned long __wrap_getauxval(unsigned long type)
{
	if (type != AT_RANDOM)
		return __real_getauxval(type);
	hash_is_keyed = true;
	return (unsigned long)(uintptr_t)hash_key;
}

/* In a process of its own, which takes its key when it hashes for the first time. */
static void tell_keyed(uint64_t key, uint64_t *ret)
{
	static struct story s;
	static struct play p;
	static struct order order;
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGSEGV, SIG_DFL); /* cmocka's handler would go on with the next test */
		hash_key[0] = key;
		for (uint64_t i = 0; i < n_stories(); i++) {
			story_make(first_seed() + i, &s);
			as_it_is(&s, &order);
			play_begin(&p, &s, false, true);
			play_tell(&p, &order);
			ret[i] = p.digest;
		}
		_exit(hash_is_keyed ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* The first test: after another one this process has its key. */
static void test_the_hash_key_is_nothing(void **state)
{
	size_t n = n_stories(), size = 2 * n * sizeof(uint64_t);
	uint64_t *digests =
	    mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(digests, MAP_FAILED);
	assert_false(hash_is_keyed);
	tell_keyed(0x0123456789abcdef, digests);
	tell_keyed(0xfedcba9876543210, digests + n);
	for (size_t i = 0; i < n; i++) {
		if (digests[i] != digests[n + i])
			fail_msg("the hash key matters: LINNET_SEED=%llu LINNET_STORIES=1",
				 (unsigned long long)(first_seed() + i));
	}
	munmap(digests, size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_hash_key_is_nothing),
	    cmocka_unit_test(test_verdicts_are_what_the_facts_say),
	    cmocka_unit_test(test_what_comes_twice_or_late_opens_nothing),
	    cmocka_unit_test(test_the_order_of_independent_events_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
