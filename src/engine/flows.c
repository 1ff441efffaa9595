/* SPDX-License-Identifier: Apache-2.0 */
/* Flows as they open and close. A close carries the verdict that its open had. */
#include "internal.h"

#include <string.h>
#include "base/table.h"

struct ln_open_flow {
	uint64_t id;
	enum ln_verdict verdict;
	bool stale;
	const struct ln_rule *rule; /* borrowed from the policy */
	char *rule_name;            /* owned; NULL by address */
	UT_hash_handle hh;
};

static void forget(struct ln_engine *e, struct ln_open_flow *open)
{
	HASH_DEL(e->open_flows, open);
	free(open->rule_name);
	free(open);
}

static struct ln_open_flow *find(struct ln_engine *e, uint64_t id)
{
	struct ln_open_flow *open;

	HASH_FIND(hh, e->open_flows, &id, sizeof(id), open);
	return open;
}

/* Without memory the flow is judged again when it closes. */
static void remember(struct ln_engine *e, uint32_t agent, uint64_t id, const struct ln_judgement *j)
{
	struct ln_open_flow *open = find(e, id);

	if (open)
		forget(e, open);
	if (HASH_COUNT(e->open_flows) >= LN_OPEN_FLOWS_MAX) {
		forget(e, e->open_flows);
		e->sum.tables_full++;
		ln_losses_add(e, agent, "too many open flows: one was forgotten", 1);
	}
	open = calloc(1, sizeof(*open));
	if (!open)
		return;
	open->id = id;
	open->verdict = j->verdict;
	open->stale = j->stale;
	open->rule = j->match.rule;
	if (j->match.name)
		open->rule_name = strdup(j->match.name);
	HASH_ADD(hh, e->open_flows, id, sizeof(open->id), open);
	if (!open->hh.tbl) {
		free(open->rule_name);
		free(open);
	}
}

static void count(struct ln_engine *e, const struct ln_flow *flow, const struct ln_judgement *j)
{
	e->sum.flows++;
	e->sum.by_verdict[j->verdict]++;
	if (j->match.rule)
		e->rule_hits[j->match.rule->id]++;
	if (!ln_destinations_add(&e->destinations, &flow->remote, flow->proto)) {
		e->sum.tables_full++;
		e->sum.destinations_over = true;
	}
}

static void emit(struct ln_engine *e, struct ln_finding *f, const struct ln_event *ev,
		 const struct ln_judgement *j)
{
	f->flow = &ev->flow.flow;
	f->verdict = j->verdict;
	f->rule = j->match.rule;
	f->rule_name = j->match.name;
	f->reason = ln_judge_reason(e, f->flow, j->verdict, j->match.rule, j->stale);
	f->names = e->found;
	f->n_names = e->n_found;
	if (f->kind == LN_FINDING_FLOW_OPEN && j->verdict == LN_VERDICT_UNEXPECTED) {
		ln_repeats_flow(e, f);
		if (f->repeat_of == 0)
			f->hint = ln_hint_flow(e, f->flow, &j->match);
	}
	ln_engine_emit(e, f);
}

static void judge_and_tell(struct ln_engine *e, const struct ln_event *ev, struct ln_judgement *ret)
{
	struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_FLOW_OPEN);

	f.event_kind = LN_EVENT_FLOW_OPEN;
	ln_judge_flow(e, ev->agent, &ev->flow.flow, ret);
	count(e, &ev->flow.flow, ret);
	emit(e, &f, ev, ret);
}

void ln_flows_open(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_judgement j;

	judge_and_tell(e, ev, &j);
	remember(e, ev->agent, ev->flow.flow.id, &j);
}

/* An open that was lost must not hide a violation: its close stands for both. */
void ln_flows_close(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_FLOW_CLOSE);
	const struct ln_flow *flow = &ev->flow.flow;
	struct ln_open_flow *open = find(e, flow->id);
	struct ln_judgement j;

	if (open) {
		j = (struct ln_judgement){.verdict = open->verdict, .stale = open->stale};
		j.match.rule = open->rule;
		j.match.name = open->rule_name;
		e->n_found = ln_names_find(e->names, ev->agent, &flow->remote.addr, e->now_ns,
					   e->found, LN_ARRAY_SIZE(e->found));
	} else {
		judge_and_tell(e, ev, &j);
	}
	f.end = &ev->flow.end;
	e->sum.tx_bytes += f.end->tx_bytes;
	e->sum.rx_bytes += f.end->rx_bytes;
	emit(e, &f, ev, &j);
	if (open)
		forget(e, open);
}

void ln_flows_wire(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_WIRE);

	f.flow = &ev->wire.flow;
	f.wire = &ev->wire.wire;
	f.wire_why = ev->wire.why;
	ln_engine_emit(e, &f);
}

size_t ln_flows_count(const struct ln_engine *e)
{
	return HASH_COUNT(e->open_flows);
}

void ln_flows_done(struct ln_engine *e)
{
	while (e->open_flows)
		forget(e, e->open_flows);
}
