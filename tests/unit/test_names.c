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
#include "dns/chain.h"
#include "dns/names.h"

#define S       LN_NS_PER_S
#define GRACE   (600 * S)
#define AGENT   1
#define FOREVER UINT64_MAX

static struct ln_addr addr_of(const char *text)
{
	struct ln_addr addr;

	assert_true(ln_addr_parse(text, &addr));
	return addr;
}

static struct ln_name_evidence evidence_of(const char *name, uint64_t seen_ns, uint32_t ttl_s)
{
	struct ln_name_evidence e = {
	    .source = LN_NAME_ANSWER,
	    .grants = true,
	    .pid = 7,
	    .ttl_s = ttl_s,
	    .seen_ns = seen_ns,
	    .expires_ns = seen_ns + ttl_s * S,
	};

	snprintf(e.name, sizeof(e.name), "%s", name);
	return e;
}

static void add(struct ln_names *n, uint32_t agent, const char *addr, const char *name,
		uint64_t seen_ns, uint32_t ttl_s)
{
	struct ln_addr a = addr_of(addr);
	struct ln_name_evidence e = evidence_of(name, seen_ns, ttl_s);

	assert_int_equal(ln_names_add(n, agent, &a, &e), 0);
}

static size_t find(struct ln_names *n, uint32_t agent, const char *addr, uint64_t now_ns,
		   struct ln_name_evidence ret[2 * LN_NAMES_PER_ADDR])
{
	struct ln_addr a = addr_of(addr);

	return ln_names_find(n, agent, &a, now_ns, ret, 2 * LN_NAMES_PER_ADDR);
}

static bool has(struct ln_names *n, uint32_t agent, const char *addr, const char *name)
{
	struct ln_name_evidence found[2 * LN_NAMES_PER_ADDR];
	size_t n_found = find(n, agent, addr, 0, found);

	for (size_t i = 0; i < n_found; i++) {
		if (strcmp(found[i].name, name) == 0)
			return true;
	}
	return false;
}

static int new_names(void **state)
{
	*state = ln_names_new(1000, GRACE);
	return *state ? 0 : -1;
}

static int free_names(void **state)
{
	ln_names_free((struct ln_names **)state);
	return *state ? -1 : 0;
}

static void all_names_of_an_address_are_kept(void **state)
{
	struct ln_names *n = *state;
	struct ln_name_evidence e = evidence_of("c.example", 3 * S, 60);
	struct ln_name_evidence found[2 * LN_NAMES_PER_ADDR];
	struct ln_addr a = addr_of("192.0.2.1");

	add(n, AGENT, "192.0.2.1", "a.example", 1 * S, 60);
	add(n, AGENT, "192.0.2.1", "b.example", 2 * S, 60);
	e.source = LN_NAME_UNTRUSTED;
	e.chain = "edge.cdn.example";
	assert_int_equal(ln_names_add(n, AGENT, &a, &e), 0);
	assert_int_equal(ln_names_count(n), 3);

	/* Granting ones first, then the newest. */
	assert_int_equal(find(n, AGENT, "192.0.2.1", 4 * S, found), 3);
	assert_string_equal(found[0].name, "b.example");
	assert_true(found[0].grants);
	assert_int_equal(found[0].source, LN_NAME_ANSWER);
	assert_int_equal(found[0].pid, 7);
	assert_int_equal(found[0].ttl_s, 60);
	assert_int_equal(found[0].seen_ns, 2 * S);
	assert_int_equal(found[0].expires_ns, 62 * S);
	assert_null(found[0].chain);
	assert_string_equal(found[1].name, "a.example");
	assert_string_equal(found[2].name, "c.example");
	assert_false(found[2].grants);
	assert_string_equal(found[2].chain, "edge.cdn.example");

	assert_int_equal(ln_names_find(n, AGENT, &a, 4 * S, found, 1), 1);
	assert_string_equal(found[0].name, "b.example");
	assert_int_equal(find(n, AGENT, "192.0.2.2", 4 * S, found), 0);
}

static void fresh_becomes_stale_then_over(void **state)
{
	struct ln_names *n = *state;
	struct ln_name_evidence found[2 * LN_NAMES_PER_ADDR];
	static const struct {
		uint64_t now_ns;
		bool grants, stale, over;
	} steps[] = {
	    {70 * S, true, false, false},             /* the last moment of the TTL */
	    {70 * S + 1, true, true, false},          /* applications keep addresses longer */
	    {70 * S + GRACE, true, true, false},      /* the last moment of the grace */
	    {70 * S + GRACE + 1, false, false, true}, /* still known by name */
	    {UINT64_MAX, false, false, true},
	};

	add(n, AGENT, "192.0.2.1", "a.example", 10 * S, 60);
	for (size_t i = 0; i < LN_ARRAY_SIZE(steps); i++) {
		assert_int_equal(find(n, AGENT, "192.0.2.1", steps[i].now_ns, found), 1);
		assert_int_equal(found[0].grants, steps[i].grants);
		assert_int_equal(found[0].stale, steps[i].stale);
		assert_int_equal(found[0].over, steps[i].over);
	}
}

