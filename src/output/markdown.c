/* SPDX-License-Identifier: Apache-2.0 */
#include "markdown.h"

#include <string.h>
#include "base/text.h"
#include "policy_text.h"

#define UNUSED_TOLD 50

void ln_markdown_code(struct ln_buf *out, const char *text)
{
	struct ln_buf safe = {0};
	const char *at;

	ln_text_escape(&safe, text, strlen(text));
	at = ln_buf_text(&safe);
	ln_buf_addc(out, '`');
	if (*at == '\0')
		ln_buf_addc(out, '-');
	for (; *at; at++) {
		/* Quoted as ln_text_escape quotes, whose own backslashes are doubled. */
		if (strchr("`|<>", *at))
			ln_buf_addf(out, "\\x%02x", (unsigned char)*at);
		else
			ln_buf_addc(out, *at);
	}
	ln_buf_addc(out, '`');
	ln_buf_done(&safe);
}

static const char *verdicts_text(const struct ln_observed *s)
{
	if (s->unexpected > 0)
		return s->denied ? "**denied**" : "**unexpected**";
	if (s->verdicts & (1u << LN_VERDICT_DYNAMIC))
		return "dynamic";
	if (s->verdicts & (1u << LN_VERDICT_EXPECTED))
		return "expected";
	if (s->verdicts & (1u << LN_VERDICT_DNS))
		return s->kind == LN_OBSERVED_RESOLVER ? "resolver" : "covered";
	return "not policed";
}

static const char *kind_text(const struct ln_observed *s)
{
	static const char *const texts[] = {
	    [LN_OBSERVED_DEST] = "connection",   [LN_OBSERVED_CLAIM] = "name in bytes",
	    [LN_OBSERVED_NAME] = "DNS name",     [LN_OBSERVED_RESOLVER] = "resolver",
	    [LN_OBSERVED_UNIX] = "UNIX socket",  [LN_OBSERVED_INBOUND] = "inbound",
	    [LN_OBSERVED_OTHER] = "other alert",
	};
	_Static_assert(LN_ARRAY_SIZE(texts) == LN_OBSERVED_KINDS, "a text for each kind");

	return texts[s->kind];
}

static void add_addresses(struct ln_buf *out, const struct ln_observed *s)
{
	char text[LN_ADDR_TEXT_MAX];

	for (size_t i = 0; i < s->n_addrs; i++) {
		ln_buf_adds(out, i ? " " : "");
		ln_markdown_code(out, ln_addr_format(&s->addrs[i], text));
	}
	if (s->more_addrs > 0)
		ln_buf_adds(out, " …");
}

static void add_row(struct ln_buf *out, const struct ln_observed *s)
{
	const char *proto = ln_proto_name(s->proto);

	ln_buf_addf(out, "| %s | ", kind_text(s));
	ln_markdown_code(out, s->text);
	if (s->port)
		ln_buf_addf(out, " | %u/%s", s->port, proto ? proto : "?");
	else
		ln_buf_adds(out, " | ");
	ln_buf_addf(out, " | %s | %llu | %llu | %llu | ", verdicts_text(s),
		    (unsigned long long)s->count, (unsigned long long)s->tx_bytes,
		    (unsigned long long)s->rx_bytes);
	if (s->rule[0])
		ln_markdown_code(out, s->rule);
	ln_buf_adds(out, " | ");
	add_addresses(out, s);
	ln_buf_adds(out, " | ");
	ln_markdown_code(out, s->command);
	ln_buf_adds(out, " |\n");
}

static void add_table(struct ln_buf *out, const struct ln_observed **seen, size_t n,
		      bool violations)
{
	size_t rows = 0;

	for (size_t i = 0; i < n; i++) {
		if ((seen[i]->unexpected > 0) != violations)
			continue;
		if (rows++ == 0)
			ln_buf_addf(out,
				    "\n## %s\n\n| What | Destination | Port | Verdict | Count | "
				    "Bytes out | Bytes in | Rule | Addresses | First process |\n"
				    "|---|---|---|---|---|---|---|---|---|---|\n",
				    violations ? "Violations" : "As expected");
		if (rows <= LN_MARKDOWN_ROWS)
			add_row(out, seen[i]);
	}
	if (rows > LN_MARKDOWN_ROWS)
		ln_buf_addf(out, "\nAnd %zu more, which the connection log has.\n",
			    rows - LN_MARKDOWN_ROWS);
}

