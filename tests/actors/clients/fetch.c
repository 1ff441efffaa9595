// SPDX-License-Identifier: Apache-2.0
// Fetches http://HOST/ by the C library's resolver: `fetch HOST`. Built with musl, it asks for A
// and AAAA at once.
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int connect_any(const struct addrinfo *list)
{
	for (const struct addrinfo *a = list; a; a = a->ai_next) {
		int fd = socket(a->ai_family, SOCK_STREAM, 0);

		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			return fd;
		close(fd);
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	char buffer[4096];
	int wrong = argc < 2 ? EAI_NONAME : getaddrinfo(argv[1], "80", &hints, &list);

	if (wrong) {
		fprintf(stderr, "fetch: %s\n", gai_strerror(wrong));
		return 1;
	}
	int fd = connect_any(list);

	freeaddrinfo(list);
	int length =
	    snprintf(buffer, sizeof(buffer), "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", argv[1]);

	if (fd < 0 || write(fd, buffer, (size_t)length) != length) {
		perror("fetch");
		return 1;
	}
	for (ssize_t got; (got = read(fd, buffer, sizeof(buffer))) > 0;)
		fwrite(buffer, 1, (size_t)got, stdout);
	close(fd);
	return 0;
}
