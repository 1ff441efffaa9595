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
#include "proc/tree.h"

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

static struct ln_proc *run(struct ln_tree *t, uint32_t pid, const char *exe, const char *args,
			   size_t args_len)
{
	return ln_tree_exec(t, 1, pid, exe, strlen(exe), args, args_len, false, 10);
}

static void tree_life_of_a_process(void **state)
{
	struct ln_tree *t = ln_tree_new(16);
	struct ln_proc *root, *child;

	assert_null(ln_tree_find(t, 100));
	root = ln_tree_fork(t, 1, 0, 100, 5);
	assert_non_null(root);
	assert_null(root->parent);
	assert_null(root->exe);
	assert_false(root->inherited);
	assert_ptr_equal(ln_tree_find(t, 100), root);
	assert_int_equal(root->start_ns, 5);
	assert_int_equal(root->exec_ns, 0);
	assert_ptr_equal(run(t, 100, "/bin/sh", "sh\0-c\0x", 8), root);
	assert_string_equal(root->exe, "/bin/sh");
	assert_int_equal(root->args_len, 8);
	assert_memory_equal(root->args, "sh\0-c\0x", 8);
	assert_int_equal(root->exec_ns, 10);
	assert_int_equal(root->start_ns, 5);

	child = ln_tree_fork(t, 1, 100, 101, 20);
	assert_ptr_equal(child->parent, root);
	assert_int_equal(root->children, 1);
	assert_true(child->inherited);
	assert_string_equal(child->exe, "/bin/sh");
	assert_memory_equal(child->args, "sh\0-c\0x", 8);
	assert_int_equal(child->exec_ns, 0);
	run(t, 101, "/bin/curl", "curl", 5);
	assert_false(child->inherited);
	assert_string_equal(child->exe, "/bin/curl");
	assert_string_equal(root->exe, "/bin/sh");
	assert_int_equal(ln_tree_living(t, 1), 2);

	assert_ptr_equal(ln_tree_exit(t, 101, 256, 30), child);
	assert_int_equal(child->exit_ns, 30);
	assert_int_equal(child->exit_status, 256);
	assert_int_equal(root->children, 0);
	assert_ptr_equal(ln_tree_find(t, 101), child);
	assert_ptr_equal(child->parent, root);
	assert_null(ln_tree_exit(t, 101, 0, 31));
	assert_int_equal(child->exit_ns, 30);
	assert_null(ln_tree_exit(t, 999, 0, 31));
	assert_int_equal(ln_tree_living(t, 1), 1);
	assert_int_equal(ln_tree_size(t), 2);
	assert_int_equal(ln_tree_refused(t), 0);
	ln_tree_free(&t);
	assert_null(t);
	ln_tree_free(&t);
}

static void tree_child_keeps_image_of_its_fork(void **state)
{
	struct ln_tree *t = ln_tree_new(16);
	struct ln_proc *child, *grandchild;

	ln_tree_fork(t, 1, 0, 100, 1);
	run(t, 100, "/bin/first", "first", 6);
	child = ln_tree_fork(t, 1, 100, 101, 2);
	run(t, 100, "/bin/second", "second", 7);
	assert_string_equal(child->exe, "/bin/first");
	assert_string_equal(child->args, "first");
	assert_true(child->inherited);
	grandchild = ln_tree_fork(t, 1, 101, 102, 3);
	assert_string_equal(grandchild->exe, "/bin/first");
	ln_tree_free(&t);
}

static void tree_exec_before_fork_and_unknown(void **state)
{
	struct ln_tree *t = ln_tree_new(16);
	struct ln_proc *proc = run(t, 100, "/bin/sh", "sh", 3);

	assert_non_null(proc);
	assert_null(proc->parent);
	assert_ptr_equal(ln_tree_find(t, 100), proc);
	/* An exec whose path and arguments could not be read is not the old program. */
	assert_ptr_equal(ln_tree_exec(t, 1, 100, NULL, 0, NULL, 0, true, 20), proc);
	assert_null(proc->exe);
	assert_null(proc->args);
	assert_int_equal(proc->args_len, 0);
	assert_int_equal(proc->exec_ns, 20);
	ln_tree_exec(t, 1, 100, NULL, 0, "a\0b", 4, true, 21);
	assert_null(proc->exe);
	assert_int_equal(proc->args_len, 4);
	assert_true(proc->args_cut);
	ln_tree_exec(t, 1, 100, "/x", 2, NULL, 0, false, 22);
	assert_string_equal(proc->exe, "/x");
	assert_null(proc->args);
	assert_false(proc->args_cut);
	ln_tree_free(&t);
}

