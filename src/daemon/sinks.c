/* SPDX-License-Identifier: Apache-2.0 */
/* The sinks of a watch: made after root is gone, looked after in the loop, and given a bounded time
 * at the end. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "watch_impl.h"

int ln_watch_make_sinks(struct ln_watch *w, struct ln_error *err)
{
	const struct ln_console_config console = {
	    .fd = STDERR_FILENO,
	    .quiet = w->c.quiet,
	    .color = w->c.color,
	    .show_args = w->c.show_args,
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
	return 0;
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

	if (i == SINK_CONSOLE || i == SINK_LOG)
		ln_log(LN_LOG_ERROR,
		       "%s cannot be written (%s): records are being lost; the watch goes on",
		       i == SINK_LOG ? w->log_path : "standard error", ln_sink_why(s));
	else
		ln_log(
		    LN_LOG_ERROR,
		    "alerts do not arrive at %s %s (%s); the watch goes on, and the log has them",
		    s->ops->name, s->target, ln_sink_why(s));
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
	return any ? next : 0;
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
		    .target = i == SINK_CONSOLE || i == SINK_LOG ? NULL : w->sinks[i]->target,
		    .written = w->sinks[i]->written,
		    .dropped = w->sinks[i]->dropped,
		};
	return w->n_sinks;
}
