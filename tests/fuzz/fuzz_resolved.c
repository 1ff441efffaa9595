/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a message of systemd-resolved's monitor. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "dns/resolved_result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool promise)
{
	if (!promise)
		abort();
}

static void check(const struct ln_dns_message *msg, void *user)
{
	char again[LN_NAME_MAX];

	require(msg->n_addrs > 0 && msg->n_addrs <= LN_DNS_ADDRS_MAX);
	require(ln_name_canonical(msg->qname, strlen(msg->qname), again) &&
		strcmp(msg->qname, again) == 0);
	require(!ln_resolved_result_trusted(msg->qname) || strchr(msg->qname, '.'));
	for (size_t i = 0; i < msg->n_addrs; i++)
		require(msg->addrs[i].addr.family == (msg->qtype == LN_DNS_A ? 4 : 6));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ln_resolved_result_read((const char *)data, size, check, NULL);
	return 0;
}
