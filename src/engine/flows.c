/* SPDX-License-Identifier: Apache-2.0 */
/* Flows as they open and close. A close carries the verdict that its open had. */
#include "internal.h"

#include <string.h>
#include "base/table.h"
#include "places.h"

struct ln_open_flow {
	uint64_t id;
	enum ln_verdict verdict;
	bool stale;
	const struct ln_rule *rule; /* borrowed from the policy */
	const struct ln_rule *expired;
	char *rule_name; /* owned; NULL by address */
	struct ln_flow flow;
	uint32_t agent, pid, tid;
	uint64_t tx_bytes; /* as far as they were counted */
	bool read;
	bool routed;
	UT_hash_handle hh;
};

static void forget(struct ln_engine *e, struct ln_open_flow *open)
{
	HASH_DEL(e->open_flows, open);
	free(open->rule_name);
	free(open);
}

static struct ln_open_flow *find(const struct ln_engine *e, uint64_t id)
{
	struct ln_open_flow *open;

	HASH_FIND(hh, e->open_flows, &id, sizeof(id), open);
	return open;
}

static void set_name(struct ln_engine *e, struct ln_open_flow *open, const char *name)
{
	char *copy = name ? strdup(name) : NULL;

	if (name && !copy)
		ln_losses_no_memory(e, open->agent);
	free(open->rule_name);
	open->rule_name = copy;
}

/* Without memory the flow is judged again when it closes. */
static void remember(struct ln_engine *e, const struct ln_event *ev, const struct ln_judgement *j)
{
	uint64_t id = ev->flow.flow.id;
	struct ln_open_flow *open = find(e, id);

	if (open)
		forget(e, open);
	if (HASH_COUNT(e->open_flows) >= LN_OPEN_FLOWS_MAX) {
		forget(e, e->open_flows);
		e->sum.tables_full++;
		ln_losses_add(e, ev->agent, "too many open flows: one was forgotten", 1);
	}
	open = calloc(1, sizeof(*open));
	if (!open) {
		ln_losses_no_memory(e, ev->agent);
		return;
	}
	open->id = id;
	open->verdict = j->verdict;
	open->stale = j->stale;
	open->rule = j->match.rule;
	open->expired = j->match.expired;
	open->flow = ev->flow.flow;
	open->agent = ev->agent;
	open->pid = ev->pid;
	open->tid = ev->tid;
	set_name(e, open, j->match.name);
	HASH_ADD(hh, e->open_flows, id, sizeof(open->id), open);
	if (!open->hh.tbl) {
		ln_losses_no_memory(e, ev->agent);
		free(open->rule_name);
		free(open);
	}
}

static void add_destination(struct ln_engine *e, const struct ln_endpoint *remote, uint8_t proto)
{
	if (!ln_destinations_add(&e->destinations, remote, proto)) {
		e->sum.tables_full++;
		e->sum.destinations_over = true;
	}
}

static void count(struct ln_engine *e, const struct ln_flow *flow, const struct ln_judgement *j)
{
	e->sum.flows++;
	e->sum.by_verdict[j->verdict]++;
	if (j->match.rule)
		e->rule_hits[j->match.rule->id]++;
	if (!flow->inbound)
		add_destination(e, &flow->remote, flow->proto);
}

/* What is not expected is told as that; else that the socket changed hands is told by itself. */
static const char *title_of(const struct ln_flow *flow, enum ln_verdict verdict)
{
	if (verdict == LN_VERDICT_UNEXPECTED)
		return flow->inbound ? LN_TITLE_INBOUND : LN_TITLE_OUTBOUND;
	if (flow->received)
		return LN_TITLE_RECEIVED;
	return flow->passed ? "SOCKET PASSED OUT" : NULL;
}

static void tell_violation(struct ln_engine *e, struct ln_finding *f, const struct ln_match *match)
{
	const struct ln_flow *flow = f->flow;

	if (f->kind == LN_FINDING_VERDICT && !f->rule)
		f->reason = LN_REASON_RELOADED;
	else if (f->verdict != LN_VERDICT_UNEXPECTED)
		f->reason = flow->received ? LN_REASON_RECEIVED
					   : "Socket of the agent is used outside of it.";
	ln_repeats_take(e, f);
	if (f->repeat_of != 0 || f->verdict != LN_VERDICT_UNEXPECTED)
		return;
	if (flow->inbound)
		f->hint = ln_hint_inbound(e, flow->proto, flow->local.port, &flow->remote.addr);
	else
		f->hint = ln_hint_flow(e, flow, match);
}

/* In block mode the kernel has decided before. What it refused and should not have works at the
 * next try: the name that permits it is in its table by now. What it let through and should not
 * have was by a name that it took for one that counts. */
