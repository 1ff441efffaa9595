/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a DNS message. What comes out keeps the promises of dns/message.h. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "dns/message.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ln_dns_message msg;
	int r = ln_dns_parse(data, size, &msg);

	require(msg.n_chain <= LN_DNS_CHAIN_MAX && msg.n_addrs <= LN_DNS_ADDRS_MAX);
	require(msg.n_targets <= LN_DNS_TARGETS_MAX && msg.local_answers <= msg.n_addrs);
	require(r != 0 || msg.has_question);
	if (msg.has_question) {
		require_canonical(msg.qname);
		require(strcasecmp(msg.qname, msg.qname_raw) == 0);
		require_canonical(ln_dns_host_of(msg.qname));
	}
	if (r != 0 || !msg.response || msg.rcode != 0)
		require(msg.n_addrs == 0 && msg.n_chain == 0 && msg.n_targets == 0);
	if (msg.foreign_name[0] != '\0') {
		require_canonical(msg.foreign_name);
		require(msg.foreign_answers + msg.foreign_additional > 0);
	}
	for (size_t i = 0; i < msg.n_chain; i++) {
		require_canonical(msg.chain[i]);
		require(strcmp(msg.chain[i], msg.qname) != 0);
		for (size_t k = 0; k < i; k++)
			require(strcmp(msg.chain[i], msg.chain[k]) != 0);
	}
	for (size_t i = 0; i < msg.n_addrs; i++) {
		require(msg.addrs[i].addr.family == 4 || msg.addrs[i].addr.family == 6);
		require(msg.addrs[i].ttl_s <= INT32_MAX);
		require(msg.addrs[i].n_links <= msg.n_chain);
		require(msg.addrs[i].target < (int)msg.n_targets);
	}
	for (size_t i = 0; i < msg.n_targets; i++) {
		require_canonical(msg.targets[i].name);
		require(msg.targets[i].n_links <= msg.n_chain);
	}
	return 0;
}
