/* SPDX-License-Identifier: Apache-2.0 */
/* The connection log read back; that verdicts come out as they were is in tests/replay. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include "sensor/log.h"

#define HEADER                                                                                     \
	"{\"schema\":1,\"type\":\"header\",\"time\":\"2023-10-26T14:32:00.000000Z\","              \
	"\"linnet\":\"0.1.0\",\"sensor\":\"bpf\",\"agent\":\"a\",\"policy\":\"p.yaml\","           \
	"\"rules\":1,\"pid\":7843,\"run\":\"k7f2\",\"resolvers\":[\"10.0.0.53:53\"],"              \
	"\"search\":[\"corp.example\"],\"netns\":\"1f\",\"blind\":[]}\n"
#define TIME "\"time\":\"2023-10-26T14:32:07.5Z\","
#define OPEN(fields)                                                                               \
	"{" TIME "\"type\":\"flow-open\",\"agent\":\"a\",\"pid\":7843,\"verdict\":\"expected\","   \
	"\"id\":\"abc\",\"proto\":\"TCP\",\"remote\":{\"ip\":\"192.0.2.1\",\"port\":443}" fields   \
	"}\n"
#define NAMES(fields)                                                                              \
	OPEN(",\"names\":[{\"name\":\"a.example\",\"source\":\"answer\",\"grants\":true,"          \
	     "\"stale\":false,\"ttl\":60,\"asked_by\":7843,\"age\":2,\"expires_in\":58" fields     \
	     "}]")

static struct {
	unsigned int headers, records, done, events, bad;
	uint64_t bad_line;
	char what[256];
	struct ln_event flow, name;
	char chain[256];
} got;
static struct ln_log_sums sums;
static struct ln_error err;

static void on_header(const struct ln_log_header *h, void *user)
{
	struct ln_endpoint resolver;

	got.headers++;
	assert_true(ln_endpoint_parse("10.0.0.53:53", 0, &resolver));
	assert_int_equal(h->n_resolvers, 1);
	assert_memory_equal(&h->resolvers[0], &resolver, sizeof(resolver));
	assert_int_equal(h->n_search, 1);
	assert_string_equal(h->search[0], "corp.example");
	assert_string_equal(h->agent_name, "a");
	assert_string_equal(h->policy_file, "p.yaml");
	assert_string_equal(h->run, "k7f2");
	assert_int_equal(h->netns, 0x1f);
	assert_int_equal(h->root_pid, 7843);
}

static void on_record(const struct ln_log_record *r, void *user)
{
	got.records++;
}

static void on_done(const struct ln_log_record *r, void *user)
{
	got.done++;
}

static void on_event(const struct ln_event *ev, void *user)
{
	got.events++;
	if (ev->kind == LN_EVENT_NAME) {
		got.name = *ev;
		if (ev->name.evidence.chain)
			snprintf(got.chain, sizeof(got.chain), "%s", ev->name.evidence.chain);
	} else {
		got.flow = *ev;
	}
}

static void on_bad(uint64_t line, const char *what, void *user)
{
	got.bad++;
	got.bad_line = line;
	snprintf(got.what, sizeof(got.what), "%s", what);
}

static int read_bytes(const char *text, size_t len)
{
	static const struct ln_log_handlers handlers = {.header = on_header,
							.record = on_record,
							.event = on_event,
							.done = on_done,
							.bad = on_bad};
	FILE *in = fmemopen((void *)(uintptr_t)text, len, "r");
	int r;

	assert_non_null(in);
	memset(&got, 0, sizeof(got));
	err = (struct ln_error){0};
	r = ln_log_read(in, "x.jsonl", &handlers, NULL, &err, &sums);
	fclose(in);
	return r;
}

static int read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

static void test_a_flow_and_its_names(void **state)
{
	const struct ln_name_evidence *e = &got.name.name.evidence;

	assert_int_equal(read_text(HEADER NAMES(",\"chain\":[\"b.example\",\"c.example\"]")), 0);
	assert_int_equal(got.headers, 1);
	assert_int_equal(got.records, 1);
	assert_int_equal(got.done, 1);
	assert_int_equal(got.events, 2);
	assert_int_equal(got.bad, 0);
	assert_int_equal(got.flow.kind, LN_EVENT_FLOW_OPEN);
	assert_int_equal(got.flow.pid, 7843);
	assert_int_equal(got.flow.flow.flow.id, 0xabc);
	assert_int_equal(got.flow.flow.flow.proto, IPPROTO_TCP);
	assert_int_equal(got.flow.flow.flow.remote.port, 443);
	assert_string_equal(e->name, "a.example");
	assert_int_equal(e->source, LN_NAME_ANSWER);
	assert_true(e->grants);
	assert_int_equal(e->expires_ns - got.flow.time_ns, 58 * LN_NS_PER_S);
	assert_int_equal(got.flow.time_ns - e->seen_ns, 2 * LN_NS_PER_S);
	assert_string_equal(got.chain, "b.example c.example");
}

/* Whole seconds are in the log; what was over must not permit for the part of one. */
static void test_what_was_over_stays_over(void **state)
{
	const struct ln_name_evidence *e = &got.name.name.evidence;

	assert_int_equal(
	    read_text(HEADER OPEN(",\"names\":[{\"name\":\"a.example\",\"source\":\"answer\","
				  "\"grants\":false,\"ttl\":60,\"age\":700,\"expires_in\":-600}]")),
	    0);
	assert_true(got.flow.time_ns - e->expires_ns > 600 * LN_NS_PER_S);
	assert_int_equal(
	    read_text(HEADER OPEN(",\"names\":[{\"name\":\"a.example\",\"source\":\"answer\","
				  "\"grants\":true,\"stale\":true,\"expires_in\":-600}]")),
	    0);
	assert_int_equal(got.flow.time_ns - e->expires_ns, 600 * LN_NS_PER_S);
	assert_int_equal(read_text(HEADER OPEN(",\"names\":[{\"name\":\"a.example\","
					       "\"source\":\"sni\",\"expires_in\":null}]")),
			 0);
	assert_false(e->grants);
	/* The agent could have written it. */
	assert_int_equal(read_text(HEADER OPEN(",\"names\":[{\"name\":\"a.example\","
					       "\"source\":\"hosts\",\"grants\":false,"
					       "\"expires_in\":null}]")),
			 0);
	assert_false(e->grants);
}

