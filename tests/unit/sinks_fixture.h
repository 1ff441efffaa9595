/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the sinks of alerts share: a loop around one of them, as the daemon's is. */
#ifndef LINNET_TESTS_SINKS_FIXTURE_H
#define LINNET_TESTS_SINKS_FIXTURE_H

#include <poll.h>
#include <sys/un.h>
#include "base/clock.h"
#include "output/sinks.h"
#include "output_fixture.h"

#define PATIENCE_NS (30 * LN_NS_PER_S) /* the machine may be slow; the test fails after that */

/* Runs the sink until nothing is pending. */
static inline void run_sink(struct ln_sink *s)
{
	uint64_t end = ln_clock_mono_ns() + PATIENCE_NS, now;

	while (s->ops->pending(s) > 0 && (now = ln_clock_mono_ns()) < end) {
		uint64_t due = LN_MIN(s->ops->deadline(s), end);
		struct pollfd p = {.fd = s->ops->fd(s), .events = POLLIN};
		poll(&p, 1, due <= now ? 0 : (int)((due - now) / LN_NS_PER_MS) + 1);
		s->ops->dispatch(s, ln_clock_mono_ns());
	}
	assert_int_equal(s->ops->pending(s), 0);
}

static inline void tell(struct ln_sink *s, int times)
{
	for (int i = 0; i < times; i++)
		s->ops->finding(s, &finding);
}

/* A UNIX datagram socket that a fake daemon would read. */
static char socket_dir[64];
static char socket_path[96];

static inline int make_receiver(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(socket_dir, sizeof(socket_dir), "/tmp/linnet-unit-XXXXXX");
	assert_non_null(mkdtemp(socket_dir));
	snprintf(socket_path, sizeof(socket_path), "%s/log", socket_dir);
	memcpy(un.sun_path, socket_path, strlen(socket_path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

static inline void end_receiver(int fd)
{
	close(fd);
	unlink(socket_path);
	rmdir(socket_dir);
}

static inline const char *next_datagram(int fd)
{
	static char text[1 << 17];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[LN_MAX(n, (ssize_t)0)] = '\0';
	return text;
}

#endif
