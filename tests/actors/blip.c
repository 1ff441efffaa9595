/* SPDX-License-Identifier: Apache-2.0 */
/* The shortest agent: `blip IP PORT [ANYTHING]` begins a connection and ends without waiting. */
#include <errno.h>
#include <fcntl.h>
#include "net.h"

int main(int argc, char **argv)
{
	union endpoint to;

	if (argc < 3)
		errx(2, "usage: blip IP PORT [ANYTHING]");
	socklen_t len = endpoint_parse(argv[1], argv[2], 0, &to);
	int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (connect(fd, &to.any, len) < 0 && errno != EINPROGRESS)
		err(1, "connect");
	return 0;
}
