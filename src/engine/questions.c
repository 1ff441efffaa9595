/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages of the agent: its questions are judged and remembered, and an answer grants only
 * when a trusted resolver gives it to a question that is pending. */
#include "base/table.h"
#include "questions.h"

#include <errno.h>
#include <string.h>

#define UNREADABLE "DNS message could not be read."

static size_t make_key(uint32_t agent, const struct ln_flow *flow, const struct ln_dns_message *msg,
		       struct ln_question_key *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->flow_id = flow->id;
	ret->agent = agent;
	ret->dns_id = msg->id;
	ret->qtype = msg->qtype;
	memcpy(ret->name, msg->qname, strlen(msg->qname) + 1);
	return offsetof(struct ln_question_key, name) + strlen(ret->name) + 1;
}

void ln_questions_doubt(struct ln_engine *e, uint64_t from_ns)
{
	e->unsure_until_ns = LN_MAX(e->unsure_until_ns, from_ns + LN_QUESTION_DOUBT_NS);
}

static void drop_past(struct ln_engine *e, struct ln_question *q)
{
	HASH_DEL(e->past_questions, q);
	ln_questions_doubt(e, q->asked_ns);
	free(q);
}

/* It waits for no answer any more; one may come all the same. */
static void retire(struct ln_engine *e, struct ln_question *q)
{
	struct ln_question *same;

	HASH_DEL(e->questions, q);
	HASH_FIND(hh, e->past_questions, &q->key, q->key_len, same);
	if (same) {
		HASH_DEL(e->past_questions, same);
		free(same);
	}
	if (HASH_COUNT(e->past_questions) >= LN_QUESTIONS_MAX)
		drop_past(e, e->past_questions);
	q->until_ns = e->now_ns + LN_QUESTION_PAST_NS;
	HASH_ADD(hh, e->past_questions, key, q->key_len, q);
	if (!q->hh.tbl) {
		ln_losses_no_memory(e, q->key.agent);
		ln_questions_doubt(e, q->asked_ns);
		free(q);
	}
}

static void age(struct ln_engine *e)
{
	while (e->questions && e->questions->until_ns < e->now_ns)
		retire(e, e->questions);
	while (e->past_questions && e->past_questions->until_ns < e->now_ns)
		drop_past(e, e->past_questions);
}

static struct ln_question *find(struct ln_engine *e, uint32_t agent, const struct ln_flow *flow,
				const struct ln_dns_message *msg)
{
	struct ln_question_key key;
	size_t len = make_key(agent, flow, msg, &key);
	struct ln_question *q;

	HASH_FIND(hh, e->questions, &key, len, q);
	return q;
}

/* NULL: no memory. Then the answer names, and does not grant. */
static struct ln_question *add(struct ln_engine *e, const struct ln_event *ev,
			       const struct ln_flow *flow, const struct ln_dns_message *msg)
{
	struct ln_question_key key;
	size_t len = make_key(ev->agent, flow, msg, &key);
	struct ln_question *q = calloc(1, offsetof(struct ln_question, key) + len);

	if (!q)
		return NULL;
	q->asked_ns = e->now_ns;
	q->until_ns = e->now_ns + LN_QUESTION_LIFE_NS;
	q->pid = ev->pid;
	q->tid = ev->tid;
	q->resolver = flow->remote;
	q->local_port = flow->local.port;
	q->case_hash = ln_table_hash(msg->qname_raw, strlen(msg->qname_raw));
	q->mixed_case = strcmp(msg->qname_raw, msg->qname) != 0;
	q->key_len = len;
	memcpy(&q->key, &key, len);
	HASH_ADD(hh, e->questions, key, len, q);
	if (!q->hh.tbl)
		free(LN_TAKE_PTR(q));
	return q;
}