static void one_that_is_over_comes_after_one_that_grants(void **state)
{
	struct ln_names *n = *state;
	struct ln_name_evidence found[2 * LN_NAMES_PER_ADDR];

	add(n, AGENT, "192.0.2.1", "long.example", 1 * S, 7200);
	add(n, AGENT, "192.0.2.1", "short.example", 2 * S, 1);
	assert_int_equal(find(n, AGENT, "192.0.2.1", 3000 * S, found), 2);
	assert_string_equal(found[0].name, "long.example");
	assert_string_equal(found[1].name, "short.example");
	assert_true(found[1].over);
}

static void renewal_keeps_the_later_expiry(void **state)
{
	struct ln_names *n = *state;
	struct ln_name_evidence e = evidence_of("a.example", 3 * S, 5);
	struct ln_name_evidence found[2 * LN_NAMES_PER_ADDR];
	struct ln_addr a = addr_of("192.0.2.1");

	add(n, AGENT, "192.0.2.1", "a.example", 1 * S, 300);
	e.pid = 8;
	e.chain = "edge.cdn.example";
	assert_int_equal(ln_names_add(n, AGENT, &a, &e), 0);
	assert_int_equal(ln_names_count(n), 1);
	assert_int_equal(find(n, AGENT, "192.0.2.1", 4 * S, found), 1);
	assert_int_equal(found[0].expires_ns, 301 * S);
	assert_int_equal(found[0].seen_ns, 3 * S);
	assert_int_equal(found[0].pid, 8);
	assert_string_equal(found[0].chain, "edge.cdn.example");

	add(n, AGENT, "192.0.2.1", "a.example", 100 * S, 300);
	assert_int_equal(find(n, AGENT, "192.0.2.1", 100 * S, found), 1);
	assert_int_equal(found[0].expires_ns, 400 * S);
	assert_null(found[0].chain);
}

static void what_does_not_grant_never_renews_what_does(void **state)
{
	struct ln_names *n = *state;
	struct ln_name_evidence e = evidence_of("a.example", 50 * S, 9000);
	struct ln_name_evidence found[2 * LN_NAMES_PER_ADDR];
	struct ln_addr a = addr_of("192.0.2.1");

	add(n, AGENT, "192.0.2.1", "a.example", 1 * S, 60);
	e.grants = false;
	assert_int_equal(ln_names_add(n, AGENT, &a, &e), 0);
	assert_int_equal(find(n, AGENT, "192.0.2.1", 61 * S + GRACE + 1, found), 2);
	assert_false(found[0].grants);
	assert_false(found[1].grants);
}

static void answers_of_a_pool_add_up(void **state)
{
	struct ln_names *n = *state;
	char addr[LN_ADDR_TEXT_MAX];

	/* Two of six addresses in each answer, all of them known in the end. */
	for (unsigned int answer = 0; answer < 9; answer++) {
		for (unsigned int i = 0; i < 2; i++) {
			snprintf(addr, sizeof(addr), "192.0.2.%u", (answer * 2 + i) % 6);
			add(n, AGENT, addr, "pool.example", answer * 30 * S, 30);
		}
	}
	assert_int_equal(ln_names_count(n), 6);
	for (unsigned int i = 0; i < 6; i++) {
		snprintf(addr, sizeof(addr), "192.0.2.%u", i);
		assert_true(has(n, AGENT, addr, "pool.example"));
	}
}

