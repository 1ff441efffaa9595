/* SPDX-License-Identifier: Apache-2.0 */
/* The token leaves by a raw or ping socket: `raw MODE TOKEN IP PORT`. */
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include "escape.h"
#include "frame.h"

#define EXPERIMENT 253 /* a protocol number that nobody has, RFC 3692 */

static int opened(const union endpoint *to, int type, int protocol)
{
	return (int)must(socket(to->any.sa_family, type, protocol), "socket");
}

static void send_bytes(int fd, const void *bytes, size_t size, const union endpoint *to,
		       socklen_t len)
{
	say_go();
	must(sendto(fd, bytes, size, 0, &to->any, len), "sendto");
	close(fd);
}

/* A whole UDP packet, its IP header too. */
static void own_header(const char *token, char **arguments)
{
	unsigned char packet[FRAME_MAX];
	struct in_addr from;
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	int fd = opened(&to, SOCK_RAW, IPPROTO_RAW);

	inet_pton(AF_INET, need(arguments, 2), &from);
	size_t size = udp_packet(packet, from, &to.v4, token);
	send_bytes(fd, packet, size, &to, len);
}

static void odd_protocol(const char *token, char **arguments)
{
	union endpoint to;

	endpoint_at(arguments, 0, &to);
	to.v4.sin_port = 0;
	send_bytes(opened(&to, SOCK_RAW, EXPERIMENT), token, strlen(token), &to, sizeof(to.v4));
}

static void odd_protocol6(const char *token, char **arguments)
{
	union endpoint to;

	endpoint_at(arguments, 0, &to);
	to.v6.sin6_port = 0;
	send_bytes(opened(&to, SOCK_RAW, EXPERIMENT), token, strlen(token), &to, sizeof(to.v6));
}

/* An echo request whose data is the token. */
static void echo4(int type, const char *token, char **arguments)
{
	unsigned char packet[FRAME_MAX] = {ICMP_ECHO};
	size_t size = 8 + strlen(token);
	union endpoint to;

	endpoint_at(arguments, 0, &to);
	to.v4.sin_port = 0;
	memcpy(packet + 8, token, strlen(token));
	uint16_t sum = checksum(packet, size);
	memcpy(packet + 2, &sum, sizeof(sum));
	send_bytes(opened(&to, type, IPPROTO_ICMP), packet, size, &to, sizeof(to.v4));
}

static void echo6(int type, const char *token, char **arguments)
{
	unsigned char packet[FRAME_MAX] = {ICMP6_ECHO_REQUEST};
	union endpoint to;

	endpoint_at(arguments, 0, &to);
	to.v6.sin6_port = 0;
	memcpy(packet + 8, token, strlen(token));
	send_bytes(opened(&to, type, IPPROTO_ICMPV6), packet, 8 + strlen(token), &to,
		   sizeof(to.v6));
}

static void icmp4(const char *token, char **arguments)
{
	echo4(SOCK_RAW, token, arguments);
}

static void icmp6(const char *token, char **arguments)
{
	echo6(SOCK_RAW, token, arguments);
}

static void ping4(const char *token, char **arguments)
{
	echo4(SOCK_DGRAM, token, arguments);
}

static void ping6(const char *token, char **arguments)
{
	echo6(SOCK_DGRAM, token, arguments);
}

static const struct way WAYS[] = {
    {"header", own_header}, {"protocol", odd_protocol}, {"protocol6", odd_protocol6},
    {"icmp4", icmp4},       {"icmp6", icmp6},           {"ping4", ping4},
    {"ping6", ping6},
};

ESCAPE_MAIN(WAYS)
