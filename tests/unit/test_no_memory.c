/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that runs out, in each place: the first allocation of a play fails, the second, … until
 * the play does not ask for so many; once alone, and once with all that follow. Nothing may crash
 * or leak, and nothing may be missing in silence: what differs from the play that has enough is
 * announced by an error, or by a loss that is told or counted.
 */
#include "no_memory_fixture.h"

#include <netinet/in.h>
#include "payload/sniff.h"
#include "policy/permits.h"
#include "sensor/decode.h"
#include "sensor/log.h"

#define RECORDS "tests/fuzz/corpus/decode/"
#define HELLO   "tests/fuzz/corpus/quic/client-chromium-v1"
#define LOG     "tests/data/logs/seed.jsonl"

/* Or all the others would pass for nothing. */
static void test_memory_runs_out(void **state)
{
	void *volatile given, *volatile refused;

	scarce_begin(2, false);
	given = malloc(1);
	refused = calloc(1, 1);
	assert_true(scarce_end());
	assert_non_null(given);
	assert_null(refused);
	free(given);
	scarce_begin(1, true);
	given = malloc(1);
	refused = realloc(NULL, 1);
	assert_true(scarce_end());
	assert_null(given);
	assert_null(refused);
}

/* Whether the file is good, with how many messages; or out of memory. */
static int parse(const char *text, size_t len, size_t n, bool ever_after, size_t *ret_messages,
		 bool *ret_failed)
{
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;
	int r;

	scarce_begin(n, ever_after);
	r = ln_policy_parse("p.yaml", text, len, true, &diags, &policy);
	*ret_failed = scarce_end();
	assert_true((r == 0) == (policy != NULL));
	*ret_messages = diags.n;
	ln_diags_done(&diags);
	ln_policy_free(&policy);
	return r;
}

static void parse_until_it_passes(const char *name, bool ever_after)
{
	size_t len, messages, all;
	const char *text = read_text(name, &len);
	bool failed;
	int good = parse(text, len, 0, false, &all, &failed), r;

	for (size_t n = 1;; n++) {
		r = parse(text, len, n, ever_after, &messages, &failed);
		if (r != -ENOMEM && (r != good || messages != all))
			fail_msg("%s, allocation %zu: %d and %zu messages, not %d and %zu", name, n,
				 r, messages, good, all);
		if (!failed)
			break;
	}
}

static void test_a_policy_is_read_whole_or_not_at_all(void **state)
{
	static const char *const files[] = {
	    POLICIES "good-all-forms.yaml", POLICIES "good-local.yaml",
	    POLICIES "bad-keys.yaml",       POLICIES "bad-unquoted-wildcard.yaml",
	    POLICIES "bad-rules.yaml",
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(files); i++) {
		parse_until_it_passes(files[i], false);
		parse_until_it_passes(files[i], true);
	}
}

static void test_the_kernels_tables_are_made_whole_or_not_at_all(void **state)
{
	struct ln_policy *policy = make_policy(POLICIES "good-all-forms.yaml", "");
	struct ln_permits *whole = NULL, *permits;
	bool failed;

	assert_int_equal(ln_permits_new(policy, 0, &whole), 0);
	for (size_t n = 1;; n++) {
		int r;

		permits = NULL;
		scarce_begin(n, false);
		r = ln_permits_new(policy, 0, &permits);
		failed = scarce_end();
		assert_true(r == 0 || r == -ENOMEM);
		assert_true(r < 0 || (permits->n_sets == whole->n_sets &&
				      permits->n_ranges == whole->n_ranges &&
				      permits->n_nets == whole->n_nets &&
				      permits->n_names == whole->n_names));
		ln_permits_free(&permits);
		if (!failed)
			break;
	}
	ln_permits_free(&whole);
	ln_policy_free(&policy);
}

struct heard {
	size_t n;
	char name[LN_NAME_MAX];
	bool no_memory, failed;
};

static void on_claim(const struct ln_claim *c, void *user)
{
	struct heard *h = user;

	h->n++;
	if (c->name[0] != '\0')
		memcpy(h->name, c->name, sizeof(h->name));
}

