/* SPDX-License-Identifier: Apache-2.0 */
/* A connection made by a thread: `thread live|dead IP PORT`. With `dead` the thread-group leader
 * has exited before. */
#include <pthread.h>
#include <stdio.h>
#include "net.h"

static pthread_t leader;
static int join_leader;
static char **arguments;

static void *connects(void *unused)
{
	union endpoint to;
	socklen_t len = endpoint_parse(arguments[2], arguments[3], 0, &to);

	if (join_leader)
		pthread_join(leader, NULL);
	int fd = socket(to.any.sa_family, SOCK_STREAM, 0);
	if (connect(fd, &to.any, len) < 0)
		err(1, "connect");
	printf("tx 10 rx %zu\n", tcp_exchange(fd, 10));
	exit(0);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc != 4)
		errx(2, "usage: thread live|dead IP PORT");
	leader = pthread_self();
	arguments = argv;
	join_leader = strcmp(argv[1], "dead") == 0;
	if (pthread_create(&thread, NULL, connects, NULL) != 0)
		errx(1, "pthread_create");
	if (join_leader)
		pthread_exit(NULL);
	pthread_join(thread, NULL);
	return 1;
}
