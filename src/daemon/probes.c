/* SPDX-License-Identifier: Apache-2.0 */
#include "probes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static socklen_t loopback(int family, uint16_t port, union address *ret)
{
	*ret = (union address){0};
	if (family == AF_INET6) {
		ret->in6.sin6_family = AF_INET6;
		ret->in6.sin6_port = htons(port);
		ret->in6.sin6_addr = in6addr_loopback;
		return sizeof(ret->in6);
	}
	ret->in.sin_family = AF_INET;
	ret->in.sin_port = htons(port);
	ret->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sizeof(ret->in);
}

static socklen_t abstract(const char *name, union address *ret)
{
	*ret = (union address){.un.sun_family = AF_UNIX};
	memcpy(ret->un.sun_path + 1, name, strlen(name));
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

/* A socket that waits on `a`; its port, when it has one. */
static int wait_on(int type, int protocol, union address *a, socklen_t len, uint16_t *ret_port,
		   int *ret_fd)
{
	LN_AUTO_CLOSE int fd = socket(a->sa.sa_family, type | SOCK_CLOEXEC, protocol);

	if (fd < 0 || bind(fd, &a->sa, len) < 0 || getsockname(fd, &a->sa, &len) < 0)
		return -errno;
	/* Before it listens: who waits for the word of that compares the port. */
	*ret_port = ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
	if (type == SOCK_STREAM && listen(fd, 4) < 0)
		return -errno;
	*ret_fd = LN_TAKE_FD(fd);
	return 0;
}

/* The agent's own sockets stay open until it ends: polling needs that. */
static int open_socket(struct ln_probe_slot *s, int family, int type, int protocol)
{
	int fd;

	s->sent_ns = ln_clock_mono_ns();
	fd = socket(family, type | SOCK_CLOEXEC, protocol);
	return fd < 0 ? -errno : fd;
}

static int connect_loopback(struct ln_probe_slot *s, int family, int type)
{
	union address a;
	socklen_t len = loopback(family, s->port, &a);
	int fd = open_socket(s, family, type, 0);

	if (fd < 0)
		return fd;
	return connect(fd, &a.sa, len) < 0 ? -errno : fd;
}

static bool is_flow(const struct ln_probe_slot *s, const struct ln_finding *f, uint8_t proto)
{
	return f->kind == LN_FINDING_FLOW_OPEN && f->verdict == LN_VERDICT_UNEXPECTED &&
	       f->flow->proto == proto && !f->flow->inbound && f->flow->remote.port == s->port &&
	       ln_addr_is_loopback(&f->flow->remote.addr);
}

static bool is_channel(const struct ln_finding *f, enum ln_channel_kind kind)
{
	return f->kind == LN_FINDING_CHANNEL && f->channel->kind == kind;
}

static bool is_privilege(const struct ln_finding *f, uint32_t capability)
{
	return is_channel(f, LN_CHANNEL_PRIVILEGE) && f->channel->number == capability;
}

static int tcp_prepare(struct ln_probe_slot *s, int *ret_fd)
{
	union address a;
	socklen_t len = loopback(AF_INET, 0, &a);

	return wait_on(SOCK_STREAM, 0, &a, len, &s->port, ret_fd);
}

static int tcp_act(struct ln_probe_slot *s)
{
	return connect_loopback(s, AF_INET, SOCK_STREAM);
}

static bool tcp_caught(const struct ln_probe_slot *s, const struct ln_finding *f)
{
	return is_flow(s, f, IPPROTO_TCP);
}

static int tcp6_prepare(struct ln_probe_slot *s, int *ret_fd)
{
	union address a;
	socklen_t len = loopback(AF_INET6, 0, &a);

	return wait_on(SOCK_STREAM, 0, &a, len, &s->port, ret_fd);
}

static int tcp6_act(struct ln_probe_slot *s)
{
	return connect_loopback(s, AF_INET6, SOCK_STREAM);
}

static int udp_prepare(struct ln_probe_slot *s, int *ret_fd)
{
	union address a;
	socklen_t len = loopback(AF_INET, 0, &a);

	return wait_on(SOCK_DGRAM, 0, &a, len, &s->port, ret_fd);
}

static int udp_connect_act(struct ln_probe_slot *s)
{
	int fd = connect_loopback(s, AF_INET, SOCK_DGRAM);

	if (fd < 0)
		return fd;
	return send(fd, "linnet", 6, 0) < 0 ? -errno : 0;
}

static int send_to_loopback(struct ln_probe_slot *s, int protocol, const void *bytes, size_t n)
{
	union address a;
	socklen_t len = loopback(AF_INET, s->port, &a);
	int fd = open_socket(s, AF_INET, SOCK_DGRAM, protocol);

	if (fd < 0)
		return fd;
	return sendto(fd, bytes, n, 0, &a.sa, len) < 0 ? -errno : 0;
}

static int udp_act(struct ln_probe_slot *s)
{
	return send_to_loopback(s, 0, "linnet", 6);
}

static bool udp_caught(const struct ln_probe_slot *s, const struct ln_finding *f)
{
	return is_flow(s, f, IPPROTO_UDP);
}

static int udplite_prepare(struct ln_probe_slot *s, int *ret_fd)
{
	union address a;
	socklen_t len = loopback(AF_INET, 0, &a);

	return wait_on(SOCK_DGRAM, IPPROTO_UDPLITE, &a, len, &s->port, ret_fd);
}

static int udplite_act(struct ln_probe_slot *s)
{
	return send_to_loopback(s, IPPROTO_UDPLITE, "linnet", 6);
}

static bool udplite_caught(const struct ln_probe_slot *s, const struct ln_finding *f)
{
	return is_flow(s, f, IPPROTO_UDPLITE);
}

/* Nobody may use ping sockets in a network namespace that is new (icmp(7)). */
static int ping_prepare(struct ln_probe_slot *s, int *ret_fd)
{
	LN_AUTO_CLOSE int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, "0 0", 3) != 3 ? -errno : 0;
}

