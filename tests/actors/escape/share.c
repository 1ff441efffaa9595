/* SPDX-License-Identifier: Apache-2.0 */
/* Two processes with one descriptor table, of which only the second is watched. `share outside
 * TOKEN IP PORT` says `ready PID` of the second and waits for a line; then the first connects and
 * the second sends. `share inside`: the second connects and the first sends. */
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "escape.h"

static int to_first[2], to_second[2];

/* The number of a descriptor is all that has to be told. */
static void tell(const int ends[2], int fd)
{
	must(write(ends[1], &fd, sizeof(fd)), "write");
}

static int hear(const int ends[2])
{
	int fd;

	if (read(ends[0], &fd, sizeof(fd)) != sizeof(fd))
		errx(1, "the other process is gone");
	return fd;
}

static int connected(char **arguments)
{
	union endpoint to;
	socklen_t len = endpoint_at(arguments, 0, &to);
	int fd = (int)must(socket(to.any.sa_family, SOCK_STREAM, 0), "socket");

	must(connect(fd, &to.any, len), "connect");
	return fd;
}

static void send_token(int fd, const char *token)
{
	must(send(fd, token, strlen(token), MSG_NOSIGNAL), "send");
}

/* Returns 0 in the second process; in the first when a line has come. */
static int start(void)
{
	char byte;

	must(pipe(to_first), "pipe");
	must(pipe(to_second), "pipe");
	int second = (int)must(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0), "clone");
	if (second == 0)
		return 0;
	printf("ready %d\n", second);
	fflush(stdout);
	must(read(0, &byte, 1), "read");
	return second;
}

static void outside(const char *token, char **arguments)
{
	if (start() == 0) {
		int fd = hear(to_second);

		say_go();
		send_token(fd, token);
		_exit(0);
	}
	tell(to_second, connected(arguments));
	wait(NULL);
}

static void inside(const char *token, char **arguments)
{
	if (start() == 0) {
		hear(to_second);
		say_go();
		tell(to_first, connected(arguments));
		hear(to_second);
		_exit(0);
	}
	tell(to_second, 0);
	send_token(hear(to_first), token);
	tell(to_second, 0);
	wait(NULL);
}

static const struct way WAYS[] = {{"outside", outside}, {"inside", inside}};

ESCAPE_MAIN(WAYS)
