/* SPDX-License-Identifier: Apache-2.0 */
#include "alert.h"

#include <string.h>
#include "action.h"
#include "base/clock.h"
#include "base/text.h"
#include "describe.h"

#define EVIDENCE_MAX 4 /* lines of one alert */

void ln_alert_done(struct ln_alert *a)
{
	ln_buf_done(&a->text);
	ln_redact_done(&a->redact);
}

void ln_alert_headline(struct ln_alert *a, const char *words)
{
	ln_buf_adds(&a->text, a->color ? "\033[1;31m[!] " : "[!] ");
	ln_buf_adds(&a->text, words);
	if (a->color)
		ln_buf_adds(&a->text, "\033[0m");
}

static void add_words(struct ln_alert *a, const char *words)
{
	if (words)
		ln_text_escape(&a->text, words, strlen(words));
}

static void add_line(struct ln_alert *a, const char *label, const char *words)
{
	ln_buf_addf(&a->text, "%s: ", label);
	add_words(a, words);
	ln_buf_addc(&a->text, '\n');
}

static void add_timestamp(struct ln_alert *a, const struct ln_finding *f)
{
	char time[LN_TIME_TEXT_MAX];

	ln_buf_addf(&a->text, "Timestamp: %s\n", ln_time_format(f->wall_ns, 0, time));
}

/* "PID 812 postgres" */
static void add_party(struct ln_alert *a, const struct ln_party *p)
{
	if (p->pid == 0)
		ln_buf_adds(&a->text, "an unknown process");
	else
		ln_buf_addf(&a->text, "PID %u", p->pid);
	if (p->comm[0] != '\0') {
		ln_buf_addc(&a->text, ' ');
		ln_text_escape_word(&a->text, p->comm, strlen(p->comm));
	}
}

/* What is permitted is told only for a reason of its own. */
static void add_rule(struct ln_alert *a, const struct ln_finding *f)
{
	char ports[64];

	ln_buf_adds(&a->text, "Rule Matched: ");
	if (!f->rule) {
		ln_buf_adds(&a->text, "NONE - ");
		add_words(a, f->reason);
		ln_buf_addc(&a->text, '\n');
		return;
	}
	add_words(a, f->rule->text);
	if (f->rule->kind != LN_RULE_UNIX)
		ln_buf_addf(&a->text, " %s", ln_rule_ports_text(f->rule, ports, sizeof(ports)));
	ln_buf_addf(&a->text, " (policy line %u)", f->rule->line);
	if ((f->verdict != LN_VERDICT_UNEXPECTED || f->rule->kind == LN_RULE_DENY) && f->reason) {
		ln_buf_adds(&a->text, " - ");
		add_words(a, f->reason);
	}
	ln_buf_addc(&a->text, '\n');
}

static bool is_known(const struct ln_party *p)
{
	return p->pid != 0 || p->comm[0] != '\0';
}

/* Not the remote end of the flow, but what is asked of that. */
static bool is_behind(const struct ln_finding *f)
{
	return f->target && f->target->depth > 0;
}

/* The claim is that a relay should go there, not what is there. */
static bool is_asked(const struct ln_finding *f)
{
	return f->target->depth > f->claim->depth;
}

static void add_flow_lines(struct ln_alert *a, const struct ln_finding *f)
{
	const struct ln_flow *flow = f->flow;
	char text[LN_ENDPOINT_TEXT_MAX];

	ln_buf_adds(&a->text, "Protocol: ");
	ln_describe_proto(&a->text, flow->proto);
	if (flow->mptcp)
		ln_buf_adds(&a->text, " (MPTCP)");
	if (flow->existing)
		ln_buf_adds(&a->text, ", open before the watch began");
	ln_buf_addc(&a->text, '\n');
	if (flow->inbound && flow->local.port != 0)
		ln_buf_addf(&a->text, "Local: %s\n", ln_endpoint_format(&flow->local, text));
	if (is_known(&flow->listener) && !is_behind(f)) {
		ln_buf_adds(&a->text, "Listener: ");
		add_party(a, &flow->listener);
		ln_buf_addc(&a->text, '\n');
	}
	if (flow->received) {
		ln_buf_adds(&a->text, "Socket: made by ");
		add_party(a, &flow->other);
		ln_buf_adds(&a->text, ", outside the agent\n");
	}
	if (flow->passed) {
		ln_buf_adds(&a->text, "Socket: made by the agent, used by ");
		add_party(a, &flow->other);
		ln_buf_adds(&a->text, ", outside the agent\n");
	}
}

