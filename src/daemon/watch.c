/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <sys/random.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "watch_impl.h"

#define HINT_PERMITTED_NS (60 * LN_NS_PER_S)
#define HINT_TOLD_NS      (1 * LN_NS_PER_S)
#define UNUSED_RULES_MAX  1000

/* How long a rule is still good, at most HINT_PERMITTED_NS. */
static uint64_t until_over_ns(const struct ln_rule *rule, uint64_t wall_ns)
{
	uint64_t now_s = wall_ns / LN_NS_PER_S;

	if (ln_rule_is_over(rule, now_s))
		return 0;
	if (rule->expires_s - now_s > HINT_PERMITTED_NS / LN_NS_PER_S)
		return HINT_PERMITTED_NS;
	return (rule->expires_s - now_s) * LN_NS_PER_S - wall_ns % LN_NS_PER_S;
}

/* How long the sensor need not wake us for this destination; 0: it must. */
static uint64_t hint_until(const struct ln_finding *f)
{
	uint64_t until = f->time_ns + HINT_PERMITTED_NS;

	if (f->verdict == LN_VERDICT_NONE)
		return 0;
	if (f->verdict == LN_VERDICT_UNEXPECTED)
		return f->time_ns + HINT_TOLD_NS;
	/* Nor does a rule beyond its end, or a name beyond its evidence: then judge again at once.
	 */
	if (f->rule && f->rule->expires_s != 0)
		until = LN_MIN(until, f->time_ns + until_over_ns(f->rule, f->wall_ns));
	if (!f->rule_name)
		return until;
	uint64_t evidence = 0;
	for (size_t i = 0; i < f->n_names; i++)
		if (f->names[i].grants && strcmp(f->names[i].name, f->rule_name) == 0)
			evidence = LN_MAX(evidence, f->names[i].expires_ns);
	return LN_MIN(until, evidence);
}

static void give_hint(struct ln_watch *w, const struct ln_finding *f)
{
	bool opened = f->kind == LN_FINDING_FLOW_OPEN && f->flow && !f->flow->inbound;

	if (!opened && f->question == 0)
		return;
	struct ln_hint hint = {
	    .agent = f->agent,
	    .question = f->question,
	    .until_ns = hint_until(f),
	};
	if (opened) {
		hint.proto = f->flow->proto;
		hint.remote = f->flow->remote;
	}
	if (hint.until_ns > f->time_ns)
		w->sensor->ops->hint(w->sensor, &hint);
}

static void on_finding(const struct ln_finding *f, void *user)
{
	struct ln_watch *w = user;

	for (size_t i = 0; i < w->n_sinks; i++)
		w->sinks[i]->ops->finding(w->sinks[i], f);
	if (f->kind == LN_FINDING_VERDICT && f->verdict == LN_VERDICT_UNEXPECTED &&
	    w->c.mode == LN_MODE_BLOCK && !w->c.dry_run && w->sensor->ops->cut)
		w->sensor->ops->cut(w->sensor, f->flow->id);
	if (w->sensor->ops->hint)
		give_hint(w, f);
}

static void on_grant(uint32_t agent, const struct ln_addr *addr, const char *name,
		     uint64_t until_ns, void *user)
{
	struct ln_watch *w = user;
	const struct ln_grant grant = {agent, *addr, name, until_ns};

	if (w->sensor->ops->grant)
		w->sensor->ops->grant(w->sensor, &grant);
}

static void on_revoke(uint32_t agent, const struct ln_addr *addr, void *user)
{
	struct ln_watch *w = user;

	if (w->sensor->ops->revoke)
		w->sensor->ops->revoke(w->sensor, agent, addr);
}

void ln_watch_event(const struct ln_event *ev, void *user)
{
	struct ln_watch *w = user;

	ln_engine_feed(w->engine, ev);
	switch (ev->kind) {
	case LN_EVENT_EXIT:
		w->root_ended = w->root_ended || ev->pid == (uint32_t)w->c.pids[0];
		w->seen = true;
		break;
	case LN_EVENT_FORK:
	case LN_EVENT_ADOPT:
	case LN_EVENT_EXEC:
		w->seen = true;
		break;
	case LN_EVENT_CGROUP:
		if (ev->cgroup.uncovered)
			ln_watch_tell_uncovered(w, ev);
		break;
	default:
		break;
	}
}

