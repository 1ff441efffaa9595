/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a story to the engine under a policy and writes one line a finding. With a third file the
 * lines are compared with it: exit status 0 when they are the same, 1 when not, 2 for a story or a
 * policy that cannot be read. */
#include <errno.h>
#include "base/text.h"
#include "dns/chain.h"
#include "dns/message.h"
#include "sensor/sensor.h"
#include "setting.h"

struct replay {
	struct ln_policy *policy;
	struct ln_engine *engine;
	struct ln_sensor *sensor;
	struct ln_buf out;
	uint64_t now_ns;
};

static void add_quoted(struct ln_buf *out, const char *label, const char *text)
{
	if (!text)
		return;
	ln_buf_addf(out, " %s\"", label);
	ln_text_escape(out, text, strlen(text));
	ln_buf_addc(out, '"');
}

static void add_party(struct ln_buf *out, const char *label, const struct ln_party *p)
{
	if (p->pid == 0 && p->comm[0] == '\0')
		return;
	ln_buf_addf(out, " %s=%u:", label, p->pid);
	ln_text_escape(out, p->comm, strlen(p->comm));
}

static void add_flow(struct ln_buf *out, const struct ln_finding *f)
{
	char text[LN_ENDPOINT_TEXT_MAX];

	if (!f->flow || f->flow->remote.addr.family == 0)
		return;
	ln_buf_addf(out, " %s/%s", ln_endpoint_format(&f->flow->remote, text),
		    ln_proto_name(f->flow->proto));
	if (f->flow->inbound)
		ln_buf_addf(out, " inbound=%s", ln_endpoint_format(&f->flow->local, text));
	add_party(out, f->flow->received ? "received-from" : "passed-to", &f->flow->other);
	add_party(out, "listener", &f->flow->listener);
	if (f->wire)
		ln_buf_addf(out, " %s=%s", ln_wire_why_text(f->wire_why),
			    ln_endpoint_format(f->wire, text));
	if (f->flow->existing)
		ln_buf_adds(out, " existing");
	if (f->end)
		ln_buf_addf(out, " tx=%llu rx=%llu %s", (unsigned long long)f->end->tx_bytes,
			    (unsigned long long)f->end->rx_bytes, ln_outcome_text(f->end->outcome));
}

static void add_evidence(struct ln_buf *out, const struct ln_name_evidence *e)
{
	const char *at = e->chain ? e->chain : "", *name;
	size_t len;

	ln_buf_addf(out, "%s(%s%s%s%s", e->name, ln_name_source_text(e->source),
		    e->grants ? "" : ",names", e->stale ? ",stale" : "", e->over ? ",over" : "");
	while (ln_chain_next(&at, &name, &len))
		ln_buf_addf(out, ">%.*s", (int)len, name);
	ln_buf_addc(out, ')');
}

static void add_names(struct ln_buf *out, const char *label, const struct ln_name_evidence *names,
		      size_t n)
{
	for (size_t i = 0; i < n; i++) {
		ln_buf_addf(out, i == 0 ? " %s=" : ",", label);
		add_evidence(out, &names[i]);
	}
}

/* Only what is not so for every flow. */
static void add_title(struct ln_buf *out, const struct ln_finding *f)
{
	if (!f->title || strcmp(f->title, LN_TITLE_OUTBOUND) == 0 ||
	    strcmp(f->title, LN_TITLE_NAME) == 0)
		return;
	add_quoted(out, "", f->title);
}

static void add_beside(struct ln_buf *out, const struct ln_finding *f)
{
	if (f->channel)
		ln_buf_addf(out, " %s", ln_channel_kind_text(f->channel->kind));
	if (f->channel && f->channel->refused)
		ln_buf_adds(out, " refused");
	add_quoted(out, "subject=", f->subject);
	if (f->other)
		add_party(out, "by", f->other);
}

/* "tls/0:www.example.net,ech alpn=h2 …"; what it is claimed of, when that is not the flow's end. */
static void add_claim(struct ln_buf *out, const struct ln_finding *f)
{
	const struct ln_claim *c = f->claim;
	char text[LN_ADDR_TEXT_MAX];

	if (!c)
		return;
	ln_buf_addf(out, " %s/%u", ln_layer_text(c->layer), c->depth);
	if (c->addr.family != 0)
		ln_buf_addf(out, ":%s", ln_addr_format(&c->addr, text));
	else if (c->has_name)
		ln_buf_addf(out, ":%s", c->name[0] ? c->name : "?");
	if (c->port != 0)
		ln_buf_addf(out, ":%u", c->port);
	if (c->ech)
		ln_buf_adds(out, ",ech");
	if (c->alpn[0] != '\0')
		ln_buf_addf(out, " alpn=%s", c->alpn);
	add_quoted(out, "detail=", c->detail[0] ? c->detail : NULL);
	if (f->notice)
		ln_buf_adds(out, " notice");
}

