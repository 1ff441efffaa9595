/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include "base/clock.h"
#include "cgroup.h"
#include "files.h"
#include "proc/parse.h"

#define PREFIX         "linnet-"
#define DEPTH_MAX      32
#define SWEEP_DIRS_MAX 20000
#define DIR_FLAGS      (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Where /sys is hidden (`ip netns exec` mounts a fresh one over it) the tree can still be had
 * without touching the mount table. Raw calls: glibc 2.36 was the first with wrappers. */
static int root_unmounted(void)
{
	LN_AUTO_CLOSE int fs = (int)syscall(SYS_fsopen, "cgroup2", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	int fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
			      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return fd < 0 ? -errno : fd;
}

static int root_mounted(void)
{
	LN_AUTO_FREE char *text = NULL;
	char path[PATH_MAX];
	size_t len;
	struct statfs sfs;

	int r = ln_file_read("/proc/self/mountinfo", 4u << 20, &text, &len);
	if (r < 0)
		return r;
	if (!ln_proc_parse_cgroup2_mount(text, len, path, sizeof(path)))
		return -ENOENT;
	LN_AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Something else may be mounted over it. */
	if (fstatfs(fd, &sfs) < 0 || sfs.f_type != CGROUP2_SUPER_MAGIC)
		return -ENOENT;
	return LN_TAKE_FD(fd);
}

int ln_cgroup_root(struct ln_error *err, int *ret_fd)
{
	int fd = root_mounted();

	if (fd < 0)
		fd = root_unmounted();
	if (fd < 0)
		return ln_error_set(err, -fd, "no cgroup v2 tree can be reached here: %s",
				    strerror(-fd));
	*ret_fd = fd;
	return 0;
}

static int open_own(int root_fd, struct ln_error *err)
{
	LN_AUTO_FREE char *text = NULL;
	char path[PATH_MAX];
	size_t len;

	int r = ln_file_read("/proc/self/cgroup", 1u << 20, &text, &len);
	if (r < 0)
		return ln_error_set(err, -r, "cannot read /proc/self/cgroup: %s", strerror(-r));
	if (!ln_proc_parse_cgroup2_path(text, len, path, sizeof(path)))
		return ln_error_set(err, ENOENT, "linnet's own cgroup v2 path is not known");
	const char *below = path + strspn(path, "/");
	int fd = openat(root_fd, below[0] ? below : ".", DIR_FLAGS);
	if (fd < 0)
		return ln_error_set(err, errno, "cannot open linnet's own cgroup %s: %s", path,
				    strerror(errno));
	return fd;
}

int ln_cgroup_make(pid_t owner, struct ln_error *err, struct ln_cgroup *ret)
{
	struct ln_cgroup c = LN_CGROUP_NONE;
	LN_AUTO_CLOSE int root = -1;

	int r = ln_cgroup_root(err, &root);
	if (r < 0)
		return r;
	LN_AUTO_CLOSE int parent = open_own(root, err);
	if (parent < 0)
		return parent;
	snprintf(c.name, sizeof(c.name), PREFIX "%d", (int)owner);
	/* One that is there already was left by a dead namesake: taken over. */
	if (mkdirat(parent, c.name, 0755) < 0 && errno != EEXIST)
		return ln_error_set(err, errno, "cannot make the cgroup %s: %s", c.name,
				    strerror(errno));
	c.fd = openat(parent, c.name, DIR_FLAGS);
	if (c.fd < 0) {
		r = ln_error_set(err, errno, "cannot open the cgroup %s: %s", c.name,
				 strerror(errno));
		unlinkat(parent, c.name, AT_REMOVEDIR);
		return r;
	}
	/* Says to others that it is in use, for as long as this is open. */
	flock(c.fd, LOCK_SH | LOCK_NB);
	c.parent_fd = LN_TAKE_FD(parent);
	*ret = c;
	return 0;
}

pid_t ln_cgroup_fork(const struct ln_cgroup *c)
{
	struct clone_args args = {
	    .flags = CLONE_INTO_CGROUP,
	    .exit_signal = SIGCHLD,
	    .cgroup = (uint64_t)c->fd,
	};

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

int ln_cgroup_enter(const struct ln_cgroup *c, pid_t pid, struct ln_error *err)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", (int)pid);

	LN_AUTO_CLOSE int fd = openat(c->fd, "cgroup.procs", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		return ln_error_set(err, errno, "cannot put the agent into its cgroup: %s",
				    strerror(errno));
	return 0;
}

int ln_cgroup_open_events(const struct ln_cgroup *c)
{
	int fd = openat(c->fd, "cgroup.events", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

int ln_cgroup_populated(int events_fd)
{
	char text[256];
	ssize_t n = pread(events_fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	const char *at = strstr(text, "populated ");
	return at ? at[strlen("populated ")] == '1' : -EBADMSG;
}

void ln_cgroup_close(struct ln_cgroup *c)
{
	ln_closep(&c->fd);
	ln_closep(&c->parent_fd);
}

/* Leaves first; a cgroup that has a process refuses, and so do those above it. */
static bool remove_tree(int parent_fd, const char *name, unsigned depth, unsigned *budget)
{
	if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return true;
	if (errno != EBUSY || depth >= DEPTH_MAX)
		return false;
	int fd = openat(parent_fd, name, DIR_FLAGS);
	LN_CLEANUP(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		ln_closep(&fd);
		return false;
	}
	const struct dirent *e;
	while ((e = readdir(dir)) && *budget > 0) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		(*budget)--;
		if (!remove_tree(dirfd(dir), e->d_name, depth + 1, budget))
			return false;
	}
	return unlinkat(parent_fd, name, AT_REMOVEDIR) == 0;
}

bool ln_cgroup_remove(struct ln_cgroup *c, int wait_ms)
{
	unsigned budget = SWEEP_DIRS_MAX;

	if (c->fd < 0)
		return true;
	LN_AUTO_CLOSE int events = ln_cgroup_open_events(c);
	uint64_t deadline = ln_clock_mono_ns() + (uint64_t)wait_ms * LN_NS_PER_MS;
	bool gone = false;
	for (;;) {
		/* Read before removing: a change after the read wakes the poll. */
		int populated = events < 0 ? events : ln_cgroup_populated(events);
		uint64_t now = ln_clock_mono_ns();
		if (populated <= 0)
			gone = remove_tree(c->parent_fd, c->name, 0, &budget);
		if (gone || populated < 0 || now >= deadline)
			break;
		struct pollfd p = {.fd = events, .events = POLLPRI};
		if (poll(&p, 1, (int)((deadline - now) / LN_NS_PER_MS) + 1) < 0 && errno != EINTR)
			break;
	}
	ln_cgroup_close(c);
	return gone;
}

/* Whether "linnet-<pid>" has lost its linnet. A PID that cannot be looked at counts as alive. */
static bool is_orphan(const char *name)
{
	char path[64], *end;
	LN_AUTO_FREE char *comm = NULL;
	size_t len;

	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
		return false;
	const char *digits = name + strlen(PREFIX);
	long pid = strtol(digits, &end, 10);
	if (digits[0] < '1' || digits[0] > '9' || *end || pid <= 0 || pid > INT_MAX)
		return false;
	if (kill((pid_t)pid, 0) < 0)
		return errno == ESRCH;
	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	if (ln_file_read(path, 64, &comm, &len) < 0)
		return false;
	return strncmp(comm, "linnet", strlen("linnet")) != 0;
}

/* The agent may have outlived its linnet: then nothing in its cgroup is touched. And its linnet may
 * have another name than ours, or live in another PID namespace: then it holds a lock. */
static bool is_left_behind(int parent_fd, const char *name)
{
	LN_AUTO_CLOSE int dir = openat(parent_fd, name, DIR_FLAGS);
	const struct ln_cgroup c = {.parent_fd = -1, .fd = dir};
	LN_AUTO_CLOSE int events = dir < 0 ? -1 : ln_cgroup_open_events(&c);

	return events >= 0 && flock(dir, LOCK_EX | LOCK_NB) == 0 &&
	       ln_cgroup_populated(events) == 0;
}

static unsigned sweep(int dir_fd, unsigned depth, unsigned *budget)
{
	int fd = openat(dir_fd, ".", DIR_FLAGS);
	LN_CLEANUP(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	unsigned removed = 0;

	if (!dir) {
		ln_closep(&fd);
		return 0;
	}
	const struct dirent *e;
	while ((e = readdir(dir)) && *budget > 0) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		(*budget)--;
		if (is_orphan(e->d_name)) {
			removed += is_left_behind(dirfd(dir), e->d_name) &&
				   remove_tree(dirfd(dir), e->d_name, depth, budget);
		} else if (depth < DEPTH_MAX) {
			LN_AUTO_CLOSE int child = openat(dirfd(dir), e->d_name, DIR_FLAGS);
			if (child >= 0)
				removed += sweep(child, depth + 1, budget);
		}
	}
	return removed;
}

unsigned ln_cgroup_sweep(int root_fd)
{
	unsigned budget = SWEEP_DIRS_MAX;

	return sweep(root_fd, 0, &budget);
}
