/* SPDX-License-Identifier: Apache-2.0 */
/* Ways to ask for names beside the agent's resolvers: each is recognised, and what is permitted and
 * carries names unseen is told once. */
#include "engine_fixture.h"

static void test_by_port_and_address(void **state)
{
	static const struct {
		const char *remote;
		uint8_t proto;
		enum ln_dns_way way;
	} rows[] = {
	    {RESOLVER, IPPROTO_UDP, LN_DNS_WAY_NONE},
	    {"10.0.0.54:53", IPPROTO_UDP, LN_DNS_WAY_PLAIN},
	    {"10.0.0.54:53", IPPROTO_TCP, LN_DNS_WAY_PLAIN},
	    {"203.0.113.1:853", IPPROTO_TCP, LN_DNS_WAY_DOT},
	    {"203.0.113.1:853", IPPROTO_UDP, LN_DNS_WAY_DOQ},
	    {"203.0.113.1:853", IPPROTO_SCTP, LN_DNS_WAY_NONE},
	    {"224.0.0.251:5353", IPPROTO_UDP, LN_DNS_WAY_MDNS},
	    {"192.168.1.7:5353", IPPROTO_UDP, LN_DNS_WAY_MDNS},
	    {"[ff02::1:3]:5355", IPPROTO_UDP, LN_DNS_WAY_LLMNR},
	    {"192.168.1.7:5355", IPPROTO_TCP, LN_DNS_WAY_LLMNR},
	    {"192.168.1.255:137", IPPROTO_UDP, LN_DNS_WAY_NETBIOS},
	    {"1.1.1.1:443", IPPROTO_TCP, LN_DNS_WAY_DOH},
	    {"8.8.4.4:443", IPPROTO_UDP, LN_DNS_WAY_DOH},
	    {"9.9.9.9:443", IPPROTO_TCP, LN_DNS_WAY_DOH},
	    {"208.67.222.222:443", IPPROTO_TCP, LN_DNS_WAY_DOH},
	    {"149.112.112.112:443", IPPROTO_TCP, LN_DNS_WAY_DOH},
	    {"94.140.14.15:443", IPPROTO_TCP, LN_DNS_WAY_DOH},
	    {"[2606:4700:4700::1111]:443", IPPROTO_TCP, LN_DNS_WAY_DOH},
	    {"[2001:4860:4860::8844]:443", IPPROTO_TCP, LN_DNS_WAY_DOH},
	    {"[2620:fe::9]:443", IPPROTO_TCP, LN_DNS_WAY_DOH},
	    {"[2620:119:35::35]:443", IPPROTO_TCP, LN_DNS_WAY_DOH},
	    {"1.1.1.1:80", IPPROTO_TCP, LN_DNS_WAY_NONE},
	    {"203.0.113.1:443", IPPROTO_TCP, LN_DNS_WAY_NONE},
	    {"8.8.8.9:443", IPPROTO_TCP, LN_DNS_WAY_NONE},
	};
	struct fixture *f = start();

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		struct ln_flow flow = make_flow(i + 1, rows[i].remote, rows[i].proto);

		open_flow(f, &flow);
		assert_int_equal(f->last.dns_way, rows[i].way);
		assert_false(f->last.notice);
		flow.id += 100;
		flow.same_tree = true;
		open_flow(f, &flow);
		assert_int_equal(f->last.dns_way, LN_DNS_WAY_NONE);
	}
	stop(f);
}

static void claim(struct fixture *f, const char *remote, const struct ln_claim *c)
{
	struct ln_event ev = event(f, LN_EVENT_BYTES);
	struct ln_target relayed = {0};

	ev.bytes.flow = make_flow(1, remote, IPPROTO_TCP);
	ln_claims_take(f->engine, &ev, c, &relayed);
}

static void test_by_what_the_client_says(void **state)
{
	static const struct {
		struct ln_claim claim;
		enum ln_dns_way way;
	} rows[] = {
	    {{.layer = LN_LAYER_TLS, .alpn = "dot"}, LN_DNS_WAY_DOT},
	    {{.layer = LN_LAYER_TLS, .alpn = "h2,dot"}, LN_DNS_WAY_DOT},
	    {{.layer = LN_LAYER_TLS, .alpn = "dotty,h2"}, LN_DNS_WAY_NONE},
	    {{.layer = LN_LAYER_QUIC, .alpn = "doq"}, LN_DNS_WAY_DOQ},
	    {{.layer = LN_LAYER_TLS, .has_name = true, .name = "dns.google"}, LN_DNS_WAY_DOH},
	    {{.layer = LN_LAYER_QUIC, .has_name = true, .name = "dns.quad9.net"}, LN_DNS_WAY_DOH},
	    {{.layer = LN_LAYER_TLS, .has_name = true, .name = "mozilla.cloudflare-dns.com"},
	     LN_DNS_WAY_DOH},
	    {{.layer = LN_LAYER_TLS, .has_name = true, .name = "abc.dns.nextdns.io"},
	     LN_DNS_WAY_DOH},
	    {{.layer = LN_LAYER_TLS, .has_name = true, .name = "xdns.google"}, LN_DNS_WAY_NONE},
	    {{.layer = LN_LAYER_HTTP, .has_name = true, .name = "dns.google"}, LN_DNS_WAY_DOH},
	    {{.layer = LN_LAYER_HTTP, .detail = "GET /dns-query?dns=AAAB"}, LN_DNS_WAY_DOH},
	    {{.layer = LN_LAYER_HTTP, .detail = "POST /dns-query"}, LN_DNS_WAY_DOH},
	    {{.layer = LN_LAYER_HTTP, .detail = "GET /"}, LN_DNS_WAY_NONE},
	    {{.layer = LN_LAYER_OTHER}, LN_DNS_WAY_NONE},
	};
	struct fixture *f = start();

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		claim(f, "203.0.113.1:8443", &rows[i].claim);
		assert_int_equal(f->last.dns_way, rows[i].way);
	}
	/* The port says it already. */
	claim(f, "203.0.113.1:853",
	      &(struct ln_claim){.layer = LN_LAYER_TLS, .has_name = true, .name = "dns.google"});
	assert_int_equal(f->last.dns_way, LN_DNS_WAY_DOT);
	stop(f);
}

