/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "record_fixture.h"

static void test_flow_record(void **state)
{
	struct ln_name_evidence names[] = {named("a.example", LN_NAME_ANSWER),
					   named("b.example", LN_NAME_UNTRUSTED)};
	json_t *r;

	names[0].pid = 7000;
	names[0].ttl_s = 60;
	names[0].stale = true;
	names[0].chain = "edge.example cdn.example";
	names[0].seen_ns = finding.time_ns - 3 * LN_NS_PER_S;
	names[0].expires_ns = 2 * LN_NS_PER_S;
	names[1].expires_ns = UINT64_MAX;
	finding.names = names;
	finding.n_names = 2;
	finding.hint = "add \"a\"";
	flow.existing = true;
	finding.held_ns = 12500000;
	r = logged();
	assert_int_equal((int)(json_number_value(field(r, "held_ms")) * 10), 125);
	assert_text(r, "time", "2023-10-26T14:32:07.123456Z");
	assert_text(r, "type", "flow-open");
	assert_text(r, "agent", "travel_agent_v1");
	assert_number(r, "pid", 7843);
	assert_number(r, "tid", 7844);
	assert_text(r, "exe", "/usr/bin/python");
	assert_int_equal(json_array_size(field(r, "args")), 2);
	assert_text(r, "args.0", "python");
	assert_text(r, "args.1", "/opt/agent/main.py");
	assert_null(json_object_get(r, "args_cut"));
	assert_text(r, "verdict", "unexpected");
	assert_null_field(r, "rule");
	assert_text(r, "reason", REASON);
	assert_text(r, "hint", "add \"a\"");
	assert_true(json_is_true(field(r, "alert")));
	assert_text(r, "action", "logged");
	assert_number(r, "parents.0.pid", 1234);
	assert_text(r, "parents.0.exe", "/usr/bin/bash");
	assert_text(r, "id", "abc0001");
	assert_text(r, "proto", "TCP");
	assert_text(r, "remote.ip", "104.28.14.6");
	assert_number(r, "remote.port", 443);
	assert_text(r, "local.ip", "10.0.0.7");
	assert_int_equal(json_array_size(field(r, "names")), 2);
	assert_text(r, "names.0.name", "a.example");
	assert_text(r, "names.0.source", "answer");
	assert_true(json_is_true(field(r, "names.0.grants")));
	assert_true(json_is_true(field(r, "names.0.stale")));
	assert_number(r, "names.0.ttl", 60);
	assert_number(r, "names.0.asked_by", 7000);
	assert_text(r, "names.0.cname", "cdn.example");
	assert_int_equal(json_array_size(field(r, "names.0.chain")), 2);
	assert_text(r, "names.0.chain.0", "edge.example");
	assert_text(r, "names.0.chain.1", "cdn.example");
	assert_number(r, "names.0.age", 3);
	assert_number(r, "names.0.expires_in", -3);
	assert_null_field(r, "names.1.expires_in");
	assert_null(json_object_get(field(r, "names.1"), "chain"));
	assert_true(json_is_false(field(r, "names.1.grants")));
	assert_null_field(r, "names.1.asked_by");
	assert_true(json_is_true(field(r, "existing")));
	assert_true(json_is_false(field(r, "same_tree")));
	assert_true(json_is_false(field(r, "mptcp")));
	assert_true(json_is_false(field(r, "uncounted")));
	assert_text(r, "how", "task");
	assert_true(json_is_false(field(r, "received")));
	assert_true(json_is_false(field(r, "passed")));
	assert_true(json_is_false(field(r, "inbound")));
	assert_null_field(r, "other");
	assert_null_field(r, "listener");
	assert_null_field(r, "place");
	assert_null(json_object_get(r, "title"));
	assert_null(json_object_get(r, "cgroup"));
	assert_null(json_object_get(r, "ns_pid"));
	json_decref(r);
}

