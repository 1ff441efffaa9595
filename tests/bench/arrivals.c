/* SPDX-License-Identifier: Apache-2.0 */
/* Stamps lines: tells each line of its standard input as `NANOSECONDS LINE`, with the
 * CLOCK_MONOTONIC of its arrival. */
#include "bench.h"

#include <stdio.h>
#include <string.h>

int main(void)
{
	static char text[1 << 16];
	size_t held = 0;
	ssize_t n;

	while ((n = read(STDIN_FILENO, text + held, sizeof(text) - 1 - held)) > 0) {
		uint64_t at_ns = now_ns();
		char *line = text, *end;

		held += (size_t)n;
		text[held] = '\0';
		while ((end = strchr(line, '\n')) != NULL) {
			*end = '\0';
			printf("%llu %s\n", (unsigned long long)at_ns, line);
			line = end + 1;
		}
		fflush(stdout);
		held -= (size_t)(line - text);
		if (held == sizeof(text) - 1)
			held = 0;
		memmove(text, line, held);
	}
	return 0;
}
