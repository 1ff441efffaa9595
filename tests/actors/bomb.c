/* SPDX-License-Identifier: Apache-2.0 */
/* A fork bomb in a cage: `bomb N CGROUP IP PORT` enters the cgroup, whose limit of processes is
 * what bounds it. Each process of it forks until the kernel refuses, and ends; no more than N are
 * born. The last one connects to IP:PORT. Says `born B refused R` when all have ended. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "net.h"

static struct shared {
	atomic_long left; /* to be born */
	atomic_long born, refused;
} * shared;

static void enter(const char *cgroup)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	int fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1)
		err(1, "%s", path);
	close(fd);
}

/* Whether this is a new process, which goes on in the same way. */
static int multiply(void)
{
	while (atomic_fetch_sub(&shared->left, 1) > 0) {
		pid_t pid = fork();
		if (pid == 0)
			return 1;
		if (pid < 0) {
			if (errno != EAGAIN)
				err(1, "fork");
			atomic_fetch_add(&shared->left, 1);
			atomic_fetch_add(&shared->refused, 1);
			sched_yield();
			return 0;
		}
		atomic_fetch_add(&shared->born, 1);
	}
	return 0;
}

int main(int argc, char **argv)
{
	union endpoint to;

	if (argc != 5)
		errx(2, "usage: bomb N CGROUP IP PORT");
	shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(1, "mmap");
	atomic_store(&shared->left, strtol(argv[1], NULL, 10));
	enter(argv[2]);
	/* Nobody waits for them, and orphans come here. */
	signal(SIGCHLD, SIG_IGN);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		err(1, "prctl");
	pid_t first = getpid();
	while (atomic_load(&shared->left) > 0) {
		while (multiply())
			;
		if (getpid() != first)
			_exit(0);
	}
	while (wait(NULL) > 0 || errno != ECHILD)
		;
	socklen_t len = endpoint_parse(argv[3], argv[4], 0, &to);
	int fd = socket(to.any.sa_family, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, &to.any, len) < 0)
		err(1, "connect");
	printf("born %ld refused %ld\n", atomic_load(&shared->born), atomic_load(&shared->refused));
	return 0;
}