static void remember(struct ln_engine *e, const struct ln_event *ev, const struct ln_flow *flow,
		     const struct ln_dns_message *msg)
{
	struct ln_question *q = find(e, ev->agent, flow, msg);

	if (q) { /* asked again: its life begins anew, at the end of the queue */
		HASH_DEL(e->questions, q);
		free(q);
	}
	if (HASH_COUNT(e->questions) >= LN_QUESTIONS_MAX) {
		retire(e, e->questions);
		e->sum.tables_full++;
		ln_losses_add(e, ev->agent, "too many DNS questions at once: one was forgotten", 1);
	}
	if (!add(e, ev, flow, msg)) {
		ln_losses_no_memory(e, ev->agent);
		ln_questions_doubt(e, e->now_ns);
	}
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
	if (j.rule && !j.covered)
		e->rule_hits[j.rule->id]++;
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
	f.question = ev->kind == LN_EVENT_DNS ? ev->dns.question : 0;
	f.trusted = ln_engine_is_resolver(e, f.flow);
	f.qtype = msg->qtype;
	judge_question(e, &f, problem, msg);
	if (f.verdict == LN_VERDICT_UNEXPECTED) {
		e->sum.dns_unexpected++;
		f.title = LN_TITLE_NAME;
		if (f.query[0] != '\0')
			f.group = ln_tunnels_question(e, f.agent, msg);
		/* To anybody else the flow is an alert already. */
		if (f.query[0] != '\0' || f.trusted || ln_judge_is_name_multicast(f.flow))
			ln_repeats_query(e, &f);
		if (f.query[0] != '\0' && f.repeat_of == 0 && !f.rule)
			f.hint = ln_hint_name(e, f.query);
	}
	if (f.trusted && msg->has_question && !msg->response)
		remember(e, ev, flow, msg);
	if (!f.trusted)
		e->untrusted_ns = e->now_ns;
	ln_engine_emit(e, &f);
}

/* What the resolver was asked for, though something in it may not belong: that counts for nothing.
 * After any other forgery the true answer may still come. */
static bool is_the_answer(enum ln_forgery forgery)
{
	return forgery == LN_FORGERY_NONE || forgery == LN_FORGERY_FOREIGN ||
	       forgery == LN_FORGERY_LOCAL;
}

static const char *ungranted(int error)
{
	if (error == -EBADMSG)
		return UNREADABLE;
	return "not asked for, or not by a trusted resolver: it names and grants nothing";
}

/* Whether who answers may be another than who was asked. */
static bool is_routed(const struct ln_engine *e, const struct ln_flow *flow)
{
	struct ln_flow_memory memory;

	return ln_flows_recall(e, flow->id, &memory) && memory.routed;
}

static void take_answer(struct ln_engine *e, const struct ln_event *ev,
			const struct ln_dns_bytes *m, int error, const struct ln_dns_message *msg)
{
	struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_DNS_ANSWER);
	struct ln_question *q = NULL;

	if (error == 0 && !m->stranger && ln_engine_is_resolver(e, m->flow) &&
	    !is_routed(e, m->flow))
		q = find(e, ev->agent, m->flow, msg);
	if (error == 0)
		f.forgery = ln_forged_find(e, ev->agent, m, msg, q);
	if (q) {
		f.pid = q->pid;
		f.tid = q->tid;
		f.proc = ln_tree_find(e->tree, q->pid);
	}
	if (q && is_the_answer(f.forgery)) {
		f.trusted = true;
		retire(e, q);
	}
	f.event_kind = LN_EVENT_DNS;
	f.flow = m->flow;
	f.query = msg->qname;
	f.qtype = msg->qtype;
	f.rcode = msg->rcode;
	f.message = msg;
	if (!f.trusted)
		f.reason = ungranted(error);
	ln_learn_answer(e, &f, msg);
	/* The kernel may have taken it for one: it looks at less. */
	for (size_t i = 0; !f.trusted && i < msg->n_addrs; i++)
		ln_engine_revoke(e, f.agent, &msg->addrs[i].addr);
	for (size_t i = 0; i < msg->n_addrs; i++)
		e->answers[i] = msg->addrs[i].addr;
	f.answers = e->answers;
	f.n_answers = msg->n_addrs;
	if (q)
		ln_tunnels_answer(e, f.agent, msg, m->len);
	if (f.forgery != LN_FORGERY_NONE)
		ln_forged_tell(e, msg, &f);
	ln_engine_emit(e, &f);
}

bool ln_questions_message(struct ln_engine *e, const struct ln_event *ev,
			  const struct ln_dns_bytes *m)
{
	struct ln_dns_message msg;
	int error = ln_dns_parse(m->bytes, m->len, &msg);

	if (error == -EBADMSG)
		e->sum.dns_malformed++;
	age(e);
	if (!m->answer)
		take_question(e, ev, m->flow, error, &msg);
	else if (error == -EBADMSG || msg.response)
		take_answer(e, ev, m, error, &msg);
	return error != -EBADMSG;
}

static void drop_all(struct ln_question **list)
{
	while (*list) {
		struct ln_question *q = *list;

		HASH_DEL(*list, q);
		free(q);
	}
}

void ln_questions_done(struct ln_engine *e)
{
	drop_all(&e->questions);
	drop_all(&e->past_questions);
}
