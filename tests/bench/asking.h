/* SPDX-License-Identifier: Apache-2.0 */
/* What the workloads that look names up share: the look-up, and what they say at the end. */
#ifndef LINNET_BENCH_ASKING_H
#define LINNET_BENCH_ASKING_H

#include "bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HOME 0x7f000001u /* 127.0.0.1 */

/* As the C library asks: a socket for each question. The name is what stands before BENCH_ZONE. */
static inline struct in_addr look_up(uint16_t id, const char *name)
{
	static const uint8_t header[DNS_HEADER] = {[2] = 1, [5] = 1};
	struct sockaddr_in to = endpoint(HOME, 53);
	size_t zone_at = DNS_HEADER + strlen(name), size = zone_at + sizeof(BENCH_ZONE) - 1;
	uint8_t message[512];
	struct in_addr found;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(message, header, sizeof(header));
	memcpy(message, &id, sizeof(id));
	memcpy(message + DNS_HEADER, name, strlen(name));
	memcpy(message + zone_at, BENCH_ZONE, sizeof(BENCH_ZONE) - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    send(fd, message, size, 0) < 0)
		err(1, "look-up");
	ssize_t n = recv(fd, message, sizeof(message), 0);
	if (n < (ssize_t)size + 16 || memcmp(message, &id, sizeof(id)) != 0)
		errx(1, "no answer");
	memcpy(&found, message + n - 4, 4);
	close(fd);
	return found;
}

static inline int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Sorts `took`. */
static inline void report_p50(uint64_t *took, uint64_t count, uint64_t ns)
{
	qsort(took, count, sizeof(*took), by_size);
	printf("{\"n\": %" PRIu64 ", \"made\": %" PRIu64 ", \"ns\": %" PRIu64
	       ", \"p50_ns\": %" PRIu64 "}\n",
	       count, count, ns, took[count / 2]);
	fflush(stdout);
}

#endif
