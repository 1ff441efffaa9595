/* SPDX-License-Identifier: Apache-2.0 */
/* Alerts and the summary for people, on standard error. */
#include "sink.h"

#include <errno.h>
#include <string.h>
#include "base/clock.h"
#include "base/text.h"
#include "describe.h"
#include "writer.h"

#define UNUSED_RULES_TOLD 10

struct console {
	struct ln_sink base;
	struct ln_writer writer;
	struct ln_redact redact;
	struct ln_buf text; /* reused */
	bool quiet, color;
};

static struct console *console_of(struct ln_sink *s)
{
	return (struct console *)s;
}

static void add_headline(struct console *c, const char *words)
{
	ln_buf_adds(&c->text, c->color ? "\033[1;31m[!] " : "[!] ");
	ln_buf_adds(&c->text, words);
	if (c->color)
		ln_buf_adds(&c->text, "\033[0m");
}

static void add_words(struct console *c, const char *words)
{
	if (words)
		ln_text_escape(&c->text, words, strlen(words));
}

static void add_line(struct console *c, const char *label, const char *words)
{
	ln_buf_addf(&c->text, "%s: ", label);
	add_words(c, words);
	ln_buf_addc(&c->text, '\n');
}

static void add_timestamp(struct console *c, const struct ln_finding *f)
{
	char time[LN_TIME_TEXT_MAX];

	ln_buf_addf(&c->text, "Timestamp: %s\n", ln_time_format(f->wall_ns, 0, time));
}

static void add_rule(struct console *c, const struct ln_finding *f)
{
	char ports[64];

	if (!f->rule) {
		ln_buf_adds(&c->text, "Rule Matched: NONE - ");
		add_words(c, f->reason);
		ln_buf_addc(&c->text, '\n');
		return;
	}
	ln_buf_adds(&c->text, "Rule Matched: ");
	add_words(c, f->rule->text);
	ln_buf_addf(&c->text, " %s (policy line %u)\n",
		    ln_rule_ports_text(f->rule, ports, sizeof(ports)), f->rule->line);
}

/* The lines after the seven of every alert; a blank one ends the block. */
static void add_more(struct console *c, const struct ln_finding *f)
{
	ln_buf_adds(&c->text, "Protocol: ");
	ln_describe_proto(&c->text, f->flow->proto);
	if (f->flow->mptcp)
		ln_buf_adds(&c->text, " (MPTCP)");
	if (f->flow->existing)
		ln_buf_adds(&c->text, ", open before the watch began");
	ln_buf_addc(&c->text, '\n');
	if (f->agent_name)
		add_line(c, "Agent", f->agent_name);
	if (f->proc) {
		ln_buf_adds(&c->text, "Process tree: ");
		ln_describe_tree(&c->text, f->proc, &c->redact);
		ln_buf_addc(&c->text, '\n');
	}
	if (f->hint)
		add_line(c, "Hint", f->hint);
	ln_buf_addc(&c->text, '\n');
}

static void add_violation(struct console *c, const struct ln_finding *f)
{
	bool query = f->kind == LN_FINDING_DNS_QUERY;
	char remote[LN_ENDPOINT_TEXT_MAX];

	add_headline(c, query ? "UNEXPECTED DNS QUERY" : "UNEXPECTED OUTBOUND CONNECTION");
	ln_buf_addc(&c->text, '\n');
	add_timestamp(c, f);
	ln_buf_addf(&c->text, "PID: %u\nCommand: ", f->pid);
	ln_describe_command(&c->text, f->proc, &c->redact);
	ln_buf_adds(&c->text, "\nDestination: ");
	if (query) {
		ln_endpoint_format(&f->flow->remote, remote);
		ln_buf_addf(&c->text, "%s (query: ", remote);
		ln_describe_question(&c->text, f);
		ln_buf_addc(&c->text, ')');
	} else {
		ln_describe_destination(&c->text, f);
	}
	ln_buf_adds(&c->text, "\nAction: LOGGED (Block policy not enabled)\n");
	add_rule(c, f);
	add_more(c, f);
}

static void add_repeats(struct console *c, const struct ln_finding *f)
{
	char remote[LN_ENDPOINT_TEXT_MAX];
	char words[64];

	snprintf(words, sizeof(words), "REPEATED %llu time%s", (unsigned long long)f->count,
		 f->count == 1 ? "" : "s");
	add_headline(c, words);
	ln_buf_adds(&c->text, ": ");
	if (!f->flow) {
		add_words(c, f->reason);
	} else {
		ln_endpoint_format(&f->flow->remote, remote);
		ln_buf_addf(&c->text, "%s/", remote);
		ln_describe_proto(&c->text, f->flow->proto);
	}
	if (f->query) {
		ln_buf_adds(&c->text, " (query: ");
		ln_describe_question(&c->text, f);
		ln_buf_addc(&c->text, ')');
	}
	if (f->pid != 0)
		ln_buf_addf(&c->text, ", last by PID %u", f->pid);
	if (f->agent_name) {
		ln_buf_adds(&c->text, ", agent ");
		ln_text_escape_word(&c->text, f->agent_name, strlen(f->agent_name));
	}
	ln_buf_adds(&c->text, "\n\n");
}

static void add_lost(struct console *c, const struct ln_finding *f)
{
	add_headline(c, "EVENTS LOST");
	ln_buf_addc(&c->text, '\n');
	add_timestamp(c, f);
	ln_buf_addf(&c->text, "Count: %llu\n", (unsigned long long)f->count);
	add_line(c, "Reason", f->reason);
	if (f->agent_name)
		add_line(c, "Agent", f->agent_name);
	ln_buf_adds(&c->text, "Meaning: linnet did not see all that happened; connections may be "
			      "missing from alerts and from the log.\n\n");
}