static void compare_with_kernel(struct ln_engine *e, struct ln_finding *f)
{
	char text[LN_ENDPOINT_TEXT_MAX];
	bool permitted = f->verdict != LN_VERDICT_UNEXPECTED;

	if (!permitted && !f->flow->refused)
		ln_engine_revoke(e, f->agent, &f->flow->remote.addr);
	if (!permitted || !f->flow->refused)
		return;
	ln_buf_reset(&e->subject);
	ln_buf_addf(
	    &e->subject,
	    "%s was refused though it is permitted: linnet knew its name too late; the next "
	    "try works",
	    ln_endpoint_format(&f->flow->remote, text));
	f->subject = ln_buf_text(&e->subject);
	f->notice = true;
}

static void emit(struct ln_engine *e, struct ln_finding *f, const struct ln_flow *flow,
		 const struct ln_judgement *j)
{
	f->flow = flow;
	f->place = ln_place_text(&f->flow->remote.addr);
	f->verdict = j->verdict;
	f->rule = j->match.rule;
	f->rule_name = j->match.name;
	f->reason = ln_judge_reason(e, f->flow, j);
	f->names = e->found;
	f->n_names = e->n_found;
	if (f->kind == LN_FINDING_FLOW_OPEN ||
	    (f->kind == LN_FINDING_VERDICT && j->verdict == LN_VERDICT_UNEXPECTED))
		f->title = title_of(f->flow, j->verdict);
	if (f->title)
		tell_violation(e, f, &j->match);
	ln_dns_ways_flow(e, f);
	if (f->kind == LN_FINDING_FLOW_OPEN && !f->flow->inbound)
		compare_with_kernel(e, f);
	ln_engine_emit(e, f);
}

static void tell_open(struct ln_engine *e, const struct ln_event *ev, const struct ln_judgement *j)
{
	struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_FLOW_OPEN);

	f.event_kind = LN_EVENT_FLOW_OPEN;
	ln_holds_mark(e, &f);
	count(e, &ev->flow.flow, j);
	emit(e, &f, &ev->flow.flow, j);
}

static void judge_and_tell(struct ln_engine *e, const struct ln_event *ev, struct ln_judgement *ret)
{
	ln_judge_flow(e, ev->agent, &ev->flow.flow, ret);
	tell_open(e, ev, ret);
}

void ln_flows_open(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_judgement j;

	ln_judge_flow(e, ev->agent, &ev->flow.flow, &j);
	/* Nothing that a name could say would undo a ban. */
	if (j.verdict == LN_VERDICT_UNEXPECTED && !j.match.denied && ln_holds_take(e, ev))
		return;
	tell_open(e, ev, &j);
	remember(e, ev, &j);
	ln_limits_open(e, ev, j.verdict, j.match.name);
}

void ln_flows_progress(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_open_flow *open = find(e, ev->flow.flow.id);
	uint64_t sent = ev->flow.end.tx_bytes;

	if (!open || sent <= open->tx_bytes)
		return;
	uint64_t more = sent - open->tx_bytes;
	open->tx_bytes = sent;
	ln_limits_bytes(e, ev, open->rule_name, more);
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
		j.match.expired = open->expired;
		j.match.name = open->rule_name;
		e->n_found = ln_names_find(e->names, ev->agent, &flow->remote.addr, e->now_ns,
					   e->found, LN_ARRAY_SIZE(e->found));
	} else {
		judge_and_tell(e, ev, &j);
	}
	f.end = &ev->flow.end;
	e->sum.tx_bytes += f.end->tx_bytes;
	e->sum.rx_bytes += f.end->rx_bytes;
	emit(e, &f, flow, &j);
	uint64_t counted = open ? LN_MIN(open->tx_bytes, f.end->tx_bytes) : 0;
	ln_limits_bytes(e, ev, j.match.name, f.end->tx_bytes - counted);
	if (open)
		forget(e, open);
}

/* The resolver of a container's engine listens on loopback, on a port that it chooses; rules in the
 * container's network namespace lead there from port 53. Nothing leaves the machine by that. */
static bool is_local_resolver(const struct ln_engine *e, const struct ln_flow *named,
			      const struct ln_endpoint *wire)
{
	return ln_engine_is_resolver(e, named) && ln_addr_is_loopback(&named->remote.addr) &&
	       ln_addr_equal(&named->remote.addr, &wire->addr);
}

