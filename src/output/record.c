/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/wait.h>
#include "base/clock.h"
#include "base/text.h"
#include "describe.h"
#include "dns/message.h"

#define UNUSED_RULES_MAX 1000

#define ADD(b, text)  ln_buf_add(b, text, sizeof(text) - 1)
#define KEY(b, name)  ADD(b, ",\"" name "\":")
#define OPEN(b, name) ADD(b, "{\"" name "\":")

void ln_record_done(struct ln_record *r)
{
	ln_buf_done(&r->text);
	ln_redact_done(&r->redact);
}

/* A record needs a dozen numbers; printf would be half of its cost. */
static void add_number(struct ln_buf *b, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	ln_buf_add(b, digits + at, sizeof(digits) - at);
}

static void add_hex(struct ln_buf *b, uint64_t n)
{
	char digits[18];
	size_t at = sizeof(digits);

	digits[--at] = '"';
	do {
		digits[--at] = "0123456789abcdef"[n & 15];
		n >>= 4;
	} while (n > 0);
	digits[--at] = '"';
	ln_buf_add(b, digits + at, sizeof(digits) - at);
}

/* Milliseconds to the microsecond. */
static void add_ms(struct ln_buf *b, uint64_t ns)
{
	unsigned int us = (unsigned int)(ns / 1000 % 1000);
	char fraction[4] = {'.', (char)('0' + us / 100), (char)('0' + us / 10 % 10),
			    (char)('0' + us % 10)};

	add_number(b, ns / LN_NS_PER_MS);
	ln_buf_add(b, fraction, sizeof(fraction));
}

static void add_bool(struct ln_buf *b, bool value)
{
	ln_buf_adds(b, value ? "true" : "false");
}

static void add_text(struct ln_buf *b, const char *text)
{
	if (text)
		ln_text_json(b, text, strlen(text));
	else
		ADD(b, "null");
}

static void add_time(struct ln_buf *b, uint64_t wall_ns)
{
	char time[LN_TIME_TEXT_MAX];

	ln_buf_addc(b, '"');
	ln_buf_adds(b, ln_time_format(wall_ns, 6, time));
	ln_buf_addc(b, '"');
}

static void begin(struct ln_record *r, const char *type, uint64_t wall_ns)
{
	OPEN(&r->text, "time");
	add_time(&r->text, wall_ns);
	KEY(&r->text, "type");
	add_text(&r->text, type);
}

static void end(struct ln_record *r)
{
	ADD(&r->text, "}\n");
}

static void add_list(struct ln_buf *b, const char *const *texts, size_t n)
{
	ln_buf_addc(b, '[');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			ln_buf_addc(b, ',');
		add_text(b, texts[i]);
	}
	ln_buf_addc(b, ']');
}

static void add_args(struct ln_record *r, const struct ln_proc *p)
{
	struct ln_args args = ln_args_of(p);
	struct ln_buf *b = &r->text;
	const char *arg;
	bool first = true;
	size_t len;

	if (!p || !p->args) {
		ADD(b, "null");
		return;
	}
	ln_redact_start(&r->redact);
	ln_buf_addc(b, '[');
	while (ln_args_next(&args, &arg, &len)) {
		if (!first)
			ln_buf_addc(b, ',');
		first = false;
		arg = ln_redact_arg(&r->redact, arg, &len);
		ln_text_json(b, arg, len);
	}
	ln_buf_addc(b, ']');
}

static void add_rule(struct ln_buf *b, const struct ln_rule *rule, const char *name)
{
	if (!rule) {
		ADD(b, "null");
		return;
	}
	OPEN(b, "id");
	add_number(b, rule->id);
	KEY(b, "line");
	add_number(b, rule->line);
	KEY(b, "destination");
	add_text(b, rule->text);
	KEY(b, "kind");
	if (rule->kind == LN_RULE_DYNAMIC)
		ADD(b, "\"dynamic\"");
	else
		ADD(b, "\"expected\"");
	KEY(b, "name");
	add_text(b, name);
	ln_buf_addc(b, '}');
}

