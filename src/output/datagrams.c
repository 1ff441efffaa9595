/* SPDX-License-Identifier: Apache-2.0 */
#include "datagrams.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include "base/clock.h"

#define WAITING_MAX   64
#define BYTES_MAX     (1U << 20)
#define RETRY_BUSY_NS (100 * LN_NS_PER_MS)
#define RETRY_GONE_NS (1 * LN_NS_PER_S)

int ln_datagrams_init(struct ln_datagrams *d, const struct ln_sink_ops *ops,
		      const struct ln_datagrams_words *words)
{
	*d = (struct ln_datagrams){.base.ops = ops, .words = words, .fd = -1};
	return ln_outbox_init(&d->outbox, WAITING_MAX, BYTES_MAX);
}

void ln_datagrams_done(struct ln_datagrams *d)
{
	ln_brief_done(&d->brief);
	ln_outbox_done(&d->outbox);
	ln_closep(&d->fd);
}

int ln_datagrams_to_path(struct ln_datagrams *d, const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, path, strlen(path) + 1);
	memcpy(&d->to, &un, sizeof(un));
	d->to_len = sizeof(un);
	d->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return d->fd < 0 ? -errno : 0;
}

int ln_datagrams_probe(const struct ln_datagrams *d)
{
	int fd = socket(d->to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	int r = connect(fd, (const struct sockaddr *)&d->to, d->to_len) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static int send_one(const struct ln_datagrams *d, const struct ln_message *m)
{
	ssize_t n;

	if (d->to_len == 0)
		return -EDESTADDRREQ;
	do
		n = sendto(d->fd, m->data, m->len, MSG_DONTWAIT | MSG_NOSIGNAL,
			   (const struct sockaddr *)&d->to, d->to_len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static void send_all(struct ln_datagrams *d, uint64_t now_ns)
{
	const struct ln_message *m;

	while (now_ns >= d->next_ns && (m = ln_outbox_first(&d->outbox)) != NULL) {
		int r = send_one(d, m);
		if (r < 0 && r != -EMSGSIZE) {
			bool busy = r == -EAGAIN || r == -ENOBUFS;
			d->next_ns = now_ns + (busy ? RETRY_BUSY_NS : RETRY_GONE_NS);
			ln_sink_failed(&d->base, "%s", busy ? "nobody reads there" : strerror(-r));
			return;
		}
		if (r == 0) {
			d->base.written++;
		} else {
			d->base.dropped++;
			ln_sink_failed(&d->base, "%s", strerror(-r));
		}
		ln_outbox_drop(&d->outbox);
	}
}

/* Now, or later by send_all. */
static void put(struct ln_datagrams *d, const struct ln_buf *text)
{
	ln_outbox_put(&d->outbox, &d->base, text->data,
		      text->failed ? d->outbox.max_bytes + 1 : text->len);
	send_all(d, ln_clock_mono_ns());
}

static void put_owed(struct ln_datagrams *d)
{
	uint64_t owed = ln_outbox_owed(&d->outbox);
	char text[96];

	if (owed == 0)
		return;
	snprintf(text, sizeof(text), "%llu alerts could not be told here; see the log of linnet",
		 (unsigned long long)owed);
	put(d, d->words->dropped(d, text));
}

static struct ln_datagrams *datagrams_of(struct ln_sink *s)
{
	return (struct ln_datagrams *)s;
}

void ln_datagrams_finding(struct ln_sink *s, const struct ln_finding *f)
{
	struct ln_datagrams *d = datagrams_of(s);

	if (!f->alert)
		return;
	put_owed(d);
	ln_brief_make(&d->brief, f);
	put(d, d->words->alert(d, f));
}

int ln_datagrams_fd(struct ln_sink *s)
{
	return -1;
}

uint64_t ln_datagrams_deadline(struct ln_sink *s)
{
	return datagrams_of(s)->outbox.n > 0 ? datagrams_of(s)->next_ns : UINT64_MAX;
}

void ln_datagrams_dispatch(struct ln_sink *s, uint64_t now_ns)
{
	send_all(datagrams_of(s), now_ns);
	put_owed(datagrams_of(s));
}

size_t ln_datagrams_pending(struct ln_sink *s)
{
	return datagrams_of(s)->outbox.n;
}
