/* SPDX-License-Identifier: Apache-2.0 */
#include "record_event.h"

#include <string.h>
#include <sys/wait.h>
#include "base/text.h"
#include "describe.h"
#include "dns/chain.h"
#include "dns/message.h"
#include "engine/words.h"
#include "json.h"

static void add_chain(struct ln_buf *b, const char *chain)
{
	const char *name, *at = chain;
	size_t len;
	bool first = true;

	LN_JSON_KEY(b, "cname");
	ln_json_text(b, ln_chain_last(chain));
	LN_JSON_KEY(b, "chain");
	ln_buf_addc(b, '[');
	while (ln_chain_next(&at, &name, &len)) {
		if (!first)
			ln_buf_addc(b, ',');
		first = false;
		ln_text_json(b, name, len);
	}
	ln_buf_addc(b, ']');
}

/* Whole seconds from one time to another, which may lie before it. */
static void add_seconds(struct ln_buf *b, uint64_t from_ns, uint64_t to_ns)
{
	if (to_ns < from_ns)
		ln_buf_addc(b, '-');
	ln_json_number(b, (to_ns < from_ns ? from_ns - to_ns : to_ns - from_ns) / LN_NS_PER_S);
}

static void add_evidence(struct ln_buf *b, const struct ln_finding *f,
			 const struct ln_name_evidence *e)
{
	LN_JSON_OPEN(b, "name");
	ln_json_text(b, e->name);
	LN_JSON_KEY(b, "source");
	ln_json_text(b, ln_name_source_text(e->source));
	LN_JSON_KEY(b, "grants");
	ln_json_bool(b, e->grants);
	LN_JSON_KEY(b, "stale");
	ln_json_bool(b, e->stale);
	LN_JSON_KEY(b, "ttl");
	ln_json_number(b, e->ttl_s);
	LN_JSON_KEY(b, "asked_by");
	if (e->pid == 0)
		LN_JSON_ADD(b, "null");
	else
		ln_json_number(b, e->pid);
	LN_JSON_KEY(b, "age");
	add_seconds(b, LN_MIN(e->seen_ns, f->time_ns), f->time_ns);
	LN_JSON_KEY(b, "expires_in");
	if (e->expires_ns == UINT64_MAX || ln_name_source_is_claim(e->source))
		LN_JSON_ADD(b, "null");
	else
		add_seconds(b, f->time_ns, e->expires_ns);
	if (e->chain && e->chain[0] != '\0')
		add_chain(b, e->chain);
	ln_buf_addc(b, '}');
}

static void add_evidences(struct ln_buf *b, const struct ln_finding *f,
			  const struct ln_name_evidence *list, size_t n)
{
	ln_buf_addc(b, '[');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			ln_buf_addc(b, ',');
		add_evidence(b, f, &list[i]);
	}
	ln_buf_addc(b, ']');
}

static void add_names(struct ln_buf *b, const struct ln_finding *f)
{
	LN_JSON_KEY(b, "names");
	add_evidences(b, f, f->names, f->n_names);
}

static bool is_nobody(const struct ln_party *p)
{
	return p->pid == 0 && p->comm[0] == '\0';
}

static void add_party(struct ln_buf *b, const struct ln_party *p)
{
	if (is_nobody(p)) {
		LN_JSON_ADD(b, "null");
		return;
	}
	LN_JSON_OPEN(b, "pid");
	ln_json_number(b, p->pid);
	LN_JSON_KEY(b, "comm");
	ln_json_text(b, p->comm[0] != '\0' ? p->comm : NULL);
	ln_buf_addc(b, '}');
}

static void add_proto(struct ln_buf *b, uint8_t proto)
{
	ln_buf_addc(b, '"');
	ln_describe_proto(b, proto);
	ln_buf_addc(b, '"');
}

static void add_socket(struct ln_buf *b, const struct ln_flow *flow)
{
	LN_JSON_KEY(b, "id");
	ln_json_hex(b, flow->id);
	LN_JSON_KEY(b, "proto");
	add_proto(b, flow->proto);
	LN_JSON_KEY(b, "remote");
	ln_json_endpoint(b, &flow->remote);
	LN_JSON_KEY(b, "local");
	ln_json_endpoint(b, &flow->local);
}

