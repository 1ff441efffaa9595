/* SPDX-License-Identifier: Apache-2.0 */
/* Service records, reverse names, and records that do not belong. */
#include "dns_wire.h"

#include <errno.h>
#include "dns/reverse.h"

#define NXDOMAIN 3
#define TYPE_NS  2
#define TYPE_MX  15
#define TYPE_TXT 16
#define TYPE_SRV 33
#define TYPE_OPT 41

/* The data of an HTTPS or SVCB record: RFC 9460, 2.2. */
struct service {
	struct wire data;
};

static struct service service_of(unsigned int priority, const char *target)
{
	struct service s = {.data.len = 0};

	put16(&s.data, priority);
	put_name(&s.data, target);
	return s;
}

static void put_parameter(struct service *s, unsigned int key, const void *value, size_t len)
{
	put16(&s->data, key);
	put16(&s->data, (unsigned int)len);
	put_bytes(&s->data, value, len);
}

static void put_service(struct wire *w, const char *owner, unsigned int type, uint32_t ttl,
			const struct service *s)
{
	put_record(w, ANSWER, owner, type, ttl, s->data.bytes, s->data.len);
}

static const uint8_t hints4[] = {192, 0, 2, 1, 192, 0, 2, 2};
static const uint8_t hints6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

static void hints_are_addresses_of_the_question(void **state)
{
	static const uint16_t types[] = {LN_DNS_HTTPS, LN_DNS_SVCB};
	struct service s = service_of(1, "");
	struct ln_dns_message msg;
	struct wire w;

	put_parameter(&s, 1, "\x02h2", 3);
	put_parameter(&s, 4, hints4, sizeof(hints4));
	put_parameter(&s, 6, hints6, sizeof(hints6));
	for (size_t i = 0; i < LN_ARRAY_SIZE(types); i++) {
		start(&w, FLAG_RESPONSE, "api.example", types[i]);
		put_service(&w, "API.example", types[i], 300, &s);
		assert_int_equal(parse(&w, &msg), 0);
		assert_int_equal(msg.n_addrs, 3);
		assert_addr(&msg, 0, "192.0.2.1", 300);
		assert_addr(&msg, 1, "192.0.2.2", 300);
		assert_addr(&msg, 2, "2001:db8::1", 300);
		assert_int_equal(msg.addrs[0].n_links, 0);
		assert_int_equal(msg.addrs[0].target, -1);
		assert_int_equal(msg.n_targets, 0);
		assert_int_equal(msg.over, 0);
	}
}

static void service_of_another_host_keeps_its_name(void **state)
{
	struct service first = service_of(1, "svc1.pool.example"), second = first, third;
	struct ln_dns_message msg;
	struct wire w;

	third = service_of(3, "svc3.pool.example");
	put_parameter(&first, 4, hints4, 4);
	put_parameter(&second, 4, hints4 + 4, 4);
	start(&w, FLAG_RESPONSE, "www.example", LN_DNS_HTTPS);
	put_cname(&w, "www.example", 50, "edge.example");
	put_service(&w, "edge.example", LN_DNS_HTTPS, 300, &first);
	put_service(&w, "edge.example", LN_DNS_HTTPS, 40, &second);
	put_service(&w, "edge.example", LN_DNS_HTTPS, 300, &third);
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_targets, 2);
	assert_string_equal(msg.targets[0].name, "svc1.pool.example");
	assert_int_equal(msg.targets[0].n_links, 1);
	assert_int_equal(msg.targets[0].ttl_s, 50);
	assert_string_equal(msg.targets[1].name, "svc3.pool.example");
	assert_addr(&msg, 0, "192.0.2.1", 50);
	assert_addr(&msg, 1, "192.0.2.2", 40);
	assert_int_equal(msg.n_addrs, 2);
	assert_int_equal(msg.addrs[0].n_links, 1);
	assert_int_equal(msg.addrs[0].target, 0);
	assert_int_equal(msg.addrs[1].target, 0);
}

static void alias_mode_is_a_link(void **state)
{
	struct service alias = service_of(0, "pool.example"), none = service_of(0, "");
	struct service s = service_of(1, "");
	struct ln_dns_message msg;
	struct wire w;

	put_parameter(&alias, 4, hints4, 4); /* does not count in AliasMode */
	put_parameter(&s, 4, hints4 + 4, 4);
	start(&w, FLAG_RESPONSE, "example", LN_DNS_HTTPS);
	put_service(&w, "example", LN_DNS_HTTPS, 30, &alias);
	put_service(&w, "pool.example", LN_DNS_HTTPS, 300, &s);
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_chain, 1);
	assert_string_equal(msg.chain[0], "pool.example");
	assert_int_equal(msg.n_addrs, 1);
	assert_addr(&msg, 0, "192.0.2.2", 30);
	assert_int_equal(msg.addrs[0].n_links, 1);

	start(&w, FLAG_RESPONSE, "example", LN_DNS_HTTPS);
	put_service(&w, "example", LN_DNS_HTTPS, 30, &none); /* there is no such service */
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_chain, 0);
	assert_int_equal(msg.over, 0);

	/* Only to who asks for it. */
	start(&w, FLAG_RESPONSE, "example", LN_DNS_A);
	put_service(&w, "example", LN_DNS_HTTPS, 30, &alias);
	put_a(&w, "pool.example", 60, "192.0.2.66");
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_chain, 0);
	assert_int_equal(msg.n_addrs, 0);
	assert_int_equal(msg.foreign_answers, 1);
}

