/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include "base/clock.h"
#include "files.h"

/* Probes and maps take some 120, and whom to stop is named by up to 512. */
#define FILES_WANTED 1024

unsigned long long ln_files_allow(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return FILES_WANTED;
	if (limit.rlim_cur < FILES_WANTED) {
		struct rlimit more = limit;
		more.rlim_cur = LN_MIN(limit.rlim_max, (rlim_t)FILES_WANTED);
		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			limit = more;
	}
	return limit.rlim_cur;
}

/* Up to `max` bytes; *ret_more says that there were others. */
static int read_fd(int fd, size_t max, char **ret_text, size_t *ret_len, bool *ret_more)
{
	size_t cap = LN_MIN(max, 4096), len = 0;
	LN_AUTO_FREE char *text = malloc(cap + 1);

	for (;;) {
		if (!text)
			return -ENOMEM;
		ssize_t n = read(fd, text + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += (size_t)n;
		if (n == 0 || len == max)
			break;
		if (len == cap) {
			cap = LN_MIN(cap * 2, max);
			char *more = realloc(text, cap + 1);
			if (!more)
				return -ENOMEM;
			text = more;
		}
	}
	char one;
	*ret_more = len == max && read(fd, &one, 1) > 0;
	text[len] = '\0';
	*ret_text = LN_TAKE_PTR(text);
	*ret_len = len;
	return 0;
}

int ln_file_read(const char *path, size_t max, char **ret_text, size_t *ret_len)
{
	LN_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : ln_file_read_fd(fd, max, ret_text, ret_len);
}

int ln_file_read_fd(int fd, size_t max, char **ret_text, size_t *ret_len)
{
	LN_AUTO_FREE char *text = NULL;
	size_t len;
	bool more;

	int r = read_fd(fd, max, &text, &len, &more);
	if (r < 0)
		return r;
	if (more)
		return -EFBIG;
	*ret_text = LN_TAKE_PTR(text);
	*ret_len = len;
	return 0;
}

static int open_as_agent(pid_t pid, const char *path)
{
	const struct open_how how = {
	    .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
	    .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	char root[32];
	int fd;

	if (pid == 0) {
		fd = open(path, (int)how.flags);
		return fd < 0 ? -errno : fd;
	}
	snprintf(root, sizeof(root), "/proc/%d/root", (int)pid);
	LN_AUTO_CLOSE int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

/* Whether the process is in another namespace of this kind; yes when that cannot be seen. */
static bool is_elsewhere(pid_t pid, const char *kind)
{
	char ours[32], path[32];
	struct stat own, its;

	if (pid == 0)
		return false;
	snprintf(ours, sizeof(ours), "/proc/self/ns/%s", kind);
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, kind);
	return stat(ours, &own) < 0 || stat(path, &its) < 0 || own.st_ino != its.st_ino;
}

int ln_agent_file_read(pid_t pid, const char *path, size_t max, struct ln_agent_file *ret)
{
	struct ln_agent_file f = {0};
	struct stat st;

	LN_AUTO_CLOSE int fd = open_as_agent(pid, path);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	int r = read_fd(fd, max, &f.text, &f.len, &f.cut);
	if (r < 0)
		return r;
	/* Half a line could read as another name. */
	while (f.cut && f.len > 0 && f.text[f.len - 1] != '\n')
		f.len--;
	f.text[f.len] = '\0';
	f.owner = st.st_uid;
	f.mode = st.st_mode;
	f.foreign = is_elsewhere(pid, "user");
	f.own_mounts = is_elsewhere(pid, "mnt");
	*ret = f;
	return 0;
}

void ln_agent_file_done(struct ln_agent_file *f)
{
	free(f->text);
	*f = (struct ln_agent_file){0};
}

bool ln_agent_file_trusted(const struct ln_agent_file *f, uid_t agent_uid)
{
	return f->owner == 0 && agent_uid != 0 && !f->foreign && !(f->mode & (S_IWGRP | S_IWOTH));
}

bool ln_agent_file_forgeable(const struct ln_agent_file *f, uid_t agent_uid)
{
	if (agent_uid == 0)
		return f->own_mounts;
	return f->owner == agent_uid || f->foreign || (f->mode & S_IWOTH);
}

static int make_dir(const char *path, struct ln_error *err)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return ln_error_set(err, errno,
				    "cannot make the log directory %s: %s; name a file with --log",
				    path, strerror(errno));
	return 0;
}

/* /var/log/linnet for root, else the state directory of the XDG base directory specification. */
static int default_dir(struct ln_error *err, char ret[PATH_MAX])
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char path[PATH_MAX];
	int n;

	if (geteuid() == 0) {
		snprintf(ret, PATH_MAX, "/var/log/linnet");
		return make_dir(ret, err);
	}
	if (state && state[0] == '/')
		n = snprintf(path, sizeof(path), "%s/linnet", state);
	else if (home && home[0] == '/')
		n = snprintf(path, sizeof(path), "%s/.local/state/linnet", home);
	else
		return ln_error_set(err, ENOENT,
				    "no place for the log is known: neither "
				    "XDG_STATE_HOME nor HOME is set; name a file "
				    "with --log");
	if (n < 0 || (size_t)n >= sizeof(path))
		return ln_error_set(err, ENAMETOOLONG,
				    "the log directory's name is too long; "
				    "name a file with --log");
	for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		int r = make_dir(path, err);
		if (r < 0)
			return r;
		*slash = '/';
	}
	snprintf(ret, PATH_MAX, "%s", path);
	return make_dir(ret, err);
}