static void test_bad_lines_are_told_and_passed_over(void **state)
{
	static const struct {
		const char *text, *what;
	} lines[] = {
	    {"{\n", "no JSON (column "},
	    {"\n", "no JSON"},
	    {"[]\n", "no record"},
	    {"{\"type\":1}\n", "\"type\" is no text"},
	    {"{\"type\":\"a\",\"type\":\"a\"}\n", "duplicate"},
	    {"{\"type\":\"flow-open\"}\n", "\"time\" is no time"},
	    {"{\"type\":\"flow-open\",\"time\":\"2023-10-26 14:32:07Z\"}\n", "\"time\" is no time"},
	    {"{" TIME "\"type\":\"flow-open\",\"pid\":-1}\n", "\"pid\" is no number from 0 to "},
	    {"{" TIME "\"type\":\"flow-open\",\"verdict\":\"fine\"}\n", "\"verdict\" has a word"},
	    {OPEN(",\"local\":{\"ip\":\"1.2.3\",\"port\":1}"), "\"ip\" is no address"},
	    {OPEN(",\"local\":{\"ip\":\"1.2.3.4\",\"port\":65536}"), "\"port\" is no number"},
	    {OPEN(",\"names\":[{\"name\":\"a b\"}]"), "a name that is none"},
	    {OPEN(",\"names\":[1]"), "\"names\" has what is no evidence"},
	    {OPEN(",\"hint\":\"a\\u0000b\""), "\"hint\" has a NUL"},
	    {"{" TIME "\"type\":\"channel\"}\n", "a channel of no kind"},
	    {"{" TIME "\"type\":\"dns-query\",\"query\":\"a..b\"}\n", "no DNS message"},
	};
	char text[4096];

	for (size_t i = 0; i < LN_ARRAY_SIZE(lines); i++) {
		snprintf(text, sizeof(text), "%s%s%s", HEADER, lines[i].text, NAMES(""));
		assert_int_equal(read_text(text), 0);
		if (got.bad != 1 || !strstr(got.what, lines[i].what))
			fail_msg("%s: %u: %s", lines[i].text, got.bad, got.what);
		assert_int_equal(got.bad_line, 2);
		assert_int_equal(sums.bad, 1);
		assert_int_equal(sums.lines, 3);
		assert_int_equal(got.done, 1); /* the line behind it */
		assert_int_equal(got.flow.flow.flow.id, 0xabc);
	}
}

