/* SPDX-License-Identifier: Apache-2.0 */
/* Alerts and the summary for people, on standard error. */
#include "sink.h"

#include <errno.h>
#include <string.h>
#include "alert.h"
#include "base/text.h"
#include "observed.h"
#include "writer.h"

#define UNUSED_RULES_TOLD 10

struct console {
	struct ln_sink base;
	struct ln_writer writer;
	struct ln_alert alert; /* its text is reused for everything */
	bool quiet, no_alerts, learning;
};

static struct console *console_of(struct ln_sink *s)
{
	return (struct console *)s;
}

/* What could not be shown before is said as soon as something can be shown again. */
static void begin(struct console *c)
{
	ln_buf_reset(&c->alert.text);
	if (c->writer.unreported == 0)
		return;
	ln_alert_headline(&c->alert, "ALERTS NOT SHOWN");
	ln_buf_addf(&c->alert.text, ": %llu (%s); see the connection log\n\n",
		    (unsigned long long)c->writer.unreported, strerror(c->base.error));
}

static void end(struct console *c)
{
	if (ln_writer_put(&c->writer, &c->base, &c->alert.text, 1))
		c->writer.unreported = 0;
}

static void on_finding(struct ln_sink *s, const struct ln_finding *f)
{
	struct console *c = console_of(s);

	bool notice = f->notice && !c->quiet;

	if (c->learning && ln_observed_can_be_listed(f))
		return;
	if ((!f->alert || c->no_alerts) && !notice)
		return;
	begin(c);
	if (notice)
		ln_alert_notice(&c->alert, f);
	else
		ln_alert_add(&c->alert, f);
	if (c->alert.text.len > 0 || c->alert.text.failed)
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
	ln_buf_addf(&c->alert.text, "  %-18s", label);
}

/* What was done, or would have been, in the modes that do something; repetitions count. */
static void add_actions(struct console *c, const struct ln_engine_summary *sum)
{
	struct ln_buf *b = &c->alert.text;

	if (sum->blocked > 0) {
		add_row(c, "blocked");
		ln_buf_addf(b, "%llu time%s", (unsigned long long)sum->blocked,
			    sum->blocked == 1 ? "" : "s");
		if (sum->blocked_permitted > 0)
			ln_buf_addf(b, ", %llu of them permitted by the policy when judged",
				    (unsigned long long)sum->blocked_permitted);
		ln_buf_addc(b, '\n');
	}
	if (sum->would_act > 0) {
		add_row(c, "dry run");
		ln_buf_addf(b, "%llu time%s something would have been done",
			    (unsigned long long)sum->would_act, sum->would_act == 1 ? "" : "s");
		ln_buf_addc(b, '\n');
	}
	if (sum->let_through > 0) {
		add_row(c, "let through");
		ln_buf_addf(b, "%llu that the mode could do nothing about\n",
			    (unsigned long long)sum->let_through);
	}
	if (sum->deeds > 0) {
		add_row(c, "killed or frozen");
		ln_buf_addf(b, "%llu time%s\n", (unsigned long long)sum->deeds,
			    sum->deeds == 1 ? "" : "s");
	}
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
		ln_buf_addf(&c->alert.text, "%s%llu %s", any ? ", " : "",
			    (unsigned long long)losses[i].n, losses[i].words);
		any = true;
	}
	ln_buf_adds(&c->alert.text, any ? "\n" : "none\n");
}

static void add_unused(struct console *c, const char *const *rules, size_t n)
{
	add_row(c, "rules never used");
	if (n == 0)
		ln_buf_adds(&c->alert.text, "none");
	for (size_t i = 0; i < LN_MIN(n, (size_t)UNUSED_RULES_TOLD); i++) {
		if (i > 0)
			ln_buf_adds(&c->alert.text, ", ");
		ln_text_escape(&c->alert.text, rules[i], strlen(rules[i]));
	}
	if (n > UNUSED_RULES_TOLD)
		ln_buf_addf(&c->alert.text, " and %zu more", n - UNUSED_RULES_TOLD);
	ln_buf_addc(&c->alert.text, '\n');
}

