/* SPDX-License-Identifier: Apache-2.0 */
#include "scribe.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "base/buf.h"
#include "base/log.h"
#include "frames.h"

#define NAME_MAX_BYTES 255

/* A file that appears under its name when it is whole. */
struct target {
	int dir;          /* owned; -1: standard output */
	const char *path; /* borrowed; for messages */
	const char *name; /* borrowed; in dir */
};

struct scribe {
	const struct ln_scribe_config *c;
	struct target policy, diff;
	int summaries[LN_SCRIBE_SUMMARIES]; /* owned; -1 none */
	struct ln_frames frames;
};

/* Its saved and real ids stay: with an effective id that is not root's there is no capability. */
static int become(const struct ln_identity *as)
{
	if (!as->change)
		return 0;
	if (setgroups(as->n_groups, as->groups) < 0 || setresgid(as->gid, as->gid, as->gid) < 0 ||
	    setresuid((uid_t)-1, as->uid, (uid_t)-1) < 0)
		return -errno;
	return geteuid() == as->uid && getegid() == as->gid ? 0 : -EPERM;
}

static int open_target(const char *path, bool force, struct ln_error *err, struct target *ret)
{
	char dir[PATH_MAX] = ".";
	const char *slash;
	struct stat st;

	*ret = (struct target){.dir = -1, .path = path, .name = path};
	if (!path)
		return 0;
	slash = strrchr(path, '/');
	if (slash) {
		snprintf(dir, sizeof(dir), "%.*s", (int)LN_MAX(slash - path, 1), path);
		ret->name = slash + 1;
	}
	if (ret->name[0] == '\0' || strlen(ret->name) > NAME_MAX_BYTES - 16)
		return ln_error_set(err, EINVAL, "%s is no name for a file", path);
	ret->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret->dir < 0 || faccessat(ret->dir, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return ln_error_set(err, errno, "cannot write %s: %s: %s", path, dir,
				    strerror(errno));
	if (fstatat(ret->dir, ret->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISDIR(st.st_mode))
		return ln_error_set(err, EISDIR, "cannot write %s: it is a directory", path);
	return force ? 0
		     : ln_error_set(err, EEXIST,
				    "%s is there already; give it with -p to get a diff of it, "
				    "name another file, or replace it with --force",
				    path);
}

static int open_summary(const char *path, struct ln_error *err, int *ret)
{
	struct stat st;
	int fd = open(
	    path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
	    0644);

	if (fd < 0 || fstat(fd, &st) < 0)
		return ln_error_set(err, errno, "cannot open the summary %s: %s", path,
				    errno == ELOOP ? "it is a symbolic link" : strerror(errno));
	*ret = fd;
	/* Nobody has to read a pipe. */
	return S_ISREG(st.st_mode)
		   ? 0
		   : ln_error_set(err, EINVAL, "the summary %s is no regular file", path);
}

static int open_all(struct scribe *s, struct ln_error *err)
{
	const struct ln_scribe_config *c = s->c;
	int r = become(c->as);

	if (r < 0)
		return ln_error_set(err, -r, "cannot become the user who called linnet: %s",
				    strerror(-r));
	r = open_target(c->policy, c->force, err, &s->policy);
	if (r == 0)
		r = open_target(c->diff, c->force, err, &s->diff);
	for (size_t i = 0; i < LN_SCRIBE_SUMMARIES && r == 0; i++)
		if (c->summaries[i])
			r = open_summary(c->summaries[i], err, &s->summaries[i]);
	return r;
}

static int write_whole(int fd, const struct ln_buf *text)
{
	for (size_t at = 0; at < text->len;) {
		ssize_t n = write(fd, text->data + at, text->len - at);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* The name is taken when nobody else has it by then. */
static int give_name(const struct target *t, const char *draft, bool force)
{
	if (renameat2(t->dir, draft, t->dir, t->name, force ? 0 : RENAME_NOREPLACE) == 0)
		return 0;
	/* Some file systems cannot say "only if it is not there" of a rename. */
	if (force || errno != EINVAL)
		return -errno;
	if (linkat(t->dir, draft, t->dir, t->name, 0) < 0)
		return -errno;
	unlinkat(t->dir, draft, 0);
	return 0;
}

static int write_file(const struct target *t, const struct ln_buf *text, bool force)
{
	char draft[NAME_MAX_BYTES + 1];
	uint64_t salt = 0;
	int r;

	(void)!getrandom(&salt, sizeof(salt), 0);
	snprintf(draft, sizeof(draft), ".%s.%08x", t->name, (unsigned)salt);
	LN_AUTO_CLOSE int fd =
	    openat(t->dir, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_whole(fd, text);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = give_name(t, draft, force);
	if (r < 0)
		unlinkat(t->dir, draft, 0);
	return r;
}

static bool write_target(const struct target *t, const struct ln_buf *text, bool force)
{
	int r = t->dir < 0 ? write_whole(STDOUT_FILENO, text) : write_file(t, text, force);

	if (r < 0)
		ln_log(LN_LOG_ERROR, "cannot write %s: %s", t->path ? t->path : "standard output",
		       strerror(-r));
	return r == 0;
}

static bool write_summaries(struct scribe *s)
{
	bool good = true;

	for (size_t i = 0; i < LN_SCRIBE_SUMMARIES; i++) {
		int r = s->summaries[i] >= 0
			    ? write_whole(s->summaries[i], &s->frames.parts[LN_REPORT_SUMMARY])
			    : 0;

		if (r < 0)
			ln_log(LN_LOG_ERROR, "cannot write the summary %s: %s", s->c->summaries[i],
			       strerror(-r));
		good = good && r == 0;
	}
	return good;
}

static enum ln_scribe_end write_all(struct scribe *s)
{
	const struct ln_buf *diff = &s->frames.parts[LN_REPORT_DIFF];
	bool good = write_summaries(s);

	if (s->frames.came[LN_REPORT_ERROR]) {
		ln_log(LN_LOG_ERROR, "%s", ln_buf_text(&s->frames.parts[LN_REPORT_ERROR]));
		return LN_SCRIBE_FAILED;
	}
	if (s->frames.came[LN_REPORT_DIFF] && diff->len == 0)
		return good ? LN_SCRIBE_SAME : LN_SCRIBE_FAILED;
	if (s->frames.came[LN_REPORT_POLICY])
		good = write_target(&s->policy, &s->frames.parts[LN_REPORT_POLICY], s->c->force) &&
		       good;
	if (s->frames.came[LN_REPORT_DIFF])
		good = write_target(&s->diff, diff, s->c->force) && good;
	return good ? LN_SCRIBE_WRITTEN : LN_SCRIBE_FAILED;
}

/* The user's other descriptors, and standard output when it is not written to, are not held open:
 * whoever waits for their end would wait for this process. */
static void let_go(const struct ln_scribe_config *c, int keep, int ready)
{
	bool says = c->learn && (!c->policy || !c->diff);
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int low = LN_MIN(keep, ready), high = LN_MAX(keep, ready);

	if (fd >= 0) {
		dup2(fd, STDIN_FILENO);
		if (!says)
			dup2(fd, STDOUT_FILENO);
	}
	if (low > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, (unsigned)low - 1, 0);
	if (high > low + 1)
		close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	close_range((unsigned)high + 1, ~0U, 0);
}

static int scribe_main(const struct ln_scribe_config *c, int in, int ready)
{
	struct scribe s = {.c = c, .summaries = {-1, -1}};
	struct ln_error err = {0};
	sigset_t all;

	/* What is typed at the terminal ends the watch, and then this has work. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NAME, "linnet-scribe");
	let_go(c, in, ready);
	int r = open_all(&s, &err);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (write(ready, r < 0 ? err.text : "", r < 0 ? strlen(err.text) + 1 : 1) < 0 || r < 0)
		return LN_SCRIBE_FAILED;
	close(ready);
	if (!ln_frames_read(in, &s.frames)) {
		ln_log(LN_LOG_ERROR, "the watch broke off, so %s is not written",
		       c->learn ? "what was learned" : "its summary");
		return LN_SCRIBE_FAILED;
	}
	return (int)write_all(&s);
}

/* 0, or why it does not work. */
static int wait_ready(int fd, struct ln_error *err)
{
	char text[sizeof(err->text)] = "";
	ssize_t n;

	do
		n = read(fd, text, sizeof(text) - 1);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return ln_error_set(err, EIO, "the process that writes files has ended");
	return text[0] ? ln_error_set(err, EACCES, "%s", text) : 0;
}

int ln_scribe_start(const struct ln_scribe_config *c, struct ln_error *err, struct ln_scribe *ret)
{
	int frames[2] = {-1, -1}, ready[2] = {-1, -1}, r = 0;
	pid_t pid = -1;

	*ret = (struct ln_scribe){.fd = -1};
	if (pipe2(frames, O_CLOEXEC) == 0 && pipe2(ready, O_CLOEXEC) == 0)
		pid = fork();
	if (pid == 0)
		_exit(scribe_main(c, frames[0], ready[1]));
	if (pid < 0)
		r = ln_error_set(err, errno, "no process can be made: %s", strerror(errno));
	ln_closep(&ready[1]);
	ln_closep(&frames[0]);
	if (r == 0)
		r = wait_ready(ready[0], err);
	ln_closep(&ready[0]);
	if (r < 0) {
		ln_closep(&frames[1]);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		return r;
	}
	*ret = (struct ln_scribe){.pid = pid, .fd = frames[1]};
	return 0;
}

enum ln_scribe_end ln_scribe_end(struct ln_scribe *s)
{
	int status;

	ln_closep(&s->fd);
	if (s->pid == 0)
		return LN_SCRIBE_WRITTEN;
	while (waitpid(s->pid, &status, 0) < 0)
		if (errno != EINTR)
			return LN_SCRIBE_FAILED;
	s->pid = 0;
	return WIFEXITED(status) ? (enum ln_scribe_end)WEXITSTATUS(status) : LN_SCRIBE_FAILED;
}
