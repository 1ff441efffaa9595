/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_text.h"

#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "policy/policy.h"

const struct ln_list_style ln_list_style_default = {
    .indent = 2,
    .offset = 2,
    .quote = {'"', 0, '"', '"'},
    .eol = "\n",
};

static struct tm utc(uint64_t wall_ns)
{
	time_t t = (time_t)(wall_ns / LN_NS_PER_S);
	struct tm tm;

	gmtime_r(&t, &tm);
	return tm;
}

const char *ln_policy_text_date(uint64_t wall_ns, char buf[16])
{
	struct tm tm = utc(wall_ns);

	strftime(buf, 16, "%Y-%m-%d", &tm);
	return buf;
}

static bool is_plain(const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "./_-";

	return text[0] != '\0' && text[0] != '-' && text[strspn(text, safe)] == '\0';
}

/* What is not printable ASCII is gone by now, but for what an operator gave. */
static void add_quoted(struct ln_buf *out, const char *text, char quote)
{
	if (quote == 0 && is_plain(text)) {
		ln_buf_adds(out, text);
		return;
	}
	quote = quote == '\'' ? '\'' : '"';
	ln_buf_addc(out, quote);
	for (; *text; text++) {
		if (*text == quote || (quote == '"' && *text == '\\'))
			ln_buf_addc(out, quote == '"' ? '\\' : '\'');
		ln_buf_addc(out, *text >= 0x20 && *text < 0x7f ? *text : '?');
	}
	ln_buf_addc(out, quote);
}

static void add_plain_text(struct ln_buf *out, const char *text)
{
	for (; *text; text++)
		ln_buf_addc(out, *text >= 0x20 && *text < 0x7f ? *text : '?');
}

