/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to a datagram socket whose reader may be stopped or gone: none is waited for. What
 * cannot be sent stays in the outbox and is tried again, after RETRY_BUSY while the reader's queue
 * is full and after RETRY_GONE while there is nobody.
 */
#ifndef LINNET_OUTPUT_DATAGRAMS_H
#define LINNET_OUTPUT_DATAGRAMS_H

#include <sys/socket.h>
#include "outbox.h"

struct ln_datagrams {
	struct ln_outbox outbox;
	struct sockaddr_storage to;
	socklen_t to_len; /* 0: nobody to send to */
	int fd;           /* owned */
	uint64_t next_ns; /* nothing is tried before */
};

int ln_datagrams_init(struct ln_datagrams *d);
void ln_datagrams_done(struct ln_datagrams *d);
int ln_datagrams_to_path(struct ln_datagrams *d, const char *path);
/* Now, or later by ln_datagrams_send. */
void ln_datagrams_put(struct ln_datagrams *d, struct ln_sink *s, const struct ln_buf *text);
void ln_datagrams_send(struct ln_datagrams *d, struct ln_sink *s, uint64_t now_ns);
uint64_t ln_datagrams_deadline(const struct ln_datagrams *d);
/* One try of the socket's own, to know whether somebody is there; -errno. */
int ln_datagrams_probe(const struct ln_datagrams *d);

#endif
