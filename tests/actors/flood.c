/* SPDX-License-Identifier: Apache-2.0 */
/* Many flows as fast as they go: `flood COUNT IP PORT [keep]`, a socket and a datagram each. Says
 * `flooded`, then waits for the end of standard input. `keep`: the sockets stay open until it ends.
 */
#include <stdio.h>
#include "net.h"

int main(int argc, char **argv)
{
	union endpoint to;
	char byte = 0;

	if (argc != 4 && (argc != 5 || strcmp(argv[4], "keep") != 0))
		errx(2, "usage: flood COUNT IP PORT [keep]");
	socklen_t len = endpoint_parse(argv[2], argv[3], 0, &to);
	for (long n = strtol(argv[1], NULL, 10); n > 0; n--) {
		int fd = socket(to.any.sa_family, SOCK_DGRAM, 0);
		if (fd < 0 || sendto(fd, &byte, 1, 0, &to.any, len) != 1)
			err(1, "sendto");
		if (argc == 4)
			close(fd);
	}
	puts("flooded");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
