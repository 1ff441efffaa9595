/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/macros.h"
#include "dns/config.h"

static void resolv_conf_is_read_as_glibc_reads_it(void **state)
{
	static const char text[] = "# made by a test\n"
				   "; another comment\n"
				   "domain old.example\n"
				   "nameserver 192.0.2.53\n"
				   " nameserver 192.0.2.99\n" /* not in the first column */
				   "nameserver\t2001:db8::53 # second\n"
				   "nameserver fe80::1%eth0\r\n"
				   "nameserver not-an-address\n"
				   "nameserver\n"
				   "search Corp.Local. sub.corp.local . bad..name\n"
				   "options ndots:5\n"
				   "nameserver 192.0.2.54"; /* no line break at the end */
	struct ln_resolv_conf conf;
	char buf[LN_ENDPOINT_TEXT_MAX];

	ln_resolv_conf_parse(text, sizeof(text) - 1, &conf);
	assert_int_equal(conf.n_servers, 4);
	assert_string_equal(ln_endpoint_format(&conf.servers[0], buf), "192.0.2.53:53");
	assert_string_equal(ln_endpoint_format(&conf.servers[1], buf), "[2001:db8::53]:53");
	assert_string_equal(ln_endpoint_format(&conf.servers[2], buf), "[fe80::1]:53");
	assert_string_equal(ln_endpoint_format(&conf.servers[3], buf), "192.0.2.54:53");
	assert_int_equal(conf.n_search, 2);
	assert_string_equal(conf.search[0], "corp.local");
	assert_string_equal(conf.search[1], "sub.corp.local");
	assert_int_equal(conf.skipped, 3);
}

static void resolv_conf_without_a_server_means_this_machine(void **state)
{
	struct ln_resolv_conf conf;
	char buf[LN_ENDPOINT_TEXT_MAX];

	ln_resolv_conf_parse(NULL, 0, &conf);
	assert_int_equal(conf.n_servers, 1);
	assert_string_equal(ln_endpoint_format(&conf.servers[0], buf), "127.0.0.1:53");
	assert_int_equal(conf.n_search, 0);
	assert_int_equal(conf.skipped, 0);
}

static void resolv_conf_is_bounded(void **state)
{
	char text[8192];
	size_t len = 0;
	struct ln_resolv_conf conf;

	for (int i = 0; i < LN_RESOLV_SERVERS_MAX + 2; i++)
		len +=
		    (size_t)snprintf(text + len, sizeof(text) - len, "nameserver 192.0.2.%d\n", i);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "search");
	for (int i = 0; i < LN_RESOLV_SEARCH_MAX + 3; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " d%d.example", i);
	ln_resolv_conf_parse(text, len, &conf);
	assert_int_equal(conf.n_servers, LN_RESOLV_SERVERS_MAX);
	assert_int_equal(conf.n_search, LN_RESOLV_SEARCH_MAX);
	assert_string_equal(conf.search[LN_RESOLV_SEARCH_MAX - 1], "d31.example");
	assert_int_equal(conf.skipped, 5);
}

static void append_pair(const struct ln_addr *addr, const char *name, void *user)
{
	char text[LN_ADDR_TEXT_MAX];
	char *out = user;

	snprintf(out + strlen(out), 1024 - strlen(out), "%s=%s;", ln_addr_format(addr, text), name);
}

static void hosts_gives_each_address_and_name(void **state)
{
	static const char text[] = "127.0.0.1\tlocalhost\n"
				   "::1 localhost ip6-localhost # loopback\n"
				   "  192.0.2.10   API.Internal. api\n"
				   "#192.0.2.11 commented\n"
				   "\n"
				   "192.0.2.12#not.a.name\n"
				   "fe80::2%eth0 router\n"
				   "192.0.2 short\n"
				   "192.0.2.13 good b\0d also-good\n"
				   "::ffff:192.0.2.14 mapped";
	char out[1024] = "";

	/* "192.0.2 short" and "b\0d" */
	assert_int_equal(ln_hosts_parse(text, sizeof(text) - 1, append_pair, out), 2);
	assert_string_equal(out, "127.0.0.1=localhost;::1=localhost;::1=ip6-localhost;"
				 "192.0.2.10=api.internal;192.0.2.10=api;fe80::2=router;"
				 "192.0.2.13=good;192.0.2.13=also-good;192.0.2.14=mapped;");
}

static void count_pair(const struct ln_addr *addr, const char *name, void *user)
{
	(*(uint32_t *)user)++;
}

static void hosts_is_bounded(void **state)
{
	const size_t n = 100007;
	LN_AUTO_FREE char *text = malloc(16 + 2 * n);
	uint32_t pairs = 0;
	size_t len;

	assert_non_null(text);
	len = (size_t)sprintf(text, "192.0.2.1");
	for (size_t i = 0; i < n; i++, len += 2)
		memcpy(text + len, " a", 2);
	assert_int_equal(ln_hosts_parse(text, len, count_pair, &pairs), 7);
	assert_int_equal(pairs, 100000);
	assert_int_equal(ln_hosts_parse(NULL, 0, count_pair, &pairs), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(resolv_conf_is_read_as_glibc_reads_it),
	    cmocka_unit_test(resolv_conf_without_a_server_means_this_machine),
	    cmocka_unit_test(resolv_conf_is_bounded),
	    cmocka_unit_test(hosts_gives_each_address_and_name),
	    cmocka_unit_test(hosts_is_bounded),
	};

	return cmocka_run_group_tests_name("dns_config", tests, NULL, NULL);
}
