/* SPDX-License-Identifier: Apache-2.0 */
#include "rejudge.h"

#include <errno.h>
#include <string.h>
#include "base/log.h"

#define BAD_TOLD_MAX 20

struct rejudging {
	const struct ln_rejudge *how;
	const char *path;
	struct ln_engine *engine;        /* of this run; owned */
	const struct ln_log_record *was; /* whose finding is waited for; NULL: none */
	uint64_t bad;
	int error;
};

static void on_bad(uint64_t line, const char *what, void *user)
{
	struct rejudging *r = user;

	r->was = NULL;
	if (r->bad++ < BAD_TOLD_MAX)
		ln_log(LN_LOG_WARNING, "%s:%llu: %s; the line is passed over", r->path,
		       (unsigned long long)line, what);
}

/* Only the first one of the record's own kind is about it. */
static void on_finding(const struct ln_finding *f, void *user)
{
	struct rejudging *r = user;

	if (!r->was || f->kind != r->was->kind)
		return;
	r->how->judged(r->was, f, r->how->user);
	r->was = NULL;
}

static void on_header(const struct ln_log_header *h, void *user)
{
	struct rejudging *r = user;
	struct ln_engine_config config = {
	    .policy = r->how->policy,
	    .agent_name = h->agent_name,
	    .agent = 1,
	    .resolvers = h->resolvers,
	    .n_resolvers = h->n_resolvers,
	    .netns = h->netns,
	    .search = h->search,
	    .n_search = h->n_search,
	    .on_finding = on_finding,
	    .user = r,
	};
	const struct ln_endpoint *listed;
	size_t n;

	if (r->how->header)
		r->how->header(h, r->how->user);
	if (!r->how->policy)
		return;
	n = ln_policy_resolvers(r->how->policy, &listed);
	if (n > 0) {
		config.resolvers = listed;
		config.n_resolvers = n;
	}
	ln_engine_free(&r->engine);
	r->error = ln_engine_new(&config, &r->engine);
}

static void on_record(const struct ln_log_record *rec, void *user)
{
	struct rejudging *r = user;

	if (r->how->record)
		r->how->record(rec, r->how->user);
	r->was = rec;
}

static void on_event(const struct ln_event *ev, void *user)
{
	struct rejudging *r = user;

	if (r->engine)
		ln_engine_feed(r->engine, ev);
}

static void on_done(const struct ln_log_record *rec, void *user)
{
	struct rejudging *r = user;

	r->was = NULL;
}

int ln_rejudge_file(const char *path, const struct ln_rejudge *how, struct ln_log_sums *ret)
{
	static const struct ln_log_handlers handlers = {
	    .header = on_header,
	    .record = on_record,
	    .event = on_event,
	    .done = on_done,
	    .bad = on_bad,
	};
	struct rejudging r = {.how = how, .path = path};
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *in = is_stdin ? stdin : fopen(path, "re");
	struct ln_error err = {0};
	int error;

	if (!in) {
		error = -errno;
		ln_log(LN_LOG_ERROR, "cannot read the log %s: %s", path, strerror(errno));
		return error;
	}
	error = ln_log_read(in, path, &handlers, &r, &err, ret);
	if (error == 0 && r.error < 0)
		error = ln_error_set(&err, -r.error, "out of memory");
	if (error < 0)
		ln_log(LN_LOG_ERROR, "%s", err.text);
	else if (r.bad > BAD_TOLD_MAX)
		ln_log(LN_LOG_WARNING, "%s: %llu more lines cannot be used", path,
		       (unsigned long long)(r.bad - BAD_TOLD_MAX));
	ln_engine_free(&r.engine);
	if (!is_stdin)
		fclose(in);
	return error;
}
