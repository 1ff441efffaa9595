/* SPDX-License-Identifier: Apache-2.0 */
/* DNS answers that cannot be what they say: nobody asked for them, or not there, or what they say
 * does not belong. They grant nothing. An answer to a question that may have been missed is not
 * held against anybody, nor is one that comes late or twice. */
#include "base/table.h"
#include "questions.h"

#include <string.h>

#define PORT_MDNS  5353
#define PORT_LLMNR 5355

/* How the question that an answer repeats was asked. */
enum asked {
	ASKED_NOT,
	ASKED_THIS,      /* of this resolver, on this socket, with this id */
	ASKED_ELSEWHERE, /* the same, of another resolver */
	ASKED_OTHERWISE, /* its name and type, waiting here with another id or on another port */
	ASKED_OTHER,     /* its id waits here, with another name or type */
};

static const char *const reasons[] = {
    [LN_FORGERY_NONE] = NULL,
    [LN_FORGERY_SOURCE] = "Answer came from another address than the one that was asked.",
    [LN_FORGERY_ID] = "Transaction id or port of the answer is not that of the question.",
    [LN_FORGERY_QUESTION] = "Answer is to another question than the one with its transaction id.",
    [LN_FORGERY_CASE] = "Answer has the name of the question in other capital letters.",
    [LN_FORGERY_UNASKED] = "Answer to a question that nobody asked.",
    [LN_FORGERY_FOREIGN] = "Answer has records that do not belong to the question.",
    [LN_FORGERY_LOCAL] = "Answer says that a listed name is this host itself.",
    [LN_FORGERY_OWN] = "Answered by the agent itself.",
};
_Static_assert(LN_ARRAY_SIZE(reasons) == LN_FORGERY_COUNT, "a reason for each");

static bool same_endpoint(const struct ln_endpoint *a, const struct ln_endpoint *b)
{
	return a->port == b->port && ln_addr_equal(&a->addr, &b->addr);
}

/* The slot of a destination may have been given away and taken again since: the flow is another
 * one then, the socket's port is not. */
static bool same_socket(const struct ln_question *q, const struct ln_flow *flow)
{
	return q->key.flow_id == flow->id ||
	       (q->local_port != 0 && q->local_port == flow->local.port);
}

static enum asked compare(const struct ln_question *q, uint32_t agent, const struct ln_flow *flow,
			  const struct ln_dns_message *msg, bool waits)
{
	bool same_id = q->key.dns_id == msg->id;
	bool same_question = q->key.qtype == msg->qtype && strcmp(q->key.name, msg->qname) == 0;
	bool same_resolver = same_endpoint(&q->resolver, &flow->remote);

	if (q->key.agent != agent)
		return ASKED_NOT;
	if (same_question && same_id && !same_resolver)
		return ASKED_ELSEWHERE;
	if (same_question && same_id && same_socket(q, flow))
		return ASKED_THIS;
	if (!waits || !same_resolver)
		return ASKED_NOT;
	if (same_question)
		return ASKED_OTHERWISE;
	return same_id && same_socket(q, flow) ? ASKED_OTHER : ASKED_NOT;
}

/* The best that the questions say. Only an answer that matches none gets here. */
static enum asked search(struct ln_engine *e, uint32_t agent, const struct ln_flow *flow,
			 const struct ln_dns_message *msg)
{
	const struct ln_question *q;
	enum asked best = ASKED_NOT;

	for (int waits = 0; waits < 2; waits++) {
		for (q = waits ? e->questions : e->past_questions; q; q = q->hh.next) {
			enum asked asked = compare(q, agent, flow, msg, waits);

			if (asked == ASKED_THIS)
				return asked;
			if (asked != ASKED_NOT && (best == ASKED_NOT || asked < best))
				best = asked;
		}
	}
	return best;
}

/* Whether questions may have been asked that are not known. */
static bool is_unsure(const struct ln_engine *e, const struct ln_flow *flow)
{
	return e->now_ns < e->unsure_until_ns || flow->existing;
}

static enum ln_forgery judge_asked_otherwise(enum asked asked)
{
	if (asked == ASKED_OTHERWISE)
		return LN_FORGERY_ID;
	return asked == ASKED_OTHER ? LN_FORGERY_QUESTION : LN_FORGERY_UNASKED;
}

/* It came over a socket of the tree from where the tree has sent nothing by it. A responder of the
 * local network answers a question to a group from its own address, and whoever is asked beside the
 * trusted resolvers may have several addresses: that he was asked has been told. */
static enum ln_forgery judge_stranger(struct ln_engine *e, uint32_t agent,
				      const struct ln_dns_bytes *m,
				      const struct ln_dns_message *msg)
{
	uint16_t port = m->flow->remote.port;
	enum asked asked = search(e, agent, m->flow, msg);

	if (port == PORT_MDNS || port == PORT_LLMNR)
		return LN_FORGERY_NONE;
	if (asked == ASKED_ELSEWHERE)
		return LN_FORGERY_SOURCE;
	/* THIS: of a resolver whose slot was given away */
	if (asked == ASKED_THIS || is_unsure(e, m->flow) ||
	    (e->untrusted_ns != 0 && e->now_ns - e->untrusted_ns < LN_QUESTION_DOUBT_NS))
		return LN_FORGERY_NONE;
	return judge_asked_otherwise(asked);
}

