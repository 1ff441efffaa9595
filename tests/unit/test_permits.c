/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of block mode say what the matcher says. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "policy/parse.h"
#include "policy/permits.h"

#define NOW_S 1000000000

static const char text[] =
    "agent_name: t\n"
    "expected_outbound:\n"
    "  - {destination: 10.0.0.0/8, port: 443, protocol: TCP}\n"
    "  - {destination: 10.1.0.0/16, port: [80, 8000-8010], protocol: any}\n"
    "  - {destination: 10.1.2.3, port: 22, protocol: TCP}\n"
    "  - {destination: 2001:db8::/32, port: any, protocol: UDP}\n"
    "  - {destination: api.example.com, port: 443, protocol: TCP}\n"
    "  - {destination: '*.example.com', port: 8443, protocol: TCP}\n"
    "  - {destination: '*.b.example.com', port: 53, protocol: UDP}\n"
    "  - {destination: old.example.com, port: 1, protocol: TCP, expires: 2001-01-01}\n"
    "deny:\n"
    "  - {destination: 10.1.2.0/24, port: 80}\n"
    "  - secret.example.com\n";

static struct ln_policy *parse(void)
{
	struct ln_diags diags = {0};
	struct ln_policy *p = NULL;
	int r = ln_policy_parse("t.yaml", text, strlen(text), false, &diags, &p);

	ln_diags_done(&diags);
	assert_int_equal(r, 0);
	return p;
}

/* As the kernel reads a set. */
static bool set_permits(const struct ln_permits *t, uint32_t id, uint16_t port, uint8_t proto)
{
	const struct ln_permit_set *set = &t->sets[id];

	for (uint32_t i = 0; i < set->n; i++) {
		const struct ln_permit_range *r = &t->ranges[set->first + i];

		if (port >= r->first && port <= r->last && (!r->proto || r->proto == proto))
			return !r->deny;
	}
	return false;
}

/* The longest prefix that there is an entry of. */
static uint32_t set_of(const struct ln_permits *t, const struct ln_addr *addr)
{
	for (int len = addr->family == 4 ? 32 : 128; len >= 0; len--) {
		const struct ln_net net = {ln_addr_mask(addr, (uint8_t)len), (uint8_t)len};
		const struct ln_permit_net *found = ln_permits_find_net(t, &net);

		if (found)
			return found->set;
	}
	return 0;
}

static void test_the_same_as_the_matcher(void **state)
{
	static const char *const addrs[] = {"10.0.0.1", "10.1.0.1",    "10.1.2.3",   "10.1.2.4",
					    "11.0.0.1", "2001:db8::1", "2001:db9::1"};
	static const char *const names[] = {
	    "api.example.com", "example.com",        "x.example.com",   "x.b.example.com",
	    "b.example.com",   "secret.example.com", "old.example.com", "a.secret.example.com",
	    "notexample.com",  "other.test"};
	static const uint16_t ports[] = {1, 22, 53, 80, 443, 8000, 8005, 8010, 8011, 8443};
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};
	struct ln_policy *p = parse();
	struct ln_permits *t = NULL;
	struct ln_match match;

	assert_int_equal(ln_permits_new(p, NOW_S, &t), 0);
	for (size_t k = 0; k < LN_ARRAY_SIZE(ports) * LN_ARRAY_SIZE(protos); k++) {
		struct ln_query q = {.port = ports[k / LN_ARRAY_SIZE(protos)],
				     .proto = protos[k % LN_ARRAY_SIZE(protos)],
				     .now_s = NOW_S};

		for (size_t i = 0; i < LN_ARRAY_SIZE(addrs); i++) {
			assert_true(ln_addr_parse(addrs[i], &q.addr));
			ln_policy_match(p, &q, &match);
			assert_int_equal(set_permits(t, set_of(t, &q.addr), q.port, q.proto),
					 ln_match_permits(&match));
		}
		assert_true(ln_addr_parse("192.0.2.1", &q.addr));
		q.n_granting = 1;
		for (size_t i = 0; i < LN_ARRAY_SIZE(names); i++) {
			q.granting = &names[i];
			ln_policy_match(p, &q, &match);
			assert_int_equal(
			    set_permits(t, ln_permits_find_name(t, names[i]), q.port, q.proto),
			    ln_match_permits(&match));
		}
	}
	ln_permits_free(&t);
	ln_policy_free(&p);
}

static void test_sets_are_kept_once(void **state)
{
	struct ln_policy *p = parse();
	struct ln_permits *t = NULL;

	assert_int_equal(ln_permits_new(p, NOW_S, &t), 0);
	assert_int_equal(t->sets[0].n, 0);
	for (size_t i = 0; i < t->n_sets; i++)
		for (size_t k = i + 1; k < t->n_sets; k++)
			assert_false(t->sets[i].n == t->sets[k].n &&
				     memcmp(t->ranges + t->sets[i].first,
					    t->ranges + t->sets[k].first,
					    t->sets[i].n * sizeof(*t->ranges)) == 0);
	ln_permits_free(&t);
	assert_null(t);
	ln_permits_free(&t);
	ln_policy_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_same_as_the_matcher),
	    cmocka_unit_test(test_sets_are_kept_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
