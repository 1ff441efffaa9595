/* SPDX-License-Identifier: Apache-2.0 */
/* The lists that are not about destinations: UNIX sockets and what may come in. Both have at most
 * LN_LOCAL_MAX rules and are walked in the order of the policy. */
#include "index.h"
#include "pattern.h"
#include "ports.h"

bool ln_policy_polices_unix(const struct ln_policy *p)
{
	return p->start[LN_RULE_UNIX] < p->start[LN_RULE_UNIX + 1];
}

const struct ln_rule *ln_policy_match_unix(const struct ln_policy *p, const char *path,
					   size_t path_len, bool abstract, uint64_t now_s)
{
	struct ln_socket_name name;

	if (!ln_socket_name_make(path, path_len, abstract, &name))
		return NULL;
	for (uint32_t id = p->start[LN_RULE_UNIX]; id < p->start[LN_RULE_UNIX + 1]; id++) {
		if (!ln_rule_is_over(&p->rules[id], now_s) &&
		    ln_pattern_matches(p->rules[id].name, &name))
			return &p->rules[id];
	}
	return NULL;
}

const struct ln_rule *ln_policy_match_inbound(const struct ln_policy *p, uint8_t proto,
					      uint16_t local_port, const struct ln_addr *remote,
					      uint64_t now_s)
{
	for (uint32_t id = p->start[LN_RULE_INBOUND]; id < p->start[LN_RULE_INBOUND + 1]; id++) {
		const struct ln_rule *r = &p->rules[id];

		/* Who may come is asked when somebody comes: a listener waits for all. */
		if (remote && r->net.addr.family != 0 && !ln_net_contains(&r->net, remote))
			continue;
		if (!ln_rule_is_over(r, now_s) && ln_rule_permits(r, local_port, proto))
			return r;
	}
	return NULL;
}
