/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/internal.h"
#include "policy/parse.h"
#include "property_play.h"

void play_broken(const struct play *p, const char *promise, int line)
{
	fail_msg("line %d: not so at event %zu: %s. To see it again: LINNET_SEED=%llu "
		 "LINNET_STORIES=1",
		 line, p->at, promise, (unsigned long long)p->story->seed);
}

static uint64_t mix(uint64_t digest, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < len; i++)
		digest = (digest ^ at[i]) * 0x100000001b3;
	return digest;
}

static uint64_t mix_text(uint64_t digest, const char *text)
{
	return mix(digest, text ? text : "-", text ? strlen(text) + 1 : 1);
}

static uint64_t digest_names(const struct ln_finding *f)
{
	uint32_t rule = f->rule ? f->rule->id : UINT32_MAX;
	uint64_t digest = mix(0, &f->verdict, sizeof(f->verdict));

	digest = mix(digest, &rule, sizeof(rule));
	for (size_t i = 0; i < f->n_names; i++) {
		digest = mix_text(digest, f->names[i].name);
		digest = mix(digest, &f->names[i].source, sizeof(f->names[i].source));
		digest = mix(digest, &f->names[i].grants, sizeof(f->names[i].grants));
	}
	return digest;
}

static void note(struct play *p, const struct ln_finding *f)
{
	uint64_t digest = p->digest;

	digest = mix(digest, &f->kind, sizeof(f->kind));
	digest = mix(digest, &f->alert, sizeof(f->alert));
	digest = mix(digest, &f->count, sizeof(f->count));
	digest = mix(digest, &f->repeat_of, sizeof(f->repeat_of));
	digest = mix(digest, &f->action, sizeof(f->action));
	digest = mix(digest, &f->forgery, sizeof(f->forgery));
	digest = mix_text(digest, f->title);
	digest = mix_text(digest, f->subject);
	digest = mix_text(digest, f->reason);
	digest = mix_text(digest, f->hint);
	digest = mix_text(digest, f->query);
	p->digest = digest ^ digest_names(f);
	if (f->kind == LN_FINDING_FLOW_OPEN && !p->again)
		p->opened[p->at] = (struct opened){true, f->verdict, digest_names(f)};
}

static struct flow_words *flow_words(struct play *p, uint64_t id)
{
	size_t i = 0;

	while (i < p->n_flows && p->flows[i].id != id)
		i++;
	check(p, i < LN_ARRAY_SIZE(p->flows));
	if (i == p->n_flows)
		p->flows[p->n_flows++] = (struct flow_words){.id = id};
	return &p->flows[i];
}

static void permitted_as(struct play *p, struct flow_words *w, const char *name)
{
	for (size_t i = 0; name && i < w->n_names; i++) {
		if (strcmp(w->names[i], name) == 0)
			return;
	}
	if (!name)
		return;
	check(p, w->n_names < LN_ARRAY_SIZE(w->names));
	strcpy(w->names[w->n_names++], name);
}

/* Outbound, and by the agent's own socket: what makes it the same is the destination alone. */
static bool is_plain(const struct ln_flow *flow)
{
	return !flow->inbound && !flow->received && !flow->passed;
}

static struct place_words *place_words(struct play *p, uint32_t agent, const struct ln_flow *flow)
{
	size_t i = 0;

	for (; i < p->n_places; i++) {
		const struct place_words *w = &p->places[i];

		if (w->agent == agent && w->flow.proto == flow->proto &&
		    w->flow.remote.port == flow->remote.port &&
		    ln_addr_equal(&w->flow.remote.addr, &flow->remote.addr))
			break;
	}
	check(p, i < LN_ARRAY_SIZE(p->places));
	if (i == p->n_places)
		p->places[p->n_places++] = (struct place_words){agent, *flow, false, ""};
	return &p->places[i];
}

/* A violation is told once, and then it is a repetition: never nothing, never twice. */
static void check_told(struct play *p, const struct ln_finding *f)
{
	struct place_words *w;

	if (f->verdict != LN_VERDICT_UNEXPECTED)
		return;
	check(p, f->alert != (f->repeat_of > 0));
	if (!is_plain(f->flow))
		return;
	w = place_words(p, f->agent, f->flow);
	check(p, f->alert == !w->alert);
	w->alert = true;
	snprintf(w->reason, sizeof(w->reason), "%s", f->reason);
}

static bool has_granting(const struct ln_finding *f, const char *name)
{
	for (size_t i = 0; i < f->n_names; i++) {
		if (f->names[i].grants && strcmp(f->names[i].name, name) == 0)
			return true;
	}
	return false;
}