/* From a trusted resolver, as it seems, and no question waits for it. */
static enum ln_forgery judge_unasked(struct ln_engine *e, uint32_t agent,
				     const struct ln_dns_bytes *m, const struct ln_dns_message *msg)
{
	enum asked asked = search(e, agent, m->flow, msg);

	if (asked == ASKED_THIS || is_unsure(e, m->flow))
		return LN_FORGERY_NONE;
	return judge_asked_otherwise(asked);
}

/* A resolver that the agent runs may pass on what a trusted one said. */
static bool is_known(struct ln_engine *e, uint32_t agent, const char *name,
		     const struct ln_addr *addr)
{
	e->n_found =
	    ln_names_find(e->names, agent, addr, e->now_ns, e->found, LN_ARRAY_SIZE(e->found));
	for (size_t i = 0; i < e->n_found; i++) {
		if ((e->found[i].grants || e->found[i].source == LN_NAME_HOSTS) &&
		    strcmp(e->found[i].name, name) == 0)
			return true;
	}
	return false;
}

static bool is_own(struct ln_engine *e, uint32_t agent, const struct ln_dns_message *msg)
{
	for (size_t i = 0; i < msg->n_addrs; i++) {
		if (!is_known(e, agent, msg->qname, &msg->addrs[i].addr))
			return true;
	}
	return false;
}

/* What a resolver says about the machine's own name, from its hosts, has no dot or is in the
 * agent's hosts as well. */
static bool is_local(struct ln_engine *e, uint32_t agent, const struct ln_dns_message *msg)
{
	if (!strchr(msg->qname, '.') || ln_name_under(msg->qname, "localhost"))
		return false;
	for (size_t i = 0; i < msg->n_addrs; i++) {
		const struct ln_addr *addr = &msg->addrs[i].addr;

		/* 0.0.0.0 leads to this host, too, on Linux. */
		if ((ln_addr_is_loopback(addr) || ln_addr_is_unspecified(addr)) &&
		    !ln_policy_covers_addr(e->policy, addr, ln_engine_wall_s(e)) &&
		    !is_known(e, agent, msg->qname, addr))
			return true;
	}
	return false;
}

/* A client may write the name in a mixture of capital letters that a forger has to guess. Servers
 * copy it; few do not, so this counts only of a resolver that was seen to copy one. */
static bool is_wrong_case(struct ln_engine *e, const struct ln_flow *flow,
			  const struct ln_dns_message *msg, const struct ln_question *q)
{
	bool same = q->case_hash == ln_table_hash(msg->qname_raw, strlen(msg->qname_raw));

	for (size_t i = 0; i < e->n_resolvers; i++) {
		if (!same_endpoint(&e->resolvers[i], &flow->remote))
			continue;
		e->keeps_case[i] |= same && q->mixed_case;
		return !same && e->keeps_case[i];
	}
	return false;
}

static enum ln_forgery judge_asked(struct ln_engine *e, uint32_t agent,
				   const struct ln_dns_bytes *m, const struct ln_dns_message *msg,
				   const struct ln_question *q, bool listed)
{
	if (is_wrong_case(e, m->flow, msg, q))
		return LN_FORGERY_CASE;
	if (msg->foreign_answers > 0 || msg->foreign_additional > 0)
		return LN_FORGERY_FOREIGN;
	return listed && is_local(e, agent, msg) ? LN_FORGERY_LOCAL : LN_FORGERY_NONE;
}

enum ln_forgery ln_forged_find(struct ln_engine *e, uint32_t agent, const struct ln_dns_bytes *m,
			       const struct ln_dns_message *msg, const struct ln_question *q)
{
	bool listed = ln_policy_covers_name(e->policy, msg->qname, ln_engine_wall_s(e)) != NULL;

	if (m->stranger)
		return judge_stranger(e, agent, m, msg);
	if (m->flow->same_tree)
		return listed && is_own(e, agent, msg) ? LN_FORGERY_OWN : LN_FORGERY_NONE;
	if (!ln_engine_is_resolver(e, m->flow))
		return LN_FORGERY_NONE; /* that he is asked is told already */
	return q ? judge_asked(e, agent, m, msg, q, listed) : judge_unasked(e, agent, m, msg);
}

void ln_forged_tell(struct ln_engine *e, const struct ln_dns_message *msg, struct ln_finding *f)
{
	f->title = LN_TITLE_FORGED;
	f->verdict = LN_VERDICT_UNEXPECTED;
	f->reason = reasons[f->forgery];
	e->sum.dns_forged++;
	ln_repeats_take(e, f);
	if (f->forgery != LN_FORGERY_FOREIGN || msg->foreign_name[0] == '\0' || f->repeat_of != 0)
		return;
	ln_buf_reset(&e->hint);
	ln_buf_addf(&e->hint, "the first of them is about %s", msg->foreign_name);
	f->hint = ln_buf_text(&e->hint);
}
