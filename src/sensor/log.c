/* SPDX-License-Identifier: Apache-2.0 */
/* The connection log, line by line. */
#include "log.h"

#include <errno.h>
#include <string.h>
#include "log_impl.h"

static const char *kind_text(unsigned int i)
{
	return ln_finding_kind_text((enum ln_finding_kind)i);
}

static const char *verdict_text(unsigned int i)
{
	return ln_verdict_text((enum ln_verdict)i);
}

/* One line without its end. */
enum line { LINE_WHOLE, LINE_CUT, LINE_LONG, LINE_END };

static enum line next_line(FILE *in, struct ln_buf *line)
{
	bool any = false;
	int c;

	ln_buf_reset(line);
	while ((c = getc_unlocked(in)) != EOF && c != '\n') {
		any = true;
		if (line->len <= LN_LOG_LINE_MAX)
			ln_buf_addc(line, (char)c);
	}
	if (line->len > LN_LOG_LINE_MAX)
		return LINE_LONG;
	if (c == '\n')
		return LINE_WHOLE;
	return any ? LINE_CUT : LINE_END;
}

static void read_lists(struct ln_log_reader *r, const json_t *json, struct ln_log_header *h)
{
	const json_t *list = ln_log_list(r, json, "resolvers"), *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		const char *text = json_string_value(one);

		if (!text || h->n_resolvers == LN_LOG_RESOLVERS_MAX ||
		    !ln_endpoint_parse(text, 53, &h->resolvers[h->n_resolvers++]))
			ln_log_wrong(r,
				     "\"resolvers\" has what is no address and port, or more "
				     "than %d of them",
				     LN_LOG_RESOLVERS_MAX);
	}
	list = ln_log_list(r, json, "search");
	json_array_foreach(list, i, one)
	{
		if (!json_is_string(one) || h->n_search == LN_LOG_SEARCH_MAX ||
		    !ln_name_canonical(json_string_value(one), json_string_length(one),
				       h->search[h->n_search++]))
			ln_log_wrong(r, "\"search\" has what is no name, or more than %d of them",
				     LN_LOG_SEARCH_MAX);
	}
}

/* -EINVAL: the rest of the log cannot be read either. */
static int take_header(struct ln_log_reader *r, const json_t *json, struct ln_error *err)
{
	struct ln_log_header h = {.line = r->line, .json = json};
	uint64_t schema = ln_log_number(r, json, "schema", UINT32_MAX);

	if (!r->wrong && schema != LN_LOG_SCHEMA)
		return ln_error_set(err, EINVAL,
				    "a log of schema %llu, this linnet reads %d; read it with the "
				    "linnet that wrote it, or a newer one",
				    (unsigned long long)schema, LN_LOG_SCHEMA);
	h.wall_ns = ln_log_time(r, json);
	h.version = ln_log_text(r, json, "linnet");
	h.sensor = ln_log_text(r, json, "sensor");
	h.agent_name = ln_log_text(r, json, "agent");
	h.policy_file = ln_log_text(r, json, "policy");
	h.run = ln_log_text(r, json, "run");
	h.root_pid = (uint32_t)ln_log_number(r, json, "pid", UINT32_MAX);
	h.netns = ln_log_hex(r, json, "netns");
	read_lists(r, json, &h);
	if (r->wrong)
		return ln_error_set(err, EINVAL, "the header cannot be used: %s", r->what);
	r->first_wall_ns = h.wall_ns;
	if (r->h->header)
		r->h->header(&h, r->user);
	return 0;
}

static void read_rule(struct ln_log_reader *r, struct ln_log_record *rec)
{
	const json_t *rule = json_object_get(rec->json, "rule");

	if (!json_is_object(rule))
		return;
	rec->rule = ln_log_text(r, rule, "destination");
	rec->rule_kind = ln_log_text(r, rule, "kind");
	rec->rule_name = ln_log_text(r, rule, "name");
	rec->rule_line = (uint32_t)ln_log_number(r, rule, "line", UINT32_MAX);
}