/* From the nearest parent on. */
static void add_parents(struct ln_buf *b, const struct ln_proc *p)
{
	size_t n = 0;

	KEY(b, "parents");
	ln_buf_addc(b, '[');
	for (p = p ? p->parent : NULL; p && n < LN_DESCRIBE_DEPTH; p = p->parent, n++) {
		if (n > 0)
			ln_buf_addc(b, ',');
		OPEN(b, "pid");
		add_number(b, p->pid);
		KEY(b, "exe");
		add_text(b, p->exe);
		ln_buf_addc(b, '}');
	}
	ln_buf_addc(b, ']');
}

static void add_common(struct ln_record *r, const struct ln_finding *f)
{
	bool violation = f->verdict == LN_VERDICT_UNEXPECTED;
	struct ln_buf *b = &r->text;

	KEY(b, "agent");
	add_text(b, f->agent_name);
	KEY(b, "pid");
	add_number(b, f->pid);
	KEY(b, "tid");
	add_number(b, f->tid);
	KEY(b, "exe");
	add_text(b, f->proc ? f->proc->exe : NULL);
	KEY(b, "args");
	add_args(r, f->proc);
	if (f->proc && f->proc->args_cut)
		ADD(b, ",\"args_cut\":true");
	KEY(b, "verdict");
	add_text(b, ln_verdict_text(f->verdict));
	KEY(b, "rule");
	add_rule(b, f->rule, f->rule_name);
	KEY(b, "reason");
	add_text(b, f->reason);
	KEY(b, "hint");
	add_text(b, f->hint);
	KEY(b, "alert");
	add_bool(b, f->alert);
	KEY(b, "action");
	add_text(b, violation ? "logged" : NULL);
	if (f->repeat_of > 0) {
		KEY(b, "repetition");
		add_number(b, f->repeat_of);
	}
	if (violation || f->kind == LN_FINDING_PROCESS)
		add_parents(b, f->proc);
}

static void add_addr(struct ln_buf *b, const struct ln_addr *addr)
{
	char text[LN_ADDR_TEXT_MAX];

	add_text(b, ln_addr_format(addr, text));
}

static void add_endpoint(struct ln_buf *b, const struct ln_endpoint *ep)
{
	if (ep->addr.family == 0 && ep->port == 0) {
		ADD(b, "null");
		return;
	}
	OPEN(b, "ip");
	if (ep->addr.family == 0)
		ADD(b, "null");
	else
		add_addr(b, &ep->addr);
	KEY(b, "port");
	add_number(b, ep->port);
	ln_buf_addc(b, '}');
}

static void add_evidence(struct ln_buf *b, const struct ln_name_evidence *e)
{
	OPEN(b, "name");
	add_text(b, e->name);
	KEY(b, "source");
	add_text(b, ln_name_source_text(e->source));
	KEY(b, "grants");
	add_bool(b, e->grants);
	KEY(b, "stale");
	add_bool(b, e->stale);
	KEY(b, "ttl");
	add_number(b, e->ttl_s);
	KEY(b, "asked_by");
	if (e->pid == 0)
		ADD(b, "null");
	else
		add_number(b, e->pid);
	if (e->cname[0] != '\0') {
		KEY(b, "cname");
		add_text(b, e->cname);
	}
	ln_buf_addc(b, '}');
}

static void add_names(struct ln_buf *b, const struct ln_finding *f)
{
	KEY(b, "names");
	ln_buf_addc(b, '[');
	for (size_t i = 0; i < f->n_names; i++) {
		if (i > 0)
			ln_buf_addc(b, ',');
		add_evidence(b, &f->names[i]);
	}
	ln_buf_addc(b, ']');
}

static void add_proto(struct ln_buf *b, uint8_t proto)
{
	ln_buf_addc(b, '"');
	ln_describe_proto(b, proto);
	ln_buf_addc(b, '"');
}

