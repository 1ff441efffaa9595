/* SPDX-License-Identifier: Apache-2.0 */
/* Packets made by hand: IPv4 and UDP around a token, and an Ethernet header around that. */
#ifndef LINNET_ACTORS_FRAME_H
#define LINNET_ACTORS_FRAME_H

#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include "escape.h"

#define FRAME_MAX 512

static inline uint16_t checksum(const void *bytes, size_t size)
{
	const unsigned char *at = bytes;
	uint32_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* ret has room for FRAME_MAX bytes. */
static inline size_t udp_packet(unsigned char *ret, struct in_addr from,
				const struct sockaddr_in *to, const char *token)
{
	size_t data = strlen(token), size = sizeof(struct iphdr) + sizeof(struct udphdr) + data;
	struct iphdr ip = {.version = 4,
			   .ihl = 5,
			   .ttl = 64,
			   .protocol = IPPROTO_UDP,
			   .tot_len = htons((uint16_t)size),
			   .saddr = from.s_addr,
			   .daddr = to->sin_addr.s_addr};
	struct udphdr udp = {.source = htons(40000),
			     .dest = to->sin_port,
			     .len = htons((uint16_t)(sizeof(udp) + data))};

	if (size > FRAME_MAX - sizeof(struct ether_header))
		errx(2, "the token is too long");
	ip.check = checksum(&ip, sizeof(ip));
	memcpy(ret, &ip, sizeof(ip));
	memcpy(ret + sizeof(ip), &udp, sizeof(udp));
	memcpy(ret + sizeof(ip) + sizeof(udp), token, data);
	return size;
}

/* Room for FRAME_MAX. arguments: IP PORT MAC, MAC of the next hop; from the addresses of eth0. */
static inline size_t udp_frame(unsigned char *ret, const char *token, char **arguments)
{
	struct ether_header head = {.ether_type = htons(ETHERTYPE_IP)};
	struct ifreq device = {.ifr_name = "eth0"};
	struct ether_addr *next = ether_aton(need(arguments, 2));
	union endpoint to;
	int fd = (int)must(socket(AF_INET, SOCK_DGRAM, 0), "socket");

	if (!next)
		errx(2, "%s is no MAC", arguments[2]);
	endpoint_at(arguments, 0, &to);
	memcpy(head.ether_dhost, next, ETH_ALEN);
	must(ioctl(fd, SIOCGIFHWADDR, &device), "SIOCGIFHWADDR");
	memcpy(head.ether_shost, device.ifr_hwaddr.sa_data, ETH_ALEN);
	must(ioctl(fd, SIOCGIFADDR, &device), "SIOCGIFADDR");
	struct in_addr from = ((struct sockaddr_in *)&device.ifr_addr)->sin_addr;
	close(fd);
	memcpy(ret, &head, sizeof(head));
	return sizeof(head) + udp_packet(ret + sizeof(head), from, &to.v4, token);
}

#endif
