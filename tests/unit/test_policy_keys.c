/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a policy beside its lists of what is expected: what each means when it is read, and
 * what is said about a wrong value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>

#include "base/buf.h"
#include "policy/parse.h"
#include "policy/policy.h"

#define HEAD                                                                                       \
	"agent_name: a\nexpected_outbound:\n"                                                      \
	"  - {destination: a.example, port: 443, protocol: TCP}\n"

static struct ln_policy *parse(const char *text, bool strict, struct ln_diags *d)
{
	struct ln_policy *p = NULL;
	int err = ln_policy_parse("p", text, strlen(text), strict, d, &p);

	assert_true(err == 0 || err == -EINVAL);
	assert_int_equal(err == 0, p != NULL);
	return p;
}

/* HEAD and `keys`, which must be good without a word. */
static struct ln_policy *good(const char *keys)
{
	struct ln_buf text = {0};
	struct ln_diags d = {0};
	struct ln_policy *p;

	ln_buf_addf(&text, "%s%s", HEAD, keys);
	p = parse(ln_buf_text(&text), false, &d);
	if (!p || d.n > 0)
		fail_msg("%s: %s", keys, d.n > 0 ? d.list[0].text : "");
	ln_diags_done(&d);
	ln_buf_done(&text);
	return p;
}

/* One message, at this place. */
static void bad(const char *keys, uint32_t line, uint32_t column, const char *message)
{
	struct ln_buf text = {0};
	struct ln_diags d = {0};
	struct ln_policy *p;

	ln_buf_addf(&text, "%s%s", HEAD, keys);
	p = parse(ln_buf_text(&text), false, &d);
	if (p || d.n != 1)
		fail_msg("%s: %zu messages, %s", keys, d.n, d.n > 0 ? d.list[0].text : "");
	assert_string_equal(d.list[0].text, message);
	assert_int_equal(d.list[0].line, line);
	assert_int_equal(d.list[0].column, column);
	ln_diags_done(&d);
	ln_buf_done(&text);
}

static void defaults(void **state)
{
	const struct ln_policy_sink *sinks;
	const struct ln_limit *limits;
	struct ln_policy *p = good("");

	assert_int_equal(ln_policy_mode(p), LN_MODE_MONITOR);
	assert_false(ln_policy_fails_closed(p));
	assert_int_equal(ln_policy_loopback(p), LN_LOOPBACK_JUDGE);
	assert_int_equal(ln_policy_limits(p, &limits), 0);
	assert_int_equal(ln_policy_sinks(p, &sinks), 0);
	assert_int_equal(ln_policy_rule(p, 0)->expires_s, 0);
	ln_policy_free(&p);
}

static void words(void **state)
{
	static const struct {
		const char *keys;
		enum ln_mode mode;
		bool closed;
		enum ln_loopback loopback;
	} rows[] = {
	    {"mode: monitor\n", LN_MODE_MONITOR, false, LN_LOOPBACK_JUDGE},
	    {"mode: block\non_failure: open\n", LN_MODE_BLOCK, false, LN_LOOPBACK_JUDGE},
	    {"mode: \"block\"\non_failure: closed\n", LN_MODE_BLOCK, true, LN_LOOPBACK_JUDGE},
	    {"mode: kill\nloopback: allow\n", LN_MODE_KILL, false, LN_LOOPBACK_ALLOW},
	    {"mode: freeze\nloopback: judge\n", LN_MODE_FREEZE, false, LN_LOOPBACK_JUDGE},
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		struct ln_policy *p = good(rows[i].keys);

		assert_int_equal(ln_policy_mode(p), rows[i].mode);
		assert_int_equal(ln_policy_fails_closed(p), rows[i].closed);
		assert_int_equal(ln_policy_loopback(p), rows[i].loopback);
		ln_policy_free(&p);
	}
	assert_string_equal(ln_mode_text(LN_MODE_FREEZE), "freeze");
	assert_string_equal(ln_mode_text(LN_MODE_COUNT), "unknown");
	bad("mode: blocking\n", 4, 7,
	    "mode must be monitor, block, kill or freeze (found \"blocking\")");
	bad("mode: [block]\n", 4, 7, "mode must be monitor, block, kill or freeze (found a list)");
	bad("mode:\n", 4, 6, "mode must be monitor, block, kill or freeze (found nothing)");
	bad("on_failure: close\n", 4, 13, "on_failure must be open or closed (found \"close\")");
	bad("loopback: yes\n", 4, 11, "loopback must be judge or allow (found \"yes\")");
	bad("mode: block\nmode: kill\n", 5, 1,
	    "\"mode\" is given twice, first on line 4; remove one");
	bad("modes: kill\n", 4, 1, "unknown key \"modes\"; did you mean \"mode\"?");
}

