/* SPDX-License-Identifier: Apache-2.0 */
/* The token leaves by a packet socket, below IP: `packet MODE TOKEN IP PORT MAC`. */
#include <linux/if_packet.h>
#include <sys/mman.h>
#include "frame.h"

static struct sockaddr_ll on_eth0(const unsigned char *frame)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_IP),
				 .sll_ifindex = (int)if_nametoindex("eth0"),
				 .sll_halen = ETH_ALEN};

	memcpy(to.sll_addr, frame, ETH_ALEN);
	return to;
}

/* Without a protocol it receives nothing, and sends as well. */
static int opened(int type)
{
	return (int)must(socket(AF_PACKET, type, 0), "socket");
}

static void send_frame(int fd, const char *token, char **arguments)
{
	unsigned char frame[FRAME_MAX];
	size_t size = udp_frame(frame, token, arguments);
	struct sockaddr_ll to = on_eth0(frame);

	say_go();
	must(sendto(fd, frame, size, 0, (struct sockaddr *)&to, sizeof(to)), "sendto");
	close(fd);
}

static void raw(const char *token, char **arguments)
{
	send_frame(opened(SOCK_RAW), token, arguments);
}

/* The kernel makes the Ethernet header. */
static void dgram(const char *token, char **arguments)
{
	unsigned char frame[FRAME_MAX];
	size_t size = udp_frame(frame, token, arguments), head = sizeof(struct ether_header);
	struct sockaddr_ll to = on_eth0(frame);
	int fd = opened(SOCK_DGRAM);

	say_go();
	must(sendto(fd, frame + head, size - head, 0, (struct sockaddr *)&to, sizeof(to)),
	     "sendto");
	close(fd);
}

static void bypass(const char *token, char **arguments)
{
	int fd = opened(SOCK_RAW), on = 1;

	must(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)), "QDISC_BYPASS");
	send_frame(fd, token, arguments);
}

/* The frame is written into memory; the call that follows carries no byte of it. */
static void ring(const char *token, char **arguments)
{
	struct tpacket_req shape = {
	    .tp_block_size = 4096, .tp_block_nr = 1, .tp_frame_size = 2048, .tp_frame_nr = 2};
	int fd = opened(SOCK_RAW), version = TPACKET_V2;

	must(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)), "VERSION");
	must(setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &shape, sizeof(shape)), "TX_RING");
	unsigned char *slots = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (slots == MAP_FAILED)
		err(1, "mmap");
	struct tpacket2_hdr *head = (struct tpacket2_hdr *)slots;
	unsigned char *frame = slots + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll);
	head->tp_len = (uint32_t)udp_frame(frame, token, arguments);
	struct sockaddr_ll to = on_eth0(frame);
	must(bind(fd, (struct sockaddr *)&to, sizeof(to)), "bind");
	__atomic_store_n(&head->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	say_go();
	must(send(fd, NULL, 0, 0), "send");
	close(fd);
}

static const struct way WAYS[] = {
    {"raw", raw},
    {"dgram", dgram},
    {"bypass", bypass},
    {"ring", ring},
};

ESCAPE_MAIN(WAYS)
