/* SPDX-License-Identifier: Apache-2.0 */
/* The token leaves through io_uring: `uring MODE TOKEN IP PORT`. */
#include <liburing.h>
#include "escape.h"

static struct io_uring ring;

static struct io_uring_sqe *entry(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe)
		errx(1, "the ring is full");
	return sqe;
}

static int finish(const char *what)
{
	struct io_uring_cqe *done;

	if (io_uring_submit(&ring) < 0 || io_uring_wait_cqe(&ring, &done) < 0)
		errx(1, "%s: the ring failed", what);
	int result = done->res;
	io_uring_cqe_seen(&ring, done);
	if (result < 0)
		errx(1, "%s: %s", what, strerror(-result));
	return result;
}

static void start(unsigned flags)
{
	int result = io_uring_queue_init(8, &ring, flags);

	if (result < 0)
		errx(1, "io_uring_setup: %s", strerror(-result));
}

/* entry_flags: IOSQE_* for both entries. */
static void connect_and_send(const char *token, char **arguments, unsigned char entry_flags)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	int fd = (int)must(socket(to.any.sa_family, SOCK_STREAM, 0), "socket");
	struct io_uring_sqe *sqe = entry();

	io_uring_prep_connect(sqe, fd, &to.any, len);
	sqe->flags |= entry_flags;
	say_go();
	finish("connect");
	sqe = entry();
	io_uring_prep_send(sqe, fd, token, strlen(token), MSG_NOSIGNAL);
	sqe->flags |= entry_flags;
	finish("send");
	tcp_exchange(fd, 0);
}

static void plain(const char *token, char **arguments)
{
	start(0);
	connect_and_send(token, arguments, 0);
}

static void polled(const char *token, char **arguments)
{
	start(IORING_SETUP_SQPOLL);
	connect_and_send(token, arguments, 0);
}

static void worker(const char *token, char **arguments)
{
	start(0);
	connect_and_send(token, arguments, IOSQE_ASYNC);
}

static void by_message(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	struct iovec part = {(void *)token, strlen(token)};
	struct msghdr m = {.msg_name = &to, .msg_namelen = len, .msg_iov = &part, .msg_iovlen = 1};
	int fd = (int)must(socket(to.any.sa_family, SOCK_DGRAM, 0), "socket");

	start(0);
	io_uring_prep_sendmsg(entry(), fd, &m, 0);
	say_go();
	finish("sendmsg");
}

/* A datagram to a named place, without a copy. Two completions: sent, and memory free again. */
static void zero_copy(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	int fd = (int)must(socket(to.any.sa_family, SOCK_DGRAM, 0), "socket");
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *done;

	start(0);
	sqe = entry();
	io_uring_prep_send_zc(sqe, fd, token, strlen(token), 0, 0);
	io_uring_prep_send_set_addr(sqe, &to.any, (__u16)len);
	say_go();
	finish("send_zc");
	if (io_uring_wait_cqe(&ring, &done) < 0)
		errx(1, "no notification");
}

/* A socket that never has a descriptor: made, connected and written to in the ring's own table. */
static void direct(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	struct io_uring_sqe *sqe;

	start(0);
	if (io_uring_register_files_sparse(&ring, 1) < 0)
		errx(1, "register_files");
	io_uring_prep_socket_direct(entry(), to.any.sa_family, SOCK_STREAM, 0, 0, 0);
	finish("socket");
	sqe = entry();
	io_uring_prep_connect(sqe, 0, &to.any, len);
	sqe->flags |= IOSQE_FIXED_FILE;
	say_go();
	finish("connect");
	sqe = entry();
	io_uring_prep_send(sqe, 0, token, strlen(token), MSG_NOSIGNAL);
	sqe->flags |= IOSQE_FIXED_FILE;
	finish("send");
	sqe = entry();
	io_uring_prep_shutdown(sqe, 0, SHUT_WR);
	sqe->flags |= IOSQE_FIXED_FILE;
	finish("shutdown");
	char byte;
	sqe = entry();
	io_uring_prep_recv(sqe, 0, &byte, 1, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	finish("recv");
}

/* IORING_OP_SOCKET: no socket system call. */
static void makes_socket(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);

	start(0);
	io_uring_prep_socket(entry(), to.any.sa_family, SOCK_STREAM, 0, 0);
	int fd = finish("socket");
	io_uring_prep_connect(entry(), fd, &to.any, len);
	say_go();
	finish("connect");
	io_uring_prep_send(entry(), fd, token, strlen(token), MSG_NOSIGNAL);
	finish("send");
	tcp_exchange(fd, 0);
}

static const struct way WAYS[] = {
    {"connect", plain},      {"polled", polled}, {"worker", worker},       {"sendmsg", by_message},
    {"zerocopy", zero_copy}, {"direct", direct}, {"socket", makes_socket},
};

ESCAPE_MAIN(WAYS)
