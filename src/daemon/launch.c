/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "base/log.h"
#include "cgroup.h"
#include "files.h"
#include "launch.h"
#include "loop.h"
#include "privileges.h"
#include "supervise.h"

#define CGROUP_WAIT_MS 2000

/* What the launcher found when it was started; the agent gets it back. */
struct inherited {
	sigset_t mask;
	struct sigaction child, pipe;
};

struct channels {
	int go[2];   /* launcher → agent: one byte, or the end of the launcher */
	int exec[2]; /* agent → launcher: struct ln_exec_failure */
	int ctl[2];  /* launcher ↔ monitor: LN_CTL_* */
};

static void close_channels(struct channels *ch)
{
	int *fds = (int *)ch;

	for (size_t i = 0; i < sizeof(*ch) / sizeof(int); i++)
		ln_closep(&fds[i]);
}

static int open_channels(struct channels *ch, struct ln_error *err)
{
	if (pipe2(ch->go, O_CLOEXEC) == 0 && pipe2(ch->exec, O_CLOEXEC) == 0 &&
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ch->ctl) == 0)
		return 0;
	return ln_error_set(err, errno, "no pipe can be made: %s", strerror(errno));
}

static void take_signals(struct inherited *ret)
{
	const struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t mask;

	ln_supervise_mask(&mask);
	sigprocmask(SIG_BLOCK, &mask, &ret->mask);
	/* A parent that ignores SIGCHLD would have our children reaped unseen. */
	sigaction(SIGCHLD, &dfl, &ret->child);
	const struct sigaction ign = {.sa_handler = SIG_IGN};
	sigaction(SIGPIPE, &ign, &ret->pipe);
}

static void give_signals_back(const struct inherited *in)
{
	sigaction(SIGCHLD, &in->child, NULL);
	sigaction(SIGPIPE, &in->pipe, NULL);
	sigprocmask(SIG_SETMASK, &in->mask, NULL);
}

/* Runs in the agent's process. Nothing of linnet's is open in it but the pipes, and those close
 * when the command is executed. */
