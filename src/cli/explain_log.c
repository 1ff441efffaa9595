/* SPDX-License-Identifier: Apache-2.0 */
/* An alert of a log: what was recorded, and what a policy says of it now. */
#include <netinet/in.h>
#include <string.h>
#include "base/buf.h"
#include "base/log.h"
#include "base/text.h"
#include "commands.h"
#include "explain.h"
#include "output/json.h"
#include "output/record_event.h"
#include "rejudge.h"

#define ID_MAX 64

struct alert {
	const char *id;
	bool json, has_policy;
	bool found, judged, allowed;
	char last[ID_MAX]; /* the last id of the log; "" none has one */
	struct ln_buf text;
};

static void add_words(struct ln_buf *b, const char *words)
{
	ln_text_escape(b, words, strlen(words));
}

static void add_line(struct ln_buf *b, const char *label, const char *words)
{
	if (!words)
		return;
	ln_buf_addf(b, "  %-11s ", label);
	add_words(b, words);
	ln_buf_addc(b, '\n');
}

/* NULL for what is no text. */
static const char *text_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void add_endpoint(struct ln_buf *b, const char *label, const json_t *o, const char *proto)
{
	const char *ip = text_of(o, "ip"), *name = text_of(o, "name");
	long long port = json_integer_value(json_object_get(o, "port"));

	if (!ip && !name)
		return;
	ln_buf_addf(b, "  %-11s ", label);
	if (name)
		add_words(b, name);
	if (name && ip)
		ln_buf_adds(b, " at ");
	if (ip)
		ln_buf_adds(b, strchr(ip, ':') ? "[" : "");
	if (ip)
		add_words(b, ip);
	if (ip)
		ln_buf_adds(b, strchr(ip, ':') ? "]" : "");
	ln_buf_addf(b, ":%lld", port);
	if (proto) {
		ln_buf_addc(b, '/');
		add_words(b, proto);
	}
	ln_buf_addc(b, '\n');
}

static void add_command(struct ln_buf *b, const json_t *o)
{
	const json_t *args = json_object_get(o, "args"), *one;
	const char *exe = text_of(o, "exe");
	size_t i;

	ln_buf_addf(b, "  %-11s ", "Command:");
	if (exe)
		ln_text_escape_word(b, exe, strlen(exe));
	else
		ln_buf_adds(b, "unknown");
	json_array_foreach(args, i, one)
	{
		if (i == 0 || !json_is_string(one))
			continue;
		ln_buf_addc(b, ' ');
		ln_text_escape_word(b, json_string_value(one), json_string_length(one));
	}
	ln_buf_addf(b, " (PID %lld)\n", (long long)json_integer_value(json_object_get(o, "pid")));
}

static void add_parents(struct ln_buf *b, const json_t *o)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(o, "parents"), i, one)
	{
		const char *exe = text_of(one, "exe");

		ln_buf_addf(b, "  %-11s ", i == 0 ? "Started by:" : "by:");
		ln_text_escape_word(b, exe ? exe : "unknown", strlen(exe ? exe : "unknown"));
		ln_buf_addf(b, " (PID %lld)\n",
			    (long long)json_integer_value(json_object_get(one, "pid")));
	}
}

static void add_names(struct ln_buf *b, const json_t *o)
{
	const json_t *one, *names = json_object_get(o, "names");
	size_t i;

	json_array_foreach(names, i, one)
	{
		const char *name = text_of(one, "name"), *source = text_of(one, "source");

		if (!name || !source)
			continue;
		ln_buf_addf(b, "  %-11s ", "Evidence:");
		add_words(b, name);
		ln_buf_adds(b, ": ");
		add_words(b, source);
		ln_buf_addf(b, ", %lld s before; %s\n",
			    (long long)json_integer_value(json_object_get(one, "age")),
			    json_is_true(json_object_get(one, "grants")) ? "trusted"
									 : "only a name");
	}
	if (json_is_array(names) && json_array_size(names) == 0)
		add_line(b, "Evidence:", "no name was known for the address");
}

static void add_record(struct ln_buf *b, const struct ln_log_record *rec)
{
	const json_t *o = rec->json;
	const char *proto = text_of(o, "proto");

	add_words(b, rec->alert_id);
	ln_buf_adds(b, ": ");
	add_words(b, rec->title ? rec->title : rec->type);
	ln_buf_addc(b, '\n');
	add_line(b, "Time:", text_of(o, "time"));
	add_command(b, o);
	add_line(b, "Query:", text_of(o, "query"));
	add_line(b, "Subject:", text_of(o, "subject"));
	if (rec->kind == LN_FINDING_CLAIM)
		add_endpoint(b, "Target:", json_object_get(o, "target"), NULL);
	add_endpoint(b, rec->kind == LN_FINDING_DNS_QUERY ? "Resolver:" : "To:",
		     json_object_get(o, "remote"), proto);
	add_line(b, "Place:", text_of(o, "place"));
	add_names(b, o);
	add_parents(b, o);
	add_line(b, "Action:", rec->action);
	if (rec->rule) {
		ln_buf_addf(b, "  %-11s line %u: ", "Rule:", rec->rule_line);
		add_words(b, rec->rule);
		ln_buf_addc(b, '\n');
	}
	add_line(b, "Reason:", rec->reason);
	add_line(b, "Hint:", rec->hint);
}

