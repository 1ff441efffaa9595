/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "family.h"
#include "files.h"
#include "loop.h"
#include "restrain.h"
#include "supervise.h"

/* Descriptors that come with one message; and how long a cgroup may take to freeze. */
#define FDS_MAX        64
#define FREEZE_WAIT_MS 200
/* How long the monitor has to answer after it was stopped and let go on. */
#define ANSWER_NS LN_NS_PER_S

void ln_supervise_mask(sigset_t *ret)
{
	static const int SIGNALS[] = {SIGCHLD, SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGUSR1,
				      SIGUSR2, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU};

	sigemptyset(ret);
	for (size_t i = 0; i < LN_ARRAY_SIZE(SIGNALS); i++)
		sigaddset(ret, SIGNALS[i]);
}

int ln_supervise_init(struct ln_supervisor *s, int ctl_fd, int exec_fd, struct ln_error *err)
{
	sigset_t mask;

	*s = (struct ln_supervisor){
	    .ctl_fd = ctl_fd,
	    .exec_fd = exec_fd,
	    .tty_fd = -1,
	    .cgroup_fd = -1,
	    .held_max = LN_MAX(LN_MIN(LN_ARRAY_SIZE(s->held), ln_files_allow() / 2), 1ULL)};
	ln_supervise_mask(&mask);
	s->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return ln_error_set(err, errno, "no signals can be taken: %s", strerror(errno));
	s->tty_fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	return 0;
}

static void release_held(struct ln_supervisor *s)
{
	while (s->n_held > 0)
		ln_closep(&s->held[--s->n_held]);
}

void ln_supervise_done(struct ln_supervisor *s)
{
	release_held(s);
	ln_closep(&s->ctl_fd);
	ln_closep(&s->exec_fd);
	ln_closep(&s->signal_fd);
	ln_closep(&s->tty_fd);
}

