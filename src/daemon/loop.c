/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include "base/clock.h"
#include "base/log.h"
#include "cgroup.h"
#include "loop.h"

/* Background processes that end together with the agent are no news. */
#define LEFT_BEHIND_US 300000
#define TIMER_SLACK_US 10000
/* The ends of connections that the agent left open come when their last packets have gone. */
#define LINGER_STEP_US 5000
#define LINGER_STEPS   40
/* How long an attached tree's events wait for the names of the policy, see hold_sensor. */
#define HOLD_US 1000000
/* Whatever is done to linnet itself must be told within a second. */
#define INSPECT_US       900000
#define INSPECT_SLACK_US 50000

struct loop {
	struct ln_watch *watch;    /* borrowed */
	sd_event *event;           /* owned */
	sd_event_source *timer;    /* owned; the engine's deadline */
	sd_event_source *behind;   /* owned; NULL until the agent has ended */
	sd_event_source *sensor;   /* owned */
	sd_event_source *lookup;   /* owned; NULL: no name to look up */
	sd_event_source *hold;     /* owned; NULL unless the sensor is held */
	sd_event_source *resolved; /* owned; NULL: not listened to */
	sd_event_source *linger;   /* owned; NULL until all is over */
	sd_event_source *inspect;  /* owned */
	sd_event_source *ctl;      /* owned; off when the launcher is gone */
	int ctl_fd;                /* borrowed */
	int launcher_fd;           /* owned; stat of the launcher in /proc, -1 none */
	bool launcher_pauses;      /* it has said that it stops, with the user's job */
	bool launcher_stopped;     /* and that it did not say; told */
	uint64_t stops;            /* of our own, not yet told */
	uint64_t stops_told_ns;
	unsigned linger_left;
	uint64_t armed_ns;
	size_t pids_left; /* attached processes whose end is awaited */
	bool attached;
	bool agent_started; /* or there is nobody who could tell */
	bool cgroup_emptied;
	enum ln_loop_end end;
};

static void quit(struct loop *l, enum ln_loop_end end)
{
	l->end = end;
	sd_event_exit(l->event, 0);
}

static int on_sensor(sd_event_source *s, int fd, uint32_t revents, void *user)
{
	struct loop *l = user;

	/* An error ends sd_event_loop with it. */
	return ln_watch_dispatch_sensor(l->watch);
}

/* An attached agent looked its names up before we came: the connections that are open can only be
 * named by our own look-ups. So nothing is judged before these are through, or a second has passed.
 * The agent waits for nothing, and the events keep their order. */
static int release_sensor(struct loop *l)
{
	l->hold = sd_event_source_unref(l->hold);
	return sd_event_source_set_enabled(l->sensor, SD_EVENT_ON);
}

static int on_hold_over(sd_event_source *s, uint64_t usec, void *user)
{
	return release_sensor(user);
}

static int hold_sensor(struct loop *l)
{
	int r = sd_event_source_set_enabled(l->sensor, SD_EVENT_OFF);

	return r < 0 ? r
		     : sd_event_add_time_relative(l->event, &l->hold, CLOCK_MONOTONIC, HOLD_US,
						  TIMER_SLACK_US, on_hold_over, l);
}

static int on_lookup(sd_event_source *s, int fd, uint32_t revents, void *user)
{
	struct loop *l = user;
	int r = ln_watch_dispatch_lookup(l->watch);

	if (r < 0) {
		ln_log(LN_LOG_WARNING, "the names of the policy are no longer looked up: %s",
		       strerror(-r));
		sd_event_source_set_enabled(s, SD_EVENT_OFF);
	}
	return l->hold && (r < 0 || ln_watch_lookups_settled(l->watch)) ? release_sensor(l) : 0;
}

static int on_resolved(sd_event_source *s, int fd, uint32_t revents, void *user)
{
	struct loop *l = user;

	if (ln_watch_dispatch_resolved(l->watch))
		return 0;
	l->resolved = sd_event_source_unref(s);
	return 0;
}

static int on_sink(sd_event_source *s, int fd, uint32_t revents, void *user)
{
	struct loop *l = user;

	ln_watch_dispatch_sinks(l->watch);
	return 0;
}

static int add_lookup(struct loop *l)
{
	int fd = ln_watch_lookup_fd(l->watch);

	l->lookup = sd_event_source_disable_unref(l->lookup);
	return fd < 0 ? 0 : sd_event_add_io(l->event, &l->lookup, fd, EPOLLIN, on_lookup, l);
}