/* Nothing grants but what was learnt as that, and all of it does. */
static void check_names(struct play *p, const struct ln_finding *f, const struct ln_addr *addr)
{
	const char *names[MODEL_NAMES_MAX];
	size_t n = model_granting(&p->model, f->agent, addr, names);

	for (size_t i = 0; i < n; i++)
		check(p, has_granting(f, names[i]));
	for (size_t i = 0; i < f->n_names; i++) {
		check(p, !f->names[i].grants || ln_name_source_grants(f->names[i].source));
		check(p, !f->names[i].grants ||
			     model_granted_until(&p->model, f->agent, addr, f->names[i].name) > 0);
	}
}

static void check_open(struct play *p, const struct ln_finding *f)
{
	struct flow_words *w = flow_words(p, f->flow->id);
	const struct ln_rule *rule;

	check(p, f->verdict == model_judge(&p->model, f->agent, f->flow, NULL, 0, &rule));
	check(p, f->rule == rule);
	check_names(p, f, &f->flow->remote.addr);
	check_told(p, f);
	w->verdict = f->verdict;
	w->n_names = 0;
	permitted_as(p, w, f->rule_name);
}

/* What permitted it by a name goes on to, so there is more than one answer: with the names of now
 * alone, or with one that permitted it before. */
static void check_verdict(struct play *p, const struct ln_finding *f)
{
	struct flow_words *w = flow_words(p, f->flow->id);
	const struct ln_rule *rule;
	bool fits = f->verdict == model_judge(&p->model, f->agent, f->flow, NULL, 0, &rule);

	for (size_t i = 0; i < w->n_names; i++) {
		const char *also = w->names[i];

		fits |= f->verdict == model_judge(&p->model, f->agent, f->flow, &also, 1, &rule);
	}
	check(p, fits);
	check(p, f->verdict != w->verdict && f->verdict_before == w->verdict);
	check_told(p, f);
	w->verdict = f->verdict;
	permitted_as(p, w, f->rule_name);
}

static void check_close(struct play *p, const struct ln_finding *f)
{
	struct flow_words *w = flow_words(p, f->flow->id);

	check(p, f->verdict == w->verdict && !f->alert);
	w->verdict = LN_VERDICT_NONE;
}

static void check_wire(struct play *p, const struct ln_finding *f)
{
	struct ln_flow real = *f->flow;
	const struct ln_rule *rule;

	real.remote = *f->wire;
	real.same_tree = false;
	check(p, f->verdict == model_judge(&p->model, f->agent, &real, NULL, 0, &rule));
	check_names(p, f, &real.remote.addr);
}

/* The agent's own word takes a permission away, and never gives one. */
static void check_claim(struct play *p, const struct ln_finding *f)
{
	for (size_t i = 0; i < p->n_flows; i++) {
		if (p->flows[i].id == f->flow->id && p->flows[i].verdict == LN_VERDICT_UNEXPECTED)
			check(p, f->verdict == LN_VERDICT_UNEXPECTED);
	}
}

static void check_repeats(struct play *p, const struct ln_finding *f)
{
	check(p, f->count > 0);
	if (f->flow && f->title && strcmp(f->title, LN_TITLE_OUTBOUND) == 0 && is_plain(f->flow))
		check(p, strcmp(place_words(p, f->agent, f->flow)->reason, f->reason) == 0);
	if (f->event_kind == LN_EVENT_FLOW_OPEN)
		p->told_repeats += f->count;
}

/* A rule of a policy that is gone is memory that is gone. */
static bool is_rule_of(const struct ln_policy *policy, const struct ln_rule *rule)
{
	for (size_t i = 0; i < ln_policy_rules(policy); i++) {
		if (ln_policy_rule(policy, i) == rule)
			return true;
	}
	return !rule;
}

static void on_finding(const struct ln_finding *f, void *user)
{
	struct play *p = user;

	note(p, f);
	if (!p->checks)
		return;
	check(p, is_rule_of(p->policy, f->rule));
	if (f->kind == LN_FINDING_FLOW_OPEN)
		check_open(p, f);
	else if (f->kind == LN_FINDING_VERDICT)
		check_verdict(p, f);
	else if (f->kind == LN_FINDING_FLOW_CLOSE)
		check_close(p, f);
	else if (f->kind == LN_FINDING_WIRE)
		check_wire(p, f);
	else if (f->kind == LN_FINDING_CLAIM)
		check_claim(p, f);
	else if (f->kind == LN_FINDING_DNS_ANSWER)
		check(p, f->trusted == p->model.accepted);
	else if (f->kind == LN_FINDING_REPEATS)
		check_repeats(p, f);
	if ((f->kind == LN_FINDING_FLOW_OPEN || f->kind == LN_FINDING_VERDICT) && f->repeat_of > 0)
		p->repeats++;
}

static void on_grant(uint32_t agent, const struct ln_addr *addr, const char *name,
		     uint64_t until_ns, void *user)
{
	struct play *p = user;

	if (p->checks)
		check(p, until_ns > p->model.now_ns &&
			     until_ns <= model_granted_until(&p->model, agent, addr, name));
}