static void test_what_is_not_known_is_ignored(void **state)
{
	assert_int_equal(
	    read_text(HEADER "{" TIME "\"type\":\"weather\",\"rain\":{\"mm\":1}}\n" NAMES(
		",\"colour\":\"red\"")),
	    0);
	assert_int_equal(got.bad, 0);
	assert_int_equal(got.records, 2);
	assert_int_equal(got.events, 2);
}

static void test_a_cut_end_is_told(void **state)
{
	size_t whole = strlen(HEADER NAMES(""));

	assert_int_equal(read_bytes(HEADER NAMES("") NAMES(""), whole + 40), 0);
	assert_true(sums.cut);
	assert_int_equal(got.bad, 1);
	assert_string_equal(got.what, "the last record is cut off");
	assert_int_equal(got.done, 1);
	/* Only the line break is missing. */
	assert_int_equal(read_bytes(HEADER NAMES(""), whole - 1), 0);
	assert_false(sums.cut);
	assert_int_equal(got.bad, 0);
	assert_int_equal(got.done, 1);
}

static void test_a_long_line_is_passed_over(void **state)
{
	size_t head = strlen(HEADER), len = head + LN_LOG_LINE_MAX + 100;
	char *text = malloc(len + sizeof(NAMES("")));

	assert_non_null(text);
	memcpy(text, HEADER, head);
	memset(text + head, 'x', len - head);
	memcpy(text + len, "\n" NAMES(""), sizeof("\n" NAMES("")) - 1);
	assert_int_equal(read_bytes(text, len + sizeof(NAMES("")) - 1), 0);
	free(text);
	assert_int_equal(got.bad, 1);
	assert_int_equal(got.bad_line, 2);
	assert_string_equal(got.what, "longer than 1048576 bytes");
}

static void test_what_is_no_log_is_refused(void **state)
{
	static const struct {
		const char *text, *what;
	} files[] = {
	    {"x\n", "x.jsonl:1: no header; is this a connection log"},
	    {NAMES(""), "x.jsonl:1: a record before any header"},
	    {"{\"schema\":2,\"type\":\"header\"}\n",
	     "x.jsonl:1: a log of schema 2, this linnet reads 1"},
	    {"{\"schema\":1,\"type\":\"header\"}\n", "the header cannot be used: \"time\""},
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(files); i++) {
		assert_int_equal(read_text(files[i].text), -EINVAL);
		if (!strstr(err.text, files[i].what))
			fail_msg("%s: %s", files[i].text, err.text);
	}
}

static void test_runs_of_one_file(void **state)
{
	assert_int_equal(read_text(HEADER NAMES("") HEADER), 0);
	assert_int_equal(got.headers, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_flow_and_its_names),
	    cmocka_unit_test(test_what_was_over_stays_over),
	    cmocka_unit_test(test_bad_lines_are_told_and_passed_over),
	    cmocka_unit_test(test_what_is_not_known_is_ignored),
	    cmocka_unit_test(test_a_cut_end_is_told),
	    cmocka_unit_test(test_a_long_line_is_passed_over),
	    cmocka_unit_test(test_what_is_no_log_is_refused),
	    cmocka_unit_test(test_runs_of_one_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
