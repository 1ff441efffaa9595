/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a resolver itself and connects at once to what it is told: `asker RESOLVER ZONE PORT ROUNDS
 * FIRST`. Each round asks for another name, N.ZONE from N = FIRST on. Half of the rounds read the
 * answer by polling, so that it is taken in the moment when it comes. Says how many connects were
 * refused by EPERM, and by which errors all ended. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include "net.h"

#define MESSAGE_MAX 1232
#define HEADER      12

static size_t write_question(unsigned char *to, unsigned int id, const char *zone,
			     unsigned long number)
{
	static const unsigned char head[] = {0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0};
	char name[256];
	size_t at = HEADER;

	snprintf(name, sizeof(name), "n%lu.%s", number, zone);
	to[0] = (unsigned char)(id >> 8);
	to[1] = (unsigned char)id;
	memcpy(to + 2, head, sizeof(head));
	for (char *rest = name, *label; (label = strsep(&rest, "."));) {
		to[at] = (unsigned char)strlen(label);
		memcpy(to + at + 1, label, to[at]);
		at += 1 + to[at];
	}
	memcpy(to + at, "\0\0\1\0\1", 5);
	return at + 5;
}

/* The address in the last record: it ends the message, as the question has no EDNS. */
static bool ask(int fd, unsigned long number, const char *zone, struct in_addr *ret)
{
	unsigned char message[MESSAGE_MAX];
	size_t len = write_question(message, (unsigned int)number & 0xffff, zone, number);
	bool polls = number & 1;
	ssize_t n;

	if (send(fd, message, len, 0) < 0)
		err(1, "the question");
	do
		n = recv(fd, message, sizeof(message), polls ? MSG_DONTWAIT : 0);
	while (n < 0 && errno == EAGAIN && polls);
	if (n < HEADER + 4 || message[7] == 0)
		return false;
	memcpy(ret, message + n - 4, 4);
	return true;
}

int main(int argc, char **argv)
{
	union endpoint resolver, to;
	unsigned long rounds, refused = 0, unanswered = 0, reached = 0;

	if (argc != 6)
		errx(2, "usage: asker RESOLVER ZONE PORT ROUNDS FIRST");
	socklen_t len = endpoint_parse(argv[1], "53", 0, &resolver);
	rounds = strtoul(argv[4], NULL, 10);
	unsigned long first = strtoul(argv[5], NULL, 10);
	for (unsigned long i = 0; i < rounds; i++) {
		int asks = socket(AF_INET, SOCK_DGRAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
		struct timeval patience = {.tv_sec = 5};

		setsockopt(asks, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		endpoint_parse("0.0.0.0", argv[3], 0, &to);
		if (connect(asks, &resolver.any, len) < 0)
			err(1, "the resolver");
		if (!ask(asks, first + i, argv[2], &to.v4.sin_addr))
			unanswered++;
		else if (connect(fd, &to.any, sizeof(to.v4)) == 0)
			reached++;
		else if (errno == EPERM)
			refused++;
		else if (errno == ECONNREFUSED)
			reached++;
		else
			err(1, "connect");
		close(fd);
		close(asks);
	}
	printf("refused %lu unanswered %lu reached %lu\n", refused, unanswered, reached);
	return refused || unanswered;
}