/* In whose hands the socket is. Nearly all are plain, which is one copy. */
static void add_hands(struct ln_buf *b, const struct ln_flow *flow)
{
	if (flow->how == LN_HOW_TASK && !flow->received && !flow->passed && !flow->inbound &&
	    is_nobody(&flow->other) && is_nobody(&flow->listener)) {
		LN_JSON_ADD(b, ",\"how\":\"task\",\"received\":false,\"passed\":false,"
			       "\"inbound\":false,\"other\":null,\"listener\":null");
		return;
	}
	LN_JSON_KEY(b, "how");
	ln_json_text(b, ln_how_text(flow->how));
	LN_JSON_KEY(b, "received");
	ln_json_bool(b, flow->received);
	LN_JSON_KEY(b, "passed");
	ln_json_bool(b, flow->passed);
	LN_JSON_KEY(b, "inbound");
	ln_json_bool(b, flow->inbound);
	LN_JSON_KEY(b, "other");
	add_party(b, &flow->other);
	LN_JSON_KEY(b, "listener");
	add_party(b, &flow->listener);
}

static void add_dns_way(struct ln_buf *b, const struct ln_finding *f)
{
	if (f->dns_way == LN_DNS_WAY_NONE)
		return;
	LN_JSON_KEY(b, "dns");
	ln_json_text(b, ln_dns_way_text(f->dns_way));
}

static void add_flow(struct ln_buf *b, const struct ln_finding *f)
{
	const struct ln_flow *flow = f->flow;

	add_socket(b, flow);
	add_names(b, f);
	LN_JSON_KEY(b, "existing");
	ln_json_bool(b, flow->existing);
	LN_JSON_KEY(b, "same_tree");
	ln_json_bool(b, flow->same_tree);
	LN_JSON_KEY(b, "mptcp");
	ln_json_bool(b, flow->mptcp);
	LN_JSON_KEY(b, "uncounted");
	ln_json_bool(b, flow->uncounted);
	add_hands(b, flow);
	LN_JSON_KEY(b, "place");
	ln_json_text(b, f->place);
	if (flow->refused)
		LN_JSON_ADD(b, ",\"refused\":true");
	if (flow->would_refuse)
		LN_JSON_ADD(b, ",\"would_refuse\":true");
	add_dns_way(b, f);
}

static void add_count(struct ln_buf *b, bool known, uint64_t n)
{
	if (known)
		ln_json_number(b, n);
	else
		LN_JSON_ADD(b, "null");
}

static void add_end(struct ln_buf *b, const struct ln_finding *f)
{
	const struct ln_flow_end *e = f->end;
	bool counted = !f->flow->uncounted;

	LN_JSON_KEY(b, "duration_ms");
	ln_json_ms(b, f->time_ns > e->open_ns ? f->time_ns - e->open_ns : 0);
	LN_JSON_KEY(b, "tx_bytes");
	add_count(b, counted, e->tx_bytes);
	LN_JSON_KEY(b, "rx_bytes");
	add_count(b, counted, e->rx_bytes);
	LN_JSON_KEY(b, "tx_packets");
	add_count(b, counted, e->tx_packets);
	LN_JSON_KEY(b, "rx_packets");
	add_count(b, counted, e->rx_packets);
	LN_JSON_KEY(b, "outcome");
	ln_json_text(b, ln_outcome_text(e->outcome));
	LN_JSON_KEY(b, "evicted");
	ln_json_bool(b, e->evicted);
}

static void add_type(struct ln_buf *b, uint16_t qtype)
{
	const char *type = ln_dns_type_name(qtype);

	if (type) {
		ln_json_text(b, type);
		return;
	}
	LN_JSON_ADD(b, "\"TYPE");
	ln_json_number(b, qtype);
	ln_buf_addc(b, '"');
}

static void add_group(struct ln_buf *b, const struct ln_name_group *g)
{
	LN_JSON_KEY(b, "group");
	LN_JSON_OPEN(b, "domain");
	ln_json_text(b, g->domain);
	LN_JSON_KEY(b, "questions");
	ln_json_number(b, g->questions);
	LN_JSON_KEY(b, "names");
	ln_json_number(b, g->names);
	LN_JSON_KEY(b, "more");
	ln_json_bool(b, g->more);
	LN_JSON_KEY(b, "label_bytes");
	ln_json_number(b, g->label_bytes);
	LN_JSON_KEY(b, "answer_bytes");
	ln_json_number(b, g->answer_bytes);
	LN_JSON_KEY(b, "types");
	ln_buf_addc(b, '[');
	for (size_t i = 0; i < g->n_types; i++) {
		if (i > 0)
			ln_buf_addc(b, ',');
		add_type(b, g->types[i]);
	}
	LN_JSON_ADD(b, "]}");
}

