/* SPDX-License-Identifier: Apache-2.0 */
/* The format of linnet.yaml(5) and its messages. A bad-NAME.yaml of
 * tests/data/policies has the messages it must give in bad-NAME.expected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <glob.h>
#include <netinet/in.h>
#include <time.h>

#include "base/buf.h"
#include "policy/parse.h"
#include "policy/policy.h"

#define DATA "tests/data/policies/"
#define HEAD "agent_name: a\nexpected_outbound:\n"
#define RULE "  - {destination: a.example, port: 443, protocol: TCP}\n"

static void read_file(const char *path, struct ln_buf *ret)
{
	char chunk[4096];
	size_t n;
	FILE *f = fopen(path, "r");

	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		ln_buf_add(ret, chunk, n);
	fclose(f);
	assert_false(ret->failed);
}

static void format_diags(const char *file, const struct ln_diags *d, struct ln_buf *ret)
{
	for (size_t i = 0; i < d->n; i++)
		ln_buf_addf(ret, "%s:%u:%u: %s%s\n", file, d->list[i].line, d->list[i].column,
			    d->list[i].warning ? "warning: " : "", d->list[i].text);
}

/* Parses what must be good without a word, but for how wide it is: test_policy_width.c. */
static struct ln_policy *good(const char *text, bool strict)
{
	struct ln_diags d = {0};
	struct ln_policy *p = NULL;
	int err = ln_policy_parse("good.yaml", text, strlen(text), strict, &d, &p);

	for (size_t i = 0; i < d.n; i++) {
		if (err != 0 || !d.list[i].warning ||
		    (!strstr(d.list[i].text, "is wider than") &&
		     !strstr(d.list[i].text, "on every port")))
			fail_msg("%d: %s", err, d.list[i].text);
	}
	ln_diags_done(&d);
	return p;
}

/* All messages of a bad text, one a line; the text must be refused. */
static const char *messages(const char *text, size_t len, bool strict, struct ln_buf *out)
{
	struct ln_diags d = {0};
	struct ln_policy *p = NULL;

	assert_int_equal(ln_policy_parse("bad.yaml", text, len, strict, &d, &p), -EINVAL);
	assert_null(p);
	assert_true(d.n_errors > 0);
	ln_buf_reset(out);
	format_diags("f", &d, out);
	ln_diags_done(&d);
	return ln_buf_text(out);
}

/* M4: the policy of the contract is accepted exactly as written there. */
static void m4_seed_policy(void **state)
{
	struct ln_buf text = {0};
	const struct ln_endpoint *resolvers;
	const struct ln_rule *r;
	struct ln_policy *p;

	read_file(DATA "seed.yaml", &text);
	p = good(ln_buf_text(&text), true);
	ln_policy_free(&p);
	p = good(ln_buf_text(&text), false);
	assert_string_equal(ln_policy_agent_name(p), "travel_agent_v1");
	assert_string_equal(ln_policy_file(p), "good.yaml");
	assert_int_equal(ln_policy_rules(p), 3);
	assert_int_equal(ln_policy_resolvers(p, &resolvers), 0);
	r = ln_policy_rule(p, 0);
	assert_int_equal(r->kind, LN_RULE_EXPECTED);
	assert_int_equal(r->dest, LN_DEST_NAME);
	assert_string_equal(r->name, "api.company-internal.com");
	assert_string_equal(r->purpose, "Internal flights API");
	assert_int_equal(r->n_ports, 1);
	assert_int_equal(r->ports[0].first, 443);
	assert_int_equal(r->proto, IPPROTO_TCP);
	assert_int_equal(r->line, 3);
	r = ln_policy_rule(p, 2);
	assert_int_equal(r->kind, LN_RULE_DYNAMIC);
	assert_int_equal(r->dest, LN_DEST_SUFFIX);
	assert_string_equal(r->name, "company-internal.com");
	assert_string_equal(r->text, "*.company-internal.com");
	assert_int_equal(r->n_ports, 0);
	assert_int_equal(r->proto, 0);
	assert_int_equal(r->id, 2);
	assert_int_equal(r->line, 12);
	assert_null(ln_policy_rule(p, 3));
	ln_policy_free(&p);
	assert_null(p);
	ln_buf_done(&text);
}

