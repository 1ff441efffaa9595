/* SPDX-License-Identifier: Apache-2.0 */
#include "dns_wire.h"

#include <errno.h>

#define OPCODE_UPDATE 0x2800
#define NXDOMAIN      3
#define TYPE_TXT      16
#define TYPE_RRSIG    46
#define CLASS_CHAOS   3

static void query_has_a_question_and_nothing_else(void **state)
{
	struct wire w;
	struct ln_dns_message msg;

	start(&w, 0x0100, "API._Tcp.Example.COM", LN_DNS_A);
	put_a(&w, "api._tcp.example.com", 60, "192.0.2.1"); /* an agent answers itself */
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.id, 0x1234);
	assert_false(msg.response);
	assert_true(msg.has_question);
	assert_int_equal(msg.qtype, LN_DNS_A);
	assert_string_equal(msg.qname, "api._tcp.example.com");
	assert_int_equal(msg.n_addrs, 0);
	assert_int_equal(msg.n_chain, 0);
}

static void answer_gives_all_addresses_of_the_question(void **state)
{
	struct wire w;
	struct ln_dns_message msg;
	static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 192, 0, 2, 9};

	start(&w, FLAG_RESPONSE | FLAG_TRUNCATED, "pool.example", LN_DNS_A);
	put_a(&w, "pool.example", 60, "192.0.2.1");
	put_a(&w, "POOL.example", 30, "192.0.2.2");
	assert_int_equal(parse(&w, &msg), 0);
	assert_true(msg.response);
	assert_true(msg.truncated);
	assert_int_equal(msg.n_addrs, 2);
	assert_addr(&msg, 0, "192.0.2.1", 60);
	assert_addr(&msg, 1, "192.0.2.2", 30);
	assert_int_equal(msg.over, 0);

	start(&w, FLAG_RESPONSE, "six.example", LN_DNS_AAAA);
	put_a(&w, "six.example", 60, "2001:db8::1");
	put_record(&w, ANSWER, "six.example", LN_DNS_AAAA, 60, mapped, sizeof(mapped));
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_addrs, 2);
	assert_addr(&msg, 0, "2001:db8::1", 60);
	assert_addr(&msg, 1, "192.0.2.9", 60);
}

static void cname_chain_is_followed_in_any_order(void **state)
{
	struct wire w;
	struct ln_dns_message msg;

	for (int reverse = 0; reverse < 2; reverse++) {
		start(&w, FLAG_RESPONSE, "www.shop.example", LN_DNS_A);
		if (reverse) {
			put_a(&w, "node7.cdn.example", 300, "192.0.2.7");
			put_cname(&w, "edge.cdn.example", 20, "node7.cdn.example");
		}
		put_cname(&w, "www.shop.example", 600, "edge.cdn.example");
		if (!reverse) {
			put_cname(&w, "edge.cdn.example", 20, "node7.cdn.example");
			put_a(&w, "node7.cdn.example", 300, "192.0.2.7");
		}
		put_a(&w, "edge.cdn.example", 500, "192.0.2.8");
		assert_int_equal(parse(&w, &msg), 0);
		assert_int_equal(msg.n_chain, 2);
		assert_string_equal(msg.chain[0], "edge.cdn.example");
		assert_string_equal(msg.chain[1], "node7.cdn.example");
		assert_int_equal(msg.n_addrs, 2);
		assert_addr(&msg, 0, "192.0.2.7", 20);  /* the smallest TTL on its way */
		assert_addr(&msg, 1, "192.0.2.8", 500); /* reached one link earlier */
		assert_int_equal(msg.over, 0);
	}
}

static void cname_loops_end(void **state)
{
	struct wire w;
	struct ln_dns_message msg;

	start(&w, FLAG_RESPONSE, "a.example", LN_DNS_A);
	put_cname(&w, "a.example", 60, "b.example");
	put_cname(&w, "b.example", 60, "c.example");
	put_cname(&w, "c.example", 60, "b.example");
	put_a(&w, "c.example", 60, "192.0.2.1");
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_chain, 2);
	assert_int_equal(msg.n_addrs, 1);
	assert_int_equal(msg.over, 1);

	start(&w, FLAG_RESPONSE, "a.example", LN_DNS_A);
	put_cname(&w, "a.example", 60, "a.example");
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_chain, 0);
	assert_int_equal(msg.over, 1);
}