static void loopback_is_named_only_by_hosts_and_never_granted(void **state)
{
	static const char *const addrs[] = {"127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"};
	struct ln_names *n = *state;
	struct ln_name_evidence found[2 * LN_NAMES_PER_ADDR];

	for (size_t i = 0; i < LN_ARRAY_SIZE(addrs); i++) {
		struct ln_addr a = addr_of(addrs[i]);
		struct ln_name_evidence e = evidence_of("db.internal", 1 * S, 60);

		for (int s = 0; s < LN_NAME_SOURCE_COUNT; s++) {
			e.source = (enum ln_name_source)s;
			if (e.source == LN_NAME_HOSTS)
				continue;
			assert_int_equal(ln_names_add(n, AGENT, &a, &e), 0);
			assert_int_equal(find(n, AGENT, addrs[i], 2 * S, found), 0);
		}
	}
	for (size_t i = 0; i < 3; i++) {
		struct ln_addr a = addr_of(addrs[i]);
		struct ln_name_evidence e = evidence_of("db.internal", 1 * S, 60);

		e.source = LN_NAME_HOSTS;
		assert_int_equal(ln_names_add(n, 0, &a, &e), 0);
		assert_int_equal(find(n, AGENT, addrs[i], 2 * S, found), 1);
		assert_false(found[0].grants);
		assert_string_equal(found[0].name, "db.internal");
	}
}

static void address_that_stands_for_others_never_grants(void **state)
{
	static const char *const addrs[] = {
	    "0.0.0.0",         "0.1.2.3",       "::", "224.0.0.251", "239.255.255.250", "ff02::fb",
	    "255.255.255.255", "::ffff:0.0.0.0"};
	static const char *const good[] = {"1.0.0.0",         "10.0.0.1", "223.255.255.255",
					   "255.255.255.254", "::2",      "fe80::1"};
	struct ln_names *n = *state;
	struct ln_name_evidence found[2 * LN_NAMES_PER_ADDR];

	for (size_t i = 0; i < LN_ARRAY_SIZE(addrs); i++) {
		struct ln_addr a = addr_of(addrs[i]);

		add(n, AGENT, addrs[i], "a.example", 1 * S, 60);
		assert_false(ln_names_grantable(&a));
		assert_int_equal(find(n, AGENT, addrs[i], 2 * S, found), 1);
		assert_false(found[0].grants);
	}
	for (size_t i = 0; i < LN_ARRAY_SIZE(good); i++) {
		add(n, AGENT, good[i], "a.example", 1 * S, 60);
		assert_int_equal(find(n, AGENT, good[i], 2 * S, found), 1);
		assert_true(found[0].grants);
	}
}

static void untrusted_evidence_only_names(void **state)
{
	struct ln_names *n = *state;
	struct ln_name_evidence e = evidence_of("bank.example", 1 * S, 60);
	struct ln_name_evidence found[2 * LN_NAMES_PER_ADDR];
	struct ln_addr a = addr_of("192.0.2.66");

	e.source = LN_NAME_UNTRUSTED;
	assert_int_equal(ln_names_add(n, AGENT, &a, &e), 0);
	assert_int_equal(find(n, AGENT, "192.0.2.66", 2 * S, found), 1);
	assert_false(found[0].grants);
	assert_false(found[0].over);
}

static void evidence_belongs_to_its_agent(void **state)
{
	struct ln_names *n = *state;

	add(n, 1, "192.0.2.1", "one.example", 1 * S, 60);
	add(n, 2, "192.0.2.1", "two.example", 1 * S, 60);
	add(n, 0, "192.0.2.1", "all.example", 1 * S, 60);
	assert_true(has(n, 1, "192.0.2.1", "one.example"));
	assert_false(has(n, 1, "192.0.2.1", "two.example"));
	assert_true(has(n, 1, "192.0.2.1", "all.example"));
	assert_true(has(n, 2, "192.0.2.1", "two.example"));
	assert_true(has(n, 3, "192.0.2.1", "all.example"));
	assert_false(has(n, 0, "192.0.2.1", "one.example"));
	assert_true(has(n, 0, "192.0.2.1", "all.example"));
}

static void hosts_entry_never_expires(void **state)
{
	struct ln_names *n = *state;
	struct ln_name_evidence e = evidence_of("db.internal", 1 * S, 0);
	struct ln_name_evidence found[2 * LN_NAMES_PER_ADDR];
	struct ln_addr a = addr_of("10.0.0.5");

	e.source = LN_NAME_HOSTS;
	e.expires_ns = FOREVER;
	assert_int_equal(ln_names_add(n, 0, &a, &e), 0);
	assert_int_equal(find(n, AGENT, "10.0.0.5", UINT64_MAX, found), 1);
	assert_true(found[0].grants);
	assert_false(found[0].stale);
}