static void all_forms(void **state)
{
	static const struct {
		enum ln_dest_kind dest;
		const char *name, *addr, *ports;
	} expect[] = {
	    {LN_DEST_NAME, "api.example.com", NULL, "443/TCP"},
	    {LN_DEST_SUFFIX, "example.org", NULL, "8000-8100/TCP"},
	    {LN_DEST_NAME, "xn--bcher-kva.example", NULL, "443,8443,9000-9010/any"},
	    {LN_DEST_NET, NULL, "192.0.2.7/32", "any/UDP"},
	    {LN_DEST_NET, NULL, "198.51.100.0/24", "443/TCP"},
	    {LN_DEST_NET, NULL, "2001:db8::/32", "any/any"},
	    {LN_DEST_NET, NULL, "203.0.113.9/32", "22/TCP"},
	    {LN_DEST_NAME, "yes", NULL, "1/TCP"},
	    {LN_DEST_SUFFIX, "cdn.example.net", NULL, "any/any"},
	    {LN_DEST_NAME, "plain.example.net", NULL, "any/any"},
	    {LN_DEST_SUFFIX, "narrow.example.com", NULL, "443/TCP"},
	};
	static const char *const resolvers[] = {"192.0.2.53:53", "192.0.2.53:5353",
						"[2001:db8::53]:5353", "[2001:db8::53]:53"};
	const struct ln_endpoint *eps;
	struct ln_buf text = {0};
	struct ln_policy *p;
	char buf[128];

	read_file(DATA "good-all-forms.yaml", &text);
	p = good(ln_buf_text(&text), false);
	assert_string_equal(ln_policy_agent_name(p), "no");
	assert_int_equal(ln_policy_rules(p), LN_ARRAY_SIZE(expect));
	for (size_t i = 0; i < LN_ARRAY_SIZE(expect); i++) {
		const struct ln_rule *r = ln_policy_rule(p, i);
		struct ln_net net;

		assert_int_equal(r->dest, expect[i].dest);
		assert_string_equal(ln_rule_ports_text(r, buf, sizeof(buf)), expect[i].ports);
		if (expect[i].name) {
			assert_string_equal(r->name, expect[i].name);
			continue;
		}
		assert_null(r->name);
		assert_true(ln_net_parse(expect[i].addr, true, &net));
		assert_true(ln_addr_equal(&r->net.addr, &net.addr));
		assert_int_equal(r->net.prefix_len, net.prefix_len);
	}
	assert_string_equal(ln_policy_rule(p, 3)->purpose, "one address, explained on two lines");
	assert_int_equal(ln_policy_resolvers(p, &eps), LN_ARRAY_SIZE(resolvers));
	for (size_t i = 0; i < LN_ARRAY_SIZE(resolvers); i++)
		assert_string_equal(ln_endpoint_format(&eps[i], buf), resolvers[i]);
	ln_policy_free(&p);
	ln_buf_done(&text);
}

