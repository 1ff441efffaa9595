/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <errno.h>
#include <string.h>
#include "base/error.h"
#include "base/text.h"
#include "markdown.h"
#include "policy/parse.h"
#include "policy_edit.h"
#include "writer.h"

struct report {
	struct ln_sink base;
	const struct ln_report_plan *plan;
	const struct ln_policy *policy;
	struct ln_observations *seen;
	struct ln_writer progress;
	struct ln_buf line;
};

static struct report *report_of(struct ln_sink *s)
{
	return (struct report *)s;
}

/* "linnet: seen: api.example.com 443/TCP, by /usr/bin/curl …" */
static void tell_progress(struct report *r, const struct ln_observed *s)
{
	const char *proto = ln_proto_name(s->proto);

	ln_buf_reset(&r->line);
	ln_buf_adds(&r->line, "linnet: seen: ");
	if (s->kind == LN_OBSERVED_INBOUND)
		ln_buf_adds(&r->line, "inbound");
	ln_text_escape(&r->line, s->text, strlen(s->text));
	if (s->port)
		ln_buf_addf(&r->line, " %u/%s", s->port, proto ? proto : "?");
	if (s->kind == LN_OBSERVED_NAME)
		ln_buf_adds(&r->line, " (asked for)");
	else if (s->kind == LN_OBSERVED_CLAIM)
		ln_buf_adds(&r->line, " (named by the agent)");
	else if (s->kind == LN_OBSERVED_UNIX)
		ln_buf_adds(&r->line, " (UNIX socket)");
	ln_buf_addf(&r->line, ", by %s\n", s->command);
	ln_writer_put(&r->progress, &r->base, &r->line, 1);
}

static void on_finding(struct ln_sink *s, const struct ln_finding *f)
{
	struct report *r = report_of(s);
	const struct ln_observed *news = ln_observe(r->seen, f);

	if (news && r->plan->progress_fd >= 0 && news->unexpected > 0 &&
	    news->kind != LN_OBSERVED_OTHER)
		tell_progress(r, news);
}

static void put(struct report *r, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len > 0) {
		ssize_t n = write(r->plan->fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r->base.error = r->base.error ? r->base.error : errno;
			return;
		}
		at += n;
		len -= (size_t)n;
	}
}

static void send_part(struct report *r, enum ln_report_part part, const char *text, size_t len)
{
	const struct ln_report_head head = {.part = part, .len = len};

	put(r, &head, sizeof(head));
	put(r, text, len);
}

/* What is given to a person as a policy is one. */
static int check(const struct ln_buf *text, struct ln_error *err)
{
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;
	int r = ln_policy_parse("proposal", text->len ? text->data : "", text->len, false, &diags,
				&policy);

	if (r == -EINVAL && diags.n > 0)
		ln_error_set(err, EINVAL,
			     "the proposed policy would not pass `linnet check` (line %u: %s); "
			     "the connection log has all that was seen",
			     diags.list[0].line, diags.list[0].text);
	else if (r < 0)
		ln_error_set(err, -r, "out of memory");
	ln_diags_done(&diags);
	ln_policy_free(&policy);
	return r;
}

static int make_policy(struct report *r, const struct ln_proposals *proposals, struct ln_buf *out,
		       struct ln_error *err)
{
	const struct ln_policy_text about = {
	    .agent_name = ln_policy_agent_name(r->policy),
	    .source = r->plan->source,
	    .wall_ns = ln_observations_last_wall_ns(r->seen),
	};

	if (!ln_policy_text_whole(out, proposals, &about))
		return ln_error_set(err, ENODATA,
				    out->failed
					? "out of memory"
					: "the agent connected to nothing that a policy can list, "
					  "so there is no policy to write");
	return check(out, err);
}

static int make_diff(struct report *r, const struct ln_proposals *proposals, struct ln_buf *out,
		     struct ln_error *err)
{
	const struct ln_policy_edit_config config = {
	    .text = r->plan->text,
	    .len = r->plan->text_len,
	    .policy = r->policy,
	    .proposals = proposals,
	    .seen = r->seen,
	    .wall_ns = ln_observations_last_wall_ns(r->seen),
	};
	struct ln_buf whole = {.max = 2 * LN_POLICY_TEXT_MAX};
	struct ln_policy_edit edit;
	int e = ln_policy_edit_make(&config, err, &edit);

