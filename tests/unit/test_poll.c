/* SPDX-License-Identifier: Apache-2.0 */
/* The poll sensor on real processes and real sockets on loopback. An actor is a forked process
 * that does what the test says over a UNIX socket, one command and one answer at a time, so that
 * every look happens at a known moment. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/sched.h>
#include <cmocka.h>
#include "sensor/poll_flows.h"
#include "sensor/poll_sockets.h"
#include "sensor/poll_tree.h"
#include "sensor/sensor.h"

#define CHANNELS   4
#define EVENTS_MAX 256
#define WAIT_MS    5000

enum op {
	OP_CONNECT,        /* value: port */
	OP_CONNECT_HALF,   /* does not wait */
	OP_CONNECT6,       /* to ::1 */
	OP_CONNECT_MAPPED, /* to ::ffff:127.0.0.1 */
	OP_UDP,            /* connected */
	OP_UDP_SENDTO,
	OP_SEND,  /* value: bytes */
	OP_READ,  /* value: bytes */
	OP_CLOSE, /* the last socket */
	OP_LISTEN,
	OP_ACCEPT,
	OP_CLOSE_LISTENER,
	OP_FORK,    /* value: channel that the child serves */
	OP_ORPHAN,  /* the same, through a process that ends at once */
	OP_REPLACE, /* the last child ends, another takes its PID; value: channel of the other */
	OP_SETSID,
	OP_EXEC,
	OP_EXIT, /* value: status */
	OP_NETNS,
	OP_LEADER_EXIT, /* another thread goes on */
};

struct command {
	enum op op;
	int value;
};

struct actor {
	pid_t pid;
	int near[CHANNELS], far[CHANNELS];
};

struct seen {
	struct ln_event ev;
	char exe[256], args[256];
};

static struct seen events[EVENTS_MAX];
static size_t n_events;

/* --- the actor's side --- */

static int last_socket = -1, listener = -1;

static struct sockaddr_in6 loopback6(const char *text, int port)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	inet_pton(AF_INET6, text, &to.sin6_addr);
	return to;
}

static struct sockaddr_in loopback4(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return to;
}

static int open_to(int type, const char *text6, int port)
{
	struct sockaddr_in to4 = loopback4(port);
	struct sockaddr_in6 to6 = loopback6(text6 ? text6 : "::1", port);
	int fd = socket(text6 ? AF_INET6 : AF_INET, type, 0);
	int r =
	    text6 ? connect(fd, (void *)&to6, sizeof(to6)) : connect(fd, (void *)&to4, sizeof(to4));

	last_socket = fd;
	return r < 0 && errno != EINPROGRESS ? -errno : fd;
}

static int port_of(int fd)
{
	struct sockaddr_in name;
	socklen_t len = sizeof(name);

	return getsockname(fd, (void *)&name, &len) < 0 ? -1 : ntohs(name.sin_port);
}

static int listen_on_loopback(int backlog)
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

static void start(struct actor *a)
{
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
		serve(a->far[0]);
		_exit(0);
	}
	for (int i = 0; i < CHANNELS; i++)
		close(a->far[i]);
}

/* Whoever serves a channel ends when it closes. */
static void stop(struct actor *a)
{
	for (int i = 0; i < CHANNELS; i++)
		ln_closep(&a->near[i]);
	if (a->pid > 0) {
		kill(a->pid, SIGKILL);
		waitpid(a->pid, NULL, 0);
	}
	a->pid = 0;
}

static void send_command(struct actor *a, int channel, enum op op, int value)
{
	struct command c = {op, value};

	assert_int_equal(write(a->near[channel], &c, sizeof(c)), sizeof(c));
}

static int ask(struct actor *a, int channel, enum op op, int value)
{
	int answer = 0;

	send_command(a, channel, op, value);
	assert_int_equal(read(a->near[channel], &answer, sizeof(answer)), sizeof(answer));
	return answer;
}

static void collect(const struct ln_event *ev, void *user)
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

static struct ln_sensor *new_sensor(void)
{
	struct ln_sensor *s = NULL;

	n_events = 0;
	assert_int_equal(ln_sensor_poll_new(NULL, &s), 0);
	return s;
}

static void look(struct ln_sensor *s)
{
	assert_int_equal(s->ops->drain(s, collect, NULL), 0);
}

