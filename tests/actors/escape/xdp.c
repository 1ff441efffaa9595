/* SPDX-License-Identifier: Apache-2.0 */
/* The token leaves by AF_XDP, below IP and below every queue: `xdp copy TOKEN IP PORT MAC`. */
#include <linux/if_xdp.h>
#include <sys/mman.h>
#include "frame.h"

#define FRAMES     4
#define FRAME_SIZE 4096

static void set(int fd, int option, const void *value, socklen_t size)
{
	must(setsockopt(fd, SOL_XDP, option, value, size), "setsockopt(SOL_XDP)");
}

static void copy(const char *token, char **arguments)
{
	static unsigned char area[FRAMES * FRAME_SIZE] __attribute__((aligned(FRAME_SIZE)));
	struct xdp_umem_reg memory = {
	    .addr = (uintptr_t)area, .len = sizeof(area), .chunk_size = FRAME_SIZE};
	struct sockaddr_xdp to = {
	    .sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY, .sxdp_ifindex = if_nametoindex("eth0")};
	int fd = (int)must(socket(AF_XDP, SOCK_RAW, 0), "socket"), entries = FRAMES;
	struct xdp_mmap_offsets at;
	socklen_t at_size = sizeof(at);

	set(fd, XDP_UMEM_REG, &memory, sizeof(memory));
	set(fd, XDP_UMEM_FILL_RING, &entries, sizeof(entries));
	set(fd, XDP_UMEM_COMPLETION_RING, &entries, sizeof(entries));
	set(fd, XDP_TX_RING, &entries, sizeof(entries));
	must(getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &at_size), "XDP_MMAP_OFFSETS");
	char *ring = mmap(NULL, at.tx.desc + FRAMES * sizeof(struct xdp_desc),
			  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, XDP_PGOFF_TX_RING);
	if (ring == MAP_FAILED)
		err(1, "mmap");
	must(bind(fd, (struct sockaddr *)&to, sizeof(to)), "bind");
	struct xdp_desc *first = (struct xdp_desc *)(ring + at.tx.desc);
	*first = (struct xdp_desc){.len = (uint32_t)udp_frame(area, token, arguments)};
	__atomic_store_n((uint32_t *)(ring + at.tx.producer), 1, __ATOMIC_RELEASE);
	say_go();
	must(sendto(fd, NULL, 0, MSG_DONTWAIT, NULL, 0), "sendto");
	close(fd);
}

static const struct way WAYS[] = {{"copy", copy}};

ESCAPE_MAIN(WAYS)
