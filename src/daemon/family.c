/* SPDX-License-Identifier: Apache-2.0 */
#include "family.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/macros.h"
#include "files.h"
#include "proc/parse.h"
#include "restrain.h"

#define PASSES_MAX    64
#define PROCESSES_MAX 65536

struct member {
	pid_t pid, ppid;
	uint64_t start;
	bool in;   /* of the family */
	bool done; /* has got the signal */
};

struct family {
	struct member *list; /* owned */
	size_t n;
	int reached, error;
};

static bool read_stat(pid_t pid, struct ln_proc_stat *ret)
{
	LN_AUTO_FREE char *text = NULL;
	char path[64];
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	return ln_file_read(path, 4096, &text, &len) == 0 && ln_proc_parse_stat(text, len, ret);
}

static int compare(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static struct member *find(struct family *f, pid_t pid)
{
	const struct member key = {.pid = pid};

	return f->n == 0 ? NULL : bsearch(&key, f->list, f->n, sizeof(key), compare);
}

/* All processes that live now; who has got the signal before still has. */
static int look(struct family *f)
{
	struct family now = {.list = calloc(PROCESSES_MAX, sizeof(*now.list))};
	DIR *dir = now.list ? opendir("/proc") : NULL;
	const struct dirent *e;

	if (!dir) {
		free(now.list);
		return -ENOMEM;
	}
	while (now.n < PROCESSES_MAX && (e = readdir(dir))) {
		struct ln_proc_stat st;
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid <= 0 || !read_stat(pid, &st) || st.state == 'Z')
			continue;
		const struct member *old = find(f, pid);
		now.list[now.n++] = (struct member){
		    .pid = pid,
		    .ppid = (pid_t)st.ppid,
		    .start = st.start_ticks,
		    .done = old && old->done && old->start == st.start_ticks,
		};
	}
	closedir(dir);
	if (now.n > 0)
		qsort(now.list, now.n, sizeof(*now.list), compare);
	free(f->list);
	f->list = now.list;
	f->n = now.n;
	return 0;
}

static void mark(struct family *f, const pid_t *roots, size_t n_roots)
{
	bool more = true;

	for (size_t i = 0; i < n_roots; i++) {
		struct member *m = find(f, roots[i]);
		if (m)
			m->in = true;
	}
	while (more) {
		more = false;
		for (size_t i = 0; i < f->n; i++) {
			struct member *m = &f->list[i];
			const struct member *parent = m->in ? NULL : find(f, m->ppid);
			if (parent && parent->in)
				more = m->in = true;
		}
	}
}

/* By a descriptor, after which the number is looked at once more: it may be another process's. */
static void signal_one(struct family *f, struct member *m, int signo)
{
	LN_AUTO_CLOSE int fd = (int)syscall(SYS_pidfd_open, m->pid, 0);
	struct ln_proc_stat st;

	m->done = true;
	if (fd < 0 || !read_stat(m->pid, &st) || st.start_ticks != m->start)
		return;
	int r = ln_restrain_signal(fd, signo);
	if (r == 0)
		f->reached++;
	else if (r != -ESRCH)
		f->error = r;
}

static void signal_all(struct family *f, const pid_t *roots, size_t n_roots, int signo)
{
	bool more = true;

	for (int pass = 0; more && pass < PASSES_MAX; pass++) {
		more = false;
		if (look(f) < 0)
			break;
		mark(f, roots, n_roots);
		for (size_t i = 0; i < f->n; i++) {
			if (!f->list[i].in || f->list[i].done || f->list[i].pid == getpid())
				continue;
			signal_one(f, &f->list[i], signo);
			more = true;
		}
	}
}

int ln_family_signal(const pid_t *roots, size_t n_roots, int signo)
{
	struct family f = {0};

	/* The child of one that was killed would be nobody's: so first they are stopped, all. */
	signal_all(&f, roots, n_roots, signo == SIGKILL ? SIGSTOP : signo);
	if (signo == SIGKILL) {
		f.reached = 0;
		for (size_t i = 0; i < f.n; i++)
			if (f.list[i].in && f.list[i].pid != getpid())
				signal_one(&f, &f.list[i], signo);
	}
	free(f.list);
	if (f.reached > 0)
		return f.reached;
	return f.error < 0 ? f.error : -ESRCH;
}

bool ln_family_shares_user(uid_t uid, const pid_t *roots, size_t n_roots)
{
	struct family f = {0};
	bool shares = false;
	char path[64];
	struct stat st;

	if (look(&f) == 0)
		mark(&f, roots, n_roots);
	for (size_t i = 0; i < f.n && !shares; i++) {
		snprintf(path, sizeof(path), "/proc/%d", (int)f.list[i].pid);
		shares = !f.list[i].in && stat(path, &st) == 0 && st.st_uid == uid;
	}
	free(f.list);
	return shares;
}
