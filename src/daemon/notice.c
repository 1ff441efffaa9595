/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "watch_impl.h"

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static size_t without_purpose(const struct ln_policy *p)
{
	size_t n = 0;

	for (size_t i = 0; i < ln_policy_rules(p); i++) {
		const struct ln_rule *rule = ln_policy_rule(p, i);
		n += rule->kind != LN_RULE_DYNAMIC && !rule->purpose;
	}
	return n;
}

/* "raw sockets: needs LSM", one text a blind spot for the log; the names alone for the terminal. */
static size_t blind_spots(const struct ln_watch *w, char **texts, size_t max, struct ln_buf *line)
{
	const struct ln_sensor_fact *facts;
	size_t n = w->sensor->ops->facts(w->sensor, &facts), found = 0;

	for (size_t i = 0; i < n && found < max; i++) {
		if (facts[i].works)
			continue;
		struct ln_buf text = {0};
		ln_buf_adds(&text, facts[i].name);
		if (facts[i].note[0])
			ln_buf_addf(&text, ": %s", facts[i].note);
		texts[found] = strdup(ln_buf_text(&text));
		ln_buf_done(&text);
		if (!texts[found])
			break;
		ln_buf_addf(line, "%s%s", found ? ", " : "", facts[i].name);
		found++;
	}
	return found;
}

void ln_watch_tell_header(struct ln_watch *w)
{
	char *blind[64];
	struct ln_buf line = {0};
	size_t n_blind = blind_spots(w, blind, LN_ARRAY_SIZE(blind), &line);
	const struct ln_policy *p = w->c.policy;
	const struct ln_sink_header h = {
	    .version = LINNET_VERSION,
	    .sensor = w->sensor->ops->name,
	    .agent_name = ln_policy_agent_name(p),
	    .policy_file = w->c.no_policy ? NULL : ln_policy_file(p),
	    .n_rules = ln_policy_rules(p),
	    .blind = (const char *const *)blind,
	    .n_blind = n_blind,
	    .root_pid = (uint32_t)w->c.pids[0],
	    .wall_ns = ln_clock_wall_ns(),
	};

	for (size_t i = 0; i < w->n_sinks; i++)
		if (w->sinks[i]->ops->header)
			w->sinks[i]->ops->header(w->sinks[i], &h);
	ln_log(LN_LOG_NOTICE, "watching %s (PID %u%s) by the %s sensor with %zu rule%s; log: %s",
	       h.agent_name, h.root_pid, w->c.n_pids > 1 ? " and others" : "", h.sensor, h.n_rules,
	       plural(h.n_rules), w->log_path);
	if (n_blind)
		ln_log(LN_LOG_NOTICE, "not or not fully seen here: %s (see `linnet doctor`)",
		       ln_buf_text(&line));
	for (size_t i = 0; i < n_blind; i++)
		free(blind[i]);
	ln_buf_done(&line);
}

void ln_watch_tell_gaps(const struct ln_watch *w)
{
	size_t n = without_purpose(w->c.policy);

	if (w->c.no_policy)
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
}
