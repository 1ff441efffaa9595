/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs of the benchmark share. */
#ifndef LINNET_BENCH_H
#define LINNET_BENCH_H

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static inline void sleep_until(uint64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000),
			      .tv_nsec = (long)(ns % 1000000000)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) != 0)
		;
}

static inline struct sockaddr_in endpoint(uint32_t ip, uint16_t port)
{
	return (struct sockaddr_in){
	    .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip)};
}

static inline void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		err(1, "cannot stay on CPU %d", cpu);
}

/* The name whose address a request asks for first, as DNS writes it, with type A and class IN. */
#define BENCH_ZONE     "\5bench\4test\0\0\1\0\1"
#define BENCH_QUESTION "\3api" BENCH_ZONE
#define DNS_HEADER     12

/* A short child that goes by its own name: `cXXXX.bench.test` is CHILD_PLACES + 0xXXXX. */
#define CHILD_LABEL  "\5c%04x"
#define CHILD_PLACES 0xc6120000u /* 198.18.0.0 and on: for benchmarks, by RFC 2544 */

static inline void wait_for_eof(int fd)
{
	char bytes[4096];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

#endif
