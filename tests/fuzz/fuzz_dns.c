/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a DNS message. What comes out keeps the promises of dns/message.h. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
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
	require(r != 0 || msg.has_question);
	if (msg.has_question)
		require_canonical(msg.qname);
	if (r != 0 || !msg.response || msg.rcode != 0)
		require(msg.n_addrs == 0 && msg.n_chain == 0);
	for (size_t i = 0; i < msg.n_chain; i++) {
		require_canonical(msg.chain[i]);
		require(strcmp(msg.chain[i], msg.qname) != 0);
		for (size_t k = 0; k < i; k++)
			require(strcmp(msg.chain[i], msg.chain[k]) != 0);
	}
	for (size_t i = 0; i < msg.n_addrs; i++) {
		require(msg.addrs[i].addr.family == 4 || msg.addrs[i].addr.family == 6);
		require(msg.addrs[i].ttl_s <= INT32_MAX);
	}
	return 0;
}
