/* SPDX-License-Identifier: Apache-2.0 */
/* More of everything than there is room for, in a random order. No table grows over its bound, and
 * what is not there any more was counted, to the last one. */
#include "engine_fixture.h"

#include <malloc.h>
#include "base/table.h"
#include "engine/questions.h"
#include "property_story.h"

#define PROCESSES_MAX 65536 /* as in engine.c */
#define SEED          20261128

enum kind { FLOWS, NAMES, PROCESSES, QUESTIONS, ALIASES, CGROUPS, KINDS };

struct flood {
	struct fixture *f;
	struct story_random random;
	uint64_t n[KINDS];    /* of each, all different */
	uint64_t lost[KINDS]; /* as it was told */
};

/* How many there are, and what is said of those that are not kept. */
static const struct {
	uint32_t n;
	const char *loss;
} kinds[KINDS] = {
    [FLOWS] = {LN_OPEN_FLOWS_MAX + 3000, "too many open flows"},
    [NAMES] = {LN_NAMES_MAX + 3000, "too many names of addresses"},
    [PROCESSES] = {PROCESSES_MAX + 3000, "too many processes"},
    [QUESTIONS] = {LN_QUESTIONS_MAX + 3000, "too many DNS questions"},
    [ALIASES] = {LN_ALIASES_MAX + 3000, "too many aliases of names"},
    [CGROUPS] = {LN_CGROUPS_MAX + 3000, "too many cgroups"},
};

static void on_loss(const struct ln_finding *finding, void *user)
{
	struct flood *flood = user;

	if (finding->kind != LN_FINDING_LOST)
		return;
	for (int i = 0; i < KINDS; i++) {
		if (strncmp(finding->reason, kinds[i].loss, strlen(kinds[i].loss)) == 0)
			flood->lost[i] += finding->count;
	}
}

static struct ln_addr nth_addr(uint8_t first, uint64_t n)
{
	const uint8_t bytes[4] = {first, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};

	return ln_addr_make(4, bytes);
}

static void add_name(struct fixture *f, uint64_t n)
{
	struct ln_event ev = event(f, LN_EVENT_NAME);

	ev.name.addr = nth_addr(101, n);
	ev.name.evidence = (struct ln_name_evidence){
	    .name = "api.example.com", .source = LN_NAME_OWN_LOOKUP, .grants = true};
	ev.name.evidence.seen_ns = f->now_ns;
	ev.name.evidence.expires_ns = f->now_ns + LN_NS_PER_S;
	ln_engine_feed(f->engine, &ev);
}

static void add_process(struct fixture *f, uint64_t n)
{
	struct ln_event ev = event(f, LN_EVENT_FORK);

	ev.fork.child = (uint32_t)(1000 + n);
	ln_engine_feed(f->engine, &ev);
}

static void add_cgroup(struct fixture *f, uint64_t n)
{
	struct ln_event ev = event(f, LN_EVENT_CGROUP);

	ev.cgroup.id = 1 + n;
	ev.cgroup.path = "/system.slice/agent.service";
	ev.cgroup.path_len = strlen(ev.cgroup.path);
	ln_engine_feed(f->engine, &ev);
}

static void add_question(struct fixture *f, uint64_t n)
{
	ask(f, (uint16_t)n, "api.example.com");
}

/* An alias alone, to which nothing leads and which leads to no address. */
static void add_alias(struct fixture *f, uint64_t n)
{
	uint8_t buf[512];
	const uint8_t record[12] = {0xc0, 12, 0, LN_DNS_CNAME, 0, 1, 0, 0, 0, 60, 0, 9};
	const uint8_t target[9] = {4,
				   (uint8_t)('a' + n % 16),
				   (uint8_t)('a' + n / 16 % 16),
				   (uint8_t)('a' + n / 256 % 16),
				   (uint8_t)('a' + n / 4096),
				   2,
				   'x',
				   'y',
				   0};
	size_t len;

	message(f, RESOLVER, false, buf, put_question(buf, 0xffff, false, "a.dyn.example.com", 1));
	len = put_question(buf, 0xffff, true, "a.dyn.example.com", 1);
	memcpy(buf + len, record, sizeof(record));
	memcpy(buf + len + sizeof(record), target, sizeof(target));
	message(f, RESOLVER, true, buf, len + sizeof(record) + sizeof(target));
}

