/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of the test program's own, made before its tests and removed after them. */
#ifndef LINNET_TESTS_DAEMON_FIXTURE_H
#define LINNET_TESTS_DAEMON_FIXTURE_H

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/macros.h"

#define ABSENT_PID 4194305 /* over the kernel's limit for PIDs */

static char dir[] = "/tmp/linnet-unit-XXXXXX";

LN_UNUSED static const char *in_dir(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

LN_UNUSED static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int make_dir(void **state)
{
	return mkdtemp(dir) && chmod(dir, 01777) == 0 ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

#endif
