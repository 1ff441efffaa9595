/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of what is no plain connection. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/socket.h>
#include "output/alert.h"
#include "output_fixture.h"

#define HEAD(title)                                                                                \
	"[!] " title "\n"                                                                          \
	"Timestamp: 2023-10-26T14:32:07Z\n"                                                        \
	"PID: 7843\n"                                                                              \
	"Command: /usr/bin/python /opt/agent/main.py\n"
#define LOGGED "Action: LOGGED (Block policy not enabled)\n"
#define TAIL                                                                                       \
	"Agent: travel_agent_v1\n"                                                                 \
	"Process tree: 1234 bash > 7843 python /opt/agent/main.py\n"                               \
	"\n"

static struct ln_channel channel;
static struct ln_alert alert;
static struct ln_rule rule = {.text = (char *)"api.example.com", .line = 3, .n_ports = 1};
static struct ln_port_range port = {443, 443};

static const char *text(void)
{
	ln_buf_reset(&alert.text);
	ln_alert_add(&alert, &finding);
	return ln_buf_text(&alert.text);
}

static int begin(void **state)
{
	setup(state);
	alert = (struct ln_alert){0};
	channel = (struct ln_channel){.kind = LN_CHANNEL_RAW_SOCKET};
	rule.ports = &port;
	rule.proto = IPPROTO_TCP;
	return 0;
}

static int end(void **state)
{
	ln_alert_done(&alert);
	return 0;
}

static void be_channel(const char *title, const char *subject)
{
	finding.kind = LN_FINDING_CHANNEL;
	finding.title = title;
	finding.subject = subject;
	finding.channel = &channel;
	finding.flow = NULL;
}

static void test_actions(void **state)
{
	static const struct {
		enum ln_action action;
		enum ln_mode mode;
		bool dry_run;
		const char *why, *line;
	} rows[] = {
	    {LN_ACTION_LOGGED, LN_MODE_MONITOR, false, NULL, "LOGGED (Block policy not enabled)"},
	    {LN_ACTION_LOGGED, LN_MODE_BLOCK, false, "DNS questions are not refused",
	     "LOGGED (DNS questions are not refused)"},
	    {LN_ACTION_BLOCKED, LN_MODE_BLOCK, false, NULL, "BLOCKED"},
	    {LN_ACTION_KILLED, LN_MODE_KILL, false, NULL, "KILLED"},
	    {LN_ACTION_FROZEN, LN_MODE_FREEZE, false, NULL,
	     "FROZEN (to go on: linnet resume 77; to end it: linnet kill 77)"},
	    {LN_ACTION_WOULD_BLOCK, LN_MODE_BLOCK, true, NULL,
	     "LOGGED (Dry run: would be BLOCKED)"},
	    {LN_ACTION_WOULD_KILL, LN_MODE_KILL, true, NULL, "LOGGED (Dry run: would be KILLED)"},
	    {LN_ACTION_WOULD_FREEZE, LN_MODE_FREEZE, true, NULL,
	     "LOGGED (Dry run: would be FROZEN)"},
	    {LN_ACTION_LET_THROUGH, LN_MODE_BLOCK, false, "it was open",
	     "LOGGED (Could not be refused: it was open)"},
	    {LN_ACTION_LET_THROUGH, LN_MODE_BLOCK, true, "it was open",
	     "LOGGED (Dry run: could not be refused: it was open)"},
	    {LN_ACTION_LET_THROUGH, LN_MODE_KILL, false, "no answer",
	     "LOGGED (Could not be killed: no answer)"},
	    {LN_ACTION_LET_THROUGH, LN_MODE_FREEZE, false, "no answer",
	     "LOGGED (Could not be frozen: no answer)"},
	};
	char line[128];

	finding.handle = 77;
	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		finding.action = rows[i].action;
		finding.mode = rows[i].mode;
		finding.dry_run = rows[i].dry_run;
		finding.action_why = rows[i].why;
		snprintf(line, sizeof(line), "\nAction: %s\nRule Matched: ", rows[i].line);
		assert_has(text(), line);
	}
	finding.kind = LN_FINDING_REPEATS;
	finding.count = 3;
	finding.action = LN_ACTION_BLOCKED;
	finding.mode = LN_MODE_BLOCK;
	assert_has(text(), "agent travel_agent_v1, action BLOCKED\n\n");
	finding.mode = LN_MODE_MONITOR;
	assert_has(text(), "agent travel_agent_v1\n\n");
}

