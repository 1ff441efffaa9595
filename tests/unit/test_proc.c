/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/macros.h"
#include "proc/parse.h"

#define STAT_TAIL                                                                                  \
	" S 1 2 3 34816 -1 4194304 5 6 7 8 9 10 11 12 20 -5 1 0 987654321 14 15 "                  \
	"18446744073709551615 16\n"

static void stat_hostile_names(void **state)
{
	static const char *const texts[] = {
	    "42 (bash)" STAT_TAIL,          "42 ()" STAT_TAIL,
	    "42 (a b)" STAT_TAIL,           "42 ())" STAT_TAIL,
	    "42 (a) R 7 7 7 (b)" STAT_TAIL, "42 (x\ny\n1 (z)" STAT_TAIL,
	    "42 (\xff\x1b[0m)" STAT_TAIL,
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(texts); i++) {
		struct ln_proc_stat stat;

		assert_true(ln_proc_parse_stat(texts[i], strlen(texts[i]), &stat));
		assert_int_equal(stat.pid, 42);
		assert_int_equal(stat.state, 'S');
		assert_int_equal(stat.ppid, 1);
		assert_int_equal(stat.pgrp, 2);
		assert_int_equal(stat.session, 3);
		assert_int_equal(stat.start_ticks, 987654321);
	}
}

static void stat_refuses(void **state)
{
	static const char *const texts[] = {
	    "",
	    "42",
	    "42 (bash)",
	    "42 (bash) S",
	    "42 (bash) S 1 2 3",
	    "42 bash S 1 2 3 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 9\n",
	    "(bash)" STAT_TAIL,
	    "x (bash)" STAT_TAIL,
	    "4294967338 (bash)" STAT_TAIL,
	    "42 (bash) S 1 -1 3 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 9\n",
	    "42 (bash) S 1 2 3 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 x\n",
	    "42 (bash) S 1 2 3 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 9x\n",
	    "42 (bash) S 1 2 3 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 18446744073709551616\n",
	    ")42 (bash",
	};
	struct ln_proc_stat stat = {.pid = 7};

	for (size_t i = 0; i < LN_ARRAY_SIZE(texts); i++) {
		if (ln_proc_parse_stat(texts[i], strlen(texts[i]), &stat))
			fail_msg("took \"%s\"", texts[i]);
	}
	assert_int_equal(stat.pid, 7);
}

/* Cut anywhere, on the heap without a NUL, so that a sanitizer sees each byte read too many. */
static void stat_cut_anywhere(void **state)
{
	static const char text[] = "42 (ba) sh)" STAT_TAIL;
	size_t start_end = (size_t)(strstr(text, "987654321") + 9 - text);

	for (size_t len = 0; len < sizeof(text); len++) {
		char *copy = malloc(len + 1);
		struct ln_proc_stat stat;

		assert_non_null(copy);
		memcpy(copy + 1, text, len);
		if (len < start_end - 8)
			assert_false(ln_proc_parse_stat(copy + 1, len, &stat));
		if (len >= start_end)
			assert_true(ln_proc_parse_stat(copy + 1, len, &stat));
		free(copy);
	}
}

static void stat_of_ourselves(void **state)
{
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	struct ln_proc_stat stat;
	char text[1024];
	ssize_t len;

	assert_true(fd >= 0);
	len = read(fd, text, sizeof(text));
	close(fd);
	assert_true(len > 0);
	assert_true(ln_proc_parse_stat(text, (size_t)len, &stat));
	assert_int_equal(stat.pid, getpid());
	assert_int_equal(stat.ppid, getppid());
	assert_int_equal(stat.pgrp, getpgrp());
	assert_int_equal(stat.session, getsid(0));
	assert_int_equal(stat.state, 'R');
	assert_true(stat.start_ticks > 0);
}

#define PLAIN_MOUNTS                                                                               \
	"22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"                                  \
	"23 28 0:21 / /cgroup2 rw - tmpfs cgroup2 rw\n"

static bool mount_is(const char *text, const char *expected)
{
	char path[64] = "untouched";
	bool ok = ln_proc_parse_cgroup2_mount(text, strlen(text), path, sizeof(path));

	return ok == (expected != NULL) && strcmp(path, expected ? expected : "untouched") == 0;
}