static void tree_time_zero_is_a_time(void **state)
{
	struct ln_tree *t = ln_tree_new(4);
	struct ln_proc *proc = ln_tree_fork(t, 1, 0, 100, 0);

	ln_tree_exec(t, 1, 100, "/x", 2, NULL, 0, false, 0);
	assert_true(proc->exec_ns > 0);
	ln_tree_exit(t, 100, 0, 0);
	assert_true(proc->exit_ns > 0);
	assert_int_equal(ln_tree_living(t, 1), 0);
	ln_tree_free(&t);
}

static void tree_pid_reuse(void **state)
{
	struct ln_tree *t = ln_tree_new(16);
	struct ln_proc *parent, *old, *orphan, *young;

	parent = ln_tree_fork(t, 1, 0, 100, 1);
	old = ln_tree_fork(t, 1, 100, 101, 2);
	orphan = ln_tree_fork(t, 1, 101, 102, 3);
	/* The exit of 101 was lost. */
	young = ln_tree_fork(t, 1, 100, 101, 50);
	assert_ptr_not_equal(young, old);
	assert_ptr_equal(ln_tree_find(t, 101), young);
	assert_int_equal(old->exit_ns, 50);
	assert_int_equal(young->exit_ns, 0);
	assert_ptr_equal(orphan->parent, old);
	assert_int_equal(parent->children, 1);
	assert_int_equal(ln_tree_living(t, 1), 3);
	assert_int_equal(ln_tree_size(t), 4);
	/* Exited, then the PID again: the youngest answers. */
	ln_tree_exit(t, 101, 9, 60);
	assert_int_equal(young->exit_status, 9);
	assert_ptr_not_equal(ln_tree_fork(t, 2, 100, 101, 70), young);
	assert_int_equal(ln_tree_find(t, 101)->agent, 2);
	assert_int_equal(ln_tree_living(t, 1), 2);
	assert_int_equal(ln_tree_living(t, 2), 1);
	/* A process is never its own parent. */
	assert_null(ln_tree_fork(t, 1, 102, 102, 80)->parent);
	ln_tree_free(&t);
}

static void tree_exec_of_another_process(void **state)
{
	struct ln_tree *t = ln_tree_new(16);
	struct ln_proc *old = ln_tree_fork(t, 1, 0, 100, 1);
	struct ln_proc *young;

	ln_tree_exit(t, 100, 7, 5);
	young = run(t, 100, "/bin/sh", "sh", 3);
	assert_ptr_not_equal(young, old);
	assert_int_equal(old->exit_ns, 5);
	assert_int_equal(old->exit_status, 7);
	/* Living, but of another agent. */
	assert_ptr_not_equal(ln_tree_exec(t, 2, 100, "/b", 2, NULL, 0, false, 9), young);
	assert_int_equal(young->exit_ns, 9);
	assert_int_equal(ln_tree_living(t, 1), 0);
	assert_int_equal(ln_tree_living(t, 2), 1);
	ln_tree_free(&t);
}

static void tree_forgets_oldest_exited_leaf(void **state)
{
	struct ln_tree *t = ln_tree_new(4);
	struct ln_proc *child;

	ln_tree_fork(t, 1, 0, 100, 1);
	ln_tree_fork(t, 1, 100, 101, 2);
	child = ln_tree_fork(t, 1, 101, 102, 3);
	ln_tree_fork(t, 1, 100, 103, 4);
	ln_tree_exit(t, 101, 0, 5); /* has a living child */
	ln_tree_exit(t, 103, 0, 6);
	assert_non_null(ln_tree_fork(t, 1, 100, 104, 7));
	assert_null(ln_tree_find(t, 103));
	assert_int_equal(child->parent->pid, 101);
	/* Now only 101 has exited: it goes although its child lives, and leaves no pointer. */
	assert_non_null(ln_tree_fork(t, 1, 100, 105, 8));
	assert_null(ln_tree_find(t, 101));
	assert_null(child->parent);
	/* All live. */
	assert_null(ln_tree_fork(t, 1, 100, 106, 9));
	assert_null(run(t, 107, "/x", "x", 2));
	assert_int_equal(ln_tree_refused(t), 2);
	assert_int_equal(ln_tree_size(t), 4);
	assert_int_equal(ln_tree_living(t, 1), 4);
	assert_int_equal(ln_tree_find(t, 100)->children, 2);
	ln_tree_free(&t);
}