/* RFC 9460, 2.2: a client rejects them all, and asks for A and AAAA. */
static void malformed_services_count_for_nothing(void **state)
{
	enum { GOOD, ORDER, TWICE, SHORT_HINT, EMPTY_HINT, PAST_END, CUT_KEY, COMPRESSED, COUNT };
	static const uint8_t zeros[255];
	struct ln_dns_message msg;
	struct wire w;

	for (int i = GOOD; i < COUNT; i++) {
		struct service s = service_of(2, ""), good = service_of(1, "svc.example");

		put_parameter(&good, 4, hints4, 4);
		if (i == ORDER || i == TWICE)
			put_parameter(&s, i == ORDER ? 6 : 4, hints6, sizeof(hints6));
		put_parameter(&s, i == SHORT_HINT ? 6 : 4, hints4, i == EMPTY_HINT ? 0 : 4);
		if (i == PAST_END)
			s.data.bytes[s.data.len - 5]++;
		if (i == CUT_KEY)
			put_bytes(&s.data, "\x00\x07", 2);
		if (i == COMPRESSED) { /* with so many zeros that it could be a label */
			memcpy(s.data.bytes, "\x00\x02\xc0\x0c\x00\x04\x00\x04\xc0\x00\x02\x01",
			       s.data.len = 12);
			put_parameter(&s, 0xff00, zeros, sizeof(zeros));
		}
		start(&w, FLAG_RESPONSE, "a.example", LN_DNS_HTTPS);
		put_service(&w, "a.example", LN_DNS_HTTPS, 60, &good);
		put_service(&w, "a.example", LN_DNS_HTTPS, 60, &s);
		assert_int_equal(parse(&w, &msg), 0);
		assert_int_equal(msg.n_addrs, i == GOOD ? 2 : 0);
		assert_int_equal(msg.n_targets, i == GOOD ? 1 : 0);
	}
}

static void services_elsewhere_count_for_nothing(void **state)
{
	struct service s = service_of(1, "");
	struct ln_dns_message msg;
	struct wire w;

	put_parameter(&s, 4, hints4, 4);
	start(&w, FLAG_RESPONSE, "a.example", LN_DNS_HTTPS);
	put_service(&w, "b.example", LN_DNS_HTTPS, 60, &s);
	put_service(&w, "a.example", LN_DNS_SVCB, 60, &s); /* not what was asked for */
	put_a(&w, "a.example", 60, "192.0.2.1");
	put_record(&w, ADDITIONAL, "a.example", LN_DNS_HTTPS, 60, s.data.bytes, s.data.len);
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_addrs, 0);
	assert_int_equal(msg.over, 2);

	start(&w, FLAG_RESPONSE | NXDOMAIN, "a.example", LN_DNS_HTTPS);
	put_service(&w, "a.example", LN_DNS_HTTPS, 60, &s);
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_addrs, 0);
}

static void targets_and_hints_are_bounded(void **state)
{
	uint8_t hints[4 * (LN_DNS_ADDRS_MAX + 3)] = {0};
	struct service s = service_of(1, "");
	struct ln_dns_message msg;
	struct wire w;
	char name[32];

	put_parameter(&s, 4, hints, sizeof(hints));
	start(&w, FLAG_RESPONSE, "a.example", LN_DNS_HTTPS);
	put_service(&w, "a.example", LN_DNS_HTTPS, 60, &s);
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_addrs, LN_DNS_ADDRS_MAX);
	assert_int_equal(msg.over, 3);

	start(&w, FLAG_RESPONSE, "a.example", LN_DNS_HTTPS);
	for (int i = 0; i < LN_DNS_TARGETS_MAX + 2; i++) {
		snprintf(name, sizeof(name), "svc%d.example", i);
		s = service_of(1, name);
		put_parameter(&s, 4, hints4, 4);
		put_service(&w, "a.example", LN_DNS_HTTPS, 60, &s);
	}
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_targets, LN_DNS_TARGETS_MAX);
	assert_int_equal(msg.n_addrs, LN_DNS_TARGETS_MAX);
	assert_int_equal(msg.over, 2);
}

