/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "watch_impl.h"

#define GAPS_MAX 64

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static size_t without_purpose(const struct ln_policy *p)
{
	size_t n = 0;

	for (size_t i = 0; i < ln_policy_rules(p); i++) {
		const struct ln_rule *rule = ln_policy_rule(p, i);
		n += rule->kind != LN_RULE_DYNAMIC && rule->kind != LN_RULE_DENY && !rule->purpose;
	}
	return n;
}

/* What is not seen: for the log one text each, "files: left for others"; for the terminal one
 * line of names. */
struct gaps {
	char *texts[GAPS_MAX]; /* owned */
	size_t n;
	struct ln_buf line;
};

static void add_gap(struct gaps *g, const char *before, const char *name, const char *note)
{
	struct ln_buf text = {0};

	if (g->n == GAPS_MAX)
		return;
	ln_buf_addf(&text, "%s%s%s", name, note[0] ? ": " : "", note);
	g->texts[g->n] = strdup(ln_buf_text(&text));
	g->n += g->texts[g->n] != NULL;
	ln_buf_done(&text);
	ln_buf_addf(&g->line, "%s%s", before, name);
}

static void find_gaps(const struct ln_watch *w, struct gaps *g)
{
	const struct ln_sensor_ops *ops = w->sensor->ops;
	const struct ln_channel_fact *channels;
	const struct ln_sensor_fact *facts;
	size_t n = ops->channels(w->sensor, &channels);
	const char *before = "BLIND here: ";

	for (size_t i = 0; i < n; i++) {
		if (channels[i].sight != LN_SIGHT_BLIND)
			continue;
		add_gap(g, before, channels[i].name, channels[i].note);
		before = "; ";
	}
	before = g->n ? ". Missing: " : "missing here: ";
	n = ops->facts(w->sensor, &facts);
	for (size_t i = 0; i < n; i++) {
		if (facts[i].works)
			continue;
		add_gap(g, before, facts[i].name, facts[i].note);
		before = "; ";
	}
}

static void gaps_done(struct gaps *g)
{
	while (g->n > 0)
		free(g->texts[--g->n]);
	ln_buf_done(&g->line);
}

static const char *mode_words(const struct ln_watch *w)
{
	static const char *const words[] = {
	    [LN_MODE_MONITOR] = "violations are told",
	    [LN_MODE_BLOCK] = "what the policy does not permit is refused",
	    [LN_MODE_KILL] = "the first violation ends the agent",
	    [LN_MODE_FREEZE] = "a violation stops the agent until `linnet resume`",
	};
	_Static_assert(LN_ARRAY_SIZE(words) == LN_MODE_COUNT, "words for each mode");

	return w->c.dry_run ? "it is told what would be done, and nothing is" : words[w->c.mode];
}

void ln_watch_tell_header(struct ln_watch *w)
{
	struct gaps gaps = {0};
	const struct ln_policy *p = w->c.policy;
	struct ln_sink_header h = {
	    .version = LINNET_VERSION,
	    .sensor = w->sensor->ops->name,
	    .agent_name = ln_policy_agent_name(p),
	    .policy_file = w->c.no_policy ? NULL : ln_policy_file(p),
	    .n_rules = ln_policy_rules(p),
	    .blind = (const char *const *)gaps.texts,
	    .root_pid = (uint32_t)w->c.pids[0],
	    .mode = w->c.mode,
	    .dry_run = w->c.dry_run,
	    .run = w->run,
	    .resolvers = w->resolvers,
	    .n_resolvers = w->n_resolvers,
	    .search = w->resolv.search,
	    .n_search = w->resolv.n_search,
	    .netns = w->netns,
	    .wall_ns = ln_clock_wall_ns(),
	};

	find_gaps(w, &gaps);
	h.n_blind = gaps.n;
	for (size_t i = 0; i < w->n_sinks; i++)
		if (w->sinks[i]->ops->header)
			w->sinks[i]->ops->header(w->sinks[i], &h);
	ln_log(LN_LOG_NOTICE, "watching %s (PID %u%s) by the %s sensor with %zu rule%s; log: %s",
	       h.agent_name, h.root_pid, w->c.n_pids > 1 ? " and others" : "", h.sensor, h.n_rules,
	       plural(h.n_rules), w->log_path);
	if (w->c.mode != LN_MODE_MONITOR)
		ln_log(LN_LOG_NOTICE, "mode %s%s: %s", ln_mode_text(w->c.mode),
		       w->c.dry_run ? ", dry run" : "", mode_words(w));
	if (gaps.n)
		ln_log(LN_LOG_NOTICE, "%s (see `linnet doctor`)", ln_buf_text(&gaps.line));
	gaps_done(&gaps);
}

