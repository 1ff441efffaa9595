/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include "json_fixture.h"
#include "output_fixture.h"

static json_t *logged(void)
{
	json_t *record;

	capture_jsonl(false);
	cap.sink->ops->finding(cap.sink, &finding);
	record = parse_line(next_write());
	assert_int_equal(cap.sink->written, 1);
	capture_end();
	return record;
}

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

static void test_channel_record(void **state)
{
	struct ln_channel c = {.kind = LN_CHANNEL_UNIX_SOCKET,
			       .how = LN_HOW_SOCKET,
			       .family = 1,
			       .type = 5,
			       .syscall = "connect",
			       .path = "a\0b\xff",
			       .path_len = 4,
			       .abstract = true,
			       .refused = true,
			       .other = {.pid = 4, .comm = "x"}};
	json_t *r;

	finding.kind = LN_FINDING_CHANNEL;
	finding.channel = &c;
	finding.subject = "@a@b";
	finding.title = "PROXYING DAEMON";
	finding.flow = NULL;
	finding.action = LN_ACTION_BLOCKED;
	capture_jsonl(false);
	cap.sink->ops->finding(cap.sink, &finding);
	assert_has(next_write(), "\"path\":\"a\\u0000b\xef\xbf\xbd\",\"abstract\":true");
	capture_end();
	c.path = NULL;
	r = logged();
	assert_text(r, "type", "channel");
	assert_text(r, "channel", "unix-socket");
	assert_text(r, "subject", "@a@b");
	assert_text(r, "title", "PROXYING DAEMON");
	assert_text(r, "action", "blocked");
	assert_text(r, "how", "socket");
	assert_text(r, "family", "AF_UNIX");
	assert_text(r, "socket_type", "SOCK_SEQPACKET");
	assert_text(r, "syscall", "connect");
	assert_null_field(r, "path");
	assert_number(r, "other.pid", 4);
	assert_true(json_is_true(field(r, "refused")));
	assert_true(json_is_false(field(r, "own_ns")));
	assert_true(json_is_false(field(r, "existing")));
	assert_true(json_is_false(field(r, "same_tree")));
	assert_null(json_object_get(r, "capability"));
	assert_null(json_object_get(r, "remote"));
	json_decref(r);

	c = (struct ln_channel){.kind = LN_CHANNEL_PRIVILEGE, .number = 12};
	finding.flow = &flow;
	r = logged();
	assert_text(r, "capability", "CAP_NET_ADMIN");
	assert_number(r, "number", 12);
	assert_null_field(r, "family");
	assert_text(r, "remote.ip", "104.28.14.6");
	assert_text(r, "local.ip", "10.0.0.7");
	assert_text(r, "proto", "TCP");
	json_decref(r);

	finding.kind = LN_FINDING_REPEATS;
	finding.flow = NULL;
	finding.channel = NULL;
	finding.count = 4;
	r = logged();
	assert_text(r, "title", "PROXYING DAEMON");
	assert_text(r, "subject", "@a@b");
	assert_null(json_object_get(r, "remote"));
	json_decref(r);
}