static void port_prefix_asks_about_its_host(void **state)
{
	static const struct {
		const char *name, *host;
	} cases[] = {
	    {"_8443._https.api.example", "api.example"},
	    {"_1._https.a", "a"},
	    {"_65535._https.a", "a"},
	    {"api.example", "api.example"},
	    {"_65536._https.a", "_65536._https.a"},
	    {"_0._https.a", "_0._https.a"},
	    {"_08443._https.a", "_08443._https.a"},
	    {"_123456._https.a", "_123456._https.a"},
	    {"_8443._tcp.a", "_8443._tcp.a"},
	    {"_8443x._https.a", "_8443x._https.a"},
	    {"8443._https.a", "8443._https.a"},
	    {"_8443._https", "_8443._https"},
	    {"_https.a", "_https.a"},
	    {"_", "_"},
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(cases); i++)
		assert_string_equal(ln_dns_host_of(cases[i].name), cases[i].host);
}

static void reverse_answer_names_an_address(void **state)
{
	static const char *const six =
	    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
	struct ln_dns_message msg;
	char text[LN_ADDR_TEXT_MAX];
	struct wire w;

	start(&w, FLAG_RESPONSE, "1.2.0.192.IN-ADDR.arpa", LN_DNS_PTR);
	put_host(&w, ANSWER, "1.2.0.192.in-addr.arpa", LN_DNS_PTR, 0, "Host.example");
	put_host(&w, ANSWER, "1.2.0.192.in-addr.arpa", LN_DNS_PTR, 0, "also.example");
	put_host(&w, ANSWER, "2.2.0.192.in-addr.arpa", LN_DNS_PTR, 0, "other.example");
	assert_int_equal(parse(&w, &msg), 0);
	assert_string_equal(ln_addr_format(&msg.reverse, text), "192.0.2.1");
	assert_int_equal(msg.n_targets, 2);
	assert_string_equal(msg.targets[0].name, "host.example");
	assert_string_equal(msg.targets[1].name, "also.example");
	assert_int_equal(msg.n_addrs, 0);
	assert_int_equal(msg.foreign_answers, 0);

	start(&w, FLAG_RESPONSE, six, LN_DNS_PTR);
	put_cname(&w, six, 20, "1.sub.example"); /* RFC 2317 */
	put_host(&w, ANSWER, "1.sub.example", LN_DNS_PTR, 0, "host.example");
	assert_int_equal(parse(&w, &msg), 0);
	assert_string_equal(ln_addr_format(&msg.reverse, text), "2001:db8::1");
	assert_int_equal(msg.n_targets, 1);
	assert_int_equal(msg.targets[0].ttl_s, 20);

	start(&w, FLAG_RESPONSE, "_http._tcp.example", LN_DNS_PTR);
	put_host(&w, ANSWER, "_http._tcp.example", LN_DNS_PTR, 0, "web.example");
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.reverse.family, 0);
}

static void reverse_names_are_read_strictly(void **state)
{
	static const char *const no[] = {
	    "1.2.0.in-addr.arpa",
	    "256.2.0.192.in-addr.arpa",
	    "01.2.0.192.in-addr.arpa",
	    "x.1.2.0.192.in-addr.arpa",
	    "1.2.0.192.in-addr.arpa.x",
	    "a.2.0.192.in-addr.arpa",
	    "1.0.0.ip6.arpa",
	    "in-addr.arpa",
	    "example",
	};
	struct ln_addr addr;

	assert_true(ln_reverse_parse("255.0.0.10.in-addr.arpa", &addr));
	for (size_t i = 0; i < LN_ARRAY_SIZE(no); i++)
		assert_false(ln_reverse_parse(no[i], &addr));
}

/* What a resolver adds by itself is not foreign. */
static void ordinary_answers_have_nothing_foreign(void **state)
{
	struct service s = service_of(1, "svc.example");
	struct ln_dns_message msg;
	struct wire w;

	start(&w, FLAG_RESPONSE, "www.example", LN_DNS_A);
	put_cname(&w, "www.example", 60, "edge.example");
	put_a(&w, "edge.example", 60, "192.0.2.1");
	put_host(&w, AUTHORITY, "example", TYPE_NS, 0, "ns1.example");
	put_host(&w, AUTHORITY, "example", TYPE_NS, 0, "NS2.example");
	put_address(&w, ADDITIONAL, "ns1.example", 60, "192.0.2.53");
	put_address(&w, ADDITIONAL, "ns2.example", 60, "2001:db8::53");
	put_address(&w, ADDITIONAL, "edge.example", 60, "2001:db8::1");
	put_host(&w, ADDITIONAL, "example", TYPE_MX, 2, "mx.example");
	put_address(&w, ADDITIONAL, "mx.example", 60, "192.0.2.25");
	put_host(&w, ADDITIONAL, "_x._tcp.example", TYPE_SRV, 6, "srv.example");
	put_address(&w, ADDITIONAL, "srv.example", 60, "192.0.2.26");
	put_record(&w, ADDITIONAL, "example", LN_DNS_HTTPS, 60, s.data.bytes, s.data.len);
	put_address(&w, ADDITIONAL, "svc.example", 60, "192.0.2.27");
	put_record(&w, ADDITIONAL, "", TYPE_OPT, 0, "", 0);
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_addrs, 1);
	assert_int_equal(msg.foreign_answers, 0);
	assert_int_equal(msg.foreign_additional, 0);
	assert_string_equal(msg.foreign_name, "");

	/* CNAME records that lead to nothing new belong all the same. */
	start(&w, FLAG_RESPONSE | NXDOMAIN, "a.example", LN_DNS_A);
	put_cname(&w, "a.example", 60, "b.example");
	put_cname(&w, "b.example", 60, "a.example");
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.foreign_answers, 0);
}

