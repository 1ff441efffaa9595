/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "poll_proc.h"

bool ln_poll_walk_next(struct ln_poll_walk *w, uint32_t *ret, uint64_t *ret_ino)
{
	for (;;) {
		const struct dirent64 *entry;
		uint64_t value = 0;
		const char *c;

		if (w->pos >= w->len) {
			w->len = getdents64(w->fd, w->buf, w->size);
			w->pos = 0;
			if (w->len <= 0)
				return false;
		}
		entry = (const void *)(w->buf + w->pos);
		w->pos += entry->d_reclen;
		for (c = entry->d_name; *c >= '0' && *c <= '9' && value <= UINT32_MAX; c++)
			value = value * 10 + (*c - '0');
		if (*c || c == entry->d_name)
			continue;
		*ret = value;
		*ret_ino = entry->d_ino;
		return true;
	}
}

struct ln_poll_walk ln_poll_walk(struct ln_poll_reader *r, int fd)
{
	return (struct ln_poll_walk){.fd = fd, .buf = r->dirents, .size = sizeof(r->dirents)};
}

bool ln_poll_proc_stat(const struct ln_poll_reader *r, uint32_t pid, struct ln_proc_stat *ret)
{
	char path[32], text[1024];
	LN_AUTO_CLOSE int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "%u/stat", pid);
	fd = openat(r->proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text));
	return n > 0 && ln_proc_parse_stat(text, n, ret);
}

uint32_t ln_poll_proc_thread(struct ln_poll_reader *r, uint32_t pid)
{
	char path[32];
	LN_AUTO_CLOSE int fd = -1;
	struct ln_poll_walk w;
	uint32_t tid;
	uint64_t ino;

	snprintf(path, sizeof(path), "%u/task", pid);
	fd = openat(r->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	w = ln_poll_walk(r, fd);
	while (ln_poll_walk_next(&w, &tid, &ino))
		if (tid != pid)
			return tid;
	return 0;
}

static const char *thread_path(const struct ln_poll_proc *p, const char *leaf, char *buf,
			       size_t size)
{
	if (p->thread)
		snprintf(buf, size, "%u/task/%u/%s", p->pid, p->thread, leaf);
	else
		snprintf(buf, size, "%u/%s", p->pid, leaf);
	return buf;
}

static size_t read_args(struct ln_poll_reader *r, const struct ln_poll_proc *p)
{
	char path[64];
	LN_AUTO_CLOSE int fd = -1;
	size_t have = 0;
	ssize_t n;

	fd =
	    openat(r->proc_fd, thread_path(p, "cmdline", path, sizeof(path)), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while (have < sizeof(r->args) && (n = read(fd, r->args + have, sizeof(r->args) - have)) > 0)
		have += n;
	return have;
}

bool ln_poll_proc_same_image(const struct ln_poll_proc *a, const struct ln_poll_proc *b)
{
	return a->exe_len == b->exe_len && a->args_len == b->args_len &&
	       (!a->image || !b->image ? a->image == b->image
				       : !memcmp(a->image, b->image, a->exe_len + a->args_len));
}

void ln_poll_proc_image(struct ln_poll_reader *r, struct ln_poll_proc *p)
{
	char path[64];
	ssize_t exe_len = readlinkat(r->proc_fd, thread_path(p, "exe", path, sizeof(path)), r->exe,
				     sizeof(r->exe));
	size_t args_len = read_args(r, p);
	const char *exe = r->exe, *args = r->args;
	bool cut = args_len > LN_POLL_ARGS_MAX;
	char *image;

	args_len = LN_MIN(args_len, LN_POLL_ARGS_MAX);
	if (exe_len <= 0) {
		exe = p->image;
		exe_len = p->exe_len;
	}
	if (!args_len) {
		args = p->image ? p->image + p->exe_len : NULL;
		args_len = p->args_len;
		cut = p->args_cut;
	}
	if (p->exe_len == (size_t)exe_len && p->args_len == args_len &&
	    (!p->image ||
	     (!memcmp(p->image, exe, exe_len) && !memcmp(p->image + exe_len, args, args_len))))
		return;
	image = malloc(exe_len + args_len);
	if (!image)
		return;
	if (exe_len)
		memcpy(image, exe, exe_len);
	if (args_len)
		memcpy(image + exe_len, args, args_len);
	free(p->image);
	p->image = image;
	p->exe_len = exe_len;
	p->args_len = args_len;
	p->args_cut = cut;
	p->execed = true;
}

void ln_poll_proc_netns(struct ln_poll_reader *r, struct ln_poll_proc *p)
{
	char path[64];
	struct stat st;

	if (fstatat(r->proc_fd, thread_path(p, "ns/net", path, sizeof(path)), &st, 0) == 0)
		p->netns = st.st_ino;
}

int ln_poll_proc_sockets(struct ln_poll_reader *r, const struct ln_poll_proc *p, size_t *budget,
			 ln_poll_inode_fn fn, void *user)
{
	char path[64], link[64];
	LN_AUTO_CLOSE int dir = -1;
	struct ln_poll_walk w;
	uint32_t number;
	uint64_t ino;

	dir = openat(r->proc_fd, thread_path(p, "fd", path, sizeof(path)),
		     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	w = ln_poll_walk(r, dir);
	while (ln_poll_walk_next(&w, &number, &ino)) {
		char name[16];
		ssize_t n;

		if (!*budget)
			return -E2BIG;
		--*budget;
		snprintf(name, sizeof(name), "%u", number);
		n = readlinkat(dir, name, link, sizeof(link));
		if (n < 0 && errno == EACCES)
			return -EACCES;
		if (n > 0 && ln_proc_parse_socket_link(link, n, &ino))
			fn(ino, user);
	}
	return 0;
}
