/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a connection log that is judged anew: through the reader into an engine, and what it
 * finds into all that is shown of it. A record is a line of JSON, an alert can be shown, and what
 * was learned is a policy. */
#include "engine_checks.h"
#include "output/markdown.h"
#include "output/policy_text.h"
#include "sensor/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct replay {
	struct ln_policy *policy;
	struct ln_engine *engine;
	struct ln_observations *seen;
	struct shown shown;
};

static void on_finding(const struct ln_finding *f, void *user)
{
	struct replay *r = user;

	require_finding(&r->shown, f);
	(void)ln_observe(r->seen, f);
}

static void on_header(const struct ln_log_header *h, void *user)
{
	struct replay *r = user;
	const struct ln_engine_config config = {
	    .policy = r->policy,
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

	ln_engine_free(&r->engine);
	require(ln_engine_new(&config, &r->engine) == 0);
}

static void on_event(const struct ln_event *ev, void *user)
{
	struct replay *r = user;

	if (r->engine)
		ln_engine_feed(r->engine, ev);
}

static void check_learned(struct replay *r)
{
	const struct ln_propose_config config = {.policy = r->policy, .fold = LN_FOLD_DEFAULT};
	const struct ln_policy_text about = {
	    .agent_name = "fuzz", .source = "\n\x1b", .wall_ns = 1};
	struct ln_proposals proposals;
	struct ln_diags diags = {0};
	struct ln_policy *learned = NULL;
	struct ln_engine_summary sum;
	const struct ln_sink_summary all = {.sum = &sum};
	struct ln_buf text = {0}, summary = {0};
	const struct ln_observed **seen;
	size_t n;

	require(ln_propose(r->seen, &config, &proposals) == 0);
	if (ln_policy_text_whole(&text, &proposals, &about))
		require(ln_policy_parse("learned.yaml", ln_buf_text(&text), text.len, false, &diags,
					&learned) == 0);
	seen = ln_observations_sorted(r->seen, &n);
	ln_engine_summary(r->engine, &sum);
	ln_markdown_summary(&summary, "fuzz", &all, seen, n, &proposals);
	require_shown(ln_buf_text(&summary), summary.len, true);
	free(seen);
	ln_buf_done(&summary);
	ln_buf_done(&text);
	ln_diags_done(&diags);
	ln_policy_free(&learned);
	ln_proposals_done(&proposals);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ln_log_handlers handlers = {.header = on_header, .event = on_event};
	FILE *in = size > 0 ? fmemopen((void *)(uintptr_t)data, size, "r") : NULL;
	struct ln_error err = {0};
	struct ln_log_sums sums;
	struct replay r = {0};

	if (!in)
		return 0;
	r.policy = make_policy(policy_text, sizeof(policy_text) - 1);
	require(ln_observations_new(&r.seen) == 0);
	(void)ln_log_read(in, "log", &handlers, &r, &err, &sums);
	if (r.engine) {
		ln_engine_finish(r.engine, UINT64_MAX / 2, UINT64_MAX / 2);
		check_learned(&r);
	}
	fclose(in);
	ln_engine_free(&r.engine);
	ln_observations_free(&r.seen);
	shown_done(&r.shown);
	ln_policy_free(&r.policy);
	return 0;
}