static void names_of_one_address_are_bounded(void **state)
{
	struct ln_names *n = *state;
	char name[32];

	for (int i = 0; i < LN_NAMES_PER_ADDR; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		add(n, AGENT, "192.0.2.1", name, (uint64_t)i * S, i == 40 ? 60 : 1000);
	}
	assert_int_equal(ln_names_evicted(n), 0);
	add(n, AGENT, "192.0.2.1", "new.example", 200 * S, 1000); /* n40 expired at 100 s */
	assert_int_equal(ln_names_count(n), LN_NAMES_PER_ADDR);
	assert_int_equal(ln_names_evicted(n), 1);
	assert_false(has(n, AGENT, "192.0.2.1", "n40.example"));
	assert_true(has(n, AGENT, "192.0.2.1", "n0.example"));
	add(n, AGENT, "192.0.2.1", "newer.example", 201 * S, 1000); /* none expired: the oldest */
	assert_false(has(n, AGENT, "192.0.2.1", "n0.example"));
	assert_true(has(n, AGENT, "192.0.2.1", "n1.example"));
	add(n, AGENT, "192.0.2.2", "n0.example", 201 * S, 1000); /* another address has its own */
	assert_int_equal(ln_names_evicted(n), 2);
	add(n, 2, "192.0.2.1", "n0.example", 201 * S, 1000); /* and so has another agent */
	assert_int_equal(ln_names_evicted(n), 2);
}

static void full_table_drops_the_expired_then_the_oldest(void **state)
{
	struct ln_names *n = ln_names_new(4, GRACE);

	assert_non_null(n);
	add(n, AGENT, "192.0.2.1", "oldest.example", 1 * S, 1000);
	add(n, AGENT, "192.0.2.2", "late.example", 2 * S, 50);
	add(n, AGENT, "192.0.2.3", "early.example", 3 * S, 20);
	add(n, AGENT, "192.0.2.4", "renewed.example", 4 * S, 1000);
	add(n, AGENT, "192.0.2.5", "e.example", 100 * S, 1000);
	assert_false(has(n, AGENT, "192.0.2.3", "early.example"));
	add(n, AGENT, "192.0.2.6", "f.example", 101 * S, 1000);
	assert_false(has(n, AGENT, "192.0.2.2", "late.example"));
	add(n, AGENT, "192.0.2.1", "oldest.example", 102 * S, 1000); /* renewed: now the newest */
	add(n, AGENT, "192.0.2.7", "g.example", 103 * S, 1000);
	assert_true(has(n, AGENT, "192.0.2.1", "oldest.example"));
	assert_false(has(n, AGENT, "192.0.2.4", "renewed.example"));
	assert_int_equal(ln_names_count(n), 4);
	assert_int_equal(ln_names_evicted(n), 3);
	ln_names_free(&n);
	assert_null(n);
}

static void flood(struct ln_names *n, uint32_t agent, unsigned int count, uint64_t from_ns)
{
	char addr[LN_ADDR_TEXT_MAX];

	for (unsigned int i = 0; i < count; i++) {
		snprintf(addr, sizeof(addr), "10.%u.%u.%u", agent, i >> 8, i & 255);
		add(n, agent, addr, "flood.example", from_ns + i, 86400);
	}
}

static size_t held(struct ln_names *n, uint32_t agent, unsigned int count)
{
	char addr[LN_ADDR_TEXT_MAX];
	size_t sum = 0;

	for (unsigned int i = 0; i < count; i++) {
		snprintf(addr, sizeof(addr), "10.%u.%u.%u", agent, i >> 8, i & 255);
		sum += has(n, agent, addr, "flood.example");
	}
	return sum;
}

static void one_agent_cannot_push_out_another(void **state)
{
	struct ln_names *n = *state; /* 1,000 entries */

	flood(n, 1, 200, 1 * S);
	flood(n, 2, 5000, 2 * S); /* far more than there is room for, and newer */
	assert_int_equal(held(n, 1, 200), 200);
	assert_int_equal(held(n, 2, 5000), 800);
	assert_int_equal(ln_names_evicted(n), 4200);

	/* A newcomer finds room: the largest gives, until the shares are equal. */
	flood(n, 3, 5000, 3 * S);
	assert_int_equal(held(n, 1, 200), 200);
	assert_int_equal(held(n, 2, 5000), 400);
	assert_int_equal(held(n, 3, 5000), 400);
	assert_int_equal(ln_names_count(n), 1000);
}

static void what_is_no_evidence_is_refused(void **state)
{
	struct ln_names *n = *state;
	struct ln_addr a = addr_of("192.0.2.1"), none = {0};
	char chain[LN_CHAIN_TEXT_MAX];
	struct ln_name_evidence e = evidence_of("a.example", 1 * S, 60);

	assert_int_equal(ln_names_add(n, AGENT, &none, &e), -EINVAL);
	e.name[0] = '\0';
	assert_int_equal(ln_names_add(n, AGENT, &a, &e), -EINVAL);
	memset(e.name, 'a', sizeof(e.name));
	assert_int_equal(ln_names_add(n, AGENT, &a, &e), -EINVAL);
	e = evidence_of("a.example", 1 * S, 60);
	memset(chain, 'a', sizeof(chain));
	e.chain = chain;
	assert_int_equal(ln_names_add(n, AGENT, &a, &e), -EINVAL);
	assert_int_equal(ln_names_count(n), 0);
	assert_int_equal(ln_names_evicted(n), 0);
}