static void test_channel(void **state)
{
	be_channel("RAW SOCKET", "raw IPv4 socket, protocol ICMP");
	finding.reason = "Why not.";
	assert_string_equal(
	    text(), HEAD("RAW SOCKET") "Destination: raw IPv4 socket, protocol ICMP\n" LOGGED
				       "Rule Matched: NONE - Why not.\n" TAIL);
	channel.refused = true;
	finding.action = LN_ACTION_BLOCKED;
	channel.existing = true;
	assert_has(text(), "\nAction: BLOCKED\n");
	assert_has(text(), "\nSince: before the watch began\n");
}

static void test_subjects_are_escaped(void **state)
{
	be_channel("PROXYING DAEMON", "/tmp/\033[2J\n[!] FAKE\xff (PID 5 a\rb)");
	assert_has(text(), "\nDestination: /tmp/\\x1b[2J\\n[!] FAKE\\xff (PID 5 a\\rb)\nAction");
	finding.kind = LN_FINDING_REPEATS;
	finding.count = 2;
	assert_string_equal(text(), "[!] REPEATED 2 times: PROXYING DAEMON, "
				    "/tmp/\\x1b[2J\\n[!] FAKE\\xff (PID 5 a\\rb), last by PID "
				    "7843, agent travel_agent_v1\n\n");
}

static void test_listener_and_place(void **state)
{
	finding.title = LN_TITLE_OUTBOUND;
	finding.place = "loopback";
	flow.listener = (struct ln_party){812, "post\033gres x"};
	assert_has(text(), "[!] UNEXPECTED OUTBOUND CONNECTION\n");
	assert_has(text(), "\nProtocol: TCP\nListener: PID 812 'post\\x1bgres x'\nPlace: "
			   "loopback\nAgent: ");
	finding.dns_way = LN_DNS_WAY_DOT;
	assert_has(text(),
		   "\nPlace: loopback\nDNS: over TLS (DoT): the names that are asked for are "
		   "not seen\nAgent: ");
	flow.listener.pid = 0;
	assert_has(text(), "\nListener: an unknown process 'post\\x1bgres x'\n");
	flow.listener.comm[0] = '\0';
	assert_lacks(text(), "Listener");
}

static void test_what_was_confirmed(void **state)
{
	finding.title = LN_TITLE_OUTBOUND;
	assert_lacks(text(), "Confirmed");
	finding.held_ns = 11 * LN_NS_PER_MS + 1;
	finding.held = "by linnet's own look-up of a.example";
	assert_has(text(), "\nProtocol: TCP\nConfirmed: after 12 ms, by linnet's own look-up of "
			   "a.example\nAgent: ");
}

static void test_sockets_that_change_hands(void **state)
{
	finding.title = "SOCKET RECEIVED";
	finding.verdict = LN_VERDICT_EXPECTED;
	finding.rule = &rule;
	finding.reason = "Socket was made outside the agent.";
	flow.received = true;
	flow.other = (struct ln_party){812, "ssh"};
	assert_string_equal(
	    text(),
	    HEAD("SOCKET RECEIVED") "Destination: 104.28.14.6:443 (resolved: unknown)\n" LOGGED
				    "Rule Matched: api.example.com 443/TCP (policy line 3) - "
				    "Socket was "
				    "made outside the agent.\n"
				    "Protocol: TCP\n"
				    "Socket: made by PID 812 ssh, outside the agent\n" TAIL);
	flow.received = false;
	flow.passed = true;
	flow.other.pid = 0;
	flow.other.comm[0] = '\0';
	assert_has(text(), "\nSocket: made by the agent, used by an unknown process, outside the "
			   "agent\n");
}

static void test_inbound(void **state)
{
	finding.title = "INBOUND CHANNEL";
	flow.inbound = true;
	assert_has(text(), "[!] INBOUND CHANNEL\n");
	assert_has(text(), "\nProtocol: TCP\nLocal: 10.0.0.7:40000\nAgent: ");
	finding.kind = LN_FINDING_REPEATS;
	finding.count = 3;
	assert_has(text(), "[!] REPEATED 3 times: INBOUND CHANNEL, 104.28.14.6:443/TCP, last by ");
}