static void local_forms(void **state)
{
	static const char *const names[] = {"/run/docker.sock",     "@/tmp/dbus-*",
					    "/run/user/*/bus",      "/run/nscd/socket",
					    "/srv/**/agent-*.sock", "/srv/a b/x"};
	static const struct {
		const char *from, *ports;
	} rows[] = {{"10.0.0.0/8", "8080/TCP"},
		    {NULL, "9000-9010,9100/any"},
		    {"2001:db8::7/128", "any/UDP"},
		    {"192.0.2.1/32", "8080/TCP"}};
	struct ln_buf text = {0};
	struct ln_policy *p;
	char buf[128];

	read_file(DATA "good-local.yaml", &text);
	p = good(ln_buf_text(&text), true);
	assert_int_equal(ln_policy_rules(p), 1 + LN_ARRAY_SIZE(names) + LN_ARRAY_SIZE(rows));
	for (size_t i = 0; i < LN_ARRAY_SIZE(names); i++)
		assert_string_equal(ln_policy_rule(p, 1 + i)->name, names[i]);
	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		const struct ln_rule *r = ln_policy_rule(p, 1 + LN_ARRAY_SIZE(names) + i);
		struct ln_net net = {0};

		assert_string_equal(ln_rule_ports_text(r, buf, sizeof(buf)), rows[i].ports);
		assert_true(!rows[i].from || ln_net_parse(rows[i].from, true, &net));
		assert_true(ln_addr_equal(&r->net.addr, &net.addr));
		assert_int_equal(r->net.prefix_len, net.prefix_len);
	}
	assert_string_equal(ln_policy_rule(p, 8)->text, "anywhere");
	ln_policy_free(&p);
	ln_buf_done(&text);
}

static void bad_files(void **state)
{
	struct ln_buf text = {0}, want = {0}, got = {0};
	char path[256];
	glob_t found;

	assert_int_equal(glob(DATA "bad-*.yaml", 0, NULL, &found), 0);
	assert_true(found.gl_pathc >= 9);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *file = found.gl_pathv[i];
		struct ln_diags d = {0};
		struct ln_policy *p = NULL;

		ln_buf_reset(&text);
		ln_buf_reset(&want);
		ln_buf_reset(&got);
		read_file(file, &text);
		snprintf(path, sizeof(path), "%.*s.expected", (int)(strlen(file) - strlen(".yaml")),
			 file);
		read_file(path, &want);
		assert_int_equal(ln_policy_parse(file, text.data, text.len, false, &d, &p),
				 -EINVAL);
		format_diags(strrchr(file, '/') + 1, &d, &got);
		assert_string_equal(ln_buf_text(&got), ln_buf_text(&want));
		ln_diags_done(&d);
	}
	globfree(&found);
	ln_buf_done(&text);
	ln_buf_done(&want);
	ln_buf_done(&got);
}

/* The example of the contract, letter by letter. */
static void contract_message(void **state)
{
	static const char text[] = "agent_name: travel\n\nexpected_outbound:\n"
				   "  - destination: api.example.com\n    protocol: TCP\n"
				   "    purpose: flights\n    port: https\n";
	struct ln_buf out = {0};

	assert_string_equal(messages(text, strlen(text), false, &out),
			    "f:7:11: port must be 1..65535, a range, a list or \"any\" (found "
			    "\"https\")\n");
	ln_buf_done(&out);
}

