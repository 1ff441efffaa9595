/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "output/describe.h"
#include "output_fixture.h"

static const char *console_text(struct ln_console_config config)
{
	capture_console(config);
	cap.sink->ops->finding(cap.sink, &finding);
	next_write();
	assert_string_equal(cap.text[0] ? strrchr(cap.text, '\n') - 1 : "\n\n", "\n\n");
	ln_sink_free(&cap.sink);
	close(cap.fd);
	ln_closep(&cap.sink_fd);
	return cap.text;
}

static const char *console(void)
{
	return console_text((struct ln_console_config){0});
}

static void test_alert_is_the_contract_s(void **state)
{
	struct ln_name_evidence name = named("sketchy-mirror.example.com", LN_NAME_ANSWER);

	finding.names = &name;
	finding.n_names = 1;
	finding.hint = "add it";
	assert_string_equal(console(),
			    "[!] UNEXPECTED OUTBOUND CONNECTION\n"
			    "Timestamp: 2023-10-26T14:32:07Z\n"
			    "PID: 7843\n"
			    "Command: /usr/bin/python /opt/agent/main.py\n"
			    "Destination: 104.28.14.6:443 (resolved: sketchy-mirror.example.com)\n"
			    "Action: LOGGED (Block policy not enabled)\n"
			    "Rule Matched: NONE - Connection not in allow-list.\n"
			    "Protocol: TCP\n"
			    "Evidence: sketchy-mirror.example.com: answer of a trusted "
			    "resolver, TTL 0 s, 5 s ago; trusted\n"
			    "Agent: travel_agent_v1\n"
			    "Process tree: 1234 bash > 7843 python /opt/agent/main.py\n"
			    "Hint: add it\n"
			    "\n");
}

static void test_destination(void **state)
{
	struct ln_name_evidence names[] = {
	    named("a.example.com", LN_NAME_ANSWER),     named("b.example.com", LN_NAME_HOSTS),
	    named("a.example.com", LN_NAME_OWN_LOOKUP), named("evil.example", LN_NAME_UNTRUSTED),
	    named("old.example", LN_NAME_ANSWER),       named("b.example.com", LN_NAME_UNTRUSTED),
	};

	assert_has(console(), "\nDestination: 104.28.14.6:443 (resolved: unknown)\n");
	names[4].grants = false;
	names[4].over = true;
	finding.names = names;
	finding.n_names = LN_ARRAY_SIZE(names);
	assert_true(ln_endpoint_parse("[2001:db8::1]:8443", 0, &flow.remote));
	assert_has(console(), "\nDestination: [2001:db8::1]:8443 (resolved: a.example.com, "
			      "b.example.com, evil.example (claimed), old.example (expired))\n");
}

static void test_protocol(void **state)
{
	flow.existing = true;
	assert_has(console(), "\nProtocol: TCP, open before the watch began\n");
	flow.existing = false;
	flow.mptcp = true;
	assert_has(console(), "\nProtocol: TCP (MPTCP)\n");
	flow.mptcp = false;
	flow.proto = 253;
	assert_has(console(), "\nProtocol: 253\n");
}

static void test_a_rule_that_decided_is_named(void **state)
{
	struct ln_rule rule = {.text = (char *)"evil.example", .line = 12};

	finding.rule = &rule;
	assert_has(console(), "\nRule Matched: evil.example ");
	assert_has(cap.text, " (policy line 12)\n");
	rule.kind = LN_RULE_DENY;
	finding.reason = "Connection is denied by the policy.";
	assert_has(console(), " (policy line 12) - Connection is denied by the policy.\n");
}

static void test_command(void **state)
{
	set_args(&agent, ARGS("x\0a b\0\0\033[31m\0c\n[!] fake\0\xff\0it's"));
	assert_has(console(), "\nCommand: /usr/bin/python 'a b' '' \\x1b[31m 'c\\n[!] fake' \\xff "
			      "it\\'s\n");
	set_args(&agent, (char *)"python\0unterminated", 19);
	agent.args_cut = true;
	assert_has(console(), "\nCommand: /usr/bin/python unterminated ...\n");
	agent.args_cut = false;
	agent.exe = NULL;
	assert_has(console(), "\nCommand: python unterminated\n");
	set_args(&agent, NULL, 0);
	assert_has(console(), "\nCommand: unknown\n");
	finding.proc = NULL;
	assert_has(console(), "\nCommand: unknown\n");
	assert_lacks(cap.text, "Process tree");
}

static void test_secrets_are_hidden_unless_asked_for(void **state)
{
	set_args(&agent, ARGS("python\0--password\0hunter2\0TOKEN=abc"));
	assert_has(console(), "\nCommand: /usr/bin/python --password [redacted] "
			      "TOKEN=[redacted]\n");
	assert_lacks(cap.text, "hunter2");
	assert_has(console_text((struct ln_console_config){.show_args = true}),
		   "\nCommand: /usr/bin/python --password hunter2 TOKEN=abc\n");
}

