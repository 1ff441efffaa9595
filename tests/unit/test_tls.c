/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include "base/macros.h"
#include "hello_fixture.h"
#include "payload/tls.h"

static struct bytes message, records;

/* The message as it is, read as one record and in small ones; all three must agree. */
static int read_hello(struct ln_tls_hello *ret)
{
	struct ln_tls_hello alone, split;
	int r = ln_tls_read_message(message.data, message.len, &alone);

	memset(ret, 0, sizeof(*ret));
	if (message.len <= 16384) {
		records.len = 0;
		put_records(&records, message.data, message.len, 16384);
		assert_int_equal(ln_tls_read(records.data, records.len, ret), r);
		assert_true(r < 0 || memcmp(ret, &alone, sizeof(alone)) == 0);
	}
	records.len = 0;
	put_records(&records, message.data, message.len, 7);
	assert_int_equal(ln_tls_read(records.data, records.len, &split), r);
	if (r == 0)
		*ret = split;
	return r;
}

static void expect_name(const char *name, bool has_name)
{
	struct ln_tls_hello h;

	hello_end(&message);
	assert_int_equal(read_hello(&h), 0);
	assert_string_equal(h.name, name);
	assert_int_equal(h.has_name, has_name);
}

static void expect_bad(void)
{
	struct ln_tls_hello h;

	assert_int_equal(read_hello(&h), -EBADMSG);
}

static void load(const char *path)
{
	FILE *f = fopen(path, "rb");

	assert_non_null(f);
	records.len = fread(records.data, 1, sizeof(records.data), f);
	fclose(f);
}

static void test_hellos_of_real_clients(void **state)
{
	static const struct {
		const char *file, *name, *alpn;
		uint16_t version;
	} clients[] = {
	    {"curl", "www.example.com", "h2,http/1.1", 0x0304},
	    {"curl-tls12", "www.example.com", "http/1.1", 0x0303},
	    {"openssl", "api.example.net", "h2,http/1.1", 0x0304},
	    {"openssl-no-sni", "", "", 0x0304},
	    {"python", "pypi.example.org", "", 0x0304},
	    {"python-ip", "", "", 0x0304},
	    {"wget", "localhost", "", 0x0304},
	};

	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		struct ln_tls_hello h;
		char path[128];

		snprintf(path, sizeof(path), "tests/fuzz/corpus/tls/%s", clients[i].file);
		load(path);
		for (size_t len = 0; len < records.len; len++)
			assert_int_equal(ln_tls_read(records.data, len, &h), -EAGAIN);
		assert_int_equal(ln_tls_read(records.data, records.len, &h), 0);
		assert_string_equal(h.name, clients[i].name);
		assert_int_equal(h.has_name, clients[i].name[0] != '\0');
		assert_string_equal(h.alpn, clients[i].alpn);
		assert_int_equal(h.version, clients[i].version);
		assert_false(h.ech);
	}
}

static void test_a_hello_in_two_records_of_a_real_client(void **state)
{
	struct ln_tls_hello h;

	load("tests/fuzz/corpus/tls/openssl-split");
	assert_int_equal(ln_tls_read(records.data, records.len - 1, &h), -EAGAIN);
	assert_int_equal(ln_tls_read(records.data, records.len, &h), 0);
	assert_string_equal(h.name, "api.example.net");
	assert_string_equal(h.alpn,
			    "p000,p001,p002,p003,p004,p005,p006,p007,p008,p009,p010,p011,p01");
}

static void test_names(void **state)
{
	hello_begin(&message);
	put_sni(&message, "API.Example.COM.", 16);
	expect_name("api.example.com", true);
	hello_begin(&message);
	put_sni(&message, "192.0.2.1", 9);
	expect_name("192.0.2.1", true);
	hello_begin(&message);
	expect_name("", false);
	message.len = HELLO_EXTENSIONS; /* a hello from before there were extensions */
	set16(&message, 2, message.len - 4);
	assert_int_equal(ln_tls_read_message(message.data, message.len, &(struct ln_tls_hello){0}),
			 0);
}

static void test_names_that_cannot_be_read(void **state)
{
	static const struct {
		const char *data;
		size_t len;
	} lists[] = {
	    {"", 0},
	    {"\0", 1},
	    {"\0\0", 2},
	    {"\0\x04\0\0\x01", 5}, /* the name is longer than the list */
	    {"\0\x03\0\0\0", 5},   /* an empty name */
	    {"\0\x06\0\0\x03"      /* NUL */
	     "a\0b",
	     8},
	    {"\0\x06\0\0\x03"
	     "a b",
	     8},
	    {"\0\x06\0\0\x03"
	     "a.b"
	     "c",
	     9}, /* more than the list */
	    {"\0\x0c\0\0\x03"
	     "a.b"
	     "\0\0\x03"
	     "a.b",
	     14}, /* two */
	    {"\0\x06\x01\0\x03"
	     "a.b",
	     8}, /* of another type */
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		hello_begin(&message);
		put_ext(&message, 0, lists[i].data, lists[i].len);
		expect_name("", true);
	}
	hello_begin(&message);
	put_ext(&message, 0,
		"\0\x0c\x01\0\x03"
		"x.y"
		"\0\0\x03"
		"a.b",
		14);
	expect_name("a.b", true);
}

