/* SPDX-License-Identifier: Apache-2.0 */
/* The sinks of a watch: made after root is gone, looked after in the loop, and given a bounded time
 * at the end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include "base/clock.h"
#include "base/log.h"
#include "output/sinks.h"
#include "watch_impl.h"

#define TOKEN_MAX 4096

/* Alerts that go nowhere must not be a surprise. */
static bool shows_alerts(const struct ln_watch *w)
{
	const struct ln_policy_sink *list;
	size_t n = ln_policy_sinks(w->c.policy, &list);

	for (size_t i = 0; i < n; i++)
		if (list[i].kind == LN_SINK_STDERR)
			return true;
	if (n > 0)
		ln_log(LN_LOG_NOTICE, "alerts are not shown here: the policy's 'alert' does not "
				      "list stderr");
	return n == 0;
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

static int read_token(const struct ln_watch *w, const char *path, struct ln_error *err, char **ret)
{
	LN_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char text[TOKEN_MAX + 2];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return ln_error_set(err, errno, "token_file %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return ln_error_set(err, EINVAL, "token_file %s is not a regular file", path);
	if (st.st_mode & 077)
		return ln_error_set(err, EPERM,
				    "token_file %s is open to others than its owner (mode %04o); "
				    "do chmod 600 %s",
				    path, (unsigned)(st.st_mode & 07777), path);
	if (w->c.agent_uid != 0 && st.st_uid == w->c.agent_uid)
		ln_log(LN_LOG_WARNING, "token_file %s belongs to the agent's user, who can read it",
		       path);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	text[LN_MAX(n, (ssize_t)0)] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	bool good = n > 0 && text[0] != '\0' && strlen(text) <= TOKEN_MAX && is_printable(text);
	*ret = good ? strdup(text) : NULL;
	explicit_bzero(text, sizeof(text));
	if (!good)
		return ln_error_set(err, EINVAL,
				    "token_file %s must hold one line of up to %d printable "
				    "characters, without blanks",
				    path, TOKEN_MAX);
	return *ret ? 0 : ln_error_set(err, ENOMEM, "out of memory");
}

static int prefix_line(const struct ln_watch *w, const struct ln_policy_sink *k,
		       struct ln_error *err)
{
	return ln_error_prefix(err, "%s:%u", ln_policy_file(w->c.policy), k->line);
}

int ln_watch_read_tokens(struct ln_watch *w, struct ln_error *err)
{
	const struct ln_policy_sink *list;
	size_t n = ln_policy_sinks(w->c.policy, &list);

	for (size_t i = 0; i < n && i < LN_ARRAY_SIZE(w->tokens); i++) {
		if (!list[i].token_file)
			continue;
		if (read_token(w, list[i].token_file, err, &w->tokens[i]) < 0)
			return prefix_line(w, &list[i], err);
	}
	return 0;
}

void ln_watch_forget_tokens(struct ln_watch *w)
{
	for (size_t i = 0; i < LN_ARRAY_SIZE(w->tokens); i++) {
		if (w->tokens[i])
			explicit_bzero(w->tokens[i], strlen(w->tokens[i]));
		free(w->tokens[i]);
		w->tokens[i] = NULL;
	}
}

static int make_one(struct ln_watch *w, const struct ln_policy_sink *k, const char *token,
		    struct ln_error *err)
{
	struct ln_sink **ret = &w->sinks[w->n_sinks];
	bool args = w->c.show_args;

	switch (k->kind) {
	case LN_SINK_EXEC:
		return ln_sink_program_new(
		    &(struct ln_program_config){.argv = k->argv, .show_args = args}, err, ret);
	case LN_SINK_WEBHOOK:
		return ln_sink_webhook_new(&(struct ln_webhook_config){.url = k->target,
								       .token = token,
								       .show_args = args},
					   err, ret);
	case LN_SINK_JOURNAL:
		return ln_sink_journal_new(&(struct ln_journal_config){.show_args = args}, err,
					   ret);
	case LN_SINK_SYSLOG:
		return ln_sink_syslog_new(
		    &(struct ln_syslog_config){.address = k->target, .show_args = args}, err, ret);
	case LN_SINK_STDERR: /* always there */
	case LN_SINK_LOG:
	case LN_SINK_COUNT:
		break;
	}
	return 0;
}

/* What is known to be missing from the start is said at once, and is no news later. */
static void tell_missing(struct ln_sink *s)
{
	if (s->why[0] != '\0')
		ln_log(LN_LOG_WARNING, "alerts will not arrive at %s%s%s as things are: %s",
		       s->ops->name, s->target[0] ? " " : "", s->target, s->why);
	s->why[0] = '\0';
}

static int make_alert_sinks(struct ln_watch *w, struct ln_error *err)
{
	const struct ln_policy_sink *list;
	size_t n = ln_policy_sinks(w->c.policy, &list);

	for (size_t i = 0; i < n && w->n_sinks < SINKS_MAX; i++) {
		const char *token = i < LN_ARRAY_SIZE(w->tokens) ? w->tokens[i] : NULL;
		if (make_one(w, &list[i], token, err) < 0)
			return prefix_line(w, &list[i], err);
		if (!w->sinks[w->n_sinks])
			continue;
		tell_missing(w->sinks[w->n_sinks]);
		w->n_sinks++;
	}
	return 0;
}

/* While linnet learns nothing is an alert that anybody is to be called for. */
int ln_watch_make_sinks(struct ln_watch *w, struct ln_error *err)
{
	bool learns = ln_watch_learns(w);
	const struct ln_console_config console = {
	    .fd = STDERR_FILENO,
	    .quiet = w->c.quiet,
	    .no_alerts = !learns && !shows_alerts(w),
	    .color = w->c.color,
	    .show_args = w->c.show_args,
	    .learning = learns,
	};
	const struct ln_jsonl_config jsonl = {.fd = w->log_fd, .show_args = w->c.show_args};

	w->self.log_fd = w->log_fd;
	if (ln_sink_console_new(&console, &w->sinks[SINK_CONSOLE]) < 0)
		return ln_error_set(err, ENOMEM, "out of memory");
	w->n_sinks = 1;
	if (ln_sink_jsonl_new(&jsonl, &w->sinks[SINK_LOG]) < 0)
		return ln_error_set(err, ENOMEM, "out of memory");
	w->log_fd = -1;
	w->n_sinks = 2;
	if (w->c.report && ln_sink_report_new(w->c.report, w->c.policy, &w->sinks[SINK_REPORT]) < 0)
		return ln_error_set(err, ENOMEM, "out of memory");
	w->n_sinks += w->c.report != NULL;
	int r = learns ? 0 : make_alert_sinks(w, err);
	ln_watch_forget_tokens(w);
	return r;
}

/* Those that alerts go to beside standard error and the log. */
static bool is_further(const struct ln_watch *w, size_t i)
{
	return i != SINK_CONSOLE && i != SINK_LOG && !(w->c.report && i == SINK_REPORT);
}

int ln_watch_sink_fd(const struct ln_watch *w, size_t i)
{
	return i < w->n_sinks && w->sinks[i]->ops->fd ? w->sinks[i]->ops->fd(w->sinks[i]) : -1;
}

uint64_t ln_watch_sinks_deadline(const struct ln_watch *w)
{
	uint64_t due = UINT64_MAX;

	for (size_t i = 0; i < w->n_sinks; i++)
		if (w->sinks[i]->ops->deadline)
			due = LN_MIN(due, w->sinks[i]->ops->deadline(w->sinks[i]));
	return due;
}

void ln_watch_dispatch_sinks(struct ln_watch *w)
{
	uint64_t now = ln_clock_mono_ns();

	for (size_t i = 0; i < w->n_sinks; i++)
		if (w->sinks[i]->ops->dispatch)
			w->sinks[i]->ops->dispatch(w->sinks[i], now);
}

static void tell_lost(const struct ln_watch *w, size_t i)
{
	const struct ln_sink *s = w->sinks[i];

	if (!is_further(w, i))
		ln_log(LN_LOG_ERROR,
		       "%s cannot be written (%s): records are being lost; the watch goes on",
		       i == SINK_LOG ? w->log_path : "standard error", ln_sink_why(s));
	else
		ln_log(
		    LN_LOG_ERROR,
		    "alerts do not arrive at %s%s%s (%s); the watch goes on, and the log has them",
		    s->ops->name, s->target[0] ? " " : "", s->target, ln_sink_why(s));
}

void ln_watch_settle(struct ln_watch *w)
{
	for (size_t i = 0; i < w->n_sinks; i++) {
		struct ln_sink *s = w->sinks[i];
		if (s->ops->flush)
			s->ops->flush(s);
		if (s->dropped == 0 || w->sink_told[i])
			continue;
		w->sink_told[i] = true;
		tell_lost(w, i);
	}
}

/* Until when the first of those that still have something to do wants to be called; 0: none has,
 * or none may go on. */
static uint64_t next_call(const struct ln_watch *w, uint64_t begun_ns, uint64_t now_ns)
{
	uint64_t next = UINT64_MAX;
	bool any = false;

	for (size_t i = 0; i < w->n_sinks; i++) {
		struct ln_sink *s = w->sinks[i];
		uint64_t end = begun_ns + s->ops->grace_ns;
		if (!s->ops->pending || s->ops->pending(s) == 0 || now_ns >= end)
			continue;
		any = true;
		next = LN_MIN(next, LN_MIN(end, s->ops->deadline(s)));
	}
	return any ? LN_MAX(next, 1ULL) : 0;
}

/* The tree is over, or the watch: nothing else waits for this loop any more. */
static void wait_for_sinks(struct ln_watch *w)
{
	uint64_t begun = ln_clock_mono_ns(), now = begun, next;
	struct pollfd fds[SINKS_MAX];

	while ((next = next_call(w, begun, now)) > 0) {
		int timeout = next <= now ? 0 : (int)((next - now) / LN_NS_PER_MS) + 1;
		for (size_t i = 0; i < w->n_sinks; i++)
			fds[i] = (struct pollfd){.fd = ln_watch_sink_fd(w, i), .events = POLLIN};
		if (poll(fds, w->n_sinks, timeout) < 0 && errno != EINTR)
			return;
		ln_watch_dispatch_sinks(w);
		now = ln_clock_mono_ns();
	}
}

void ln_watch_close_sinks(struct ln_watch *w)
{
	for (size_t i = 0; i < w->n_sinks; i++)
		if (w->sinks[i]->ops->closing)
			w->sinks[i]->ops->closing(w->sinks[i]);
	wait_for_sinks(w);
	for (size_t i = 0; i < w->n_sinks; i++) {
		struct ln_sink *s = w->sinks[i];
		size_t left = s->ops->pending ? s->ops->pending(s) : 0;
		if (left == 0)
			continue;
		s->dropped += left;
		ln_sink_failed(s, "not delivered %llu s after the watch had ended",
			       (unsigned long long)(s->ops->grace_ns / LN_NS_PER_S));
	}
}

size_t ln_watch_sink_stats(const struct ln_watch *w, struct ln_sink_stat ret[SINKS_MAX])
{
	for (size_t i = 0; i < w->n_sinks; i++)
		ret[i] = (struct ln_sink_stat){
		    .name = w->sinks[i]->ops->name,
		    .target = is_further(w, i) ? w->sinks[i]->target : NULL,
		    .written = w->sinks[i]->written,
		    .dropped = w->sinks[i]->dropped,
		};
	return w->n_sinks;
}