static void test_tree(void **state)
{
	struct ln_proc chain[10];
	struct ln_buf out = {0};
	struct ln_redact redact = {0};
	static char longest[300];

	/* Arguments cannot pass for another process of the chain. */
	set_args(&agent, ARGS("python\0>\0001\0init"));
	assert_has(console(), "Process tree: 1234 bash > 7843 python '>' 1 init\n");
	set_args(&agent, ARGS("python\0> 1 init\0--token=abc"));
	assert_has(console(), "Process tree: 1234 bash > 7843 python '> 1 init' "
			      "--token=[redacted]\n");

	/* A flag at the end of one command line has no value in the next. */
	set_args(&shell, ARGS("bash\0--password"));
	set_args(&agent, ARGS("python\0x\0--password"));
	capture_console((struct ln_console_config){0});
	cap.sink->ops->finding(cap.sink, &finding);
	next_write();
	set_args(&agent, ARGS("python\0x\0y"));
	cap.sink->ops->finding(cap.sink, &finding);
	assert_has(next_write(), "\nCommand: /usr/bin/python x y\n");
	assert_has(cap.text, "tree: 1234 bash --password > 7843 python x y\n");
	capture_end();

	/* Long arguments are cut, at a whole character. */
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "-c", 3);
	memcpy(longest + 50, "\xc3\xa4", 2); /* the 47th byte of its argument */
	longest[150] = '\0';
	longest[200] = '\0';
	set_args(&agent, longest, sizeof(longest));
	ln_describe_tree(&out, &agent, &redact);
	assert_has(ln_buf_text(&out), "7843 python xxxxx");
	assert_has(ln_buf_text(&out), "xxxx... ");
	assert_has(ln_buf_text(&out), " ...");
	assert_lacks(ln_buf_text(&out), "\\x");
	assert_true(out.len < 300);

	/* Only the last eight of a deep chain. */
	for (size_t i = 0; i < LN_ARRAY_SIZE(chain); i++)
		chain[i] = (struct ln_proc){.pid = (uint32_t)i + 1,
					    .exe = (char *)"/bin/sh",
					    .parent = i > 0 ? &chain[i - 1] : NULL};
	chain[9].exe = NULL;
	ln_buf_reset(&out);
	ln_describe_tree(&out, &chain[9], &redact);
	assert_string_equal(ln_buf_text(&out), "... > 3 sh > 4 sh > 5 sh > 6 sh > 7 sh > 8 sh > "
					       "9 sh > 10 ?");
	ln_buf_done(&out);
	ln_redact_done(&redact);
}

static void test_dns_query(void **state)
{
	finding.kind = LN_FINDING_DNS_QUERY;
	finding.query = "exfil.example";
	finding.qtype = 1;
	finding.reason = "No rule covers this name.";
	flow.proto = IPPROTO_UDP;
	assert_true(ln_endpoint_parse("10.0.0.53:53", 0, &flow.remote));
	assert_string_equal(console(), "[!] UNEXPECTED DNS QUERY\n"
				       "Timestamp: 2023-10-26T14:32:07Z\n"
				       "PID: 7843\n"
				       "Command: /usr/bin/python /opt/agent/main.py\n"
				       "Destination: 10.0.0.53:53 (query: exfil.example A)\n"
				       "Action: LOGGED (Block policy not enabled)\n"
				       "Rule Matched: NONE - No rule covers this name.\n"
				       "Protocol: UDP\n"
				       "Agent: travel_agent_v1\n"
				       "Process tree: 1234 bash > 7843 python /opt/agent/main.py\n"
				       "\n");
	finding.qtype = 65399;
	assert_has(console(), "(query: exfil.example TYPE65399)\n");
	finding.query = "";
	assert_has(console(), "(query: unreadable)\n");
}

static void test_repeats(void **state)
{
	finding.kind = LN_FINDING_REPEATS;
	finding.count = 41;
	assert_string_equal(console(), "[!] REPEATED 41 times: 104.28.14.6:443/TCP, last by PID "
				       "7843, agent travel_agent_v1\n\n");
	finding.count = 1;
	finding.query = "exfil.example";
	finding.qtype = 28;
	assert_string_equal(console(), "[!] REPEATED 1 time: 104.28.14.6:443/TCP (query: "
				       "exfil.example AAAA), last by PID 7843, agent "
				       "travel_agent_v1\n\n");
	finding.flow = NULL;
	finding.query = NULL;
	finding.pid = 0;
	finding.count = 900;
	finding.agent_name = NULL;
	finding.reason = "alerts beyond the bound\033";
	assert_string_equal(console(), "[!] REPEATED 900 times: alerts beyond the bound\\x1b\n\n");
}

