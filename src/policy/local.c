/* SPDX-License-Identifier: Apache-2.0 */
/* The lists that are not about destinations: UNIX sockets and what may come in. Both are short and
 * walked in the order of the policy. */
#include "index.h"

bool ln_policy_polices_unix(const struct ln_policy *p)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (p->rules[i].kind == LN_RULE_UNIX)
			return true;
	return false;
}

const struct ln_rule *ln_policy_match_unix(const struct ln_policy *p, const char *path,
					   size_t path_len, bool abstract)
{
	return NULL;
}

const struct ln_rule *ln_policy_match_inbound(const struct ln_policy *p, uint8_t proto,
					      uint16_t local_port, const struct ln_addr *remote)
{
	return NULL;
}
