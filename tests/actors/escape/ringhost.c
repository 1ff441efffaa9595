/* SPDX-License-Identifier: Apache-2.0 */
/* A process outside that has an io_uring with a kernel thread of its own, see steal.c. Says `ready
 * PID FD`, and lives until its standard input ends. */
#include <liburing.h>
#include <stdio.h>
#include <unistd.h>

#define SLOTS   8
#define IDLE_MS 60000

int main(void)
{
	struct io_uring_params p = {.flags = IORING_SETUP_SQPOLL, .sq_thread_idle = IDLE_MS};
	struct io_uring ring;
	char byte;

	if (io_uring_queue_init_params(SLOTS, &ring, &p) < 0 ||
	    io_uring_register_files_sparse(&ring, 1) < 0)
		return 1;
	printf("ready %d %d\n", getpid(), ring.ring_fd);
	fflush(stdout);
	return read(0, &byte, 1) != 0;
}