/* What could not be shown before is said as soon as something can be shown again. */
static void begin(struct console *c)
{
	ln_buf_reset(&c->text);
	if (c->writer.unreported == 0)
		return;
	add_headline(c, "ALERTS NOT SHOWN");
	ln_buf_addf(&c->text, ": %llu (%s); see the connection log\n\n",
		    (unsigned long long)c->writer.unreported, strerror(c->base.error));
}

static void end(struct console *c)
{
	if (ln_writer_put(&c->writer, &c->base, &c->text))
		c->writer.unreported = 0;
}

static void on_finding(struct ln_sink *s, const struct ln_finding *f)
{
	static void (*const adders[LN_FINDING_COUNT])(struct console *,
						      const struct ln_finding *) = {
	    [LN_FINDING_FLOW_OPEN] = add_violation,
	    [LN_FINDING_DNS_QUERY] = add_violation,
	    [LN_FINDING_REPEATS] = add_repeats,
	    [LN_FINDING_LOST] = add_lost,
	};
	struct console *c = console_of(s);

	if (!f->alert || !adders[f->kind])
		return;
	begin(c);
	adders[f->kind](c, f);
	end(c);
}

static void add_bytes(struct ln_buf *out, uint64_t n)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)n;
	size_t i = 0;

	/* 1023.95 would be printed as 1024.0 */
	for (; value >= 1023.95 && i + 1 < LN_ARRAY_SIZE(units); i++)
		value /= 1024;
	ln_buf_addf(out, i == 0 ? "%.0f %s" : "%.1f %s", value, units[i]);
}

static void add_row(struct console *c, const char *label)
{
	ln_buf_addf(&c->text, "  %-18s", label);
}

static void add_losses(struct console *c, const struct ln_engine_summary *sum)
{
	const struct {
		uint64_t n;
		const char *words;
	} losses[] = {
	    {sum->lost, "events lost"},
	    {sum->dns_malformed, "DNS messages unreadable"},
	    {sum->names_evicted, "names forgotten early"},
	    {sum->processes_refused, "processes beyond the bound"},
	    {sum->alerts_folded, "alerts folded into one"},
	    {sum->tables_full, "table entries refused"},
	    {c->base.dropped, "alerts not shown"},
	};
	bool any = false;

	add_row(c, "losses");
	for (size_t i = 0; i < LN_ARRAY_SIZE(losses); i++) {
		if (losses[i].n == 0)
			continue;
		ln_buf_addf(&c->text, "%s%llu %s", any ? ", " : "", (unsigned long long)losses[i].n,
			    losses[i].words);
		any = true;
	}
	ln_buf_adds(&c->text, any ? "\n" : "none\n");
}

static void add_unused(struct console *c, const char *const *rules, size_t n)
{
	add_row(c, "rules never used");
	if (n == 0)
		ln_buf_adds(&c->text, "none");
	for (size_t i = 0; i < LN_MIN(n, (size_t)UNUSED_RULES_TOLD); i++) {
		if (i > 0)
			ln_buf_adds(&c->text, ", ");
		add_words(c, rules[i]);
	}
	if (n > UNUSED_RULES_TOLD)
		ln_buf_addf(&c->text, " and %zu more", n - UNUSED_RULES_TOLD);
	ln_buf_addc(&c->text, '\n');
}

static void on_summary(struct ln_sink *s, const struct ln_engine_summary *sum,
		       const char *const *unused_rules, size_t n_unused)
{
	struct console *c = console_of(s);

	if (c->quiet)
		return;
	begin(c);
	ln_buf_adds(&c->text, "linnet: summary\n");
	add_row(c, "connections");
	ln_buf_addf(&c->text, "%llu to %s%llu destination%s", (unsigned long long)sum->flows,
		    sum->destinations_over ? "more than " : "",
		    (unsigned long long)sum->destinations, sum->destinations == 1 ? "" : "s");
	if (sum->flows_open > 0)
		ln_buf_addf(&c->text, ", %llu still open", (unsigned long long)sum->flows_open);
	ln_buf_addc(&c->text, '\n');
	add_row(c, "violations");
	ln_buf_addf(&c->text, "%llu", (unsigned long long)sum->violations);
	if (sum->repeats > 0)
		ln_buf_addf(&c->text, " and %llu repeats", (unsigned long long)sum->repeats);
	ln_buf_addc(&c->text, '\n');
	add_row(c, "bytes");
	add_bytes(&c->text, sum->tx_bytes);
	ln_buf_adds(&c->text, " out, ");
	add_bytes(&c->text, sum->rx_bytes);
	ln_buf_adds(&c->text, " in\n");
	add_row(c, "DNS queries");
	ln_buf_addf(&c->text, "%llu, %llu unexpected\n", (unsigned long long)sum->dns_queries,
		    (unsigned long long)sum->dns_unexpected);
	add_losses(c, sum);
	add_unused(c, unused_rules, n_unused);
	end(c);
}

static void on_flush(struct ln_sink *s)
{
	ln_writer_flush(&console_of(s)->writer);
}

static void on_free(struct ln_sink *s)
{
	struct console *c = console_of(s);

	ln_writer_done(&c->writer);
	ln_redact_done(&c->redact);
	ln_buf_done(&c->text);
	free(c);
}

int ln_sink_console_new(const struct ln_console_config *config, struct ln_sink **ret)
{
	static const struct ln_sink_ops ops = {
	    .name = "console",
	    .finding = on_finding,
	    .summary = on_summary,
	    .flush = on_flush,
	    .free = on_free,
	};
	struct console *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->base.ops = &ops;
	c->quiet = config->quiet;
	c->color = config->color;
	c->redact.off = config->show_args;
	ln_writer_init(&c->writer, config->fd, false);
	*ret = &c->base;
	return 0;
}
