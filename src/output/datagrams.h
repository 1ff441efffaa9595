/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink of alerts as messages to a datagram socket, whose reader may be stopped or gone: none is
 * waited for. What cannot be sent stays in the outbox and is tried again, after RETRY_BUSY while
 * the reader's queue is full and after RETRY_GONE while there is nobody. What a message says is the
 * business of journal.c and syslog.c.
 */
#ifndef LINNET_OUTPUT_DATAGRAMS_H
#define LINNET_OUTPUT_DATAGRAMS_H

#include <sys/socket.h>
#include "brief.h"
#include "outbox.h"

struct ln_datagrams;

/* Each gives back the message; valid until the next one. */
struct ln_datagrams_words {
	/* d->brief is that of the finding. */
	const struct ln_buf *(*alert)(struct ln_datagrams *d, const struct ln_finding *f);
	const struct ln_buf *(*dropped)(struct ln_datagrams *d, const char *text);
};

struct ln_datagrams {
	struct ln_sink base;
	const struct ln_datagrams_words *words;
	struct ln_brief brief;
	struct ln_outbox outbox;
	struct sockaddr_storage to;
	socklen_t to_len; /* 0: nobody to send to */
	int fd;           /* owned */
	uint64_t next_ns; /* nothing is tried before */
};

int ln_datagrams_init(struct ln_datagrams *d, const struct ln_sink_ops *ops,
		      const struct ln_datagrams_words *words);
void ln_datagrams_done(struct ln_datagrams *d);
int ln_datagrams_to_path(struct ln_datagrams *d, const char *path);
/* One try of the socket's own, to know whether somebody is there; -errno. */
int ln_datagrams_probe(const struct ln_datagrams *d);

/* What such a sink has in common with the others of its kind, for its struct ln_sink_ops. */
void ln_datagrams_finding(struct ln_sink *s, const struct ln_finding *f);
int ln_datagrams_fd(struct ln_sink *s);
uint64_t ln_datagrams_deadline(struct ln_sink *s);
void ln_datagrams_dispatch(struct ln_sink *s, uint64_t now_ns);
size_t ln_datagrams_pending(struct ln_sink *s);
#define LN_DATAGRAMS_OPS                                                                           \
	.finding = ln_datagrams_finding, .fd = ln_datagrams_fd, .deadline = ln_datagrams_deadline, \
	.dispatch = ln_datagrams_dispatch, .pending = ln_datagrams_pending,                        \
	.grace_ns = LN_NS_PER_S

#endif
