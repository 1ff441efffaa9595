/* SPDX-License-Identifier: Apache-2.0 */
/* To be preloaded: the wall clock runs ahead of the machine's by the seconds that stand as a number
 * in the first bytes of the file $LINNET_TEST_CLOCK, which can change at any time. */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead_s;

/* While there still is the right to open it. */
__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("LINNET_TEST_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*ahead_s), PROT_READ, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		err(1, "$LINNET_TEST_CLOCK");
	ahead_s = at;
	close(fd);
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
	int r = (int)syscall(SYS_clock_gettime, id, ret);

	if (r == 0 && id == CLOCK_REALTIME)
		ret->tv_sec += *ahead_s;
	return r;
}
