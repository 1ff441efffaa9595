/* SPDX-License-Identifier: Apache-2.0 */
#include "checks.h"

#include <string.h>
#include "index.h"
#include "pattern.h"
#include "ports.h"

/* A network of more addresses than anybody's own is warned of. */
#define WIDE_V4 16
#define WIDE_V6 32

struct check {
	const struct ln_policy *policy;
	const struct ln_place *places;
	struct ln_report *report;
	const struct ln_rule *rule;
	bool told; /* one message a rule */
};

static void tell_repeat(struct check *c, const struct ln_rule *first)
{
	c->told = true;
	ln_report_error(c->report, c->places[c->rule->id],
			"this rule repeats the one on line %u; remove it", first->line);
}

static void tell_shadow(struct check *c, const struct ln_rule *by)
{
	char quote[LN_QUOTE_MAX], buf[64];
	const char *ports = ln_rule_ports_text(by, buf, sizeof(buf));

	c->told = true;
	ln_report_error(c->report, c->places[c->rule->id],
			"this rule is shadowed by line %u, which %s all of it (%s%s%s); remove "
			"one of the two, or narrow line %u",
			by->line, by->kind == LN_RULE_DENY ? "denies" : "permits",
			ln_report_quote(quote, by->text, strlen(by->text)), ports[0] ? ", " : "",
			ports, by->line);
}

static bool contradict(const struct ln_rule *a, const struct ln_rule *b)
{
	return a->purpose && b->purpose && strcmp(a->purpose, b->purpose) != 0 &&
	       ln_rule_gate_overlaps(a, b);
}

static void tell_contradiction(struct check *c, const struct ln_rule *first)
{
	char a[LN_QUOTE_MAX], b[LN_QUOTE_MAX];
	bool socket = first->kind == LN_RULE_UNIX;

	c->told = true;
	ln_report_error(
	    c->report, c->places[c->rule->id],
	    "this rule contradicts line %u: the same %s for %s there and for %s here; keep one%s",
	    first->line,
	    socket                           ? "socket"
	    : first->kind == LN_RULE_INBOUND ? "origin, port and protocol"
					     : "destination, port and protocol",
	    ln_report_quote(a, first->purpose, strlen(first->purpose)),
	    ln_report_quote(b, c->rule->purpose, strlen(c->rule->purpose)),
	    socket ? "" : ", or give them different ports");
}

static void tell_too_many(struct check *c)
{
	c->told = true;
	ln_report_error(c->report, c->places[c->rule->id],
			"more than %d rules for one destination; write one rule with a list of "
			"ports or ranges",
			LN_CHECK_SAME_MAX);
}

/* Rules with the very same destination. Of two that say the same the later one is told. */
static void check_same(struct check *c, const struct ln_rule_chain *chain)
{
	const struct ln_policy *p = c->policy;
	size_t n = 0;

	for (uint32_t id = chain->first; id != LN_NO_RULE && !c->told; id = p->next[id]) {
		const struct ln_rule *other = &p->rules[id];
		bool earlier = id < c->rule->id;

		if (++n > LN_CHECK_SAME_MAX) {
			if (other == c->rule)
				tell_too_many(c);
			return;
		}
		if (other == c->rule)
			continue;
		if (contradict(other, c->rule)) {
			if (earlier)
				tell_contradiction(c, other);
		} else if (ln_rule_gate_covers(other, c->rule)) {
			if (!ln_rule_gate_covers(c->rule, other))
				tell_shadow(c, other);
			else if (earlier)
				tell_repeat(c, other);
		}
	}
}

/* Rules with a destination that contains this one. */
static void check_wider(struct check *c, const struct ln_rule_chain *chain)
{
	const struct ln_policy *p = c->policy;
	size_t n = 0;

	for (uint32_t id = chain->first; id != LN_NO_RULE && !c->told; id = p->next[id]) {
		if (++n > LN_CHECK_SAME_MAX)
			return;
		if (ln_rule_gate_covers(&p->rules[id], c->rule))
			tell_shadow(c, &p->rules[id]);
	}
}

/* What is wholly denied permits nothing. */
static void check_denied(struct check *c, const struct ln_rule_chain *chain)
{
	if (c->rule->kind != LN_RULE_DENY)
		check_wider(c, chain);
}

