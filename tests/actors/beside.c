/* SPDX-License-Identifier: Apache-2.0 */
/* Ways around the hooks that need a ring: `beside ring-socket` makes a packet socket by io_uring;
 * `beside ring-taken PID FD` takes a ring from another process, registers it and closes the
 * descriptor. Says `ready` and lives until its input ends. */
#include <err.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void ring_socket(void)
{
	struct io_uring ring;
	struct io_uring_cqe *done;

	if (io_uring_queue_init(4, &ring, 0) < 0)
		errx(1, "no ring");
	/* An async worker makes it: no system call is known. */
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	io_uring_prep_socket(sqe, AF_PACKET, SOCK_RAW, 0, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
	if (io_uring_submit(&ring) < 0 || io_uring_wait_cqe(&ring, &done) < 0)
		errx(1, "the ring failed");
	if (done->res < 0)
		errx(1, "socket: %s", strerror(-done->res));
}

static void ring_taken(const char *pid, const char *fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
	int ring = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, atoi(fd), 0);
	struct io_uring_rsrc_update slot = {.offset = -1U, .data = (__u64)ring};

	if (ring < 0)
		err(1, "pidfd_getfd");
	if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_RING_FDS, &slot, 1) != 1)
		err(1, "io_uring_register");
	close(ring);
	close(pidfd);
}

int main(int argc, char **argv)
{
	char byte;

	if (argc == 2 && strcmp(argv[1], "ring-socket") == 0)
		ring_socket();
	else if (argc == 4 && strcmp(argv[1], "ring-taken") == 0)
		ring_taken(argv[2], argv[3]);
	else
		errx(2, "usage: beside ring-socket | ring-taken PID FD");
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
