/* SPDX-License-Identifier: Apache-2.0 */
/* Policy files in several hands: what is added looks like what is there, and all else stays. */
#include "learn_fixture.h"

#include <netinet/in.h>
#include <sys/wait.h>
#include <unistd.h>
#include "output/markdown.h"

#define WALL_NS (1795824000ULL * LN_NS_PER_S) /* 2026-11-28 */
#define KNOWN                                                                                      \
	"TODO: what for? seen 2 times, first 2026-11-28T00:00:00Z, 517 bytes out, 5120 in, by "

/* One connection to a name, and to an address; a question; a socket; a port. */
static void see(struct ln_observations *o, enum ln_finding_kind kind, const char *name,
		const char *remote, bool inbound)
{
	static struct ln_proc proc = {.pid = 7, .exe = (char *)"/usr/bin/curl"};
	struct ln_name_evidence evidence = {.source = LN_NAME_ANSWER, .grants = true};
	struct ln_flow flow = {.proto = IPPROTO_TCP, .inbound = inbound};
	struct ln_flow_end end = {.tx_bytes = 517, .rx_bytes = 5120};
	struct ln_finding f = {.kind = kind,
			       .wall_ns = WALL_NS,
			       .verdict = LN_VERDICT_UNEXPECTED,
			       .title = "x",
			       .proc = &proc};
	static uint64_t id;

	flow.id = ++id;
	f.query = name;
	if (kind == LN_FINDING_FLOW_OPEN) {
		assert_true(ln_endpoint_parse(remote, 0, &flow.remote));
		flow.local = flow.remote;
		f.flow = &flow;
		snprintf(evidence.name, sizeof(evidence.name), "%s", name ? name : "");
		f.names = &evidence;
		f.n_names = name != NULL;
	}
	(void)ln_observe(o, &f);
	if (kind != LN_FINDING_FLOW_OPEN)
		return;
	flow.id = ++id;
	(void)ln_observe(o, &f);
	f.kind = LN_FINDING_FLOW_CLOSE;
	f.end = &end;
	(void)ln_observe(o, &f);
}

struct outcome {
	char *diff, *after; /* owned */
};

static void edit(const char *before, struct ln_observations *o, struct outcome *ret)
{
	struct ln_policy *policy = parse(before, strlen(before));
	struct told told = {.seen = o};
	struct ln_proposals proposals;
	struct ln_policy_edit edited;
	struct ln_buf diff = {0}, after = {0};

	propose(&told, policy, true, 0, &proposals);
	const struct ln_policy_edit_config config = {.text = before,
						     .len = strlen(before),
						     .policy = policy,
						     .proposals = &proposals,
						     .seen = o,
						     .wall_ns = WALL_NS};
	struct ln_error err = {0};
	if (ln_policy_edit_make(&config, &err, &edited) < 0)
		fail_msg("%s", err.text);
	ln_diff_write(&diff, "policy.yaml", &edited.lines, &edited.changes, edited.eol);
	ln_diff_apply(&after, &edited.lines, &edited.changes, edited.eol);
	*ret = (struct outcome){strdup(ln_buf_text(&diff)), strdup(ln_buf_text(&after))};
	ln_policy_edit_done(&edited);
	ln_proposals_done(&proposals);
	ln_policy_free(&policy);
	ln_buf_done(&diff);
	ln_buf_done(&after);
	policy = parse(ret->after, strlen(ret->after));
	ln_policy_free(&policy);
}

static void outcome_done(struct outcome *o)
{
	free(o->diff);
	free(o->after);
}

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

