/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy's file while a watch runs. Its directory is watched by inotify, opened as root. The
 * monitor may not open the file any more: it asks the launcher for it, which reads none of it. A
 * file that the agent could have written is never taken unasked: the agent would write itself a
 * permit.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "policy/parse.h"
#include "watch_impl.h"

#define CHANGES       (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE)
#define DIAGS_TOLD    20
#define RETRY_S       10 /* what the kernel side did not take is given to it again */
#define ACL_ATTRIBUTE "system.posix_acl_access" /* acl(5) */

static void watch_name(struct ln_policy_file *f, size_t i, const char *path)
{
	char dir[PATH_MAX], base[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s", path);
	snprintf(base, sizeof(base), "%s", path);
	if (inotify_add_watch(f->inotify_fd, dirname(dir), CHANGES | IN_ONLYDIR) < 0)
		return;
	snprintf(f->names[i], sizeof(f->names[i]), "%s", basename(base));
}

void ln_watch_open_policy(struct ln_watch *w)
{
	struct ln_policy_file *f = &w->policy_file;
	const char *path = ln_policy_file(w->c.policy);
	char real[PATH_MAX];
	struct stat st;

	/* What is learned is a change of the file as it was read. */
	if (w->c.no_policy || ln_watch_learns(w) || stat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
	    !realpath(path, real))
		return;
	f->reloads = true;
	f->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (f->inotify_fd < 0) {
		ln_log(LN_LOG_INFO, "a change of the policy is not noticed: %s", strerror(errno));
		return;
	}
	watch_name(f, 0, path);
	watch_name(f, 1, real);
}

int ln_watch_policy_fd(const struct ln_watch *w)
{
	return w->policy_file.inotify_fd;
}

/* Whether one of these events is about the file. The queue may have overflown: then it may be. */
static bool concerns(const struct ln_policy_file *f, const char *events, size_t len)
{
	const struct inotify_event *ev;

	for (size_t at = 0; at + sizeof(*ev) <= len; at += sizeof(*ev) + ev->len) {
		ev = (const struct inotify_event *)(events + at);
		if (ev->mask & IN_Q_OVERFLOW)
			return true;
		/* A new file is not written yet; a new link is all that there is to it. */
		for (size_t i = 0; ev->len && i < LN_ARRAY_SIZE(f->names); i++)
			if (f->names[i][0] && strcmp(ev->name, f->names[i]) == 0)
				return true;
	}
	return false;
}

bool ln_watch_dispatch_policy(struct ln_watch *w)
{
	struct ln_policy_file *f = &w->policy_file;
	_Alignas(struct inotify_event) char events[4096];
	bool changed = false;
	ssize_t n;

	while ((n = read(f->inotify_fd, events, sizeof(events))) > 0)
		changed |= concerns(f, events, (size_t)n);
	return changed && ln_watch_want_policy(w, false);
}

bool ln_watch_want_policy(struct ln_watch *w, bool by_hand)
{
	struct ln_policy_file *f = &w->policy_file;

	if (!f->reloads) {
		ln_log(LN_LOG_WARNING, "there is no policy file that could be read again");
		return false;
	}
	f->by_hand |= by_hand;
	/* What is changed while the launcher opens it may be missed: then once more. */
	f->again = f->asked;
	if (f->asked)
		return false;
	f->asked = true;
	return true;
}

static void refuse(struct ln_watch *w, const char *why)
{
	const char *file = ln_policy_file(w->c.policy);

	ln_log(LN_LOG_ERROR, "%s is not taken, and the old policy stays: %s", file, why);
	ln_engine_refuse_policy(w->engine, file, why, ln_clock_mono_ns(), ln_clock_wall_ns());
}

/* Whether the agent could have written this very file, or put it there. An access list may say
 * anything, and root can do anything. */
static bool is_agents(const struct ln_watch *w, int fd, const struct stat *st)
{
	return !w->policy_file.out_of_reach || st->st_uid == w->c.agent_uid ||
	       (st->st_mode & (S_IWGRP | S_IWOTH)) || fgetxattr(fd, ACL_ATTRIBUTE, NULL, 0) > 0;
}

static bool may_take(struct ln_watch *w, int fd, const struct stat *st, bool by_hand)
{
	if (!S_ISREG(st->st_mode)) {
		refuse(w, "it is not a regular file");
		return false;
	}
	if (!is_agents(w, fd, st))
		return true;
	if (!by_hand)
		refuse(w, "the agent could have written it; SIGHUP to the process linnet-monitor "
			  "takes it all the same, or make it a file that the agent cannot write");
	else if (w->c.attach && w->c.agent_uid != 0)
		refuse(w, "the agent could have written it; make it a file that it cannot write");
	else if (st->st_mode & S_IWOTH)
		refuse(w, "everybody can write it; run chmod go-w on it");
	else
		return true;
	return false;
}

/* Resolvers may come and go, but the sensor knows their ports from before its start. */
static bool knows_ports(const struct ln_policy *old, const struct ln_policy *new)
{
	const struct ln_endpoint *before, *after;
	size_t n_before = ln_policy_resolvers(old, &before);
	size_t n_after = ln_policy_resolvers(new, &after);

	for (size_t i = 0; i < n_after; i++) {
		bool known = after[i].port == 53;
		for (size_t j = 0; j < n_before; j++)
			known = known || before[j].port == after[i].port;
		if (!known)
			return false;
	}
	return true;
}

bool ln_watch_limits_bytes(const struct ln_policy *policy)
{
	const struct ln_limit *limits;
	size_t n = ln_policy_limits(policy, &limits);

	for (size_t i = 0; i < n; i++)
		if (limits[i].bytes_out)
			return true;
	return false;
}

static const char *cannot_follow(const struct ln_policy *old, const struct ln_policy *new)
{
	if (strcmp(ln_policy_agent_name(old), ln_policy_agent_name(new)) != 0)
		return "it has another agent_name";
	if (!knows_ports(old, new))
		return "it has a resolver on a port that the watch was not started with";
	if (ln_watch_limits_bytes(new) && !ln_watch_limits_bytes(old))
		return "it limits bytes, which the watch was not started with";
	return NULL;
}

/* The errors of a file, the first ones. */
static void tell_diags(const char *file, const struct ln_diags *diags)
{
	for (size_t i = 0, told = 0; i < diags->n && told < DIAGS_TOLD; i++) {
		const struct ln_diag *d = &diags->list[i];
		struct ln_buf b = {0};

		if (d->warning)
			continue;
		ln_text_escape(&b, d->text, strlen(d->text));
		ln_log(LN_LOG_ERROR, "%s:%u:%u: %s", file, d->line, d->column, ln_buf_text(&b));
		ln_buf_done(&b);
		told++;
	}
}

/* NULL: it has been told why. */
static struct ln_policy *read_policy(struct ln_watch *w, int fd)
{
	const char *file = ln_policy_file(w->c.policy);
	struct ln_policy *policy = NULL;
	struct ln_diags diags = {0};
	LN_AUTO_FREE char *text = NULL;
	char why[64];
	size_t len;
	int r = ln_file_read_fd(fd, LN_POLICY_BYTES_MAX, &text, &len);

	if (r == 0)
		r = ln_policy_parse(file, text, len, false, &diags, &policy);
	if (r == -EINVAL && diags.n_errors) {
		tell_diags(file, &diags);
		snprintf(why, sizeof(why), "it has %zu error%s", diags.n_errors,
			 diags.n_errors == 1 ? "" : "s");
		refuse(w, why);
	} else if (r < 0) {
		refuse(w, strerror(-r));
	}
	ln_diags_done(&diags);
	return policy;
}

/* The engine has the new one from here on, so nothing may keep the old one. */
static void use(struct ln_watch *w, struct ln_policy *policy)
{
	const enum ln_mode old_mode = ln_policy_mode(w->c.policy);
	struct ln_error err = {0};

	ln_lookup_free(&w->lookup);
	free(w->lookup_names);
	w->lookup_names = NULL;
	w->c.policy = policy;
	if (w->c.report)
		ln_sink_report_set_policy(w->sinks[SINK_REPORT], policy);
	ln_policy_free(&w->own_policy);
	w->own_policy = policy;
	if (w->c.mode == LN_MODE_BLOCK && w->sensor->ops->trust)
		w->sensor->ops->trust(w->sensor, w->resolvers, w->n_resolvers, w->netns);
	if (old_mode != ln_policy_mode(policy))
		ln_log(LN_LOG_NOTICE,
		       "its mode, %s, counts from the next start; this watch goes "
		       "on in mode %s",
		       ln_mode_text(ln_policy_mode(policy)), ln_mode_text(w->c.mode));
	if (ln_watch_start_lookups(w, &err) < 0)
		ln_log(LN_LOG_WARNING, "the names of the policy are not looked up: %s", err.text);
	ln_log(LN_LOG_NOTICE, "%s is taken: %zu rule%s", ln_policy_file(policy),
	       ln_policy_rules(policy), ln_policy_rules(policy) == 1 ? "" : "s");
}

/* In block mode the kernel side has the policy too. */
static bool set_sensor(struct ln_watch *w, const struct ln_policy *policy, struct ln_error *err)
{
	const struct ln_sensor_ops *ops = w->sensor->ops;

	return w->c.mode != LN_MODE_BLOCK || !ops->set_policy ||
	       ops->set_policy(w->sensor, policy, err) == 0;
}

/* When the next rule ends; UINT64_MAX: none does. */
static uint64_t next_end_s(const struct ln_policy *policy, uint64_t now_s)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < ln_policy_rules(policy); i++) {
		uint64_t end = ln_policy_rule(policy, i)->expires_s;
		if (end > now_s)
			next = LN_MIN(next, end);
	}
	return next;
}