static void add_wire_lines(struct ln_alert *a, const struct ln_finding *f)
{
	static const char *const ways[] = {
	    [LN_WIRE_CHANGED] = "rewritten after the application named it",
	    [LN_WIRE_ROUTED] = "source route or segment routing header",
	    [LN_WIRE_SUBFLOW] = "MPTCP subflow",
	};
	_Static_assert(LN_ARRAY_SIZE(ways) == LN_WIRE_COUNT, "a text for each reason");

	ln_buf_adds(&a->text, "Named: ");
	ln_describe_endpoint(&a->text, &f->flow->remote, f->named, f->n_named);
	ln_buf_addf(&a->text, "\nWay: %s\n", ways[f->wire_why]);
}

static void add_request(struct ln_alert *a, const struct ln_claim *c)
{
	ln_buf_addf(&a->text, ", %s", ln_claim_text(c));
	if (c->detail[0] != '\0') {
		ln_buf_adds(&a->text, ": ");
		add_words(a, c->detail);
	}
}

/* "127.0.0.1:3128, PID 812 squid, HTTP proxy request: CONNECT" */
static void add_via(struct ln_alert *a, const struct ln_finding *f)
{
	const struct ln_flow *flow = f->flow;
	char text[LN_ENDPOINT_TEXT_MAX];

	ln_buf_addf(&a->text, "Via: %s", ln_endpoint_format(&flow->remote, text));
	if (is_known(&flow->listener)) {
		ln_buf_adds(&a->text, ", ");
		add_party(a, &flow->listener);
	}
	if (is_asked(f))
		add_request(a, f->claim);
	ln_buf_addc(&a->text, '\n');
}

static void add_claim_lines(struct ln_alert *a, const struct ln_finding *f)
{
	const struct ln_target *t = f->target;

	if (!is_asked(f)) {
		ln_buf_adds(&a->text, "Claimed: ");
		ln_describe_claim(&a->text, f->claim);
		ln_buf_addc(&a->text, '\n');
	}
	if (t->rule && t->verdict != LN_VERDICT_UNEXPECTED) {
		ln_buf_adds(&a->text, "Permitted as: ");
		add_words(a, t->name);
		ln_buf_addf(&a->text, " (policy line %u)\n", t->rule->line);
	}
	if (is_behind(f))
		add_via(a, f);
}

static void add_cgroup(struct ln_alert *a, const struct ln_cgroup_info *c)
{
	if (c->in.id_len > 0) {
		ln_buf_adds(&a->text, "Container: ");
		ln_text_escape(&a->text, c->in.id,
			       LN_MIN(c->in.id_len, (size_t)LN_CONTAINER_ID_SHORT));
		if (c->in.runtime)
			ln_buf_addf(&a->text, " (%s)", c->in.runtime);
		ln_buf_addc(&a->text, '\n');
	} else if (c->in.unit_len > 0) {
		ln_buf_adds(&a->text, "Unit: ");
		ln_text_escape(&a->text, c->in.unit, c->in.unit_len);
		ln_buf_addc(&a->text, '\n');
	}
}

/* What the names in the destination rest on. */
static void add_evidence(struct ln_alert *a, const struct ln_finding *f)
{
	size_t n = f->n_names > EVIDENCE_MAX ? EVIDENCE_MAX - 1 : f->n_names;

	for (size_t i = 0; i < n; i++) {
		ln_buf_adds(&a->text, "Evidence: ");
		ln_describe_evidence(&a->text, &f->names[i], f->time_ns);
		ln_buf_addc(&a->text, '\n');
	}
	if (n < f->n_names)
		ln_buf_addf(&a->text, "Evidence: %zu more in the log\n", f->n_names - n);
}