static void add_question(struct ln_buf *b, const struct ln_finding *f)
{
	LN_JSON_KEY(b, "query");
	ln_json_text(b, f->query && f->query[0] != '\0' ? f->query : NULL);
	LN_JSON_KEY(b, "qtype");
	add_type(b, f->qtype);
	if (f->group)
		add_group(b, f->group);
}

static void add_forgery(struct ln_buf *b, enum ln_forgery forgery)
{
	LN_JSON_KEY(b, "forged");
	ln_json_text(b, ln_forgery_text(forgery));
}

static void add_ttl_name(struct ln_buf *b, const char *name, uint32_t ttl_s, bool first)
{
	ln_buf_addc(b, first ? '[' : ',');
	LN_JSON_OPEN(b, "name");
	ln_json_text(b, name);
	LN_JSON_KEY(b, "ttl");
	ln_json_number(b, ttl_s);
	ln_buf_addc(b, '}');
}

/* Which other names the answer led to. */
static void add_leads(struct ln_buf *b, const struct ln_dns_message *msg)
{
	if (msg->n_chain > 0) {
		LN_JSON_KEY(b, "aliases");
		for (size_t i = 0; i < msg->n_chain; i++)
			add_ttl_name(b, msg->chain[i], msg->chain_ttl_s[i], i == 0);
		ln_buf_addc(b, ']');
	}
	if (msg->n_targets > 0 && msg->qtype != LN_DNS_PTR) {
		LN_JSON_KEY(b, "services");
		for (size_t i = 0; i < msg->n_targets; i++)
			add_ttl_name(b, msg->targets[i].name, msg->targets[i].ttl_s, i == 0);
		ln_buf_addc(b, ']');
	}
}

static void add_dns(struct ln_buf *b, const struct ln_finding *f)
{
	add_socket(b, f->flow);
	add_question(b, f);
	LN_JSON_KEY(b, "trusted");
	ln_json_bool(b, f->trusted);
	if (f->kind != LN_FINDING_DNS_ANSWER)
		return;
	if (f->forgery != LN_FORGERY_NONE)
		add_forgery(b, f->forgery);
	LN_JSON_KEY(b, "rcode");
	ln_json_number(b, f->rcode);
	LN_JSON_KEY(b, "answers");
	ln_buf_addc(b, '[');
	for (size_t i = 0; i < f->n_answers; i++) {
		if (i > 0)
			ln_buf_addc(b, ',');
		ln_json_addr(b, &f->answers[i]);
	}
	ln_buf_addc(b, ']');
	if (f->message)
		add_leads(b, f->message);
}

static void add_process(struct ln_buf *b, const struct ln_finding *f)
{
	LN_JSON_KEY(b, "event");
	ln_json_text(b, ln_event_kind_text(f->event_kind));
	if (f->event_kind == LN_EVENT_FORK) {
		LN_JSON_KEY(b, "child");
		ln_json_number(b, f->child);
	} else if (f->event_kind == LN_EVENT_EXIT && WIFSIGNALED(f->exit_status)) {
		LN_JSON_KEY(b, "signal");
		ln_json_number(b, (uint64_t)WTERMSIG(f->exit_status));
	} else if (f->event_kind == LN_EVENT_EXIT) {
		LN_JSON_KEY(b, "status");
		ln_json_number(b, (uint64_t)WEXITSTATUS(f->exit_status));
	} else if (f->event_kind == LN_EVENT_CGROUP) {
		LN_JSON_KEY(b, "uncovered");
		ln_json_bool(b, f->uncovered);
	}
}

static void add_repeats(struct ln_buf *b, const struct ln_finding *f)
{
	LN_JSON_KEY(b, "count");
	ln_json_number(b, f->count);
	if (f->flow)
		add_socket(b, f->flow);
	if (f->query)
		add_question(b, f);
	if (f->forgery != LN_FORGERY_NONE)
		add_forgery(b, f->forgery);
	if (f->subject) {
		LN_JSON_KEY(b, "subject");
		ln_json_text(b, f->subject);
	}
	add_names(b, f);
}