/* As patch(1) reads it, without any fuzz. */
static void assert_patch_agrees(const char *before, const struct outcome *o)
{
	char dir[] = "/tmp/linnet-edit-XXXXXX", file[64], diff[64], text[16384];
	int status;

	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/policy.yaml", dir);
	snprintf(diff, sizeof(diff), "%s/diff", dir);
	put_file(file, before);
	put_file(diff, o->diff);
	pid_t pid = fork();
	if (pid == 0) {
		execlp("patch", "patch", "-s", "--binary", "--fuzz=0", file, diff, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	FILE *f = fopen(file, "re");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	unlink(file);
	unlink(diff);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(status, 0);
	assert_string_equal(text, o->after);
}

static struct ln_observations *observations(void)
{
	struct ln_observations *o;

	assert_int_equal(ln_observations_new(&o), 0);
	return o;
}

static void test_the_diff_word_for_word(void **state)
{
	static const char before[] = "# the head\nagent_name: a\nexpected_outbound:\n"
				     "- destination: 'old.example.com'  # why\n  port: 443\n"
				     "  protocol: tcp\n  purpose: |\n    two\n    # lines\n\n"
				     "# the tail\nresolvers: [192.0.2.53]\n";
	struct ln_observations *o = observations();
	struct outcome out;

	see(o, LN_FINDING_FLOW_OPEN, "new.example.com", "192.0.2.1:443", false);
	edit(before, o, &out);
	assert_string_equal(
	    out.diff, "--- policy.yaml\n+++ policy.yaml\n@@ -1,6 +1,7 @@\n # the head\n"
		      " agent_name: a\n expected_outbound:\n"
		      "+# not used in this run (2026-11-28)\n"
		      " - destination: 'old.example.com'  # why\n   port: 443\n   protocol: tcp\n"
		      "@@ -8,5 +9,9 @@\n     two\n     # lines\n \n"
		      "+- destination: 'new.example.com'\n+  port: 443\n+  protocol: TCP\n"
		      "+  purpose: \"" KNOWN "/usr/bin/curl\"\n"
		      " # the tail\n resolvers: [192.0.2.53]\n");
	assert_patch_agrees(before, &out);
	outcome_done(&out);
	ln_observations_free(&o);
}

/* Each file with all that can be added to it; patch(1) and the parser agree with us. */
static void test_files_in_many_hands(void **state)
{
	static const char *const files[] = {
	    "agent_name: a\nexpected_outbound:\n  - destination: x.example.com\n    port: 1\n"
	    "    protocol: TCP", /* no line break at its end */
	    "agent_name: a\r\nexpected_outbound:\r\n- destination: \"x.example.com\"\r\n  port: "
	    "1\r\n"
	    "  protocol: TCP\r\n",
	    "\xef\xbb\xbf"
	    "agent_name: a\nexpected_outbound:\n    -   destination: x.example.com\n"
	    "        port: 1\n        protocol: TCP\n\n    -   destination: y.example.com\n"
	    "        port: 1\n        protocol: TCP\n\n\nallowed_dynamic_resolution:\n- "
	    "'q.example.com'\n",
	    "agent_name: a\nexpected_outbound:\n"
	    "  - {destination: x.example.com, port: 1, protocol: TCP, purpose: 'it''s'}\n"
	    "# end\n",
	    "agent_name: a\nexpected_outbound: [{destination: x.example.com, port: 1, protocol: "
	    "TCP},\n"
	    "  {destination: y.example.com, port: 1, protocol: TCP} , # ], not here\n  ]\n"
	    "expected_unix: ['/run/ü', /run/y]\n",
	    "expected_inbound:\n  - port: 22\n    protocol: TCP\n    from: 10.0.0.0/8\n"
	    "expected_outbound:\n-\n  destination: x.example.com\n  port: 1\n  protocol: TCP\n"
	    "agent_name: >-\n  a\n  b\n",
	    "agent_name: a\nexpected_outbound:\n  - destination: x.example.com\n    port: 1\n"
	    "    protocol: TCP\nexpected_inbound:\n  - port: 22\n    protocol: TCP\n",
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(files); i++) {
		struct ln_observations *o = observations();
		struct outcome out;

		see(o, LN_FINDING_FLOW_OPEN, "new.example.com", "192.0.2.1:443", false);
		see(o, LN_FINDING_FLOW_OPEN, NULL, "[2001:db8::1]:443", false);
		see(o, LN_FINDING_FLOW_OPEN, NULL, "192.0.2.2:8080", true);
		see(o, LN_FINDING_DNS_QUERY, "asked.example.com", NULL, false);
		edit(files[i], o, &out);
		assert_non_null(strstr(out.after, "new.example.com"));
		assert_non_null(strstr(out.after, "2001:db8::1"));
		assert_non_null(strstr(out.after, "asked.example.com"));
		assert_non_null(strstr(out.after, "8080"));
		assert_patch_agrees(files[i], &out);
		outcome_done(&out);
		ln_observations_free(&o);
	}
}

static void test_a_mark_comes_once_and_goes(void **state)
{
	static const char before[] =
	    "agent_name: a\nexpected_outbound:\n  # not used in this run (2025-01-01)\n"
	    "  - destination: used.example.com\n    port: 443\n    protocol: TCP\n"
	    "  # not used in this run (2025-01-01)\n"
	    "  - destination: idle.example.com\n    port: 443\n    protocol: TCP\n"
	    "deny:\n  - destination: bad.example.com\n";
	struct ln_policy *policy = parse(before, strlen(before));
	struct ln_observations *o = observations();
	struct outcome out;
	struct ln_finding f = {.kind = LN_FINDING_DNS_QUERY,
			       .query = "used.example.com",
			       .wall_ns = WALL_NS,
			       .verdict = LN_VERDICT_DNS,
			       .rule = ln_policy_rule(policy, 0)};

	(void)ln_observe(o, &f);
	edit(before, o, &out);
	assert_string_equal(out.diff,
			    "--- policy.yaml\n+++ policy.yaml\n@@ -1,6 +1,5 @@\n agent_name: a\n"
			    " expected_outbound:\n-  # not used in this run (2025-01-01)\n"
			    "   - destination: used.example.com\n     port: 443\n"
			    "     protocol: TCP\n");
	assert_patch_agrees(before, &out);
	outcome_done(&out);
	ln_observations_free(&o);
	ln_policy_free(&policy);
}

static void test_denied_and_cloud_are_not_proposed(void **state)
{
	static const char before[] =
	    "agent_name: a\nexpected_outbound:\n  - destination: x.example.com\n    port: 1\n"
	    "    protocol: TCP\n    expires: 2026-01-01\ndeny:\n  - destination: "
	    "\"*.evil.example\"\n";
	struct ln_policy *policy = parse(before, strlen(before));
	struct told told = {.seen = observations()};
	struct ln_proposals p;

	see(told.seen, LN_FINDING_FLOW_OPEN, "a.evil.example", "192.0.2.1:443", false);
	see(told.seen, LN_FINDING_DNS_QUERY, "b.evil.example", NULL, false);
	see(told.seen, LN_FINDING_FLOW_OPEN, NULL, "169.254.169.254:80", false);
	see(told.seen, LN_FINDING_FLOW_OPEN, "x.example.com", "192.0.2.3:1", false);
	propose(&told, policy, true, 0, &p);
	assert_int_equal(p.n, 0);
	assert_int_equal(p.n_not, 4);
	ln_proposals_done(&p);
	ln_observations_free(&told.seen);
	ln_policy_free(&policy);
}

/* A wildcard never covers what somebody else may register, nor a rule of the file. */
static void test_folding(void **state)
{
	static const char *const names[] = {
	    "a.x.example.com", "b.x.example.com", "c.d.x.example.com", "example.com",
	    "one.co.uk",       "two.co.uk",       "three.co.uk",       "a.github.io",
	    "b.github.io",     "c.github.io",     "localhost",         "x"};
	static const char before[] =
	    "agent_name: a\nexpected_outbound:\n  - destination: k.x.example.com\n    port: 443\n"
	    "    protocol: TCP\n";
	struct ln_policy *none = ln_policy_new_empty("a"), *policy = parse(before, strlen(before));
	struct told told = {.seen = observations()};
	struct ln_proposals p;
	size_t wild = 0;

	for (size_t i = 0; i < LN_ARRAY_SIZE(names); i++)
		see(told.seen, LN_FINDING_FLOW_OPEN, names[i], "192.0.2.1:443", false);
	propose(&told, none, false, 3, &p);
	for (size_t i = 0; i < p.n; i++) {
		if (p.rules[i].text[0] != '*')
			continue;
		assert_string_equal(p.rules[i].text, "*.x.example.com");
		assert_int_equal(p.rules[i].folded, 3);
		assert_int_equal(p.rules[i].count, 6);
		wild++;
	}
	assert_int_equal(wild, 1);
	assert_int_equal(p.n, LN_ARRAY_SIZE(names) - 2);
	ln_proposals_done(&p);
	propose(&told, policy, true, 3, &p);
	assert_int_equal(p.n, LN_ARRAY_SIZE(names));
	ln_proposals_done(&p);
	propose(&told, none, false, 4, &p);
	assert_int_equal(p.n, LN_ARRAY_SIZE(names));
	ln_proposals_done(&p);
	ln_observations_free(&told.seen);
	ln_policy_free(&none);
	ln_policy_free(&policy);
}

static void test_a_full_table_keeps_its_room_for_others(void **state)
{
	struct ln_observations *o = observations();
	const struct ln_observed **list;
	char name[64];
	size_t n;

	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "n%d.example.com", i);
		see(o, LN_FINDING_DNS_QUERY, name, NULL, false);
	}
	see(o, LN_FINDING_FLOW_OPEN, "real.example.com", "192.0.2.1:443", false);
	assert_int_equal(ln_observations_over(o, LN_OBSERVED_NAME), 5000 - 1024);
	assert_int_equal(ln_observations_over(o, LN_OBSERVED_DEST), 0);
	list = ln_observations_sorted(o, &n);
	assert_int_equal(n, 1025);
	assert_string_equal(list[0]->text, "real.example.com");
	assert_int_equal(list[0]->count, 2);
	assert_int_equal(list[0]->rx_bytes, 5120);
	free(list);
	ln_observations_free(&o);
}

