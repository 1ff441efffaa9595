/* SPDX-License-Identifier: Apache-2.0 */
/* Names of addresses: "1.2.0.192.in-addr.arpa" (RFC 1035, 3.5), "….ip6.arpa" (RFC 3596, 2.5). */
#ifndef LINNET_DNS_REVERSE_H
#define LINNET_DNS_REVERSE_H

#include "base/addr.h"

/* False: the canonical name is not the whole name of one address. */
bool ln_reverse_parse(const char *name, struct ln_addr *ret);

#endif
