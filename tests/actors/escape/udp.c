/* SPDX-License-Identifier: Apache-2.0 */
/* The token leaves in a datagram: `udp MODE TOKEN IP PORT [IP PORT]`. */
#include <net/if.h>
#include "escape.h"

#define LSRR              131
#define SSRR              137
#define UDPLITE           136
#define IPV6_SRCRT_TYPE_4 4

static int opened(const union endpoint *to, int protocol)
{
	return (int)must(socket(to->any.sa_family, SOCK_DGRAM, protocol), "socket");
}

static void send_named(int fd, const char *token, const union endpoint *to, socklen_t len)
{
	say_go();
	must(sendto(fd, token, strlen(token), 0, &to->any, len), "sendto");
	close(fd);
}

static void send_connected(int fd, const char *token, const union endpoint *to, socklen_t len)
{
	must(connect(fd, &to->any, len), "connect");
	say_go();
	must(send(fd, token, strlen(token), 0), "send");
	close(fd);
}

static void connected(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);

	send_connected(opened(&to, 0), token, &to, len);
}

static void named(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	int fd = opened(&to, 0), on = 1;

	must(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)), "SO_BROADCAST");
	send_named(fd, token, &to, len);
}

/* By the address of this link, on eth0. */
static void on_link(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);

	to.v6.sin6_scope_id = if_nametoindex("eth0");
	send_named(opened(&to, 0), token, &to, len);
}

static void mapped(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_parse(need(arguments, 0), need(arguments, 1), 1, &to);

	send_named(opened(&to, 0), token, &to, len);
}

static struct msghdr message(const char *token, struct iovec *part, union endpoint *to,
			     socklen_t len)
{
	*part = (struct iovec){(void *)token, strlen(token)};
	return (struct msghdr){
	    .msg_name = to, .msg_namelen = len, .msg_iov = part, .msg_iovlen = 1};
}

static void by_message(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	struct iovec part;
	struct msghdr m = message(token, &part, &to, len);
	int fd = opened(&to, 0);

	say_go();
	must(sendmsg(fd, &m, 0), "sendmsg");
}

static void by_messages(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	struct iovec part;
	struct mmsghdr list[] = {{.msg_hdr = message(token, &part, &to, len)}};
	int fd = opened(&to, 0);

	say_go();
	must(sendmmsg(fd, list, 1, 0), "sendmmsg");
}

/* Connected to the first IP PORT, which is allowed; the datagram names the second. */
static void elsewhere(const char *token, char **arguments)
{
	union endpoint to, other;
	socklen_t len = endpoint_at(arguments, 0, &to);
	socklen_t other_len = endpoint_at(arguments, 2, &other);
	int fd = opened(&to, 0);

	must(connect(fd, &to.any, len), "connect");
	send_named(fd, token, &other, other_len);
}

static void lite(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);

	send_named(opened(&to, UDPLITE), token, &to, len);
}

static void lite_connected(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);

	send_connected(opened(&to, UDPLITE), token, &to, len);
}

/* Named: the first IP PORT, which is allowed. On the way to it the packet goes to the second. */
static size_t source_route(unsigned char kind, char **arguments, unsigned char ret[8])
{
	const unsigned char head[] = {kind, 7, 4};
	struct in_addr hop;

	if (inet_pton(AF_INET, need(arguments, 2), &hop) != 1)
		errx(2, "%s is no IPv4 address", arguments[2]);
	memcpy(ret, head, sizeof(head));
	memcpy(ret + 3, &hop, sizeof(hop));
	ret[7] = 0;
	return 8;
}

static void routed_by_option(unsigned char kind, const char *token, char **arguments)
{
	unsigned char options[8];
	size_t size = source_route(kind, arguments, options);
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	int fd = opened(&to, 0);

	must(setsockopt(fd, IPPROTO_IP, IP_OPTIONS, options, (socklen_t)size), "IP_OPTIONS");
	send_named(fd, token, &to, len);
}

static void routed_by_message(unsigned char kind, const char *token, char **arguments)
{
	union {
		char bytes[CMSG_SPACE(8)];
		struct cmsghdr head;
	} control = {.head = {.cmsg_level = IPPROTO_IP, .cmsg_type = IP_RETOPTS}};
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	struct iovec part;
	struct msghdr m = message(token, &part, &to, len);
	int fd = opened(&to, 0);

	control.head.cmsg_len = CMSG_LEN(source_route(kind, arguments, CMSG_DATA(&control.head)));
	m.msg_control = &control;
	m.msg_controllen = sizeof(control);
	say_go();
	must(sendmsg(fd, &m, 0), "sendmsg(IP_RETOPTS)");
}

static void lsrr(const char *token, char **arguments)
{
	routed_by_option(LSRR, token, arguments);
}

static void ssrr(const char *token, char **arguments)
{
	routed_by_option(SSRR, token, arguments);
}

static void lsrr_message(const char *token, char **arguments)
{
	routed_by_message(LSRR, token, arguments);
}

static void ssrr_message(const char *token, char **arguments)
{
	routed_by_message(SSRR, token, arguments);
}

/* A segment routing header, RFC 8754: the first hop stands last. */
static void segments(const char *token, char **arguments)
{
	unsigned char header[8 + 2 * sizeof(struct in6_addr)] = {0, 4, IPV6_SRCRT_TYPE_4, 1, 1};
	union endpoint to, hop;
	socklen_t len = endpoint_at(arguments, 0, &to);
	int fd = opened(&to, 0);

	endpoint_at(arguments, 2, &hop);
	memcpy(header + 8 + sizeof(struct in6_addr), &hop.v6.sin6_addr, sizeof(struct in6_addr));
	must(setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, header, sizeof(header)), "IPV6_RTHDR");
	send_connected(fd, token, &to, len);
}

static const struct way WAYS[] = {
    {"connected", connected},
    {"sendto", named},
    {"link-local", on_link},
    {"mapped", mapped},
    {"sendmsg", by_message},
    {"sendmmsg", by_messages},
    {"elsewhere", elsewhere},
    {"lite", lite},
    {"lite-connected", lite_connected},
    {"lsrr", lsrr},
    {"ssrr", ssrr},
    {"lsrr-message", lsrr_message},
    {"ssrr-message", ssrr_message},
    {"segments", segments},
};

ESCAPE_MAIN(WAYS)