static void check_name(struct check *c)
{
	struct ln_level levels[LN_NAME_LABELS_MAX];
	size_t n = ln_index_name_levels(c->policy, c->rule->name, levels);
	bool exact = c->rule->dest == LN_DEST_NAME;

	while (n-- > 0) {
		const struct ln_name_slot *s = levels[n].slot;

		check_denied(c, levels[n].whole && exact ? &s->exact[LN_RULE_DENY]
							 : &s->suffix[LN_RULE_DENY]);
		if (!levels[n].whole)
			check_wider(c, &s->suffix[c->rule->kind]);
		else
			check_same(c, exact ? &s->exact[c->rule->kind] : &s->suffix[c->rule->kind]);
	}
}

static void check_net(struct check *c)
{
	const struct ln_net *net = &c->rule->net;
	const uint8_t *lens;
	size_t n = ln_index_lengths(c->policy, net->addr.family, &lens);

	for (size_t i = 0; i < n; i++) {
		const struct ln_net_slot *s;

		if (lens[i] > net->prefix_len)
			continue;
		s = ln_index_net(c->policy, &net->addr, lens[i]);
		if (!s)
			continue;
		check_denied(c, &s->chain[LN_RULE_DENY]);
		if (lens[i] == net->prefix_len)
			check_same(c, &s->chain[c->rule->kind]);
		else
			check_wider(c, &s->chain[c->rule->kind]);
	}
}

/* Whether all that `b` is about `a` is about too. */
static bool local_covers(const struct ln_rule *a, const struct ln_rule *b)
{
	if (a->kind == LN_RULE_UNIX)
		return ln_pattern_covers(a->name, b->name);
	return a->net.addr.family == 0 ||
	       (b->net.addr.family != 0 && a->net.prefix_len <= b->net.prefix_len &&
		ln_net_contains(&a->net, &b->net.addr));
}

/* Against each other rule of its list: these are short. */
static void check_local(struct check *c)
{
	const struct ln_policy *p = c->policy;
	const struct ln_rule *rule = c->rule;

	for (uint32_t id = p->start[rule->kind]; id < p->start[rule->kind + 1] && !c->told; id++) {
		const struct ln_rule *other = &p->rules[id];
		bool same;

		if (other == rule || !local_covers(other, rule))
			continue;
		same = local_covers(rule, other);
		if (same && contradict(other, rule)) {
			if (id < rule->id)
				tell_contradiction(c, other);
		} else if (ln_rule_gate_covers(other, rule)) {
			if (!same || !ln_rule_gate_covers(rule, other))
				tell_shadow(c, other);
			else if (id < rule->id)
				tell_repeat(c, other);
		}
	}
}

/* Rules that permit more than anybody means. */
static void check_width(struct check *c)
{
	const struct ln_rule *rule = c->rule;
	uint8_t wide = rule->net.addr.family == 4 ? WIDE_V4 : WIDE_V6;
	char quote[LN_QUOTE_MAX];

	if (rule->kind != LN_RULE_EXPECTED || c->told)
		return;
	/* That every address is covered was told already. */
	if (rule->dest == LN_DEST_NET && rule->net.prefix_len > 0 && rule->net.prefix_len < wide)
		ln_report_warning(c->report, c->places[rule->id],
				  "%s is wider than a /%u; list the networks that the agent needs",
				  ln_report_quote(quote, rule->text, strlen(rule->text)), wide);
	if (rule->n_ports == 0)
		ln_report_warning(c->report, c->places[rule->id],
				  "%s is permitted on every port; list the ports that the agent "
				  "needs",
				  ln_report_quote(quote, rule->text, strlen(rule->text)));
}

void ln_check_rules(const struct ln_policy *p, const struct ln_place *places, struct ln_report *r)
{
	for (size_t i = 0; i < p->n_rules; i++) {
		struct check c = {p, places, r, &p->rules[i], false};

		if (c.rule->kind >= LN_RULE_KINDS)
			check_local(&c);
		else if (c.rule->dest == LN_DEST_NET)
			check_net(&c);
		else
			check_name(&c);
		check_width(&c);
	}
}