/* "travel agent/v1" → "travel_agent_v1-20231026T143207Z-7843.jsonl" */
static void default_name(const char *agent_name, char *ret, size_t size)
{
	char agent[65];
	size_t n = 0;
	struct tm tm;
	time_t now = (time_t)(ln_clock_wall_ns() / LN_NS_PER_S);

	for (const char *c = agent_name ? agent_name : ""; *c && n < sizeof(agent) - 1; c++) {
		bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			     (*c >= '0' && *c <= '9') || *c == '-' || (*c == '.' && n > 0);
		agent[n++] = plain ? *c : '_';
	}
	agent[n] = '\0';
	gmtime_r(&now, &tm);
	snprintf(ret, size, "%s-%04d%02d%02dT%02d%02d%02dZ-%d.jsonl", n ? agent : "agent",
		 (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
		 tm.tm_sec, (int)getpid());
}

/* A directory in which others could plant links or take the log away is no place for it. */
static int check_dir(int fd, const char *path, struct ln_error *err)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return ln_error_set(err, errno,
				    "cannot open the log directory %s: %s; name a file with --log",
				    path, strerror(errno));
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return ln_error_set(err, EPERM,
				    "the log directory %s is not linnet's alone; make it owned by "
				    "user %u with mode 0700, or name a file with --log",
				    path, (unsigned)geteuid());
	return 0;
}

int ln_log_file_open(const char *path, const char *agent_name, struct ln_error *err,
		     char ret_path[PATH_MAX], int *ret_fd)
{
	/* O_NONBLOCK: a pipe that nobody reads must not hold the watch up. */
	const int flags =
	    O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	char dir[PATH_MAX], name[160], full[PATH_MAX];
	LN_AUTO_CLOSE int dir_fd = -1;

	if (!path) {
		int r = default_dir(err, dir);
		if (r < 0)
			return r;
		dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = check_dir(dir_fd, dir, err);
		if (r < 0)
			return r;
		default_name(agent_name, name, sizeof(name));
		if (strlen(dir) + strlen(name) + 2 > sizeof(full))
			return ln_error_set(err, ENAMETOOLONG,
					    "the log's name is too long; name "
					    "a file with --log");
		memcpy(full, dir, strlen(dir));
		full[strlen(dir)] = '/';
		memcpy(full + strlen(dir) + 1, name, strlen(name) + 1);
	} else if (strlen(path) >= sizeof(full)) {
		return ln_error_set(err, ENAMETOOLONG, "the log's name is too long");
	} else {
		memcpy(full, path, strlen(path) + 1);
	}
	int fd = path ? open(full, flags, 0600) : openat(dir_fd, name, flags | O_EXCL, 0600);
	if (fd < 0)
		return ln_error_set(err, errno,
				    "cannot open the log %s: %s; name another with "
				    "--log",
				    full,
				    errno == ELOOP ? "it is a symbolic link" : strerror(errno));
	memcpy(ret_path, full, strlen(full) + 1);
	*ret_fd = fd;
	return 0;
}
