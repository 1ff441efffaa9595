/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/sched.h>
#include "poll_actor.h"

struct command {
	enum op op;
	int value;
};

struct seen events[EVENTS_MAX];
size_t n_events;

/* --- the actor's side --- */

static int last_socket = -1, listener = -1;

static struct sockaddr_in6 loopback6(const char *text, int port)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	inet_pton(AF_INET6, text, &to.sin6_addr);
	return to;
}

struct sockaddr_in loopback4(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return to;
}

int open_to(int type, const char *text6, int port)
{
	struct sockaddr_in to4 = loopback4(port);
	struct sockaddr_in6 to6 = loopback6(text6 ? text6 : "::1", port);
	int fd = socket(text6 ? AF_INET6 : AF_INET, type, 0);
	int r =
	    text6 ? connect(fd, (void *)&to6, sizeof(to6)) : connect(fd, (void *)&to4, sizeof(to4));

	last_socket = fd;
	return r < 0 && errno != EINPROGRESS ? -errno : fd;
}

int port_of(int fd)
{
	struct sockaddr_in name;
	socklen_t len = sizeof(name);

	return getsockname(fd, (void *)&name, &len) < 0 ? -1 : ntohs(name.sin_port);
}

int listen_on_loopback(int backlog)
{
	struct sockaddr_in name = loopback4(0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (void *)&name, sizeof(name)) < 0 || listen(fd, backlog) < 0)
		return -1;
	return fd;
}

static int sendto_loopback(int port)
{
	struct sockaddr_in to = loopback4(port);

	last_socket = socket(AF_INET, SOCK_DGRAM, 0);
	return sendto(last_socket, "x", 1, 0, (void *)&to, sizeof(to));
}

static int transfer(int count, bool out)
{
	char bytes[4096] = {0};
	int done = 0;

	while (done < count) {
		size_t part = LN_MIN(sizeof(bytes), (size_t)(count - done));
		ssize_t n = out ? write(last_socket, bytes, part) : read(last_socket, bytes, part);

		if (n <= 0)
			return n < 0 ? -errno : done;
		done += n;
	}
	return done;
}

static int take(int their_fd)
{
	LN_AUTO_CLOSE int pidfd = syscall(SYS_pidfd_open, getppid(), 0);

	last_socket = syscall(SYS_pidfd_getfd, pidfd, their_fd, 0);
	return last_socket < 0 ? -errno : last_socket;
}

static int enter_netns(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	LN_AUTO_CLOSE int fd = -1;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	return ioctl(fd, SIOCSIFFLAGS, &lo) < 0 ? -errno : 0;
}

static void serve(int fd);

static void *serve_in_thread(void *fd)
{
	serve(*(int *)fd);
	_exit(0);
}

static int leader_exit(int fd)
{
	static int channel;
	pthread_t thread;

	channel = fd;
	if (pthread_create(&thread, NULL, serve_in_thread, &channel))
		return -1;
	syscall(SYS_exit, 0); /* this thread alone */
	return 0;
}

static int fork_to(const struct actor *a, int channel, bool orphan)
{
	int sync[2] = {-1, -1};
	pid_t pid;

	if (orphan && pipe2(sync, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0 && orphan) {
		pid = fork();
		if (pid != 0) {
			if (write(sync[1], &pid, sizeof(pid)) < 0)
				_exit(1);
			_exit(0);
		}
	}
	if (pid == 0) {
		serve(a->far[channel]);
		_exit(0);
	}
	if (orphan) {
		waitpid(pid, NULL, 0);
		if (read(sync[0], &pid, sizeof(pid)) < 0)
			pid = -1;
		close(sync[0]);
		close(sync[1]);
	}
	return pid;
}

/* Start times count in hundredths of a second: two processes in one of them would be one. */
static int replace(const struct actor *a, int channel, pid_t pid)
{
	struct clone_args args = {
	    .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1};
	struct timespec wait = {.tv_nsec = 30000000};
	long r;

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	nanosleep(&wait, NULL);
	r = syscall(SYS_clone3, &args, sizeof(args));
	if (r == 0) {
		serve(a->far[channel]);
		_exit(0);
	}
	return r < 0 ? -errno : r;
}

static const struct actor *self;
static pid_t last_child;

static int obey(struct command c, int channel)
{
	switch (c.op) {
	case OP_CONNECT:
		return open_to(SOCK_STREAM | SOCK_CLOEXEC, NULL, c.value);
	case OP_CONNECT_HALF:
		return open_to(SOCK_STREAM | SOCK_NONBLOCK, NULL, c.value);
	case OP_CONNECT6:
		return open_to(SOCK_STREAM, "::1", c.value);
	case OP_CONNECT_MAPPED:
		return open_to(SOCK_STREAM, "::ffff:127.0.0.1", c.value);
	case OP_UDP:
		return open_to(SOCK_DGRAM, NULL, c.value);
	case OP_UDP_SENDTO:
		return sendto_loopback(c.value);
	case OP_SEND:
		return transfer(c.value, true);
	case OP_READ:
		return transfer(c.value, false);
	case OP_CLOSE:
		return close(last_socket);
	case OP_TAKE:
		return take(c.value);
	case OP_LISTEN:
		listener = listen_on_loopback(8);
		return port_of(listener);
	case OP_ACCEPT:
		return last_socket = accept(listener, NULL, NULL);
	case OP_CLOSE_LISTENER:
		return close(listener);
	case OP_FORK:
	case OP_ORPHAN:
		return last_child = fork_to(self, c.value, c.op == OP_ORPHAN);
	case OP_REPLACE:
		return replace(self, c.value, last_child);
	case OP_EXEC:
		return execl("/bin/sleep", "a b", "1000", NULL);
	case OP_EXIT:
		_exit(c.value);
	case OP_NETNS:
		return enter_netns();
	case OP_LEADER_EXIT:
		return leader_exit(channel);
	case OP_SETSID:
		return setsid();
	}
	return -EINVAL;
}

static void serve(int fd)
{
	struct command c;

	while (read(fd, &c, sizeof(c)) == sizeof(c)) {
		int answer = obey(c, fd);

		if (write(fd, &answer, sizeof(answer)) < 0)
			break;
	}
}

/* --- the test's side --- */

/* The actor must not hold the sockets of the test. */
static void keep_only(const int fds[CHANNELS])
{
	int from = 3;

	for (int i = 0; i < CHANNELS; i++) { /* ascending */
		if (fds[i] > from)
			close_range(from, fds[i] - 1, 0);
		from = fds[i] + 1;
	}
	close_range(from, ~0U, 0);
}

void actor_start(struct actor *a)
{
	int ready = 0;

	for (int i = 0; i < CHANNELS; i++) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
		a->near[i] = pair[0];
		a->far[i] = pair[1];
	}
	a->pid = fork();
	assert_true(a->pid >= 0);
	if (a->pid == 0) {
		keep_only(a->far);
		self = a;
		if (write(a->far[0], &ready, sizeof(ready)) == sizeof(ready))
			serve(a->far[0]);
		_exit(0);
	}
	for (int i = 0; i < CHANNELS; i++)
		close(a->far[i]);
	assert_int_equal(read(a->near[0], &ready, sizeof(ready)), sizeof(ready));
}