static void cname_chain_is_bounded(void **state)
{
	struct wire w;
	struct ln_dns_message msg;
	char from[32], to[32];

	start(&w, FLAG_RESPONSE, "n0.example", LN_DNS_A);
	for (int i = 0; i <= LN_DNS_CHAIN_MAX; i++) {
		snprintf(from, sizeof(from), "n%d.example", i);
		snprintf(to, sizeof(to), "n%d.example", i + 1);
		put_cname(&w, from, 60, to);
	}
	put_a(&w, "n16.example", 60, "192.0.2.16");
	put_a(&w, "n17.example", 60, "192.0.2.17");
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_chain, LN_DNS_CHAIN_MAX);
	assert_int_equal(msg.n_addrs, 1);
	assert_addr(&msg, 0, "192.0.2.16", 60);
	assert_int_equal(msg.over, 2); /* the seventeenth link, and what it leads to */

	/* A flood of links that lead nowhere is not kept, but counted. */
	start(&w, FLAG_RESPONSE, "n0.example", LN_DNS_A);
	for (int i = 0; i < 100; i++)
		put_cname(&w, "elsewhere.example", 60, "n1.example");
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_chain, 0);
	assert_int_equal(msg.over, 100);
}

static void second_cname_of_a_name_does_not_count(void **state)
{
	struct wire w;
	struct ln_dns_message msg;

	start(&w, FLAG_RESPONSE, "a.example", LN_DNS_A);
	put_cname(&w, "a.example", 60, "b.example");
	put_cname(&w, "a.example", 60, "c.example");
	put_a(&w, "c.example", 60, "192.0.2.3");
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_chain, 1);
	assert_string_equal(msg.chain[0], "b.example");
	assert_int_equal(msg.n_addrs, 0);
	assert_int_equal(msg.over, 2);
}

static void only_records_of_the_question_count(void **state)
{
	struct wire w;
	struct ln_dns_message msg;
	static const uint8_t addr[4] = {192, 0, 2, 66}, long_addr[5] = {192, 0, 2, 66, 0};

	start(&w, FLAG_RESPONSE, "a.example", LN_DNS_A);
	put_a(&w, "bank.example", 60, "192.0.2.66");
	put_a(&w, "sub.a.example", 60, "192.0.2.66");
	put_a(&w, "a.example", 60, "2001:db8::66"); /* not of the type asked for */
	put_record(&w, ANSWER, "a.example", LN_DNS_A, 60, long_addr, sizeof(long_addr));
	put_record(&w, ANSWER, "a.example", TYPE_RRSIG, 60, "signature", 9);
	put_record(&w, AUTHORITY, "a.example", LN_DNS_A, 60, addr, sizeof(addr));
	put_record(&w, ADDITIONAL, "a.example", LN_DNS_A, 60, addr, sizeof(addr));
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_addrs, 0);
	assert_int_equal(msg.over, 4);

	start(&w, FLAG_RESPONSE | NXDOMAIN, "a.example", LN_DNS_A);
	put_a(&w, "a.example", 60, "192.0.2.66");
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.rcode, NXDOMAIN);
	assert_int_equal(msg.n_addrs, 0);
}

static void record_of_another_class_does_not_count(void **state)
{
	struct wire w;
	struct ln_dns_message msg;
	size_t at;

	start(&w, FLAG_RESPONSE, "a.example", LN_DNS_A);
	at = w.len;
	put_a(&w, "a.example", 60, "192.0.2.66");
	w.bytes[at + strlen("a.example") + 2 + 3] = CLASS_CHAOS;
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_addrs, 0);
	assert_int_equal(msg.over, 1);
}

static void other_questions_have_no_addresses(void **state)
{
	static const uint16_t types[] = {LN_DNS_PTR, TYPE_TXT, LN_DNS_HTTPS};
	struct wire w;
	struct ln_dns_message msg;

	for (size_t i = 0; i < LN_ARRAY_SIZE(types); i++) {
		start(&w, FLAG_RESPONSE, "1.2.0.192.in-addr.arpa", types[i]);
		put_a(&w, "1.2.0.192.in-addr.arpa", 60, "192.0.2.1");
		assert_int_equal(parse(&w, &msg), 0);
		assert_true(msg.has_question);
		assert_int_equal(msg.qtype, types[i]);
		assert_int_equal(msg.n_addrs, 0);
	}
}

static void addresses_are_bounded_and_the_rest_counted(void **state)
{
	struct wire w;
	struct ln_dns_message msg;
	char addr[LN_ADDR_TEXT_MAX];

	start(&w, FLAG_RESPONSE, "a.example", LN_DNS_A);
	for (int i = 0; i < LN_DNS_ADDRS_MAX + 3; i++) {
		snprintf(addr, sizeof(addr), "192.0.2.%d", i);
		put_a(&w, "a.example", 60, addr);
	}
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_addrs, LN_DNS_ADDRS_MAX);
	assert_int_equal(msg.over, 3);
}