static int ping_act(struct ln_probe_slot *s)
{
	const struct icmphdr echo = {.type = ICMP_ECHO};

	return send_to_loopback(s, IPPROTO_ICMP, &echo, sizeof(echo));
}

static bool ping_caught(const struct ln_probe_slot *s, const struct ln_finding *f)
{
	return is_flow(s, f, IPPROTO_ICMP);
}

static int raw_act(struct ln_probe_slot *s)
{
	return open_socket(s, AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static bool raw_caught(const struct ln_probe_slot *s, const struct ln_finding *f)
{
	return is_channel(f, LN_CHANNEL_RAW_SOCKET) || is_privilege(f, CAP_NET_RAW);
}

/* For no protocol: it receives nothing. */
static int packet_act(struct ln_probe_slot *s)
{
	return open_socket(s, AF_PACKET, SOCK_DGRAM, 0);
}

static bool packet_caught(const struct ln_probe_slot *s, const struct ln_finding *f)
{
	return is_channel(f, LN_CHANNEL_PACKET_SOCKET) || is_privilege(f, CAP_NET_RAW);
}

static int unix_prepare(struct ln_probe_slot *s, int *ret_fd)
{
	union address a;
	uint16_t ignored;

	snprintf(s->name, sizeof(s->name), "linnet-self-test-%d", (int)getpid());
	return wait_on(SOCK_STREAM, 0, &a, abstract(s->name, &a), &ignored, ret_fd);
}

static int unix_act(struct ln_probe_slot *s)
{
	union address a;
	socklen_t len = abstract(s->name, &a);
	int fd = open_socket(s, AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0)
		return fd;
	return connect(fd, &a.sa, len) < 0 ? -errno : 0;
}

static bool unix_caught(const struct ln_probe_slot *s, const struct ln_finding *f)
{
	return is_channel(f, LN_CHANNEL_UNIX_SOCKET) && f->channel->abstract &&
	       f->channel->path_len == strlen(s->name) &&
	       memcmp(f->channel->path, s->name, f->channel->path_len) == 0;
}

static int tunnel_act(struct ln_probe_slot *s)
{
	int fd;

	s->sent_ns = ln_clock_mono_ns();
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool tunnel_caught(const struct ln_probe_slot *s, const struct ln_finding *f)
{
	return is_channel(f, LN_CHANNEL_TUNNEL_DEVICE);
}

/* What loopback is already: the check of the right is all that happens. */
static int privilege_act(struct ln_probe_slot *s)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = open_socket(s, AF_INET, SOCK_DGRAM, 0);

	if (fd < 0)
		return fd;
	return ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

static bool privilege_caught(const struct ln_probe_slot *s, const struct ln_finding *f)
{
	return is_privilege(f, CAP_NET_ADMIN);
}

static int listen_act(struct ln_probe_slot *s)
{
	union address a = {.in.sin_family = AF_INET};

	int fd;

	s->sent_ns = ln_clock_mono_ns();
	return wait_on(SOCK_STREAM, 0, &a, sizeof(a.in), &s->port, &fd);
}

static bool listen_caught(const struct ln_probe_slot *s, const struct ln_finding *f)
{
	return is_channel(f, LN_CHANNEL_LISTEN) && f->flow && f->flow->local.port == s->port;
}

static void inbound_answer(const struct ln_probe_slot *s)
{
	union address a;
	socklen_t len = loopback(AF_INET, s->port, &a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* One that does not come is one that is not caught: the test fails by itself. */
	if (fd >= 0 && connect(fd, &a.sa, len) < 0)
		close(fd);
}

static bool inbound_caught(const struct ln_probe_slot *s, const struct ln_finding *f)
{
	return f->kind == LN_FINDING_FLOW_OPEN && f->flow->inbound &&
	       f->verdict == LN_VERDICT_UNEXPECTED && f->flow->proto == IPPROTO_TCP &&
	       f->flow->local.port == s->port;
}

static int injection_prepare(struct ln_probe_slot *s, int *ret_fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	if (pid < 0)
		return -errno;
	s->victim = pid;
	return 0;
}

static int injection_act(struct ln_probe_slot *s)
{
	int status;

	s->sent_ns = ln_clock_mono_ns();
	if (ptrace(PTRACE_ATTACH, s->victim, NULL, NULL) < 0)
		return -errno;
	if (waitpid(s->victim, &status, __WALL) < 0 ||
	    ptrace(PTRACE_DETACH, s->victim, NULL, NULL) < 0)
		return -errno;
	return 0;
}

static bool injection_caught(const struct ln_probe_slot *s, const struct ln_finding *f)
{
	return is_channel(f, LN_CHANNEL_INJECTION) && f->channel->other.pid == (uint32_t)s->victim;
}

size_t ln_probes(const struct ln_probe **ret)
{
	static const struct ln_probe probes[] = {
	    {"TCP connection, IPv4", "TCP connect", "TCP connections that last", tcp_prepare,
	     tcp_act, NULL, tcp_caught},
	    {"TCP connection, IPv6", "TCP connect", "TCP connections that last", tcp6_prepare,
	     tcp6_act, NULL, tcp_caught},
	    {"UDP datagram, connected", "UDP connect", "connected UDP that lasts", udp_prepare,
	     udp_connect_act, NULL, udp_caught},
	    {"UDP datagram, sendto", "UDP sendto, sendmsg", NULL, udp_prepare, udp_act, NULL,
	     udp_caught},
	    {"UDP-Lite datagram", "UDP-Lite, SCTP, DCCP, ping", NULL, udplite_prepare, udplite_act,
	     NULL, udplite_caught},
	    {"ping socket", "UDP-Lite, SCTP, DCCP, ping", NULL, ping_prepare, ping_act, NULL,
	     ping_caught},
	    {"raw socket", "raw IP sockets", NULL, NULL, raw_act, NULL, raw_caught},
	    {"packet socket", "packet sockets, AF_XDP", NULL, NULL, packet_act, NULL,
	     packet_caught},
	    {"UNIX socket", "UNIX sockets to outside", NULL, unix_prepare, unix_act, NULL,
	     unix_caught},
	    {"tunnel device", "tunnel devices (TUN, TAP)", NULL, NULL, tunnel_act, NULL,
	     tunnel_caught},
	    {"privilege", "redirection (NAT, VXLAN, tc)", NULL, NULL, privilege_act, NULL,
	     privilege_caught},
	    {"listening socket", "inbound connections, answered", NULL, NULL, listen_act, NULL,
	     listen_caught},
	    {"inbound connection", "inbound connections, answered", NULL, NULL, listen_act,
	     inbound_answer, inbound_caught},
	    {"injection by ptrace", "ptrace, writing foreign memory", NULL, injection_prepare,
	     injection_act, NULL, injection_caught},
	};
	_Static_assert(LN_ARRAY_SIZE(probes) <= LN_PROBES_MAX, "a slot for each probe");

	*ret = probes;
	return LN_ARRAY_SIZE(probes);
}
