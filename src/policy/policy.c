/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <libpsl.h>
#include <netinet/in.h>
#include <string.h>
#include "loader.h"

void ln_policy_free(struct ln_policy **p)
{
	struct ln_policy *old = *p;

	*p = NULL;
	if (!old)
		return;
	ln_index_done(old);
	for (size_t i = 0; i < old->n_rules; i++) {
		free(old->rules[i].text);
		free(old->rules[i].name);
		free(old->rules[i].ports);
		free(old->rules[i].purpose);
	}
	free(old->rules);
	ln_limits_free(old);
	ln_sinks_free(old);
	free(old->resolvers);
	free(old->agent_name);
	free(old->file);
	psl_free(old->suffixes);
	free(old);
}

struct ln_policy *ln_policy_new_empty(const char *agent_name)
{
	struct ln_policy *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->grace_ns = LN_POLICY_GRACE_NS;
	p->suffixes = psl_latest(NULL);
	p->agent_name = strdup(agent_name);
	p->file = strdup("");
	if (!p->agent_name || !p->file || ln_index_build(p) < 0)
		ln_policy_free(&p);
	return p;
}

const char *ln_policy_agent_name(const struct ln_policy *p)
{
	return p->agent_name;
}

const char *ln_policy_file(const struct ln_policy *p)
{
	return p->file;
}

size_t ln_policy_rules(const struct ln_policy *p)
{
	return p->n_rules;
}

const struct ln_rule *ln_policy_rule(const struct ln_policy *p, size_t id)
{
	return id < p->n_rules ? &p->rules[id] : NULL;
}

size_t ln_policy_resolvers(const struct ln_policy *p, const struct ln_endpoint **ret)
{
	*ret = p->resolvers;
	return p->n_resolvers;
}

uint64_t ln_policy_grace_ns(const struct ln_policy *p)
{
	return p->grace_ns;
}

enum ln_mode ln_policy_mode(const struct ln_policy *p)
{
	return p->mode;
}

const char *ln_mode_text(enum ln_mode m)
{
	static const char *const texts[] = {
	    [LN_MODE_MONITOR] = "monitor",
	    [LN_MODE_BLOCK] = "block",
	    [LN_MODE_KILL] = "kill",
	    [LN_MODE_FREEZE] = "freeze",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_MODE_COUNT, "a text for each mode");

	return (unsigned int)m < LN_MODE_COUNT ? texts[m] : "unknown";
}

bool ln_policy_fails_closed(const struct ln_policy *p)
{
	return p->fails_closed;
}

enum ln_loopback ln_policy_loopback(const struct ln_policy *p)
{
	return p->loopback;
}

static const char *last_two_labels(const char *name)
{
	const char *dot = strrchr(name, '.');

	if (!dot)
		return name;
	while (dot > name && dot[-1] != '.')
		dot--;
	return dot;
}

const char *ln_policy_registered_domain(const struct ln_policy *p, const char *name)
{
	const char *domain;

	if (!p->suffixes)
		return last_two_labels(name);
	domain = psl_registrable_domain(p->suffixes, name);
	return domain ? domain : name;
}

const char *ln_rule_list_text(enum ln_rule_kind k)
{
	static const char *const texts[] = {
	    [LN_RULE_EXPECTED] = "expected_outbound",
	    [LN_RULE_DYNAMIC] = "allowed_dynamic_resolution",
	    [LN_RULE_DENY] = "deny",
	    [LN_RULE_UNIX] = "expected_unix",
	    [LN_RULE_INBOUND] = "expected_inbound",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_RULE_COUNT, "a text for each kind");

	return (unsigned int)k < LN_RULE_COUNT ? texts[k] : "unknown";
}

const char *ln_rule_ports_text(const struct ln_rule *r, char *buf, size_t size)
{
	const char *proto = r->proto == IPPROTO_TCP   ? "/TCP"
			    : r->proto == IPPROTO_UDP ? "/UDP"
						      : "/any";
	size_t used = 0;

	if (size == 0 || r->kind == LN_RULE_UNIX)
		return "";
	if (r->n_ports == 0)
		used = (size_t)snprintf(buf, size, "any");
	for (size_t i = 0; i < r->n_ports; i++) {
		const struct ln_port_range *range = &r->ports[i];
		char one[16];
		int n;

		n = snprintf(one, sizeof(one), range->first == range->last ? "%s%u" : "%s%u-%u",
			     i > 0 ? "," : "", range->first, range->last);
		/* Room must be left for ",…", the protocol and the NUL. */
		if (used + (size_t)n + strlen(",…") + strlen(proto) + 1 > size) {
			used += (size_t)snprintf(buf + used, size - used, ",…");
			break;
		}
		memcpy(buf + used, one, (size_t)n + 1);
		used += (size_t)n;
	}
	if (used < size)
		snprintf(buf + used, size - used, "%s", proto);
	return buf;
}