/* What the datagrams of a fuzz input claim: 'd', then a length and so many bytes each. */
static struct heard hear(const char *text, size_t len, size_t n, bool ever_after)
{
	const uint8_t *at = (const uint8_t *)text + 1, *end = (const uint8_t *)text + len;
	struct heard h = {0};
	struct ln_sniff *s;

	scarce_begin(n, ever_after);
	s = ln_sniff_new(IPPROTO_UDP);
	while (s && end - at > 2) {
		size_t piece = LN_MIN((size_t)at[0] << 8 | at[1], (size_t)(end - at - 2));

		ln_sniff_put(s, 0, at + 2, piece, on_claim, &h);
		at += 2 + piece;
	}
	h.no_memory = !s || ln_sniff_no_memory(s);
	h.failed = scarce_end();
	ln_sniff_free(&s);
	return h;
}

static void hear_until_it_passes(bool ever_after)
{
	size_t len;
	const char *text = read_text(HELLO, &len);
	struct heard whole = hear(text, len, 0, false), h = {.failed = true};

	assert_string_not_equal(whole.name, "");
	assert_false(whole.no_memory);
	for (size_t n = 1; h.failed; n++) {
		h = hear(text, len, n, ever_after);
		if (!h.no_memory && (h.n != whole.n || strcmp(h.name, whole.name) != 0))
			fail_msg("allocation %zu: %zu claims, \"%s\", and not a word", n, h.n,
				 h.name);
	}
}

static void test_a_hello_of_quic_that_is_not_read_is_known(void **state)
{
	hear_until_it_passes(false);
	hear_until_it_passes(true);
}

struct reading {
	size_t events, bad;
};

static void on_event(const struct ln_event *ev, void *user)
{
	((struct reading *)user)->events++;
}

static void on_bad(uint64_t line, const char *what, void *user)
{
	((struct reading *)user)->bad++;
}

static void test_a_line_of_a_log_that_cannot_be_read_is_told(void **state)
{
	static const struct ln_log_handlers handlers = {.event = on_event, .bad = on_bad};
	LN_CLEANUP(ln_fclosep) FILE *in = NULL;
	struct reading whole = {0};
	struct ln_log_sums sums;
	bool failed = true;

	/* Without memory jansson 2.14 ends the program by an assertion of its own. */
	json_set_alloc_funcs(scarce_never, free);
	in = fopen(LOG, "re");
	assert_non_null(in);
	for (size_t n = 0; failed; n++) {
		struct reading r = {0};
		struct ln_error err = {0};
		int result;

		rewind(in);
		scarce_begin(n, false);
		result = ln_log_read(in, "log", &handlers, &r, &err, &sums);
		failed = scarce_end() || n == 0;
		whole = n == 0 ? r : whole;
		assert_true(result < 0 ? err.text[0] != '\0'
				       : r.events == whole.events || r.bad > whole.bad);
	}
	assert_true(whole.events > 0);
}

static void test_records_of_the_kernel_need_no_memory(void **state)
{
	static const char *const records[] = {
	    RECORDS "bytes", RECORDS "close", RECORDS "dns",  RECORDS "exec",
	    RECORDS "exit",  RECORDS "fork",  RECORDS "open",
	};
	static struct ln_decoder decoder;
	_Alignas(8) static char record[TEXT_MAX];

	for (size_t i = 0; i < LN_ARRAY_SIZE(records); i++) {
		struct ln_event ev;
		size_t len;

		memcpy(record, read_text(records[i], &len), TEXT_MAX);
		scarce_begin(1, true);
		assert_int_equal(ln_decode(&decoder, record, len, &ev), 0);
		assert_false(scarce_end());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_memory_runs_out),
	    cmocka_unit_test(test_a_policy_is_read_whole_or_not_at_all),
	    cmocka_unit_test(test_the_kernels_tables_are_made_whole_or_not_at_all),
	    cmocka_unit_test(test_a_hello_of_quic_that_is_not_read_is_known),
	    cmocka_unit_test(test_a_line_of_a_log_that_cannot_be_read_is_told),
	    cmocka_unit_test(test_records_of_the_kernel_need_no_memory),
	};

	return cmocka_run_group_tests_name("no_memory", tests, NULL, NULL);
}
