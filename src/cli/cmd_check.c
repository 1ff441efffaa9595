/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "commands.h"

static void print_json(const char *file, uint32_t line, uint32_t column, const char *severity,
		       const char *text)
{
	struct ln_buf b = {0};

	ln_buf_adds(&b, "{\"file\":");
	ln_text_json(&b, file, strlen(file));
	if (line)
		ln_buf_addf(&b, ",\"line\":%u,\"column\":%u", line, column);
	ln_buf_addf(&b, ",\"severity\":\"%s\",\"text\":", severity);
	ln_text_json(&b, text, strlen(text));
	ln_buf_addc(&b, '}');
	puts(ln_buf_text(&b));
	ln_buf_done(&b);
}

static void print_ok(const char *file, size_t rules, bool json)
{
	struct ln_buf b = {0};

	if (json) {
		ln_buf_adds(&b, "{\"file\":");
		ln_text_json(&b, file, strlen(file));
		ln_buf_addf(&b, ",\"severity\":\"ok\",\"rules\":%zu}", rules);
	} else {
		ln_text_escape(&b, file, strlen(file));
		ln_buf_addf(&b, ": ok, %zu rule%s", rules, rules == 1 ? "" : "s");
	}
	puts(ln_buf_text(&b));
	ln_buf_done(&b);
}

static void print_note(const char *file, const struct ln_rule *rule, const char *text, bool json)
{
	LN_AUTO_FREE char *note = NULL;

	if (json) {
		print_json(file, rule->line, 1, "note", text);
	} else if (asprintf(&note, "note: %s", text) >= 0) {
		const struct ln_diag d = {.line = rule->line, .column = 1, .text = note};
		ln_print_diag(stdout, file, &d);
	}
}

/* What is no error, but a hole in the threat model that a policy is. */
static void print_gaps(const char *file, const struct ln_policy *p, bool json)
{
	for (size_t i = 0; i < ln_policy_rules(p); i++) {
		const struct ln_rule *rule = ln_policy_rule(p, i);
		if (rule->kind != LN_RULE_DYNAMIC && rule->kind != LN_RULE_DENY && !rule->purpose)
			print_note(file, rule, "this rule has no purpose; say what it is for",
				   json);
	}
}

/* International names, as the DNS has them and as people read them. */
static void print_both_forms(const char *file, const struct ln_policy *p, bool json)
{
	for (size_t i = 0; i < ln_policy_rules(p); i++) {
		const struct ln_rule *rule = ln_policy_rule(p, i);
		char name[LN_NAME_UNICODE_MAX], text[LN_NAME_UNICODE_MAX + LN_NAME_MAX + 32];

		if (!rule->name || rule->kind == LN_RULE_UNIX || !ln_name_unicode(rule->name, name))
			continue;
		snprintf(text, sizeof(text), "%s is %s in the DNS", name, rule->name);
		print_note(file, rule, text, json);
	}
}

/* Whether there are some. What is over permits nothing, so it is an error only when strict. */
static bool print_over(const char *file, const struct ln_policy *p, bool strict, bool json)
{
	uint64_t now_s = ln_clock_wall_ns() / LN_NS_PER_S;
	bool found = false;

	for (size_t i = 0; i < ln_policy_rules(p); i++) {
		const struct ln_rule *rule = ln_policy_rule(p, i);
		char when[LN_TIME_TEXT_MAX], text[160];

		if (!ln_rule_is_over(rule, now_s))
			continue;
		found = true;
		snprintf(text, sizeof(text),
			 "this rule expired on %s and permits nothing; remove it, or give it a "
			 "later date",
			 ln_time_format(rule->expires_s * LN_NS_PER_S, 0, when));
		const struct ln_diag d = {
		    .line = rule->line, .column = 1, .warning = !strict, .text = text};
		if (json)
			print_json(file, d.line, d.column, strict ? "error" : "warning", text);
		else
			ln_print_diag(stdout, file, &d);
	}
	return found;
}

/* The exit status for one file. */
static int check_file(const char *file, bool strict, bool json)
{
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;
	struct ln_error err = {0};
	struct stat st;
	int r = ln_load_policy(file, strict, &diags, &st, &err, &policy);

	for (size_t i = 0; i < diags.n; i++) {
		const struct ln_diag *d = &diags.list[i];
		if (json)
			print_json(file, d->line, d->column, d->warning ? "warning" : "error",
				   d->text);
		else
			ln_print_diag(stdout, file, d);
	}
	ln_diags_done(&diags);
	if (r == -EINVAL)
		return LN_STATUS_FINDINGS;
	if (r < 0) {
		ln_log(LN_LOG_ERROR, "%s", err.text);
		return LN_STATUS_USAGE;
	}
	print_gaps(file, policy, json);
	print_both_forms(file, policy, json);
	int status = print_over(file, policy, strict, json) && strict ? LN_STATUS_FINDINGS : 0;
	if (status == 0)
		print_ok(file, ln_policy_rules(policy), json);
	ln_policy_free(&policy);
	return status;
}

static int run(const struct ln_command *c, int argc, char **argv)
{
	struct ln_options o;
	const char *value = NULL;
	bool strict = false, json = false;
	int id, status = 0;

	ln_options_init(&o, c, argc, argv);
	while ((id = ln_options_next(&o, &value)) != LN_OPT_END) {
		if (id == LN_OPT_STRICT)
			strict = true;
		else if (id == LN_OPT_JSON)
			json = true;
		else
			return id == LN_OPT_HELP ? 0 : c->usage_status;
	}
	int first = ln_options_rest(&o);
	if (first == argc)
		return ln_options_wrong(c, "no policy file is given: linnet check FILE…");
	for (int i = first; i < argc; i++) {
		int one = check_file(argv[i], strict, json);
		status = LN_MAX(status, one);
	}
	return status;
}

static const struct ln_option OPTIONS[] = {
    {"strict", LN_OPT_STRICT, NULL, "each rule must say its purpose, and warnings are errors"},
    {"json", LN_OPT_JSON, NULL, "one JSON object a line"},
    {"help", 'h', NULL, "this text"},
    {0},
};

const struct ln_command ln_cmd_check = {
    .name = "check",
    .summary = "tell all that is wrong with policy files",
    .usage = "[--strict] [--json] FILE…",
    .description = "Reads policies and tells all errors of all files in one run, each as\n"
		   "FILE:LINE:COLUMN: what; what to do. Exits with 0 when there is none, with 1\n"
		   "when there are some, and with 2 when a file cannot be read.\n",
    .options = OPTIONS,
    .examples = "  linnet check policy.yaml\n"
		"  linnet check --strict policies/*.yaml\n"
		"  linnet check --json policy.yaml | jq .text\n",
    .operand = "FILE",
    .usage_status = LN_STATUS_USAGE,
    .run = run,
};
