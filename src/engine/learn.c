/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer teaches: addresses of the name that was asked for, and of all names that answers
 * before it made aliases of that one; more aliases; and names of addresses. */
#include "internal.h"

#include <string.h>

static uint64_t expiry(const struct ln_engine *e, uint32_t ttl_s)
{
	return e->now_ns + LN_MIN(LN_MAX(ttl_s, LN_TTL_MIN_S), LN_TTL_MAX_S) * LN_NS_PER_S;
}

/* The name that was asked for leads to itself; e->leads[0]. Only what a trusted resolver said
 * leads anywhere else. */
static void find_leads(struct ln_engine *e, const struct ln_finding *f,
		       const struct ln_dns_message *msg)
{
	struct ln_alias *self = &e->leads[0];
	const char *host = ln_dns_host_of(msg->qname);

	memcpy(self->name, host, strlen(host) + 1);
	self->chain[0] = '\0';
	self->ttl_s = UINT32_MAX;
	self->expires_ns = UINT64_MAX;
	e->n_leads = 1;
	if (f->trusted)
		e->n_leads += ln_aliases_find(e->aliases, f->agent, host, e->now_ns, self + 1,
					      LN_ARRAY_SIZE(e->leads) - 1);
}

static void learn_addresses(struct ln_engine *e, const struct ln_finding *f,
			    const struct ln_dns_message *msg, const struct ln_alias *lead)
{
	struct ln_name_evidence evidence = {
	    .source = f->trusted ? LN_NAME_ANSWER : LN_NAME_UNTRUSTED,
	    .grants = f->trusted,
	    .pid = f->pid,
	    .seen_ns = e->now_ns,
	};
	struct ln_chain chain;

	memcpy(evidence.name, lead->name, sizeof(evidence.name));
	for (size_t i = 0; i < msg->n_addrs; i++) {
		const struct ln_dns_addr *addr = &msg->addrs[i];

		ln_chain_start(&chain);
		ln_chain_append(&chain, lead->chain);
		ln_dns_chain_to(msg, addr, &chain);
		evidence.chain = chain.text;
		evidence.ttl_s = LN_MIN(addr->ttl_s, lead->ttl_s);
		evidence.expires_ns = LN_MIN(expiry(e, addr->ttl_s), lead->expires_ns);
		ln_engine_add_name(e, f->agent, &addr->addr, &evidence);
	}
}

static void learn_alias(struct ln_engine *e, uint32_t agent, const struct ln_alias *lead,
			const struct ln_chain *way, const char *target, uint32_t ttl_s)
{
	struct ln_alias alias = *lead;
	struct ln_chain chain;
	uint64_t evicted;

	ln_chain_start(&chain);
	ln_chain_append(&chain, lead->chain);
	ln_chain_append(&chain, way->text);
	memcpy(alias.chain, chain.text, chain.len + 1);
	alias.ttl_s = LN_MIN(ttl_s, lead->ttl_s);
	alias.expires_ns = LN_MIN(expiry(e, ttl_s), lead->expires_ns);
	(void)ln_aliases_add(e->aliases, agent, target, &alias, e->now_ns);
	evicted = ln_aliases_evicted(e->aliases);
	if (evicted != e->aliases_evicted) {
		e->sum.tables_full += evicted - e->aliases_evicted;
		ln_losses_add(e, agent, "too many aliases of names: the oldest were forgotten",
			      evicted - e->aliases_evicted);
	}
	e->aliases_evicted = evicted;
}

/* A stub may ask for each of them next. */
static void learn_aliases(struct ln_engine *e, uint32_t agent, const struct ln_dns_message *msg,
			  const struct ln_alias *lead)
{
	struct ln_chain way;

	ln_chain_start(&way);
	for (size_t i = 0; i < msg->n_chain; i++) {
		ln_chain_add(&way, msg->chain[i]);
		learn_alias(e, agent, lead, &way, msg->chain[i], msg->chain_ttl_s[i]);
	}
	for (size_t i = 0; i < msg->n_targets; i++) {
		const struct ln_dns_target *target = &msg->targets[i];

		ln_chain_start(&way);
		for (size_t k = 0; k < target->n_links; k++)
			ln_chain_add(&way, msg->chain[k]);
		ln_chain_add(&way, target->name);
		learn_alias(e, agent, lead, &way, target->name, target->ttl_s);
	}
}

/* Who has the address chooses what it is called there: it never grants. */
static void learn_reverse(struct ln_engine *e, const struct ln_finding *f,
			  const struct ln_dns_message *msg)
{
	struct ln_name_evidence evidence = {
	    .source = LN_NAME_PTR,
	    .pid = f->pid,
	    .seen_ns = e->now_ns,
	};

	for (size_t i = 0; i < msg->n_targets; i++) {
		memcpy(evidence.name, msg->targets[i].name, sizeof(evidence.name));
		evidence.ttl_s = msg->targets[i].ttl_s;
		evidence.expires_ns = expiry(e, evidence.ttl_s);
		ln_engine_add_name(e, f->agent, &msg->reverse, &evidence);
	}
}

/* A message that failed, or could not be read, teaches nothing. */
void ln_learn_answer(struct ln_engine *e, const struct ln_finding *f,
		     const struct ln_dns_message *msg)
{
	if (msg->qtype == LN_DNS_PTR) {
		if (f->trusted && msg->reverse.family != 0)
			learn_reverse(e, f, msg);
		return;
	}
	if (msg->n_addrs + msg->n_chain + msg->n_targets == 0)
		return;
	find_leads(e, f, msg);
	for (size_t i = 0; i < e->n_leads; i++) {
		learn_addresses(e, f, msg, &e->leads[i]);
		if (f->trusted)
			learn_aliases(e, f->agent, msg, &e->leads[i]);
	}
}
