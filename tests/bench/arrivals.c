/* SPDX-License-Identifier: Apache-2.0 */
/* Stamps alerts: reads linnet's standard error, remembers when each `Destination:` line came in
 * (CLOCK_MONOTONIC), and tells `IP:PORT NANOSECONDS` for each when the input ends. */
#include "bench.h"

#include <stdio.h>
#include <string.h>

#define ALERTS_MAX 65536

struct arrival {
	char where[24];
	uint64_t at_ns;
};

static struct arrival seen[ALERTS_MAX];
static size_t seen_count;

static void on_line(const char *line, uint64_t at_ns)
{
	static const char label[] = "Destination: ";

	if (strncmp(line, label, sizeof(label) - 1) != 0 || seen_count == ALERTS_MAX)
		return;
	struct arrival *a = &seen[seen_count++];
	snprintf(a->where, sizeof(a->where), "%.*s", (int)strcspn(line + sizeof(label) - 1, " "),
		 line + sizeof(label) - 1);
	a->at_ns = at_ns;
}

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
			on_line(line, at_ns);
			line = end + 1;
		}
		held -= (size_t)(line - text);
		if (held == sizeof(text) - 1)
			held = 0;
		memmove(text, line, held);
	}
	for (size_t i = 0; i < seen_count; i++)
		printf("%s %llu\n", seen[i].where, (unsigned long long)seen[i].at_ns);
	return 0;
}
