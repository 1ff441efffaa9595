/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS ClientHello (RFC 8446, 4.1.2; RFC 5246, 7.4.1.2): server name (RFC 6066, 3), ALPN
 * (RFC 7301) and whether the true name is encrypted (ECH, RFC 9849). Bytes in, values out; nothing
 * is kept from one call to the next. No allocation, no I/O.
 */
#ifndef LINNET_PAYLOAD_TLS_H
#define LINNET_PAYLOAD_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/name.h"

#define LN_ALPN_MAX      64
#define LN_TLS_HELLO_MAX 16384 /* of a hello in several records; a longer one is never complete */

struct ln_tls_hello {
	bool has_name; /* there is a server name, readable or not */
	char
	    name[LN_NAME_MAX]; /* canonical, or an IPv4 address as text; "" none, or no host name */
	char alpn[LN_ALPN_MAX]; /* "h2,http/1.1"; bytes that are not printable as "?"; cut */
	bool ech;               /* `name` is the outer one */
	uint16_t version;       /* highest that is offered: 0x0304 TLS 1.3; GREASE passed over */
};

/* A stream of TLS records, each piece of the hello in a record of its own if need be. 0; -EAGAIN:
 * so far it can be one, more bytes are needed; -EBADMSG: it is not one, whatever follows. */
int ln_tls_read(const uint8_t *bytes, size_t len, struct ln_tls_hello *ret);
/* The same when no more bytes will come: what the hello says so far; a name that has not come yet
 * is one that cannot be read. 0 or -EBADMSG. */
int ln_tls_read_cut(const uint8_t *bytes, size_t len, struct ln_tls_hello *ret);
/* The handshake message alone, as QUIC carries it (RFC 9001, 4.1.3). Returns as ln_tls_read. */
int ln_tls_read_message(const uint8_t *bytes, size_t len, struct ln_tls_hello *ret);
/* As ln_tls_read_cut. */
int ln_tls_read_message_cut(const uint8_t *bytes, size_t len, struct ln_tls_hello *ret);

#endif