static void add_wire(struct ln_buf *b, const struct ln_finding *f)
{
	const struct ln_flow *flow = f->flow;

	LN_JSON_KEY(b, "id");
	ln_json_hex(b, flow->id);
	LN_JSON_KEY(b, "proto");
	add_proto(b, flow->proto);
	LN_JSON_KEY(b, "named");
	ln_json_endpoint(b, &flow->remote);
	LN_JSON_KEY(b, "remote");
	ln_json_endpoint(b, f->wire);
	LN_JSON_KEY(b, "local");
	ln_json_endpoint(b, &flow->local);
	LN_JSON_KEY(b, "way");
	ln_json_text(b, ln_wire_why_text(f->wire_why));
	add_names(b, f);
	LN_JSON_KEY(b, "named_names");
	add_evidences(b, f, f->named, f->n_named);
	LN_JSON_KEY(b, "how");
	ln_json_text(b, ln_how_text(flow->how));
	LN_JSON_KEY(b, "place");
	ln_json_text(b, f->place);
}

/* The addresses of the socket that it is about. */
static void add_channel_flow(struct ln_buf *b, const struct ln_flow *flow)
{
	LN_JSON_KEY(b, "proto");
	add_proto(b, flow->proto);
	LN_JSON_KEY(b, "remote");
	ln_json_endpoint(b, &flow->remote);
	LN_JSON_KEY(b, "local");
	ln_json_endpoint(b, &flow->local);
}

static void add_channel_numbers(struct ln_buf *b, const struct ln_channel *c)
{
	LN_JSON_KEY(b, "family");
	ln_json_text(b, ln_family_text(c->family));
	LN_JSON_KEY(b, "socket_type");
	ln_json_text(b, ln_socktype_text(c->type));
	LN_JSON_KEY(b, "number");
	ln_json_number(b, c->number);
	if (c->kind == LN_CHANNEL_PRIVILEGE) {
		LN_JSON_KEY(b, "capability");
		ln_json_text(b, ln_capability_text(c->number));
		LN_JSON_KEY(b, "read_only");
		ln_json_bool(b, c->read_only);
		LN_JSON_KEY(b, "held_back");
		ln_json_number(b, c->held_back);
	}
}

static void add_channel(struct ln_buf *b, const struct ln_finding *f)
{
	const struct ln_channel *c = f->channel;

	LN_JSON_KEY(b, "channel");
	ln_json_text(b, ln_channel_kind_text(c->kind));
	LN_JSON_KEY(b, "subject");
	ln_json_text(b, f->subject);
	LN_JSON_KEY(b, "how");
	ln_json_text(b, ln_how_text(c->how));
	add_channel_numbers(b, c);
	LN_JSON_KEY(b, "syscall");
	ln_json_text(b, c->syscall);
	LN_JSON_KEY(b, "path");
	if (c->path)
		ln_text_json(b, c->path, c->path_len);
	else
		LN_JSON_ADD(b, "null");
	LN_JSON_KEY(b, "abstract");
	ln_json_bool(b, c->abstract);
	LN_JSON_KEY(b, "other");
	add_party(b, &c->other);
	LN_JSON_KEY(b, "same_tree");
	ln_json_bool(b, c->same_tree);
	LN_JSON_KEY(b, "own_ns");
	ln_json_bool(b, c->own_ns);
	LN_JSON_KEY(b, "existing");
	ln_json_bool(b, c->existing);
	LN_JSON_KEY(b, "refused");
	ln_json_bool(b, c->refused);
	if (f->flow)
		add_channel_flow(b, f->flow);
}

/* A name or an address, and a port. */
static void add_place(struct ln_buf *b, const char *name, const struct ln_addr *addr, uint16_t port)
{
	LN_JSON_OPEN(b, "name");
	ln_json_text(b, name[0] != '\0' ? name : NULL);
	LN_JSON_KEY(b, "ip");
	if (addr->family == 0)
		LN_JSON_ADD(b, "null");
	else
		ln_json_addr(b, addr);
	LN_JSON_KEY(b, "port");
	ln_json_number(b, port);
}