static struct seen *find(enum ln_event_kind kind, pid_t pid)
{
	for (size_t i = 0; i < n_events; i++)
		if (events[i].ev.kind == kind && events[i].ev.pid == (uint32_t)pid)
			return &events[i];
	return NULL;
}

static size_t count(enum ln_event_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < n_events; i++)
		n += events[i].ev.kind == kind;
	return n;
}

static void wait_tick(struct ln_sensor *s)
{
	struct pollfd p = {.fd = s->ops->fd(s), .events = POLLIN};

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(s->ops->dispatch(s, collect, NULL), 0);
}

/* Waits on the sensor's descriptor until the event is there; at most WAIT_MS. */
static struct seen *await(struct ln_sensor *s, enum ln_event_kind kind, pid_t pid)
{
	for (int i = 0; i < WAIT_MS / 100; i++) {
		struct seen *found = find(kind, pid);

		if (found)
			return found;
		wait_tick(s);
	}
	fail_msg("no %d of %d", kind, pid);
	return NULL;
}

static struct ln_sensor *track(struct actor *a)
{
	struct ln_sensor *s = new_sensor();

	assert_int_equal(s->ops->track(s, 1, a->pid, -1, NULL), 0);
	return s;
}

static void test_line(void **state)
{
	static const char v4[] = "   0: 0100007F:1F90 0200000A:01BB 01 00000000:00000000 "
				 "00:00000000 00000000  1000        0 31337 1 ffff8881 20 4";
	static const char v6[] = " 12: 0000000000000000FFFF00000100007F:0035 "
				 "B80D0120000000000000000001000000:EA60 02 0:0 0:0 0 0 0 9 1";
	struct ln_poll_socket row = {0};
	char text[LN_ENDPOINT_TEXT_MAX];
	size_t inode_end = strstr(v4, "31337") - v4 + 1;

	assert_true(ln_poll_procnet_line(v4, strlen(v4), IPPROTO_TCP, &row));
	assert_string_equal(ln_endpoint_format(&row.local, text), "127.0.0.1:8080");
	assert_string_equal(ln_endpoint_format(&row.remote, text), "10.0.0.2:443");
	assert_int_equal(row.state, TCP_ESTABLISHED);
	assert_int_equal(row.inode, 31337);
	assert_false(row.counted);
	assert_true(ln_poll_procnet_line(v6, strlen(v6), IPPROTO_TCP, &row));
	assert_string_equal(ln_endpoint_format(&row.local, text), "127.0.0.1:53");
	assert_string_equal(ln_endpoint_format(&row.remote, text), "[2001:db8::1]:60000");
	assert_int_equal(row.state, TCP_SYN_SENT);

	row = (struct ln_poll_socket){.inode = 1};
	for (size_t len = 0; len < inode_end; len++) {
		char *cut = memcpy(malloc(len + 1), v4, len); /* so that a sanitizer sees its end */

		cut = realloc(cut, len ? len : 1);
		assert_false(ln_poll_procnet_line(cut, len, IPPROTO_TCP, &row));
		free(cut);
	}
	assert_int_equal(row.inode, 1); /* untouched by a refusal */
}

