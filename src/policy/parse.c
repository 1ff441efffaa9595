/* SPDX-License-Identifier: Apache-2.0 */
#include "parse.h"

#include <errno.h>
#include <string.h>
#include "checks.h"
#include "loader.h"
#include "lookalike.h"
#include "source.h"

#define AGENT_NAME_MAX 128

static void read_agent_name(struct ln_loader *l, const struct ln_yaml_node *value)
{
	size_t len;

	if (!value || !ln_loader_text(l, value, "agent_name", AGENT_NAME_MAX, true, &len))
		return;
	if (len == 0) {
		ln_report_error(&l->report, value->at,
				"agent_name is empty; give the agent a name, for the alerts");
		return;
	}
	l->policy->agent_name = strndup(value->text, len);
	l->report.no_memory |= !l->policy->agent_name;
}

static void read_root(struct ln_loader *l, const struct ln_yaml_node *root)
{
	struct ln_field f[] = {
	    {"agent_name", "agent_name: the name that alerts show"},
	    {ln_rule_list_text(LN_RULE_EXPECTED),
	     "expected_outbound: the list of what the agent may reach"},
	    {ln_rule_list_text(LN_RULE_DYNAMIC)},
	    {ln_rule_list_text(LN_RULE_UNIX)},
	    {ln_rule_list_text(LN_RULE_INBOUND)},
	    {"resolvers"},
	    {"dns"},
	    {ln_rule_list_text(LN_RULE_DENY)},
	    {"mode"},
	    {"on_failure"},
	    {"loopback"},
	    {"limits"},
	    {"alert"},
	};
	char quote[LN_QUOTE_MAX];

	if (root->kind == LN_YAML_REPORTED)
		return;
	if (root->kind != LN_YAML_MAP) {
		ln_report_error(&l->report, root->at,
				"a policy must be a mapping with agent_name and expected_outbound "
				"(found %s); see linnet.yaml(5)",
				ln_yaml_found(root, quote));
		return;
	}
	ln_fields_read(root, f, LN_ARRAY_SIZE(f), &l->report);
	read_agent_name(l, f[0].value);
	ln_loader_list(l, &f[1], false, ln_rules_read_expected);
	ln_loader_list(l, &f[2], true, ln_rules_read_dynamic);
	/* In the order of their kinds, wherever they stand in the file. */
	ln_loader_list(l, &f[7], true, ln_rules_read_deny);
	ln_loader_list(l, &f[3], true, ln_rules_read_unix);
	ln_loader_list(l, &f[4], true, ln_rules_read_inbound);
	ln_loader_list(l, &f[5], true, ln_settings_read_resolver);
	ln_settings_read_dns(l, f[6].value);
	ln_settings_read_mode(l, f[8].value);
	ln_settings_read_on_failure(l, f[9].value);
	ln_settings_read_loopback(l, f[10].value);
	ln_loader_list(l, &f[11], true, ln_limits_read);
	ln_loader_list(l, &f[12], true, ln_sinks_read);
}

static void report_lost_indentation(struct ln_loader *l, const char *bytes, size_t len)
{
	struct ln_place at;

	if (l->report.diags->n_errors == 0 || !ln_source_lost_indentation(bytes, len, &at))
		return;
	/* One cause, one message: the others are its consequences. */
	ln_diags_done(l->report.diags);
	l->report.unkept = 0;
	ln_report_error(&l->report, at,
			"the file has lost its indentation, as text pasted from a web page does: "
			"every line starts at column 1; indent the keys of each rule under its "
			"\"- destination:\"");
}

static void report_empty(struct ln_loader *l)
{
	ln_report_error(&l->report, (struct ln_place){0},
			"the file is empty; write agent_name and expected_outbound, see "
			"linnet.yaml(5)");
}

static int load(struct ln_loader *l, const char *bytes, size_t len)
{
	struct ln_yaml yaml;
	int err;

	if (len > LN_POLICY_BYTES_MAX) {
		ln_report_error(&l->report, (struct ln_place){0},
				"the file is larger than %u MiB; use networks, *.suffix names and "
				"port ranges to write fewer rules",
				LN_POLICY_BYTES_MAX >> 20);
		return 0;
	}
	/* A byte order mark is no character: columns count from after it. */
	if (len >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
		bytes += 3;
		len -= 3;
	}
	if (!ln_source_check(bytes, len, &l->report))
		return 0;
	if (ln_source_is_blank(bytes, len)) {
		report_empty(l);
		return 0;
	}
	err = ln_yaml_load(bytes, len, &l->report, &yaml);
	if (err == 0 && yaml.root) {
		read_root(l, yaml.root);
		err = l->report.no_memory ? -ENOMEM : ln_index_build(l->policy);
		if (err == 0) {
			ln_check_rules(l->policy, l->places, &l->report);
			ln_check_lookalikes(l->policy, l->places, &l->report);
		}
	} else if (err == 0 && l->report.diags->n_errors == 0) {
		report_empty(l); /* libyaml sees less than we do: a second byte order mark */
	}
	ln_yaml_done(&yaml);
	report_lost_indentation(l, bytes, len);
	return err;
}

int ln_policy_parse(const char *file, const char *bytes, size_t len, bool strict,
		    struct ln_diags *diags, struct ln_policy **ret)
{
	struct ln_loader l = {.report = {.diags = diags, .strict = strict}};
	int err = -ENOMEM;

	l.policy = calloc(1, sizeof(*l.policy));
	if (l.policy) {
		l.policy->grace_ns = LN_POLICY_GRACE_NS;
		l.policy->file = strdup(file);
		l.policy->resolvers = calloc(LN_RESOLVERS_MAX, sizeof(*l.policy->resolvers));
		if (l.policy->file && l.policy->resolvers)
			err = load(&l, bytes, len);
	}
	ln_report_finish(&l.report);
	if (l.report.no_memory)
		err = -ENOMEM;
	else if (err == 0 && diags->n_errors > 0)
		err = -EINVAL;
	if (err == 0) {
		l.policy->suffixes = ln_suffixes_take(&l.suffixes);
		*ret = LN_TAKE_PTR(l.policy);
	}
	ln_policy_free(&l.policy);
	ln_suffixes_done(&l.suffixes);
	free(l.places);
	return err;
}