void actor_stop(struct actor *a)
{
	for (int i = 0; i < CHANNELS; i++)
		ln_closep(&a->near[i]);
	if (a->pid > 0) {
		kill(a->pid, SIGKILL);
		waitpid(a->pid, NULL, 0);
	}
	a->pid = 0;
}

void actor_send(struct actor *a, int channel, enum op op, int value)
{
	struct command c = {op, value};

	assert_int_equal(write(a->near[channel], &c, sizeof(c)), sizeof(c));
}

int actor_ask(struct actor *a, int channel, enum op op, int value)
{
	int answer = 0;

	actor_send(a, channel, op, value);
	assert_int_equal(read(a->near[channel], &answer, sizeof(answer)), sizeof(answer));
	return answer;
}

void watch_collect(const struct ln_event *ev, void *user)
{
	struct seen *s;

	assert_true(n_events < EVENTS_MAX);
	assert_true(ev->time_ns > 0 && ev->wall_ns > ev->time_ns);
	if (n_events)
		assert_true(ev->time_ns >= events[n_events - 1].ev.time_ns);
	s = &events[n_events++];
	*s = (struct seen){.ev = *ev};
	if (ev->kind == LN_EVENT_EXEC || ev->kind == LN_EVENT_ADOPT) {
		assert_true(ev->exec.exe_len < sizeof(s->exe));
		memcpy(s->exe, ev->exec.exe, ev->exec.exe_len);
		memcpy(s->args, ev->exec.args, LN_MIN(ev->exec.args_len, sizeof(s->args)));
	}
}

struct ln_sensor *watch_new(void)
{
	struct ln_sensor *s = NULL;

	n_events = 0;
	assert_int_equal(ln_sensor_poll_new(NULL, &s), 0);
	return s;
}

void watch_look(struct ln_sensor *s)
{
	assert_int_equal(s->ops->drain(s, watch_collect, NULL), 0);
}

struct seen *watch_find(enum ln_event_kind kind, pid_t pid)
{
	for (size_t i = 0; i < n_events; i++)
		if (events[i].ev.kind == kind && events[i].ev.pid == (uint32_t)pid)
			return &events[i];
	return NULL;
}

size_t watch_count(enum ln_event_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < n_events; i++)
		n += events[i].ev.kind == kind;
	return n;
}

void watch_tick(struct ln_sensor *s)
{
	struct pollfd p = {.fd = s->ops->fd(s), .events = POLLIN};

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(s->ops->dispatch(s, watch_collect, NULL), 0);
}

struct seen *watch_await(struct ln_sensor *s, enum ln_event_kind kind, pid_t pid)
{
	for (int i = 0; i < WAIT_MS / 100; i++) {
		struct seen *found = watch_find(kind, pid);

		if (found)
			return found;
		watch_tick(s);
	}
	fail_msg("no %d of %d", kind, pid);
	return NULL;
}

struct ln_sensor *watch_track(struct actor *a)
{
	struct ln_sensor *s = watch_new();

	assert_int_equal(s->ops->track(s, 1, a->pid, -1, NULL), 0);
	return s;
}