static void test_two_of_an_extension(void **state)
{
	static const unsigned int types[] = {16, 43, 62, 63, 0x0a0a, 0xfe0d};
	struct ln_tls_hello h;

	hello_begin(&message);
	put_sni(&message, "a.example", 9);
	put_ext(&message, 0x0a0a, "", 0);
	put_sni(&message, "a.example", 9);
	expect_name("", true);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		hello_begin(&message);
		put_ext(&message, types[i], "", 0);
		put_sni(&message, "a.example", 9);
		put_ext(&message, types[i], "", 0);
		expect_name("a.example", true);
	}
	hello_begin(&message);
	put_ext(&message, 16, "\0\x03\x02h2", 5);
	put_ext(&message, 0xfe0d, "\0", 1);
	put_ext(&message, 16, "\0\x03\x02h3", 5);
	put_ext(&message, 0xfe0d, "\x01", 1);
	hello_end(&message);
	assert_int_equal(read_hello(&h), 0);
	assert_string_equal(h.alpn, "h2");
	assert_true(h.ech);
}

static void test_alpn_is_printable_and_cut(void **state)
{
	struct ln_tls_hello h;
	char list[210] = {0};

	hello_begin(&message);
	put_ext(&message, 16,
		"\0\x0e\x02\x1a\x1a\x02h2\x03"
		"a,b\x03"
		"\x1b \xff",
		16);
	hello_end(&message);
	assert_int_equal(read_hello(&h), 0);
	assert_string_equal(h.alpn, "h2,a?b,???");

	hello_begin(&message);
	memset(list, 'x', sizeof(list));
	memcpy(list, "\0\xd0\xcf", 3);
	put_ext(&message, 16, list, sizeof(list));
	hello_end(&message);
	assert_int_equal(read_hello(&h), 0);
	assert_int_equal(strlen(h.alpn), LN_ALPN_MAX - 1);
}

static void test_versions_and_ech(void **state)
{
	struct ln_tls_hello h;

	hello_begin(&message);
	put_ext(&message, 0x2a2a, "", 0);
	put_ext(&message, 43, "\x08\xfa\xfa\x03\x03\x03\x04\x7f\x1c", 9);
	put_ext(&message, 0xfe0d, "\0rest", 5);
	put_sni(&message, "outer.example", 13);
	hello_end(&message);
	assert_int_equal(read_hello(&h), 0);
	assert_int_equal(h.version, 0x0304);
	assert_true(h.ech);
	assert_string_equal(h.name, "outer.example");

	hello_begin(&message);
	put_ext(&message, 0xfe0d, "\x01", 1);
	hello_end(&message);
	assert_int_equal(read_hello(&h), 0);
	assert_int_equal(h.version, 0x0303);
	assert_false(h.ech);
}

static void test_large_hellos(void **state)
{
	static uint8_t share[20000];
	struct ln_tls_hello h;

	for (size_t len = 1000; len < 16000; len += 1100) {
		hello_begin(&message);
		put_ext(&message, 51, share, len);
		put_sni(&message, "post.quantum.example", 20);
		expect_name("post.quantum.example", true);
	}
	hello_begin(&message);
	put_ext(&message, 51, share, LN_TLS_HELLO_MAX);
	hello_end(&message);
	records.len = 0;
	put_records(&records, message.data, message.len, 9000);
	assert_int_equal(ln_tls_read(records.data, records.len, &h), -EAGAIN);
}

static void test_wrong_as_early_as_it_is_certain(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} wrong[] = {
	    {"\x17", 1},
	    {"\x16\x10", 2},
	    {"\x16\x03\x01\x40\x01", 5},                 /* a record too large */
	    {"\x16\x03\x01\x01\x00\x02", 6},             /* a ServerHello */
	    {"\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9}, /* nothing in it */
	    {"\x16\x03\x01\x00\x01\x01\x15", 7},         /* an alert between */
	    {"\x16\x03\x01\x00\x00\x16\x10", 7},
	};
	struct ln_tls_hello h;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const uint8_t *bytes = (const uint8_t *)wrong[i].bytes;

		assert_int_equal(ln_tls_read(bytes, wrong[i].len, &h), -EBADMSG);
		assert_int_equal(ln_tls_read(bytes, wrong[i].len - 1, &h), -EAGAIN);
		assert_int_equal(ln_tls_read_cut(bytes, wrong[i].len, &h), -EBADMSG);
	}
}

