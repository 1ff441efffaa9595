/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the PID of a process that is no more: `namesake PID COMMAND ARG…` runs COMMAND as a child
 * that has this PID, and ends with its status. */
#include <err.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int status;

	if (argc < 3)
		errx(2, "usage: namesake PID COMMAND [ARG…]");
	pid_t pid = (pid_t)strtol(argv[1], NULL, 10);
	struct clone_args args = {
	    .exit_signal = SIGCHLD,
	    .set_tid = (uint64_t)(uintptr_t)&pid,
	    .set_tid_size = 1,
	};
	long made = syscall(SYS_clone3, &args, sizeof(args));
	if (made == 0) {
		execvp(argv[2], argv + 2);
		err(127, "%s", argv[2]);
	}
	if (made != pid || waitpid(pid, &status, 0) != pid)
		err(1, "PID %d", (int)pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
