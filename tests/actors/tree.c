/* SPDX-License-Identifier: Apache-2.0 */
/* A command as the last process of a certain family: `tree SHAPE COMMAND…`. Ends when every process
 * below it has ended, orphans too: each holds the writing end of one pipe. */
#include <err.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char **command;
static int alive[2];
static int quiet[2]; /* written to by one who waits for another's death */

static void run_command(void)
{
	execvp(command[0], command);
	err(127, "%s", command[0]);
}

static pid_t must_fork(void)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	return pid;
}

static void fork_once(void)
{
	if (must_fork() == 0)
		run_command();
}

/* The last process has lost its parent before it runs the command. */
static void double_fork(void)
{
	char byte;

	if (pipe(quiet) < 0)
		err(1, "pipe");
	pid_t middle = must_fork();
	if (middle == 0) {
		if (must_fork() > 0)
			_exit(0);
		close(quiet[1]);
		if (read(quiet[0], &byte, 1) != 0)
			err(1, "read");
		run_command();
	}
	close(quiet[0]);
	waitpid(middle, NULL, 0);
	close(quiet[1]);
}

static void new_session(void)
{
	if (must_fork() > 0)
		return;
	if (setsid() < 0)
		err(1, "setsid");
	if (must_fork() > 0)
		_exit(0);
	run_command();
}

/* The new process is a sibling, not a child. */
static void clone_parent(void)
{
	long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);

	if (pid < 0)
		err(1, "clone");
	if (pid == 0)
		run_command();
}

static void by_vfork(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	if (pid < 0)
		err(1, "vfork");
}

static void *thread_forks(void *unused)
{
	fork_once();
	return NULL;
}

static void by_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_forks, NULL) != 0)
		errx(1, "pthread_create");
	pthread_join(thread, NULL);
}

/* The thread-group leader has exited; another thread lives on and forks. */
static void *leader_is_dead(void *leader)
{
	pthread_join(*(pthread_t *)leader, NULL);
	fork_once();
	close(alive[1]);
	char byte;
	if (read(alive[0], &byte, 1) != 0)
		_exit(1);
	_exit(0);
}

static void dead_leader(void)
{
	static pthread_t leader, thread;

	leader = pthread_self();
	if (pthread_create(&thread, NULL, leader_is_dead, &leader) != 0)
		errx(1, "pthread_create");
	pthread_exit(NULL);
}

/* The same, but it is the other thread that becomes the command. */
static void *thread_execs(void *leader)
{
	pthread_join(*(pthread_t *)leader, NULL);
	run_command();
	return NULL;
}

static void dead_leader_exec(void)
{
	static pthread_t leader, thread;

	leader = pthread_self();
	if (pthread_create(&thread, NULL, thread_execs, &leader) != 0)
		errx(1, "pthread_create");
	pthread_exit(NULL);
}

static void by_spawn(void)
{
	extern char **environ;
	pid_t pid;
	int r = posix_spawnp(&pid, command[0], NULL, NULL, command, environ);

	if (r != 0)
		errx(1, "posix_spawn: %s", strerror(r));
}

/* All that a daemon does to be nobody's child. */
static void as_daemon(void)
{
	if (must_fork() > 0)
		return;
	if (setsid() < 0 || chdir("/") < 0)
		err(1, "setsid");
	if (must_fork() > 0)
		_exit(0);
	setpgid(0, 0);
	run_command();
}

/* The first process of a new PID namespace. */
static void namespace_init(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);

	if (pid < 0)
		err(1, "clone");
	if (pid == 0)
		run_command();
}

/* Goes to the PID namespace of another process, and forks into it. */
static void enter_namespace(void)
{
	pid_t init = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	char path[64], byte;
	int fd;

	if (init < 0)
		err(1, "clone");
	if (init == 0) {
		close(alive[1]);
		if (read(alive[0], &byte, 1) != 0)
			_exit(1);
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)init);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWPID) < 0)
		err(1, "setns");
	fork_once();
}

/* clone3(2), CLONE_INTO_CGROUP, and the folder of the cgroup. */
static const char *cgroup;

static void into_cgroup(void)
{
	struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD};
	int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long pid;

	if (fd < 0)
		err(1, "%s", cgroup);
	args.cgroup = (uint64_t)fd;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		err(1, "clone3");
	if (pid == 0)
		run_command();
	close(fd);
}

/* The process that execs is a thread other than the leader, which lives. */
static void *exec_now(void *unused)
{
	run_command();
	return NULL;
}

static void thread_exec(void)
{
	pthread_t thread;

	if (must_fork() > 0)
		return;
	if (pthread_create(&thread, NULL, exec_now, NULL) != 0)
		errx(1, "pthread_create");
	pthread_join(thread, NULL);
}

static const struct {
	const char *name;
	void (*run)(void);
} SHAPES[] = {
    {"fork", fork_once},
    {"double-fork", double_fork},
    {"setsid", new_session},
    {"clone-parent", clone_parent},
    {"vfork", by_vfork},
    {"thread-fork", by_thread},
    {"thread-exec", thread_exec},
    {"dead-leader", dead_leader},
    {"dead-leader-exec", dead_leader_exec},
    {"posix-spawn", by_spawn},
    {"daemon", as_daemon},
    {"pid-namespace-init", namespace_init},
    {"setns-pid", enter_namespace},
    {"into-cgroup", into_cgroup},
};

int main(int argc, char **argv)
{
	char byte;

	if (argc < 3)
		errx(2, "usage: tree SHAPE COMMAND…");
	command = argv + 2;
	/* `into-cgroup=FOLDER` */
	cgroup = strchr(argv[1], '=');
	if (cgroup)
		argv[1][cgroup++ - argv[1]] = '\0';
	if (pipe(alive) < 0)
		err(1, "pipe");
	for (size_t i = 0; i < sizeof(SHAPES) / sizeof(SHAPES[0]); i++) {
		if (strcmp(SHAPES[i].name, argv[1]) != 0)
			continue;
		SHAPES[i].run();
		close(alive[1]);
		if (read(alive[0], &byte, 1) != 0)
			err(1, "read");
		return 0;
	}
	errx(2, "there is no shape %s", argv[1]);
}
