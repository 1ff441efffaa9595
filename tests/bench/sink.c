/* SPDX-License-Identifier: Apache-2.0 */
/* The other side. `sink tcp PORT BATCH_US` takes connections and closes them: at once (0), or all
 * that came each BATCH_US, so that a workload does not pay for waking the server. `sink udp PORT
 * CPU` echoes datagrams on one CPU, `sink echo PORT CPU` what one TCP connection after the other
 * sends, `sink discard PORT CPU` reads it. Says READY; ends when standard input does. */
#include "bench.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int bound(int type, uint16_t port)
{
	struct sockaddr_in at = endpoint(INADDR_ANY, port);
	int on = 1, fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		err(1, "port %u", port);
	return fd;
}

/* Waits for the socket, or only looks. Ends the program with standard input. */
static void wait_ready(int fd, bool look)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			       {.fd = fd, .events = POLLIN}};

	if (poll(fds, 2, look ? 0 : -1) < 0)
		err(1, "poll");
	if (fds[0].revents)
		exit(0);
}

static void serve_tcp(int listener, uint64_t batch_ns)
{
	for (bool busy = false;;) {
		int fd;

		wait_ready(listener, busy);
		if (batch_ns > 0)
			sleep_until(now_ns() + batch_ns);
		for (busy = false; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
			close(fd);
			busy = batch_ns > 0;
		}
	}
}

static void serve_udp(int fd)
{
	for (;;) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		char byte[64];
		ssize_t n;

		wait_ready(fd, false);
		while ((n = recvfrom(fd, byte, sizeof(byte), 0, (struct sockaddr *)&from, &len)) >=
		       0)
			sendto(fd, byte, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

/* One connection at a time, to its end. */
static void serve_streams(int listener, bool echo)
{
	static char piece[1 << 18];

	for (;;) {
		ssize_t n;

		wait_ready(listener, false);
		int on = 1, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		while ((n = read(fd, piece, sizeof(piece))) > 0)
			if (echo && write(fd, piece, (size_t)n) != n)
				break;
		close(fd);
	}
}

int main(int argc, char **argv)
{
	if (argc != 4)
		errx(2, "usage: sink tcp PORT BATCH_US | sink udp|echo|discard PORT CPU");
	bool tcp = strcmp(argv[1], "tcp") == 0, udp = strcmp(argv[1], "udp") == 0;
	int fd = bound(udp ? SOCK_DGRAM : SOCK_STREAM, (uint16_t)strtoul(argv[2], NULL, 10));

	if (!udp && listen(fd, 65535) < 0)
		err(1, "listen");
	if (!tcp)
		pin_to((int)strtol(argv[3], NULL, 10));
	puts("READY");
	fflush(stdout);
	if (tcp)
		serve_tcp(fd, strtoull(argv[3], NULL, 10) * 1000);
	if (!udp)
		serve_streams(fd, strcmp(argv[1], "echo") == 0);
	serve_udp(fd);
}