static void add_socket(struct ln_buf *b, const struct ln_flow *flow)
{
	KEY(b, "id");
	add_hex(b, flow->id);
	KEY(b, "proto");
	add_proto(b, flow->proto);
	KEY(b, "remote");
	add_endpoint(b, &flow->remote);
	KEY(b, "local");
	add_endpoint(b, &flow->local);
}

static void add_flow(struct ln_buf *b, const struct ln_finding *f)
{
	const struct ln_flow *flow = f->flow;

	add_socket(b, flow);
	add_names(b, f);
	KEY(b, "existing");
	add_bool(b, flow->existing);
	KEY(b, "same_tree");
	add_bool(b, flow->same_tree);
	KEY(b, "mptcp");
	add_bool(b, flow->mptcp);
	KEY(b, "uncounted");
	add_bool(b, flow->uncounted);
}

static void add_count(struct ln_buf *b, bool known, uint64_t n)
{
	if (known)
		add_number(b, n);
	else
		ADD(b, "null");
}

static void add_end(struct ln_buf *b, const struct ln_finding *f)
{
	const struct ln_flow_end *e = f->end;
	bool counted = !f->flow->uncounted;

	KEY(b, "duration_ms");
	add_ms(b, f->time_ns > e->open_ns ? f->time_ns - e->open_ns : 0);
	KEY(b, "tx_bytes");
	add_count(b, counted, e->tx_bytes);
	KEY(b, "rx_bytes");
	add_count(b, counted, e->rx_bytes);
	KEY(b, "tx_packets");
	add_count(b, counted, e->tx_packets);
	KEY(b, "rx_packets");
	add_count(b, counted, e->rx_packets);
	KEY(b, "outcome");
	add_text(b, ln_outcome_text(e->outcome));
	KEY(b, "evicted");
	add_bool(b, e->evicted);
}

static void add_question(struct ln_buf *b, const struct ln_finding *f)
{
	const char *type = ln_dns_type_name(f->qtype);

	KEY(b, "query");
	add_text(b, f->query && f->query[0] != '\0' ? f->query : NULL);
	KEY(b, "qtype");
	if (type) {
		add_text(b, type);
		return;
	}
	ADD(b, "\"TYPE");
	add_number(b, f->qtype);
	ln_buf_addc(b, '"');
}

static void add_dns(struct ln_buf *b, const struct ln_finding *f)
{
	add_socket(b, f->flow);
	add_question(b, f);
	KEY(b, "trusted");
	add_bool(b, f->trusted);
	if (f->kind != LN_FINDING_DNS_ANSWER)
		return;
	KEY(b, "rcode");
	add_number(b, f->rcode);
	KEY(b, "answers");
	ln_buf_addc(b, '[');
	for (size_t i = 0; i < f->n_answers; i++) {
		if (i > 0)
			ln_buf_addc(b, ',');
		add_addr(b, &f->answers[i]);
	}
	ln_buf_addc(b, ']');
}

static void add_process(struct ln_buf *b, const struct ln_finding *f)
{
	KEY(b, "event");
	add_text(b, ln_event_kind_text(f->event_kind));
	if (f->event_kind == LN_EVENT_FORK) {
		KEY(b, "child");
		add_number(b, f->child);
	} else if (f->event_kind == LN_EVENT_EXIT && WIFSIGNALED(f->exit_status)) {
		KEY(b, "signal");
		add_number(b, (uint64_t)WTERMSIG(f->exit_status));
	} else if (f->event_kind == LN_EVENT_EXIT) {
		KEY(b, "status");
		add_number(b, (uint64_t)WEXITSTATUS(f->exit_status));
	}
}

static void add_repeats(struct ln_buf *b, const struct ln_finding *f)
{
	KEY(b, "count");
	add_number(b, f->count);
	if (f->flow)
		add_socket(b, f->flow);
	if (f->query)
		add_question(b, f);
	add_names(b, f);
}