static void deny(void **state)
{
	struct ln_policy *p = good("deny:\n"
				   "  - \"*.ru\"\n"
				   "  - 10.0.0.0/8\n"
				   "  - {destination: B.example., port: [80, 443], protocol: tcp, "
				   "purpose: why}\n"
				   "expected_unix: [/run/x]\n");
	const struct ln_rule *r = ln_policy_rule(p, 1);
	char buf[64];

	assert_int_equal(ln_policy_rules(p), 5);
	assert_int_equal(r->kind, LN_RULE_DENY);
	assert_int_equal(r->dest, LN_DEST_SUFFIX);
	assert_string_equal(r->name, "ru");
	assert_string_equal(ln_rule_ports_text(r, buf, sizeof(buf)), "any/any");
	assert_int_equal(ln_policy_rule(p, 2)->dest, LN_DEST_NET);
	r = ln_policy_rule(p, 3);
	assert_string_equal(r->name, "b.example");
	assert_string_equal(r->purpose, "why");
	assert_string_equal(ln_rule_ports_text(r, buf, sizeof(buf)), "80,443/TCP");
	assert_int_equal(r->line, 7);
	assert_int_equal(ln_policy_rule(p, 4)->kind, LN_RULE_UNIX);
	assert_string_equal(ln_rule_list_text(LN_RULE_DENY), "deny");
	ln_policy_free(&p);
	bad("deny: []\n", 4, 1, "deny is empty; list at least one item, or remove the key");
	bad("deny:\n  - {port: 80}\n", 5, 5,
	    "\"destination\" is missing; add destination: a host name, \"*.suffix\", an address "
	    "or a network");
	bad("deny:\n  - [a]\n", 5, 5,
	    "each item must be a destination, or a mapping with destination, port and protocol "
	    "(found a list)");
	bad("deny:\n  - \"*\"\n", 5, 5,
	    "\"*\" covers every name there is; list the names that the agent needs");
}

