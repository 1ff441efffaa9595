/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of resolv.conf(5) and hosts(5): bytes in, values out. Bounded; what goes over a bound or
 * cannot be read is skipped and counted in `skipped`. */
#ifndef LINNET_DNS_CONFIG_H
#define LINNET_DNS_CONFIG_H

#include "base/addr.h"
#include "base/name.h"

#define LN_RESOLV_SERVERS_MAX 8
#define LN_RESOLV_SEARCH_MAX  32

struct ln_resolv_conf {
	size_t n_servers;
	struct ln_endpoint servers[LN_RESOLV_SERVERS_MAX]; /* port 53; none listed: 127.0.0.1 */
	size_t n_search;
	char search[LN_RESOLV_SEARCH_MAX][LN_NAME_MAX];
	uint32_t skipped;
};

void ln_resolv_conf_parse(const char *text, size_t len, struct ln_resolv_conf *ret);

typedef void (*ln_hosts_fn)(const struct ln_addr *addr, const char *name, void *user);
/* Calls fn for each address and canonical name; at most 100,000 pairs. Returns those skipped. */
uint32_t ln_hosts_parse(const char *text, size_t len, ln_hosts_fn fn, void *user);

#endif
