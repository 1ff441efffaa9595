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

struct ln_head {
	struct ln_claim claim; /* depth is not set */
	size_t len;            /* of the head */
	bool tunnel;           /* what follows is said to the target */
};

/* Sets addr by an address literal without brackets; else has_name, and name if it can be one. */
void ln_head_set_host(struct ln_claim *c, const void *text, size_t len);

#endif