static void add_known(struct ln_buf *out, const struct ln_proposal *p)
{
	struct tm tm = utc(p->first_wall_ns);
	char first[32];

	strftime(first, sizeof(first), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (p->folded > 0)
		ln_buf_addf(out, "%zu names; ", p->folded);
	if (p->part == LN_PART_UNIX && p->why[0])
		ln_buf_addf(out, "served by %s; ", p->why);
	ln_buf_addf(out, "seen %llu time%s, first %s", (unsigned long long)p->count,
		    p->count == 1 ? "" : "s", first);
	if (p->tx_bytes + p->rx_bytes > 0)
		ln_buf_addf(out, ", %llu bytes out, %llu in", (unsigned long long)p->tx_bytes,
			    (unsigned long long)p->rx_bytes);
	ln_buf_addf(out, ", by %s", p->command);
}

static void add_purpose(struct ln_buf *out, const struct ln_proposal *p, char quote)
{
	struct ln_buf text = {0};

	ln_buf_adds(&text, LN_PURPOSE_MARK " ");
	add_known(&text, p);
	add_quoted(out, ln_buf_text(&text), quote == 0 ? '"' : quote);
	ln_buf_done(&text);
}

static void add_ports(struct ln_buf *out, const struct ln_proposal *p)
{
	char ports[LN_PROPOSAL_PORTS * 8];

	ln_buf_addf(out, p->n_ports > 1 ? "[%s]" : "%s",
		    ln_proposal_ports(p, ports, sizeof(ports)));
}

/* Between two keys of one rule. */
static void add_break(struct ln_buf *out, const struct ln_list_style *s)
{
	if (s->flow)
		ln_buf_adds(out, ", ");
	else
		ln_buf_addf(out, "%s%*s", s->eol, (int)(s->indent + s->offset), "");
}

static void add_keys(struct ln_buf *out, const struct ln_proposal *p, const struct ln_list_style *s)
{
	const char *proto = ln_proto_name(p->proto);

	if (p->list == LN_RULE_UNIX) {
		ln_buf_adds(out, "path: ");
		add_quoted(out, p->text, s->quote[LN_STYLE_DESTINATION]);
	} else if (p->list == LN_RULE_EXPECTED) {
		ln_buf_adds(out, "destination: ");
		add_quoted(out, p->text, s->quote[LN_STYLE_DESTINATION]);
		add_break(out, s);
	}
	if (p->list != LN_RULE_UNIX) {
		ln_buf_adds(out, "port: ");
		add_ports(out, p);
		add_break(out, s);
		ln_buf_adds(out, "protocol: ");
		add_quoted(out, proto ? proto : "any", s->quote[LN_STYLE_PROTOCOL]);
	}
	if (p->list == LN_RULE_INBOUND && p->text[0]) {
		add_break(out, s);
		ln_buf_adds(out, "from: ");
		add_quoted(out, p->text, s->quote[LN_STYLE_DESTINATION]);
	}
	add_break(out, s);
	ln_buf_adds(out, "purpose: ");
	add_purpose(out, p, s->quote[LN_STYLE_PURPOSE]);
}

void ln_policy_text_item(struct ln_buf *out, const struct ln_proposal *p,
			 const struct ln_list_style *style)
{
	struct ln_list_style flow = *style;

	if (p->list == LN_RULE_DYNAMIC) {
		add_quoted(out, p->text, style->quote[LN_STYLE_DESTINATION]);
		return;
	}
	flow.flow = true;
	ln_buf_addc(out, '{');
	/* A plain comma would end the value; the text has none when it is a name. */
	add_keys(out, p, &flow);
	ln_buf_addc(out, '}');
}

static void add_comment(struct ln_buf *out, const struct ln_list_style *s, const char *text)
{
	ln_buf_addf(out, "%*s# ", (int)s->indent, "");
	add_plain_text(out, text);
	ln_buf_adds(out, s->eol);
}

static void add_heading(struct ln_buf *out, const struct ln_proposal *p,
			const struct ln_proposal *previous, const struct ln_list_style *s)
{
	static const char *const headings[LN_PART_COUNT] = {
	    [LN_PART_CLAIM] = "Only the agent gave these names, to a server; such a rule opens no "
			      "address by itself.",
	    [LN_PART_ADDRESS] = "By address: no name that can be trusted led there.",
	    [LN_PART_ASKED] = "Only asked for, and not connected to.",
	};

	if ((!previous || previous->part != p->part) && headings[p->part])
		add_comment(out, s, headings[p->part]);
	if (p->part == LN_PART_ADDRESS && p->why[0]) {
		char text[sizeof(p->text) + sizeof(p->why) + 4];

		snprintf(text, sizeof(text), "%s: %s", p->text, p->why);
		add_comment(out, s, text);
	}
}

void ln_policy_text_rule(struct ln_buf *out, const struct ln_proposal *p,
			 const struct ln_proposal *previous, const struct ln_list_style *style)
{
	if (style->blank)
		ln_buf_adds(out, style->eol);
	add_heading(out, p, previous, style);
	ln_buf_addf(out, "%*s-%*s", (int)style->indent, "", (int)LN_MAX(style->offset, 2u) - 1, "");
	if (p->list == LN_RULE_DYNAMIC) {
		ln_policy_text_item(out, p, style);
		ln_buf_adds(out, " # " LN_PURPOSE_MARK " ");
		struct ln_buf known = {0};
		add_known(&known, p);
		add_plain_text(out, ln_buf_text(&known));
		ln_buf_done(&known);
	} else if (style->flow) {
		ln_policy_text_item(out, p, style);
	} else {
		add_keys(out, p, style);
	}
	ln_buf_adds(out, style->eol);
}

static bool add_list(struct ln_buf *out, const struct ln_proposals *p, enum ln_rule_kind kind)
{
	const struct ln_proposal *previous = NULL;

	for (size_t i = 0; i < p->n; i++) {
		if (p->rules[i].list != kind)
			continue;
		if (!previous)
			ln_buf_addf(out, "%s:\n", ln_rule_list_text(kind));
		ln_policy_text_rule(out, &p->rules[i], previous, &ln_list_style_default);
		previous = &p->rules[i];
	}
	return previous;
}

static void add_unproposed(struct ln_buf *out, const struct ln_proposals *p)
{
	if (p->n_not > 0)
		ln_buf_adds(out, "# Not proposed:\n");
	for (size_t i = 0; i < p->n_not; i++) {
		ln_buf_adds(out, "#   ");
		add_plain_text(out, p->not [i].text);
		ln_buf_adds(out, ": ");
		add_plain_text(out, p->not [i].why);
		ln_buf_addc(out, '\n');
	}
	if (p->over > 0)
		ln_buf_addf(out, "# Not all that was seen is here: %llu times there was no room.\n",
			    (unsigned long long)p->over);
}

bool ln_policy_text_whole(struct ln_buf *out, const struct ln_proposals *p,
			  const struct ln_policy_text *about)
{
	char date[16];

	out->max = LN_POLICY_TEXT_MAX;
	ln_buf_addf(out, "# Written by `linnet learn` on %s from ",
		    ln_policy_text_date(about->wall_ns, date));
	add_plain_text(out, about->source);
	ln_buf_adds(out, ".\n# This is what was seen, which is not yet what is right: read each "
			 "rule, say what it\n# is for, and take away what should not be. See "
			 "linnet.yaml(5).\nagent_name: ");
	add_quoted(out, about->agent_name, '"');
	ln_buf_addc(out, '\n');
	bool any = add_list(out, p, LN_RULE_EXPECTED);
	add_list(out, p, LN_RULE_DYNAMIC);
	add_list(out, p, LN_RULE_UNIX);
	add_list(out, p, LN_RULE_INBOUND);
	add_unproposed(out, p);
	return any && !out->failed;
}
