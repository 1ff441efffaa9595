/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The readers of what a client says first, one a protocol, as ln_sniff_put calls them. Each gets
 * the bytes from the first of its layer on. 0: *ret is filled; -EAGAIN: so far it can be this
 * protocol, more bytes are needed; -EBADMSG: it is not, whatever follows. With `cut` no more bytes
 * will come: what is there so far is told, and a name that has not come is one that cannot be read.
 * What one says does not change when it is asked again with more bytes.
 */
#ifndef LINNET_PAYLOAD_HEAD_H
#define LINNET_PAYLOAD_HEAD_H

#include "sniff.h"

enum ln_head_next {
	LN_HEAD_END,     /* nothing that is read here */
	LN_HEAD_TUNNEL,  /* what is said to the target */
	LN_HEAD_REQUEST, /* another request, behind a body */
};

struct ln_head {
	struct ln_claim claim; /* depth is not set */
	size_t len;            /* of the head */
	enum ln_head_next next;
	uint64_t body_len; /* REQUEST */
};

int ln_http_read_head(const uint8_t *bytes, size_t len, bool cut, struct ln_head *ret);
/* Whether bytes from `known` on can change that ln_http_read_head wants more; cheap, so that a head
 * of a thousand lines is not read at each of its bytes. */
bool ln_http_may_settle(const uint8_t *bytes, size_t known, size_t len);
int ln_socks4_read_head(const uint8_t *bytes, size_t len, bool cut, struct ln_head *ret);
int ln_socks5_read_head(const uint8_t *bytes, size_t len, bool cut, struct ln_head *ret);
int ln_ssh_read_head(const uint8_t *bytes, size_t len, bool cut, struct ln_head *ret);

/* Sets addr by an address literal without brackets; else has_name, and name if it can be one. */
void ln_head_set_host(struct ln_claim *c, const void *text, size_t len);
/* The same by host or host:port, an IPv6 address in brackets, and sets the port. */
void ln_head_set_authority(struct ln_claim *c, const char *text, size_t len);
/* A name that is there and cannot be read. */
void ln_head_set_unreadable(struct ln_claim *c);
/* Whether both are about the same host; the ports do not count. */
bool ln_head_same_host(const struct ln_claim *a, const struct ln_claim *b);

#endif