/* Where the process is. */
static void add_where(struct ln_buf *out, const struct ln_finding *f)
{
	if (f->proc && f->proc->ns_pid)
		ln_buf_addf(out, " ns-pid=%u", f->proc->ns_pid);
	if (f->proc)
		add_quoted(out, "since=", f->proc->why);
	if (!f->cgroup)
		return;
	if (f->cgroup->in.id_len > 0)
		ln_buf_addf(out, " container=%.12s:%s", f->cgroup->in.id,
			    f->cgroup->in.runtime ? f->cgroup->in.runtime : "?");
	if (f->cgroup->in.unit_len > 0)
		ln_buf_addf(out, " unit=%.*s", (int)f->cgroup->in.unit_len, f->cgroup->in.unit);
}

static void add_question(struct ln_buf *out, const struct ln_finding *f)
{
	const char *type = ln_dns_type_name(f->qtype);
	char text[LN_ADDR_TEXT_MAX];

	if (!f->query)
		return;
	ln_buf_addf(out, " query=%s", f->query[0] ? f->query : "?");
	if (type)
		ln_buf_addf(out, "/%s", type);
	if (f->kind != LN_FINDING_REPEATS)
		ln_buf_adds(out, f->trusted ? " trusted" : " untrusted");
	if (f->group)
		ln_buf_addf(out, " group=%s:%llu/%llu%s,%llu+%llu", f->group->domain,
			    (unsigned long long)f->group->names,
			    (unsigned long long)f->group->questions, f->group->more ? "+" : "",
			    (unsigned long long)f->group->label_bytes,
			    (unsigned long long)f->group->answer_bytes);
	if (f->forgery != LN_FORGERY_NONE)
		ln_buf_addf(out, " forged=%s", ln_forgery_text(f->forgery));
	if (f->rcode)
		ln_buf_addf(out, " rcode=%u", f->rcode);
	for (size_t i = 0; i < f->n_answers; i++)
		ln_buf_addf(out, "%s%s", i == 0 ? " answers=" : ",",
			    ln_addr_format(&f->answers[i], text));
}

static void add_process(struct ln_buf *out, const struct ln_finding *f)
{
	const struct ln_proc *proc = f->proc;

	ln_buf_addf(out, " %s", ln_event_kind_text(f->event_kind));
	if (f->event_kind == LN_EVENT_FORK)
		ln_buf_addf(out, " child=%u", f->child);
	if (f->event_kind == LN_EVENT_EXIT)
		ln_buf_addf(out, " status=%d", f->exit_status);
	if (!proc)
		return;
	if (proc->parent)
		ln_buf_addf(out, " parent=%u", proc->parent->pid);
	add_quoted(out, "exe=", proc->exe);
	for (size_t at = 0; proc->args && at < proc->args_len;) {
		size_t len = strnlen(proc->args + at, proc->args_len - at);

		ln_buf_addc(out, ' ');
		ln_text_escape_word(out, proc->args + at, len);
		at += len + 1;
	}
}

static void add_name(struct ln_buf *out, const struct ln_finding *f)
{
	char text[LN_ADDR_TEXT_MAX];

	ln_buf_addf(out, " %s=", ln_addr_format(&f->addr, text));
	add_evidence(out, f->evidence);
}

static void on_finding(const struct ln_finding *f, void *user)
{
	struct replay *r = user;
	struct ln_buf *out = &r->out;

	ln_buf_addf(out, "%.3f %s", (double)(f->time_ns - LN_STORY_MONO_NS) / 1e9,
		    ln_finding_kind_text(f->kind));
	if (f->alert)
		ln_buf_adds(out, " ALERT");
	if (f->verdict != LN_VERDICT_NONE)
		ln_buf_addf(out, " %s", ln_verdict_text(f->verdict));
	if (f->pid)
		ln_buf_addf(out, " pid=%u", f->pid);
	if (f->kind == LN_FINDING_PROCESS)
		add_process(out, f);
	if (f->kind == LN_FINDING_NAME)
		add_name(out, f);
	add_title(out, f);
	add_claim(out, f);
	add_beside(out, f);
	add_flow(out, f);
	add_names(out, "names", f->names, f->n_names);
	add_names(out, "named-names", f->named, f->n_named);
	add_question(out, f);
	add_where(out, f);
	add_quoted(out, "place=", f->place);
	if (f->dns_way != LN_DNS_WAY_NONE)
		ln_buf_addf(out, " dns=%s", ln_dns_way_text(f->dns_way));
	if (f->count)
		ln_buf_addf(out, " count=%llu", (unsigned long long)f->count);
	if (f->repeat_of)
		ln_buf_addf(out, " repeat=%llu", (unsigned long long)f->repeat_of);
	if (f->rule)
		ln_buf_addf(out, " line=%u", f->rule->line);
	if (f->rule_name)
		ln_buf_addf(out, " by=%s", f->rule_name);
	add_quoted(out, "", f->reason);
	add_quoted(out, "hint=", f->hint);
	ln_buf_addc(out, '\n');
}