static void tell_monitor(struct ln_supervisor *s, char message)
{
	if (s->monitor)
		send(s->ctl_fd, &message, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A shell as the agent makes itself the terminal's foreground group. When it is gone nobody is, and
 * Ctrl-C would reach no one. A group that lives (we are in the background) is left alone. */
static void retake_terminal(const struct ln_supervisor *s)
{
	pid_t foreground = s->tty_fd < 0 ? -1 : tcgetpgrp(s->tty_fd);

	if (foreground > 0 && foreground != getpgrp() && kill(-foreground, 0) < 0 && errno == ESRCH)
		tcsetpgrp(s->tty_fd, getpgrp());
}

/* The shell must see its job stopped. SIGCONT, when it comes, is passed on like any signal.
 * Without a terminal there is no job control, and a launcher that stops might never go on. The
 * monitor is told, or it would take this stop for an attack. */
static void mirror_stop(struct ln_supervisor *s, int signo)
{
	sigset_t one;

	if (s->tty_fd < 0)
		return;
	tell_monitor(s, LN_CTL_PAUSES);
	sigemptyset(&one);
	sigaddset(&one, signo);
	kill(getpid(), signo);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	sigprocmask(SIG_BLOCK, &one, NULL);
	tell_monitor(s, LN_CTL_RESUMES);
}

/* An alert of the launcher's own, for what the monitor cannot tell. */
static void tell(const struct ln_supervisor *s, const char *title, const char *reason,
		 const char *action)
{
	struct ln_buf b = {0};
	char when[LN_TIME_TEXT_MAX];

	ln_buf_addf(&b, "[!] %s\nTimestamp: %s\nPID: %d\nAgent: ", title,
		    ln_time_format(ln_clock_wall_ns(), 0, when), (int)s->watched);
	ln_text_escape(&b, s->agent_name, strlen(s->agent_name));
	ln_buf_addf(&b, "\nReason: %s\nAction: %s\n\n", reason, action);
	/* One write: nothing of the agent's comes between. Where it cannot go, nobody reads. */
	if (!b.failed && write(STDERR_FILENO, b.data, b.len) < 0)
		ln_log(LN_LOG_DEBUG, "an alert of the launcher could not be told");
	ln_buf_done(&b);
}

/* One that has ended may have left its number to another process. */
static size_t living_roots(const struct ln_supervisor *s, pid_t *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_roots; i++) {
		struct pollfd p = {.fd = s->root_fds[i], .events = POLLIN};
		if (p.fd >= 0 && poll(&p, 1, 0) == 0)
			ret[n++] = s->roots[i];
	}
	if (s->agent)
		ret[n++] = s->agent;
	return n;
}

/* The whole agent, without the monitor's help. */
static bool restrain_all(struct ln_supervisor *s, bool kills)
{
	pid_t roots[LN_SUPERVISE_ROOTS_MAX + 1];

	s->frozen = s->frozen || !kills;
	if (s->cgroup_fd >= 0)
		return kills ? ln_restrain_kill(s->cgroup_fd) == 0
			     : ln_restrain_freeze(s->cgroup_fd, FREEZE_WAIT_MS) == 0;
	return ln_family_signal(roots, living_roots(s, roots), kills ? SIGKILL : SIGSTOP) > 0;
}

/* The monitor is gone, the agent is not: what the policy wants then is done here. What block mode
 * refuses stays refused by the kernel side itself where it hangs at the agent's own cgroup. */
static const char *what_holds_now(struct ln_supervisor *s)
{
	if (s->mode == LN_MODE_MONITOR)
		return "NONE - the agent goes on, but linnet no longer watches it";
	if (!s->fails_closed)
		return "NONE - the agent goes on; linnet no longer watches it, and nothing is "
		       "refused any more";
	if (s->mode == LN_MODE_BLOCK && s->cgroup_fd >= 0)
		return "CONFINED - the agent goes on with what was permitted last; linnet no "
		       "longer watches it";
	if (!restrain_all(s, s->mode == LN_MODE_KILL))
		return "NONE - the agent could not be stopped and goes on; linnet no longer "
		       "watches it";
	return s->mode == LN_MODE_KILL
		   ? "KILLED - the policy lets no agent run without a watch"
		   : "FROZEN - the policy lets no agent run without a watch; `linnet resume "
		     "PID` and `linnet kill PID` take the PID above";
}

static void tell_watch_ended(struct ln_supervisor *s)
{
	char reason[128] = "the monitor failed";

	if (WIFSIGNALED(s->monitor_status))
		snprintf(reason, sizeof(reason), "the monitor was killed by signal %d (%s)",
			 WTERMSIG(s->monitor_status), strsignal(WTERMSIG(s->monitor_status)));
	else if (WEXITSTATUS(s->monitor_status) <= LN_MONITOR_QUIT_ALERTS)
		snprintf(reason, sizeof(reason), "the monitor was told to end");
	tell(s, "WATCH ENDED", reason, what_holds_now(s));
}

/* Whoever stops the monitor faster than it can speak must not silence it. */
static void complain_if_due(struct ln_supervisor *s)
{
	char reason[128];

	if (s->stops == 0 || !s->ready || !s->monitor || ln_clock_mono_ns() < s->complain_ns)
		return;
	snprintf(reason, sizeof(reason),
		 "the monitor was stopped by a signal (%llu time%s) and has not answered since",
		 (unsigned long long)s->stops, s->stops == 1 ? "" : "s");
	tell(s, "LINNET TAMPERED WITH", reason,
	     "CONTINUED - what happens meanwhile may be told late, or lost");
	s->stops = 0;
}

static int until_complaint_ms(const struct ln_supervisor *s)
{
	uint64_t now = ln_clock_mono_ns();

	if (s->stops == 0 || !s->ready)
		return -1;
	return s->complain_ns > now ? (int)((s->complain_ns - now) / LN_NS_PER_MS) + 1 : 0;
}

/* It may be stopped again before it has run: that is for complain_if_due. */
static void on_monitor_stop(struct ln_supervisor *s)
{
	kill(s->monitor, SIGCONT);
	if (s->stops++ == 0)
		s->complain_ns = ln_clock_mono_ns() + ANSWER_NS;
	tell_monitor(s, LN_CTL_STOPPED);
}

static void on_monitor_end(struct ln_supervisor *s)
{
	int status = s->monitor_status;

	s->monitor = 0;
	if (s->failed || s->quit_sent || !s->ready)
		return;
	/* CLEAN and ALERTS mean that the tree has ended; the agent is then about to be reaped. */
	if (WIFEXITED(status) && WEXITSTATUS(status) <= LN_MONITOR_ALERTS)
		return;
	tell_watch_ended(s);
}

static void reap_agent(struct ln_supervisor *s)
{
	int status;

	while (s->agent &&
	       waitpid(s->agent, &status, WNOHANG | WUNTRACED | WCONTINUED) == s->agent) {
		if (WIFCONTINUED(status)) {
			s->frozen = s->frozen && s->cgroup_fd >= 0;
			continue;
		}
		if (WIFSTOPPED(status)) {
			/* What we stopped ourselves is no stop of the user's job. */
			if (!s->frozen)
				mirror_stop(s, WSTOPSIG(status));
			continue;
		}
		s->agent_status = status;
		s->agent = 0;
		retake_terminal(s);
	}
}

/* One change a call: each makes a SIGCHLD, and stops without end must not keep us here. */
static void reap_monitor(struct ln_supervisor *s)
{
	int status;

	if (!s->monitor || waitpid(s->monitor, &status, WNOHANG | WUNTRACED) != s->monitor)
		return;
	if (WIFSTOPPED(status)) {
		on_monitor_stop(s);
		return;
	}
	s->monitor_status = status;
	on_monitor_end(s);
}

static void reap(struct ln_supervisor *s)
{
	/* First the monitor: when both are gone, whether the agent outlived it is not known. */
	reap_monitor(s);
	reap_agent(s);
}

static bool is_quit(int signo)
{
	return signo == SIGINT || signo == SIGTERM || signo == SIGHUP || signo == SIGQUIT;
}

static bool is_job_stop(int signo)
{
	return signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU;
}

/* Whoever resumed the agent need not have told us. */
static bool is_frozen(const struct ln_supervisor *s)
{
	return s->frozen && (s->cgroup_fd < 0 || ln_restrain_is_frozen(s->cgroup_fd));
}

/* It could not take the signal that asks it to end, and must not run to do so. */
static void end_frozen(struct ln_supervisor *s)
{
	if (s->cgroup_fd >= 0)
		ln_restrain_kill(s->cgroup_fd);
	for (size_t i = 0; i < s->n_held; i++)
		ln_restrain_signal(s->held[i], SIGKILL);
	kill(s->agent, SIGKILL);
}

static void on_signal(struct ln_supervisor *s, const struct signalfd_siginfo *si)
{
	int signo = (int)si->ssi_signo;

	if (signo == SIGCHLD)
		return;
	if (s->agent && is_quit(signo) && is_frozen(s)) {
		end_frozen(s);
		return;
	}
	if (s->agent) {
		/* What the terminal sends goes to the whole foreground group: the agent has it.
		 * What the agent sends to its own group must not come back to it. */
		if (si->ssi_code != SI_KERNEL && si->ssi_pid != (uint32_t)s->agent)
			kill(s->agent, signo);
		return;
	}
	/* Ctrl-Z stops the job; what anybody else sends does not stop a watchdog. */
	if (is_job_stop(signo) && si->ssi_code == SI_KERNEL)
		mirror_stop(s, signo);
	/* Of a terminal that is gone the kernel tells; a person or a service manager wants the
	 * policy to be read again. */
	if (signo == SIGHUP && si->ssi_code != SI_KERNEL) {
		tell_monitor(s, LN_CTL_RELOAD);
		return;
	}
	if (!is_quit(signo))
		return;
	/* A second one is for a monitor that does not answer. */
	if (s->quit_sent && s->monitor)
		kill(s->monitor, SIGKILL);
	tell_monitor(s, LN_CTL_QUIT);
	s->quit_sent = true;
}

static bool next_signal(const struct ln_supervisor *s, struct signalfd_siginfo *ret)
{
	return read(s->signal_fd, ret, sizeof(*ret)) == (ssize_t)sizeof(*ret);
}

static void on_exec(struct ln_supervisor *s)
{
	struct ln_exec_failure failure;

	s->failed = read(s->exec_fd, &failure, sizeof(failure)) == (ssize_t)sizeof(failure);
	if (s->failed)
		s->failure = failure;
	ln_closep(&s->exec_fd);
	tell_monitor(s, s->failed ? LN_CTL_CANCELED : LN_CTL_STARTED);
}

/* Opened, not read: what stands in it is for a process without privileges. */
static void send_policy(const struct ln_supervisor *s)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char message = LN_CTL_POLICY;
	struct iovec iov = {.iov_base = &message, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	LN_AUTO_CLOSE int fd = -1;

	if (s->policy_file)
		fd = open(s->policy_file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		*CMSG_FIRSTHDR(&msg) = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fd)),
							.cmsg_level = SOL_SOCKET,
							.cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &fd, sizeof(fd));
	} else if (s->policy_file) {
		ln_log(LN_LOG_ERROR, "cannot open the policy %s: %s", s->policy_file,
		       strerror(errno));
	}
	sendmsg(s->ctl_fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* `linnet resume` finds them by our descriptors. The oldest goes: there must be room to receive the
 * next ones. */
static void hold(struct ln_supervisor *s, int pidfd)
{
	if (s->n_held == s->held_max) {
		ln_closep(&s->held[0]);
		memmove(&s->held[0], &s->held[1], (s->n_held - 1) * sizeof(s->held[0]));
		s->n_held--;
	}
	s->held[s->n_held++] = pidfd;
}

/* A process that has ended by itself is as good as killed. */
static bool signal_each(struct ln_supervisor *s, int *fds, size_t n, int signo)
{
	bool done = true;

	for (size_t i = 0; i < n; i++) {
		int r = ln_restrain_signal(fds[i], signo);
		done = done && (r == 0 || r == -ESRCH);
		if (r == 0 && signo == SIGSTOP)
			hold(s, LN_TAKE_FD(fds[i]));
	}
	return done;
}

/* The monitor reads what others wrote, so it gets no more than the mode is for. `cut`: some of the
 * processes did not arrive, which must not be told as done. */
static void on_request(struct ln_supervisor *s, char message, int *fds, size_t n, bool cut)
{
	bool kills = message == LN_CTL_KILL;
	bool done = s->mode == (kills ? LN_MODE_KILL : LN_MODE_FREEZE);

	if (done && !kills)
		s->frozen = true;
	if (done && n == 0 && !cut && s->cgroup_fd >= 0)
		done = kills ? ln_restrain_kill(s->cgroup_fd) == 0
			     : ln_restrain_freeze(s->cgroup_fd, FREEZE_WAIT_MS) == 0;
	if (done)
		done = signal_each(s, fds, n, kills ? SIGKILL : SIGSTOP) && !cut;
	tell_monitor(s, done ? LN_CTL_DONE : LN_CTL_NOT_DONE);
}

/* One byte; returns as recv. *ret_n descriptors came with it, and are the caller's. *ret_cut: there
 * were more, for which this process has no room. */
static ssize_t receive(int fd, char *ret, int ret_fds[static FDS_MAX], size_t *ret_n, bool *ret_cut)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = ret, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	*ret_n = 0;
	*ret_cut = n > 0 && (msg.msg_flags & MSG_CTRUNC);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		*ret_n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(ret_fds, CMSG_DATA(c), *ret_n * sizeof(int));
	}
	return n;
}