static void test_who_and_where(void **state)
{
	static const char path[] =
	    "/a.slice/docker-"
	    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope";
	struct ln_cgroup_info in = {.path = path, .path_len = sizeof(path) - 1};
	json_t *r;

	ln_container_parse(path, sizeof(path) - 1, &in.in);
	finding.cgroup = &in;
	finding.title = "SOCKET RECEIVED";
	finding.verdict = LN_VERDICT_EXPECTED;
	finding.place = "loopback";
	agent.ns_pid = 7;
	agent.why = "taken over";
	flow.how = LN_HOW_AMBIGUOUS;
	flow.received = flow.passed = flow.inbound = true;
	flow.other = (struct ln_party){812, "s\033h"};
	flow.listener = (struct ln_party){.pid = 813};
	r = logged();
	assert_number(r, "ns_pid", 7);
	assert_text(r, "watched_since", "taken over");
	assert_text(r, "cgroup", path);
	assert_text(r, "container",
		    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
	assert_text(r, "runtime", "docker");
	assert_text(r, "unit", "a.slice");
	assert_text(r, "title", "SOCKET RECEIVED");
	assert_text(r, "action", "logged");
	assert_number(r, "parents.0.pid", 1234);
	assert_text(r, "how", "ambiguous");
	assert_true(json_is_true(field(r, "received")));
	assert_true(json_is_true(field(r, "passed")));
	assert_true(json_is_true(field(r, "inbound")));
	assert_number(r, "other.pid", 812);
	assert_text(r, "other.comm", "s\033h");
	assert_number(r, "listener.pid", 813);
	assert_null_field(r, "listener.comm");
	assert_text(r, "place", "loopback");
	json_decref(r);
}

static void test_wire_record(void **state)
{
	struct ln_name_evidence names[] = {named("real.example", LN_NAME_ANSWER),
					   named("said.example", LN_NAME_HOSTS)};
	struct ln_endpoint wire;
	json_t *r;

	assert_true(ln_endpoint_parse("203.0.113.9:8443", 0, &wire));
	finding.kind = LN_FINDING_WIRE;
	finding.wire = &wire;
	finding.wire_why = LN_WIRE_ROUTED;
	finding.names = &names[0];
	finding.named = &names[1];
	finding.n_names = finding.n_named = 1;
	r = logged();
	assert_text(r, "type", "wire");
	assert_text(r, "id", "abc0001");
	assert_text(r, "named.ip", "104.28.14.6");
	assert_number(r, "named.port", 443);
	assert_text(r, "remote.ip", "203.0.113.9");
	assert_number(r, "remote.port", 8443);
	assert_text(r, "way", "routed");
	assert_text(r, "names.0.name", "real.example");
	assert_text(r, "named_names.0.name", "said.example");
	assert_text(r, "how", "task");
	json_decref(r);
}

static void test_claim_record(void **state)
{
	struct ln_rule rule = {.text = (char *)"api.example.com", .line = 3};
	struct ln_claim claim = {.layer = LN_LAYER_TLS, .depth = 1, .has_name = true, .ech = true};
	struct ln_target target = {.rule = &rule, .depth = 1, .remote.port = 443};
	json_t *r;

	snprintf(claim.name, sizeof(claim.name), "www.evil.example");
	snprintf(claim.alpn, sizeof(claim.alpn), "h2\033");
	snprintf(target.name, sizeof(target.name), "api.example.com");
	flow.listener = (struct ln_party){.pid = 812, .comm = "squid"};
	finding.kind = LN_FINDING_CLAIM;
	finding.title = LN_TITLE_MISMATCH;
	finding.subject = "in words";
	finding.claim = &claim;
	finding.target = &target;
	r = logged();
	assert_text(r, "type", "claim");
	assert_text(r, "title", "NAME MISMATCH");
	assert_text(r, "remote.ip", "104.28.14.6");
	assert_text(r, "layer", "tls");
	assert_number(r, "depth", 1);
	assert_true(json_is_true(field(r, "has_name")));
	assert_text(r, "claimed.name", "www.evil.example");
	assert_null_field(r, "claimed.ip");
	assert_number(r, "claimed.port", 0);
	assert_text(r, "alpn", "h2\033");
	assert_true(json_is_true(field(r, "ech")));
	assert_null_field(r, "detail");
	assert_text(r, "target.name", "api.example.com");
	assert_null_field(r, "target.ip");
	assert_number(r, "target.port", 443);
	assert_number(r, "target.relays", 1);
	assert_number(r, "target.rule.line", 3);
	assert_text(r, "target.rule.name", "api.example.com");
	assert_number(r, "listener.pid", 812);
	assert_text(r, "subject", "in words");
	assert_true(json_is_false(field(r, "notice")));
	json_decref(r);
	claim = (struct ln_claim){.layer = LN_LAYER_SOCKS5, .port = 22};
	snprintf(claim.detail, sizeof(claim.detail), "CONNECT");
	assert_true(ln_addr_parse("192.0.2.7", &claim.addr));
	target = (struct ln_target){.remote = {.addr = claim.addr, .port = 22}, .depth = 1};
	finding.title = NULL;
	finding.notice = true;
	r = logged();
	assert_null_field(r, "claimed.name");
	assert_text(r, "claimed.ip", "192.0.2.7");
	assert_text(r, "detail", "CONNECT");
	assert_text(r, "target.ip", "192.0.2.7");
	assert_null_field(r, "target.rule");
	assert_true(json_is_true(field(r, "notice")));
	json_decref(r);
}

static void test_allowed_flow_record(void **state)
{
	struct ln_rule rule = {
	    .kind = LN_RULE_DYNAMIC, .id = 2, .line = 12, .text = (char *)"*.example.com"};
	json_t *r;

	finding.verdict = LN_VERDICT_DYNAMIC;
	finding.action = LN_ACTION_NONE;
	finding.alert = false;
	finding.rule = &rule;
	finding.rule_name = "x.example.com";
	finding.repeat_of = 3;
	finding.proc = NULL;
	flow.local = (struct ln_endpoint){0};
	r = logged();
	assert_text(r, "verdict", "dynamic");
	assert_number(r, "rule.id", 2);
	assert_number(r, "rule.line", 12);
	assert_text(r, "rule.destination", "*.example.com");
	assert_text(r, "rule.kind", "dynamic");
	assert_text(r, "rule.name", "x.example.com");
	assert_true(json_is_false(field(r, "alert")));
	assert_null_field(r, "action");
	assert_null_field(r, "exe");
	assert_null_field(r, "args");
	assert_null_field(r, "local");
	assert_null_field(r, "hint");
	assert_number(r, "repetition", 3);
	assert_null(json_object_get(r, "parents"));
	json_decref(r);
}

static void test_close_record(void **state)
{
	struct ln_flow_end end = {.open_ns = finding.time_ns - 1500042000,
				  .tx_bytes = UINT32_MAX + 1ULL,
				  .rx_bytes = 2,
				  .tx_packets = 3,
				  .rx_packets = 4,
				  .outcome = LN_OUTCOME_CONNECTED};
	json_t *r;

	finding.kind = LN_FINDING_FLOW_CLOSE;
	finding.end = &end;
	r = logged();
	assert_text(r, "type", "flow-close");
	assert_true(json_real_value(field(r, "duration_ms")) > 1500.0415);
	assert_true(json_real_value(field(r, "duration_ms")) < 1500.0425);
	assert_number(r, "tx_bytes", UINT32_MAX + 1LL);
	assert_number(r, "rx_bytes", 2);
	assert_number(r, "tx_packets", 3);
	assert_number(r, "rx_packets", 4);
	assert_text(r, "outcome", "connected");
	assert_true(json_is_false(field(r, "evicted")));
	json_decref(r);

	flow.uncounted = true;
	end.open_ns = finding.time_ns + 1;
	r = logged();
	assert_null_field(r, "tx_bytes");
	assert_null_field(r, "rx_bytes");
	assert_null_field(r, "tx_packets");
	assert_null_field(r, "rx_packets");
	assert_true(json_real_value(field(r, "duration_ms")) == 0);
	json_decref(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_flow_record, setup),
	    cmocka_unit_test_setup(test_who_and_where, setup),
	    cmocka_unit_test_setup(test_wire_record, setup),
	    cmocka_unit_test_setup(test_claim_record, setup),
	    cmocka_unit_test_setup(test_allowed_flow_record, setup),
	    cmocka_unit_test_setup(test_close_record, setup),
	};

	return cmocka_run_group_tests_name("record_flows", tests, NULL, NULL);
}