static void sources_have_names(void **state)
{
	assert_string_equal(ln_name_source_text(LN_NAME_ANSWER), "answer");
	assert_string_equal(ln_name_source_text(LN_NAME_OWN_LOOKUP), "own-lookup");
	assert_string_equal(ln_name_source_text(LN_NAME_HOSTS), "hosts");
	assert_string_equal(ln_name_source_text(LN_NAME_UNTRUSTED), "untrusted");
}

/* The rule of eviction once more, as a plain array. */
#define MODEL_MAX 60
struct model {
	size_t n;
	struct {
		unsigned int id;
		uint64_t seen_ns, expires_ns;
	} entries[MODEL_MAX];
};

static void model_add(struct model *m, unsigned int id, uint64_t now_ns, uint64_t expires_ns)
{
	size_t at, oldest = 0, expired = 0;

	for (at = 0; at < m->n && m->entries[at].id != id; at++)
		;
	if (at < m->n) {
		expires_ns = LN_MAX(expires_ns, m->entries[at].expires_ns);
	} else if (m->n < MODEL_MAX) {
		m->n++;
	} else {
		for (size_t i = 0; i < m->n; i++) {
			if (m->entries[i].seen_ns < m->entries[oldest].seen_ns)
				oldest = i;
			if (m->entries[i].expires_ns < m->entries[expired].expires_ns)
				expired = i;
		}
		at = m->entries[expired].expires_ns < now_ns ? expired : oldest;
	}
	m->entries[at].id = id;
	m->entries[at].seen_ns = now_ns;
	m->entries[at].expires_ns = expires_ns;
}

static void eviction_follows_its_rule_in_any_sequence(void **state)
{
	struct ln_names *n = ln_names_new(MODEL_MAX, GRACE);
	struct model m = {.n = 0};
	char addr[LN_ADDR_TEXT_MAX];
	uint32_t random = 1;

	assert_non_null(n);
	for (unsigned int step = 1; step <= 4000; step++) {
		uint64_t now_ns = step * S;
		unsigned int id;
		uint32_t ttl_s;

		random = random * 1664525 + 1013904223;
		id = (random >> 16) % 200;
		/* Fractions keep all expiries apart, so that the rule has one answer. */
		ttl_s = 1 + (random >> 8) % 150;
		now_ns += step;
		snprintf(addr, sizeof(addr), "192.0.2.%u", id);
		add(n, AGENT, addr, "a.example", now_ns, ttl_s);
		model_add(&m, id, now_ns, now_ns + ttl_s * S);
		assert_int_equal(ln_names_count(n), m.n);
		for (size_t i = 0; i < m.n; i++) {
			snprintf(addr, sizeof(addr), "192.0.2.%u", m.entries[i].id);
			assert_true(has(n, AGENT, addr, "a.example"));
		}
	}
	ln_names_free(&n);
}

#define NAMES_TEST(test) cmocka_unit_test_setup_teardown(test, new_names, free_names)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    NAMES_TEST(all_names_of_an_address_are_kept),
	    NAMES_TEST(fresh_becomes_stale_then_over),
	    NAMES_TEST(one_that_is_over_comes_after_one_that_grants),
	    NAMES_TEST(renewal_keeps_the_later_expiry),
	    NAMES_TEST(what_does_not_grant_never_renews_what_does),
	    NAMES_TEST(answers_of_a_pool_add_up),
	    NAMES_TEST(loopback_is_named_only_by_hosts_and_never_granted),
	    NAMES_TEST(address_that_stands_for_others_never_grants),
	    NAMES_TEST(untrusted_evidence_only_names),
	    NAMES_TEST(evidence_belongs_to_its_agent),
	    NAMES_TEST(hosts_entry_never_expires),
	    NAMES_TEST(names_of_one_address_are_bounded),
	    cmocka_unit_test(full_table_drops_the_expired_then_the_oldest),
	    NAMES_TEST(one_agent_cannot_push_out_another),
	    NAMES_TEST(what_is_no_evidence_is_refused),
	    cmocka_unit_test(sources_have_names),
	    cmocka_unit_test(eviction_follows_its_rule_in_any_sequence),
	};

	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