static void test_wire(void **state)
{
	struct ln_name_evidence real = named("real.example", LN_NAME_ANSWER);
	struct ln_name_evidence said = named("said.example", LN_NAME_UNTRUSTED);
	struct ln_endpoint wire;

	assert_true(ln_endpoint_parse("[2001:db8::9]:53", 0, &wire));
	finding.kind = LN_FINDING_WIRE;
	finding.title = "DESTINATION CHANGED";
	finding.subject = "for repeats";
	finding.wire = &wire;
	finding.wire_why = LN_WIRE_ROUTED;
	finding.names = &real;
	finding.n_names = 1;
	finding.named = &said;
	finding.n_named = 1;
	assert_has(text(), "[!] DESTINATION CHANGED\n");
	assert_has(text(), "\nDestination: [2001:db8::9]:53 (resolved: real.example)\n");
	assert_has(text(), "\nNamed: 104.28.14.6:443 (resolved: said.example (claimed))\nWay: "
			   "source route or segment routing header\n");
	finding.wire_why = LN_WIRE_CHANGED;
	assert_has(text(), "\nWay: rewritten after the application named it\n");
	finding.wire_why = LN_WIRE_SUBFLOW;
	assert_has(text(), "\nWay: MPTCP subflow\n");
}

static struct ln_claim claim;
static struct ln_target target;

static void be_claim(enum ln_layer layer, const char *name, const char *permitted)
{
	finding.kind = LN_FINDING_CLAIM;
	finding.claim = &claim;
	finding.target = &target;
	claim = (struct ln_claim){.layer = layer, .has_name = true};
	snprintf(claim.name, sizeof(claim.name), "%s", name);
	target = (struct ln_target){.proto = IPPROTO_TCP, .remote = flow.remote};
	snprintf(target.name, sizeof(target.name), "%s", permitted);
	if (permitted[0] != '\0')
		target.rule = &rule;
}

static void test_name_mismatch(void **state)
{
	struct ln_name_evidence name = named("api.example.com", LN_NAME_ANSWER);

	be_claim(LN_LAYER_TLS, "www.evil.example", "api.example.com");
	finding.title = LN_TITLE_MISMATCH;
	finding.subject = "www.evil.example at 104.28.14.6:443";
	finding.names = &name;
	finding.n_names = 1;
	assert_has(text(), "[!] NAME MISMATCH\nTimestamp: ");
	assert_has(text(), "\nDestination: 104.28.14.6:443 (resolved: api.example.com)\nAction: ");
	assert_has(text(), "\nRule Matched: NONE - Connection not in allow-list.\n"
			   "Claimed: www.evil.example (TLS SNI)\n"
			   "Permitted as: api.example.com (policy line 3)\nProtocol: TCP\n");
	claim.name[0] = '\0';
	claim.ech = true;
	assert_has(text(), "\nClaimed: unreadable (TLS SNI, outer name (ECH))\n");
	/* Inside of a tunnel. */
	be_claim(LN_LAYER_HTTP, "www.evil.example", "api.example.com");
	claim.depth = target.depth = 1;
	target.remote = (struct ln_endpoint){.port = 80};
	flow.listener = (struct ln_party){.pid = 812, .comm = "sq\033uid"};
	assert_has(text(), "\nDestination: api.example.com:80 (resolved: by the relay)\n");
	assert_has(text(), "\nClaimed: www.evil.example (HTTP Host)\nPermitted as: "
			   "api.example.com (policy line 3)\nVia: 104.28.14.6:443, PID 812 "
			   "sq\\x1buid\nProtocol: TCP\n");
	finding.kind = LN_FINDING_REPEATS;
	finding.flow = NULL;
	finding.count = 2;
	assert_has(text(), "[!] REPEATED 2 times: NAME MISMATCH, www.evil.example at "
			   "104.28.14.6:443, last by ");
}

static void test_destination_behind_a_relay(void **state)
{
	struct ln_name_evidence name = named("www.evil.example", LN_NAME_ANSWER);

	be_claim(LN_LAYER_HTTP_PROXY, "www.evil.example", "");
	snprintf(target.name, sizeof(target.name), "www.evil.example");
	snprintf(claim.detail, sizeof(claim.detail), "CONNECT");
	target.depth = 1;
	target.remote = (struct ln_endpoint){.port = 443};
	finding.title = LN_TITLE_RELAY;
	finding.subject = "for repeats";
	assert_has(text(), "[!] UNEXPECTED DESTINATION BEHIND RELAY\n");
	assert_has(text(), "\nDestination: www.evil.example:443 (resolved: by the relay)\n");
	assert_has(text(), "\nVia: 104.28.14.6:443, HTTP proxy request: CONNECT\nProtocol: TCP\n");
	target.name[0] = '\0';
	assert_has(text(), "\nDestination: unreadable:443 (resolved: by the relay)\n");
	assert_true(ln_endpoint_parse("192.0.2.7:22", 0, &target.remote));
	claim.layer = LN_LAYER_SOCKS5;
	finding.names = &name;
	finding.n_names = 1;
	assert_has(text(), "\nDestination: 192.0.2.7:22 (resolved: www.evil.example)\n");
	assert_has(text(), "\nVia: 104.28.14.6:443, SOCKS5: CONNECT\n");
}