static int become_agent(const struct ln_launch_config *c, struct channels *ch,
			const struct inherited *in)
{
	struct ln_exec_failure failure = {.stage = LN_EXEC_IDENTITY};
	char go;

	ln_closep(&ch->go[1]);
	ln_closep(&ch->exec[0]);
	ln_closep(&ch->ctl[0]);
	ln_closep(&ch->ctl[1]);
	ssize_t n;
	do
		n = read(ch->go[0], &go, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		return LN_EXIT_FAILED;
	int r = ln_identity_apply(c->identity);
	if (r == 0) {
		give_signals_back(in);
		execvp(c->argv[0], c->argv);
		r = -errno;
		failure.stage = LN_EXEC_COMMAND;
	}
	failure.code = -r;
	n = write(ch->exec[1], &failure, sizeof(failure));
	return LN_EXIT_FAILED;
}

static int compare_ints(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Descriptors that the caller passed are the agent's: if linnet kept copies, whoever waits for the
 * end of such a pipe would wait for linnet. Called before linnet opens more than its cgroup. */
static void close_inherited(const struct channels *ch, const struct ln_cgroup *cgroup,
			    const struct ln_watch_config *c)
{
	int keep[sizeof(*ch) / sizeof(int) + 3], from = STDERR_FILENO + 1;

	memcpy(keep, ch, sizeof(*ch));
	keep[LN_ARRAY_SIZE(keep) - 3] = c->report ? c->report->fd : -1;
	keep[LN_ARRAY_SIZE(keep) - 2] = cgroup->parent_fd;
	keep[LN_ARRAY_SIZE(keep) - 1] = cgroup->fd;
	qsort(keep, LN_ARRAY_SIZE(keep), sizeof(keep[0]), compare_ints);
	for (size_t i = 0; i < LN_ARRAY_SIZE(keep); i++) {
		if (keep[i] > from)
			close_range((unsigned)from, (unsigned)keep[i] - 1, 0);
		from = LN_MAX(from, keep[i] + 1);
	}
	close_range((unsigned)from, ~0U, 0);
}

static void close_stdio(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	/* Standard output too: whoever reads the agent's must see its end when the agent ends. */
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* A pipe or terminal that nobody reads must not hold the watch up. O_NONBLOCK belongs to the open
 * file, which is the agent's too: so the monitor takes one of its own, while it may open it. */
static void own_stderr(void)
{
	struct stat st;

	if (fstat(STDERR_FILENO, &st) < 0 || !(S_ISFIFO(st.st_mode) || isatty(STDERR_FILENO)))
		return;
	LN_AUTO_CLOSE int fd =
	    open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		dup2(fd, STDERR_FILENO);
}

static void set_signals_for_loop(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

static int start_watch(const struct ln_watch_config *c, struct ln_error *err, struct ln_watch **ret)
{
	const struct rlimit no_core = {0};
	struct ln_watch *w = NULL;

	own_stderr();
	setrlimit(RLIMIT_CORE, &no_core);
	int r = ln_watch_prepare(c, err, &w);
	if (r == 0)
		r = ln_watch_drop(w, err);
	if (r == 0)
		r = ln_watch_begin(w, err);
	if (r < 0) {
		ln_watch_free(&w);
		return r;
	}
	*ret = w;
	return 0;
}

static int watch_until_end(struct ln_watch *w, int ctl_fd, bool attached)
{
	const struct ln_loop_config loop = {.watch = w, .ctl_fd = ctl_fd, .attached = attached};
	struct ln_error err = {0};
	enum ln_loop_end end;

	int r = ln_loop_run(&loop, &err, &end);
	if (r < 0)
		ln_log(LN_LOG_ERROR, "%s", err.text);
	else if (end == LN_LOOP_CANCELED)
		return LN_MONITOR_CLEAN;
	else
		ln_watch_let_go(w);
	ln_watch_finish(w);
	if (r < 0)
		return LN_EXIT_FAILED;
	bool alerts = ln_watch_violations(w) > 0;
	if (end == LN_LOOP_QUIT)
		return alerts ? LN_MONITOR_QUIT_ALERTS : LN_MONITOR_QUIT_CLEAN;
	return alerts ? LN_MONITOR_ALERTS : LN_MONITOR_CLEAN;
}

/* Nothing is open but the standard streams, `ctl` and the agent's cgroup. Its own session: what is
 * typed at the terminal does not reach it, and a stop of the job is not one of the watch. */
static int become_monitor(const struct ln_watch_config *c, int ctl, struct ln_cgroup *cgroup)
{
	const char ready = LN_CTL_READY;
	struct ln_error err = {0};
	struct ln_watch *w = NULL;

	setsid();
	prctl(PR_SET_NAME, "linnet-monitor");
	close_stdio();
	set_signals_for_loop();
	int r = start_watch(c, &err, &w);
	ln_cgroup_close(cgroup);
	if (r < 0) {
		ln_log(LN_LOG_ERROR, "%s", err.text);
		return LN_EXIT_FAILED;
	}
	int status = LN_EXIT_FAILED;
	if (send(ctl, &ready, 1, MSG_NOSIGNAL) == 1)
		status = watch_until_end(w, ctl, c->attach);
	ln_watch_free(&w);
	return status;
}

static int become_monitor_of(const struct ln_launch_config *c, struct channels *ch,
			     struct ln_cgroup *cgroup, pid_t agent)
{
	struct ln_watch_config config = c->watch;

	LN_AUTO_CLOSE int ctl = LN_TAKE_FD(ch->ctl[1]);
	close_channels(ch);
	config.pids = &agent;
	config.n_pids = 1;
	config.cgroup_fd = cgroup->fd;
	config.ctl_fd = ctl;
	return become_monitor(&config, ctl, cgroup);
}

static void sweep(void)
{
	LN_AUTO_CLOSE int root = -1;

	if (ln_cgroup_root(NULL, &root) < 0)
		return;
	unsigned n = ln_cgroup_sweep(root);
	if (n)
		ln_log(LN_LOG_INFO, "%u cgroup%s left by an earlier watch removed", n,
		       n == 1 ? "" : "s");
}

/* What the agent's end means to the caller (linnet(1), EXIT STATUS). */
static int exit_status(const struct ln_launch_config *c, const struct ln_supervisor *s)
{
	if (s->failed) {
		bool missing = s->failure.code == ENOENT || s->failure.code == ENOTDIR;
		if (s->failure.stage == LN_EXEC_IDENTITY) {
			ln_log(LN_LOG_ERROR, "cannot become the agent's user: %s",
			       strerror(s->failure.code));
			return LN_EXIT_FAILED;
		}
		ln_log(LN_LOG_ERROR, "cannot run %s: %s", c->argv[0],
		       missing && !strchr(c->argv[0], '/') ? "command not found"
							   : strerror(s->failure.code));
		return missing ? LN_EXIT_NOT_FOUND : LN_EXIT_CANNOT_RUN;
	}
	/* A watch that broke off cannot say that nothing happened. */
	bool clean = WIFEXITED(s->monitor_status) &&
		     (WEXITSTATUS(s->monitor_status) == LN_MONITOR_CLEAN ||
		      WEXITSTATUS(s->monitor_status) == LN_MONITOR_QUIT_CLEAN);
	if (c->alert_code && !clean)
		return c->alert_code;
	if (WIFSIGNALED(s->agent_status))
		return LN_EXIT_SIGNAL + WTERMSIG(s->agent_status);
	return WEXITSTATUS(s->agent_status);
}

/* Ends what was started so far; the agent has not run and goes by the end of its pipe. A monitor
 * that has failed by itself has said why: it is not killed. */
static int give_up(struct ln_supervisor *s, struct channels *ch, bool kill_monitor)
{
	if (kill_monitor && s->monitor)
		kill(s->monitor, SIGKILL);
	ln_closep(&ch->go[1]);
	ln_closep(&s->ctl_fd);
	if (s->monitor)
		waitpid(s->monitor, &s->monitor_status, 0);
	if (!kill_monitor && WIFSIGNALED(s->monitor_status))
		ln_log(LN_LOG_ERROR, "the monitor was killed by signal %d while it started",
		       WTERMSIG(s->monitor_status));
	if (s->agent)
		waitpid(s->agent, &s->agent_status, 0);
	return s->start_signal ? LN_EXIT_SIGNAL + s->start_signal : LN_EXIT_FAILED;
}

/* The agent's process, in a cgroup of its own where there can be one. */
static pid_t fork_agent(bool own_cgroup, struct ln_cgroup *cgroup)
{
	struct ln_error why = {0};
	int r = own_cgroup ? ln_cgroup_make(getpid(), &why, cgroup) : -1;
	pid_t pid = r == 0 ? ln_cgroup_fork(cgroup) : fork();

	if (pid < 0 && r == 0) {
		/* A kernel before 5.7, or one that wants no process born there. */
		pid = fork();
		r = pid > 0 ? ln_cgroup_enter(cgroup, pid, &why) : 0;
	}
	if (own_cgroup && r < 0 && pid > 0)
		ln_log(LN_LOG_WARNING, "bytes are not counted: %s", why.text);
	return pid;
}

static int start(const struct ln_launch_config *c, struct channels *ch, const struct inherited *in,
		 struct ln_cgroup *cgroup, struct ln_supervisor *s, struct ln_error *err)
{
	bool root = geteuid() == 0;

	s->agent = fork_agent(root && c->watch.kind->cgroup, cgroup);
	if (s->agent == 0)
		_exit(become_agent(c, ch, in));
	if (s->agent < 0) {
		s->agent = 0;
		return ln_error_set(err, errno, "no process can be made: %s", strerror(errno));
	}
	close_inherited(ch, cgroup, &c->watch);
	ln_files_allow();
	s->monitor = fork();
	if (s->monitor == 0)
		_exit(become_monitor_of(c, ch, cgroup, s->agent));
	if (s->monitor < 0) {
		s->monitor = 0;
		return ln_error_set(err, errno, "no process can be made: %s", strerror(errno));
	}
	return root ? ln_privileges_drop_launcher(true, err) : 0;
}

static int supervise(const struct ln_launch_config *c, struct channels *ch, struct ln_supervisor *s)
{
	if (!ln_supervise_wait_ready(s))
		return give_up(s, ch, s->start_signal != 0);
	if (write(ch->go[1], "g", 1) != 1)
		return give_up(s, ch, true);
	s->released = true;
	ln_closep(&ch->go[1]);
	if (geteuid() == 0)
		sweep();
	ln_supervise_run(s);
	return exit_status(c, s);
}

int ln_launch_run(const struct ln_launch_config *c)
{
	struct channels ch = {{-1, -1}, {-1, -1}, {-1, -1}};
	struct ln_cgroup cgroup = LN_CGROUP_NONE;
	struct ln_supervisor s = {.ctl_fd = -1, .exec_fd = -1, .signal_fd = -1, .tty_fd = -1};
	struct ln_error err = {0};
	struct inherited in;
	int status;

	take_signals(&in);
	int r = open_channels(&ch, &err);
	if (r == 0)
		r = start(c, &ch, &in, &cgroup, &s, &err);
	pid_t agent = s.agent, monitor = s.monitor;
	ln_closep(&ch.go[0]);
	ln_closep(&ch.exec[1]);
	ln_closep(&ch.ctl[1]);
	if (r == 0)
		r = ln_supervise_init(&s, LN_TAKE_FD(ch.ctl[0]), LN_TAKE_FD(ch.exec[0]), &err);
	s.agent = agent;
	s.monitor = monitor;
	s.watched = agent;
	s.agent_name = ln_policy_agent_name(c->watch.policy);
	s.policy_file = c->watch.no_policy ? NULL : ln_policy_file(c->watch.policy);
	s.cgroup_fd = cgroup.fd;
	s.mode = c->watch.dry_run ? LN_MODE_MONITOR : c->watch.mode;
	s.fails_closed = ln_policy_fails_closed(c->watch.policy);
	if (r < 0) {
		ln_log(LN_LOG_ERROR, "%s", err.text);
		ln_closep(&ch.ctl[0]);
		status = give_up(&s, &ch, true);
	} else {
		status = supervise(c, &ch, &s);
	}
	/* Only a watch that ended before the tree leaves processes in it: nothing to wait for. */
	bool ended = !s.released || (WIFEXITED(s.monitor_status) &&
				     WEXITSTATUS(s.monitor_status) <= LN_MONITOR_ALERTS);
	ln_cgroup_remove(&cgroup, ended ? CGROUP_WAIT_MS : 0);
	ln_supervise_done(&s);
	close_channels(&ch);
	return status;
}

static int fork_monitor(const struct ln_watch_config *c, struct ln_supervisor *s,
			struct ln_error *err)
{
	struct channels ch = {{-1, -1}, {-1, -1}, {-1, -1}};
	struct ln_cgroup none = LN_CGROUP_NONE;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ch.ctl) < 0)
		return ln_error_set(err, errno, "no socket can be made: %s", strerror(errno));
	ln_files_allow();
	pid_t monitor = fork();
	if (monitor == 0) {
		ln_closep(&ch.ctl[0]);
		close_inherited(&ch, &none, c);
		struct ln_watch_config config = *c;
		config.ctl_fd = ch.ctl[1];
		_exit(become_monitor(&config, ch.ctl[1], &none));
	}
	int r = monitor < 0
		    ? ln_error_set(err, errno, "no process can be made: %s", strerror(errno))
		    : ln_supervise_init(s, LN_TAKE_FD(ch.ctl[0]), -1, err);
	s->monitor = LN_MAX(monitor, 0);
	close_channels(&ch);
	if (r == 0 && geteuid() == 0)
		r = ln_privileges_drop_launcher(false, err);
	return r;
}

static int attach_status(const struct ln_supervisor *s, int alert_code)
{
	if (WIFSIGNALED(s->monitor_status)) {
		if (!s->ready)
			ln_log(LN_LOG_ERROR, "the monitor was killed by signal %d while it started",
			       WTERMSIG(s->monitor_status));
		return LN_EXIT_FAILED;
	}
	switch (WEXITSTATUS(s->monitor_status)) {
	case LN_MONITOR_CLEAN:
	case LN_MONITOR_QUIT_CLEAN:
		return 0;
	case LN_MONITOR_ALERTS:
	case LN_MONITOR_QUIT_ALERTS:
		return alert_code;
	default:
		return LN_EXIT_FAILED;
	}
}

int ln_launch_attach(const struct ln_watch_config *c, int alert_code)
{
	struct ln_supervisor s = {.ctl_fd = -1, .exec_fd = -1, .signal_fd = -1, .tty_fd = -1};
	struct ln_error err = {0};
	struct inherited in;
	int status = LN_EXIT_FAILED, root_fds[LN_WATCH_PIDS_MAX];

	take_signals(&in);
	for (size_t i = 0; i < LN_ARRAY_SIZE(root_fds); i++)
		root_fds[i] = i < c->n_pids ? (int)syscall(SYS_pidfd_open, c->pids[i], 0) : -1;
	int r = fork_monitor(c, &s, &err);
	s.watched = c->pids[0];
	s.agent_name = ln_policy_agent_name(c->policy);
	s.policy_file = c->no_policy ? NULL : ln_policy_file(c->policy);
	s.roots = c->pids;
	s.root_fds = root_fds;
	s.n_roots = c->n_pids;
	s.mode = c->dry_run ? LN_MODE_MONITOR : c->mode;
	s.fails_closed = ln_policy_fails_closed(c->policy);
	if (r < 0) {
		ln_log(LN_LOG_ERROR, "%s", err.text);
		if (s.monitor) {
			kill(s.monitor, SIGKILL);
			waitpid(s.monitor, NULL, 0);
		}
	} else {
		ln_supervise_run(&s);
		status = attach_status(&s, alert_code);
	}
	for (size_t i = 0; i < LN_ARRAY_SIZE(root_fds); i++)
		ln_closep(&root_fds[i]);
	ln_supervise_done(&s);
	return status;
}
