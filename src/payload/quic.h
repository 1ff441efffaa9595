/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ClientHello in a client's QUIC Initial packets, v1 (RFC 9000, 9001) and v2 (RFC 9369): header
 * protection and AEAD by keys that follow from the packet itself, CRYPTO frames in any order, in
 * several packets and datagrams. By libgcrypt. Bounded: 16 KiB of hello, 16 packets.
 */
#ifndef LINNET_PAYLOAD_QUIC_H
#define LINNET_PAYLOAD_QUIC_H

#include "tls.h"

struct ln_quic; /* opaque: one client's flow */

struct ln_quic *ln_quic_new(void);
void ln_quic_free(struct ln_quic **q);
/* One datagram that the client sent. 0: *ret is filled; -EAGAIN: more datagrams are needed;
 * -EBADMSG: no hello will come: what was sealed is none, or none was there in 16 packets. A packet
 * that does not authenticate is passed over, but counts. After 0 and -EBADMSG nothing is held, and
 * the flow stays at -EBADMSG. */
int ln_quic_put(struct ln_quic *q, const uint8_t *datagram, size_t len, struct ln_tls_hello *ret);
/* The same when no more datagrams will come: what the hello says so far; a name that has not come
 * yet is one that cannot be read. 0; -EBADMSG: nothing could be opened. */
int ln_quic_cut(struct ln_quic *q, struct ln_tls_hello *ret);
/* Whether some of it was not read for want of memory. */
bool ln_quic_no_memory(const struct ln_quic *q);
/* Whether a datagram can come from a client that says hello: a long header of any version, for a
 * client may begin with one that is not known and go on with another. */
bool ln_quic_maybe(const uint8_t *datagram, size_t len);

#endif