static void add_proposals(struct ln_buf *out, const struct ln_proposals *p)
{
	const struct ln_proposal *previous = NULL;

	if (p->n == 0)
		return;
	ln_buf_adds(out, "\n## Rules that would have permitted it\n\nWhat was seen is not yet what "
			 "is right: say what each is for, and take only what should be.\n\n"
			 "```yaml\n");
	for (size_t i = 0; i < LN_MIN(p->n, (size_t)LN_MARKDOWN_ROWS); i++) {
		if (!previous || previous->list != p->rules[i].list) {
			ln_buf_addf(out, "%s:\n", ln_rule_list_text(p->rules[i].list));
			previous = NULL;
		}
		ln_policy_text_rule(out, &p->rules[i], previous, &ln_list_style_default);
		previous = &p->rules[i];
	}
	ln_buf_adds(out, "```\n");
	if (p->n > LN_MARKDOWN_ROWS)
		ln_buf_addf(out, "\nAnd %zu more.\n", p->n - LN_MARKDOWN_ROWS);
}

static void add_unproposed(struct ln_buf *out, const struct ln_proposals *p)
{
	if (p->n_not > 0)
		ln_buf_adds(out, "\nNot proposed:\n\n");
	for (size_t i = 0; i < LN_MIN(p->n_not, (size_t)LN_MARKDOWN_ROWS); i++) {
		ln_buf_adds(out, "- ");
		ln_markdown_code(out, p->not [i].text);
		ln_buf_addf(out, ": %s\n", p->not [i].why);
	}
}

static void add_losses(struct ln_buf *out, const struct ln_engine_summary *sum, uint64_t over)
{
	const struct {
		uint64_t n;
		const char *words;
	} losses[] = {
	    {sum->lost, "events lost"},
	    {sum->dns_malformed, "DNS messages unreadable"},
	    {sum->names_evicted, "names forgotten early"},
	    {sum->processes_refused, "processes beyond the bound"},
	    {sum->tables_full, "table entries refused"},
	    {over, "sightings that found no room in this summary"},
	    {sum->tampers, "times somebody touched linnet itself"},
	};
	bool any = false;

	ln_buf_adds(out, "\n## Losses\n\n");
	for (size_t i = 0; i < LN_ARRAY_SIZE(losses); i++) {
		if (losses[i].n == 0)
			continue;
		ln_buf_addf(out, "- %llu %s\n", (unsigned long long)losses[i].n, losses[i].words);
		any = true;
	}
	if (!any)
		ln_buf_adds(out, "None.\n");
}

static void add_unused(struct ln_buf *out, const struct ln_sink_summary *all)
{
	if (all->n_unused > 0)
		ln_buf_adds(out, "\n## Rules never used\n\n");
	for (size_t i = 0; i < LN_MIN(all->n_unused, (size_t)UNUSED_TOLD); i++) {
		ln_buf_adds(out, "- ");
		ln_markdown_code(out, all->unused_rules[i]);
		ln_buf_addc(out, '\n');
	}
	if (all->n_unused > UNUSED_TOLD)
		ln_buf_addf(out, "- and %zu more\n", all->n_unused - UNUSED_TOLD);
}

void ln_markdown_summary(struct ln_buf *out, const char *agent_name,
			 const struct ln_sink_summary *all, const struct ln_observed **seen,
			 size_t n, const struct ln_proposals *proposals)
{
	const struct ln_engine_summary *sum = all->sum;
	uint64_t bad = sum->violations + sum->dns_unexpected;

	out->max = LN_MARKDOWN_BYTES;
	ln_buf_adds(out, "# linnet: ");
	ln_markdown_code(out, agent_name);
	ln_buf_addf(out,
		    "\n\n%s%llu violation%s%s, %llu connections to %llu destinations, %llu DNS "
		    "queries, %llu bytes out, %llu in.\n",
		    bad ? "**" : "", (unsigned long long)bad, bad == 1 ? "" : "s", bad ? "**" : "",
		    (unsigned long long)sum->flows, (unsigned long long)sum->destinations,
		    (unsigned long long)sum->dns_queries, (unsigned long long)sum->tx_bytes,
		    (unsigned long long)sum->rx_bytes);
	add_table(out, seen, n, true);
	add_proposals(out, proposals);
	add_unproposed(out, proposals);
	add_table(out, seen, n, false);
	add_losses(out, sum, proposals->over);
	add_unused(out, all);
	if (out->failed) {
		out->failed = false;
		out->max += 128;
		ln_buf_adds(out, "\n\nThis summary was cut; the connection log has the rest.");
	}
	ln_buf_addc(out, '\n');
}
