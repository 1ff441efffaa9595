/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cgroup.h"
#include "family.h"
#include "files.h"
#include "proc/parse.h"
#include "restrain.h"

#define PREFIX    "linnet-"
#define HELD_MAX  1024
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static int read_of(pid_t pid, const char *name, char **ret, size_t *ret_len)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return ln_file_read(path, 1u << 16, ret, ret_len);
}

static int cgroup_path(pid_t pid, char *ret, size_t size)
{
	LN_AUTO_FREE char *text = NULL;
	size_t len;
	int r = read_of(pid, "cgroup", &text, &len);

	if (r < 0)
		return r;
	return ln_proc_parse_cgroup2_path(text, len, ret, size) ? 0 : -ENOENT;
}

/* Length of the path up to and with the innermost "linnet-<number>"; 0: there is none. */
static size_t own_part(const char *path)
{
	size_t found = 0;

	for (const char *at = strstr(path, "/" PREFIX); at; at = strstr(at + 1, "/" PREFIX)) {
		const char *digits = at + 1 + strlen(PREFIX);
		size_t n = strspn(digits, "0123456789");
		if (n > 0 && (digits[n] == '/' || digits[n] == '\0'))
			found = (size_t)(digits + n - path);
	}
	return found;
}

/* The cgroup of the agent that `pid` belongs to or, as a launcher, has started. */
static int open_cgroup(pid_t pid)
{
	char path[PATH_MAX], below[PATH_MAX + 64];
	LN_AUTO_CLOSE int root = -1;

	if (cgroup_path(pid, path, sizeof(path)) < 0 || ln_cgroup_root(NULL, &root) < 0)
		return -ENOENT;
	/* First as a launcher: it may run inside of another agent's. */
	snprintf(below, sizeof(below), "%s/" PREFIX "%d", path, (int)pid);
	int fd = openat(root, below + strspn(below, "/"), DIR_FLAGS);
	size_t len = own_part(path);
	if (fd < 0 && len > 0) {
		path[len] = '\0';
		fd = openat(root, path + strspn(path, "/"), DIR_FLAGS);
	}
	return fd < 0 ? -ENOENT : fd;
}

/* A process cannot change what it executes, nor become our user: so this is a linnet of ours. */
static bool is_our_launcher(pid_t pid)
{
	LN_AUTO_FREE char *text = NULL;
	struct stat ours, its;
	char path[64];
	unsigned int uid;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	if (stat(path, &its) < 0 || stat("/proc/self/exe", &ours) < 0 ||
	    its.st_ino != ours.st_ino || its.st_dev != ours.st_dev ||
	    read_of(pid, "status", &text, &len) < 0)
		return false;
	const char *at = strstr(text, "\nUid:");
	return at && sscanf(at, "\nUid: %u", &uid) == 1 && uid == geteuid();
}

/* Processes of which this launcher has descriptors. */
static size_t held_by(pid_t pid, pid_t *ret, size_t max)
{
	char path[64];
	const struct dirent *e;
	size_t n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", (int)pid);
	DIR *dir = opendir(path);
	while (dir && n < max && (e = readdir(dir))) {
		LN_AUTO_FREE char *text = NULL;
		char file[384];
		size_t len;
		int held;

		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		if (e->d_name[0] == '.' || ln_file_read(file, 4096, &text, &len) < 0)
			continue;
		const char *at = strstr(text, "\nPid:");
		if (at && sscanf(at, "\nPid: %d", &held) == 1 && held > 0)
			ret[n++] = (pid_t)held;
	}
	if (dir)
		closedir(dir);
	return n;
}

static int do_cgroup(int fd, enum ln_target_deed deed, struct ln_error *err, char *ret_what,
		     size_t size)
{
	int r;

	if (deed == LN_TARGET_RESUME && !ln_restrain_is_frozen(fd))
		return ln_error_set(err, EINVAL, "this agent is not frozen");
	r = deed == LN_TARGET_KILL ? ln_restrain_kill(fd) : ln_restrain_thaw(fd);
	if (r < 0)
		return ln_error_set(err, -r, "the agent's cgroup cannot be changed: %s%s",
				    strerror(-r), r == -EACCES || r == -EPERM ? "; use sudo" : "");
	snprintf(ret_what, size, "the agent %s", deed == LN_TARGET_KILL ? "was killed" : "goes on");
	return 0;
}

static int do_processes(pid_t pid, enum ln_target_deed deed, struct ln_error *err, char *ret_what,
			size_t size)
{
	pid_t held[HELD_MAX];
	bool launcher = is_our_launcher(pid);
	size_t n = launcher ? held_by(pid, held, HELD_MAX) : 1;
	int r;

	if (!launcher)
		held[0] = pid;
	if (n == 0)
		return ln_error_set(err, ESRCH, "linnet (process %d) holds no process", (int)pid);
	r = ln_family_signal(held, n, deed == LN_TARGET_KILL ? SIGKILL : SIGCONT);
	if (r < 0)
		return ln_error_set(err, -r, "process %d cannot be signalled: %s%s", (int)pid,
				    r == -ESRCH ? "there is none" : strerror(-r),
				    r == -EPERM ? "; use sudo" : "");
	snprintf(ret_what, size, "%d process%s %s", r, r == 1 ? "" : "es",
		 deed == LN_TARGET_KILL ? (r == 1 ? "was killed" : "were killed")
		 : r == 1               ? "goes on"
					: "go on");
	return 0;
}

static bool is_stopped(pid_t pid)
{
	LN_AUTO_FREE char *text = NULL;
	struct ln_proc_stat st;
	size_t len;

	return read_of(pid, "stat", &text, &len) == 0 && ln_proc_parse_stat(text, len, &st) &&
	       st.state == 'T';
}

int ln_target_do(pid_t pid, enum ln_target_deed deed, struct ln_error *err, char *ret_what,
		 size_t size)
{
	if (kill(pid, 0) < 0 && errno == ESRCH)
		return ln_error_set(err, ESRCH, "there is no process %d", (int)pid);
	LN_AUTO_CLOSE int fd = open_cgroup(pid);
	if (fd >= 0)
		return do_cgroup(fd, deed, err, ret_what, size);
	/* Anything else that a wrong number names must not be ended. */
	if (!is_our_launcher(pid) && !is_stopped(pid))
		return ln_error_set(err, EINVAL,
				    "process %d is neither linnet, nor of an agent that linnet "
				    "started, nor stopped; take the number from the alert",
				    (int)pid);
	return do_processes(pid, deed, err, ret_what, size);
}