static int make_engine(struct ln_watch *w, struct ln_error *err)
{
	const bool blocks = w->c.mode == LN_MODE_BLOCK;
	const struct ln_engine_config config = {
	    .policy = w->c.policy,
	    .run = w->run,
	    .agent = LN_WATCH_AGENT,
	    .resolvers = w->resolvers,
	    .n_resolvers = w->n_resolvers,
	    .netns = w->netns,
	    .search = w->resolv.search,
	    .n_search = w->resolv.n_search,
	    .attached = w->c.attach,
	    .dns_unseen = !w->c.kind->dns,
	    .monitored = w->resolved,
	    .ask = ln_watch_ask,
	    .mode = w->c.mode,
	    .dry_run = w->c.dry_run,
	    .handle = (uint32_t)getppid(),
	    .act = ln_watch_act,
	    .on_finding = on_finding,
	    .on_grant = blocks ? on_grant : NULL,
	    .on_revoke = blocks ? on_revoke : NULL,
	    .user = w,
	};
	int r = ln_engine_new(&config, &w->engine);

	return r < 0 ? ln_error_set(err, -r, "the engine cannot start: %s", strerror(-r)) : 0;
}

/* Short enough to be typed, without letters that look like digits; runs that share a log are few.
 */
static void name_run(struct ln_watch *w)
{
	static const char letters[32] = "abcdefghijkmnpqrstuvwxyz23456789";
	uint8_t random[4];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		memcpy(random, &(uint32_t){(uint32_t)ln_clock_wall_ns()}, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		w->run[i] = letters[random[i] % sizeof(letters)];
}

int ln_watch_begin(struct ln_watch *w, struct ln_error *err)
{
	struct ln_error lookup_err = {0};

	name_run(w);
	ln_watch_read_resolvers(w);
	if (w->sensor->ops->trust)
		w->sensor->ops->trust(w->sensor, w->resolvers, w->n_resolvers, w->netns);
	int r = make_engine(w, err);
	if (r < 0)
		return r;
	r = ln_watch_make_sinks(w, err);
	if (r < 0)
		return r;
	ln_watch_tell_header(w);
	ln_watch_tell_gaps(w);
	ln_watch_feed_hosts(w);
	/* Without them the agent's own answers still count: worth a word, not an end. */
	if (ln_watch_start_lookups(w, &lookup_err) < 0)
		ln_log(LN_LOG_WARNING, "the names of the policy are not looked up: %s",
		       lookup_err.text);
	ln_watch_settle(w);
	ln_watch_note_self(w);
	return 0;
}

void ln_watch_free(struct ln_watch **w)
{
	if (!*w)
		return;
	for (size_t i = 0; i < SINKS_MAX; i++)
		ln_sink_free(&(*w)->sinks[i]);
	ln_watch_forget_tokens(*w);
	ln_lookup_free(&(*w)->lookup);
	ln_policy_free(&(*w)->own_policy);
	ln_closep(&(*w)->policy_file.inotify_fd);
	ln_resolved_free(&(*w)->resolved);
	ln_sensor_free(&(*w)->sensor);
	ln_engine_free(&(*w)->engine);
	free((*w)->lookup_names);
	ln_agent_file_done(&(*w)->hosts);
	ln_agent_file_done(&(*w)->resolv_file);
	ln_closep(&(*w)->log_fd);
	ln_closep(&(*w)->cgroup_events);
	for (size_t i = 0; i < LN_ARRAY_SIZE((*w)->pidfds); i++)
		ln_closep(&(*w)->pidfds[i]);
	free(*w);
	*w = NULL;
}

int ln_watch_sensor_fd(const struct ln_watch *w)
{
	return w->sensor->ops->fd(w->sensor);
}

int ln_watch_lookup_fd(const struct ln_watch *w)
{
	return w->lookup ? ln_lookup_fd(w->lookup) : -1;
}

int ln_watch_cgroup_fd(const struct ln_watch *w)
{
	return w->cgroup_events;
}

int ln_watch_pidfd(const struct ln_watch *w, size_t i)
{
	return i < LN_ARRAY_SIZE(w->pidfds) ? w->pidfds[i] : -1;
}

int ln_watch_dispatch_sensor(struct ln_watch *w)
{
	return w->sensor->ops->dispatch(w->sensor, ln_watch_event, w);
}

bool ln_watch_lookups_settled(const struct ln_watch *w)
{
	return !w->lookup || ln_lookup_settled(w->lookup);
}

int ln_watch_dispatch_lookup(struct ln_watch *w)
{
	return ln_lookup_dispatch(w->lookup, ln_watch_event, w);
}

void ln_watch_drain(struct ln_watch *w)
{
	w->sensor->ops->drain(w->sensor, ln_watch_event, w);
}

uint64_t ln_watch_deadline(const struct ln_watch *w)
{
	uint64_t pursue = w->enforce.next_ns ? w->enforce.next_ns : UINT64_MAX;

	return LN_MIN(LN_MIN(ln_engine_deadline(w->engine), pursue), ln_watch_sinks_deadline(w));
}

void ln_watch_tick(struct ln_watch *w)
{
	ln_engine_tick(w->engine, ln_clock_mono_ns(), ln_clock_wall_ns());
	ln_watch_pursue(w);
	ln_watch_dispatch_sinks(w);
}

bool ln_watch_root_ended(const struct ln_watch *w)
{
	return w->root_ended;
}

bool ln_watch_tree_ended(const struct ln_watch *w)
{
	return w->seen && ln_engine_living(w->engine) == 0;
}

size_t ln_watch_open_flows(const struct ln_watch *w)
{
	return ln_engine_open_flows(w->engine);
}

size_t ln_watch_living(const struct ln_watch *w)
{
	return ln_engine_living(w->engine);
}

bool ln_watch_living_now(const struct ln_watch *w, uint64_t *ret)
{
	if (!w->sensor->ops->living)
		return false;
	*ret = w->sensor->ops->living(w->sensor);
	return true;
}

static struct ln_engine_summary sums(const struct ln_watch *w)
{
	struct ln_engine_summary sum = {0};

	ln_engine_summary(w->engine, &sum);
	return sum;
}

uint64_t ln_watch_lost(const struct ln_watch *w)
{
	return sums(w).lost;
}

uint64_t ln_watch_violations(const struct ln_watch *w)
{
	const struct ln_engine_summary sum = sums(w);

	return sum.violations + sum.dns_unexpected;
}

/* "weather.service.com 443/TCP (line 7)", "/run/nscd/socket (line 9)"; those over the bound are
 * counted in one last entry. */
static size_t unused_rules(const struct ln_watch *w, char **ret, size_t max)
{
	size_t n = 0, over = 0;
	char buf[128];

	for (size_t i = 0; i < ln_policy_rules(w->c.policy); i++) {
		const struct ln_rule *rule = ln_policy_rule(w->c.policy, i);
		/* A ban is best when nothing comes of it. */
		if (ln_engine_rule_hits(w->engine, i) > 0 || rule->kind == LN_RULE_DENY)
			continue;
		if (n == max - 1) {
			over++;
			continue;
		}
		struct ln_buf text = {0};
		const char *ports = ln_rule_ports_text(rule, buf, sizeof(buf));
		ln_buf_addf(&text, "%s%s%s%s (line %u)",
			    rule->kind == LN_RULE_INBOUND ? "inbound from " : "", rule->text,
			    ports[0] ? " " : "", ports, rule->line);
		ret[n] = strdup(ln_buf_text(&text));
		ln_buf_done(&text);
		n += ret[n] != NULL;
	}
	if (over && asprintf(&ret[n], "… and %zu more", over) >= 0)
		n++;
	return n;
}

void ln_watch_let_go(struct ln_watch *w)
{
	if (w->sensor->ops->let_go)
		w->sensor->ops->let_go(w->sensor);
}

void ln_watch_finish(struct ln_watch *w)
{
	char *unused[UNUSED_RULES_MAX];
	struct ln_sink_stat stats[SINKS_MAX];

	ln_watch_drain(w);
	ln_engine_finish(w->engine, ln_clock_mono_ns(), ln_clock_wall_ns());
	ln_watch_close_sinks(w);
	const struct ln_engine_summary sum = sums(w);
	size_t n = unused_rules(w, unused, LN_ARRAY_SIZE(unused));
	const struct ln_sink_summary all = {
	    .sum = &sum,
	    .unused_rules = (const char *const *)unused,
	    .n_unused = n,
	    .sinks = stats,
	    .n_sinks = ln_watch_sink_stats(w, stats),
	};
	for (size_t i = 0; i < w->n_sinks; i++)
		if (w->sinks[i]->ops->summary)
			w->sinks[i]->ops->summary(w->sinks[i], &all);
	for (size_t i = 0; i < n; i++)
		free(unused[i]);
	ln_watch_settle(w);
	if (w->sinks[SINK_LOG]->dropped > 0)
		ln_log(LN_LOG_ERROR, "%llu records are missing in %s",
		       (unsigned long long)w->sinks[SINK_LOG]->dropped, w->log_path);
	if (w->lookup && ln_lookup_unanswered(w->lookup) > 0)
		ln_log(LN_LOG_INFO, "%zu names of the policy were never answered to linnet itself",
		       ln_lookup_unanswered(w->lookup));
}
