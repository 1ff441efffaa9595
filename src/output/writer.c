/* SPDX-License-Identifier: Apache-2.0 */
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* A descriptor of our own for the same pipe or terminal, or -1. Standard error is shared with the
 * agent, and O_NONBLOCK belongs to the open file: set there it would change the agent's stream. */
static int reopen_nonblocking(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void ln_writer_init(struct ln_writer *w, int fd, bool owned)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;
	int own;

	*w = (struct ln_writer){.fd = fd, .owned = owned};
	if (fstat(fd, &st) < 0)
		return;
	w->file = S_ISREG(st.st_mode);
	if (w->file)
		return;
	w->socket = S_ISSOCK(st.st_mode);
	if (w->socket || (flags >= 0 && (flags & O_NONBLOCK)))
		return;
	own = S_ISFIFO(st.st_mode) || isatty(fd) ? reopen_nonblocking(fd) : -1;
	if (own < 0) {
		w->ask_first = true;
		return;
	}
	if (owned)
		close(fd);
	w->fd = own;
	w->owned = true;
}

void ln_writer_done(struct ln_writer *w)
{
	ln_writer_flush(w);
	ln_buf_done(&w->rest);
	if (w->owned)
		ln_closep(&w->fd);
}

static ssize_t write_once(const struct ln_writer *w, const char *bytes, size_t len)
{
	struct pollfd p = {.fd = w->fd, .events = POLLOUT};
	ssize_t n;

	if (w->ask_first) {
		if (poll(&p, 1, 0) != 1)
			return -EAGAIN;
		len = LN_MIN(len, (size_t)PIPE_BUF); /* as much as a ready pipe takes at once */
	}
	do {
		n = w->socket ? send(w->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL)
			      : write(w->fd, bytes, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == 0 ? -EIO : n;
}

/* Until all is written or an error comes; says how far it got. */
static int write_bytes(const struct ln_writer *w, const char *bytes, size_t len, size_t *ret_done)
{
	size_t done = 0;
	ssize_t n = 0;

	while (done < len) {
		n = write_once(w, bytes + done, len - done);
		if (n < 0)
			break;
		done += (size_t)n;
	}
	*ret_done = done;
	return n < 0 ? (int)n : 0;
}

static int write_rest(struct ln_writer *w)
{
	size_t done;
	int r;

	if (w->rest_at == w->rest.len)
		return 0;
	r = write_bytes(w, w->rest.data + w->rest_at, w->rest.len - w->rest_at, &done);
	w->rest_at += done;
	return r;
}

/* Takes the text's memory and gives back its own, so that nothing can fail here. */
static void keep_rest(struct ln_writer *w, struct ln_buf *text, size_t done)
{
	struct ln_buf empty = w->rest;

	w->rest = *text;
	w->rest_at = done;
	*text = empty;
	ln_buf_reset(text);
}

bool ln_writer_flush(struct ln_writer *w)
{
	return write_rest(w) == 0;
}

void ln_writer_lose(struct ln_writer *w, struct ln_sink *s, int error, size_t n)
{
	if (s->error == 0)
		s->error = error;
	s->dropped += n;
	w->unreported += n;
}

bool ln_writer_put(struct ln_writer *w, struct ln_sink *s, struct ln_buf *text, size_t n)
{
	size_t done = 0;
	int r = text->failed ? -EMSGSIZE : write_rest(w);

	if (r == 0)
		r = write_bytes(w, text->data, text->len, &done);
	if (r < 0)
		ln_writer_lose(w, s, -r, done == 0 ? n : 0);
	if (r < 0 && done == 0)
		return false;
	if (done < text->len)
		keep_rest(w, text, done);
	s->written += n;
	return true;
}