/* The lines after the seven of every alert; a blank one ends the block. */
static void add_more(struct ln_alert *a, const struct ln_finding *f)
{
	if (f->claim)
		add_claim_lines(a, f);
	if (f->flow)
		add_flow_lines(a, f);
	if (f->held)
		ln_buf_addf(&a->text, "Confirmed: after %llu ms, %s\n",
			    (unsigned long long)((f->held_ns + LN_NS_PER_MS - 1) / LN_NS_PER_MS),
			    f->held);
	if (f->place)
		add_line(a, "Place", f->place);
	if (f->group) {
		ln_buf_adds(&a->text, "DNS: ");
		ln_describe_group(&a->text, f->group);
		ln_buf_addc(&a->text, '\n');
	}
	if (f->dns_way != LN_DNS_WAY_NONE)
		add_line(a, "DNS", ln_dns_way_words(f->dns_way));
	if (f->wire)
		add_wire_lines(a, f);
	add_evidence(a, f);
	if (f->channel && f->channel->existing)
		ln_buf_adds(&a->text, "Since: before the watch began\n");
	if (f->agent_name)
		add_line(a, "Agent", f->agent_name);
	if (f->cgroup)
		add_cgroup(a, f->cgroup);
	if (f->proc && f->proc->ns_pid != 0 && f->proc->ns_pid != f->proc->pid)
		ln_buf_addf(&a->text, "PID in container: %u\n", f->proc->ns_pid);
	if (f->proc && f->proc->why)
		add_line(a, "Watched since", f->proc->why);
	if (f->proc) {
		ln_buf_adds(&a->text, "Process tree: ");
		ln_describe_tree(&a->text, f->proc, &a->redact);
		ln_buf_addc(&a->text, '\n');
	}
	if (f->hint)
		add_line(a, "Hint", f->hint);
	if (f->alert_id)
		add_line(a, "Alert", f->alert_id);
	ln_buf_addc(&a->text, '\n');
}

static void add_destination(struct ln_alert *a, const struct ln_finding *f)
{
	char text[LN_ENDPOINT_TEXT_MAX];

	if (f->kind == LN_FINDING_DNS_QUERY) {
		ln_buf_addf(&a->text, "%s (query: ", ln_endpoint_format(&f->flow->remote, text));
		ln_describe_question(&a->text, f);
		ln_buf_addc(&a->text, ')');
	} else if (f->target) {
		ln_describe_target(&a->text, f);
	} else if (f->kind == LN_FINDING_DNS_ANSWER) {
		ln_buf_addf(&a->text, "%s (answer: ", ln_endpoint_format(&f->flow->remote, text));
		ln_describe_answer(&a->text, f);
		ln_buf_addc(&a->text, ')');
	} else if (f->subject && !f->wire) {
		add_words(a, f->subject);
	} else {
		ln_describe_endpoint(&a->text, f->wire ? f->wire : &f->flow->remote, f->names,
				     f->n_names);
	}
}

static const char *headline_of(const struct ln_finding *f)
{
	if (f->title)
		return f->title;
	return f->kind == LN_FINDING_DNS_QUERY ? LN_TITLE_NAME : LN_TITLE_OUTBOUND;
}

static void add_block(struct ln_alert *a, const struct ln_finding *f)
{
	ln_alert_headline(a, headline_of(f));
	ln_buf_addc(&a->text, '\n');
	add_timestamp(a, f);
	ln_buf_addf(&a->text, "PID: %u\nCommand: ", f->pid);
	ln_describe_command(&a->text, f->proc, &a->redact);
	ln_buf_adds(&a->text, "\nDestination: ");
	add_destination(a, f);
	ln_buf_adds(&a->text, "\nAction: ");
	ln_action_add(&a->text, f);
	ln_buf_addc(&a->text, '\n');
	add_rule(a, f);
	add_more(a, f);
}