static void test_line_refused(void **state)
{
	static const char *const bad[] = {
	    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt",
	    "0: 0100007G:1F90 0200000A:01BB 01 0:0 0:0 0 0 0 1",
	    "0: 0100007F:1F9 0200000A:01BB 01 0:0 0:0 0 0 0 1",
	    "0: 0100007F01:1F90 0200000A:01BB 01 0:0 0:0 0 0 0 1",
	    "0: 0100007F:1F90 0200000A:01BB 20 0:0 0:0 0 0 0 1",
	    "0: 0100007F:1F90 0200000A:01BB 01 0:0 0:0 0 0 0 99999999999999999999",
	    "0: 0100007F:1F90 0200000A:01BB 01 0:0 0:0 0 0 0 -1",
	    "0  0100007F:1F90 0200000A:01BB 01 0:0 0:0 0 0 0 1",
	};
	struct ln_poll_socket row;

	for (size_t i = 0; i < LN_ARRAY_SIZE(bad); i++)
		if (ln_poll_procnet_line(bad[i], strlen(bad[i]), IPPROTO_TCP, &row))
			fail_msg("taken: %s", bad[i]);
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

/* Both readers must say the same of the same sockets. */
static void test_readers_agree(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(4), client = -1, accepted = -1, proc = -1;
	struct ln_poll_sockets by_diag = {0}, by_proc = {0};
	struct ln_poll_diag *diag = NULL;
	int fds[3];

	client = open_to(SOCK_STREAM, NULL, port_of(server));
	accepted = accept(server, NULL, NULL);
	proc = open("/proc", O_RDONLY | O_DIRECTORY);
	assert_int_equal(ln_poll_diag_new(&diag), 0);
	assert_int_equal(ln_poll_diag_dump(diag, 7, &by_diag), 0);
	assert_int_equal(ln_poll_procnet_read(proc, getpid(), 7, &by_proc), 0);
	ln_poll_sockets_sort(&by_diag);
	ln_poll_sockets_sort(&by_proc);
	fds[0] = server;
	fds[1] = client;
	fds[2] = accepted;
	for (int i = 0; i < 3; i++) {
		const struct ln_poll_socket *x = ln_poll_sockets_find(&by_diag, inode_of(fds[i]));
		const struct ln_poll_socket *y = ln_poll_sockets_find(&by_proc, inode_of(fds[i]));

		assert_non_null(x);
		assert_non_null(y);
		assert_int_equal(x->netns, 7);
		assert_int_equal(x->state, y->state);
		assert_memory_equal(&x->local, &y->local, sizeof(x->local));
		assert_memory_equal(&x->remote, &y->remote, sizeof(x->remote));
		assert_true(x->counted);
		assert_false(y->counted);
	}
	assert_null(ln_poll_sockets_find(&by_diag, 1));
	ln_poll_diag_free(&diag);
	ln_poll_sockets_done(&by_diag);
	ln_poll_sockets_done(&by_proc);
}

static void test_socket_bound(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(4);
	struct ln_poll_sockets s = {.n = LN_POLL_SOCKETS_MAX, .cap = LN_POLL_SOCKETS_MAX};
	struct ln_poll_diag *diag = NULL;

	s.rows = calloc(s.cap, sizeof(*s.rows));
	assert_non_null(s.rows);
	assert_true(server >= 0);
	assert_int_equal(ln_poll_diag_new(&diag), 0);
	assert_int_equal(ln_poll_diag_dump(diag, 1, &s), 0);
	assert_int_equal(s.n, LN_POLL_SOCKETS_MAX);
	assert_true(s.refused >= 1);
	ln_poll_diag_free(&diag);
	ln_poll_sockets_done(&s);
}

static void test_track_exec_exit(void **state)
{
	struct actor a;
	struct ln_sensor *s;
	struct seen *e;

	start(&a);
	s = track(&a);
	look(s);
	assert_int_equal(n_events, 1); /* a copy of linnet that waits: nothing was exec'd yet */
	assert_int_equal(events[0].ev.kind, LN_EVENT_FORK);
	assert_int_equal(events[0].ev.fork.child, a.pid);
	send_command(&a, 0, OP_EXEC, 0);
	e = await(s, LN_EVENT_EXEC, a.pid);
	assert_non_null(strstr(e->exe, "sleep"));
	while (strcmp(e->args, "a b")) { /* a look in the middle of an exec sees the old ones */
		e->ev.kind = LN_EVENT_COUNT;
		e = await(s, LN_EVENT_EXEC, a.pid);
	}
	assert_memory_equal(e->args, "a b\0001000", 9);
	assert_int_equal(e->ev.exec.args_len, 9);
	assert_false(e->ev.exec.cut);
	kill(a.pid, SIGKILL);
	e = await(s, LN_EVENT_EXIT, a.pid);
	assert_int_equal(e->ev.exit.status, SIGKILL);
	assert_int_equal(count(LN_EVENT_EXIT), 1);
	look(s);
	assert_ptr_equal(e, &events[n_events - 1]); /* the last word */
	stop(&a);
	ln_sensor_free(&s);
}

static void test_track_refuses(void **state)
{
	struct ln_sensor *s = new_sensor();
	struct ln_error err = {0};
	struct actor a;
	pid_t dead = fork();

	if (dead == 0)
		_exit(0);
	waitpid(dead, NULL, 0);
	assert_int_equal(s->ops->track(s, 1, dead, -1, &err), -ESRCH);
	assert_non_null(strstr(err.text, "does not live"));
	assert_int_equal(s->ops->adopt(s, 1, dead, &err), -ESRCH);
	start(&a);
	assert_int_equal(s->ops->adopt(s, 1, a.pid, &err), 0);
	assert_int_equal(s->ops->adopt(s, 1, a.pid, &err), -EEXIST);
	stop(&a);
	ln_sensor_free(&s);
}

/* An orphan that was never seen with its parent comes to linnet; linnet's own children do not
 * count, and orphans leave no zombie. */
static void test_orphan(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(4);
	struct actor a, own;
	struct ln_sensor *s;
	pid_t orphan;

	start(&own);
	start(&a);
	s = track(&a);
	orphan = ask(&a, 0, OP_ORPHAN, 1);
	assert_true(ask(&a, 1, OP_CONNECT, port_of(server)) >= 0);
	look(s);
	assert_int_equal(count(LN_EVENT_FORK), 2);
	assert_int_equal(find(LN_EVENT_FORK, a.pid)->ev.fork.child, orphan);
	assert_non_null(find(LN_EVENT_FLOW_OPEN, orphan));
	send_command(&a, 1, OP_EXIT, 7);
	assert_int_equal(await(s, LN_EVENT_EXIT, orphan)->ev.exit.status, 7 << 8);
	assert_int_equal(waitpid(orphan, NULL, WNOHANG), -1);
	assert_int_equal(count(LN_EVENT_EXIT), 1);
	for (size_t i = 0; i < n_events; i++)
		assert_int_not_equal(events[i].ev.pid, own.pid);
	stop(&a);
	stop(&own);
	ln_sensor_free(&s);
}

/* Two generations ending between looks: only the session says whose the last one is. Without
 * track, so linnet is no subreaper and the orphan goes elsewhere. */
static void test_orphan_by_session(void **state)
{
	struct actor a;
	struct ln_sensor *s = new_sensor();
	pid_t orphan;

	start(&a);
	assert_true(ask(&a, 0, OP_SETSID, 0) > 0);
	assert_int_equal(s->ops->adopt(s, 1, a.pid, NULL), 0);
	look(s);
	orphan = ask(&a, 0, OP_ORPHAN, 1);
	look(s);
	assert_int_equal(count(LN_EVENT_FORK), 1);
	assert_int_equal(find(LN_EVENT_FORK, a.pid)->ev.fork.child, orphan);
	send_command(&a, 0, OP_EXIT, 0);
	await(s, LN_EVENT_EXIT, a.pid);
	assert_null(find(LN_EVENT_EXIT, orphan)); /* the tree outlives its root */
	send_command(&a, 1, OP_EXIT, 0);
	await(s, LN_EVENT_EXIT, orphan);
	stop(&a);
	ln_sensor_free(&s);
}

static void test_adopt(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(8);
	struct actor a;
	struct ln_sensor *s = new_sensor();
	struct seen *e;
	char exe[256] = {0};
	pid_t child;
	int port = port_of(server);

	start(&a);
	child = ask(&a, 0, OP_FORK, 1);
	assert_true(ask(&a, 1, OP_CONNECT, port) >= 0);
	assert_int_equal(s->ops->adopt(s, 3, a.pid, NULL), 0);
	look(s);
	assert_int_equal(n_events, 3);
	assert_int_equal(events[0].ev.kind, LN_EVENT_ADOPT);
	assert_int_equal(events[0].ev.pid, a.pid);
	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	assert_string_equal(events[0].exe, exe);
	assert_int_equal(events[1].ev.kind, LN_EVENT_ADOPT);
	assert_int_equal(events[1].ev.pid, child);
	assert_int_equal(events[1].ev.exec.ppid, a.pid);
	e = find(LN_EVENT_FLOW_OPEN, child);
	assert_non_null(e);
	assert_true(e->ev.flow.flow.existing);
	assert_int_equal(e->ev.agent, 3);
	assert_int_equal(e->ev.flow.flow.proto, IPPROTO_TCP);
	assert_int_equal(e->ev.flow.flow.remote.port, port);
	assert_true(ask(&a, 0, OP_CONNECT, port) >= 0);
	look(s);
	assert_int_equal(n_events, 4);
	assert_false(find(LN_EVENT_FLOW_OPEN, a.pid)->ev.flow.flow.existing);
	assert_int_not_equal(find(LN_EVENT_FLOW_OPEN, a.pid)->ev.flow.flow.id, e->ev.flow.flow.id);
	stop(&a);
	ln_sensor_free(&s);
}

/* The parent's socket is held by the child, too: it stays the parent's, and is one flow. */
static void test_inherited_socket(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(8);
	struct actor a;
	struct ln_sensor *s;

	start(&a);
	s = track(&a);
	assert_true(ask(&a, 0, OP_CONNECT, port_of(server)) >= 0);
	ask(&a, 0, OP_FORK, 1);
	look(s);
	look(s);
	assert_int_equal(count(LN_EVENT_FLOW_OPEN), 1);
	assert_non_null(find(LN_EVENT_FLOW_OPEN, a.pid));
	stop(&a);
	ln_sensor_free(&s);
}

static void test_inbound_is_silent(void **state)
{
	struct actor a;
	struct ln_sensor *s;
	LN_AUTO_CLOSE int first = -1, second = -1;
	int port;

	start(&a);
	s = track(&a);
	port = ask(&a, 0, OP_LISTEN, 0);
	look(s);
	first = open_to(SOCK_STREAM, NULL, port);
	assert_true(ask(&a, 0, OP_ACCEPT, 0) >= 0);
	look(s);
	/* Accepted and no listener any more, all since the last look */
	second = open_to(SOCK_STREAM, NULL, port);
	assert_true(ask(&a, 0, OP_ACCEPT, 0) >= 0);
	assert_int_equal(ask(&a, 0, OP_CLOSE_LISTENER, 0), 0);
	look(s);
	look(s);
	assert_int_equal(n_events, 1);
	stop(&a);
	ln_sensor_free(&s);
}

static void test_same_tree(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(8);
	struct actor a;
	struct ln_sensor *s;
	pid_t queued, accepted, outside;
	int port;

	start(&a);
	s = track(&a);
	port = ask(&a, 0, OP_LISTEN, 0);
	queued = ask(&a, 0, OP_FORK, 1);
	accepted = ask(&a, 0, OP_FORK, 2);
	outside = ask(&a, 0, OP_FORK, 3);
	assert_true(ask(&a, 2, OP_CONNECT, port) >= 0);
	assert_true(ask(&a, 0, OP_ACCEPT, 0) >= 0);
	assert_true(ask(&a, 1, OP_CONNECT, port) >= 0);
	assert_true(ask(&a, 3, OP_CONNECT, port_of(server)) >= 0);
	look(s);
	assert_int_equal(count(LN_EVENT_FLOW_OPEN), 3);
	assert_true(find(LN_EVENT_FLOW_OPEN, queued)->ev.flow.flow.same_tree);
	assert_true(find(LN_EVENT_FLOW_OPEN, accepted)->ev.flow.flow.same_tree);
	assert_false(find(LN_EVENT_FLOW_OPEN, outside)->ev.flow.flow.same_tree);
	stop(&a);
	ln_sensor_free(&s);
}

static void test_close_counts(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(8);
	struct actor a;
	struct ln_sensor *s;
	const struct ln_flow_end *end;
	char bytes[5000] = {0};
	struct seen *e;
	size_t done = 0;

	start(&a);
	s = track(&a);
	assert_true(ask(&a, 0, OP_CONNECT, port_of(server)) >= 0);
	last_socket = accept(server, NULL, NULL);
	look(s);
	e = find(LN_EVENT_FLOW_OPEN, a.pid);
	assert_non_null(e);
	assert_false(e->ev.flow.flow.uncounted);
	assert_int_equal(ask(&a, 0, OP_SEND, sizeof(bytes)), sizeof(bytes));
	while (done < sizeof(bytes))
		done += read(last_socket, bytes, sizeof(bytes));
	assert_int_equal(transfer(55, true), 55);
	close(last_socket); /* the FIN is no byte */
	assert_int_equal(ask(&a, 0, OP_READ, 55), 55);
	assert_int_equal(ask(&a, 0, OP_READ, 1), 0);
	look(s);
	assert_int_equal(count(LN_EVENT_FLOW_CLOSE), 0);
	assert_int_equal(ask(&a, 0, OP_CLOSE, 0), 0);
	e = await(s, LN_EVENT_FLOW_CLOSE, a.pid);
	end = &e->ev.flow.end;
	assert_int_equal(e->ev.flow.flow.id, find(LN_EVENT_FLOW_OPEN, a.pid)->ev.flow.flow.id);
	assert_int_equal(end->tx_bytes, sizeof(bytes));
	assert_int_equal(end->rx_bytes, 55);
	assert_true(end->tx_packets > 1 && end->rx_packets > 1);
	assert_int_equal(end->outcome, LN_OUTCOME_CONNECTED);
	assert_true(end->open_ns > 0 && end->open_ns < e->ev.time_ns);
	stop(&a);
	ln_sensor_free(&s);
}

/* A full accept queue swallows SYNs: the attempt hangs until it is given up. */
static void test_half_open(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(0), full = -1;
	struct actor a;
	struct ln_sensor *s;

	full = open_to(SOCK_STREAM, NULL, port_of(server));
	start(&a);
	s = track(&a);
	assert_true(ask(&a, 0, OP_CONNECT_HALF, port_of(server)) >= 0);
	look(s);
	assert_non_null(find(LN_EVENT_FLOW_OPEN, a.pid));
	assert_int_equal(ask(&a, 0, OP_CLOSE, 0), 0);
	assert_int_equal(await(s, LN_EVENT_FLOW_CLOSE, a.pid)->ev.flow.end.outcome,
			 LN_OUTCOME_ABORTED);
	stop(&a);
	ln_sensor_free(&s);
}

/* All flows of a process are closed before its EXIT. */
static void test_exit_comes_last(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(8);
	struct actor a;
	struct ln_sensor *s;

	start(&a);
	s = track(&a);
	assert_true(ask(&a, 0, OP_CONNECT, port_of(server)) >= 0);
	look(s);
	kill(a.pid, SIGKILL);
	await(s, LN_EVENT_EXIT, a.pid);
	assert_int_equal(n_events, 4);
	assert_int_equal(events[2].ev.kind, LN_EVENT_FLOW_CLOSE);
	assert_int_equal(events[3].ev.kind, LN_EVENT_EXIT);
	stop(&a);
	ln_sensor_free(&s);
}

static void test_udp(void **state)
{
	struct sockaddr_in name = loopback4(0);
	LN_AUTO_CLOSE int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct actor a;
	struct ln_sensor *s;
	struct seen *e;

	assert_int_equal(bind(server, (void *)&name, sizeof(name)), 0);
	start(&a);
	s = track(&a);
	assert_true(ask(&a, 0, OP_UDP_SENDTO, port_of(server)) > 0);
	assert_true(ask(&a, 0, OP_UDP, 0) >= 0); /* port 0: nothing can leave */
	look(s);
	/* as getaddrinfo does */
	assert_true(ask(&a, 0, OP_UDP, port_of(server)) >= 0);
	look(s);
	assert_int_equal(ask(&a, 0, OP_CLOSE, 0), 0);
	assert_true(ask(&a, 0, OP_UDP, port_of(server)) >= 0);
	look(s);
	assert_int_equal(n_events, 1);
	e = await(s, LN_EVENT_FLOW_OPEN, a.pid);
	assert_int_equal(e->ev.flow.flow.proto, IPPROTO_UDP);
	assert_int_equal(e->ev.flow.flow.remote.port, port_of(server));
	assert_true(e->ev.flow.flow.uncounted);
	assert_false(e->ev.flow.flow.same_tree);
	assert_int_equal(ask(&a, 0, OP_CLOSE, 0), 0);
	e = await(s, LN_EVENT_FLOW_CLOSE, a.pid);
	assert_int_equal(e->ev.flow.end.outcome, LN_OUTCOME_NONE);
	assert_int_equal(count(LN_EVENT_FLOW_OPEN), 1);
	stop(&a);
	ln_sensor_free(&s);
}

static void test_ipv6_and_mapped(void **state)
{
	struct sockaddr_in6 name = {.sin6_family = AF_INET6};
	LN_AUTO_CLOSE int server = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[LN_ADDR_TEXT_MAX];
	struct actor a;
	struct ln_sensor *s;
	pid_t child;

	if (server < 0 || bind(server, (void *)&name, sizeof(name)) < 0)
		skip(); /* a kernel without IPv6 */
	assert_int_equal(listen(server, 8), 0);
	start(&a);
	s = track(&a);
	child = ask(&a, 0, OP_FORK, 1);
	assert_true(ask(&a, 0, OP_CONNECT_MAPPED, port_of(server)) >= 0);
	if (ask(&a, 1, OP_CONNECT6, port_of(server)) < 0)
		skip(); /* no ::1 */
	look(s);
	assert_string_equal(
	    ln_addr_format(&find(LN_EVENT_FLOW_OPEN, a.pid)->ev.flow.flow.remote.addr, text),
	    "127.0.0.1");
	assert_string_equal(
	    ln_addr_format(&find(LN_EVENT_FLOW_OPEN, child)->ev.flow.flow.remote.addr, text),
	    "::1");
	stop(&a);
	ln_sensor_free(&s);
}

/* Socket diagnosis sees linnet's own namespace only. */
static void test_other_netns(void **state)
{
	struct actor a;
	struct ln_sensor *s;
	const struct ln_flow *flow;

	start(&a);
	s = track(&a);
	if (ask(&a, 0, OP_NETNS, 0) < 0) {
		stop(&a);
		ln_sensor_free(&s);
		skip(); /* user namespaces are off */
	}
	assert_true(ask(&a, 0, OP_CONNECT, ask(&a, 0, OP_LISTEN, 0)) >= 0);
	look(s);
	assert_int_equal(count(LN_EVENT_FLOW_OPEN), 1);
	flow = &find(LN_EVENT_FLOW_OPEN, a.pid)->ev.flow.flow;
	assert_true(flow->uncounted);
	assert_true(flow->same_tree);
	assert_int_equal(flow->netns, 0);
	assert_int_equal(ask(&a, 0, OP_CLOSE, 0), 0);
	await(s, LN_EVENT_FLOW_CLOSE, a.pid);
	assert_int_equal(count(LN_EVENT_LOST), 0);
	stop(&a);
	ln_sensor_free(&s);
}

static void test_dead_leader(void **state)
{
	LN_AUTO_CLOSE int server = listen_on_loopback(8);
	struct actor a;
	struct ln_sensor *s;
	struct seen *e;

	start(&a);
	s = track(&a);
	send_command(&a, 0, OP_LEADER_EXIT, 0);
	assert_true(ask(&a, 0, OP_CONNECT, port_of(server)) >= 0);
	await(s, LN_EVENT_FLOW_OPEN, a.pid);
	assert_int_equal(count(LN_EVENT_EXIT), 0);
	send_command(&a, 0, OP_EXIT, 3);
	e = await(s, LN_EVENT_EXIT, a.pid);
	assert_int_equal(e->ev.exit.status, 3 << 8);
	stop(&a);
	ln_sensor_free(&s);
}

static void test_pid_reuse(void **state)
{
	struct actor a;
	struct ln_sensor *s;
	struct seen *fork_event, *exit_event;
	pid_t pid;

	start(&a);
	s = track(&a);
	pid = ask(&a, 0, OP_FORK, 1);
	look(s);
	assert_int_equal(n_events, 2);
	if (ask(&a, 0, OP_REPLACE, 2) != pid) {
		stop(&a);
		ln_sensor_free(&s);
		skip(); /* needs CAP_CHECKPOINT_RESTORE */
	}
	look(s);
	assert_int_equal(n_events, 4);
	exit_event = &events[2];
	fork_event = &events[3];
	assert_int_equal(exit_event->ev.kind, LN_EVENT_EXIT);
	assert_int_equal(exit_event->ev.pid, pid);
	assert_int_equal(fork_event->ev.kind, LN_EVENT_FORK);
	assert_int_equal(fork_event->ev.fork.child, pid);
	stop(&a);
	ln_sensor_free(&s);
}

/* Runs in a process of its own, because it gives up root and is then not dumpable any more, and
 * neither is what it forks: their descriptors belong to root. */
static int watch_unreadable(void)
{
	struct ln_sensor *s = NULL;
	struct actor a;
	size_t losses = 0;

	if (geteuid() == 0 && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
		return 2;
	prctl(PR_SET_DUMPABLE, 0);
	start(&a);
	n_events = 0;
	if (ln_sensor_poll_new(NULL, &s) < 0 || s->ops->track(s, 1, a.pid, -1, NULL) < 0)
		return 3;
	for (int i = 0; i < 3; i++)
		s->ops->drain(s, collect, NULL);
	for (size_t i = 0; i < n_events; i++)
		losses += events[i].ev.kind == LN_EVENT_LOST ? events[i].ev.lost.count : 0;
	stop(&a);
	ln_sensor_free(&s);
	return losses == 1 ? 0 : 4;
}

static void test_unreadable_is_said(void **state)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0)
		_exit(watch_unreadable());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_process_bound(void **state)
{
	struct ln_poll_tree *t = NULL;
	struct actor a;

	start(&a);
	assert_int_equal(ln_poll_tree_new(2, NULL, &t), 0);
	assert_int_equal(ln_poll_tree_adopt(t, 1, a.pid, NULL), 0);
	for (int i = 1; i < CHANNELS; i++)
		ask(&a, 0, OP_FORK, i);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ln_poll_tree_scan(t), 0);
		ln_poll_tree_settle(t);
	}
	assert_int_equal(ln_poll_tree_size(t), 2);
	assert_int_equal(ln_poll_tree_refused(t), 2); /* each once, not each scan */
	stop(&a);
	ln_poll_tree_free(&t);
}