static void add(struct flood *flood, enum kind kind)
{
	struct fixture *f = flood->f;
	uint64_t n = flood->n[kind]++;
	struct ln_flow flow;

	switch (kind) {
	case FLOWS:
		flow = nth_flow((uint32_t)n);
		open_flow(f, &flow);
		break;
	case NAMES:
		add_name(f, n);
		break;
	case PROCESSES:
		add_process(f, n);
		break;
	case QUESTIONS:
		add_question(f, n);
		break;
	case ALIASES:
		add_alias(f, n);
		break;
	default:
		add_cgroup(f, n);
		break;
	}
}

static void require_bounds(const struct ln_engine *e)
{
	assert_true(ln_flows_count(e) <= LN_OPEN_FLOWS_MAX);
	assert_true(HASH_COUNT(e->questions) <= LN_QUESTIONS_MAX);
	assert_true(HASH_COUNT(e->past_questions) <= LN_QUESTIONS_MAX);
	assert_true(ln_names_count(e->names) <= LN_NAMES_MAX + ln_policy_rules(e->policy));
	assert_true(ln_aliases_count(e->aliases) <= LN_ALIASES_MAX);
	assert_true(ln_tree_size(e->tree) <= PROCESSES_MAX);
	assert_true(e->destinations.n <= LN_DESTINATIONS_MAX);
}

/* Each that is there and each that is lost makes each that was. */
static void require_counts(const struct flood *flood)
{
	const struct ln_engine *e = flood->f->engine;
	const uint64_t there[KINDS] = {
	    [FLOWS] = ln_flows_count(e),
	    [NAMES] = ln_names_count(e->names),
	    [PROCESSES] = ln_tree_size(e->tree),
	    [QUESTIONS] = HASH_COUNT(e->questions),
	    [ALIASES] = ln_aliases_count(e->aliases),
	    [CGROUPS] = LN_CGROUPS_MAX,
	};

	for (int i = 0; i < KINDS; i++) {
		assert_int_equal(flood->n[i], kinds[i].n);
		assert_int_equal(flood->lost[i], kinds[i].n - there[i]);
	}
	assert_int_equal(summary(flood->f).flows, kinds[FLOWS].n);
	assert_true(summary(flood->f).destinations_over);
}

static void test_a_flood_of_everything(void **state)
{
	struct flood flood = {.f = start(), .random.state = SEED};
	struct fixture *f = flood.f;
	uint64_t left = 0;

	f->engine->on_finding = on_loss;
	f->engine->user = &flood;
	for (int i = 0; i < KINDS; i++)
		left += kinds[i].n;
	while (left > 0) {
		enum kind kind = story_pick(&flood.random, KINDS);

		if (flood.n[kind] == kinds[kind].n)
			continue;
		add(&flood, kind);
		if (left-- % 4096 == 0)
			require_bounds(f->engine);
	}
	require_bounds(f->engine);
	ln_engine_finish(f->engine, f->now_ns, wall_of(f->now_ns));
	require_counts(&flood);
	stop(f);
}

/* Nothing under a sanitizer, which has a heap of its own. */
static size_t heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* Each to another place, and none of them expected. */
static void test_memory_of_100000_flows(void **state)
{
	struct fixture *f = start();
	size_t before = heap_bytes();

	for (uint32_t n = 0; n < 100000; n++) {
		struct ln_flow flow = nth_flow(n);

		open_flow(f, &flow);
	}
	assert_true(heap_bytes() - before <= 64u << 20);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_flood_of_everything),
	    cmocka_unit_test(test_memory_of_100000_flows),
	};

	return cmocka_run_group_tests_name("engine_flood", tests, NULL, NULL);
}
