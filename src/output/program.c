/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a program for each alert, with the alert's record on its standard input: as the monitor's
 * user, never through a shell, with nothing of linnet's open. At most RUNNING_MAX at once and one a
 * second; each has TIMEOUT_NS. What a program leaves in its process group goes with it.
 */
#include "sinks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "base/clock.h"
#include "outbox.h"

#define RUNNING_MAX 4
#define WAITING_MAX 64
#define BYTES_MAX   (1U << 20)
#define PAUSE_NS    (1 * LN_NS_PER_S)
#define TIMEOUT_NS  (10 * LN_NS_PER_S)
#define GRACE_NS    (2 * LN_NS_PER_S)
#define CANNOT_RUN  127

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* since Linux 6.3 */
#endif

struct child {
	pid_t pid; /* 0: none */
	int pidfd; /* owned */
	uint64_t deadline_ns;
	bool killed;
};

struct program {
	struct ln_sink base;
	struct ln_record record;
	struct ln_outbox outbox;
	char **argv; /* owned */
	int null_fd; /* owned */
	int epoll;   /* owned; holds the pidfds */
	struct child running[RUNNING_MAX];
	size_t n_running;
	uint64_t next_ns; /* no start before */
	bool closing;
};

static struct program *program_of(struct ln_sink *s)
{
	return (struct program *)s;
}

static void on_header(struct ln_sink *s, const struct ln_sink_header *h)
{
	program_of(s)->record.netns = h->netns; /* a record then says what differs, as in the log */
}

static void on_finding(struct ln_sink *s, const struct ln_finding *f)
{
	struct program *p = program_of(s);

	if (f->alert)
		ln_outbox_put_record(&p->outbox, s, &p->record, f);
}

/* Away from the standard streams, which the child replaces. */
static int above_stdio(int fd)
{
	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	int above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return above;
}