static void ask_for_policy(struct loop *l)
{
	const char message = LN_CTL_POLICY;

	/* The launcher is gone: nobody else may open it. */
	if (send(l->ctl_fd, &message, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
		ln_watch_take_policy(l->watch, -1);
}

static int on_policy(sd_event_source *s, int fd, uint32_t revents, void *user)
{
	struct loop *l = user;

	if (ln_watch_dispatch_policy(l->watch))
		ask_for_policy(l);
	return 0;
}

static int take_policy(struct loop *l, int fd)
{
	/* Before its descriptor is closed. */
	l->lookup = sd_event_source_disable_unref(l->lookup);
	if (ln_watch_take_policy(l->watch, fd))
		ask_for_policy(l);
	return add_lookup(l);
}

/* Only root and linnet's own user can send it; where the agent is that, it asks for itself. */
static int on_hangup(sd_event_source *s, const struct signalfd_siginfo *si, void *user)
{
	struct loop *l = user;

	if (geteuid() != 0 && si->ssi_uid == geteuid())
		ln_log(LN_LOG_WARNING, "the policy is not read again: the agent may have asked for "
				       "it, because it runs as linnet's own user");
	else if (ln_watch_want_policy(l->watch, true))
		ask_for_policy(l);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *user)
{
	struct loop *l = user;

	l->armed_ns = UINT64_MAX;
	ln_watch_tick(l->watch);
	return 0;
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *user)
{
	quit(user, LN_LOOP_QUIT);
	return 0;
}

/* At once, and then once a second, however often it happens. */
static void tell_stops(struct loop *l)
{
	uint64_t now = ln_clock_mono_ns();

	if (l->stops == 0 || (l->stops_told_ns && now - l->stops_told_ns < LN_NS_PER_S))
		return;
	if (l->stops == 1)
		ln_watch_tamper(l->watch, "the monitor was stopped by a signal and goes on");
	else
		ln_watch_tamper(l->watch,
				"the monitor was stopped by a signal and goes on (%llu times)",
				(unsigned long long)l->stops);
	l->stops = 0;
	l->stops_told_ns = now;
}

/* The agent lives, so the watch goes on. */
static int on_launcher_gone(struct loop *l)
{
	l->agent_started = true;
	ln_closep(&l->launcher_fd);
	ln_watch_tamper(l->watch, "the launcher was killed: nobody lets the monitor go on any more "
				  "when it is stopped");
	return sd_event_source_set_enabled(l->ctl, SD_EVENT_OFF);
}

/* `fd`: what came with it, or -1; borrowed. */
static int on_message(struct loop *l, char message, int fd)
{
	const char answer = LN_CTL_RUNS;

	switch (message) {
	case LN_CTL_STARTED:
		l->agent_started = true;
		break;
	case LN_CTL_CANCELED:
		quit(l, LN_LOOP_CANCELED);
		break;
	case LN_CTL_QUIT:
		quit(l, LN_LOOP_QUIT);
		break;
	case LN_CTL_STOPPED:
		l->stops++;
		send(l->ctl_fd, &answer, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		break;
	case LN_CTL_PAUSES:
	case LN_CTL_RESUMES:
		l->launcher_pauses = message == LN_CTL_PAUSES;
		break;
	case LN_CTL_POLICY:
		return take_policy(l, fd);
	case LN_CTL_RELOAD:
		if (ln_watch_want_policy(l->watch, true))
			ask_for_policy(l);
		break;
	default:
		break;
	}
	return 0;
}

/* As recv: what it returns. *ret_fd is the caller's, or -1; -EMFILE: there is no room for it. */
static ssize_t receive(int ctl_fd, char *ret_message, int *ret_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = ret_message, .iov_len = 1};
	struct msghdr msg = {
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(ctl_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	*ret_fd = n >= 0 && (msg.msg_flags & MSG_CTRUNC) ? -EMFILE : -1;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return n;
}

static int read_ctl(struct loop *l)
{
	char message;
	ssize_t n;
	int r = 0, fd;

	while (r >= 0 && (n = receive(l->ctl_fd, &message, &fd)) == 1) {
		r = on_message(l, message, fd);
		ln_closep(&fd);
	}
	if (r < 0)
		return r;
	int error = errno;
	tell_stops(l);
	if (n == 0)
		return on_launcher_gone(l);
	return error == EAGAIN || error == EINTR ? 0 : -error;
}

static void read_kept(struct loop *l)
{
	char kept[64];
	size_t n = ln_watch_take_kept(l->watch, kept, sizeof(kept));

	for (size_t i = 0; i < n; i++)
		on_message(l, kept[i], -1);
}

static int on_ctl(sd_event_source *s, int fd, uint32_t revents, void *user)
{
	return read_ctl(user);
}

/* Its state in /proc is the word after the command, which ends with the last parenthesis. */
static bool launcher_is_stopped(const struct loop *l)
{
	char stat[512];
	ssize_t n = l->launcher_fd < 0 ? -1 : pread(l->launcher_fd, stat, sizeof(stat) - 1, 0);

	if (n <= 0)
		return false;
	stat[n] = '\0';
	const char *end = strrchr(stat, ')');
	return end && end[1] == ' ' && (end[2] == 'T' || end[2] == 't');
}

/* It says so before it stops by itself, so what it said is read after its state. */
static int look_at_launcher(struct loop *l)
{
	bool stopped = launcher_is_stopped(l);

	if (!stopped) {
		l->launcher_stopped = false;
		return 0;
	}
	int r = read_ctl(l);
	if (!l->launcher_pauses && !l->launcher_stopped) {
		l->launcher_stopped = true;
		ln_watch_tamper(l->watch, "the launcher was stopped by a signal: nobody lets the "
					  "monitor go on when it is stopped too");
	}
	return r;
}

static int on_inspect(sd_event_source *s, uint64_t usec, void *user)
{
	struct loop *l = user;
	int r = look_at_launcher(l);

	tell_stops(l);
	ln_watch_inspect(l->watch);
	if (r >= 0)
		r = sd_event_source_set_time_relative(s, INSPECT_US);
	return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int on_cgroup(sd_event_source *s, int fd, uint32_t revents, void *user)
{
	struct loop *l = user;
	int populated = ln_cgroup_populated(fd);

	/* One that somebody removed was empty, and can be polled without end from then on. */
	l->cgroup_emptied = populated == 0 || populated == -ENODEV;
	return populated == -ENODEV ? sd_event_source_set_enabled(s, SD_EVENT_OFF) : 0;
}

static int on_pidfd(sd_event_source *s, int fd, uint32_t revents, void *user)
{
	struct loop *l = user;

	/* Its children are in events that may be unread yet: read them before anything is over. */
	l->pids_left--;
	ln_watch_drain(l->watch);
	return sd_event_source_set_enabled(s, SD_EVENT_OFF);
}

static int on_left_behind(sd_event_source *s, uint64_t usec, void *user)
{
	struct loop *l = user;
	/* One whose birth was lost is only known to its cgroup. */
	size_t n = LN_MAX(ln_watch_living(l->watch), (size_t)1);

	ln_log(LN_LOG_NOTICE,
	       "%zu process%s of the agent %s still running; linnet goes on watching until %s "
	       "(Ctrl-C ends the watch)",
	       n, n == 1 ? "" : "es", n == 1 ? "is" : "are", n == 1 ? "it ends" : "they end");
	return 0;
}

static bool is_over(const struct loop *l)
{
	bool ended = ln_watch_tree_ended(l->watch), lost = ln_watch_lost(l->watch) > 0;
	uint64_t living = 0;
	bool counted = ln_watch_living_now(l->watch, &living);

	/* A birth or an exit may be among the events that were lost: then the kernel's own count
	 * of the tree has the last word, both ways. */
	if (!l->agent_started || living > 0)
		return false;
	/* The cgroup where there is one, too: it knows a child for which the table of the tree had
	 * no room, and a process closes its connections after its exit was told. */
	if (ln_watch_cgroup_fd(l->watch) >= 0)
		return l->cgroup_emptied && (ended || lost);
	return ended ||
	       (l->pids_left == 0 && (ln_watch_living(l->watch) == 0 || (counted && lost)));
}

static int on_linger(sd_event_source *s, uint64_t usec, void *user)
{
	struct loop *l = user;

	l->linger_left--;
	ln_watch_drain(l->watch);
	int r = sd_event_source_set_time(s, usec + LINGER_STEP_US);
	return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int end_or_linger(struct loop *l)
{
	if (ln_watch_open_flows(l->watch) == 0 || l->linger_left == 0) {
		quit(l, l->end);
		return 0;
	}
	return l->linger ? 0
			 : sd_event_add_time_relative(l->event, &l->linger, CLOCK_MONOTONIC,
						      LINGER_STEP_US, 1000, on_linger, l);
}

static int arm_timer(struct loop *l)
{
	uint64_t deadline = ln_watch_deadline(l->watch);

	if (deadline == l->armed_ns)
		return 0;
	l->armed_ns = deadline;
	if (deadline == UINT64_MAX)
		return sd_event_source_set_enabled(l->timer, SD_EVENT_OFF);
	int r = sd_event_source_set_time(l->timer, deadline / 1000 + 1);
	return r < 0 ? r : sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT);
}

/* After each round, when all that was due has been dispatched. */
static int on_round(sd_event_source *s, void *user)
{
	struct loop *l = user;

	ln_watch_settle(l->watch);
	read_kept(l);
	if (is_over(l))
		return end_or_linger(l);
	if (!l->behind && !l->attached && l->agent_started && ln_watch_root_ended(l->watch)) {
		int r =
		    sd_event_add_time_relative(l->event, &l->behind, CLOCK_MONOTONIC,
					       LEFT_BEHIND_US, TIMER_SLACK_US, on_left_behind, l);
		if (r < 0)
			return r;
	}
	return arm_timer(l);
}

static int add_pidfds(struct loop *l)
{
	for (size_t i = 0; i < LN_WATCH_PIDS_MAX; i++) {
		int fd = ln_watch_pidfd(l->watch, i);
		if (fd < 0)
			continue;
		int r = sd_event_add_io(l->event, NULL, fd, EPOLLIN, on_pidfd, l);
		if (r < 0)
			return r;
		l->pids_left++;
	}
	return 0;
}

static int add_sinks(struct loop *l)
{
	for (size_t i = 0; i < LN_WATCH_SINKS_MAX; i++) {
		int fd = ln_watch_sink_fd(l->watch, i);
		int r = fd < 0 ? 0 : sd_event_add_io(l->event, NULL, fd, EPOLLIN, on_sink, l);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_signals(struct loop *l)
{
	int r = sd_event_add_signal(l->event, NULL, SIGINT, on_signal, l);

	if (r >= 0)
		r = sd_event_add_signal(l->event, NULL, SIGTERM, on_signal, l);
	return r < 0 ? r : sd_event_add_signal(l->event, NULL, SIGHUP, on_hangup, l);
}

/* Kept open: one system call a look, and the number cannot come to mean another process. */
static int open_launcher(void)
{
	char path[64];

	/* Of its only thread: that of the process sums up more, and costs five times as much. */
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)getppid(), (int)getppid());
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		ln_log(LN_LOG_INFO, "a stop of the launcher would not be noticed: %s: %s", path,
		       strerror(errno));
	return fd;
}

static int add_sources(struct loop *l, const struct ln_loop_config *c)
{
	int fd, r = sd_event_add_io(l->event, &l->sensor, ln_watch_sensor_fd(l->watch), EPOLLIN,
				    on_sensor, l);

	if (r >= 0)
		r = add_lookup(l);
	if (r >= 0 && l->attached && !ln_watch_lookups_settled(l->watch))
		r = hold_sensor(l);
	fd = ln_watch_resolved_fd(l->watch);
	if (r >= 0 && fd >= 0)
		r = sd_event_add_io(l->event, &l->resolved, fd, EPOLLIN, on_resolved, l);
	fd = ln_watch_policy_fd(l->watch);
	if (r >= 0 && fd >= 0)
		r = sd_event_add_io(l->event, NULL, fd, EPOLLIN, on_policy, l);
	fd = ln_watch_cgroup_fd(l->watch);
	if (r >= 0 && fd >= 0)
		r = sd_event_add_io(l->event, NULL, fd, EPOLLPRI, on_cgroup, l);
	if (r >= 0)
		r = sd_event_add_io(l->event, &l->ctl, c->ctl_fd, EPOLLIN, on_ctl, l);
	if (r >= 0)
		r = sd_event_add_time_relative(l->event, &l->inspect, CLOCK_MONOTONIC, INSPECT_US,
					       INSPECT_SLACK_US, on_inspect, l);
	if (r >= 0)
		r = sd_event_add_time(l->event, &l->timer, CLOCK_MONOTONIC, UINT64_MAX,
				      TIMER_SLACK_US, on_timer, l);
	if (r >= 0)
		r = add_pidfds(l);
	if (r >= 0)
		r = add_sinks(l);
	if (r >= 0)
		r = add_signals(l);
	if (r >= 0)
		r = sd_event_add_post(l->event, NULL, on_round, l);
	return r;
}

int ln_loop_run(const struct ln_loop_config *c, struct ln_error *err, enum ln_loop_end *ret)
{
	struct loop l = {
	    .watch = c->watch,
	    .armed_ns = UINT64_MAX,
	    .linger_left = LINGER_STEPS,
	    .ctl_fd = c->ctl_fd,
	    .launcher_fd = open_launcher(),
	    .attached = c->attached,
	    .agent_started = c->attached,
	    .end = LN_LOOP_TREE_ENDED,
	};
	int r = sd_event_new(&l.event);

	if (r >= 0)
		r = add_sources(&l, c);
	if (r >= 0)
		r = arm_timer(&l);
	if (r >= 0)
		r = sd_event_loop(l.event);
	sd_event_source_unref(l.timer);
	sd_event_source_unref(l.behind);
	sd_event_source_unref(l.linger);
	sd_event_source_unref(l.resolved);
	sd_event_source_unref(l.hold);
	sd_event_source_unref(l.sensor);
	sd_event_source_unref(l.lookup);
	sd_event_source_unref(l.inspect);
	sd_event_source_unref(l.ctl);
	sd_event_unref(l.event);
	ln_closep(&l.launcher_fd);
	if (r < 0)
		return ln_error_set(err, -r, "the watch cannot go on: %s", strerror(-r));
	*ret = l.end;
	return 0;
}