static void add_specific(struct ln_buf *b, const struct ln_finding *f)
{
	switch (f->kind) {
	case LN_FINDING_FLOW_OPEN:
		add_flow(b, f);
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
		KEY(b, "ip");
		add_addr(b, &f->addr);
		KEY(b, "evidence");
		add_evidence(b, f->evidence);
		break;
	case LN_FINDING_PROCESS:
		add_process(b, f);
		break;
	case LN_FINDING_REPEATS:
		add_repeats(b, f);
		break;
	case LN_FINDING_WIRE:
	case LN_FINDING_CHANNEL:
	case LN_FINDING_TAMPER:
		break;
	case LN_FINDING_LOST:
		KEY(b, "count");
		add_number(b, f->count);
		break;
	case LN_FINDING_COUNT:
		break;
	}
}

void ln_record_finding(struct ln_record *r, const struct ln_finding *f)
{
	begin(r, ln_finding_kind_text(f->kind), f->wall_ns);
	add_common(r, f);
	add_specific(&r->text, f);
	end(r);
}

void ln_record_header(struct ln_record *r, const struct ln_sink_header *h)
{
	struct ln_buf *b = &r->text;

	OPEN(b, "schema");
	add_number(b, LN_RECORD_SCHEMA);
	KEY(b, "type");
	add_text(b, "header");
	KEY(b, "time");
	add_time(b, h->wall_ns);
	KEY(b, "linnet");
	add_text(b, h->version);
	KEY(b, "sensor");
	add_text(b, h->sensor);
	KEY(b, "agent");
	add_text(b, h->agent_name);
	KEY(b, "policy");
	add_text(b, h->policy_file);
	KEY(b, "rules");
	add_number(b, h->n_rules);
	KEY(b, "pid");
	add_number(b, h->root_pid);
	KEY(b, "blind");
	add_list(b, h->blind, h->n_blind);
	end(r);
}

static void add_verdicts(struct ln_buf *b, const uint64_t *counts)
{
	KEY(b, "by_verdict");
	for (int v = 0; v < LN_VERDICT_COUNT; v++) {
		ln_buf_addc(b, v == 0 ? '{' : ',');
		add_text(b, ln_verdict_text((enum ln_verdict)v));
		ln_buf_addc(b, ':');
		add_number(b, counts[v]);
	}
	ln_buf_addc(b, '}');
}

void ln_record_summary(struct ln_record *r, uint64_t wall_ns, const struct ln_engine_summary *sum,
		       uint64_t log_dropped, const char *const *unused_rules, size_t n_unused)
{
	const struct {
		const char *name;
		uint64_t n;
	} sums[] = {
	    {"flows", sum->flows},
	    {"flows_open", sum->flows_open},
	    {"destinations", sum->destinations},
	    {"violations", sum->violations},
	    {"repeats", sum->repeats},
	    {"tx_bytes", sum->tx_bytes},
	    {"rx_bytes", sum->rx_bytes},
	    {"dns_queries", sum->dns_queries},
	    {"dns_unexpected", sum->dns_unexpected},
	    {"dns_malformed", sum->dns_malformed},
	    {"processes", sum->processes},
	    {"lost", sum->lost},
	    {"names_evicted", sum->names_evicted},
	    {"processes_refused", sum->processes_refused},
	    {"alerts_folded", sum->alerts_folded},
	    {"tables_full", sum->tables_full},
	    {"log_dropped", log_dropped},
	    {"unused_rules_count", n_unused},
	};
	struct ln_buf *b = &r->text;

	begin(r, "summary", wall_ns);
	for (size_t i = 0; i < LN_ARRAY_SIZE(sums); i++) {
		ln_buf_addc(b, ',');
		add_text(b, sums[i].name);
		ln_buf_addc(b, ':');
		add_number(b, sums[i].n);
	}
	add_verdicts(b, sum->by_verdict);
	KEY(b, "unused_rules");
	add_list(b, unused_rules, LN_MIN(n_unused, (size_t)UNUSED_RULES_MAX));
	end(r);
}

void ln_record_gap(struct ln_record *r, uint64_t wall_ns, uint64_t count, int error)
{
	begin(r, "log-gap", wall_ns);
	KEY(&r->text, "count");
	add_number(&r->text, count);
	KEY(&r->text, "reason");
	add_text(&r->text, strerror(error));
	end(r);
}