static void strict_mode(void **state)
{
	static const char shared[] =
	    HEAD "  - {destination: '*.github.io', port: 443, protocol: TCP, purpose: pages}\n";
	static const char silent[] = HEAD RULE;
	static const char blank[] =
	    HEAD "  - {destination: a.example, port: 1, protocol: TCP, purpose: ' '}\n";
	/* As `linnet learn` writes it, and its first word alone. */
	static const char marked[] =
	    HEAD "  - {destination: a.example, port: 1, protocol: TCP, purpose: '" LN_PURPOSE_MARK
		 " seen 1 time'}\n"
		 "  - {destination: b.example, port: 1, protocol: TCP, purpose: 'TO"
		 "DO'}\n"
		 "  - {destination: c.example, port: 1, protocol: TCP, purpose: 'TODOs'}\n";
	static const char local[] =
	    HEAD "  - {destination: a.example, port: 1, protocol: TCP, purpose: x}\n"
		 "expected_unix:\n  - /run/x\n  - {path: /run/y}\n"
		 "expected_inbound:\n  - {port: 5, protocol: TCP}\n";
	struct ln_buf out = {0};
	struct ln_diags d = {0};
	struct ln_policy *p = NULL;

	p = good(local, false);
	assert_int_equal(ln_policy_rules(p), 4);
	ln_policy_free(&p);
	assert_string_equal(messages(local, strlen(local), true, &out),
			    "f:5:5: \"purpose\" is missing; say what the agent needs this socket "
			    "for, as {path: …, purpose: …} (strict mode)\n"
			    "f:6:5: \"purpose\" is missing; say what the agent needs this socket "
			    "for (strict mode)\n"
			    "f:8:5: \"purpose\" is missing; say what the agent needs this port "
			    "for (strict mode)\n");
	p = good(marked, false);
	ln_policy_free(&p);
	assert_string_equal(messages(marked, strlen(marked), true, &out),
			    "f:3:63: \"purpose\" is still \"" LN_PURPOSE_MARK "\"; say what the "
			    "agent needs this destination for (strict mode)\n"
			    "f:4:63: \"purpose\" is still \"" LN_PURPOSE_MARK "\"; say what the "
			    "agent needs this destination for (strict mode)\n");
	p = good(silent, false);
	assert_null(ln_policy_rule(p, 0)->purpose);
	ln_policy_free(&p);
	assert_non_null(strstr(messages(silent, strlen(silent), true, &out),
			       "f:3:5: \"purpose\" is missing; "));
	assert_non_null(
	    strstr(messages(blank, strlen(blank), true, &out), "f:3:63: \"purpose\" is missing; "));
	assert_int_equal(ln_policy_parse("f", shared, strlen(shared), false, &d, &p), 0);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.n_errors, 0);
	assert_true(d.list[0].warning);
	assert_non_null(strstr(d.list[0].text, "every customer of \"github.io\""));
	ln_policy_free(&p);
	ln_diags_done(&d);
	assert_non_null(strstr(messages(shared, strlen(shared), true, &out),
			       "f:3:19: \"*.github.io\" covers what every customer"));
	ln_buf_done(&out);
}

