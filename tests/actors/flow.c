/* SPDX-License-Identifier: Apache-2.0 */
/* One flow, made in a certain way: `flow MODE IP PORT [COUNT [IP PORT]]`. COUNT is bytes for TCP
 * and datagrams of 100 bytes for UDP. Says `tx N rx N` when it is done. */
#include <netinet/tcp.h>
#include <stdio.h>
#include "net.h"

#define DATAGRAM 100

struct job {
	union endpoint to, other;
	socklen_t to_len, other_len;
	size_t count;
	size_t tx, rx;
};

static int open_socket(const struct job *j, int type, int protocol)
{
	int fd = socket(j->to.any.sa_family, type, protocol);

	if (fd < 0)
		err(1, "socket");
	return fd;
}

static void must_connect(int fd, const union endpoint *to, socklen_t len)
{
	if (connect(fd, &to->any, len) < 0)
		err(1, "connect");
}

static void exchange(struct job *j, int fd)
{
	j->tx = j->count;
	j->rx = tcp_exchange(fd, j->count);
	close(fd);
}

static void tcp(struct job *j)
{
	int fd = open_socket(j, SOCK_STREAM, 0);

	must_connect(fd, &j->to, j->to_len);
	exchange(j, fd);
}

static void mptcp(struct job *j)
{
	int fd = open_socket(j, SOCK_STREAM, IPPROTO_MPTCP);

	must_connect(fd, &j->to, j->to_len);
	exchange(j, fd);
}

/* The first bytes leave by sendto on a socket that was never connected. */
static void fastopen(struct job *j)
{
	char first[DATAGRAM] = {0};
	int fd = open_socket(j, SOCK_STREAM, 0);

	if (sendto(fd, first, sizeof(first), MSG_FASTOPEN, &j->to.any, j->to_len) < 0)
		err(1, "sendto(MSG_FASTOPEN)");
	j->rx = tcp_exchange(fd, j->count - sizeof(first));
	j->tx = j->count;
	close(fd);
}

static void fastopen_connect(struct job *j)
{
	int fd = open_socket(j, SOCK_STREAM, 0), on = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on)) < 0)
		err(1, "TCP_FASTOPEN_CONNECT");
	must_connect(fd, &j->to, j->to_len);
	exchange(j, fd);
}

/* One socket, two connections. */
static void reconnect(struct job *j)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd = open_socket(j, SOCK_STREAM, 0);

	must_connect(fd, &j->to, j->to_len);
	if (connect(fd, &none, sizeof(none)) < 0)
		err(1, "connect(AF_UNSPEC)");
	must_connect(fd, &j->other, j->other_len);
	exchange(j, fd);
}

static void connect_only(struct job *j)
{
	int fd = open_socket(j, SOCK_DGRAM, 0);

	must_connect(fd, &j->to, j->to_len);
	close(fd);
}

static void connected(struct job *j)
{
	char data[DATAGRAM] = {0};
	int fd = open_socket(j, SOCK_DGRAM, 0);

	must_connect(fd, &j->to, j->to_len);
	for (size_t i = 0; i < j->count; i++, j->tx += sizeof(data))
		if (send(fd, data, sizeof(data), 0) < 0)
			err(1, "send");
	close(fd);
}

/* Connected to one place, and still sends to another. */
static void elsewhere(struct job *j)
{
	char data[DATAGRAM] = {0};
	int fd = open_socket(j, SOCK_DGRAM, 0);

	must_connect(fd, &j->to, j->to_len);
	if (sendto(fd, data, sizeof(data), 0, &j->other.any, j->other_len) < 0)
		err(1, "sendto");
	j->tx = sizeof(data);
	close(fd);
}

static void unconnected(struct job *j)
{
	char data[DATAGRAM] = {0};
	int fd = open_socket(j, SOCK_DGRAM, 0);

	for (size_t i = 0; i < j->count; i++, j->tx += sizeof(data))
		if (sendto(fd, data, sizeof(data), 0, &j->to.any, j->to_len) < 0)
			err(1, "sendto");
	close(fd);
}

