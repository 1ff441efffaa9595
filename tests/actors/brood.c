/* SPDX-License-Identifier: Apache-2.0 */
/* Many children that live a millisecond: `brood N COMMAND ARG…`. Child i runs COMMAND with its
 * number as the last argument; the next starts when it has ended. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char *command[16] = {0}, number[24];
	int status;

	if (argc < 3 || argc > 15)
		errx(2, "usage: brood N COMMAND [ARG…]");
	long n = strtol(argv[1], NULL, 10);
	for (int i = 2; i < argc; i++)
		command[i - 2] = argv[i];
	command[argc - 2] = number;
	for (long i = 0; i < n; i++) {
		snprintf(number, sizeof(number), "%ld", i);
		pid_t pid = vfork();
		if (pid == 0) {
			execv(command[0], command);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
			errx(1, "child %ld failed", i);
	}
	return 0;
}
