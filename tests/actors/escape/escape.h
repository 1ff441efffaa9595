/* SPDX-License-Identifier: Apache-2.0 */
/* What the ways out share: `PROGRAM MODE TOKEN …`. The token is what must arrive; say_go() tells
 * the test who lets it go and when, just before the call that does. */
#ifndef LINNET_ACTORS_ESCAPE_H
#define LINNET_ACTORS_ESCAPE_H

#include <stdio.h>
#include <time.h>
#include "../net.h"

struct way {
	const char *name;
	/* arguments: what stands after the token, NULL-terminated */
	void (*run)(const char *token, char **arguments);
};

static inline long must(long result, const char *what)
{
	if (result < 0)
		err(1, "%s", what);
	return result;
}

/* The PID as the host sees it, where /proc is the host's. With ESCAPE_KEEP set, what was taken is
 * kept until the test says a line. */
static inline void say_go(void)
{
	struct timespec now;
	char self[16] = "", byte;

	if (getenv("ESCAPE_KEEP"))
		must(read(0, &byte, 1), "read");
	if (readlink("/proc/self", self, sizeof(self) - 1) < 0)
		snprintf(self, sizeof(self), "%d", getpid());
	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("go %s %lld\n", self, now.tv_sec * 1000000000LL + now.tv_nsec);
	fflush(stdout);
}

static inline const char *need(char **arguments, int at)
{
	for (int i = 0; i <= at; i++)
		if (!arguments[i])
			errx(2, "argument %d after the token is missing", at + 1);
	return arguments[at];
}

/* From "IP PORT" at this place. */
static inline socklen_t endpoint_at(char **arguments, int at, union endpoint *ret)
{
	return endpoint_parse(need(arguments, at), need(arguments, at + 1), 0, ret);
}

static inline int run_way(const struct way *ways, size_t n, int argc, char **argv)
{
	if (argc < 3)
		errx(2, "usage: PROGRAM MODE TOKEN …");
	for (size_t i = 0; i < n; i++) {
		if (strcmp(ways[i].name, argv[1]) != 0)
			continue;
		ways[i].run(argv[2], argv + 3);
		return 0;
	}
	errx(2, "there is no mode %s", argv[1]);
}

#define ESCAPE_MAIN(ways)                                                                          \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return run_way(ways, sizeof(ways) / sizeof((ways)[0]), argc, argv);                \
	}

#endif