static void foreign_records_are_counted_and_the_first_named(void **state)
{
	struct ln_dns_message msg;
	struct wire w;

	start(&w, FLAG_RESPONSE, "a.example", LN_DNS_A);
	put_a(&w, "a.example", 60, "192.0.2.1");
	put_address(&w, ADDITIONAL, "bank.example", 60, "192.0.2.66");
	put_address(&w, ADDITIONAL, "more.example", 60, "192.0.2.66");
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_addrs, 1);
	assert_int_equal(msg.foreign_additional, 2);
	assert_int_equal(msg.foreign_answers, 0);
	assert_string_equal(msg.foreign_name, "bank.example");

	start(&w, FLAG_RESPONSE, "a.example", TYPE_TXT);
	put_cname(&w, "Shop.example", 60, "evil.example");
	put_a(&w, "bank.example", 60, "192.0.2.66");
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.foreign_answers, 2);
	assert_string_equal(msg.foreign_name, "shop.example");

	/* An error does not make it better. */
	start(&w, FLAG_RESPONSE | NXDOMAIN, "a.example", LN_DNS_A);
	put_a(&w, "bank.example", 60, "192.0.2.66");
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.foreign_answers, 1);

	/* A name server that is no name server, and an owner that is no host name. */
	start(&w, FLAG_RESPONSE, "a.example", LN_DNS_A);
	put_host(&w, AUTHORITY, "example", TYPE_TXT, 0, "ns.example");
	put_address(&w, ADDITIONAL, "a b.example", 60, "192.0.2.66");
	put_address(&w, ADDITIONAL, "ns.example", 60, "192.0.2.66");
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.foreign_additional, 2);
	assert_string_equal(msg.foreign_name, "");
}

static void addresses_of_this_host_are_counted(void **state)
{
	static const char *const local[] = {"127.0.0.1", "0.0.0.0", "127.9.9.9"};
	struct ln_dns_message msg;
	struct wire w;

	start(&w, FLAG_RESPONSE, "a.example", LN_DNS_A);
	for (size_t i = 0; i < LN_ARRAY_SIZE(local); i++)
		put_a(&w, "a.example", 60, local[i]);
	put_a(&w, "a.example", 60, "10.0.0.1");
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.local_answers, 3);
	start(&w, FLAG_RESPONSE, "a.example", LN_DNS_AAAA);
	put_a(&w, "a.example", 60, "::1");
	put_a(&w, "a.example", 60, "::");
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.local_answers, 2);
}

static void case_of_the_question_is_kept(void **state)
{
	struct ln_dns_message msg;
	struct wire w;

	start(&w, 0, "aPi.ExAmPle", LN_DNS_A);
	assert_int_equal(parse(&w, &msg), 0);
	assert_string_equal(msg.qname, "api.example");
	assert_string_equal(msg.qname_raw, "aPi.ExAmPle");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hints_are_addresses_of_the_question),
	    cmocka_unit_test(service_of_another_host_keeps_its_name),
	    cmocka_unit_test(alias_mode_is_a_link),
	    cmocka_unit_test(malformed_services_count_for_nothing),
	    cmocka_unit_test(services_elsewhere_count_for_nothing),
	    cmocka_unit_test(targets_and_hints_are_bounded),
	    cmocka_unit_test(port_prefix_asks_about_its_host),
	    cmocka_unit_test(reverse_answer_names_an_address),
	    cmocka_unit_test(reverse_names_are_read_strictly),
	    cmocka_unit_test(ordinary_answers_have_nothing_foreign),
	    cmocka_unit_test(foreign_records_are_counted_and_the_first_named),
	    cmocka_unit_test(addresses_of_this_host_are_counted),
	    cmocka_unit_test(case_of_the_question_is_kept),
	};

	return cmocka_run_group_tests_name("dns_records", tests, NULL, NULL);
}
