/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages of the agent: its questions are judged and remembered, and an answer grants only
 * when a trusted resolver gives it to a question that is pending. */
#include "internal.h"

#include <errno.h>
#include <string.h>
#include "base/table.h"

#define UNREADABLE "DNS message could not be read."

/* What an answer has to match; the name is as long as it is, no padding before it. */
struct question_key {
	uint64_t flow_id;
	uint32_t agent;
	uint16_t dns_id;
	uint16_t qtype;
	char name[LN_NAME_MAX];
};

struct ln_question {
	uint64_t until_ns;
	uint32_t pid, tid;
	UT_hash_handle hh;
	size_t key_len;
	char key[]; /* of a struct question_key */
};

static size_t make_key(const struct ln_event *ev, const struct ln_flow *flow,
		       const struct ln_dns_message *msg, struct question_key *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->flow_id = flow->id;
	ret->agent = ev->agent;
	ret->dns_id = msg->id;
	ret->qtype = msg->qtype;
	memcpy(ret->name, msg->qname, strlen(msg->qname));
	return offsetof(struct question_key, name) + strlen(ret->name);
}

static void forget(struct ln_engine *e, struct ln_question *q)
{
	HASH_DEL(e->questions, q);
	free(q);
}

static struct ln_question *find(struct ln_engine *e, const struct ln_event *ev,
				const struct ln_flow *flow, const struct ln_dns_message *msg)
{
	struct question_key key;
	size_t len = make_key(ev, flow, msg, &key);
	struct ln_question *q;

	while (e->questions && e->questions->until_ns < e->now_ns)
		forget(e, e->questions);
	HASH_FIND(hh, e->questions, &key, len, q);
	return q;
}

/* Without memory the answer will name, and not grant. */
static void remember(struct ln_engine *e, const struct ln_event *ev, const struct ln_flow *flow,
		     const struct ln_dns_message *msg)
{
	struct question_key key;
	size_t len = make_key(ev, flow, msg, &key);
	struct ln_question *q = find(e, ev, flow, msg);

	if (q)
		forget(e, q); /* asked again: its life begins anew, at the end of the queue */
	if (HASH_COUNT(e->questions) >= LN_QUESTIONS_MAX) {
		forget(e, e->questions);
		e->sum.tables_full++;
		ln_losses_add(e, ev->agent, "too many DNS questions at once: one was forgotten", 1);
	}
	q = calloc(1, sizeof(*q) + len);
	if (!q)
		return;
	q->until_ns = e->now_ns + LN_QUESTION_LIFE_NS;
	q->pid = ev->pid;
	q->tid = ev->tid;
	q->key_len = len;
	memcpy(q->key, &key, len);
	HASH_ADD(hh, e->questions, key, len, q);
	if (!q->hh.tbl)
		free(q);
}

/* NULL: a question of one name. */
static const char *problem_of(int error, const struct ln_dns_message *msg)
{
	if (error == -EBADMSG)
		return UNREADABLE;
	if (msg->response || msg->opcode != 0)
		return "DNS message that goes out is not a question.";
	if (error < 0)
		return "DNS question is not one host name.";
	return NULL;
}

/* Only a name that is covered needs a message that is whole. */
static void judge_question(struct ln_engine *e, struct ln_finding *f, const char *problem,
			   const struct ln_dns_message *msg)
{
	struct ln_name_judgement j = {0};

	f->query = "";
	f->verdict = LN_VERDICT_UNEXPECTED;
	f->reason = problem;
	if (!msg->has_question)
		return;
	ln_judge_name(e, f->agent, msg->qname, &j);
	if (problem && j.covered)
		return;
	f->query = msg->qname;
	f->rule = j.rule;
	f->reason = j.reason;
	if (j.covered)
		f->verdict = LN_VERDICT_DNS;
}