static void tree_keeps_parent_until_its_child_ends(void **state)
{
	struct ln_tree *t = ln_tree_new(3);

	ln_tree_fork(t, 1, 0, 100, 1);
	ln_tree_fork(t, 1, 100, 101, 2);
	ln_tree_exit(t, 100, 0, 3);
	ln_tree_fork(t, 1, 0, 200, 4);
	ln_tree_exit(t, 200, 0, 5);
	ln_tree_fork(t, 1, 101, 102, 6);
	assert_null(ln_tree_find(t, 200)); /* exited after 100, but 100 has a child */
	assert_non_null(ln_tree_find(t, 100));
	ln_tree_exit(t, 101, 0, 7); /* frees 100; 101 has a living child itself */
	ln_tree_fork(t, 1, 102, 103, 8);
	assert_null(ln_tree_find(t, 100));
	assert_null(ln_tree_find(t, 101)->parent);
	assert_int_equal(ln_tree_find(t, 102)->parent->pid, 101);
	ln_tree_free(&t);
}

/* A chain of processes that fork and exit must not fill the tree with dead parents. */
static void tree_endless_double_fork(void **state)
{
	struct ln_tree *t = ln_tree_new(8);

	ln_tree_fork(t, 1, 0, 1, 1);
	run(t, 1, "/bin/comet", "comet", 6);
	for (uint32_t pid = 2; pid < 10000; pid++) {
		struct ln_proc *proc = ln_tree_fork(t, 1, pid - 1, pid, pid);

		assert_non_null(proc);
		assert_int_equal(proc->parent->pid, pid - 1);
		assert_string_equal(proc->exe, "/bin/comet");
		ln_tree_exit(t, pid - 1, 0, pid);
	}
	assert_int_equal(ln_tree_size(t), 8);
	assert_int_equal(ln_tree_living(t, 1), 1);
	assert_int_equal(ln_tree_refused(t), 0);
	ln_tree_free(&t);
}

static void tree_bounds_lengths(void **state)
{
	struct ln_tree *t = ln_tree_new(4);
	static char big[10000];
	struct ln_proc *proc;

	memset(big, 'b', sizeof(big));
	proc = ln_tree_exec(t, 1, 100, big, sizeof(big), big, sizeof(big), false, 1);
	assert_int_equal(strlen(proc->exe), 4096);
	assert_int_equal(proc->args_len, 4096);
	assert_true(proc->args_cut);
	ln_tree_exec(t, 1, 100, big, 4096, big, 4096, false, 2);
	assert_int_equal(strlen(proc->exe), 4096);
	assert_int_equal(proc->args_len, 4096);
	assert_false(proc->args_cut);
	ln_tree_free(&t);
}

/* 256 bytes a process and at least 1 MiB: the exited go first, then the arguments of newcomers. */
static void tree_bounds_memory(void **state)
{
	struct ln_tree *t = ln_tree_new(4096);
	struct ln_proc *proc = NULL;
	static char args[4096];
	uint32_t cut = 0;

	for (uint32_t pid = 1; pid <= 500; pid++) {
		proc = run(t, pid, "/bin/x", args, sizeof(args));
		assert_false(proc->args_cut);
		ln_tree_exit(t, pid, 0, pid);
	}
	assert_in_range(ln_tree_size(t), 200, 260);
	assert_null(ln_tree_find(t, 1));
	assert_non_null(ln_tree_find(t, 500));
	for (uint32_t pid = 1001; pid <= 1500; pid++) {
		proc = run(t, pid, "/bin/x", args, sizeof(args));
		assert_non_null(proc);
		assert_string_equal(proc->exe, "/bin/x");
		cut += proc->args_cut;
	}
	assert_in_range(cut, 200, 300);
	assert_int_equal(proc->args_len, 0);
	assert_int_equal(ln_tree_living(t, 1), 500);
	/* Children share, so they cost nothing. */
	proc = ln_tree_fork(t, 1, 1001, 2000, 1);
	assert_int_equal(proc->args_len, 4096);
	/* What an exec drops is free for others. */
	for (uint32_t pid = 1002; pid < 1020; pid++)
		run(t, pid, "/bin/y", "y", 2);
	proc = run(t, 1500, "/bin/x", args, 4000);
	assert_false(proc->args_cut);
	assert_int_equal(proc->args_len, 4000);
	ln_tree_free(&t);
}