static void test_tamper_record(void **state)
{
	struct ln_party by = {.comm = "evil"};
	json_t *r;

	finding.kind = LN_FINDING_TAMPER;
	finding.title = "LINNET TAMPERED WITH";
	finding.flow = NULL;
	finding.other = &by;
	r = logged();
	assert_text(r, "type", "tamper");
	assert_text(r, "reason", REASON);
	assert_text(r, "by.comm", "evil");
	assert_number(r, "by.pid", 0);
	json_decref(r);
	finding.other = NULL;
	r = logged();
	assert_null_field(r, "by");
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

static void test_dns_records(void **state)
{
	static const uint16_t types[] = {16, 65399};
	const struct ln_name_group group = {.domain = "a.example",
					    .questions = 3,
					    .names = 2,
					    .label_bytes = 7,
					    .types = types,
					    .n_types = 2};
	struct ln_addr answers[2];
	json_t *r;

	assert_true(ln_addr_parse("192.0.2.1", &answers[0]));
	assert_true(ln_addr_parse("2001:db8::1", &answers[1]));
	finding.kind = LN_FINDING_DNS_QUERY;
	finding.query = "a.example";
	finding.qtype = 28;
	finding.trusted = true;
	r = logged();
	assert_text(r, "type", "dns-query");
	assert_text(r, "query", "a.example");
	assert_text(r, "qtype", "AAAA");
	assert_true(json_is_true(field(r, "trusted")));
	assert_text(r, "remote.ip", "104.28.14.6");
	assert_null(json_object_get(r, "answers"));
	assert_null(json_object_get(r, "group"));
	json_decref(r);
	finding.group = &group;
	r = logged();
	assert_text(r, "group.domain", "a.example");
	assert_number(r, "group.names", 2);
	assert_number(r, "group.label_bytes", 7);
	assert_text(r, "group.types.1", "TYPE65399");
	json_decref(r);
	finding.group = NULL;

	finding.kind = LN_FINDING_DNS_ANSWER;
	finding.query = "";
	finding.qtype = 65399;
	finding.rcode = 3;
	finding.answers = answers;
	finding.n_answers = 2;
	r = logged();
	assert_null_field(r, "query");
	assert_text(r, "qtype", "TYPE65399");
	assert_number(r, "rcode", 3);
	assert_text(r, "answers.0", "192.0.2.1");
	assert_text(r, "answers.1", "2001:db8::1");
	assert_null(json_object_get(r, "forged"));
	json_decref(r);
	finding.forgery = LN_FORGERY_UNASKED;
	r = logged();
	assert_text(r, "forged", "unasked");
	json_decref(r);
}

static void test_process_records(void **state)
{
	json_t *r;

	finding.kind = LN_FINDING_PROCESS;
	finding.verdict = LN_VERDICT_NONE;
	finding.event_kind = LN_EVENT_FORK;
	finding.child = 7900;
	r = logged();
	assert_text(r, "event", "fork");
	assert_number(r, "child", 7900);
	assert_number(r, "parents.0.pid", 1234);
	json_decref(r);

	finding.event_kind = LN_EVENT_EXEC;
	agent.args_cut = true;
	r = logged();
	assert_text(r, "event", "exec");
	assert_true(json_is_true(field(r, "args_cut")));
	assert_null(json_object_get(r, "child"));
	json_decref(r);

	finding.event_kind = LN_EVENT_EXIT;
	finding.exit_status = 3 << 8;
	r = logged();
	assert_number(r, "status", 3);
	assert_null(json_object_get(r, "signal"));
	json_decref(r);
	finding.exit_status = SIGKILL;
	r = logged();
	assert_number(r, "signal", SIGKILL);
	assert_null(json_object_get(r, "status"));
	json_decref(r);
}

static void test_other_records(void **state)
{
	struct ln_name_evidence e = named("a.example", LN_NAME_OWN_LOOKUP);
	json_t *r;

	finding.kind = LN_FINDING_REPEATS;
	finding.count = 41;
	finding.query = "a.example";
	finding.qtype = 1;
	r = logged();
	assert_text(r, "type", ln_finding_kind_text(LN_FINDING_REPEATS));
	assert_number(r, "count", 41);
	assert_number(r, "remote.port", 443);
	assert_text(r, "qtype", "A");
	json_decref(r);
	finding.flow = NULL;
	finding.query = NULL;
	r = logged();
	assert_null(json_object_get(r, "remote"));
	assert_null(json_object_get(r, "query"));
	json_decref(r);

	finding.kind = LN_FINDING_LOST;
	finding.verdict = LN_VERDICT_NONE;
	finding.count = 512;
	finding.reason = "ring buffer full";
	r = logged();
	assert_number(r, "count", 512);
	assert_text(r, "reason", "ring buffer full");
	json_decref(r);

	finding.kind = LN_FINDING_NAME;
	finding.evidence = &e;
	assert_true(ln_addr_parse("192.0.2.1", &finding.addr));
	r = logged();
	assert_text(r, "ip", "192.0.2.1");
	assert_text(r, "evidence.name", "a.example");
	assert_text(r, "evidence.source", "own-lookup");
	json_decref(r);
}

static void test_hostile_bytes_stay_inside_their_strings(void **state)
{
	struct ln_name_evidence name = named("x\",\"pid\":1,\"\n\033\xff", LN_NAME_UNTRUSTED);
	char all[258] = "x";
	json_t *r;

	/* Every byte but NUL, as one argument. */
	for (int i = 1; i < 256; i++)
		all[i + 1] = (char)i;
	set_args(&agent, all, sizeof(all));
	all[1] = '\0';
	all[257] = '\0';
	agent.exe = (char *)"/tmp/\"\\\xe2\x80\xae\xc3\n";
	finding.names = &name;
	finding.n_names = 1;
	finding.agent_name = "a\"\x1b";
	r = logged();
	assert_number(r, "pid", 7843);
	assert_text(r, "exe", "/tmp/\"\\\xe2\x80\xae\xef\xbf\xbd\n");
	assert_text(r, "agent", "a\"\x1b");
	assert_text(r, "names.0.name", "x\",\"pid\":1,\"\n\033\xef\xbf\xbd");
	assert_int_equal(json_array_size(field(r, "args")), 2);
	assert_has(json_string_value(field(r, "args.1")), " !\"#$%&'()*+,-./0123456789:;<=>?@");
	json_decref(r);
}

static void test_secrets_in_the_log(void **state)
{
	json_t *r;

	set_args(&agent, ARGS("curl\0--token\0t0p\0https://u:pw@e.example"));
	r = logged();
	assert_text(r, "args.2", R);
	assert_text(r, "args.3", "https://u:" R "@e.example");
	json_decref(r);

	/* A flag at the end of one command line has no value in the next. */
	set_args(&agent, ARGS("curl\0--token"));
	capture_jsonl(false);
	cap.sink->ops->finding(cap.sink, &finding);
	next_write();
	cap.sink->ops->finding(cap.sink, &finding);
	r = parse_line(next_write());
	assert_text(r, "args.0", "curl");
	json_decref(r);
	capture_end();

	set_args(&agent, ARGS("curl\0--token\0t0p"));
	capture_jsonl(true);
	cap.sink->ops->finding(cap.sink, &finding);
	r = parse_line(next_write());
	assert_text(r, "args.2", "t0p");
	json_decref(r);
	capture_end();
}

static void test_header_and_summary_records(void **state)
{
	static const char *const blind[] = {"UDP byte counts", "\"x\""};
	static const char *const unused[] = {"a.example 443/TCP"};
	struct ln_engine_summary sum = {.flows = 12, .violations = 2, .lost = 3};
	json_t *r;

	sum.by_verdict[LN_VERDICT_UNEXPECTED] = 2;
	capture_jsonl(false);
	cap.sink->ops->header(cap.sink, &(struct ln_sink_header){.version = "0.1.0",
								 .sensor = "bpf",
								 .n_rules = 3,
								 .blind = blind,
								 .n_blind = 2,
								 .root_pid = 99,
								 .wall_ns = WALL_NS});
	next_write();
	assert_int_equal(strncmp(cap.text, "{\"schema\":1,\"type\":\"header\",", 28), 0);
	r = parse_line(cap.text);
	assert_text(r, "time", "2023-10-26T14:32:07.123456Z");
	assert_text(r, "linnet", "0.1.0");
	assert_text(r, "sensor", "bpf");
	assert_null_field(r, "agent");
	assert_null_field(r, "policy");
	assert_number(r, "rules", 3);
	assert_number(r, "pid", 99);
	assert_text(r, "blind.1", "\"x\"");
	json_decref(r);

	cap.sink->ops->summary(cap.sink, &(struct ln_sink_summary){
					     .sum = &sum, .unused_rules = unused, .n_unused = 1});
	r = parse_line(next_write());
	assert_text(r, "type", "summary");
	assert_number(r, "flows", 12);
	assert_number(r, "violations", 2);
	assert_number(r, "lost", 3);
	assert_number(r, "log_dropped", 0);
	assert_number(r, "by_verdict.unexpected", 2);
	assert_number(r, "by_verdict.expected", 0);
	assert_text(r, "unused_rules.0", "a.example 443/TCP");
	assert_number(r, "unused_rules_count", 1);
	json_decref(r);
	capture_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_flow_record, setup),
	    cmocka_unit_test_setup(test_who_and_where, setup),
	    cmocka_unit_test_setup(test_wire_record, setup),
	    cmocka_unit_test_setup(test_claim_record, setup),
	    cmocka_unit_test_setup(test_channel_record, setup),
	    cmocka_unit_test_setup(test_tamper_record, setup),
	    cmocka_unit_test_setup(test_allowed_flow_record, setup),
	    cmocka_unit_test_setup(test_close_record, setup),
	    cmocka_unit_test_setup(test_dns_records, setup),
	    cmocka_unit_test_setup(test_process_records, setup),
	    cmocka_unit_test_setup(test_other_records, setup),
	    cmocka_unit_test_setup(test_hostile_bytes_stay_inside_their_strings, setup),
	    cmocka_unit_test_setup(test_secrets_in_the_log, setup),
	    cmocka_unit_test_setup(test_header_and_summary_records, setup),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