/* A file in memory: there is nobody to wait for, as there would be with a pipe. */
static int make_input(const struct ln_message *m)
{
	int fd = memfd_create("linnet-alert", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("linnet-alert", MFD_CLOEXEC);
	fd = above_stdio(fd);
	if (fd < 0)
		return -1;
	for (size_t at = 0; at < m->len;) {
		ssize_t n = write(fd, m->data + at, m->len - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			close(fd);
			return -1;
		}
		at += (size_t)n;
	}
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void close_others(void)
{
	if (close_range(STDERR_FILENO + 1, ~0U, 0) == 0)
		return;
	for (int fd = STDERR_FILENO + 1; fd < 4096; fd++) /* Linux before 5.9 */
		close(fd);
}

/*
 * By the system call: the C library refuses its own two signals, and whoever started linnet may
 * have left those ignored too.
 */
static void take_no_signal_over(void)
{
	static const unsigned long
	    by_default[8]; /* the kernel's struct sigaction, of any machine */
	const size_t set_bytes = (_NSIG - 1) / 8;

	for (int signo = 1; signo <= SIGRTMAX; signo++)
		syscall(SYS_rt_sigaction, signo, by_default, NULL, set_bytes);
}

/* Between fork and exec: there may be threads of libraries, so nothing here takes a lock. */
static void become(const struct program *p, int in)
{
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	static char lang[] = "LANG=C.UTF-8";
	char *const env[] = {path, lang, NULL};
	sigset_t none;

	setpgid(0, 0);
	take_no_signal_over();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(p->null_fd, STDOUT_FILENO) < 0 ||
	    dup2(p->null_fd, STDERR_FILENO) < 0 || chdir("/") < 0)
		_exit(CANNOT_RUN);
	close_others();
	umask(077);
	execve(p->argv[0], p->argv, env);
	_exit(CANNOT_RUN);
}

static int watch_child(struct program *p, struct child *c)
{
	struct epoll_event ev = {.events = EPOLLIN};

	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	return c->pidfd < 0 ? -1 : epoll_ctl(p->epoll, EPOLL_CTL_ADD, c->pidfd, &ev);
}

static bool start(struct program *p, struct child *c, const struct ln_message *m, uint64_t now_ns)
{
	LN_AUTO_CLOSE int in = make_input(m);
	pid_t pid = in < 0 ? -1 : fork();

	if (pid == 0)
		become(p, in);
	if (pid < 0) {
		ln_sink_failed(&p->base, "no process can be made: %s", strerror(errno));
		return false;
	}
	setpgid(pid, pid); /* here too: whoever is first */
	*c = (struct child){.pid = pid, .pidfd = -1, .deadline_ns = now_ns + TIMEOUT_NS};
	p->n_running++;
	/* Without it the end is noticed late, at the deadline. */
	if (watch_child(p, c) < 0)
		ln_sink_failed(&p->base, "its end cannot be noticed: %s", strerror(errno));
	return true;
}

static void count_end(struct program *p, const struct child *c, const siginfo_t *si)
{
	struct ln_sink *s = &p->base;

	if (si->si_code == CLD_EXITED && si->si_status == 0) {
		s->written++;
		return;
	}
	s->dropped++;
	if (c->killed)
		ln_sink_failed(s, "it had not ended after %llu s, and was killed",
			       TIMEOUT_NS / LN_NS_PER_S);
	else if (si->si_code == CLD_EXITED && si->si_status == CANNOT_RUN)
		ln_sink_failed(s, "it cannot be run by the monitor's user");
	else
		ln_sink_failed(s,
			       si->si_code == CLD_EXITED ? "it ended with status %d"
							 : "it was ended by signal %d",
			       si->si_status);
}

/* False: it goes on. */
static bool reap(struct program *p, struct child *c)
{
	siginfo_t si = {0};

	if (waitid(P_PID, (id_t)c->pid, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid == 0)
		return false;
	/* Before it is reaped: until then the number of its group means this group. */
	kill(-c->pid, SIGKILL);
	waitid(P_PID, (id_t)c->pid, &si, WEXITED | WNOHANG);
	count_end(p, c, &si);
	if (c->pidfd >= 0)
		epoll_ctl(p->epoll, EPOLL_CTL_DEL, c->pidfd, NULL);
	ln_closep(&c->pidfd);
	c->pid = 0;
	p->n_running--;
	return true;
}

static void look_after(struct program *p, struct child *c, uint64_t now_ns)
{
	if (reap(p, c) || c->killed || now_ns < c->deadline_ns)
		return;
	c->killed = true;
	kill(-c->pid, SIGKILL);
	kill(c->pid, SIGKILL); /* had it no group yet */
}

static bool may_start(const struct program *p, uint64_t now_ns)
{
	return p->outbox.n > 0 && p->n_running < RUNNING_MAX &&
	       (p->closing || now_ns >= p->next_ns);
}

static struct child *free_slot(struct program *p)
{
	for (size_t i = 0; i < RUNNING_MAX; i++)
		if (p->running[i].pid == 0)
			return &p->running[i];
	return NULL;
}

static void on_dispatch(struct ln_sink *s, uint64_t now_ns)
{
	struct program *p = program_of(s);

	for (size_t i = 0; i < RUNNING_MAX; i++)
		if (p->running[i].pid != 0)
			look_after(p, &p->running[i], now_ns);
	while (may_start(p, now_ns)) {
		struct ln_message m = ln_outbox_take(&p->outbox);
		if (!start(p, free_slot(p), &m, now_ns))
			s->dropped++;
		free(m.data);
		p->next_ns = now_ns + PAUSE_NS;
		ln_outbox_put_owed(&p->outbox, s, &p->record);
	}
}

static int on_fd(struct ln_sink *s)
{
	return program_of(s)->epoll;
}

static uint64_t on_deadline(struct ln_sink *s)
{
	const struct program *p = program_of(s);
	uint64_t due = UINT64_MAX;

	for (size_t i = 0; i < RUNNING_MAX; i++)
		if (p->running[i].pid != 0 && !p->running[i].killed)
			due = LN_MIN(due, p->running[i].deadline_ns);
	if (p->outbox.n > 0 && p->n_running < RUNNING_MAX)
		due = LN_MIN(due, p->closing ? 0 : p->next_ns);
	return due;
}

static size_t on_pending(struct ln_sink *s)
{
	return program_of(s)->outbox.n + program_of(s)->n_running;
}

/* What waits is started without the pause: it is late or never. */
static void on_closing(struct ln_sink *s)
{
	program_of(s)->closing = true;
}

static void on_free(struct ln_sink *s)
{
	struct program *p = program_of(s);

	for (size_t i = 0; i < RUNNING_MAX; i++) {
		if (p->running[i].pid == 0)
			continue;
		kill(-p->running[i].pid, SIGKILL);
		waitid(P_PID, (id_t)p->running[i].pid, NULL, WEXITED | WNOHANG);
		ln_closep(&p->running[i].pidfd);
	}
	for (size_t i = 0; p->argv && p->argv[i]; i++)
		free(p->argv[i]);
	free(p->argv);
	ln_closep(&p->null_fd);
	ln_closep(&p->epoll);
	ln_outbox_done(&p->outbox);
	ln_record_done(&p->record);
	free(p);
}

static int copy_argv(struct program *p, char *const *argv)
{
	size_t n = 0;

	while (argv[n])
		n++;
	p->argv = calloc(n + 1, sizeof(*p->argv));
	for (size_t i = 0; p->argv && i < n; i++) {
		p->argv[i] = strdup(argv[i]);
		if (!p->argv[i])
			return -ENOMEM;
	}
	return p->argv ? 0 : -ENOMEM;
}

int ln_sink_program_new(const struct ln_program_config *c, struct ln_error *err,
			struct ln_sink **ret)
{
	static const struct ln_sink_ops ops = {
	    .name = "exec",
	    .header = on_header,
	    .finding = on_finding,
	    .fd = on_fd,
	    .deadline = on_deadline,
	    .dispatch = on_dispatch,
	    .pending = on_pending,
	    .closing = on_closing,
	    .grace_ns = GRACE_NS,
	    .free = on_free,
	};

	if (!c->argv[0] || c->argv[0][0] != '/')
		return ln_error_set(err, EINVAL, "exec: the program needs an absolute path");
	struct program *p = calloc(1, sizeof(*p));
	if (!p)
		return ln_error_set(err, ENOMEM, "out of memory");
	p->base.ops = &ops;
	p->record.redact.off = c->show_args;
	snprintf(p->base.target, sizeof(p->base.target), "%s", c->argv[0]);
	for (size_t i = 0; i < RUNNING_MAX; i++)
		p->running[i].pidfd = -1;
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	p->null_fd = above_stdio(open("/dev/null", O_RDWR | O_CLOEXEC));
	int r = p->epoll < 0 || p->null_fd < 0 ? -errno : copy_argv(p, c->argv);
	if (r == 0)
		r = ln_outbox_init(&p->outbox, WAITING_MAX, BYTES_MAX);
	if (r < 0) {
		on_free(&p->base);
		return ln_error_set(err, -r, "exec: %s", strerror(-r));
	}
	if (access(p->argv[0], X_OK) < 0)
		ln_sink_failed(&p->base, "%s", strerror(errno));
	*ret = &p->base;
	return 0;
}