static void tree_without_room(void **state)
{
	struct ln_tree *t = ln_tree_new(0);

	assert_null(ln_tree_fork(t, 1, 0, 100, 1));
	assert_null(run(t, 100, "/x", "x", 2));
	assert_int_equal(ln_tree_refused(t), 2);
	assert_int_equal(ln_tree_living(t, 1), 0);
	ln_tree_free(&t);
}

/* What must hold for each process that can be found; counts what lives. */
static void check_proc(struct ln_tree *t, uint32_t pid, size_t living[3])
{
	struct ln_proc *proc = ln_tree_find(t, pid), *up;
	int depth = 0;

	if (!proc)
		return;
	assert_int_equal(proc->pid, pid);
	if (proc->exit_ns == 0)
		living[proc->agent]++;
	if (proc->exe)
		assert_int_equal(proc->exe[0], '/');
	for (up = proc->parent; up; up = up->parent) {
		assert_in_range(up->pid, 1, 64);
		assert_true(++depth <= 32);
	}
}

/* Any order of events, 64 PIDs in a tree of 32: with a sanitizer, no dangling pointer. */
static void tree_any_order(void **state)
{
	struct ln_tree *t = ln_tree_new(32);
	uint64_t random = 88172645463325252ULL;

	for (uint64_t now = 1; now < 50000; now++) {
		size_t living[3] = {0};
		uint32_t pid, parent, agent;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		pid = 1 + (random >> 8) % 64;
		parent = (random >> 16) % 65;
		agent = 1 + (random >> 24) % 2;
		switch (random % 4) {
		case 0:
			ln_tree_fork(t, agent, parent, pid, now);
			break;
		case 1:
			ln_tree_exec(t, agent, pid, "/bin/x", 6, "x\0y", (random >> 32) % 5, false,
				     now);
			break;
		default:
			ln_tree_exit(t, pid, 0, now);
		}
		assert_true(ln_tree_size(t) <= 32);
		for (uint32_t i = 1; i <= 64; i++)
			check_proc(t, i, living);
		assert_int_equal(ln_tree_living(t, 1), living[1]);
		assert_int_equal(ln_tree_living(t, 2), living[2]);
	}
	ln_tree_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stat_hostile_names),
	    cmocka_unit_test(stat_refuses),
	    cmocka_unit_test(stat_cut_anywhere),
	    cmocka_unit_test(stat_of_ourselves),
	    cmocka_unit_test(cgroup2_mounts),
	    cmocka_unit_test(cgroup2_mount_sizes),
	    cmocka_unit_test(cgroup2_paths),
	    cmocka_unit_test(socket_links),
	    cmocka_unit_test(numbers_in_a_namespace),
	    cmocka_unit_test(tree_life_of_a_process),
	    cmocka_unit_test(tree_child_keeps_image_of_its_fork),
	    cmocka_unit_test(tree_exec_before_fork_and_unknown),
	    cmocka_unit_test(tree_time_zero_is_a_time),
	    cmocka_unit_test(tree_pid_reuse),
	    cmocka_unit_test(tree_exec_of_another_process),
	    cmocka_unit_test(tree_forgets_oldest_exited_leaf),
	    cmocka_unit_test(tree_keeps_parent_until_its_child_ends),
	    cmocka_unit_test(tree_endless_double_fork),
	    cmocka_unit_test(tree_bounds_lengths),
	    cmocka_unit_test(tree_bounds_memory),
	    cmocka_unit_test(tree_without_room),
	    cmocka_unit_test(tree_any_order),
	};

	return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