static void cgroup2_mounts(void **state)
{
	assert_true(mount_is("", NULL));
	assert_true(mount_is(PLAIN_MOUNTS, NULL));
	assert_true(mount_is(PLAIN_MOUNTS
			     "29 22 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n",
			     "/sys/fs/cgroup"));
	assert_true(
	    mount_is("29 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw", "/sys/fs/cgroup"));
	assert_true(
	    mount_is("29 22 0:26 / /a rw shared:9 master:1 propagate_from:2 - cgroup2 c rw", "/a"));
	/* The whole hierarchy before a part of it; a part when there is nothing else. */
	assert_true(mount_is("29 22 0:26 /docker/1 /part rw - cgroup2 c rw\n"
			     "30 22 0:26 / /whole rw - cgroup2 c rw\n"
			     "31 22 0:26 / /later rw - cgroup2 c rw\n",
			     "/whole"));
	assert_true(mount_is("29 22 0:26 /docker/1 /part rw - cgroup2 c rw\n"
			     "30 22 0:26 /docker/2 /other rw - cgroup2 c rw\n",
			     "/part"));
	assert_true(mount_is("29 22 0:26 / /a\\040b\\011c\\134040\\012d rw - cgroup2 c rw\n",
			     "/a b\tc\\040\nd"));
	assert_true(mount_is("29 22 0:26 / /a\\04 rw - cgroup2 c rw\n", "/a\\04"));
	assert_true(mount_is("29 22 0:26 / /a\\000b rw - cgroup2 c rw\n", NULL));
	/* A mount whose names only look like the words. */
	assert_true(mount_is("29 22 0:26 / /a\\040-\\040cgroup2 rw - tmpfs - cgroup2 rw\n", NULL));
	assert_true(mount_is("29 22 0:26 / /a rw - cgroup c rw\n", NULL));
	assert_true(mount_is("29 22 0:26 / /a rw - cgroup2", NULL));
	assert_true(mount_is("29 22 0:26 / /a\n", NULL));
}

static void cgroup2_mount_sizes(void **state)
{
	static const char text[] = "29 22 0:26 / /12345678 rw - cgroup2 c rw\n";
	char path[10];

	assert_true(ln_proc_parse_cgroup2_mount(text, strlen(text), path, 10));
	assert_string_equal(path, "/12345678");
	assert_false(ln_proc_parse_cgroup2_mount(text, strlen(text), path, 9));
	assert_false(ln_proc_parse_cgroup2_mount(text, strlen(text), path, 0));
}

static bool path_is(const char *text, const char *expected)
{
	char path[32] = "untouched";
	bool ok = ln_proc_parse_cgroup2_path(text, strlen(text), path, sizeof(path));

	return ok == (expected != NULL) && strcmp(path, expected ? expected : "untouched") == 0;
}

static void cgroup2_paths(void **state)
{
	assert_true(path_is("0::/\n", "/"));
	assert_true(path_is("0::/user.slice/a b", "/user.slice/a b"));
	assert_true(path_is("12:cpu:/x\n1:name=systemd:/0::/y\n0::/z\n", "/z"));
	assert_true(path_is("12:cpu:/x\n1:name=systemd:/y\n", NULL));
	assert_true(path_is("10::/x\n", NULL));
	assert_true(path_is("0::\n", NULL));
	assert_true(path_is("0::x\n", NULL));
	assert_true(path_is("", NULL));
	assert_true(
	    path_is("0::/3456789012345678901234567890123\n", NULL)); /* 31 bytes would fit */
	assert_true(
	    path_is("0::/345678901234567890123456789 12\n", "/345678901234567890123456789 12"));
}

static void socket_links(void **state)
{
	static const char *const refused[] = {
	    "",
	    "socket:[]",
	    "socket:[12",
	    "socket:[12]x",
	    "socket:[-1]",
	    "socket:[ 1]",
	    "pipe:[12]",
	    "/tmp/socket:[12]",
	    "socket:[1x]",
	    "anon_inode:[12]",
	    "socket:12",
	    "socket:[18446744073709551616]",
	};
	uint64_t inode = 7;

	for (size_t i = 0; i < LN_ARRAY_SIZE(refused); i++)
		assert_false(ln_proc_parse_socket_link(refused[i], strlen(refused[i]), &inode));
	assert_int_equal(inode, 7);
	assert_true(ln_proc_parse_socket_link("socket:[12345]", 14, &inode));
	assert_int_equal(inode, 12345);
	assert_true(ln_proc_parse_socket_link("socket:[18446744073709551615]", 29, &inode));
	assert_true(inode == UINT64_MAX);
	/* Only the given bytes count. */
	assert_false(ln_proc_parse_socket_link("socket:[12345]", 13, &inode));
}

static void numbers_in_a_namespace(void **state)
{
	static const char *const refused[] = {
	    "",
	    "Pid:\t5\n",
	    "NSpid:\n",
	    "NSpid:\t\n",
	    "NSpid:\t12x\n",
	    "NSpid:\t12\t\n",
	    "NSpid:\t4294967296\n",
	    "Name:\tNSpid:\t7\n",
	};
	static const char text[] = "Name:\ta\nNSpid:\t812\t31\t1\nNSpgid:\t9\n";
	uint32_t pid = 7;

	for (size_t i = 0; i < LN_ARRAY_SIZE(refused); i++)
		assert_false(ln_proc_parse_ns_pid(refused[i], strlen(refused[i]), &pid));
	assert_int_equal(pid, 7);
	assert_true(ln_proc_parse_ns_pid(text, strlen(text), &pid));
	assert_int_equal(pid, 1);
	assert_true(ln_proc_parse_ns_pid("NSpid:\t4294967295", 17, &pid));
	assert_true(pid == UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stat_hostile_names),     cmocka_unit_test(stat_refuses),
	    cmocka_unit_test(stat_cut_anywhere),      cmocka_unit_test(stat_of_ourselves),
	    cmocka_unit_test(cgroup2_mounts),         cmocka_unit_test(cgroup2_mount_sizes),
	    cmocka_unit_test(cgroup2_paths),          cmocka_unit_test(socket_links),
	    cmocka_unit_test(numbers_in_a_namespace),
	};

	return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
