/* SPDX-License-Identifier: Apache-2.0 */
/* Stories (tests/data/stories) under a policy: what was observed, and which violations a rule could
 * have permitted. Only test_learn.c and test_policy_edit.c include it. */
#ifndef LINNET_TESTS_LEARN_FIXTURE_H
#define LINNET_TESTS_LEARN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "engine/engine.h"
#include "output/observed.h"
#include "output/policy_edit.h"
#include "output/propose.h"
#include "policy/parse.h"
#include "sensor/sensor.h"

#define RESOLVER "10.0.0.53:53"
#define STORIES  "tests/data/stories/"

struct told {
	struct ln_observations *seen;
	struct ln_engine *engine;
	size_t listable; /* violations that a rule could permit */
	char first[300]; /* the first of them */
};

static inline struct ln_policy *parse(const char *text, size_t len)
{
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;
	int r = ln_policy_parse("test.yaml", text, len, false, &diags, &policy);

	if (r < 0)
		fail_msg("line %u: %s\n%.*s", diags.n ? diags.list[0].line : 0,
			 diags.n ? diags.list[0].text : "?", (int)len, text);
	ln_diags_done(&diags);
	return policy;
}

static inline void told_finding(const struct ln_finding *f, void *user)
{
	struct told *t = user;

	(void)ln_observe(t->seen, f);
	if (f->verdict != LN_VERDICT_UNEXPECTED || !f->title || f->kind == LN_FINDING_REPEATS ||
	    !ln_observed_can_be_listed(f))
		return;
	if (t->listable++ == 0)
		snprintf(t->first, sizeof(t->first), "%s: %s %s", f->title,
			 f->query     ? f->query
			 : f->subject ? f->subject
				      : "",
			 f->hint ? f->hint : "");
}

static inline void told_event(const struct ln_event *ev, void *user)
{
	ln_engine_feed(((struct told *)user)->engine, ev);
}

/* Runs the story; `seen` is the caller's to free. */
static inline struct told tell(const char *story, const struct ln_policy *policy)
{
	struct told t = {0};
	struct ln_endpoint resolver;
	struct ln_error err = {0};
	struct ln_sensor *sensor = NULL;
	struct ln_engine_config config = {
	    .policy = policy,
	    .agent = 1,
	    .resolvers = &resolver,
	    .n_resolvers = 1,
	    .on_finding = told_finding,
	    .user = &t,
	};

	assert_true(ln_endpoint_parse(RESOLVER, 53, &resolver));
	assert_int_equal(ln_observations_new(&t.seen), 0);
	assert_int_equal(ln_engine_new(&config, &t.engine), 0);
	if (ln_sensor_replay_new(story, &err, &sensor) < 0)
		fail_msg("%s: %s", story, err.text);
	sensor->ops->dispatch(sensor, told_event, &t);
	ln_engine_free(&t.engine);
	ln_sensor_free(&sensor);
	return t;
}

static inline void propose(const struct told *t, const struct ln_policy *policy, bool existing,
			   size_t fold, struct ln_proposals *ret)
{
	const struct ln_propose_config config = {
	    .policy = policy, .existing = existing, .fold = fold};

	assert_int_equal(ln_propose(t->seen, &config, ret), 0);
}

#endif