static void expiry(void **state)
{
	static const struct {
		const char *text;
		uint64_t expires_s;
	} rows[] = {
	    {"2027-01-31", 1801353600},
	    {"\"2027-01-31\"", 1801353600},
	    {"1970-01-02", 86400},
	    {"2000-02-29", 951782400},
	    {"2024-03-01", 1709251200},
	    {"2027-01-31T18:00:00Z", 1801418400},
	    {"2027-01-31t20:00:00.25+02:00", 1801418400},
	    {"\"2027-01-31 12:30:00-05:30\"", 1801418400},
	    {"9999-12-31T23:59:60z", 253402300800},
	};
	static const char *const wrong[] = {
	    "2027-02-29",
	    "2027-1-31",
	    "2027-13-01",
	    "2027-00-01",
	    "2027-01-32",
	    "1900-01-01",
	    "1970-01-01",
	    "never",
	    "2027-01-31T18:00Z",
	    "2027-01-31T18:00:00",
	    "2027-01-31T24:00:00Z",
	    "2027-01-31T18:00:00.Z",
	    "2027-01-31T18:00:00Zz",
	    "\"\"",
	    "2027-01-31T18:00:00+2:00",
	    "10000-01-01",
	};
	struct ln_buf keys = {0};

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		struct ln_policy *p;

		ln_buf_reset(&keys);
		ln_buf_addf(&keys,
			    "  - {destination: b.example, port: 1, protocol: any, expires: %s}\n"
			    "allowed_dynamic_resolution: [{name: c.example, expires: %s}]\n"
			    "expected_unix: [{path: /x, expires: %s}]\n"
			    "expected_inbound: [{port: 1, protocol: TCP, expires: %s}]\n",
			    rows[i].text, rows[i].text, rows[i].text, rows[i].text);
		p = good(ln_buf_text(&keys));
		for (size_t k = 1; k <= 4; k++)
			assert_int_equal(ln_policy_rule(p, k)->expires_s, rows[i].expires_s);
		ln_policy_free(&p);
	}
	for (size_t i = 0; i < LN_ARRAY_SIZE(wrong); i++) {
		struct ln_buf message = {0};
		bool quoted = wrong[i][0] == '"';

		ln_buf_reset(&keys);
		ln_buf_addf(&keys, "expected_unix:\n  - {path: /x, expires: %s}\n", wrong[i]);
		ln_buf_addf(&message,
			    "expires must be a date, or a time with its offset (found %s%s%s); "
			    "write it as \"2027-01-31\" or \"2027-01-31T18:00:00Z\"",
			    quoted ? "" : "\"", wrong[i], quoted ? "" : "\"");
		bad(ln_buf_text(&keys), 5, 25, ln_buf_text(&message));
		ln_buf_done(&message);
	}
	bad("deny: [{destination: b.example, expires: 2027-01-31}]\n", 4, 33,
	    "unknown key \"expires\"; remove it, the keys here are destination, port, protocol, "
	    "purpose");
	ln_buf_done(&keys);
}

static void limits(void **state)
{
	struct ln_policy *p =
	    good("limits:\n"
		 "  - {bytes_out: 10MB, period: 1h}\n"
		 "  - {destination: a.example, bytes_out: \"2GiB\", period: 744h}\n"
		 "  - {destination: \"*.com\", new_destinations: 20, period: 1s}\n"
		 "  - destination: 10.0.0.0/8\n"
		 "    bytes_out: 1B\n"
		 "    new_destinations: 999999999\n"
		 "    period: 10m\n");
	const char *const names[] = {"x.example", "www.shop.com"}, *const com[] = {"com"};
	const struct ln_addr ten = {.family = 4, .bytes = {10, 1, 2, 3}};
	const struct ln_addr other = {.family = 4, .bytes = {192, 0, 2, 1}};
	const struct ln_limit *list;

	assert_int_equal(ln_policy_limits(p, &list), 4);
	assert_null(list[0].text);
	assert_int_equal(list[0].bytes_out, 10000000);
	assert_int_equal(list[0].new_destinations, 0);
	assert_int_equal(list[0].period_ns, 3600 * LN_NS_PER_S);
	assert_int_equal(list[0].line, 5);
	assert_int_equal(list[1].bytes_out, 2ULL << 30);
	assert_int_equal(list[1].period_ns, 744 * 3600 * LN_NS_PER_S);
	assert_string_equal(list[1].name, "a.example");
	assert_int_equal(list[2].dest, LN_DEST_SUFFIX);
	assert_int_equal(list[2].new_destinations, 20);
	assert_int_equal(list[3].bytes_out, 1);
	assert_int_equal(list[3].new_destinations, 999999999);
	assert_string_equal(list[3].text, "10.0.0.0/8");

	assert_true(ln_limit_covers(&list[0], &other, NULL, 0));
	assert_false(ln_limit_covers(&list[1], &other, names, 2));
	assert_true(ln_limit_covers(&list[2], &other, names, 2));
	assert_false(ln_limit_covers(&list[2], &other, com, 1));
	assert_true(ln_limit_covers(&list[3], &ten, NULL, 0));
	assert_false(ln_limit_covers(&list[3], &other, names, 2));
	ln_policy_free(&p);
}

