/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include "record_fixture.h"

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
	    cmocka_unit_test_setup(test_channel_record, setup),
	    cmocka_unit_test_setup(test_tamper_record, setup),
	    cmocka_unit_test_setup(test_dns_records, setup),
	    cmocka_unit_test_setup(test_process_records, setup),
	    cmocka_unit_test_setup(test_other_records, setup),
	    cmocka_unit_test_setup(test_hostile_bytes_stay_inside_their_strings, setup),
	    cmocka_unit_test_setup(test_secrets_in_the_log, setup),
	    cmocka_unit_test_setup(test_header_and_summary_records, setup),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
