/* SPDX-License-Identifier: Apache-2.0 */
/* The token is written to a device of the agent's own, and routed from there: `tunnel tun|tap TOKEN
 * IP PORT`. */
#include <fcntl.h>
#include <linux/if_tun.h>
#include "frame.h"

static int device(short flags, struct ifreq *ret)
{
	struct sockaddr_in own = {.sin_family = AF_INET};
	int fd = (int)must(open("/dev/net/tun", O_RDWR), "/dev/net/tun");
	int control = (int)must(socket(AF_INET, SOCK_DGRAM, 0), "socket");

	*ret = (struct ifreq){.ifr_name = "escape%d", .ifr_flags = (short)(flags | IFF_NO_PI)};
	must(ioctl(fd, TUNSETIFF, ret), "TUNSETIFF");
	inet_pton(AF_INET, "10.77.0.1", &own.sin_addr);
	memcpy(&ret->ifr_addr, &own, sizeof(own));
	must(ioctl(control, SIOCSIFADDR, ret), "SIOCSIFADDR");
	ret->ifr_flags = IFF_UP | IFF_RUNNING;
	must(ioctl(control, SIOCSIFFLAGS, ret), "SIOCSIFFLAGS");
	must(ioctl(control, SIOCGIFHWADDR, ret), "SIOCGIFHWADDR");
	close(control);
	return fd;
}

static void tun(const char *token, char **arguments)
{
	unsigned char packet[FRAME_MAX];
	struct in_addr from;
	struct ifreq own;
	union endpoint to;
	int fd = device(IFF_TUN, &own);

	endpoint_at(arguments, 0, &to);
	inet_pton(AF_INET, "10.77.0.2", &from);
	size_t size = udp_packet(packet, from, &to.v4, token);
	say_go();
	must(write(fd, packet, size), "write");
	close(fd);
}

static void tap(const char *token, char **arguments)
{
	unsigned char frame[sizeof(struct ether_header) + FRAME_MAX];
	struct ether_header head = {.ether_type = htons(ETHERTYPE_IP), .ether_shost = {2}};
	struct in_addr from;
	struct ifreq own;
	union endpoint to;
	int fd = device(IFF_TAP, &own);

	endpoint_at(arguments, 0, &to);
	inet_pton(AF_INET, "10.77.0.2", &from);
	memcpy(head.ether_dhost, own.ifr_hwaddr.sa_data, ETH_ALEN);
	memcpy(frame, &head, sizeof(head));
	size_t size = sizeof(head) + udp_packet(frame + sizeof(head), from, &to.v4, token);
	say_go();
	must(write(fd, frame, size), "write");
	close(fd);
}

static const struct way WAYS[] = {{"tun", tun}, {"tap", tap}};

ESCAPE_MAIN(WAYS)