static void tell_wire(struct ln_engine *e, struct ln_finding *f, const struct ln_flow *real,
		      const struct ln_judgement *j)
{
	char wire[LN_ENDPOINT_TEXT_MAX], named[LN_ENDPOINT_TEXT_MAX];

	f->title = "DESTINATION CHANGED";
	if (f->verdict != LN_VERDICT_UNEXPECTED)
		f->reason = "It is not the destination that was named.";
	ln_buf_reset(&e->subject);
	ln_buf_addf(&e->subject, "%s, named %s", ln_endpoint_format(&real->remote, wire),
		    ln_endpoint_format(&f->flow->remote, named));
	f->subject = ln_buf_text(&e->subject);
	ln_repeats_take(e, f);
	if (f->repeat_of == 0 && f->verdict == LN_VERDICT_UNEXPECTED)
		f->hint = ln_hint_flow(e, real, &j->match);
}

/* Who is on a way that the agent chose can answer for whoever was asked. */
static void remember_route(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_open_flow *open = find(e, ev->wire.flow.id);

	if (open && ev->wire.why == LN_WIRE_ROUTED)
		open->routed = true;
}

/* Judged by where the packets go. That this is not what was named is told in any case, but one
 * more path of MPTCP is there by design: it is told when it leads where it must not. */
void ln_flows_wire(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_WIRE);
	const struct ln_flow *named = &ev->wire.flow;
	struct ln_flow real = *named;
	struct ln_judgement j;
	bool permitted;

	remember_route(e, ev);
	real.remote = ev->wire.wire;
	real.same_tree = false;
	f.flow = named;
	f.wire = &ev->wire.wire;
	f.wire_why = ev->wire.why;
	f.place = ln_place_text(&real.remote.addr);
	ln_judge_flow(e, ev->agent, &real, &j);
	if (is_local_resolver(e, named, f.wire))
		j = (struct ln_judgement){.verdict = LN_VERDICT_DNS};
	permitted = f.wire_why == LN_WIRE_SUBFLOW || is_local_resolver(e, named, f.wire);
	if (j.match.rule)
		e->rule_hits[j.match.rule->id]++;
	add_destination(e, &real.remote, real.proto);
	f.verdict = j.verdict;
	f.rule = j.match.rule;
	f.rule_name = j.match.name;
	f.reason = ln_judge_reason(e, &real, &j);
	f.names = e->found;
	f.n_names = e->n_found;
	f.named = e->named;
	f.n_named = ln_names_find(e->names, ev->agent, &named->remote.addr, e->now_ns, e->named,
				  LN_ARRAY_SIZE(e->named));
	if (!permitted || j.verdict == LN_VERDICT_UNEXPECTED)
		tell_wire(e, &f, &real, &j);
	ln_engine_emit(e, &f);
}

static void judge_anew(struct ln_engine *e, struct ln_open_flow *open, struct ln_policy_news *news)
{
	struct ln_finding f =
	    ln_engine_timed_finding(e, LN_FINDING_VERDICT, open->agent, open->pid);
	struct ln_judgement j;

	ln_judge_open_flow(e, open->agent, &open->flow, open->rule_name, &j);
	f.event_kind = LN_EVENT_FLOW_OPEN;
	f.tid = open->tid;
	f.verdict_before = open->verdict;
	news->flows++;
	news->now_unexpected +=
	    j.verdict == LN_VERDICT_UNEXPECTED && open->verdict != LN_VERDICT_UNEXPECTED;
	news->no_longer +=
	    j.verdict != LN_VERDICT_UNEXPECTED && open->verdict == LN_VERDICT_UNEXPECTED;
	if (j.verdict != open->verdict)
		emit(e, &f, &open->flow, &j);
	if (j.match.rule)
		e->rule_hits[j.match.rule->id]++;
	open->verdict = j.verdict;
	open->stale = j.stale;
	open->rule = j.match.rule;
	open->expired = j.match.expired;
	set_name(e, open, j.match.name);
}

void ln_flows_judge_anew(struct ln_engine *e, struct ln_policy_news *news)
{
	struct ln_open_flow *open, *next;

	HASH_ITER (hh, e->open_flows, open, next)
		judge_anew(e, open, news);
}

bool ln_flows_recall(const struct ln_engine *e, uint64_t id, struct ln_flow_memory *ret)
{
	const struct ln_open_flow *open = find(e, id);

	if (!open)
		return false;
	*ret = (struct ln_flow_memory){
	    .verdict = open->verdict,
	    .rule = open->rule,
	    .rule_name = open->rule_name,
	    .listener = open->flow.listener,
	    .pid = open->pid,
	    .tid = open->tid,
	    .read = open->read,
	    .routed = open->routed,
	};
	return true;
}

void ln_flows_set_read(struct ln_engine *e, uint64_t id)
{
	struct ln_open_flow *open = find(e, id);

	if (open)
		open->read = true;
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