static void take_record(struct ln_log_reader *r, const char *type, const json_t *json)
{
	struct ln_log_record rec = {.line = r->line, .type = type, .json = json};

	rec.kind = LN_FINDING_COUNT;
	for (unsigned int k = 0; k < LN_FINDING_COUNT; k++) {
		if (strcmp(kind_text(k), type) == 0)
			rec.kind = (enum ln_finding_kind)k;
	}
	rec.wall_ns = ln_log_time(r, json);
	rec.verdict = (enum ln_verdict)ln_log_word(r, json, "verdict", verdict_text,
						   LN_VERDICT_COUNT, LN_VERDICT_NONE);
	rec.alert = ln_log_bool(r, json, "alert");
	rec.title = ln_log_text(r, json, "title");
	rec.reason = ln_log_text(r, json, "reason");
	rec.hint = ln_log_text(r, json, "hint");
	rec.action = ln_log_text(r, json, "action");
	rec.alert_id = ln_log_text(r, json, "alert_id");
	read_rule(r, &rec);
	if (r->wrong)
		return;
	if (r->h->record)
		r->h->record(&rec, r->user);
	ln_log_events(r, &rec);
	if (!r->wrong && r->h->done)
		r->h->done(&rec, r->user);
}

static int take_line(struct ln_log_reader *r, const struct ln_buf *line, struct ln_error *err)
{
	json_error_t wrong;
	json_t *json = json_loadb(line->data ? line->data : "", line->len,
				  JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &wrong);
	const char *type;
	int error = 0;

	if (!json) {
		ln_log_wrong(r, "no JSON (column %d): %s", wrong.column, wrong.text);
		return 0;
	}
	type = json_is_object(json) ? ln_log_text(r, json, "type") : NULL;
	if (!type)
		ln_log_wrong(r, "no record: an object with a \"type\" is one");
	else if (strcmp(type, "header") == 0)
		error = take_header(r, json, err);
	else if (r->first_wall_ns == 0)
		error = ln_error_set(err, EINVAL,
				     "a record before any header; is this a "
				     "connection log of linnet, from its first line?");
	else
		take_record(r, type, json);
	json_decref(json);
	return error;
}

static void tell_bad(struct ln_log_reader *r, struct ln_log_sums *sums)
{
	sums->bad++;
	if (r->h->bad)
		r->h->bad(r->line, r->what, r->user);
}

static int read_lines(struct ln_log_reader *r, FILE *in, struct ln_buf *line,
		      struct ln_log_sums *sums, struct ln_error *err)
{
	enum line kind;
	int error = 0;

	while (error == 0 && (kind = next_line(in, line)) != LINE_END) {
		r->line = ++sums->lines;
		r->wrong = false;
		if (line->failed)
			return ln_error_set(err, ENOMEM, "out of memory");
		if (kind == LINE_LONG)
			ln_log_wrong(r, "longer than %u bytes", LN_LOG_LINE_MAX);
		else
			error = take_line(r, line, err);
		if (r->wrong && kind == LINE_CUT) {
			sums->cut = true;
			snprintf(r->what, sizeof(r->what), "the last record is cut off");
		}
		if (r->wrong && error == 0)
			tell_bad(r, sums);
	}
	if (error == 0 && ferror(in))
		error = ln_error_set(err, errno ? errno : EIO, "cannot be read: %s",
				     strerror(errno ? errno : EIO));
	if (error == 0 && r->first_wall_ns == 0)
		error = ln_error_set(err, EINVAL, "no header; is this a connection log of linnet?");
	return error;
}

int ln_log_read(FILE *in, const char *name, const struct ln_log_handlers *h, void *user,
		struct ln_error *err, struct ln_log_sums *ret)
{
	struct ln_log_reader r = {.h = h, .user = user};
	struct ln_buf line = {.max = LN_LOG_LINE_MAX + 2};
	struct ln_log_sums sums = {0};
	int error;

	errno = 0;
	error = read_lines(&r, in, &line, &sums, err);
	if (error < 0)
		ln_error_prefix(err, "%s:%llu", name, (unsigned long long)r.line);
	while (r.n_words > 0)
		free(r.words[--r.n_words]);
	ln_buf_done(&r.args);
	ln_buf_done(&r.chain);
	ln_buf_done(&line);
	*ret = sums;
	return error;
}
