/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the first bytes of a flow say about where it goes: the server name of TLS and QUIC, the Host
 * of HTTP/1, the target that is asked of a relay (HTTP CONNECT, an absolute URL, SOCKS4, SOCKS4a,
 * SOCKS5) and what is said inside of that relay's tunnel, and the protocol. All of it is written by
 * the client: it names, it never grants. Bounded: LN_SNIFF_MAX bytes or LN_SNIFF_DATAGRAMS of each
 * flow, LN_SNIFF_DEPTH relays in a row; bytes in, claims out; no I/O.
 */
#ifndef LINNET_PAYLOAD_SNIFF_H
#define LINNET_PAYLOAD_SNIFF_H

#include "base/addr.h"
#include "tls.h"

#define LN_SNIFF_MAX       8192
#define LN_SNIFF_DATAGRAMS 4
#define LN_SNIFF_DEPTH     3

enum ln_layer {
	LN_LAYER_TLS,
	LN_LAYER_QUIC,
	LN_LAYER_HTTP,       /* a request to a server: Host */
	LN_LAYER_HTTP2,      /* in plain text (h2c), by its preface; no name is read */
	LN_LAYER_HTTP_PROXY, /* CONNECT, or an absolute URL: the target is another's */
	LN_LAYER_SOCKS4,
	LN_LAYER_SOCKS5,
	LN_LAYER_SSH,
	LN_LAYER_OTHER, /* none of these: it will not become one by more bytes */
	LN_LAYER_COUNT,
};
const char *ln_layer_text(enum ln_layer l); /* "tls", "quic", "http", "http-proxy", … */

struct ln_claim {
	enum ln_layer layer;
	uint8_t depth; /* 0: the flow itself, 1: inside of the tunnel that was asked for… */
	bool has_name; /* there was a name, readable or not; an address is none */
	char name[LN_NAME_MAX]; /* canonical; "" none, or no host name */
	struct ln_addr addr;    /* an address in place of a name; family 0: none */
	uint16_t port;          /* of the target; 0 not said */
	char alpn[LN_ALPN_MAX]; /* TLS and QUIC */
	bool ech;               /* TLS and QUIC: `name` is the outer one */
	char detail[64];        /* printable: "SSH-2.0-OpenSSH_9.2", "GET /dns-query"; "" none */
};

typedef void (*ln_claim_fn)(const struct ln_claim *c, void *user);

struct ln_sniff; /* opaque: one flow's sending direction */

struct ln_sniff *ln_sniff_new(uint8_t proto); /* IPPROTO_TCP or IPPROTO_UDP */
void ln_sniff_free(struct ln_sniff **s);
/* A piece of the stream, or a datagram (`offset` is not looked at then). Calls fn for each claim
 * that is complete now, outermost first; pieces of any size make the same claims. Later requests
 * of an HTTP connection are claims, too, when they say another thing than the one before; so a
 * CONNECT that is repeated with a password is told once. So are the names of further QUIC
 * connections from the same port. What does not end within LN_SNIFF_MAX is
 * told by what is there, with a name that cannot be read if it is not there. False: nothing more
 * will come of this flow. */
bool ln_sniff_put(struct ln_sniff *s, uint32_t offset, const uint8_t *bytes, size_t len,
		  ln_claim_fn fn, void *user);
/* Whether some of it was not read for want of memory. */
bool ln_sniff_no_memory(const struct ln_sniff *s);

#endif