static void wrong_limits(void **state)
{
	bad("limits: [{period: 1h}]\n", 4, 10,
	    "this limits nothing; add bytes_out or new_destinations");
	bad("limits: [{bytes_out: 1MB}]\n", 4, 10,
	    "\"period\" is missing; add period: the time in which it counts, as 1h");
	bad("limits: [10MB]\n", 4, 10,
	    "a limit must be a mapping with bytes_out or new_destinations, and period "
	    "(found \"10MB\")");
	bad("limits: [{bytes_out: 1000, period: 1h}]\n", 4, 22,
	    "bytes_out must be a whole number with its unit behind it, like 500KB, 10MB or 2GiB "
	    "(found \"1000\")");
	bad("limits: [{bytes_out: 0B, period: 1h}]\n", 4, 22,
	    "bytes_out must be a whole number with its unit behind it, like 500KB, 10MB or 2GiB "
	    "(found \"0B\")");
	bad("limits: [{bytes_out: 1.5MB, period: 1h}]\n", 4, 22,
	    "bytes_out must be a whole number with its unit behind it, like 500KB, 10MB or 2GiB "
	    "(found \"1.5MB\")");
	bad("limits: [{new_destinations: 0, period: 1h}]\n", 4, 29,
	    "new_destinations must be a whole number from 1 to 999999999 (found \"0\")");
	bad("limits: [{new_destinations: 1, period: 0s}]\n", 4, 40,
	    "period must be at least 1s (found \"0s\")");
	bad("limits: [{new_destinations: 1, period: 745h}]\n", 4, 40,
	    "period must be at most 744h (found \"745h\")");
	bad("limits:\n- {bytes_out: 1MB, period: 1h}\n- {bytes_out: 2MB, period: 60m}\n", 6, 3,
	    "line 5 limits the same in the same period; keep one of the two");
}

static void sinks(void **state)
{
	struct ln_policy *p = good("alert:\n"
				   "  - stderr\n"
				   "  - log\n"
				   "  - journal\n"
				   "  - syslog\n"
				   "  - {exec: [\"/usr/bin/notify\", \"-x\", \"\", \"a b\"]}\n"
				   "  - {webhook: \"https://h.example/x?y\", token_file: /etc/t}\n"
				   "  - {webhook: \"http://127.0.0.1:8080\"}\n"
				   "  - {syslog: \"udp://[2001:db8::1]:514\"}\n"
				   "  - {syslog: \"unix:/run/x\"}\n");
	static const enum ln_sink_kind kinds[] = {LN_SINK_STDERR,  LN_SINK_LOG,    LN_SINK_JOURNAL,
						  LN_SINK_SYSLOG,  LN_SINK_EXEC,   LN_SINK_WEBHOOK,
						  LN_SINK_WEBHOOK, LN_SINK_SYSLOG, LN_SINK_SYSLOG};
	const struct ln_policy_sink *list;

	assert_int_equal(ln_policy_sinks(p, &list), LN_ARRAY_SIZE(kinds));
	for (size_t i = 0; i < LN_ARRAY_SIZE(kinds); i++) {
		assert_int_equal(list[i].kind, kinds[i]);
		assert_int_equal(list[i].line, 5 + i);
	}
	assert_null(list[3].target);
	assert_string_equal(list[4].argv[0], "/usr/bin/notify");
	assert_string_equal(list[4].argv[2], "");
	assert_string_equal(list[4].argv[3], "a b");
	assert_null(list[4].argv[4]);
	assert_string_equal(list[5].target, "https://h.example/x?y");
	assert_string_equal(list[5].token_file, "/etc/t");
	assert_null(list[6].token_file);
	assert_string_equal(list[7].target, "udp://[2001:db8::1]:514");
	assert_string_equal(list[8].target, "unix:/run/x");
	assert_string_equal(ln_sink_kind_text(LN_SINK_WEBHOOK), "webhook");
	ln_policy_free(&p);
}

