/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "watch_impl.h"

#define HOSTS_LISTED_MAX 10000 /* names that the policy covers */
#define HOSTS_OTHERS_MAX 1000  /* those it does not: they only tell people what an address is */

struct hosts_feed {
	struct ln_watch *w;
	bool grants;
	uint64_t now_ns, wall_ns;
	uint32_t listed, others, skipped;
};

static void feed_host(const struct ln_addr *addr, const char *name, void *user)
{
	struct hosts_feed *f = user;
	struct ln_event ev = {
	    .kind = LN_EVENT_NAME,
	    .time_ns = f->now_ns,
	    .wall_ns = f->wall_ns,
	    .agent = LN_WATCH_AGENT,
	    .name.addr = *addr,
	    .name.evidence = {.source = LN_NAME_HOSTS,
			      .grants = f->grants,
			      .seen_ns = f->now_ns,
			      .expires_ns = UINT64_MAX},
	};
	const struct ln_policy *policy = f->w->c.policy;
	bool listed = ln_policy_covers_name(policy, name, 0) || ln_policy_denies_name(policy, name);
	uint32_t *count = listed ? &f->listed : &f->others;

	if (*count >= (listed ? HOSTS_LISTED_MAX : HOSTS_OTHERS_MAX)) {
		f->skipped++;
		return;
	}
	(*count)++;
	snprintf(ev.name.evidence.name, sizeof(ev.name.evidence.name), "%s", name);
	ln_watch_event(&ev, f->w);
}

void ln_watch_feed_hosts(struct ln_watch *w)
{
	struct hosts_feed f = {
	    .w = w,
	    .grants = ln_agent_file_trusted(&w->hosts, w->c.agent_uid),
	    .now_ns = ln_clock_mono_ns(),
	    .wall_ns = ln_clock_wall_ns(),
	};

	if (!w->hosts.text)
		return;
	f.skipped = ln_hosts_parse(w->hosts.text, w->hosts.len, feed_host, &f);
	if (f.skipped || w->hosts.cut)
		ln_log(LN_LOG_INFO, "/etc/hosts: %u entries were not taken%s", f.skipped,
		       w->hosts.cut ? ", and it was cut at its bound" : "");
	if (f.listed && !f.grants)
		ln_log(LN_LOG_NOTICE,
		       "/etc/hosts permits nothing here, because the agent could change it");
	ln_agent_file_done(&w->hosts);
}

void ln_watch_read_resolvers(struct ln_watch *w)
{
	ln_resolv_conf_parse(w->resolv_file.text ? w->resolv_file.text : "", w->resolv_file.len,
			     &w->resolv);
	ln_agent_file_done(&w->resolv_file);
	ln_watch_choose_resolvers(w, w->c.policy);
}

void ln_watch_choose_resolvers(struct ln_watch *w, const struct ln_policy *policy)
{
	const struct ln_endpoint *listed;
	size_t n = ln_policy_resolvers(policy, &listed);

	if (n == 0) {
		listed = w->resolv.servers;
		n = w->resolv.n_servers;
	}
	if (n > LN_ARRAY_SIZE(w->resolvers)) {
		ln_log(LN_LOG_WARNING, "only the first %zu resolvers of the policy are used",
		       LN_ARRAY_SIZE(w->resolvers));
		n = LN_ARRAY_SIZE(w->resolvers);
	}
	memcpy(w->resolvers, listed, n * sizeof(*listed));
	w->n_resolvers = n;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each name that the policy lists exactly, once. */
static int collect_names(struct ln_watch *w, size_t *ret_n)
{
	size_t rules = ln_policy_rules(w->c.policy), n = 0, unique = 0;
	const char **names = calloc(rules + 1, sizeof(*names));

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < rules; i++) {
		const struct ln_rule *rule = ln_policy_rule(w->c.policy, i);
		if (rule->dest == LN_DEST_NAME && rule->kind != LN_RULE_DENY)
			names[n++] = rule->name;
	}
	qsort(names, n, sizeof(*names), compare_names);
	for (size_t i = 0; i < n; i++)
		if (unique == 0 || strcmp(names[unique - 1], names[i]) != 0)
			names[unique++] = names[i];
	w->lookup_names = names;
	*ret_n = unique;
	return 0;
}

int ln_watch_start_lookups(struct ln_watch *w, struct ln_error *err)
{
	size_t n;
	int r = collect_names(w, &n);

	if (r < 0)
		return ln_error_set(err, -r, "out of memory");
	if (n == 0)
		return 0;
	return ln_lookup_new(w->lookup_names, n, w->resolvers, w->n_resolvers, err, &w->lookup);
}

bool ln_watch_ask(uint64_t ticket, const char *const *names, size_t n, void *user)
{
	struct ln_watch *w = user;

	return w->lookup && ln_lookup_ask(w->lookup, ticket, names, n) == 0;
}

/* An agent with a view of its own has a resolver of its own, or none. */
static bool is_at_home(pid_t pid)
{
	static const char *const kinds[] = {"mnt", "net"};
	char path[64];
	struct stat own, its;

	for (size_t i = 0; i < LN_ARRAY_SIZE(kinds); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		if (stat(path, &own) < 0)
			return false;
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, kinds[i]);
		if (stat(path, &its) < 0 || own.st_ino != its.st_ino)
			return false;
	}
	return true;
}

/* Root could tell resolved whom to ask. */
void ln_watch_open_resolved(struct ln_watch *w)
{
	int r;

	if (geteuid() != 0 || (w->c.attach && !is_at_home(w->c.pids[0])))
		return;
	r = ln_resolved_new(LN_RESOLVED_PATH, w->c.agent_uid != 0, &w->resolved);
	if (r < 0 && r != -ENOENT)
		ln_log(LN_LOG_NOTICE,
		       "systemd-resolved's monitor cannot be listened to (%s): names that it "
		       "answers are confirmed by linnet's own look-ups only",
		       strerror(-r));
	else if (r == 0)
		ln_log(LN_LOG_INFO, "systemd-resolved tells what it answers%s",
		       w->c.agent_uid ? ""
				      : "; it permits nothing, because the agent is root and "
					"could tell it whom to ask");
}

int ln_watch_resolved_fd(const struct ln_watch *w)
{
	return w->resolved ? ln_resolved_fd(w->resolved) : -1;
}

bool ln_watch_dispatch_resolved(struct ln_watch *w)
{
	int r = ln_resolved_dispatch(w->resolved, ln_watch_event, w);
	const struct ln_event lost = {
	    .kind = LN_EVENT_LOST,
	    .time_ns = ln_clock_mono_ns(),
	    .wall_ns = ln_clock_wall_ns(),
	    .agent = LN_WATCH_AGENT,
	    .lost = {.reason = "systemd-resolved's monitor ended: what it answers from now on is "
			       "not heard",
		     .count = 1},
	};

	if (r == 0)
		return true;
	ln_resolved_free(&w->resolved);
	ln_log(LN_LOG_WARNING,
	       "systemd-resolved's monitor ended (%s); it is for root, which linnet has given up: "
	       "start the watch anew to hear it again",
	       r == -EPIPE ? "by resolved" : strerror(-r));
	ln_watch_event(&lost, w);
	return false;
}
