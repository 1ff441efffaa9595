/* SPDX-License-Identifier: Apache-2.0 */
/* Many connections that stay open: `hoard COUNT IP PORT` says `held` when it has them, and closes
 * them at the end of standard input. `hoard serve COUNT IP PORT` says `ready` and keeps what comes.
 * A process may have so many descriptors only: each 8,000 are those of a process of their own, at
 * a port of their own, from PORT on. */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "net.h"

#define EACH 8000

static union endpoint place;
static socklen_t place_len;

static void say(const char *word)
{
	puts(word);
	fflush(stdout);
}

static void listen_here(void)
{
	int one = 1, fd = socket(place.any.sa_family, SOCK_STREAM, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, &place.any, place_len) < 0 || listen(fd, 4096) < 0)
		err(1, "listen");
	say("ready");
	while (accept(fd, NULL, NULL) >= 0)
		;
	err(1, "accept");
}

static void connect_there(long n)
{
	for (long i = 0; i < n; i++) {
		int fd = socket(place.any.sa_family, SOCK_STREAM, 0);
		if (fd < 0 || connect(fd, &place.any, place_len) < 0)
			err(1, "connection %ld", i);
	}
	say("held");
}

/* For the process that holds the next ones. */
static void next_port(void)
{
	place.v4.sin_port = htons((in_port_t)(ntohs(place.v4.sin_port) + 1));
}

int main(int argc, char **argv)
{
	const struct rlimit limit = {EACH + 64, EACH + 64};
	int serves = argc == 5 && strcmp(argv[1], "serve") == 0;
	char byte;

	argv += serves;
	if (argc - serves != 4)
		errx(2, "usage: hoard [serve] COUNT IP PORT");
	place_len = endpoint_parse(argv[2], argv[3], 0, &place);
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(1, "%d descriptors", EACH + 64);
	for (long left = strtol(argv[1], NULL, 10); left > 0; left -= EACH, next_port()) {
		pid_t pid = fork();
		if (pid < 0)
			err(1, "fork");
		if (pid > 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (serves)
			listen_here();
		connect_there(left < EACH ? left : EACH);
		while (read(STDIN_FILENO, &byte, 1) > 0)
			;
		return 0;
	}
	while (wait(NULL) > 0)
		;
	return 0;
}