/* One text, and a message that it must give. */
static const struct {
	const char *text;
	size_t len; /* 0: up to the NUL */
	const char *message;
} message_rows[] = {
    {"", 0, "f:0:0: the file is empty; "},
    {"# only\n\n   # comments\n", 0, "f:0:0: the file is empty; "},
    {"\xef\xbb\xbf\xef\xbb\xbf\n", 0, "f:0:0: the file is empty; "},
    {"agent_name: \xff\n", 0, "f:1:13: byte 0xff is not UTF-8; "},
    {"agent_name: \xc3\xa9\x80\n", 0, "f:1:14: byte 0x80 is not UTF-8; "},
    {"agent_name: a\0b\n", 16, "f:1:14: a NUL byte; "},
    {"\xff\xfe"
     "a\0",
     4, "f:1:1: the file is UTF-16; "},
    {"agent_name: a\x1b[2J\n", 0, "f:1:14: control character U+001B; "},
    {"agent_name: a\rb\n", 0, "f:1:14: a carriage return inside a line; "},
    {"\xef\xbb\xbfname: a\nexpected_outbound:\n" RULE, 0,
     "f:1:1: unknown key \"name\"; did you mean \"agent_name\"?"},
    {"agent_name: [a]\nexpected_outbound:\n" RULE, 0,
     "f:1:13: agent_name must be text (found a list)"},
    {"agent_name: \"a\\0\"\nexpected_outbound:\n" RULE, 0,
     "f:1:13: agent_name holds a line break or a control character (found \"a\\x00\")"},
    {"- a\n", 0, "f:1:1: a policy must be a mapping "},
    {"agent_name: a\n", 0, "f:1:1: \"expected_outbound\" is missing; "},
    {"expected_outbound:\n" RULE, 0, "f:1:1: \"agent_name\" is missing; "},
    {"agent_name: a\nexpected_outbound: {}\n", 0,
     "f:2:20: expected_outbound must be a list (found a mapping); "},
    {HEAD "  - {destination: '*.xn--p1ai', port: 1, protocol: TCP}\n", 0,
     "f:3:19: \"*.xn--p1ai\" covers every domain that anybody registers"},
    {HEAD "  - {destination: 10.1.2.3/8, port: 1, protocol: TCP}\n", 0,
     "the network has host bits set (found \"10.1.2.3/8\"); write \"10.0.0.0/8\", or "
     "\"10.1.2.3\" for that address alone"},
    {HEAD "  - {destination: '2001:db8::1/64', port: 1, protocol: TCP}\n", 0,
     "write \"2001:db8::/64\", or \"2001:db8::1\" for"},
    {HEAD "  - {destination: 'ws://[::1]:81/a', port: 1, protocol: TCP}\n", 0,
     "write destination: \"::1\" and port: 81"},
    {HEAD "  - {destination: 'http://u:p@x.example', port: 1, protocol: TCP}\n", 0,
     "write destination: \"x.example\" and port: 80"},
    {HEAD "  - {destination: 'https://', port: 1, protocol: TCP}\n", 0, "not a URL"},
    {HEAD "  - {destination: 'a..b', port: 1, protocol: TCP}\n", 0,
     "destination is not a host name (found \"a..b\"); "},
    {HEAD "  - {destination: \"a\\u202e\", port: 1, protocol: TCP}\n", 0, "(found \"a\\u202e\")"},
    {HEAD "  - {destination: a.example, port: '1-0', protocol: TCP}\n", 0, "f:3:36: port must be"},
    {HEAD RULE "allowed_dynamic_resolution:\n  - {destination: b.example}\n", 0,
     "f:5:6: unknown key \"destination\"; did you mean \"name\"?"},
    {HEAD RULE "allowed_dynamic_resolution:\n  - {port: 1}\n", 0, "f:5:5: \"name\" is missing; "},
    {HEAD RULE "resolvers:\n  - 192.0.2.1:0\n", 0, "f:5:5: a resolver must be an address"},
    {HEAD RULE "resolvers: 192.0.2.1\n", 0, "f:4:12: resolvers must be a list"},
    {HEAD RULE "expected_unix: []\n", 0,
     "f:4:1: expected_unix is empty; list at least one item, or"},
    {HEAD RULE "expected_unix: /run/x\n", 0,
     "f:4:16: expected_unix must be a list (found \"/run/x\")"},
    {HEAD RULE "expected_unix:\n  - @x\n", 0,
     "f:5:5: a value cannot start with this character; put "},
    {HEAD RULE "expected_inbound:\n", 0, "f:4:1: expected_inbound is empty; list at least one"},
    {HEAD RULE "expected_inbound: {port: 1}\n", 0, "f:4:19: expected_inbound must be a list"},
    {HEAD RULE "inbound: 1\n", 0,
     "f:4:1: unknown key \"inbound\"; did you mean \"expected_inbound\"?"},
    {HEAD RULE "expected_unx: 1\n", 0, "did you mean \"expected_unix\"?"},
    {HEAD RULE "expected_inbounds: 1\n", 0, "did you mean \"expected_inbound\"?"},
    {"x: [[[[[[[[[[[[[[[[a\n", 0, "f:1:19: nested deeper than 16 levels; "},
    {HEAD RULE "---\n" HEAD RULE, 0, "f:4:1: a second YAML document starts here; "},
    {HEAD RULE "resolvers: [\n", 0, "f:5:1: a value is missing here; "},
    {HEAD RULE "resolvers: [a\n", 0, "f:4:12: this bracket is never closed, "},
    {"agent_name: 'a\n", 0, "f:1:13: this quote is never closed; "},
};

static void single_messages(void **state)
{
	struct ln_buf out = {0};

	for (size_t i = 0; i < LN_ARRAY_SIZE(message_rows); i++) {
		size_t len =
		    message_rows[i].len > 0 ? message_rows[i].len : strlen(message_rows[i].text);
		const char *got = messages(message_rows[i].text, len, false, &out);

		if (!strstr(got, message_rows[i].message))
			fail_msg("wanted: %s\ngot: %s", message_rows[i].message, got);
	}
	ln_buf_done(&out);
}

