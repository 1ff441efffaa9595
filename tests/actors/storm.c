/* SPDX-License-Identifier: Apache-2.0 */
/* A tree that forks while somebody attaches to its root:
 * `storm N PAUSE_US CGROUP IP PORT`. N lines of descent go on at once, each by forks that exit,
 * that hand on and exit, that fork twice, and that make a session of their own. CGROUP is a folder
 * that the root goes to, or `-`. Without it nobody could tell whose an orphan in a session of its
 * own is; so then they only come about once the root stands in a BPF map named `tasks`, which is
 * how linnet registers it. Says the root's PID; after a line of input all lines of descent pause,
 * and the N PIDs are told; after the next each of these connects to IP:PORT and ends. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "net.h"

enum phase { FORKS, LEAVES, PAUSES, CONNECTS };

struct shared {
	atomic_int phase;
	atomic_int ready, paused, connected;
	pid_t keeper; /* when it has ended, so does everybody */
	pid_t pids[];
};

static struct shared *shared;
static int n_lines;
static unsigned pause_us;
static bool own_cgroup;
static const char *ip;
static const char *port;

/* Nobody else could end a thousand lines of descent: each is another process by then. */
static void end_with_keeper(void)
{
	if (kill(shared->keeper, 0) < 0)
		_exit(1);
}

static void wait_while(atomic_int *word, int value)
{
	const struct timespec look = {.tv_sec = 1};

	while (atomic_load(word) == value) {
		syscall(SYS_futex, word, FUTEX_WAIT, value, &look, NULL, 0);
		end_with_keeper();
	}
}

static void wake(atomic_int *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void set_phase(enum phase phase)
{
	atomic_store(&shared->phase, (int)phase);
	wake(&shared->phase);
}

static void count(atomic_int *counter)
{
	atomic_fetch_add(counter, 1);
	wake(counter);
}

static void wait_count(atomic_int *counter, int n)
{
	for (int now; (now = atomic_load(counter)) < n;)
		wait_while(counter, now);
}

static pid_t must_fork(void)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	return pid;
}

static _Noreturn void end_line(int i)
{
	shared->pids[i] = getpid();
	count(&shared->paused);
	wait_while(&shared->phase, PAUSES);
	union endpoint to;
	socklen_t len = endpoint_parse(ip, port, 0, &to);
	int fd = socket(to.any.sa_family, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, &to.any, len) < 0)
		err(1, "connect");
	count(&shared->connected);
	_exit(0);
}

/* The line goes on in another process; who called this has ended. */
static void hand_on(int times, bool session)
{
	for (int k = 0; k < times; k++)
		if (must_fork() > 0)
			_exit(0);
	if (session && setsid() < 0)
		err(1, "setsid");
}

static _Noreturn void go_on(int i)
{
	for (unsigned hop = (unsigned)i; atomic_load(&shared->phase) < PAUSES; hop++) {
		bool leave = own_cgroup || atomic_load(&shared->phase) == LEAVES;
		usleep(pause_us / 2 + (hop * 7919U) % (pause_us + 1));
		end_with_keeper();
		switch (hop % 4) {
		case 0: {
			pid_t pid = must_fork();
			if (pid == 0)
				_exit(0);
			waitpid(pid, NULL, 0);
			break;
		}
		case 1:
			hand_on(1, false);
			break;
		case 2:
			hand_on(2, false);
			/* Fails for the leader of a session: that has a group of its own. */
			(void)setpgid(0, 0);
			break;
		default:
			hand_on(1, leave);
		}
	}
	end_line(i);
}

/* Two in sessions of their own, of whom the elder goes as soon as it may: only its death tells
 * whose the younger is. */
static _Noreturn void begin_pair(int i)
{
	if (setsid() < 0)
		err(1, "setsid");
	pid_t younger = must_fork();
	if (younger > 0) {
		wait_while(&shared->phase, FORKS);
		_exit(0);
	}
	if (setsid() < 0)
		err(1, "setsid");
	count(&shared->ready);
	wait_while(&shared->phase, FORKS);
	go_on(i);
}