static void tell_reach(const struct ln_watch *w)
{
	const struct ln_reach *reach = &w->reach;

	if (reach->log_write || reach->log_replace)
		ln_log(LN_LOG_WARNING,
		       "the agent's user can %s the log %s; name one in a directory of root's with "
		       "--log",
		       reach->log_write ? "change" : "delete or replace", w->log_path);
	else if (reach->log_read)
		ln_log(LN_LOG_NOTICE, "GAP: the agent's user can read the log %s", w->log_path);
	if (reach->policy_write || reach->policy_replace)
		ln_log(LN_LOG_WARNING,
		       "the agent's user can %s the policy; what is changed while it runs is not "
		       "taken unless you ask for it (linnet(1), CHANGES OF THE POLICY)",
		       reach->policy_write ? "change" : "replace");
	if (reach->policy_read)
		ln_log(
		    LN_LOG_NOTICE,
		    "GAP: the agent's user can read the policy and so knows what goes unnoticed; "
		    "make it root's, with mode 0600");
}

/* What is refused to the agent it can have done by another process of the same user, if the kernel
 * lets it take that over. */
static void tell_way_around(const struct ln_watch *w)
{
	if (w->c.agent_uid == 0)
		ln_log(LN_LOG_WARNING,
		       "GAP: the agent runs as root and can undo what block mode does; run it as "
		       "a user of its own");
	else if (w->shared_uid && !w->yama)
		ln_log(LN_LOG_WARNING,
		       "GAP: other processes run as the agent's user, and the kernel lets it take "
		       "them over: what is refused to the agent they can do for it; give it a "
		       "user of its own (--user), or set kernel.yama.ptrace_scope to 1");
}

void ln_watch_tell_gaps(const struct ln_watch *w)
{
	bool learns = ln_watch_learns(w);
	size_t n = learns ? 0 : without_purpose(w->c.policy);

	if (w->c.no_policy && !learns)
		ln_log(
		    LN_LOG_WARNING,
		    "GAP: there is no policy, so every connection is unexpected; write down what "
		    "this agent may reach (linnet.yaml(5)) and give it with -p FILE");
	else if (n)
		ln_log(LN_LOG_NOTICE,
		       "GAP: %zu rule%s without a purpose; say what each is for (`linnet check "
		       "--strict` lists them)",
		       n, plural(n));
	if (!w->drop)
		ln_log(LN_LOG_NOTICE,
		       "GAP: the agent runs as linnet's own user and could stop it; start linnet "
		       "with sudo");
	else if (w->c.agent_uid == 0)
		ln_log(LN_LOG_NOTICE,
		       "GAP: the agent runs as root and could switch linnet off; run it as another "
		       "user");
	tell_reach(w);
	if (w->c.mode == LN_MODE_BLOCK && !w->c.dry_run)
		tell_way_around(w);
}

/* Each cgroup once; a flood of them is in the log. */
void ln_watch_tell_uncovered(struct ln_watch *w, const struct ln_event *ev)
{
	struct ln_buf path = {0};

	for (size_t i = 0; i < w->n_uncovered; i++)
		if (w->uncovered[i] == ev->cgroup.id)
			return;
	if (w->n_uncovered == UNCOVERED_MAX)
		return;
	w->uncovered[w->n_uncovered++] = ev->cgroup.id;
	ln_text_escape(&path, ev->cgroup.path, ev->cgroup.path_len);
	ln_log(
	    LN_LOG_WARNING,
	    "GAP: process %u of the agent is now in the cgroup %s: of sockets that it makes there, "
	    "datagrams are told when they are sent to a name or connected, without counts; their "
	    "DNS answers, and raw, ping and UDP-Lite packets, are not seen%s",
	    ev->pid, ln_buf_text(&path),
	    w->n_uncovered == UNCOVERED_MAX ? " (further cgroups stand in the log only)" : "");
	ln_buf_done(&path);
}