static void wrong_sinks(void **state)
{
	bad("alert: [mail]\n", 4, 9,
	    "an entry of alert must be stderr, log, journal, syslog, {exec: […]}, {webhook: …} or "
	    "{syslog: …} (found \"mail\")");
	bad("alert: [log, log]\n", 4, 14, "log is listed already, on line 4; remove it");
	bad("alert: [exec]\n", 4, 9,
	    "an entry of alert must be stderr, log, journal, syslog, {exec: […]}, {webhook: …} or "
	    "{syslog: …} (found \"exec\")");
	bad("alert: [{exec: \"/bin/x -y\"}]\n", 4, 16,
	    "exec must be a list, [\"/path/of/program\", \"argument\"], no shell reads it (found "
	    "\"/bin/x -y\")");
	bad("alert: [{exec: [notify]}]\n", 4, 17,
	    "the program must be an absolute path (found \"notify\")");
	bad("alert: [{exec: []}]\n", 4, 16,
	    "exec must be a list, [\"/path/of/program\", \"argument\"], no shell reads it (found "
	    "an empty list)");
	bad("alert: [{webhook: ftp://x}]\n", 4, 19,
	    "webhook must be a URL, as \"https://alerts.example.com/hook\", without user and "
	    "password (found \"ftp://x\")");
	bad("alert: [{webhook: \"https://u:p@x/\"}]\n", 4, 19,
	    "webhook must be a URL, as \"https://alerts.example.com/hook\", without user and "
	    "password (found \"https://u:p@x/\")");
	bad("alert: [{webhook: \"https://x:99999/\"}]\n", 4, 19,
	    "webhook must be a URL, as \"https://alerts.example.com/hook\", without user and "
	    "password (found \"https://x:99999/\")");
	bad("alert: [{webhook: \"https://x/\", token_file: t}]\n", 4, 45,
	    "token_file must be the absolute path of a file (found \"t\")");
	bad("alert: [{syslog: \"udp://\"}]\n", 4, 18,
	    "syslog must be \"udp://host:514\" or \"unix:\" and the absolute path of a socket "
	    "(found \"udp://\")");
	bad("alert: [{syslog: \"tcp://h:1\"}]\n", 4, 18,
	    "syslog must be \"udp://host:514\" or \"unix:\" and the absolute path of a socket "
	    "(found \"tcp://h:1\")");
	bad("alert: [{webhook: \"http://h.example/\"}]\n", 4, 19,
	    "this webhook would send alerts in the clear; use https:// (http:// is for 127.0.0.1, "
	    "[::1] and localhost)");
	bad("alert: [{webhook: \"http://127.0.0.1.h.example/\"}]\n", 4, 19,
	    "this webhook would send alerts in the clear; use https:// (http:// is for 127.0.0.1, "
	    "[::1] and localhost)");
	bad("alert: [{syslog: /x, exec: [/y]}]\n", 4, 9,
	    "one entry of alert is one of exec, webhook (which may have a token_file) and syslog; "
	    "start a new one with \"- \"");
	bad("alert: [{exec: [/y], token_file: /t}]\n", 4, 9,
	    "one entry of alert is one of exec, webhook (which may have a token_file) and syslog; "
	    "start a new one with \"- \"");
}

static void bounds(void **state)
{
	struct ln_buf keys = {0};

	ln_buf_adds(&keys, "limits:\n");
	for (int i = 1; i <= 256; i++)
		ln_buf_addf(&keys, "- {bytes_out: 1B, period: %ds}\n", i);
	struct ln_policy *p = good(ln_buf_text(&keys));
	ln_policy_free(&p);
	ln_buf_adds(&keys, "- {bytes_out: 1B, period: 257s}\n");
	bad(ln_buf_text(&keys), 261, 3, "more than 256 limits; remove some");

	ln_buf_reset(&keys);
	ln_buf_adds(&keys, "alert:\n");
	for (int i = 1; i <= LN_POLICY_SINKS_MAX; i++)
		ln_buf_adds(&keys, "- {exec: [/x]}\n");
	p = good(ln_buf_text(&keys));
	ln_policy_free(&p);
	ln_buf_adds(&keys, "- {exec: [/x]}\n");
	bad(ln_buf_text(&keys), 21, 3, "more than 16 entries in alert; remove some");
	ln_buf_done(&keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults), cmocka_unit_test(words),
	    cmocka_unit_test(deny),     cmocka_unit_test(expiry),
	    cmocka_unit_test(limits),   cmocka_unit_test(wrong_limits),
	    cmocka_unit_test(sinks),    cmocka_unit_test(wrong_sinks),
	    cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
