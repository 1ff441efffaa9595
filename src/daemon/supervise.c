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
 * Without a terminal there is no job control, and a launcher that stops might never go on. */
static void mirror_stop(const struct ln_supervisor *s, int signo)
{
	sigset_t one;

	if (s->tty_fd < 0)
		return;
	sigemptyset(&one);
	sigaddset(&one, signo);
	kill(getpid(), signo);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	sigprocmask(SIG_BLOCK, &one, NULL);
}

static void tell_watch_ended(const struct ln_supervisor *s)
{
	struct ln_buf b = {0};
	char when[LN_TIME_TEXT_MAX];

	ln_buf_addf(&b, "[!] WATCH ENDED\nTimestamp: %s\nPID: %d\nAgent: ",
		    ln_time_format(ln_clock_wall_ns(), 0, when), (int)s->agent);
	ln_text_escape(&b, s->agent_name, strlen(s->agent_name));
	ln_buf_adds(&b, "\nReason: ");
	if (WIFSIGNALED(s->monitor_status))
		ln_buf_addf(&b, "the monitor was killed by signal %d (%s)",
			    WTERMSIG(s->monitor_status), strsignal(WTERMSIG(s->monitor_status)));
	else if (WEXITSTATUS(s->monitor_status) <= LN_MONITOR_QUIT_ALERTS)
		ln_buf_adds(&b, "the monitor was told to end");
	else
		ln_buf_adds(&b, "the monitor failed");
	ln_buf_adds(&b, "\nAction: NONE - the agent goes on, but linnet no longer watches it\n\n");
	/* One write: nothing of the agent's comes between. Where it cannot go, nobody reads. */
	if (!b.failed && write(STDERR_FILENO, b.data, b.len) < 0)
		ln_log(LN_LOG_DEBUG, "the end of the watch could not be told");
	ln_buf_done(&b);
}

static void on_monitor_end(struct ln_supervisor *s)
{
	int status = s->monitor_status;

	s->monitor = 0;
	if (s->failed || s->quit_sent)
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

static void reap(struct ln_supervisor *s)
{
	/* First the monitor: when both are gone, whether the agent outlived it is not known. */
	if (s->monitor && waitpid(s->monitor, &s->monitor_status, WNOHANG) == s->monitor)
		on_monitor_end(s);
	reap_agent(s);
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
	if (signo != SIGINT && signo != SIGTERM && signo != SIGHUP && signo != SIGQUIT)
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

bool ln_supervise_wait_ready(struct ln_supervisor *s)
{
	struct pollfd fds[] = {
	    {.fd = s->signal_fd, .events = POLLIN},
	    {.fd = s->ctl_fd, .events = POLLIN},
	};
	struct signalfd_siginfo si;
	char message;

	for (;;) {
		if (poll(fds, LN_ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return false;
		while (fds[0].revents && next_signal(s, &si)) {
			int signo = (int)si.ssi_signo;
			if (signo == SIGINT || signo == SIGTERM || signo == SIGHUP ||
			    signo == SIGQUIT) {
				s->start_signal = signo;
				return false;
			}
		}
		if (fds[1].revents)
			return recv(s->ctl_fd, &message, 1, MSG_DONTWAIT) == 1 &&
			       message == LN_CTL_READY;
	}
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
		};
		if (poll(fds, LN_ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return;
		while (fds[0].revents && next_signal(s, &si))
			on_signal(s, &si);
		if (fds[1].revents)
			on_exec(s);
	}
}
