/* SPDX-License-Identifier: Apache-2.0 */
/* The other side. `sink tcp PORT BATCH_US` takes connections and closes them: at once (0), or all
 * that came each BATCH_US, so that a workload does not pay for waking the server. `sink udp PORT
 * CPU` echoes datagrams on one CPU, `sink echo PORT CPU` what one TCP connection after the other
 * sends, `sink discard PORT CPU` reads it. `sink names PORT CPU IP` is a DNS server with one
 * address for api.bench.test, and one for each short child, `sink web PORT CPU` answers one HTTP
 * request a connection. Says READY; ends when standard input does. */
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

/* Where a question for the address of a known name ends; 0: there is no such name. */
static size_t end_of_known(const uint8_t *message, size_t len, struct in_addr *address)
{
	const uint8_t *question = message + DNS_HEADER;
	size_t room = len - DNS_HEADER, label = strlen("\5cXXXX");
	char digits[5] = {0}, *rest;

	if (room >= sizeof(BENCH_QUESTION) - 1 &&
	    memcmp(question, BENCH_QUESTION, sizeof(BENCH_QUESTION) - 1) == 0)
		return DNS_HEADER + sizeof(BENCH_QUESTION) - 1;
	if (room < label + sizeof(BENCH_ZONE) - 1 || memcmp(question, "\5c", 2) != 0 ||
	    memcmp(question + label, BENCH_ZONE, sizeof(BENCH_ZONE) - 1) != 0)
		return 0;
	memcpy(digits, question + 2, 4);
	address->s_addr = htonl(CHILD_PLACES + (uint32_t)strtoul(digits, &rest, 16));
	return *rest ? 0 : DNS_HEADER + label + sizeof(BENCH_ZONE) - 1;
}

/* To all other questions: there is no such record. */
static size_t answer(uint8_t *message, size_t len, struct in_addr address)
{
	static const uint8_t record[] = {0xc0, DNS_HEADER, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
	size_t end = end_of_known(message, len, &address);

	message[2] = 0x81; /* an answer, recursion was desired */
	message[3] = 0x80; /* and available */
	message[7] = end > 0;
	memset(message + 8, 0, 4); /* no EDNS */
	if (end == 0)
		return len;
	memcpy(message + end, record, sizeof(record));
	memcpy(message + end + sizeof(record), &address, 4);
	return end + sizeof(record) + 4;
}

static void serve_names(int fd, const char *ip)
{
	struct in_addr address;

	if (inet_pton(AF_INET, ip, &address) != 1)
		errx(2, "%s is no IPv4 address", ip);
	for (;;) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		uint8_t message[600];
		ssize_t n;

		wait_ready(fd, false);
		while ((n = recvfrom(fd, message, 512, 0, (struct sockaddr *)&from, &len)) >=
		       DNS_HEADER)
			sendto(fd, message, answer(message, (size_t)n, address), 0,
			       (struct sockaddr *)&from, len);
	}
}

static void serve_web(int listener)
{
	static const char response[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	char request[1024];

	for (;;) {
		wait_ready(listener, false);
		int on = 1, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (read(fd, request, sizeof(request)) > 0 &&
		    write(fd, response, sizeof(response) - 1) < 0)
			warn("write");
		close(fd);
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
	const char *kind = argc > 1 ? argv[1] : "";
	bool tcp = strcmp(kind, "tcp") == 0, names = strcmp(kind, "names") == 0;

	if (argc != (names ? 5 : 4))
		errx(2, "usage: sink tcp PORT BATCH_US | sink udp|echo|discard|web PORT CPU | "
			"sink names PORT CPU IP");
	bool udp = names || strcmp(kind, "udp") == 0;
	int fd = bound(udp ? SOCK_DGRAM : SOCK_STREAM, (uint16_t)strtoul(argv[2], NULL, 10));

	if (!udp && listen(fd, 65535) < 0)
		err(1, "listen");
	if (!tcp)
		pin_to((int)strtol(argv[3], NULL, 10));
	puts("READY");
	fflush(stdout);
	if (tcp)
		serve_tcp(fd, strtoull(argv[3], NULL, 10) * 1000);
	if (names)
		serve_names(fd, argv[4]);
	if (strcmp(kind, "web") == 0)
		serve_web(fd);
	if (!udp)
		serve_streams(fd, strcmp(kind, "echo") == 0);
	serve_udp(fd);
}