static void test_lengths_that_do_not_fit(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} changes[] = {
	    {38, 33},                  /* a session id too long */
	    {40, 5},                   /* half a cipher suite */
	    {40, 0},                   /* no cipher suite */
	    {45, 0},                   /* no compression method */
	    {48, 1},       {48, 0xff}, /* extensions end before the message, and behind it */
	    {52, 0xff},                /* an extension longer than all of them */
	    {3, 0xff - 1}, {3, 20},    /* the message is longer, shorter than what is in it */
	};

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		hello_begin(&message);
		put_sni(&message, "a.example", 9);
		hello_end(&message);
		message.data[changes[i].at] = changes[i].value;
		expect_bad();
	}
	/* Half a cipher suite, and all else fits. */
	hello_begin(&message);
	put_sni(&message, "a.example", 9);
	memmove(message.data + 44, message.data + 45, message.len - 45);
	message.len--;
	set16(&message, 39, 3);
	set16(&message, HELLO_EXTENSIONS - 1, message.len - HELLO_EXTENSIONS - 1);
	set16(&message, 2, message.len - 4);
	expect_bad();
}

static void test_empty_records_are_passed_over(void **state)
{
	struct ln_tls_hello h;

	hello_begin(&message);
	put_sni(&message, "a.example", 9);
	hello_end(&message);
	records.len = 0;
	put(&records, "\x16\x03\x01\0\0", 5);
	put_records(&records, message.data, 20, 20);
	put(&records, "\x16\x03\x01\0\0", 5);
	put_records(&records, message.data + 20, message.len - 20, 1);
	put(&records, "\x17trailing", 9);
	assert_int_equal(ln_tls_read(records.data, records.len, &h), 0);
	assert_string_equal(h.name, "a.example");
	records.len = 0;
	for (int i = 0; i < 32; i++)
		put(&records, "\x16\x03\x01\0\0", 5);
	assert_int_equal(ln_tls_read(records.data, records.len, &h), -EAGAIN);
	put(&records, "\x16\x03\x01\0\0", 5);
	assert_int_equal(ln_tls_read(records.data, records.len, &h), -EBADMSG);
}

static void test_what_a_cut_hello_says(void **state)
{
	static const uint8_t share[3000];
	struct ln_tls_hello h;

	hello_begin(&message);
	put_sni(&message, "a.example", 9);
	put_ext(&message, 51, share, sizeof(share));
	hello_end(&message);
	records.len = 0;
	put_records(&records, message.data, message.len, 16384);
	assert_int_equal(ln_tls_read_cut(records.data, 1000, &h), 0);
	assert_string_equal(h.name, "a.example");
	assert_int_equal(ln_tls_read_cut(records.data, 60, &h), 0);
	assert_string_equal(h.name, "");
	assert_true(h.has_name);
}

/* As QUIC carries it: without records. At each length it says the name, or that it cannot be read.
 */
static void test_what_a_cut_message_says(void **state)
{
	struct ln_tls_hello h;
	bool said = false;

	hello_begin(&message);
	put_sni(&message, "a.example", 9);
	put_ext(&message, 51, "share", 5);
	hello_end(&message);
	for (size_t len = 0; len < message.len; len++) {
		LN_AUTO_FREE uint8_t *part = malloc(len + 1);

		memcpy(part, message.data, len);
		assert_int_equal(ln_tls_read_message(part, len, &h), -EAGAIN);
		assert_int_equal(ln_tls_read_message_cut(part, len, &h), 0);
		assert_true(h.has_name);
		assert_string_equal(h.name, said || h.name[0] != '\0' ? "a.example" : "");
		said = h.name[0] != '\0';
	}
	assert_true(said);
	assert_int_equal(ln_tls_read_message_cut(message.data, message.len, &h), 0);
	assert_string_equal(h.name, "a.example");
	message.data[0] = 2;
	assert_int_equal(ln_tls_read_message_cut(message.data, 1, &h), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_hellos_of_real_clients),
	    cmocka_unit_test(test_a_hello_in_two_records_of_a_real_client),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_names_that_cannot_be_read),
	    cmocka_unit_test(test_two_of_an_extension),
	    cmocka_unit_test(test_alpn_is_printable_and_cut),
	    cmocka_unit_test(test_versions_and_ech),
	    cmocka_unit_test(test_large_hellos),
	    cmocka_unit_test(test_wrong_as_early_as_it_is_certain),
	    cmocka_unit_test(test_lengths_that_do_not_fit),
	    cmocka_unit_test(test_empty_records_are_passed_over),
	    cmocka_unit_test(test_what_a_cut_hello_says),
	    cmocka_unit_test(test_what_a_cut_message_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