static void add_claim(struct ln_buf *b, const struct ln_finding *f)
{
	const struct ln_target *t = f->target;
	const struct ln_claim *c = f->claim;

	add_socket(b, f->flow);
	add_names(b, f);
	LN_JSON_KEY(b, "layer");
	ln_json_text(b, ln_layer_text(c->layer));
	LN_JSON_KEY(b, "depth");
	ln_json_number(b, c->depth);
	LN_JSON_KEY(b, "has_name");
	ln_json_bool(b, c->has_name);
	LN_JSON_KEY(b, "claimed");
	add_place(b, c->name, &c->addr, c->port);
	LN_JSON_ADD(b, "}");
	LN_JSON_KEY(b, "alpn");
	ln_json_text(b, c->alpn[0] != '\0' ? c->alpn : NULL);
	LN_JSON_KEY(b, "ech");
	ln_json_bool(b, c->ech);
	LN_JSON_KEY(b, "detail");
	ln_json_text(b, c->detail[0] != '\0' ? c->detail : NULL);
	LN_JSON_KEY(b, "target");
	add_place(b, t->name, &t->remote.addr, t->remote.port);
	LN_JSON_KEY(b, "relays");
	ln_json_number(b, t->depth);
	LN_JSON_KEY(b, "rule");
	ln_record_rule(b, t->rule, t->rule && t->name[0] != '\0' ? t->name : NULL);
	LN_JSON_ADD(b, "}");
	LN_JSON_KEY(b, "listener");
	add_party(b, &f->flow->listener);
	LN_JSON_KEY(b, "subject");
	ln_json_text(b, f->subject);
	LN_JSON_KEY(b, "notice");
	ln_json_bool(b, f->notice);
	add_dns_way(b, f);
}

static void add_tamper(struct ln_buf *b, const struct ln_finding *f)
{
	static const struct ln_party nobody;

	LN_JSON_KEY(b, "by");
	add_party(b, f->other ? f->other : &nobody);
}

static void add_policy(struct ln_buf *b, const struct ln_policy_news *p)
{
	LN_JSON_KEY(b, "file");
	ln_json_text(b, p->file);
	LN_JSON_KEY(b, "taken");
	ln_json_bool(b, !p->refused);
	LN_JSON_KEY(b, "rules");
	ln_json_number(b, p->n_rules);
	LN_JSON_KEY(b, "flows");
	ln_json_number(b, p->flows);
	LN_JSON_KEY(b, "now_unexpected");
	ln_json_number(b, p->now_unexpected);
	LN_JSON_KEY(b, "no_longer_unexpected");
	ln_json_number(b, p->no_longer);
}

void ln_record_event(struct ln_buf *b, const struct ln_finding *f)
{
	switch (f->kind) {
	case LN_FINDING_FLOW_OPEN:
		add_flow(b, f);
		if (f->held_ns > 0) {
			LN_JSON_KEY(b, "held_ms");
			ln_json_ms(b, f->held_ns);
		}
		break;
	case LN_FINDING_FLOW_CLOSE:
		add_flow(b, f);
		add_end(b, f);
		break;
	case LN_FINDING_DNS_QUERY:
	case LN_FINDING_DNS_ANSWER:
		add_dns(b, f);
		break;
	case LN_FINDING_NAME:
		LN_JSON_KEY(b, "ip");
		ln_json_addr(b, &f->addr);
		LN_JSON_KEY(b, "evidence");
		add_evidence(b, f, f->evidence);
		break;
	case LN_FINDING_PROCESS:
		add_process(b, f);
		break;
	case LN_FINDING_REPEATS:
		add_repeats(b, f);
		break;
	case LN_FINDING_WIRE:
		add_wire(b, f);
		break;
	case LN_FINDING_CHANNEL:
		add_channel(b, f);
		break;
	case LN_FINDING_CLAIM:
		add_claim(b, f);
		break;
	case LN_FINDING_LIMIT:
		add_flow(b, f);
		break;
	case LN_FINDING_VERDICT:
		add_flow(b, f);
		LN_JSON_KEY(b, "verdict_before");
		ln_json_text(b, ln_verdict_text(f->verdict_before));
		break;
	case LN_FINDING_POLICY:
		add_policy(b, f->policy);
		break;
	case LN_FINDING_TAMPER:
		add_tamper(b, f);
		break;
	case LN_FINDING_LOST:
		LN_JSON_KEY(b, "count");
		ln_json_number(b, f->count);
		break;
	case LN_FINDING_COUNT:
		break;
	}
}