static void add_summary(struct replay *r)
{
	struct ln_engine_summary s;

	ln_engine_summary(r->engine, &s);
	const struct {
		const char *label;
		uint64_t n;
	} rows[] = {
	    {"flows", s.flows},
	    {"destinations", s.destinations},
	    {"expected", s.by_verdict[LN_VERDICT_EXPECTED]},
	    {"dynamic", s.by_verdict[LN_VERDICT_DYNAMIC]},
	    {"dns", s.by_verdict[LN_VERDICT_DNS]},
	    {"internal", s.by_verdict[LN_VERDICT_INTERNAL]},
	    {"unexpected", s.by_verdict[LN_VERDICT_UNEXPECTED]},
	    {"violations", s.violations},
	    {"repeats", s.repeats},
	    {"tx", s.tx_bytes},
	    {"rx", s.rx_bytes},
	    {"dns-queries", s.dns_queries},
	    {"dns-unexpected", s.dns_unexpected},
	    {"dns-malformed", s.dns_malformed},
	    {"dns-forged", s.dns_forged},
	    {"channels", s.channels},
	    {"channels-unexpected", s.channels_unexpected},
	    {"tampers", s.tampers},
	    {"processes", s.processes},
	    {"lost", s.lost},
	    {"names-evicted", s.names_evicted},
	    {"processes-refused", s.processes_refused},
	    {"alerts-folded", s.alerts_folded},
	    {"tables-full", s.tables_full},
	};

	ln_buf_adds(&r->out, "summary");
	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		if (rows[i].n)
			ln_buf_addf(&r->out, " %s=%llu", rows[i].label,
				    (unsigned long long)rows[i].n);
	}
	ln_buf_adds(&r->out, "\nnever used:");
	for (size_t id = 0; id < ln_policy_rules(r->policy); id++) {
		if (ln_engine_rule_hits(r->engine, id) == 0)
			ln_buf_addf(&r->out, " %s", ln_policy_rule(r->policy, id)->text);
	}
	ln_buf_addc(&r->out, '\n');
}

/* Keeps the appointments that a live loop would keep. */
static void tick_until(struct replay *r, uint64_t until_ns)
{
	uint64_t due_ns;

	while ((due_ns = ln_engine_deadline(r->engine)) <= until_ns)
		ln_engine_tick(r->engine, due_ns, LN_STORY_WALL_NS + (due_ns - LN_STORY_MONO_NS));
}

static void on_event(const struct ln_event *ev, void *user)
{
	struct replay *r = user;

	tick_until(r, ev->time_ns);
	ln_engine_feed(r->engine, ev);
	r->now_ns = LN_MAX(r->now_ns, ev->time_ns);
}

static bool make_engine(struct replay *r, const char *story)
{
	struct setting setting;
	struct ln_engine_config config = {
	    .policy = r->policy, .agent = 1, .on_finding = on_finding, .user = r};

	return read_setting(story, &setting, &config) && ln_engine_new(&config, &r->engine) == 0;
}

static bool run(struct replay *r, const char *story, const char *policy)
{
	struct ln_error error = {0};

	r->out.max = OUTPUT_MAX;
	r->now_ns = LN_STORY_MONO_NS;
	r->policy = read_policy(policy);
	if (!r->policy || !make_engine(r, story))
		return false;
	if (ln_sensor_replay_new(story, &error, &r->sensor) < 0) {
		fprintf(stderr, "replay: %s\n", error.text);
		return false;
	}
	if (r->sensor->ops->drain(r->sensor, on_event, r) < 0)
		return false;
	ln_engine_finish(r->engine, r->now_ns, LN_STORY_WALL_NS + (r->now_ns - LN_STORY_MONO_NS));
	add_summary(r);
	return !r->out.failed;
}

static bool compare(const char *expected, const char *actual)
{
	unsigned int line = 1;

	while (*expected && *actual) {
		size_t n_expected = strcspn(expected, "\n"), n_actual = strcspn(actual, "\n");

		if (n_expected != n_actual || memcmp(expected, actual, n_actual) != 0)
			break;
		expected += n_expected + (expected[n_expected] == '\n');
		actual += n_actual + (actual[n_actual] == '\n');
		line++;
	}
	if (!*expected && !*actual)
		return true;
	printf("line %u differs\n- %.*s\n+ %.*s\n", line, (int)strcspn(expected, "\n"), expected,
	       (int)strcspn(actual, "\n"), actual);
	return false;
}

static int finish(struct replay *r, const char *golden)
{
	struct ln_buf expected = {0};
	int status = 0;

	if (!golden)
		fputs(ln_buf_text(&r->out), stdout);
	else if (!read_file(golden, &expected))
		status = 2;
	else if (!compare(ln_buf_text(&expected), ln_buf_text(&r->out)))
		status = 1;
	ln_buf_done(&expected);
	return status;
}

int main(int argc, char **argv)
{
	struct replay r = {0};
	int status = 2;

	if (argc < 3 || argc > 4)
		fprintf(stderr, "usage: replay STORY.jsonl POLICY.yaml [EXPECTED]\n");
	else if (run(&r, argv[1], argv[2]))
		status = finish(&r, argv[3]);
	ln_sensor_free(&r.sensor);
	ln_engine_free(&r.engine);
	ln_policy_free(&r.policy);
	ln_buf_done(&r.out);
	return status;
}