static void ttl_with_the_top_bit_is_zero(void **state)
{
	struct wire w;
	struct ln_dns_message msg;

	start(&w, FLAG_RESPONSE, "a.example", LN_DNS_A);
	put_a(&w, "a.example", 0x7fffffff, "192.0.2.1");
	put_a(&w, "a.example", 0x80000000, "192.0.2.2");
	assert_int_equal(parse(&w, &msg), 0);
	assert_addr(&msg, 0, "192.0.2.1", 0x7fffffff);
	assert_addr(&msg, 1, "192.0.2.2", 0);
}

static void strange_bytes_in_a_label_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} labels[] = {
	    {"api.example", 11}, /* one label with a dot, not two labels */
	    {"api\0x", 5},       {"a b", 3}, {"a\\b", 3},     {"*", 1},
	    {"\xc3\xa4", 2},     {"a/b", 3}, {"a\x1b[2J", 5},
	};
	struct wire w;
	struct ln_dns_message msg;

	for (size_t i = 0; i < LN_ARRAY_SIZE(labels); i++) {
		put_header(&w, 0, 1);
		put_label(&w, labels[i].bytes, labels[i].len);
		put_name(&w, "com");
		put16(&w, LN_DNS_A);
		put16(&w, CLASS_IN);
		assert_int_equal(parse(&w, &msg), -EOPNOTSUPP);
		assert_false(msg.has_question);
		assert_int_equal(msg.id, 0x1234);
	}
}

static void name_that_only_looks_equal_does_not_count(void **state)
{
	struct wire w;
	struct ln_dns_message msg;

	start(&w, FLAG_RESPONSE, "api.example.com", LN_DNS_A);
	count_record(&w, ANSWER);
	put_label(&w, "api.example", 11);
	put_name(&w, "com");
	put16(&w, LN_DNS_A);
	put16(&w, CLASS_IN);
	put16(&w, 0);
	put16(&w, 60);
	put16(&w, 4);
	put_bytes(&w, "\xc0\x00\x02\x42", 4);
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_addrs, 0);
	assert_int_equal(msg.over, 1);
}

/* `n` bytes of name text, in labels of 63. */
static void put_long_name(struct wire *w, size_t n)
{
	char label[64];

	memset(label, 'x', sizeof(label));
	for (; n > 63; n -= 64)
		put_label(w, label, 63);
	put_label(w, label, n);
	w->bytes[w->len++] = 0;
	put16(w, LN_DNS_A);
	put16(w, CLASS_IN);
}

static void longest_name_fits_and_a_longer_one_is_malformed(void **state)
{
	struct wire w;
	struct ln_dns_message msg;

	put_header(&w, 0, 1);
	put_long_name(&w, 253);
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(strlen(msg.qname), 253);

	put_header(&w, 0, 1);
	put_long_name(&w, 254);
	assert_int_equal(parse(&w, &msg), -EBADMSG);
	assert_false(msg.has_question);
}

static void compression_is_read_and_its_loops_refused(void **state)
{
	struct wire w;
	struct ln_dns_message msg;

	start(&w, FLAG_RESPONSE, "www.a.example", LN_DNS_A);
	count_record(&w, ANSWER);
	put_bytes(&w, "\xc0\x0c", 2); /* the question's name */
	put_bytes(&w, "\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x06", 10);
	put_bytes(&w, "\x03img\xc0\x10", 6); /* img.a.example */
	put_a(&w, "img.a.example", 60, "192.0.2.1");
	assert_int_equal(parse(&w, &msg), 0);
	assert_string_equal(msg.chain[0], "img.a.example");
	assert_int_equal(msg.n_addrs, 1);

	put_header(&w, 0, 1);
	put_bytes(&w, "\xc0\x0c\x00\x01\x00\x01", 6); /* points to itself */
	assert_int_equal(parse(&w, &msg), -EBADMSG);
	put_header(&w, 0, 1);
	put_bytes(&w, "\x41xx\x00\x00\x01\x00\x01", 8); /* label type 01 */
	assert_int_equal(parse(&w, &msg), -EBADMSG);
}

static void cname_data_with_a_tail_is_malformed(void **state)
{
	struct wire w;
	struct ln_dns_message msg;

	start(&w, FLAG_RESPONSE, "a.example", LN_DNS_A);
	put_record(&w, ANSWER, "a.example", LN_DNS_CNAME, 60, "\x01z\x00tail", 7);
	put_a(&w, "a.example", 60, "192.0.2.1");
	assert_int_equal(parse(&w, &msg), -EBADMSG);
	assert_int_equal(msg.n_addrs, 0);
	assert_int_equal(msg.n_chain, 0);
}