/* Quoted numbers are numbers, and nothing is guessed from plain text. */
static void ports_forms(void **state)
{
	static const struct {
		const char *port, *text;
	} rows[] = {
	    {"443", "443/TCP"},
	    {"'443'", "443/TCP"},
	    {"8000-8100", "8000-8100/TCP"},
	    {"[81, 80, 443]", "80-81,443/TCP"},
	    {"[1-5, 6-9, \"20\"]", "1-9,20/TCP"},
	    {"65535", "65535/TCP"},
	    {"Any", "any/TCP"},
	};
	static const char *const bad[] = {
	    "0443",  "00", "0",     "65536", "-1",  "80.5", "0x50",  "1e3",  "4_4",
	    "+4",    "''", "~",     "8-",    "-8",  "8-0",  "1-2-3", "1 -2", "99999999999999999999",
	    "[any]", "[]", "[[1]]", "{}",    "true"};
	struct ln_buf out = {0};
	char text[256], buf[64];

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		struct ln_policy *p;

		snprintf(text, sizeof(text), HEAD "  - {destination: a, port: %s, protocol: tcp}\n",
			 rows[i].port);
		p = good(text, false);
		assert_string_equal(ln_rule_ports_text(ln_policy_rule(p, 0), buf, sizeof(buf)),
				    rows[i].text);
		ln_policy_free(&p);
	}
	for (size_t i = 0; i < LN_ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), HEAD "  - {destination: a, port: %s, protocol: tcp}\n",
			 bad[i]);
		messages(text, strlen(text), false, &out);
	}
	ln_buf_done(&out);
}

/* What looks like an overlap, or like a public suffix, and is none. */
static void no_false_messages(void **state)
{
	struct ln_policy *p =
	    good(HEAD "  - {destination: 10.0.0.0/8, port: 443, protocol: TCP, purpose: a}\n"
		      "  - {destination: 10.0.0.0/16, port: any, protocol: TCP, purpose: b}\n"
		      "  - {destination: 10.0.0.0/24, port: 444, protocol: UDP}\n"
		      "  - {destination: '*.internal', port: 443, protocol: TCP, purpose: a}\n"
		      "  - {destination: internal, port: 443, protocol: TCP, purpose: b}\n"
		      "  - {destination: github.io, port: 443, protocol: TCP, purpose: a}\n"
		      "  - {destination: github.io, port: 443, protocol: UDP, purpose: b}\n"
		      "  - {destination: github.io, port: 80-442, protocol: TCP, purpose: b}\n"
		      "allowed_dynamic_resolution: [github.io, internal]\n",
		 false);

	assert_int_equal(ln_policy_rules(p), 10);
	ln_policy_free(&p);
}

static void messages_in_file_order(void **state)
{
	static const char text[] = HEAD "  - {protocol: x, port: y, destination: 'a b'}\n"
					"  - {port: z, destination: c, protocol: TCP}\n";
	struct ln_buf out = {0};
	const char *got = messages(text, strlen(text), false, &out);
	const char *protocol = strstr(got, "f:3:16: protocol"), *port = strstr(got, "f:3:25: port");
	const char *destination = strstr(got, "f:3:41: destination");
	const char *next = strstr(got, "f:4:12: port");

	assert_true(protocol && port && destination && next);
	assert_true(protocol < port && port < destination && destination < next);
	ln_buf_done(&out);
}

static void ports_text_is_cut(void **state)
{
	struct ln_policy *p = good(HEAD "  - {destination: a, port: [1, 3, 5, 7, 9000-9999], "
					"protocol: UDP}\n",
				   false);
	const struct ln_rule *r = ln_policy_rule(p, 0);
	char buf[64];

	assert_string_equal(ln_rule_ports_text(r, buf, 64), "1,3,5,7,9000-9999/UDP");
	assert_string_equal(ln_rule_ports_text(r, buf, 16), "1,3,5,7,…/UDP");
	for (size_t size = 0; size < 24; size++) {
		memset(buf, 'x', sizeof(buf));
		assert_true(strlen(ln_rule_ports_text(r, buf, size)) < LN_MAX(size, (size_t)1));
		assert_int_equal(buf[size], 'x');
	}
	ln_policy_free(&p);
}