static void add_json_record(struct ln_buf *b, const struct ln_log_record *rec)
{
	char *text = json_dumps(rec->json, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);

	ln_buf_adds(b, "{\"record\":");
	ln_buf_adds(b, text ? text : "null");
	free(text);
}

static void on_record(const struct ln_log_record *rec, void *user)
{
	struct alert *a = user;

	if (!rec->alert_id)
		return;
	snprintf(a->last, sizeof(a->last), "%s", rec->alert_id);
	if (a->found || strcmp(rec->alert_id, a->id) != 0)
		return;
	a->found = true;
	if (a->json)
		add_json_record(&a->text, rec);
	else
		add_record(&a->text, rec);
}

/* What a person may paste, of a flow. */
static void add_rule(struct ln_buf *b, const struct ln_finding *f)
{
	const struct ln_endpoint *remote = f->wire ? f->wire : f->flow ? &f->flow->remote : NULL;
	char text[LN_ADDR_TEXT_MAX];
	bool named = f->n_names > 0 && f->names[0].grants;

	if (!remote || f->flow->inbound || remote->port == 0 ||
	    (f->kind != LN_FINDING_FLOW_OPEN && f->kind != LN_FINDING_WIRE) ||
	    (f->flow->proto != IPPROTO_TCP && f->flow->proto != IPPROTO_UDP))
		return;
	if (f->rule && f->rule->kind == LN_RULE_DENY)
		return;
	ln_buf_adds(b, "  To allow it, add to expected_outbound:\n");
	ln_explain_add_rule(b, "    ",
			    named ? f->names[0].name : ln_addr_format(&remote->addr, text),
			    remote->port, f->flow->proto, NULL);
}

static void add_now(struct alert *a, const struct ln_finding *now)
{
	struct ln_buf *b = &a->text;

	ln_buf_addf(b, "By the policy that was given, it is %s\n",
		    a->allowed ? "allowed" : "UNEXPECTED");
	if (now->rule && !now->reason) {
		ln_buf_addf(b, "  %-11s line %u: ", "Rule:", now->rule->line);
		add_words(b, now->rule->text);
		ln_buf_addc(b, '\n');
	}
	add_line(b, "Reason:", now->reason);
	if (!ln_explain_is_rule(now->hint))
		add_line(b, "Hint:", now->hint);
	if (!a->allowed)
		add_rule(b, now);
}

static void on_judged(const struct ln_log_record *was, const struct ln_finding *now, void *user)
{
	struct alert *a = user;
	struct ln_buf *b = &a->text;

	if (a->judged || !was->alert_id || strcmp(was->alert_id, a->id) != 0)
		return;
	a->judged = true;
	a->allowed = now->verdict != LN_VERDICT_UNEXPECTED && !now->title;
	if (!a->json) {
		add_now(a, now);
		return;
	}
	LN_JSON_KEY(b, "now");
	LN_JSON_OPEN(b, "allowed");
	ln_json_bool(b, a->allowed);
	LN_JSON_KEY(b, "verdict");
	ln_json_text(b, ln_verdict_text(now->verdict));
	LN_JSON_KEY(b, "rule");
	ln_record_rule(b, now->rule, now->rule_name);
	LN_JSON_KEY(b, "reason");
	ln_json_text(b, now->reason);
	LN_JSON_KEY(b, "hint");
	ln_json_text(b, now->hint);
	ln_buf_addc(b, '}');
}

static int tell_missing(const struct alert *a, const char *log)
{
	if (a->last[0] != '\0')
		ln_log(LN_LOG_ERROR, "there is no alert \"%s\" in %s; the last one is %s", a->id,
		       log, a->last);
	else
		ln_log(LN_LOG_ERROR, "there is no alert with an id in %s", log);
	return LN_STATUS_USAGE;
}

int ln_explain_alert(const char *log, const char *id, const struct ln_policy *policy, bool json)
{
	struct alert a = {.id = id, .json = json, .has_policy = policy != NULL};
	const struct ln_rejudge how = {
	    .policy = policy, .record = on_record, .judged = on_judged, .user = &a};
	struct ln_log_sums sums;
	int status = LN_STATUS_FINDINGS;

	a.text.max = 4 * LN_LOG_LINE_MAX;
	if (ln_rejudge_file(log, &how, &sums) < 0) {
		status = LN_STATUS_USAGE;
	} else if (!a.found) {
		status = tell_missing(&a, log);
	} else {
		if (json)
			ln_buf_adds(&a.text, "}\n");
		else if (policy && !a.judged)
			ln_buf_adds(&a.text, "No policy decides about it: it is an alert by what "
					     "happened.\n");
		fputs(ln_buf_text(&a.text), stdout);
		status = a.judged && a.allowed ? 0 : LN_STATUS_FINDINGS;
	}
	ln_buf_done(&a.text);
	return status;
}