static void test_lost(void **state)
{
	finding = (struct ln_finding){.kind = LN_FINDING_LOST,
				      .alert = true,
				      .wall_ns = WALL_NS,
				      .agent_name = "travel_agent_v1",
				      .reason = "ring buffer full",
				      .count = 512};
	assert_string_equal(console(), "[!] EVENTS LOST\n"
				       "Timestamp: 2023-10-26T14:32:07Z\n"
				       "Count: 512\n"
				       "Reason: ring buffer full\n"
				       "Agent: travel_agent_v1\n"
				       "Meaning: linnet did not see all that happened; connections "
				       "may be missing from alerts and from the log.\n"
				       "\n");
}

static void test_console_shows_alerts_only(void **state)
{
	finding.alert = false;
	for (int k = 0; k < LN_FINDING_COUNT; k++) {
		finding.kind = (enum ln_finding_kind)k;
		assert_string_equal(console(), "");
	}
}

static void test_colour_is_for_the_headline(void **state)
{
	const char *text = console_text((struct ln_console_config){.color = true});

	assert_has(text, "\033[1;31m[!] UNEXPECTED OUTBOUND CONNECTION\033[0m\nTimestamp");
	assert_null(strchr(strstr(text, "Timestamp"), '\033'));
	assert_null(strchr(console(), '\033'));
}

static void test_console_summary(void **state)
{
	static const char *const unused[] = {"a:1", "b:2", "c:3", "d:4",  "e:5",  "f:6",
					     "g:7", "h:8", "i:9", "j:10", "k:11", "l:12"};
	struct ln_engine_summary sum = {.flows = 12,
					.destinations = 4,
					.violations = 2,
					.tx_bytes = 1023,
					.rx_bytes = 1258291,
					.dns_queries = 5,
					.dns_unexpected = 1};

	capture_console((struct ln_console_config){0});
	cap.sink->ops->summary(
	    cap.sink, &(struct ln_sink_summary){.sum = &sum, .unused_rules = NULL, .n_unused = 0});
	assert_string_equal(next_write(), "linnet: summary\n"
					  "  connections       12 to 4 destinations\n"
					  "  violations        2\n"
					  "  bytes             1023 B out, 1.2 MiB in\n"
					  "  DNS queries       5, 1 unexpected\n"
					  "  losses            none\n"
					  "  rules never used  none\n");
	sum.flows_open = 2;
	cap.sink->ops->summary(
	    cap.sink, &(struct ln_sink_summary){.sum = &sum, .unused_rules = NULL, .n_unused = 0});
	next_write();
	assert_has(cap.text, "12 to 4 destinations, 2 still open\n");
	sum.flows_open = 0;
	sum.destinations_over = true;
	cap.sink->ops->summary(
	    cap.sink, &(struct ln_sink_summary){.sum = &sum, .unused_rules = NULL, .n_unused = 0});
	next_write();
	assert_has(cap.text, "12 to more than 4 destinations\n");
	sum.destinations_over = false;
	sum.repeats = 7;
	sum.destinations = 1;
	sum.tx_bytes = UINT64_MAX;
	sum.rx_bytes = 1048575;
	sum.lost = 3;
	sum.tables_full = 9;
	sum.channels = 7;
	sum.channels_unexpected = 5;
	sum.tampers = 4;
	cap.sink->ops->summary(
	    cap.sink, &(struct ln_sink_summary){
			  .sum = &sum, .unused_rules = unused, .n_unused = LN_ARRAY_SIZE(unused)});
	next_write();
	assert_has(cap.text, "12 to 1 destination\n");
	assert_has(cap.text, " 2 and 7 repeats\n");
	assert_has(cap.text, " 16.0 EiB out, 1.0 MiB in\n");
	assert_has(cap.text, " 3 events lost, 9 table entries refused\n");
	assert_has(cap.text, "\n  other channels    7, 5 unexpected\n");
	assert_has(cap.text, "\n  tampering         4 times\n");
	assert_has(cap.text, "never used  a:1, b:2, c:3, d:4, e:5, f:6, g:7, h:8, i:9, j:10 and "
			     "2 more\n");
	capture_end();

	capture_console((struct ln_console_config){.quiet = true});
	cap.sink->ops->summary(
	    cap.sink, &(struct ln_sink_summary){.sum = &sum, .unused_rules = NULL, .n_unused = 0});
	capture_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_alert_is_the_contract_s, setup),
	    cmocka_unit_test_setup(test_destination, setup),
	    cmocka_unit_test_setup(test_protocol, setup),
	    cmocka_unit_test_setup(test_a_rule_that_decided_is_named, setup),
	    cmocka_unit_test_setup(test_command, setup),
	    cmocka_unit_test_setup(test_secrets_are_hidden_unless_asked_for, setup),
	    cmocka_unit_test_setup(test_tree, setup),
	    cmocka_unit_test_setup(test_dns_query, setup),
	    cmocka_unit_test_setup(test_repeats, setup),
	    cmocka_unit_test_setup(test_lost, setup),
	    cmocka_unit_test_setup(test_console_shows_alerts_only, setup),
	    cmocka_unit_test_setup(test_colour_is_for_the_headline, setup),
	    cmocka_unit_test_setup(test_console_summary, setup),
	};

	return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
