/* SPDX-License-Identifier: Apache-2.0 */
/* The policy's lists about UNIX sockets and inbound connections: what they permit, and that
 * neither has a say about destinations. The messages are in test_policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <time.h>

#include "base/buf.h"
#include "policy/parse.h"
#include "policy/pattern.h"
#include "policy/policy.h"

#define HEAD                                                                                       \
	"agent_name: a\n"                                                                          \
	"expected_outbound:\n"                                                                     \
	"  - {destination: a.example, port: 443, protocol: TCP}\n"
#define NONE (-1)

static struct ln_policy *parse(const char *text)
{
	struct ln_diags d = {0};
	struct ln_policy *p = NULL;
	int err = ln_policy_parse("good.yaml", text, strlen(text), false, &d, &p);

	if (err != 0 || d.n > 0)
		fail_msg("%d: %s", err, d.n > 0 ? d.list[0].text : "");
	ln_diags_done(&d);
	return p;
}

static int id_of(const struct ln_rule *r)
{
	return r ? (int)r->id : NONE;
}

static const char sockets[] = HEAD "expected_unix:\n"
				   "  - /run/docker.sock\n"       /* 1 */
				   "  - '/run/user/*/bus'\n"      /* 2 */
				   "  - '@/tmp/dbus-*'\n"         /* 3 */
				   "  - '/srv/**/agent-*.sock'\n" /* 4 */
				   "  - '/var/run/nscd/socket'\n" /* 5 */
				   "  - '@exact'\n"               /* 6 */
				   "  - '/opt/*x*y*/**'\n"        /* 7 */
				   "  - '@wide**end'\n"           /* 8 */
				   "  - '/a [b]?c'\n";            /* 9 */

#define BYTES(text) text, sizeof(text) - 1

static const struct {
	const char *path;
	size_t len;
	bool abstract;
	int rule;
} unix_rows[] = {
    {BYTES("/run/docker.sock"), false, 1},
    {BYTES("/run/docker.sock"), true, NONE},
    {BYTES("/run/docker.sock2"), false, NONE},
    {BYTES("/run/docker.soc"), false, NONE},
    {BYTES("/run/Docker.sock"), false, NONE},
    {BYTES(""), false, NONE},
    {BYTES(""), true, NONE},
    /* The kernel reads a path up to its first NUL. */
    {BYTES("/run/docker.sock\0\0\0"), false, 1},
    {BYTES("/run/docker.sock\0evil"), false, 1},
    {BYTES("/run/evil\0docker.sock"), false, NONE},
    {BYTES("\0/run/docker.sock"), false, NONE},
    /* Other spellings of the same path; and those that only look like it. */
    {BYTES("//run/./docker.sock"), false, 1},
    {BYTES("/run/docker.sock/"), false, 1},
    {BYTES("/var/run/docker.sock"), false, 1},
    {BYTES("/./var//run/docker.sock"), false, 1},
    {BYTES("/run/nscd/socket"), false, 5},
    {BYTES("/var/run/nscd/socket"), false, 5},
    {BYTES("/x/../run/docker.sock"), false, NONE},
    {BYTES("/run/docker.sock/.."), false, NONE},
    {BYTES("run/docker.sock"), false, NONE},
    {BYTES("docker.sock"), false, NONE},
    {BYTES("."), false, NONE},
    {BYTES("/"), false, NONE},
    /* One star stays within a component, two do not. */
    {BYTES("/run/user/1000/bus"), false, 2},
    {BYTES("/run/user//bus"), false, NONE},
    {BYTES("/run/user/./bus"), false, NONE},
    {BYTES("/run/user/1/2/bus"), false, NONE},
    {BYTES("/run/user/../bus"), false, NONE},
    {BYTES("/run/user/1\0/bus"), false, NONE},
    {BYTES("/srv/x/agent-1.sock"), false, 4},
    {BYTES("/srv/x/y/z/agent-.sock"), false, 4},
    {BYTES("/srv/agent-1.sock"), false, NONE},
    {BYTES("/srv/x/agent-1/2.sock"), false, NONE},
    {BYTES("/srv/x/../agent-1.sock"), false, NONE},
    {BYTES("/srv/x/..y/agent-1.sock"), false, 4},
    {BYTES("/srv/x\xff\x01/agent-\x1b.sock"), false, 4},
    {BYTES("/opt/xy/z"), false, 7},
    {BYTES("/opt/axxbyyc/d/e"), false, 7},
    {BYTES("/opt/yx/z"), false, NONE},
    {BYTES("/opt/x/y/z"), false, NONE},
    /* Abstract names are bytes: nothing is a component, and a NUL is no wildcard's. */
    {BYTES("/tmp/dbus-Ab12"), true, 3},
    {BYTES("/tmp/dbus-"), true, 3},
    {BYTES("/tmp/dbus-Ab12"), false, NONE},
    {BYTES("/tmp/dbus-a/b"), true, NONE},
    {BYTES("//tmp/dbus-a"), true, NONE},
    {BYTES("/tmp/dbus-\0evil"), true, NONE},
    {BYTES("exact"), true, 6},
    {BYTES("exact\0"), true, NONE},
    {BYTES("\0exact"), true, NONE},
    {BYTES("@exact"), true, NONE},
    {BYTES("@exact"), false, NONE},
    {BYTES("wide/../x/end"), true, 8},
    {BYTES("wideend"), true, 8},
    /* No other character is special. */
    {BYTES("/a [b]?c"), false, 9},
    {BYTES("/a b?c"), false, NONE},
    {BYTES("/a [b]xc"), false, NONE},
    {BYTES("/run/user/*/bus"), false, 2},
};

