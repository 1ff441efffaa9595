/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as hosts(5) and as resolv.conf(5). */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "dns/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool promise)
{
	if (!promise)
		abort();
}

static void require_canonical(const char *name)
{
	char again[LN_NAME_MAX];

	require(strnlen(name, LN_NAME_MAX) < LN_NAME_MAX);
	require(ln_name_canonical(name, strlen(name), again) && strcmp(name, again) == 0);
}

static void check_pair(const struct ln_addr *addr, const char *name, void *user)
{
	require(addr->family == 4 || addr->family == 6);
	require_canonical(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ln_resolv_conf conf;

	ln_hosts_parse((const char *)data, size, check_pair, NULL);
	ln_resolv_conf_parse((const char *)data, size, &conf);
	require(conf.n_servers >= 1 && conf.n_servers <= LN_RESOLV_SERVERS_MAX);
	require(conf.n_search <= LN_RESOLV_SEARCH_MAX);
	for (size_t i = 0; i < conf.n_servers; i++) {
		require(conf.servers[i].addr.family == 4 || conf.servers[i].addr.family == 6);
		require(conf.servers[i].port == 53);
	}
	for (size_t i = 0; i < conf.n_search; i++)
		require_canonical(conf.search[i]);
	return 0;
}
