/* SPDX-License-Identifier: Apache-2.0 */
/* Which names an agent may ask a resolver for. What resolver libraries ask by themselves is no
 * violation: search-domain variants of covered names, reverse names of covered addresses, and a
 * few special names. */
#include "internal.h"

#include <string.h>
#include "dns/reverse.h"

static bool is_resolver_addr(const struct ln_engine *e, const struct ln_addr *addr)
{
	for (size_t i = 0; i < e->n_resolvers; i++) {
		if (ln_addr_equal(&e->resolvers[i].addr, addr))
			return true;
	}
	return false;
}

/* Whose name it is was granted by evidence, or the policy lists the address itself. */
static bool judge_reverse(struct ln_engine *e, uint32_t agent, const struct ln_addr *addr,
			  struct ln_name_judgement *ret)
{
	ret->reason = "reverse name of a covered address";
	ret->rule = ln_policy_covers_addr(e->policy, addr, ln_engine_wall_s(e));
	if (ret->rule || ln_addr_is_loopback(addr) || is_resolver_addr(e, addr))
		return true;
	e->n_found =
	    ln_names_find(e->names, agent, addr, e->now_ns, e->found, LN_ARRAY_SIZE(e->found));
	for (size_t i = 0; i < e->n_found && !ret->rule; i++) {
		if (e->found[i].grants)
			ret->rule =
			    ln_policy_covers_name(e->policy, e->found[i].name, ln_engine_wall_s(e));
	}
	return ret->rule;
}

/* RFC 6761, RFC 7050 (DNS64 prefix), RFC 9462 (encrypted resolver), Firefox' canary. */
static bool is_resolver_chatter(const char *name)
{
	static const char *const names[] = {"localhost.localdomain", "ipv4only.arpa",
					    "_dns.resolver.arpa", "use-application-dns.net"};

	for (size_t i = 0; i < LN_ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return ln_name_under(name, "localhost");
}

/* A resolver library that got "a CNAME b" asks for b. What it asks for then was said by a trusted
 * resolver, so it carries nothing out. */
static bool judge_alias(struct ln_engine *e, uint32_t agent, const char *name,
			struct ln_name_judgement *ret)
{
	ret->reason = "alias of a covered name";
	e->n_leads =
	    ln_aliases_find(e->aliases, agent, name, e->now_ns, e->leads, LN_ARRAY_SIZE(e->leads));
	for (size_t i = 0; i < e->n_leads && !ret->rule; i++)
		ret->rule = ln_policy_covers_name(e->policy, e->leads[i].name, ln_engine_wall_s(e));
	return ret->rule;
}

/* A wildcard that covers "_443._https.b.example" must not help a name that is denied. */
static const struct ln_rule *denied_by(const struct ln_engine *e, const char *name)
{
	const struct ln_rule *rule = ln_policy_denies_name(e->policy, name);

	return rule ? rule : ln_policy_denies_name(e->policy, ln_dns_host_of(name));
}

static void tell_why(struct ln_engine *e, const char *name, struct ln_name_judgement *ret)
{
	const struct ln_rule *over = ln_policy_covers_name(e->policy, name, 0);

	*ret = (struct ln_name_judgement){.rule = denied_by(e, name), .reason = LN_REASON_NAME};
	if (ret->rule)
		ret->reason = LN_REASON_BANNED;
	else if (over)
		ret->reason = ln_judge_over_reason(e, over);
}

static bool judge_plain(struct ln_engine *e, uint32_t agent, const char *name,
			struct ln_name_judgement *ret)
{
	struct ln_addr addr;

	ret->reason = "the name is covered";
	if (denied_by(e, name))
		return false;
	ret->rule = ln_policy_covers_name(e->policy, name, ln_engine_wall_s(e));
	if (!ret->rule)
		ret->rule =
		    ln_policy_covers_name(e->policy, ln_dns_host_of(name), ln_engine_wall_s(e));
	if (ret->rule || judge_alias(e, agent, ln_dns_host_of(name), ret))
		return true;
	ret->reason = "resolver chatter";
	if (is_resolver_chatter(name))
		return true;
	return ln_reverse_parse(name, &addr) && judge_reverse(e, agent, &addr, ret);
}

/* "api.example.com.corp.local" is what a resolver makes of api.example.com (resolv.conf(5)). */
static bool judge_search_variants(struct ln_engine *e, uint32_t agent, const char *name,
				  struct ln_name_judgement *ret)
{
	char base[LN_NAME_MAX];

	for (size_t i = 0; i < e->n_search; i++) {
		if (!ln_name_under(name, e->search[i]) || strcmp(name, e->search[i]) == 0)
			continue;
		snprintf(base, sizeof(base), "%.*s", (int)(strlen(name) - strlen(e->search[i]) - 1),
			 name);
		if (!judge_plain(e, agent, base, ret))
			continue;
		ret->reason = "search-domain variant of a covered name";
		return true;
	}
	return false;
}

void ln_judge_name(struct ln_engine *e, uint32_t agent, const char *name,
		   struct ln_name_judgement *ret)
{
	*ret = (struct ln_name_judgement){0};
	ret->covered =
	    judge_plain(e, agent, name, ret) || judge_search_variants(e, agent, name, ret);
	if (!ret->covered)
		tell_why(e, name, ret);
}
