/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses, networks and endpoints as values. An address is always normalised: an IPv4
 * address inside ::ffff:0:0/96 (RFC 4291, 2.5.5.2) becomes family 4. Bytes past an IPv4 address
 * are zero, so that addresses compare with memcmp. */
#ifndef LINNET_BASE_ADDR_H
#define LINNET_BASE_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include "macros.h"

struct ln_addr {
	uint8_t family; /* 4, 6; 0 is "none" */
	uint8_t pad[3];
	uint8_t bytes[16]; /* network order */
};

struct ln_net {
	struct ln_addr addr; /* host bits zero */
	uint8_t prefix_len;
};

struct ln_endpoint {
	struct ln_addr addr;
	uint16_t port; /* host order */
};

#define LN_ADDR_TEXT_MAX     46
#define LN_ENDPOINT_TEXT_MAX 56

struct ln_addr ln_addr_make(uint8_t family, const void *bytes); /* normalises */
bool ln_addr_parse(const char *text, struct ln_addr *ret);
/* "10.0.0.0/8"; false for host bits that are set when `strict`, or a length out of range. A bare
 * address is the network of itself alone; ::ffff:a.b.c.d/N from /96 on is an IPv4 network. */
bool ln_net_parse(const char *text, bool strict, struct ln_net *ret);
/* "1.2.3.4", "1.2.3.4:53", "::1", "[::1]:53"; the port is `default_port` when not given. */
bool ln_endpoint_parse(const char *text, uint16_t default_port, struct ln_endpoint *ret);

/* "none" for family 0. */
const char *ln_addr_format(const struct ln_addr *addr, char buf[LN_ADDR_TEXT_MAX]);
/* "1.2.3.4:443", "[2001:db8::1]:443" */
const char *ln_endpoint_format(const struct ln_endpoint *ep, char buf[LN_ENDPOINT_TEXT_MAX]);

bool ln_addr_equal(const struct ln_addr *a, const struct ln_addr *b);
bool ln_net_contains(const struct ln_net *net, const struct ln_addr *addr);
struct ln_addr ln_addr_mask(const struct ln_addr *addr, uint8_t prefix_len);
bool ln_addr_is_loopback(const struct ln_addr *addr);    /* 127/8, ::1 */
bool ln_addr_is_unspecified(const struct ln_addr *addr); /* 0/8, :: */
bool ln_addr_is_multicast(const struct ln_addr *addr);   /* 224/4, ff00::/8 */
bool ln_addr_is_link_local(const struct ln_addr *addr);  /* 169.254/16, fe80::/10 */

const char *ln_proto_name(uint8_t proto); /* "TCP", "UDP", "SCTP", …; "IP-99" never: NULL */

#endif
