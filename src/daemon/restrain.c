/* SPDX-License-Identifier: Apache-2.0 */
#include "restrain.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/macros.h"

#define DEPTH_MAX   32
#define PASSES_MAX  100 /* over cgroup.procs, each after all that it listed was killed */
#define PROCS_BYTES 65536

static int write_file(int dir_fd, const char *name, const char *text)
{
	LN_AUTO_CLOSE int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static ssize_t read_file(int dir_fd, const char *name, char *ret, size_t size)
{
	LN_AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (len < size - 1 && (n = read(fd, ret + len, size - 1 - len)) > 0)
		len += (size_t)n;
	ret[len] = '\0';
	return (ssize_t)len;
}

/* Kills what cgroup.procs lists; returns how many. What is cut off comes in the next pass. */
static unsigned kill_listed(int dir_fd)
{
	LN_AUTO_FREE char *text = malloc(PROCS_BYTES);
	unsigned n = 0;
	char *end;

	if (!text || read_file(dir_fd, "cgroup.procs", text, PROCS_BYTES) <= 0)
		return 0;
	for (const char *at = text; *at; at = *end ? end + 1 : end) {
		long pid = strtol(at, &end, 10);
		if (*end != '\n')
			break;
		/* 0: one of another PID namespace. */
		n += pid > 0 && kill((pid_t)pid, SIGKILL) == 0;
	}
	return n;
}

static unsigned kill_below(int dir_fd, unsigned depth)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	unsigned n = kill_listed(dir_fd);
	const struct dirent *e;

	if (!dir) {
		ln_closep(&fd);
		return n;
	}
	while (depth < DEPTH_MAX && (e = readdir(dir))) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		LN_AUTO_CLOSE int child =
		    openat(dir_fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child >= 0)
			n += kill_below(child, depth + 1);
	}
	closedir(dir);
	return n;
}

int ln_restrain_kill(int cgroup_fd)
{
	int r = write_file(cgroup_fd, "cgroup.kill", "1");

	if (r != -ENOENT)
		return r;
	/* What is frozen forks no more, and SIGKILL reaches it all the same. */
	r = ln_restrain_freeze(cgroup_fd, 100);
	for (int i = 0; i < PASSES_MAX && kill_below(cgroup_fd, 0) > 0; i++)
		;
	return r == -ETIMEDOUT ? 0 : r;
}

static bool says(int dir_fd, const char *name, const char *words)
{
	char text[256];

	return read_file(dir_fd, name, text, sizeof(text)) > 0 && strstr(text, words) != NULL;
}

int ln_restrain_freeze(int cgroup_fd, int wait_ms)
{
	LN_AUTO_CLOSE int events =
	    openat(cgroup_fd, "cgroup.events", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint64_t deadline = ln_clock_mono_ns() + (uint64_t)wait_ms * LN_NS_PER_MS;
	struct pollfd p = {.fd = events, .events = POLLPRI};
	int r = write_file(cgroup_fd, "cgroup.freeze", "1");

	if (r < 0 || events < 0)
		return r < 0 ? r : -EIO;
	for (;;) {
		char text[256];
		/* By this descriptor: reading it is what arms the poll. */
		ssize_t n = pread(events, text, sizeof(text) - 1, 0);
		uint64_t now = ln_clock_mono_ns();

		if (n <= 0)
			return -EIO;
		text[n] = '\0';
		if (strstr(text, "frozen 1") || strstr(text, "populated 0"))
			return 0;
		if (now >= deadline)
			return -ETIMEDOUT;
		poll(&p, 1, (int)((deadline - now) / LN_NS_PER_MS) + 1);
	}
}

int ln_restrain_thaw(int cgroup_fd)
{
	return write_file(cgroup_fd, "cgroup.freeze", "0");
}

bool ln_restrain_is_frozen(int cgroup_fd)
{
	return says(cgroup_fd, "cgroup.freeze", "1");
}

int ln_restrain_signal(int pidfd, int signo)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}