static void on_revoke(uint32_t agent, const struct ln_addr *addr, void *user)
{
}

static bool ask(uint64_t ticket, const char *const *names, size_t n, void *user)
{
	return ticket % 3 != 0;
}

static struct ln_deed act(const struct ln_finding *f, void *user)
{
	return (struct ln_deed){.action =
				    f->mode == LN_MODE_KILL ? LN_ACTION_KILLED : LN_ACTION_FROZEN};
}

static struct ln_policy *read_policy(unsigned int which)
{
	const char *text = story_policy(which);
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;

	ln_policy_parse("story.yaml", text, strlen(text), false, &diags, &policy);
	for (size_t i = 0; !policy && i < diags.n; i++)
		print_error("%u:%u: %s\n", diags.list[i].line, diags.list[i].column,
			    diags.list[i].text);
	ln_diags_done(&diags);
	assert_non_null(policy);
	return policy;
}

void play_begin(struct play *p, const struct story *s, bool checks, bool asks)
{
	struct story_random r = {.state = ~s->seed};
	unsigned int which = story_pick(&r, STORY_POLICIES);
	struct ln_engine_config config = {
	    .agent = 1,
	    .run = "story",
	    .attached = story_pick(&r, 2),
	    .dns_unseen = story_pick(&r, 4) == 0,
	    .monitored = story_pick(&r, 4) == 0 && asks,
	    .mode = story_pick(&r, LN_MODE_COUNT),
	    .dry_run = story_pick(&r, 4) == 0,
	    .ask = asks && story_pick(&r, 2) ? ask : NULL,
	    .act = act,
	    .on_finding = on_finding,
	    .on_grant = on_grant,
	    .on_revoke = on_revoke,
	    .user = p,
	};

	memset(p, 0, sizeof(*p));
	p->story = s;
	p->checks = checks;
	p->policy = read_policy(which);
	model_init(&p->model, p->policy, which);
	config.policy = p->policy;
	config.resolvers = p->model.resolvers;
	config.n_resolvers = p->model.n_resolvers;
	assert_int_equal(ln_engine_new(&config, &p->engine), 0);
}

static void reload(struct play *p, const struct story_event *s)
{
	struct ln_policy *old = p->policy;

	p->policy = read_policy(s->policy);
	model_set_policy(&p->model, p->policy, s->policy);
	model_take(&p->model, s);
	assert_int_equal(ln_engine_take_policy(p->engine, p->policy, p->model.resolvers,
					       p->model.n_resolvers, s->ev.time_ns, s->ev.wall_ns),
			 0);
	ln_policy_free(&old);
}

static void take(struct play *p, const struct story_event *s)
{
	if (s->step == STEP_RELOAD) {
		reload(p, s);
		return;
	}
	model_take(&p->model, s);
	if (s->step == STEP_EVENT)
		ln_engine_feed(p->engine, &s->ev);
	else if (s->step == STEP_REFUSE)
		ln_engine_refuse_policy(p->engine, "story.yaml", "it is broken", s->ev.time_ns,
					s->ev.wall_ns);
	else if (s->step == STEP_TICK)
		ln_engine_tick(p->engine, s->ev.time_ns, s->ev.wall_ns);
	else
		ln_engine_grant_again(p->engine);
}

/* Between two events: who lives, what is open, and that no timer is in the past. */
static void check_rest(struct play *p)
{
	struct ln_engine_summary sum;
	uint64_t flows = 0;

	check(p, ln_engine_living(p->engine) == model_living(&p->model, 1));
	check(p, ln_engine_deadline(p->engine) > p->model.now_ns);
	ln_engine_summary(p->engine, &sum);
	if (p->engine->holds && ln_holds_flows(p->engine) == 0)
		check(p, sum.flows_open == p->model.n_open);
	for (int i = 0; i < LN_VERDICT_COUNT; i++)
		flows += sum.by_verdict[i];
	check(p, flows == sum.flows);
	check(p, sum.tables_full == 0 && sum.names_evicted == 0 && sum.alerts_folded == 0);
}

static void end(struct play *p)
{
	ln_engine_finish(p->engine, p->model.now_ns, p->model.wall_ns);
	if (p->checks)
		check(p, ln_engine_deadline(p->engine) == UINT64_MAX);
	ln_engine_free(&p->engine);
	ln_policy_free(&p->policy);
}

void play_tell(struct play *p, const struct order *o)
{
	for (size_t i = 0; i < o->n; i++) {
		p->at = o->list[i] & ~AGAIN;
		p->again = o->list[i] & AGAIN;
		take(p, &p->story->events[p->at]);
		if (p->checks)
			check_rest(p);
	}
	end(p);
}
