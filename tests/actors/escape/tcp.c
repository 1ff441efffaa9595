/* SPDX-License-Identifier: Apache-2.0 */
/* The token leaves by TCP: `tcp MODE TOKEN IP PORT [IP PORT]`. */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include "escape.h"

static int opened(const union endpoint *to, int protocol)
{
	return (int)must(socket(to->any.sa_family, SOCK_STREAM, protocol), "socket");
}

static int connected_to(const union endpoint *to, socklen_t len, int protocol)
{
	int fd = opened(to, protocol);

	say_go();
	must(connect(fd, &to->any, len), "connect");
	return fd;
}

static int connected(char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);

	return connected_to(&to, len, 0);
}

/* Ends the sending side and waits until the peer has read everything. */
static void finish(int fd)
{
	tcp_exchange(fd, 0);
	close(fd);
}

static void send_token(int fd, const char *token)
{
	must(send(fd, token, strlen(token), MSG_NOSIGNAL), "send");
	finish(fd);
}

static void plain(const char *token, char **arguments)
{
	send_token(connected(arguments), token);
}

static void mapped(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_parse(need(arguments, 0), need(arguments, 1), 1, &to);

	send_token(connected_to(&to, len, 0), token);
}

static void mptcp(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);

	send_token(connected_to(&to, len, IPPROTO_MPTCP), token);
}

static void sctp(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);

	int fd = connected_to(&to, len, IPPROTO_SCTP);
	must(send(fd, token, strlen(token), MSG_NOSIGNAL), "send");
	close(fd); /* there is no half of it: it ends when the peer has everything */
}

static void dccp(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	int fd = (int)must(socket(to.any.sa_family, SOCK_DCCP, IPPROTO_DCCP), "socket");

	say_go();
	must(connect(fd, &to.any, len), "connect");
	must(send(fd, token, strlen(token), 0), "send");
	close(fd);
}

static void fastopen(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	int fd = opened(&to, 0);

	say_go();
	must(sendto(fd, token, strlen(token), MSG_FASTOPEN, &to.any, len), "sendto(MSG_FASTOPEN)");
	finish(fd);
}

static void fastopen_connect(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	int fd = opened(&to, 0), on = 1;

	must(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on)), "setsockopt");
	say_go();
	must(connect(fd, &to.any, len), "connect");
	send_token(fd, token);
}

/* First to IP PORT, which is allowed, then on the same socket to the second IP PORT. */
static void reconnect(const char *token, char **arguments)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	union endpoint to, other;
	socklen_t len = endpoint_at(arguments, 0, &to);
	socklen_t other_len = endpoint_at(arguments, 2, &other);
	int fd = opened(&to, 0);

	must(connect(fd, &to.any, len), "connect");
	must(connect(fd, &none, sizeof(none)), "connect(AF_UNSPEC)");
	say_go();
	must(connect(fd, &other.any, other_len), "connect again");
	send_token(fd, token);
}

/* A connection that begins established: no SYN is ever sent. The peer answers with a reset. */
static void repair(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	struct tcp_repair_window window = {.snd_wnd = 4096, .max_window = 4096, .rcv_wnd = 4096};
	int fd = opened(&to, 0), on = 1, off = TCP_REPAIR_OFF_NO_WP;

	must(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)), "TCP_REPAIR");
	say_go();
	must(connect(fd, &to.any, len), "connect");
	must(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, sizeof(window)), "WINDOW");
	must(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)), "TCP_REPAIR off");
	must(send(fd, token, strlen(token), MSG_NOSIGNAL), "send");
	char byte;
	if (recv(fd, &byte, 1, 0) > 0)
		errx(1, "the peer knows this connection");
	close(fd);
}

static void by_sendfile(const char *token, char **arguments)
{
	int file = memfd_create("token", 0), fd = connected(arguments);

	must(write(file, token, strlen(token)), "write");
	off_t from = 0;
	must(sendfile(fd, file, &from, strlen(token)), "sendfile");
	finish(fd);
}

static void by_splice(const char *token, char **arguments)
{
	int ends[2], fd = connected(arguments);

	must(pipe(ends), "pipe");
	must(write(ends[1], token, strlen(token)), "write");
	must(splice(ends[0], NULL, fd, NULL, strlen(token), 0), "splice");
	finish(fd);
}