void ln_watch_note_rules(struct ln_watch *w, uint64_t now_s)
{
	w->rule_ends_s = next_end_s(w->c.policy, now_s);
}

void ln_watch_end_rules(struct ln_watch *w)
{
	const uint64_t now_s = ln_clock_wall_ns() / LN_NS_PER_S;
	struct ln_error err = {0};

	if (w->c.mode != LN_MODE_BLOCK || now_s < w->rule_ends_s)
		return;
	if (!set_sensor(w, w->c.policy, &err)) {
		ln_log(LN_LOG_ERROR, "a rule that has expired still permits in the kernel: %s",
		       err.text);
		w->rule_ends_s = LN_MIN(next_end_s(w->c.policy, now_s), now_s + RETRY_S);
		return;
	}
	ln_engine_grant_again(w->engine);
	ln_watch_note_rules(w, now_s);
}

/* A rule whose end had come may be in force again, and the next end is nearer or further. */
void ln_watch_clock_was_set(struct ln_watch *w)
{
	w->rule_ends_s = 0;
}

static void take(struct ln_watch *w, int fd, bool by_hand)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		refuse(w, strerror(errno));
		return;
	}
	if (!may_take(w, fd, &st, by_hand))
		return;
	struct ln_policy *policy = read_policy(w, fd);
	if (!policy)
		return;
	const char *why = cannot_follow(w->c.policy, policy);
	if (why) {
		refuse(w, why);
		ln_policy_free(&policy);
		return;
	}
	const uint64_t now_s = ln_clock_wall_ns() / LN_NS_PER_S;
	struct ln_error err = {0};
	if (!set_sensor(w, policy, &err)) {
		refuse(w, err.text);
		ln_policy_free(&policy);
		return;
	}
	ln_watch_choose_resolvers(w, policy);
	if (ln_engine_take_policy(w->engine, policy, w->resolvers, w->n_resolvers,
				  ln_clock_mono_ns(), ln_clock_wall_ns()) < 0) {
		ln_watch_choose_resolvers(w, w->c.policy);
		set_sensor(w, w->c.policy, &err);
		refuse(w, "out of memory");
		ln_policy_free(&policy);
		return;
	}
	use(w, policy);
	ln_watch_note_rules(w, now_s);
}

bool ln_watch_take_policy(struct ln_watch *w, int fd)
{
	struct ln_policy_file *f = &w->policy_file;
	bool by_hand = f->by_hand, again = f->again;

	f->asked = f->by_hand = f->again = false;
	if (fd >= 0)
		take(w, fd, by_hand);
	else
		refuse(w, fd == -EMFILE ? "linnet has no descriptor left for it"
					: "the launcher could not open it");
	return again && ln_watch_want_policy(w, by_hand);
}