static void test_notice(void **state)
{
	finding.subject = "it\nspeaks";
	ln_buf_reset(&alert.text);
	ln_alert_notice(&alert, &finding);
	assert_string_equal(ln_buf_text(&alert.text), "linnet: it\\nspeaks\n");
}

static void test_evidence_is_told(void **state)
{
	struct ln_name_evidence names[6] = {
	    named("api.example", LN_NAME_ANSWER),  named("old.example", LN_NAME_OWN_LOOKUP),
	    named("x.example", LN_NAME_UNTRUSTED), named("host.example", LN_NAME_HOSTS),
	    named("n5.example", LN_NAME_ANSWER),   named("n6.example", LN_NAME_ANSWER),
	};

	names[0].pid = 812;
	names[0].ttl_s = 60;
	names[0].seen_ns = finding.time_ns - 3 * LN_NS_PER_S;
	names[0].chain = "edge.example n7.example";
	names[1].over = true;
	names[1].grants = false;
	names[1].ttl_s = 5;
	names[2].seen_ns = finding.time_ns + 1; /* of another CPU */
	names[3].expires_ns = UINT64_MAX;
	finding.names = names;
	finding.n_names = 4;
	assert_has(text(), "\nProtocol: TCP\n"
			   "Evidence: api.example: answer of a trusted resolver, asked by PID 812, "
			   "TTL 60 s, 3 s ago, by edge.example > n7.example; trusted\n"
			   "Evidence: old.example: look-up by linnet, TTL 5 s, 5 s ago; expired\n"
			   "Evidence: x.example: answer that no trusted resolver was asked for, "
			   "TTL 0 s, 0 s ago; only a name\n"
			   "Evidence: host.example: hosts file; trusted\n"
			   "Agent: ");
	names[2].source = LN_NAME_SNI;
	names[2].over = true; /* it never held */
	assert_has(text(),
		   "\nEvidence: x.example: server name that the agent sent by TLS, 0 s ago; "
		   "only a name\n");
	names[0].stale = true;
	finding.n_names = 6;
	assert_has(text(), "; trusted, past its TTL\n");
	assert_has(text(), "only a name\nEvidence: 3 more in the log\nAgent: ");
	assert_lacks(text(), "hosts file");
}

static void test_where_the_process_is(void **state)
{
	static const char path[] =
	    "/a.slice/docker-"
	    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope";
	static const char unit[] = "/x\n\033.service";
	struct ln_cgroup_info in = {.path = path, .path_len = sizeof(path) - 1};

	ln_container_parse(path, sizeof(path) - 1, &in.in);
	finding.cgroup = &in;
	agent.ns_pid = 7;
	agent.why = "the agent took it over";
	assert_has(text(), "\nAgent: travel_agent_v1\nContainer: 0123456789ab (docker)\nPID in "
			   "container: 7\nWatched since: the agent took it over\nProcess tree: ");
	in.in.runtime = NULL;
	agent.ns_pid = agent.pid;
	assert_has(text(), "\nContainer: 0123456789ab\nWatched");
	assert_lacks(text(), "PID in container");
	ln_container_parse(unit, sizeof(unit) - 1, &in.in);
	assert_has(text(), "\nUnit: x\\n\\x1b.service\n");
	in.in = (struct ln_container){0};
	assert_lacks(text(), "Unit");
}

static void test_a_unix_rule_has_no_port(void **state)
{
	be_channel("SOCKET RECEIVED", "x");
	rule.kind = LN_RULE_UNIX;
	finding.rule = &rule;
	finding.verdict = LN_VERDICT_EXPECTED;
	assert_has(text(), "\nRule Matched: api.example.com (policy line 3) - " REASON "\n");
	rule.kind = LN_RULE_EXPECTED;
}

static void test_tamper(void **state)
{
	struct ln_party by = {31, "evil\033"};

	finding.kind = LN_FINDING_TAMPER;
	finding.title = "LINNET TAMPERED WITH";
	finding.verdict = LN_VERDICT_NONE;
	finding.reason = "a probe was detached";
	finding.flow = NULL;
	finding.proc = NULL;
	finding.other = &by;
	finding.pid = 0;
	assert_string_equal(text(), "[!] LINNET TAMPERED WITH\n"
				    "Timestamp: 2023-10-26T14:32:07Z\n"
				    "PID: 31\n"
				    "Command: evil\\x1b\n"
				    "Destination: linnet itself\n" LOGGED
				    "Rule Matched: NONE - a probe was detached\n"
				    "Agent: travel_agent_v1\n\n");
	finding.other = NULL;
	assert_has(text(), "\nPID: unknown\nCommand: unknown\n");
	finding.proc = &agent;
	assert_has(text(), "\nCommand: /usr/bin/python /opt/agent/main.py\n");
}