	if (e < 0)
		return e;
	out->max = 3 * LN_POLICY_TEXT_MAX;
	ln_diff_write(out, ln_policy_file(r->policy), &edit.lines, &edit.changes, edit.eol);
	ln_diff_apply(&whole, &edit.lines, &edit.changes, edit.eol);
	ln_policy_edit_done(&edit);
	e = out->failed || whole.failed ? ln_error_set(err, ENOMEM, "out of memory")
					: check(&whole, err);
	ln_buf_done(&whole);
	return e;
}

static void send_learned(struct report *r, const struct ln_proposals *proposals)
{
	struct ln_buf text = {0};
	struct ln_error err = {0};
	bool diff = r->plan->text;
	int e =
	    diff ? make_diff(r, proposals, &text, &err) : make_policy(r, proposals, &text, &err);

	if (e < 0)
		send_part(r, LN_REPORT_ERROR, err.text, strlen(err.text));
	else
		send_part(r, diff ? LN_REPORT_DIFF : LN_REPORT_POLICY, text.data, text.len);
	ln_buf_done(&text);
}

static void send_summary(struct report *r, const struct ln_sink_summary *all,
			 const struct ln_proposals *proposals)
{
	struct ln_buf text = {0};
	size_t n;
	LN_AUTO_FREE const struct ln_observed **seen = ln_observations_sorted(r->seen, &n);

	if (!seen)
		ln_buf_adds(&text, "**Out of memory: what was seen is missing here.**\n\n");
	ln_markdown_summary(&text, ln_policy_agent_name(r->policy), all, seen, seen ? n : 0,
			    proposals);
	send_part(r, LN_REPORT_SUMMARY, text.data, text.len);
	ln_buf_done(&text);
}

static void on_summary(struct ln_sink *s, const struct ln_sink_summary *all)
{
	static const char no_memory[] = "out of memory";
	struct report *r = report_of(s);
	const struct ln_propose_config config = {
	    .policy = r->policy,
	    .existing = r->plan->existing,
	    .fold = r->plan->fold,
	};
	struct ln_proposals proposals;

	if (ln_propose(r->seen, &config, &proposals) < 0) {
		send_part(r, LN_REPORT_ERROR, no_memory, strlen(no_memory));
		proposals = (struct ln_proposals){0};
	} else if (r->plan->learn) {
		send_learned(r, &proposals);
	}
	if (r->plan->summary)
		send_summary(r, all, &proposals);
	send_part(r, LN_REPORT_END, NULL, 0);
	ln_proposals_done(&proposals);
}

static void on_flush(struct ln_sink *s)
{
	if (report_of(s)->plan->progress_fd >= 0)
		ln_writer_flush(&report_of(s)->progress);
}

static void on_free(struct ln_sink *s)
{
	struct report *r = report_of(s);

	ln_observations_free(&r->seen);
	ln_writer_done(&r->progress);
	ln_buf_done(&r->line);
	free(r);
}

void ln_sink_report_set_policy(struct ln_sink *s, const struct ln_policy *policy)
{
	report_of(s)->policy = policy;
}

int ln_sink_report_new(const struct ln_report_plan *plan, const struct ln_policy *policy,
		       struct ln_sink **ret)
{
	static const struct ln_sink_ops ops = {
	    .name = "report",
	    .finding = on_finding,
	    .summary = on_summary,
	    .flush = on_flush,
	    .free = on_free,
	};
	struct report *r = calloc(1, sizeof(*r));

	if (!r || ln_observations_new(&r->seen) < 0) {
		free(r);
		return -ENOMEM;
	}
	r->base.ops = &ops;
	r->plan = plan;
	r->policy = policy;
	ln_writer_init(&r->progress, plan->progress_fd, false);
	*ret = &r->base;
	return 0;
}
