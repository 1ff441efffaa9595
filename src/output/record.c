/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <string.h>
#include "base/text.h"
#include "describe.h"
#include "json.h"
#include "record_event.h"

#define UNUSED_RULES_MAX 1000

void ln_record_done(struct ln_record *r)
{
	ln_buf_done(&r->text);
	ln_redact_done(&r->redact);
}

static void begin(struct ln_record *r, const char *type, uint64_t wall_ns)
{
	LN_JSON_OPEN(&r->text, "time");
	ln_json_time(&r->text, wall_ns);
	LN_JSON_KEY(&r->text, "type");
	ln_json_text(&r->text, type);
}

static void end(struct ln_record *r)
{
	LN_JSON_ADD(&r->text, "}\n");
}

static void add_args(struct ln_record *r, const struct ln_proc *p)
{
	struct ln_args args = ln_args_of(p);
	struct ln_buf *b = &r->text;
	const char *arg;
	bool first = true;
	size_t len;

	if (!p || !p->args) {
		LN_JSON_ADD(b, "null");
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

void ln_record_rule(struct ln_buf *b, const struct ln_rule *rule, const char *name)
{
	static const char *const kinds[] = {
	    [LN_RULE_EXPECTED] = "expected", [LN_RULE_DYNAMIC] = "dynamic", [LN_RULE_DENY] = "deny",
	    [LN_RULE_UNIX] = "unix",         [LN_RULE_INBOUND] = "inbound",
	};
	_Static_assert(LN_ARRAY_SIZE(kinds) == LN_RULE_COUNT, "a text for each kind");

	if (!rule) {
		LN_JSON_ADD(b, "null");
		return;
	}
	LN_JSON_OPEN(b, "id");
	ln_json_number(b, rule->id);
	LN_JSON_KEY(b, "line");
	ln_json_number(b, rule->line);
	LN_JSON_KEY(b, "destination");
	ln_json_text(b, rule->text);
	LN_JSON_KEY(b, "kind");
	ln_json_text(b, kinds[rule->kind]);
	LN_JSON_KEY(b, "name");
	ln_json_text(b, name);
	ln_buf_addc(b, '}');
}

/* From the nearest parent on. */
static void add_parents(struct ln_buf *b, const struct ln_proc *p)
{
	size_t n = 0;

	LN_JSON_KEY(b, "parents");
	ln_buf_addc(b, '[');
	for (p = p ? p->parent : NULL; p && n < LN_DESCRIBE_DEPTH; p = p->parent, n++) {
		if (n > 0)
			ln_buf_addc(b, ',');
		LN_JSON_OPEN(b, "pid");
		ln_json_number(b, p->pid);
		LN_JSON_KEY(b, "exe");
		ln_json_text(b, p->exe);
		ln_buf_addc(b, '}');
	}
	ln_buf_addc(b, ']');
}

static void add_bytes(struct ln_buf *b, const char *bytes, size_t len)
{
	if (len > 0)
		ln_text_json(b, bytes, len);
	else
		LN_JSON_ADD(b, "null");
}

/* Where the process is. Most are in one place all their life, so only what is known is said. */
static void add_place(struct ln_buf *b, const struct ln_finding *f)
{
	const struct ln_cgroup_info *c = f->cgroup;

	if (f->proc && f->proc->ns_pid != 0 && f->proc->ns_pid != f->proc->pid) {
		LN_JSON_KEY(b, "ns_pid");
		ln_json_number(b, f->proc->ns_pid);
	}
	if (f->proc && f->proc->why) {
		LN_JSON_KEY(b, "watched_since");
		ln_json_text(b, f->proc->why);
	}
	if (!c)
		return;
	LN_JSON_KEY(b, "cgroup");
	add_bytes(b, c->path, c->path_len);
	if (c->in.id_len > 0) {
		LN_JSON_KEY(b, "container");
		add_bytes(b, c->in.id, c->in.id_len);
		LN_JSON_KEY(b, "runtime");
		ln_json_text(b, c->in.runtime);
	}
	if (c->in.unit_len > 0) {
		LN_JSON_KEY(b, "unit");
		add_bytes(b, c->in.unit, c->in.unit_len);
	}
}

static void add_common(struct ln_record *r, const struct ln_finding *f)
{
	bool violation = f->title || f->verdict == LN_VERDICT_UNEXPECTED;
	struct ln_buf *b = &r->text;

	LN_JSON_KEY(b, "agent");
	ln_json_text(b, f->agent_name);
	LN_JSON_KEY(b, "pid");
	ln_json_number(b, f->pid);
	LN_JSON_KEY(b, "tid");
	ln_json_number(b, f->tid);
	LN_JSON_KEY(b, "exe");
	ln_json_text(b, f->proc ? f->proc->exe : NULL);
	LN_JSON_KEY(b, "args");
	add_args(r, f->proc);
	if (f->proc && f->proc->args_cut)
		LN_JSON_ADD(b, ",\"args_cut\":true");
	add_place(b, f);
	if (f->title) {
		LN_JSON_KEY(b, "title");
		ln_json_text(b, f->title);
	}
	LN_JSON_KEY(b, "verdict");
	ln_json_text(b, ln_verdict_text(f->verdict));
	LN_JSON_KEY(b, "rule");
	ln_record_rule(b, f->rule, f->rule_name);
	LN_JSON_KEY(b, "reason");
	ln_json_text(b, f->reason);
	LN_JSON_KEY(b, "hint");
	ln_json_text(b, f->hint);
	LN_JSON_KEY(b, "alert");
	ln_json_bool(b, f->alert);
	LN_JSON_KEY(b, "action");
	ln_json_text(b, f->action == LN_ACTION_NONE ? NULL : ln_action_text(f->action));
	if (f->action_why) {
		LN_JSON_KEY(b, "action_reason");
		ln_json_text(b, f->action_why);
	}
	if (f->alert_id) {
		LN_JSON_KEY(b, "alert_id");
		ln_json_text(b, f->alert_id);
	}
	if (f->repeat_of > 0) {
		LN_JSON_KEY(b, "repetition");
		ln_json_number(b, f->repeat_of);
	}
	if (violation || f->kind == LN_FINDING_PROCESS)
		add_parents(b, f->proc);
}

void ln_record_finding(struct ln_record *r, const struct ln_finding *f)
{
	begin(r, ln_finding_kind_text(f->kind), f->wall_ns);
	add_common(r, f);
	ln_record_event(&r->text, f);
	/* What has a resolver's address there need not be that resolver. */
	if (f->flow && f->flow->netns != 0 && f->flow->netns != r->netns) {
		LN_JSON_KEY(&r->text, "netns");
		ln_json_hex(&r->text, f->flow->netns);
	}
	end(r);
}

/* What names were judged by, besides the policy. */
static void add_surroundings(struct ln_buf *b, const struct ln_sink_header *h)
{
	char text[LN_ENDPOINT_TEXT_MAX];

	LN_JSON_KEY(b, "resolvers");
	ln_buf_addc(b, '[');
	for (size_t i = 0; i < h->n_resolvers; i++) {
		if (i > 0)
			ln_buf_addc(b, ',');
		ln_json_text(b, ln_endpoint_format(&h->resolvers[i], text));
	}
	ln_buf_addc(b, ']');
	LN_JSON_KEY(b, "search");
	ln_buf_addc(b, '[');
	for (size_t i = 0; i < h->n_search; i++) {
		if (i > 0)
			ln_buf_addc(b, ',');
		ln_json_text(b, h->search[i]);
	}
	ln_buf_addc(b, ']');
	if (h->netns != 0) {
		LN_JSON_KEY(b, "netns");
		ln_json_hex(b, h->netns);
	}
}

void ln_record_header(struct ln_record *r, const struct ln_sink_header *h)
{
	struct ln_buf *b = &r->text;

	LN_JSON_OPEN(b, "schema");
	ln_json_number(b, LN_RECORD_SCHEMA);
	LN_JSON_KEY(b, "type");
	ln_json_text(b, "header");
	LN_JSON_KEY(b, "time");
	ln_json_time(b, h->wall_ns);
	LN_JSON_KEY(b, "linnet");
	ln_json_text(b, h->version);
	LN_JSON_KEY(b, "sensor");
	ln_json_text(b, h->sensor);
	LN_JSON_KEY(b, "agent");
	ln_json_text(b, h->agent_name);
	LN_JSON_KEY(b, "policy");
	ln_json_text(b, h->policy_file);
	LN_JSON_KEY(b, "rules");
	ln_json_number(b, h->n_rules);
	LN_JSON_KEY(b, "pid");
	ln_json_number(b, h->root_pid);
	LN_JSON_KEY(b, "run");
	ln_json_text(b, h->run);
	add_surroundings(b, h);
	r->netns = h->netns;
	LN_JSON_KEY(b, "mode");
	ln_json_text(b, ln_mode_text(h->mode));
	LN_JSON_KEY(b, "dry_run");
	ln_json_bool(b, h->dry_run);
	LN_JSON_KEY(b, "blind");
	ln_json_list(b, h->blind, h->n_blind);
	end(r);
}

static void add_verdicts(struct ln_buf *b, const uint64_t *counts)
{
	LN_JSON_KEY(b, "by_verdict");
	for (int v = 0; v < LN_VERDICT_COUNT; v++) {
		ln_buf_addc(b, v == 0 ? '{' : ',');
		ln_json_text(b, ln_verdict_text((enum ln_verdict)v));
		ln_buf_addc(b, ':');
		ln_json_number(b, counts[v]);
	}
	ln_buf_addc(b, '}');
}

static void add_sinks(struct ln_buf *b, const struct ln_sink_summary *all)
{
	LN_JSON_KEY(b, "sinks");
	ln_buf_addc(b, '[');
	for (size_t i = 0; i < all->n_sinks; i++) {
		const struct ln_sink_stat *k = &all->sinks[i];
		if (i > 0)
			ln_buf_addc(b, ',');
		LN_JSON_OPEN(b, "sink");
		ln_json_text(b, k->name);
		LN_JSON_KEY(b, "target");
		ln_json_text(b, k->target && k->target[0] != '\0' ? k->target : NULL);
		LN_JSON_KEY(b, "written");
		ln_json_number(b, k->written);
		LN_JSON_KEY(b, "dropped");
		ln_json_number(b, k->dropped);
		ln_buf_addc(b, '}');
	}
	ln_buf_addc(b, ']');
}

void ln_record_summary(struct ln_record *r, uint64_t wall_ns, const struct ln_sink_summary *all,
		       uint64_t log_dropped)
{
	const struct ln_engine_summary *sum = all->sum;
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
	    {"dns_forged", sum->dns_forged},
	    {"channels", sum->channels},
	    {"channels_unexpected", sum->channels_unexpected},
	    {"claims", sum->claims},
	    {"claims_unexpected", sum->claims_unexpected},
	    {"tampers", sum->tampers},
	    {"blocked", sum->blocked},
	    {"blocked_permitted", sum->blocked_permitted},
	    {"would_act", sum->would_act},
	    {"let_through", sum->let_through},
	    {"deeds", sum->deeds},
	    {"processes", sum->processes},
	    {"lost", sum->lost},
	    {"names_evicted", sum->names_evicted},
	    {"processes_refused", sum->processes_refused},
	    {"alerts_folded", sum->alerts_folded},
	    {"tables_full", sum->tables_full},
	    {"log_dropped", log_dropped},
	    {"unused_rules_count", all->n_unused},
	};
	struct ln_buf *b = &r->text;

	begin(r, "summary", wall_ns);
	for (size_t i = 0; i < LN_ARRAY_SIZE(sums); i++) {
		ln_buf_addc(b, ',');
		ln_json_text(b, sums[i].name);
		ln_buf_addc(b, ':');
		ln_json_number(b, sums[i].n);
	}
	add_verdicts(b, sum->by_verdict);
	LN_JSON_KEY(b, "unused_rules");
	ln_json_list(b, all->unused_rules, LN_MIN(all->n_unused, (size_t)UNUSED_RULES_MAX));
	add_sinks(b, all);
	end(r);
}

void ln_record_gap(struct ln_record *r, uint64_t wall_ns, uint64_t count, int error)
{
	begin(r, "log-gap", wall_ns);
	LN_JSON_KEY(&r->text, "count");
	ln_json_number(&r->text, count);
	LN_JSON_KEY(&r->text, "reason");
	ln_json_text(&r->text, strerror(error));
	end(r);
}

void ln_record_dropped(struct ln_record *r, uint64_t wall_ns, uint64_t count)
{
	begin(r, "alerts-dropped", wall_ns);
	LN_JSON_KEY(&r->text, "count");
	ln_json_number(&r->text, count);
	end(r);
}
