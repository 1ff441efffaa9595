/* SPDX-License-Identifier: Apache-2.0 */
/* Very many processes that live at once and cost little: `crowd COUNT IP PORT`. They share their
 * parent's memory, as after vfork. Says `there PID` with the PID of the last one when all live;
 * after a line of input that one connects to IP:PORT; at the end of the input all end. */
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "net.h"

#define STACK_BYTES 8192

enum phase { GATHER, CONNECT, END };

static atomic_int phase, connected;
static union endpoint to;
static socklen_t to_len;

static void wait_while(atomic_int *word, int value)
{
	while (atomic_load(word) == value)
		syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void set(atomic_int *word, int value)
{
	atomic_store(word, value);
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Memory, errno included, is everybody's: nothing of the C library but system calls. */
static int stand(void *last)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (last) {
		wait_while(&phase, GATHER);
		int fd = socket(to.any.sa_family, SOCK_STREAM, 0);
		int r = fd < 0 ? -1 : connect(fd, &to.any, to_len);
		set(&connected, r == 0 ? 1 : 2);
		wait_while(&phase, CONNECT);
	}
	while (atomic_load(&phase) != END)
		wait_while(&phase, atomic_load(&phase));
	syscall(SYS_exit, 0);
	return 0;
}

int main(int argc, char **argv)
{
	pid_t pid = 0;

	if (argc != 4)
		errx(2, "usage: crowd COUNT IP PORT");
	long n = strtol(argv[1], NULL, 10);
	to_len = endpoint_parse(argv[2], argv[3], 0, &to);
	char *stacks = mmap(NULL, (size_t)n * STACK_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stacks == MAP_FAILED)
		err(1, "mmap");
	for (long i = 0; i < n; i++) {
		pid = clone(stand, stacks + (i + 1) * STACK_BYTES, CLONE_VM | SIGCHLD,
			    i == n - 1 ? &phase : NULL);
		if (pid < 0)
			err(1, "clone %ld", i);
	}
	printf("there %d\n", (int)pid);
	fflush(stdout);
	if (getchar() != EOF) {
		set(&phase, CONNECT);
		wait_while(&connected, 0);
		puts(connected == 1 ? "connected" : "refused");
		fflush(stdout);
	}
	while (getchar() != EOF)
		;
	set(&phase, END);
	while (wait(NULL) > 0)
		;
	return 0;
}