static void by_aio(const char *token, char **arguments)
{
	aio_context_t context = 0;
	int fd = connected(arguments);
	struct iocb request = {.aio_lio_opcode = IOCB_CMD_PWRITE,
			       .aio_fildes = (unsigned)fd,
			       .aio_buf = (unsigned long)token,
			       .aio_nbytes = strlen(token)};
	struct iocb *list[] = {&request};
	struct io_event done;

	must(syscall(SYS_io_setup, 1, &context), "io_setup");
	must(syscall(SYS_io_submit, context, 1, list), "io_submit");
	must(syscall(SYS_io_getevents, context, 1, 1, &done, NULL), "io_getevents");
	if (done.res != (long long)strlen(token))
		errx(1, "the write ended with %lld", (long long)done.res);
	finish(fd);
}

static void zero_copy(const char *token, char **arguments)
{
	int fd = connected(arguments), on = 1;

	must(setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)), "SO_ZEROCOPY");
	must(send(fd, token, strlen(token), MSG_ZEROCOPY | MSG_NOSIGNAL), "send(MSG_ZEROCOPY)");
	finish(fd);
}

/* Each byte of the token is urgent; the peer keeps urgent data in line. */
static void urgent(const char *token, char **arguments)
{
	int fd = connected(arguments);

	for (const char *at = token; *at; at++)
		must(send(fd, at, 1, MSG_OOB | MSG_NOSIGNAL), "send(MSG_OOB)");
	finish(fd);
}

struct thread {
	pthread_t leader;
	const char *token;
	char **arguments;
	int join;
};

static void *in_thread(void *argument)
{
	struct thread *t = argument;

	if (t->join)
		pthread_join(t->leader, NULL);
	plain(t->token, t->arguments);
	exit(0);
}

static void start_thread(const char *token, char **arguments, int leader_dies)
{
	static struct thread t;
	pthread_t thread;

	t = (struct thread){pthread_self(), token, arguments, leader_dies};
	if (pthread_create(&thread, NULL, in_thread, &t) != 0)
		errx(1, "pthread_create");
	if (leader_dies)
		pthread_exit(NULL);
	pthread_join(thread, NULL);
}

static void by_thread(const char *token, char **arguments)
{
	start_thread(token, arguments, 0);
}

static void dead_leader(const char *token, char **arguments)
{
	start_thread(token, arguments, 1);
}

/* Gone before anybody could look at it in /proc: the kernel sends what is left. */
static void brief(const char *token, char **arguments)
{
	int fd = connected(arguments);

	must(send(fd, token, strlen(token), MSG_NOSIGNAL), "send");
	_exit(0);
}

/* As much of it as makes the kernel use every path of the connection. */
static void subflow(const char *token, char **arguments)
{
	static char block[65536];
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	size_t size = strlen(token), total = strtoul(need(arguments, 2), NULL, 10);
	int fd = connected_to(&to, len, IPPROTO_MPTCP);
	char byte;

	must(recv(fd, &byte, 1, 0), "recv"); /* the peer has announced its other address */
	for (size_t at = 0; at + size <= sizeof(block); at += size)
		memcpy(block + at, token, size);
	for (size_t sent = 0; sent < total;)
		sent += (size_t)must(send(fd, block, sizeof(block), MSG_NOSIGNAL), "send");
	finish(fd);
}

static const struct way WAYS[] = {
    {"connect", plain},
    {"mapped", mapped},
    {"mptcp", mptcp},
    {"mptcp-subflow", subflow},
    {"sctp", sctp},
    {"dccp", dccp},
    {"fastopen", fastopen},
    {"fastopen-connect", fastopen_connect},
    {"reconnect", reconnect},
    {"repair", repair},
    {"sendfile", by_sendfile},
    {"splice", by_splice},
    {"aio", by_aio},
    {"zerocopy", zero_copy},
    {"urgent", urgent},
    {"thread", by_thread},
    {"dead-leader", dead_leader},
    {"brief", brief},
};

ESCAPE_MAIN(WAYS)