/* Whatever the bytes: one line, one cell, one span, no HTML. */
static void test_markdown_of_hostile_texts(void **state)
{
	uint32_t seed = 1;

	for (int round = 0; round < 20000; round++) {
		static const char alphabet[] =
		    "`|<>&\\\n\r\t*_[](){}#!~@$:/.\"' ab\x1b\x7f\xc3\xa9\xe2"
		    "\x80\xae\xff";
		char text[24];
		struct ln_buf out = {0};
		size_t n = 0;

		while (n < sizeof(text) - 1) {
			seed = seed * 1664525 + 1013904223;
			text[n++] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
		}
		text[(seed >> 8) % sizeof(text)] = '\0';
		text[sizeof(text) - 1] = '\0';
		ln_markdown_code(&out, text);
		const char *said = ln_buf_text(&out);
		size_t len = strlen(said);
		assert_true(len >= 3 && said[0] == '`' && said[len - 1] == '`');
		for (size_t i = 1; i + 1 < len; i++)
			assert_true((uint8_t)said[i] >= 0x20 && !strchr("`|<>\x7f", said[i]));
		assert_null(strstr(said, "\u202e"));
		ln_buf_done(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_diff_word_for_word),
	    cmocka_unit_test(test_files_in_many_hands),
	    cmocka_unit_test(test_a_mark_comes_once_and_goes),
	    cmocka_unit_test(test_denied_and_cloud_are_not_proposed),
	    cmocka_unit_test(test_folding),
	    cmocka_unit_test(test_a_full_table_keeps_its_room_for_others),
	    cmocka_unit_test(test_markdown_of_hostile_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