static bool is_registered(int fd, pid_t pid)
{
	uint8_t value[64];
	union bpf_attr attr = {
	    .map_fd = (uint32_t)fd,
	    .key = (uint64_t)(uintptr_t)&pid,
	    .value = (uint64_t)(uintptr_t)value,
	};

	return syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)) == 0;
}

/* The descriptor of the map, or -1. */
static int open_tasks(uint32_t id)
{
	struct bpf_map_info info = {0};
	union bpf_attr by_id = {.map_id = id};
	int fd = (int)syscall(SYS_bpf, BPF_MAP_GET_FD_BY_ID, &by_id, sizeof(by_id));
	union bpf_attr attr = {
	    .info = {.bpf_fd = (uint32_t)fd,
		     .info_len = sizeof(info),
		     .info = (uint64_t)(uintptr_t)&info},
	};

	if (fd < 0)
		return -1;
	if (syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) < 0 ||
	    strcmp(info.name, "tasks") != 0 || info.key_size != sizeof(pid_t)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Looks until the root is in such a map: nobody tells when. */
static void await_registration(pid_t root)
{
	uint32_t seen = 0;
	int fds[16], n = 0;

	while (atomic_load(&shared->phase) == FORKS) {
		union bpf_attr attr = {.start_id = seen};
		if (syscall(SYS_bpf, BPF_MAP_GET_NEXT_ID, &attr, sizeof(attr)) == 0) {
			seen = attr.next_id;
			int fd = n < 16 ? open_tasks(seen) : -1;
			if (fd >= 0)
				fds[n++] = fd;
			continue;
		}
		for (int i = 0; i < n; i++) {
			int expected = FORKS;
			if (is_registered(fds[i], root) &&
			    atomic_compare_exchange_strong(&shared->phase, &expected, LEAVES))
				wake(&shared->phase);
		}
		usleep(100);
		end_with_keeper();
	}
	_exit(0);
}

static _Noreturn void be_root(const char *cgroup)
{
	if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		err(1, "setsid");
	if (own_cgroup) {
		char path[PATH_MAX];
		snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
		int fd = open(path, O_WRONLY);
		if (fd < 0 || write(fd, "0", 1) != 1)
			err(1, "%s", path);
		close(fd);
	}
	for (int i = 0; i < n_lines; i++) {
		if (must_fork() > 0)
			continue;
		if (!own_cgroup && i % 2)
			begin_pair(i);
		count(&shared->ready);
		go_on(i);
	}
	wait_count(&shared->ready, n_lines);
	printf("%d\n", (int)getpid());
	fflush(stdout);
	getchar();
	set_phase(PAUSES);
	wait_count(&shared->paused, n_lines);
	for (int i = 0; i < n_lines; i++)
		printf("%d ", (int)shared->pids[i]);
	printf("\n");
	fflush(stdout);
	getchar();
	set_phase(CONNECTS);
	wait_count(&shared->connected, n_lines);
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc != 6)
		errx(2, "usage: storm N PAUSE_US CGROUP IP PORT");
	n_lines = atoi(argv[1]);
	pause_us = (unsigned)atoi(argv[2]);
	own_cgroup = strcmp(argv[3], "-") != 0;
	ip = argv[4];
	port = argv[5];
	shared = mmap(NULL, sizeof(*shared) + (size_t)n_lines * sizeof(pid_t),
		      PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(1, "mmap");
	/* Orphans come here; whoever is init need not be quick. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		err(1, "prctl");
	shared->keeper = getpid();
	pid_t root = must_fork();
	if (root == 0)
		be_root(argv[3]);
	if (!own_cgroup && must_fork() == 0)
		await_registration(root);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	return 0;
}
