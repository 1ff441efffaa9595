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
#include "loop.h"
#include "supervise.h"

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

	*s = (struct ln_supervisor){.ctl_fd = ctl_fd, .exec_fd = exec_fd, .tty_fd = -1};
	ln_supervise_mask(&mask);
	s->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return ln_error_set(err, errno, "no signals can be taken: %s", strerror(errno));
	s->tty_fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	return 0;
}

void ln_supervise_done(struct ln_supervisor *s)
{
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

static void tell_watch_ended(const struct ln_supervisor *s)
{
	char reason[128] = "the monitor failed";

	if (WIFSIGNALED(s->monitor_status))
		snprintf(reason, sizeof(reason), "the monitor was killed by signal %d (%s)",
			 WTERMSIG(s->monitor_status), strsignal(WTERMSIG(s->monitor_status)));
	else if (WEXITSTATUS(s->monitor_status) <= LN_MONITOR_QUIT_ALERTS)
		snprintf(reason, sizeof(reason), "the monitor was told to end");
	tell(s, "WATCH ENDED", reason, "NONE - the agent goes on, but linnet no longer watches it");
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

	while (s->agent && waitpid(s->agent, &status, WNOHANG | WUNTRACED) == s->agent) {
		if (WIFSTOPPED(status)) {
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

static void on_signal(struct ln_supervisor *s, const struct signalfd_siginfo *si)
{
	int signo = (int)si->ssi_signo;

	if (signo == SIGCHLD)
		return;
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

static void on_ctl(struct ln_supervisor *s)
{
	char message = 0;
	ssize_t n = recv(s->ctl_fd, &message, 1, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		ln_closep(&s->ctl_fd);
	else if (n == 1 && message == LN_CTL_READY)
		s->ready = true;
	else if (n == 1 && message == LN_CTL_RUNS)
		s->stops = 0;
	else if (n == 1 && message == LN_CTL_POLICY)
		send_policy(s);
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