static void take_question(struct ln_engine *e, const struct ln_event *ev,
			  const struct ln_flow *flow, int error, const struct ln_dns_message *msg)
{
	struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_DNS_QUERY);
	const char *problem = problem_of(error, msg);

	e->sum.dns_queries++;
	f.event_kind = LN_EVENT_DNS;
	f.flow = flow;
	f.trusted = ln_engine_is_resolver(e, f.flow);
	f.qtype = msg->qtype;
	judge_question(e, &f, problem, msg);
	if (f.verdict == LN_VERDICT_UNEXPECTED) {
		e->sum.dns_unexpected++;
		f.title = LN_TITLE_NAME;
		/* To anybody else the flow is an alert already. */
		if (f.query[0] != '\0' || f.trusted || ln_judge_is_name_multicast(f.flow))
			ln_repeats_query(e, &f);
		if (f.query[0] != '\0' && f.repeat_of == 0)
			f.hint = ln_hint_name(e, f.query);
	}
	if (f.trusted && !problem)
		remember(e, ev, flow, msg);
	ln_engine_emit(e, &f);
}

/* A message that failed, or could not be read, has no addresses. */
static void learn(struct ln_engine *e, const struct ln_finding *f, const struct ln_dns_message *msg)
{
	struct ln_name_evidence evidence = {
	    .source = f->trusted ? LN_NAME_ANSWER : LN_NAME_UNTRUSTED,
	    .grants = f->trusted,
	    .pid = f->pid,
	    .seen_ns = e->now_ns,
	};
	struct ln_chain chain;

	memcpy(evidence.name, msg->qname, sizeof(evidence.name));
	for (size_t i = 0; i < msg->n_addrs; i++) {
		uint32_t ttl_s = msg->addrs[i].ttl_s;
		uint32_t life_s = LN_MIN(LN_MAX(ttl_s, LN_TTL_MIN_S), LN_TTL_MAX_S);

		ln_chain_start(&chain);
		ln_dns_chain_to(msg, &msg->addrs[i], &chain);
		evidence.chain = chain.text;
		evidence.ttl_s = ttl_s;
		evidence.expires_ns = e->now_ns + life_s * LN_NS_PER_S;
		ln_engine_add_name(e, f->agent, &msg->addrs[i].addr, &evidence);
		e->answers[i] = msg->addrs[i].addr;
	}
}

static void take_answer(struct ln_engine *e, const struct ln_event *ev, const struct ln_flow *flow,
			int error, const struct ln_dns_message *msg)
{
	struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_DNS_ANSWER);
	struct ln_question *q = NULL;

	if (error == 0 && ln_engine_is_resolver(e, flow))
		q = find(e, ev, flow, msg);
	if (q) {
		f.trusted = true;
		f.pid = q->pid;
		f.tid = q->tid;
		f.proc = ln_tree_find(e->tree, q->pid);
		forget(e, q);
	}
	f.event_kind = LN_EVENT_DNS;
	f.flow = flow;
	f.query = msg->qname;
	f.qtype = msg->qtype;
	f.rcode = msg->rcode;
	if (error == -EBADMSG)
		f.reason = UNREADABLE;
	else if (!f.trusted)
		f.reason = "not asked for, or not by a trusted resolver: it names and grants "
			   "nothing";
	learn(e, &f, msg);
	f.answers = e->answers;
	f.n_answers = msg->n_addrs;
	ln_engine_emit(e, &f);
}

bool ln_questions_message(struct ln_engine *e, const struct ln_event *ev,
			  const struct ln_dns_bytes *m)
{
	struct ln_dns_message msg;
	int error = ln_dns_parse(m->bytes, m->len, &msg);

	if (error == -EBADMSG)
		e->sum.dns_malformed++;
	if (!m->answer)
		take_question(e, ev, m->flow, error, &msg);
	else if (error == -EBADMSG || msg.response)
		take_answer(e, ev, m->flow, error, &msg);
	return error != -EBADMSG;
}

void ln_questions_done(struct ln_engine *e)
{
	while (e->questions)
		forget(e, e->questions);
}