/* "exec /usr/local/bin/page 3, webhook https://hooks.example.com 1 (2 dropped)" */
static void add_sinks(struct console *c, const struct ln_sink_summary *all)
{
	bool any = false;

	for (size_t i = 0; i < all->n_sinks; i++) {
		const struct ln_sink_stat *k = &all->sinks[i];
		if (!k->target)
			continue;
		if (any)
			ln_buf_adds(&c->alert.text, ", ");
		else
			add_row(c, "alerts sent");
		any = true;
		ln_buf_addf(&c->alert.text, "%s ", k->name);
		ln_text_escape(&c->alert.text, k->target, strlen(k->target));
		ln_buf_addf(&c->alert.text, "%s%llu", k->target[0] != '\0' ? " " : "",
			    (unsigned long long)k->written);
		if (k->dropped > 0)
			ln_buf_addf(&c->alert.text, " (%llu dropped)",
				    (unsigned long long)k->dropped);
	}
	if (any)
		ln_buf_addc(&c->alert.text, '\n');
}

static void add_counts(struct console *c, const struct ln_engine_summary *sum)
{
	add_row(c, "connections");
	ln_buf_addf(&c->alert.text, "%llu to %s%llu destination%s", (unsigned long long)sum->flows,
		    sum->destinations_over ? "more than " : "",
		    (unsigned long long)sum->destinations, sum->destinations == 1 ? "" : "s");
	if (sum->flows_open > 0)
		ln_buf_addf(&c->alert.text, ", %llu still open",
			    (unsigned long long)sum->flows_open);
	ln_buf_addc(&c->alert.text, '\n');
	add_row(c, c->learning ? "not permitted yet" : "violations");
	ln_buf_addf(&c->alert.text, "%llu", (unsigned long long)sum->violations);
	if (sum->repeats > 0)
		ln_buf_addf(&c->alert.text, " and %llu repeats", (unsigned long long)sum->repeats);
	ln_buf_addc(&c->alert.text, '\n');
	add_row(c, "bytes");
	add_bytes(&c->alert.text, sum->tx_bytes);
	ln_buf_adds(&c->alert.text, " out, ");
	add_bytes(&c->alert.text, sum->rx_bytes);
	ln_buf_adds(&c->alert.text, " in\n");
	add_row(c, "DNS queries");
	ln_buf_addf(&c->alert.text, "%llu, %llu unexpected\n", (unsigned long long)sum->dns_queries,
		    (unsigned long long)sum->dns_unexpected);
	if (sum->channels_unexpected > 0) {
		add_row(c, "other channels");
		ln_buf_addf(&c->alert.text, "%llu, %llu unexpected\n",
			    (unsigned long long)sum->channels,
			    (unsigned long long)sum->channels_unexpected);
	}
	if (sum->claims_unexpected > 0) {
		add_row(c, "claims in bytes");
		ln_buf_addf(&c->alert.text, "%llu, %llu unexpected\n",
			    (unsigned long long)sum->claims,
			    (unsigned long long)sum->claims_unexpected);
	}
	if (sum->tampers > 0) {
		add_row(c, "tampering");
		ln_buf_addf(&c->alert.text, "%llu time%s\n", (unsigned long long)sum->tampers,
			    sum->tampers == 1 ? "" : "s");
	}
	add_actions(c, sum);
	add_losses(c, sum);
}

static void on_summary(struct ln_sink *s, const struct ln_sink_summary *sum)
{
	struct console *c = console_of(s);

	if (c->quiet)
		return;
	begin(c);
	ln_buf_adds(&c->alert.text, "linnet: summary\n");
	add_counts(c, sum->sum);
	add_sinks(c, sum);
	add_unused(c, sum->unused_rules, sum->n_unused);
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
	ln_alert_done(&c->alert);
	free(c);
}

int ln_sink_console_new(const struct ln_console_config *config, struct ln_sink **ret)
{
	static const struct ln_sink_ops ops = {
	    .name = "stderr",
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
	c->learning = config->learning;
	c->no_alerts = config->no_alerts;
	c->alert.color = config->color;
	c->alert.redact.off = config->show_args;
	ln_writer_init(&c->writer, config->fd, false);
	*ret = &c->base;
	return 0;
}