static void test_idle(void **state)
{
	struct ln_sensor *s;
	struct pollfd p;
	struct actor a;

	start(&a);
	s = track(&a);
	kill(a.pid, SIGKILL);
	await(s, LN_EVENT_EXIT, a.pid);
	p = (struct pollfd){.fd = s->ops->fd(s), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 250), 0); /* nobody to watch: no more ticks */
	stop(&a);
	ln_sensor_free(&s);
}

static void test_facts(void **state)
{
	static const char *const blind[] = {"short connections", "unconnected UDP",
					    "UDP byte counts", "DNS names",
					    "raw and other protocols"};
	struct ln_sensor *s = new_sensor();
	const struct ln_sensor_fact *facts;
	size_t n = s->ops->facts(s, &facts);

	assert_string_equal(s->ops->name, "poll");
	for (size_t i = 0; i < LN_ARRAY_SIZE(blind); i++) {
		size_t j = 0;

		while (j < n && strcmp(facts[j].name, blind[i]))
			j++;
		assert_true(j < n);
		assert_false(facts[j].works);
		assert_true(strlen(facts[j].note) > 0);
	}
	for (size_t i = 0; i < n; i++)
		assert_true(strlen(facts[i].note) < sizeof(facts[i].note) - 1); /* not cut */
	ln_sensor_free(&s);
	assert_null(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_line),
	    cmocka_unit_test(test_line_refused),
	    cmocka_unit_test(test_readers_agree),
	    cmocka_unit_test(test_socket_bound),
	    cmocka_unit_test(test_track_exec_exit),
	    cmocka_unit_test(test_track_refuses),
	    cmocka_unit_test(test_orphan),
	    cmocka_unit_test(test_orphan_by_session),
	    cmocka_unit_test(test_adopt),
	    cmocka_unit_test(test_inherited_socket),
	    cmocka_unit_test(test_inbound_is_silent),
	    cmocka_unit_test(test_same_tree),
	    cmocka_unit_test(test_close_counts),
	    cmocka_unit_test(test_half_open),
	    cmocka_unit_test(test_exit_comes_last),
	    cmocka_unit_test(test_udp),
	    cmocka_unit_test(test_ipv6_and_mapped),
	    cmocka_unit_test(test_other_netns),
	    cmocka_unit_test(test_dead_leader),
	    cmocka_unit_test(test_pid_reuse),
	    cmocka_unit_test(test_unreadable_is_said),
	    cmocka_unit_test(test_process_bound),
	    cmocka_unit_test(test_idle),
	    cmocka_unit_test(test_facts),
	};

	return cmocka_run_group_tests_name("poll", tests, NULL, NULL);
}