static void bounds(void **state)
{
	struct ln_buf text = {.max = LN_POLICY_BYTES_MAX * 2}, out = {0};
	struct ln_diags d = {0};
	struct ln_policy *p = NULL;

	for (int i = 0; i < 1500; i++)
		ln_buf_addf(&text, "key%d: 1\n", i);
	assert_int_equal(ln_policy_parse("f", text.data, text.len, false, &d, &p), -EINVAL);
	assert_int_equal(d.n, 1001);
	assert_non_null(strstr(d.list[1000].text, "502 more messages are not shown"));
	for (size_t i = 1; i < 1000; i++)
		assert_true(d.list[i].line >= d.list[i - 1].line);
	ln_diags_done(&d);

	ln_buf_reset(&text);
	ln_buf_adds(&text, HEAD);
	for (int i = 1; i <= 300; i++)
		ln_buf_addf(&text, "  - {destination: a, port: %d, protocol: TCP}\n", i * 2);
	assert_string_equal(messages(text.data, text.len, false, &out),
			    "f:259:19: more than 256 rules for one destination; write one rule "
			    "with a list of ports or ranges\n");

	ln_buf_reset(&text);
	ln_buf_adds(&text, HEAD RULE "expected_unix:\n");
	for (int i = 0; i < 300; i++)
		ln_buf_addf(&text, "  - /run/%d\n", i);
	assert_string_equal(messages(text.data, text.len, false, &out),
			    "f:261:5: more than 256 rules in expected_unix; write fewer, wider "
			    "ones\n");

	ln_buf_reset(&text);
	ln_buf_adds(&text, HEAD RULE);
	while (text.len <= LN_POLICY_BYTES_MAX)
		ln_buf_adds(&text,
			    "# a comment that fills the file up to its bound, and over it\n");
	assert_non_null(strstr(messages(text.data, text.len, false, &out),
			       "f:0:0: the file is larger than 16 MiB; "));
	ln_buf_done(&text);
	ln_buf_done(&out);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 20,000 rules of which each covers one and is covered by one: found, and not by trying all. */
static void many_shadows_stay_fast(void **state)
{
	struct ln_buf text = {.max = LN_POLICY_BYTES_MAX};
	struct ln_diags d = {0};
	struct ln_policy *p = NULL;
	double start;

	ln_buf_adds(&text, HEAD);
	for (int i = 0; i < 20000; i++)
		ln_buf_addf(&text, "  - {destination: '%sz%d.example', port: 1, protocol: TCP}\n",
			    i % 2 == 0 ? "*." : "a.", i / 2);
	start = seconds();
	assert_int_equal(ln_policy_parse("f", text.data, text.len, false, &d, &p), -EINVAL);
	assert_true(seconds() - start < 5.0);
	assert_int_equal(d.n, 1001);
	assert_int_equal(d.list[0].line, 4);
	assert_non_null(strstr(d.list[0].text, "shadowed by line 3"));
	assert_non_null(strstr(d.list[1000].text, "9000 more"));
	ln_diags_done(&d);
	ln_buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(m4_seed_policy),
	    cmocka_unit_test(all_forms),
	    cmocka_unit_test(local_forms),
	    cmocka_unit_test(bad_files),
	    cmocka_unit_test(contract_message),
	    cmocka_unit_test(strict_mode),
	    cmocka_unit_test(single_messages),
	    cmocka_unit_test(ports_forms),
	    cmocka_unit_test(no_false_messages),
	    cmocka_unit_test(messages_in_file_order),
	    cmocka_unit_test(ports_text_is_cut),
	    cmocka_unit_test(bounds),
	    cmocka_unit_test(many_shadows_stay_fast),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