static void on_ctl(struct ln_supervisor *s)
{
	int fds[FDS_MAX];
	size_t n_fds;
	char message = 0;
	bool cut;
	ssize_t n = receive(s->ctl_fd, &message, fds, &n_fds, &cut);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		ln_closep(&s->ctl_fd);
	else if (n == 1 && message == LN_CTL_READY)
		s->ready = true;
	else if (n == 1 && message == LN_CTL_RUNS)
		s->stops = 0;
	else if (n == 1 && message == LN_CTL_POLICY)
		send_policy(s);
	else if (n == 1 && (message == LN_CTL_KILL || message == LN_CTL_FREEZE))
		on_request(s, message, fds, n_fds, cut);
	while (n_fds > 0)
		ln_closep(&fds[--n_fds]);
}

bool ln_supervise_wait_ready(struct ln_supervisor *s)
{
	struct signalfd_siginfo si;

	while (!s->ready && s->ctl_fd >= 0) {
		struct pollfd fds[] = {
		    {.fd = s->signal_fd, .events = POLLIN},
		    {.fd = s->ctl_fd, .events = POLLIN},
		};
		if (poll(fds, LN_ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return false;
		while (fds[0].revents && next_signal(s, &si)) {
			if (is_quit((int)si.ssi_signo)) {
				s->start_signal = (int)si.ssi_signo;
				return false;
			}
		}
		if (fds[1].revents)
			on_ctl(s);
		reap_monitor(s);
	}
	return s->ready;
}

void ln_supervise_run(struct ln_supervisor *s)
{
	struct signalfd_siginfo si;

	for (;;) {
		reap(s);
		if (!s->agent && !s->monitor && s->exec_fd < 0)
			return;
		struct pollfd fds[] = {
		    {.fd = s->signal_fd, .events = POLLIN},
		    {.fd = s->exec_fd, .events = POLLIN},
		    {.fd = s->ctl_fd, .events = POLLIN},
		};
		if (poll(fds, LN_ARRAY_SIZE(fds), until_complaint_ms(s)) < 0 && errno != EINTR)
			return;
		while (fds[0].revents && next_signal(s, &si))
			on_signal(s, &si);
		if (fds[1].revents)
			on_exec(s);
		if (fds[2].revents)
			on_ctl(s);
		complain_if_due(s);
	}
}
