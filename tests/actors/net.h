/* SPDX-License-Identifier: Apache-2.0 */
/* What the actors share: addresses from arguments, and a way to fail that a test can read. */
#ifndef LINNET_ACTORS_NET_H
#define LINNET_ACTORS_NET_H

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union endpoint {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* An IPv4 address becomes ::ffff:a.b.c.d when `mapped`. Returns the length. */
static inline socklen_t endpoint_parse(const char *ip, const char *port, int mapped,
				       union endpoint *ret)
{
	in_port_t number = htons((in_port_t)strtoul(port, NULL, 10));

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, ip, &ret->v4.sin_addr) == 1 && !mapped) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = number;
		return sizeof(ret->v4);
	}
	memset(ret, 0, sizeof(*ret));
	if (mapped) {
		ret->v6.sin6_addr.s6_addr[10] = ret->v6.sin6_addr.s6_addr[11] = 0xff;
		if (inet_pton(AF_INET, ip, &ret->v6.sin6_addr.s6_addr[12]) != 1)
			errx(2, "%s is no IPv4 address", ip);
	} else if (inet_pton(AF_INET6, ip, &ret->v6.sin6_addr) != 1) {
		errx(2, "%s is no address", ip);
	}
	ret->v6.sin6_family = AF_INET6;
	ret->v6.sin6_port = number;
	return sizeof(ret->v6);
}

/* Sends `left` bytes, ends the sending side, reads to the end; returns how many came. */
static inline size_t tcp_exchange(int fd, size_t left)
{
	static char block[65536];
	size_t received = 0;

	while (left > 0) {
		ssize_t n =
		    send(fd, block, left < sizeof(block) ? left : sizeof(block), MSG_NOSIGNAL);
		if (n < 0)
			err(1, "send");
		left -= (size_t)n;
	}
	if (shutdown(fd, SHUT_WR) < 0)
		err(1, "shutdown");
	for (ssize_t n; (n = recv(fd, block, sizeof(block), 0)) != 0; received += (size_t)n)
		if (n < 0)
			err(1, "recv");
	return received;
}

#endif