static struct fixture *start_listed(void)
{
	static const char text[] = "agent_name: \"t\"\nexpected_outbound:\n"
				   "  - {destination: \"1.1.1.1\", port: 443, protocol: TCP}\n"
				   "  - {destination: \"203.0.113.1\", port: any, protocol: any}\n";
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;

	assert_int_equal(ln_policy_parse("t", text, strlen(text), false, &diags, &policy), 0);
	ln_diags_done(&diags);
	return start_with(policy);
}

static void test_what_is_permitted_is_told_once(void **state)
{
	struct fixture *f = start_listed();
	struct ln_flow flow = make_flow(1, "1.1.1.1:443", IPPROTO_TCP);
	const struct ln_claim doh = {
	    .layer = LN_LAYER_TLS, .has_name = true, .name = "one.one.one.one"};

	open_flow(f, &flow);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	assert_true(f->last.notice);
	assert_false(f->last.alert);
	assert_non_null(strstr(f->last_subject, "1.1.1.1:443"));
	assert_non_null(strstr(f->last_subject, "names that are asked for are not seen"));
	claim(f, "1.1.1.1:443", &doh);
	assert_int_equal(f->last.dns_way, LN_DNS_WAY_DOH);
	assert_false(f->last.notice);
	flow.id = 2;
	open_flow(f, &flow);
	assert_int_equal(f->last.dns_way, LN_DNS_WAY_DOH);
	assert_false(f->last.notice);
	flow = make_flow(3, "203.0.113.1:853", IPPROTO_UDP);
	open_flow(f, &flow);
	assert_true(f->last.notice);
	/* It is known only by its name. */
	flow = make_flow(4, "203.0.113.1:443", IPPROTO_TCP);
	open_flow(f, &flow);
	assert_false(f->last.notice);
	claim(f, "203.0.113.1:443", &doh);
	assert_true(f->last.notice);
	assert_non_null(strstr(f->last_subject, "203.0.113.1:443 (one.one.one.one)"));
	stop(f);
}

/* The connection was an alert before its bytes said what it is. */
static void test_what_is_not_permitted_is_named(void **state)
{
	struct fixture *f = start();
	struct ln_flow flow = make_flow(1, "203.0.113.1:443", IPPROTO_TCP);

	open_flow(f, &flow);
	assert_true(f->last.alert);
	claim(f, "203.0.113.1:443",
	      &(struct ln_claim){.layer = LN_LAYER_TLS, .has_name = true, .name = "dns.google"});
	assert_true(f->last.notice);
	assert_non_null(strstr(f->last_subject, "is called dns.google by the agent"));
	assert_non_null(strstr(f->last_subject, "over HTTPS (DoH)"));
	stop(f);
}

static void listen_at(struct fixture *f, const char *local, uint8_t proto)
{
	struct ln_event ev = event(f, LN_EVENT_CHANNEL);
	struct ln_flow flow = {.proto = proto};

	assert_true(ln_endpoint_parse(local, 0, &flow.local));
	ev.channel = (struct ln_channel){.kind = LN_CHANNEL_LISTEN, .flow = &flow};
	ln_engine_feed(f->engine, &ev);
}

static void test_the_agents_own_dns_server(void **state)
{
	struct fixture *f = start();

	listen_at(f, "127.0.0.1:53", IPPROTO_UDP);
	assert_true(f->last.alert);
	assert_string_equal(f->last.title, "DNS SERVER");
	listen_at(f, "[::]:53", IPPROTO_TCP);
	assert_true(f->last.alert);
	assert_string_equal(f->last.title, "DNS SERVER");
	listen_at(f, "0.0.0.0:5353", IPPROTO_UDP);
	assert_null(f->last.title);
	listen_at(f, "0.0.0.0:5353", IPPROTO_TCP);
	assert_string_equal(f->last.title, "INBOUND CHANNEL");
	listen_at(f, "127.0.0.1:5300", IPPROTO_UDP);
	assert_null(f->last.title);
	stop(f);
}

static void test_a_dns_server_that_the_policy_lists(void **state)
{
	static const char text[] = "agent_name: \"t\"\nexpected_outbound:\n"
				   "  - {destination: \"1.1.1.1\", port: 443, protocol: TCP}\n"
				   "expected_inbound:\n  - {port: 53, protocol: UDP}\n";
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;
	struct fixture *f;

	assert_int_equal(ln_policy_parse("t", text, strlen(text), false, &diags, &policy), 0);
	ln_diags_done(&diags);
	f = start_with(policy);
	listen_at(f, "127.0.0.1:53", IPPROTO_UDP);
	assert_int_equal(f->last.verdict, LN_VERDICT_EXPECTED);
	listen_at(f, "127.0.0.1:53", IPPROTO_TCP);
	assert_string_equal(f->last.title, "DNS SERVER");
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_by_port_and_address),
	    cmocka_unit_test(test_by_what_the_client_says),
	    cmocka_unit_test(test_what_is_permitted_is_told_once),
	    cmocka_unit_test(test_what_is_not_permitted_is_named),
	    cmocka_unit_test(test_the_agents_own_dns_server),
	    cmocka_unit_test(test_a_dns_server_that_the_policy_lists),
	};

	return cmocka_run_group_tests_name("engine_dns_ways", tests, NULL, NULL);
}