/* Who touched linnet may be nobody of the tree, and may be unknown. */
static void add_tamper(struct ln_alert *a, const struct ln_finding *f)
{
	ln_alert_headline(a, f->title);
	ln_buf_addc(&a->text, '\n');
	add_timestamp(a, f);
	if (f->other && f->other->pid != 0)
		ln_buf_addf(&a->text, "PID: %u\nCommand: ", f->other->pid);
	else
		ln_buf_adds(&a->text, "PID: unknown\nCommand: ");
	if (f->proc)
		ln_describe_command(&a->text, f->proc, &a->redact);
	else if (f->other && f->other->comm[0] != '\0')
		ln_text_escape_word(&a->text, f->other->comm, strlen(f->other->comm));
	else
		ln_buf_adds(&a->text, "unknown");
	ln_buf_adds(&a->text, "\nDestination: linnet itself\nAction: ");
	ln_action_add(&a->text, f);
	ln_buf_addc(&a->text, '\n');
	add_rule(a, f);
	add_more(a, f);
}

static void add_repeats(struct ln_alert *a, const struct ln_finding *f)
{
	char remote[LN_ENDPOINT_TEXT_MAX];
	char words[64];

	snprintf(words, sizeof(words), "REPEATED %llu time%s", (unsigned long long)f->count,
		 f->count == 1 ? "" : "s");
	ln_alert_headline(a, words);
	ln_buf_adds(&a->text, ": ");
	if (f->title && strcmp(f->title, LN_TITLE_NAME) != 0 &&
	    strcmp(f->title, LN_TITLE_OUTBOUND) != 0)
		ln_buf_addf(&a->text, "%s, ", f->title);
	if (f->subject) {
		add_words(a, f->subject);
	} else if (!f->flow) {
		add_words(a, f->reason);
	} else {
		ln_endpoint_format(&f->flow->remote, remote);
		ln_buf_addf(&a->text, "%s/", remote);
		ln_describe_proto(&a->text, f->flow->proto);
	}
	if (f->query) {
		ln_buf_adds(&a->text, " (query: ");
		ln_describe_question(&a->text, f);
		ln_buf_addc(&a->text, ')');
	}
	if (f->group) {
		ln_buf_adds(&a->text, ", ");
		ln_describe_group(&a->text, f->group);
	}
	if (f->pid != 0)
		ln_buf_addf(&a->text, ", last by PID %u", f->pid);
	if (f->agent_name) {
		ln_buf_adds(&a->text, ", agent ");
		ln_text_escape_word(&a->text, f->agent_name, strlen(f->agent_name));
	}
	if (f->mode != LN_MODE_MONITOR) {
		ln_buf_adds(&a->text, ", action ");
		ln_action_add(&a->text, f);
	}
	ln_buf_adds(&a->text, "\n\n");
}

static void add_lost(struct ln_alert *a, const struct ln_finding *f)
{
	ln_alert_headline(a, "EVENTS LOST");
	ln_buf_addc(&a->text, '\n');
	add_timestamp(a, f);
	ln_buf_addf(&a->text, "Count: %llu\n", (unsigned long long)f->count);
	add_line(a, "Reason", f->reason);
	if (f->agent_name)
		add_line(a, "Agent", f->agent_name);
	ln_buf_adds(&a->text, "Meaning: linnet did not see all that happened; connections may be "
			      "missing from alerts and from the log.\n\n");
}

void ln_alert_notice(struct ln_alert *a, const struct ln_finding *f)
{
	ln_buf_adds(&a->text, "linnet: ");
	add_words(a, f->subject);
	ln_buf_addc(&a->text, '\n');
}

void ln_alert_add(struct ln_alert *a, const struct ln_finding *f)
{
	static void (*const adders[LN_FINDING_COUNT])(struct ln_alert *,
						      const struct ln_finding *) = {
	    [LN_FINDING_FLOW_OPEN] = add_block,  [LN_FINDING_DNS_QUERY] = add_block,
	    [LN_FINDING_DNS_ANSWER] = add_block, [LN_FINDING_WIRE] = add_block,
	    [LN_FINDING_CHANNEL] = add_block,    [LN_FINDING_CLAIM] = add_block,
	    [LN_FINDING_VERDICT] = add_block,    [LN_FINDING_LIMIT] = add_block,
	    [LN_FINDING_TAMPER] = add_tamper,    [LN_FINDING_REPEATS] = add_repeats,
	    [LN_FINDING_LOST] = add_lost,
	};

	if (adders[f->kind])
		adders[f->kind](a, f);
}