static void unix_table(void **state)
{
	struct ln_policy *p = parse(sockets);

	assert_true(ln_policy_polices_unix(p));
	for (size_t i = 0; i < LN_ARRAY_SIZE(unix_rows); i++) {
		/* Exactly as long as it is, so that a sanitizer sees a byte too many. */
		char *path = malloc(LN_MAX(unix_rows[i].len, (size_t)1));
		int got;

		assert_non_null(path);
		memcpy(path, unix_rows[i].path, unix_rows[i].len);
		got = id_of(
		    ln_policy_match_unix(p, path, unix_rows[i].len, unix_rows[i].abstract, 0));
		if (got != unix_rows[i].rule)
			fail_msg("row %zu, %s: rule %d", i, unix_rows[i].path, got);
		free(path);
	}
	ln_policy_free(&p);
}

/* 108 bytes are all that sockaddr_un has room for; in a path the last may be no NUL. */
static void longest_names(void **state)
{
	struct ln_buf text = {0};
	struct ln_policy *p;
	char path[300];

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	ln_buf_addf(&text, HEAD "expected_unix:\n  - %.108s\n  - '@%.106s*'\n", path, path);
	p = parse(ln_buf_text(&text));
	assert_int_equal(id_of(ln_policy_match_unix(p, path, 108, false, 0)), 1);
	assert_null(ln_policy_match_unix(p, path, 107, false, 0));
	assert_null(ln_policy_match_unix(p, path, 109, false, 0));
	assert_int_equal(id_of(ln_policy_match_unix(p, path, 106, true, 0)), 2);
	assert_int_equal(id_of(ln_policy_match_unix(p, path, 107, true, 0)), 2);
	assert_null(ln_policy_match_unix(p, path, 108, true, 0));
	assert_null(ln_policy_match_unix(p, path, sizeof(path), true, 0));
	ln_policy_free(&p);
	ln_buf_done(&text);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The pattern that makes a matcher with backtracking take for ever, in both kinds of stars. */
static void no_pattern_is_slow(void **state)
{
	static const char stars[] = "/a*a*a*a*a*a*a*a*a*a*a*a*a*a**a**a**a**a**a**a**a**a**a**a**b";
	struct ln_socket_name name;
	char path[108];
	double start = seconds();

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	assert_true(ln_socket_name_make(path, sizeof(path), false, &name));
	for (int i = 0; i < 256; i++)
		assert_false(ln_pattern_matches(stars, &name));
	assert_true(seconds() - start < 1.0);
}

static void covering(void **state)
{
	static const struct {
		const char *a, *b;
		bool covers;
	} rows[] = {
	    {"/a/b", "/a/b", true},     {"/a/*", "/a/b", true},     {"/a/b", "/a/*", false},
	    {"/a/*", "/a/*", true},     {"/a/**", "/a/*", true},    {"/a/*", "/a/**", false},
	    {"/a/**", "/a/b/*c", true}, {"/a/*", "/a/b/c", false},  {"/a/*c", "/a/*bc", true},
	    {"/a/*bc", "/a/*c", false}, {"/a/**", "@/a/b", false},  {"@a*", "@a**", false},
	    {"@a**", "@a*/*", true},    {"/a*/b", "/a**/b", false}, {"/a***", "/a**", true},
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++)
		if (ln_pattern_covers(rows[i].a, rows[i].b) != rows[i].covers)
			fail_msg("%s, %s", rows[i].a, rows[i].b);
}

static const char inbound[] =
    HEAD "expected_inbound:\n"
	 "  - {port: 8080, protocol: TCP, from: 10.0.0.0/8}\n"          /* 1 */
	 "  - {port: [53, 9000-9010], protocol: any}\n"                 /* 2 */
	 "  - {port: any, protocol: UDP, from: '2001:db8::7'}\n"        /* 3 */
	 "  - {port: 8080, protocol: TCP, from: '::ffff:192.0.2.1'}\n"; /* 4 */

static const struct {
	uint8_t proto;
	uint16_t port;
	const char *remote; /* NULL: a listener */
	int rule;
} inbound_rows[] = {
    {6, 8080, NULL, 1},          {6, 8080, "10.1.2.3", 1},     {6, 8080, "::ffff:10.1.2.3", 1},
    {6, 8080, "11.0.0.1", NONE}, {6, 8080, "192.0.2.1", 4},    {6, 8080, "2001:db8::7", NONE},
    {17, 8080, NULL, 3},         {17, 8080, "10.1.2.3", NONE}, {17, 8080, "2001:db8::7", 3},
    {6, 9005, "203.0.113.1", 2}, {17, 53, "::1", 2},           {6, 54, NULL, NONE},
    {132, 53, NULL, 2},          {6, 0, NULL, NONE},
};

static void inbound_table(void **state)
{
	struct ln_policy *p = parse(inbound);

	assert_false(ln_policy_polices_unix(p));
	for (size_t i = 0; i < LN_ARRAY_SIZE(inbound_rows); i++) {
		const char *remote = inbound_rows[i].remote;
		struct ln_addr addr = {0};
		int got;

		if (remote)
			assert_true(ln_addr_parse(remote, &addr));
		got = id_of(ln_policy_match_inbound(p, inbound_rows[i].proto, inbound_rows[i].port,
						    remote ? &addr : NULL, 0));
		if (got != inbound_rows[i].rule)
			fail_msg("row %zu: rule %d", i, got);
	}
	ln_policy_free(&p);
}

/* What the lists hold, and that ids are shared: first destinations, then UNIX, then inbound. */
static void rules_of_all_kinds(void **state)
{
	struct ln_policy *p =
	    parse("agent_name: a\n"
		  "expected_inbound:\n"
		  "  - {port: 22, protocol: TCP, from: 192.0.2.0/24, purpose: x}\n"
		  "expected_unix:\n"
		  "  - {path: /var/run//x, purpose: y}\n"
		  "expected_outbound:\n"
		  "  - {destination: a.example, port: 443, protocol: TCP}\n"
		  "allowed_dynamic_resolution: [b.example]\n");
	const struct ln_addr peer = {.family = 4, .bytes = {192, 0, 2, 1}};
	const char *const x = "/run/x";
	struct ln_query q = {.addr = peer, .port = 22, .proto = 6, .granting = &x, .n_granting = 1};
	const struct ln_rule *r;
	struct ln_match m;
	char buf[32];

	assert_int_equal(ln_policy_rules(p), 4);
	r = ln_policy_rule(p, 2);
	assert_int_equal(r->kind, LN_RULE_UNIX);
	assert_int_equal(r->dest, LN_DEST_PATH);
	assert_string_equal(r->text, "/var/run//x");
	assert_string_equal(r->name, "/run/x");
	assert_string_equal(r->purpose, "y");
	assert_int_equal(r->line, 5);
	assert_string_equal(ln_rule_ports_text(r, buf, sizeof(buf)), "");
	assert_string_equal(ln_rule_list_text(r->kind), "expected_unix");
	r = ln_policy_rule(p, 3);
	assert_int_equal(r->id, 3);
	assert_int_equal(r->kind, LN_RULE_INBOUND);
	assert_int_equal(r->dest, LN_DEST_NET);
	assert_null(r->name);
	assert_string_equal(r->text, "192.0.2.0/24");
	assert_string_equal(ln_rule_ports_text(r, buf, sizeof(buf)), "22/TCP");
	assert_string_equal(ln_rule_list_text(r->kind), "expected_inbound");
	/* They grant nothing that goes out, and no near miss leads to them. */
	ln_policy_match(p, &q, &m);
	assert_null(m.rule);
	assert_null(m.near_rule);
	assert_null(ln_policy_covers_addr(p, &peer, 0));
	assert_null(ln_policy_covers_name(p, "/run/x", 0));
	ln_policy_free(&p);
}

static void without_the_lists(void **state)
{
	struct ln_policy *p = parse(HEAD), *empty = ln_policy_new_empty("x");

	assert_non_null(empty);
	assert_false(ln_policy_polices_unix(p));
	assert_false(ln_policy_polices_unix(empty));
	assert_null(ln_policy_match_unix(p, "/run/x", 6, false, 0));
	assert_null(ln_policy_match_unix(empty, "/run/x", 6, false, 0));
	assert_null(ln_policy_match_inbound(p, 6, 443, NULL, 0));
	assert_null(ln_policy_match_inbound(empty, 6, 443, NULL, 0));
	ln_policy_free(&p);
	ln_policy_free(&empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(unix_table),         cmocka_unit_test(longest_names),
	    cmocka_unit_test(no_pattern_is_slow), cmocka_unit_test(covering),
	    cmocka_unit_test(inbound_table),      cmocka_unit_test(rules_of_all_kinds),
	    cmocka_unit_test(without_the_lists),
	};

	return cmocka_run_group_tests_name("local", tests, NULL, NULL);
}
