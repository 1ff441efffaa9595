/* SPDX-License-Identifier: Apache-2.0 */
/* A flow without a socket system call: `uring tcp|tcp-sqpoll|udp IP PORT COUNT`. COUNT as in
 * flow.c. Says `tx N rx N`. */
#include <liburing.h>
#include <stdio.h>
#include "net.h"

#define DATAGRAM 100

static int finish(struct io_uring *ring, const char *what)
{
	struct io_uring_cqe *done;

	if (io_uring_submit(ring) < 0 || io_uring_wait_cqe(ring, &done) < 0)
		errx(1, "%s: the ring failed", what);
	int result = done->res;
	io_uring_cqe_seen(ring, done);
	if (result < 0)
		errx(1, "%s: %s", what, strerror(-result));
	return result;
}

static void tcp(struct io_uring *ring, const union endpoint *to, socklen_t len, size_t count)
{
	static char block[4096];
	int fd = socket(to->any.sa_family, SOCK_STREAM, 0);
	size_t left = count;

	io_uring_prep_connect(io_uring_get_sqe(ring), fd, &to->any, len);
	finish(ring, "connect");
	while (left > 0) {
		size_t n = left < sizeof(block) ? left : sizeof(block);

		io_uring_prep_send(io_uring_get_sqe(ring), fd, block, n, MSG_NOSIGNAL);
		left -= (size_t)finish(ring, "send");
	}
	printf("tx %zu rx %zu\n", count, tcp_exchange(fd, 0));
	close(fd);
}

static void udp(struct io_uring *ring, union endpoint *to, socklen_t len, size_t count)
{
	char data[DATAGRAM] = {0};
	struct iovec part = {data, sizeof(data)};
	struct msghdr message = {
	    .msg_name = to, .msg_namelen = len, .msg_iov = &part, .msg_iovlen = 1};
	int fd = socket(to->any.sa_family, SOCK_DGRAM, 0);

	for (size_t i = 0; i < count; i++) {
		io_uring_prep_sendmsg(io_uring_get_sqe(ring), fd, &message, 0);
		finish(ring, "sendmsg");
	}
	printf("tx %zu rx 0\n", count * sizeof(data));
	close(fd);
}

int main(int argc, char **argv)
{
	struct io_uring ring;
	union endpoint to;

	if (argc != 5)
		errx(2, "usage: uring tcp|tcp-sqpoll|udp IP PORT COUNT");
	size_t count = strtoul(argv[4], NULL, 10);
	socklen_t len = endpoint_parse(argv[2], argv[3], 0, &to);
	unsigned flags = strcmp(argv[1], "tcp-sqpoll") == 0 ? IORING_SETUP_SQPOLL : 0;
	if (io_uring_queue_init(8, &ring, flags) < 0)
		errx(77, "this kernel lets nobody use io_uring");
	if (strcmp(argv[1], "udp") == 0)
		udp(&ring, &to, len, count);
	else
		tcp(&ring, &to, len, count);
	io_uring_queue_exit(&ring);
	return 0;
}
