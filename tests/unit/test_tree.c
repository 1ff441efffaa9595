/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/macros.h"
#include "proc/tree.h"

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

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
