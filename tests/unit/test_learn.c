/* SPDX-License-Identifier: Apache-2.0 */
/* What is learned from a story permits the same story, whatever the story is; and what a hostile
 * agent calls itself and its destinations stays inside the texts that are made of it. */
#include "learn_fixture.h"

#include <netinet/in.h>
#include "output/markdown.h"

static const struct {
	const char *story;
	size_t left;  /* violations that no rule is proposed for */
	bool nothing; /* no destination, so no policy */
} STORY[] = {
    {"seed"},
    {"dynamic"},
    {"channels"},
    {"unix_sockets", .nothing = true},
    {"alias_answers"},
    {"child_connects"},
    {"claims"},
    {"cname"},
    {"dns_tcp"},
    {"dns_ways"},
    {"existing"},
    {"happy_eyeballs"},
    {"hosts"},
    {"loopback"},
    {"near_miss"},
    {"ordinary", .nothing = true},
    {"owner"},
    {"pool"},
    {"relays"},
    {"repeats"},
    {"reverse_names"},
    {"scan"},
    {"service_hints"},
    {"special", .left = 3}, /* machine credentials */
    {"ttl"},
    {"unlisted_query", .nothing = true},
    {"untrusted_answer"},
};

static void learn_story(size_t i, size_t fold)
{
	const struct ln_policy_text about = {.agent_name = "a", .source = "a test", .wall_ns = 1};
	struct ln_policy *none = ln_policy_new_empty("a"), *learned;
	struct ln_proposals proposals;
	struct ln_buf text = {0};
	char path[200];

	snprintf(path, sizeof(path), STORIES "%s.jsonl", STORY[i].story);
	struct told first = tell(path, none);
	propose(&first, none, false, fold, &proposals);
	if (ln_policy_text_whole(&text, &proposals, &about) == STORY[i].nothing)
		fail_msg("%s: %s", path, ln_buf_text(&text));
	if (!STORY[i].nothing) {
		learned = parse(text.data, text.len);
		struct told again = tell(path, learned);
		if (again.listable != STORY[i].left)
			fail_msg("%s, fold %zu: %zu left, %s; of:\n%s", path, fold, again.listable,
				 again.first, ln_buf_text(&text));
		ln_observations_free(&again.seen);
		ln_policy_free(&learned);
	}
	ln_policy_free(&none);
	ln_proposals_done(&proposals);
	ln_observations_free(&first.seen);
	ln_buf_done(&text);
}

static void test_each_story_is_permitted_by_what_it_teaches(void **state)
{
	for (size_t i = 0; i < LN_ARRAY_SIZE(STORY); i++) {
		learn_story(i, 0);
		learn_story(i, 2);
	}
}

/* A policy that is there, edited by what a story did under it: no violation is left, nothing of its
 * text is gone, and what is proposed then is nothing. */
static void edit_for(const char *story, const char *file)
{
	char path[200], *text = NULL;
	size_t len = 0, allocated = 0;
	FILE *f = fopen(file, "re");

	assert_non_null(f);
	ssize_t n = getdelim(&text, &allocated, '\0', f);
	assert_true(n > 0);
	len = (size_t)n;
	fclose(f);
	snprintf(path, sizeof(path), STORIES "%s.jsonl", story);
	for (int round = 0; round < 2; round++) {
		struct ln_policy *policy = parse(text, len);
		struct told told = tell(path, policy);
		struct ln_proposals proposals;
		struct ln_policy_edit edit;
		struct ln_buf after = {0};
		propose(&told, policy, true, 0, &proposals);
		const struct ln_policy_edit_config config = {.text = text,
							     .len = len,
							     .policy = policy,
							     .proposals = &proposals,
							     .seen = told.seen,
							     .wall_ns = 86400 * LN_NS_PER_S};
		assert_int_equal(ln_policy_edit_make(&config, NULL, &edit), 0);
		ln_diff_apply(&after, &edit.lines, &edit.changes, edit.eol);
		if (round > 0 && (edit.added > 0 || told.listable > 0))
			fail_msg("%s: %zu more rules, %s; of:\n%s", path, edit.added, told.first,
				 text);
		for (size_t i = 0; i < edit.changes.n; i++)
			assert_true(round > 0 || !edit.changes.list[i].gone ||
				    edit.changes.list[i].text.len > 0);
		free(text);
		text = strdup(ln_buf_text(&after));
		len = strlen(text);
		ln_policy_edit_done(&edit);
		ln_proposals_done(&proposals);
		ln_observations_free(&told.seen);
		ln_policy_free(&policy);
		ln_buf_done(&after);
	}
	free(text);
}

static void test_an_edited_policy_permits_the_story(void **state)
{
	static const char *const policies[] = {"tests/data/policies/seed.yaml", STORIES "wide.yaml",
					       STORIES "beside.yaml",
					       "tests/data/policies/good-all-forms.yaml"};

	for (size_t k = 0; k < LN_ARRAY_SIZE(policies); k++)
		for (size_t i = 0; i < LN_ARRAY_SIZE(STORY); i++)
			if (STORY[i].left == 0)
				edit_for(STORY[i].story, policies[k]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_story_is_permitted_by_what_it_teaches),
	    cmocka_unit_test(test_an_edited_policy_permits_the_story),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