static void echoed(struct job *j)
{
	char data[DATAGRAM] = {0};
	int fd = open_socket(j, SOCK_DGRAM, 0);

	for (size_t i = 0; i < j->count; i++, j->tx += sizeof(data)) {
		if (sendto(fd, data, sizeof(data), 0, &j->to.any, j->to_len) < 0)
			err(1, "sendto");
		ssize_t n = recv(fd, data, sizeof(data), 0);
		if (n < 0)
			err(1, "recv");
		j->rx += (size_t)n;
	}
	close(fd);
}

static void by_message(struct job *j)
{
	char data[DATAGRAM] = {0};
	struct iovec part = {data, sizeof(data)};
	struct msghdr message = {
	    .msg_name = &j->to, .msg_namelen = j->to_len, .msg_iov = &part, .msg_iovlen = 1};
	int fd = open_socket(j, SOCK_DGRAM, 0);

	for (size_t i = 0; i < j->count; i++, j->tx += sizeof(data))
		if (sendmsg(fd, &message, 0) < 0)
			err(1, "sendmsg");
	close(fd);
}

/* Half of the datagrams to each place, in one call. */
static void by_messages(struct job *j)
{
	enum { MAX = 16 };
	char data[DATAGRAM] = {0};
	struct iovec part = {data, sizeof(data)};
	struct mmsghdr list[MAX] = {0};
	unsigned n = j->count < MAX ? (unsigned)j->count : MAX;
	int fd = open_socket(j, SOCK_DGRAM, 0);

	for (unsigned i = 0; i < n; i++) {
		int second = j->other_len && i % 2;

		list[i].msg_hdr.msg_name = second ? &j->other : &j->to;
		list[i].msg_hdr.msg_namelen = second ? j->other_len : j->to_len;
		list[i].msg_hdr.msg_iov = &part;
		list[i].msg_hdr.msg_iovlen = 1;
	}
	if (sendmmsg(fd, list, n, 0) != (int)n)
		err(1, "sendmmsg");
	j->tx = n * sizeof(data);
	close(fd);
}

static const struct {
	const char *name;
	void (*run)(struct job *j);
	int mapped;
} MODES[] = {
    {"tcp", tcp, 0},
    {"tcp-mapped", tcp, 1},
    {"mptcp", mptcp, 0},
    {"fastopen", fastopen, 0},
    {"fastopen-connect", fastopen_connect, 0},
    {"reconnect", reconnect, 0},
    {"udp-connect-only", connect_only, 0},
    {"udp-connected", connected, 0},
    {"udp-elsewhere", elsewhere, 0},
    {"udp-sendto", unconnected, 0},
    {"udp-mapped", unconnected, 1},
    {"udp-echo", echoed, 0},
    {"udp-sendmsg", by_message, 0},
    {"udp-sendmmsg", by_messages, 0},
};

int main(int argc, char **argv)
{
	struct job job = {.count = 1};

	if (argc != 4 && argc != 5 && argc != 7)
		errx(2, "usage: flow MODE IP PORT [COUNT [IP PORT]]");
	for (size_t i = 0; i < sizeof(MODES) / sizeof(MODES[0]); i++) {
		if (strcmp(MODES[i].name, argv[1]) != 0)
			continue;
		job.to_len = endpoint_parse(argv[2], argv[3], MODES[i].mapped, &job.to);
		if (argc > 4)
			job.count = strtoul(argv[4], NULL, 10);
		if (argc > 5)
			job.other_len =
			    endpoint_parse(argv[5], argv[6], MODES[i].mapped, &job.other);
		MODES[i].run(&job);
		printf("tx %zu rx %zu\n", job.tx, job.rx);
		return 0;
	}
	errx(2, "there is no mode %s", argv[1]);
}