static void question_must_be_one_host_name_in_class_in(void **state)
{
	struct wire w;
	struct ln_dns_message msg;

	put_header(&w, FLAG_RESPONSE, 0);
	assert_int_equal(parse(&w, &msg), -EOPNOTSUPP);
	assert_true(msg.response);

	start(&w, 0, "a.example", LN_DNS_A);
	w.bytes[5] = 2;
	put_name(&w, "b.example");
	put16(&w, LN_DNS_A);
	put16(&w, CLASS_IN);
	assert_int_equal(parse(&w, &msg), -EOPNOTSUPP);
	assert_false(msg.has_question);

	start(&w, 0, "version.bind", TYPE_TXT);
	w.bytes[w.len - 1] = CLASS_CHAOS;
	assert_int_equal(parse(&w, &msg), -EOPNOTSUPP);
	start(&w, 0, "", LN_DNS_A); /* the root */
	assert_int_equal(parse(&w, &msg), -EOPNOTSUPP);
	start(&w, OPCODE_UPDATE, "a.example", LN_DNS_A);
	assert_int_equal(parse(&w, &msg), -EOPNOTSUPP);
	assert_int_equal(msg.opcode, 5);
}

static void broken_tail_does_not_hide_the_question(void **state)
{
	struct wire w;
	struct ln_dns_message msg;

	start(&w, 0, "secret.tunnel.example", TYPE_TXT);
	w.bytes[w.len++] = 0;
	assert_int_equal(parse(&w, &msg), -EBADMSG);
	assert_true(msg.has_question);
	assert_string_equal(msg.qname, "secret.tunnel.example");
}

static void every_cut_of_a_message_is_malformed(void **state)
{
	struct wire w;
	struct ln_dns_message msg;
	size_t full;

	start(&w, FLAG_RESPONSE, "www.shop.example", LN_DNS_A);
	put_cname(&w, "www.shop.example", 60, "edge.cdn.example");
	put_a(&w, "edge.cdn.example", 60, "192.0.2.1");
	full = w.len;
	for (w.len = 0; w.len < full; w.len++) {
		assert_int_equal(parse(&w, &msg), -EBADMSG);
		assert_int_equal(msg.n_addrs, 0);
	}
	assert_int_equal(parse(&w, &msg), 0);
	assert_int_equal(msg.n_addrs, 1);
	assert_int_equal(ln_dns_parse(NULL, 0, &msg), -EBADMSG);
}

static void types_have_names(void **state)
{
	assert_string_equal(ln_dns_type_name(LN_DNS_A), "A");
	assert_string_equal(ln_dns_type_name(LN_DNS_AAAA), "AAAA");
	assert_string_equal(ln_dns_type_name(LN_DNS_HTTPS), "HTTPS");
	assert_string_equal(ln_dns_type_name(TYPE_TXT), "TXT");
	assert_null(ln_dns_type_name(0));
	assert_null(ln_dns_type_name(65535));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(query_has_a_question_and_nothing_else),
	    cmocka_unit_test(answer_gives_all_addresses_of_the_question),
	    cmocka_unit_test(cname_chain_is_followed_in_any_order),
	    cmocka_unit_test(cname_loops_end),
	    cmocka_unit_test(cname_chain_is_bounded),
	    cmocka_unit_test(second_cname_of_a_name_does_not_count),
	    cmocka_unit_test(only_records_of_the_question_count),
	    cmocka_unit_test(record_of_another_class_does_not_count),
	    cmocka_unit_test(other_questions_have_no_addresses),
	    cmocka_unit_test(addresses_are_bounded_and_the_rest_counted),
	    cmocka_unit_test(ttl_with_the_top_bit_is_zero),
	    cmocka_unit_test(strange_bytes_in_a_label_are_refused),
	    cmocka_unit_test(name_that_only_looks_equal_does_not_count),
	    cmocka_unit_test(longest_name_fits_and_a_longer_one_is_malformed),
	    cmocka_unit_test(compression_is_read_and_its_loops_refused),
	    cmocka_unit_test(cname_data_with_a_tail_is_malformed),
	    cmocka_unit_test(question_must_be_one_host_name_in_class_in),
	    cmocka_unit_test(broken_tail_does_not_hide_the_question),
	    cmocka_unit_test(every_cut_of_a_message_is_malformed),
	    cmocka_unit_test(types_have_names),
	};

	return cmocka_run_group_tests_name("dns", tests, NULL, NULL);
}