static void test_forged_answer(void **state)
{
	struct ln_addr answers[5];

	for (size_t i = 0; i < LN_ARRAY_SIZE(answers); i++)
		assert_true(ln_addr_parse("192.0.2.1", &answers[i]));
	finding.kind = LN_FINDING_DNS_ANSWER;
	finding.title = LN_TITLE_FORGED;
	finding.forgery = LN_FORGERY_ID;
	finding.query = "api.example.com";
	finding.qtype = 1;
	finding.answers = answers;
	finding.n_answers = 1;
	finding.reason = "Why not.";
	flow.proto = IPPROTO_UDP;
	assert_string_equal(text(),
			    HEAD("FORGED DNS ANSWER") "Destination: 104.28.14.6:443 (answer: "
						      "api.example.com A = 192.0.2.1)\n" LOGGED
						      "Rule Matched: NONE - Why not.\n"
						      "Protocol: UDP\n" TAIL);
	finding.n_answers = LN_ARRAY_SIZE(answers);
	assert_has(text(), " A = 192.0.2.1, 192.0.2.1, 192.0.2.1, 192.0.2.1, ...)\n");
	finding.kind = LN_FINDING_REPEATS;
	finding.count = 2;
	assert_string_equal(text(), "[!] REPEATED 2 times: FORGED DNS ANSWER, "
				    "104.28.14.6:443/UDP (query: api.example.com A), last by PID "
				    "7843, agent travel_agent_v1\n\n");
}

static void test_names_by_domain(void **state)
{
	static const uint16_t types[] = {1, 16, 65399};
	struct ln_name_group group = {.domain = "evil.example",
				      .names = 37,
				      .label_bytes = 2143,
				      .types = types,
				      .n_types = LN_ARRAY_SIZE(types)};

	finding.kind = LN_FINDING_DNS_QUERY;
	finding.title = LN_TITLE_NAME;
	finding.query = "a.evil.example";
	finding.qtype = 1;
	finding.group = &group;
	assert_has(text(),
		   "\nProtocol: TCP\nDNS: 37 names under evil.example, 2143 bytes of labels "
		   "(A, TXT, TYPE65399)\nAgent: ");
	group = (struct ln_name_group){
	    .domain = "a\033b", .names = 1, .more = true, .label_bytes = 1, .answer_bytes = 16};
	assert_has(text(), "\nDNS: at least 1 name under a\\x1bb, 1 byte of labels, 16 bytes of "
			   "answers\n");
	finding.kind = LN_FINDING_REPEATS;
	finding.count = 2;
	assert_has(text(), " (query: a.evil.example A), at least 1 name under a\\x1bb, 1 byte of "
			   "labels, 16 bytes of answers, last by PID 7843");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_actions, begin, end),
	    cmocka_unit_test_setup_teardown(test_channel, begin, end),
	    cmocka_unit_test_setup_teardown(test_subjects_are_escaped, begin, end),
	    cmocka_unit_test_setup_teardown(test_listener_and_place, begin, end),
	    cmocka_unit_test_setup_teardown(test_what_was_confirmed, begin, end),
	    cmocka_unit_test_setup_teardown(test_sockets_that_change_hands, begin, end),
	    cmocka_unit_test_setup_teardown(test_inbound, begin, end),
	    cmocka_unit_test_setup_teardown(test_wire, begin, end),
	    cmocka_unit_test_setup_teardown(test_name_mismatch, begin, end),
	    cmocka_unit_test_setup_teardown(test_destination_behind_a_relay, begin, end),
	    cmocka_unit_test_setup_teardown(test_notice, begin, end),
	    cmocka_unit_test_setup_teardown(test_evidence_is_told, begin, end),
	    cmocka_unit_test_setup_teardown(test_where_the_process_is, begin, end),
	    cmocka_unit_test_setup_teardown(test_a_unix_rule_has_no_port, begin, end),
	    cmocka_unit_test_setup_teardown(test_tamper, begin, end),
	    cmocka_unit_test_setup_teardown(test_forged_answer, begin, end),
	    cmocka_unit_test_setup_teardown(test_names_by_domain, begin, end),
	};

	return cmocka_run_group_tests_name("alert", tests, NULL, NULL);
}
