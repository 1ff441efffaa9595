/* SPDX-License-Identifier: Apache-2.0 */
#include "propose.h"

#include <errno.h>
#include <string.h>
#include "engine/places.h"

struct builder {
	const struct ln_propose_config *c;
	struct ln_proposals *out;
	size_t cap, cap_not;
	bool failed;
};

void ln_proposals_done(struct ln_proposals *p)
{
	free(p->rules);
	free(p->not );
	*p = (struct ln_proposals){0};
}

const char *ln_proposal_ports(const struct ln_proposal *p, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < p->n_ports && used < size; i++)
		used +=
		    (size_t)snprintf(buf + used, size - used, "%s%u", i ? ", " : "", p->ports[i]);
	return buf;
}

static void *grow(void *list, size_t n, size_t *cap, size_t size)
{
	size_t more = LN_MAX(2 * *cap, (size_t)16);
	void *grown;

	if (n < *cap)
		return list;
	grown = reallocarray(list, more, size);
	if (grown)
		*cap = more;
	return grown;
}

static struct ln_proposal *add(struct builder *b)
{
	struct ln_proposals *out = b->out;
	struct ln_proposal *list = grow(out->rules, out->n, &b->cap, sizeof(*list));

	if (!list) {
		b->failed = true;
		return NULL;
	}
	out->rules = list;
	out->rules[out->n] = (struct ln_proposal){0};
	return &out->rules[out->n++];
}

/* "203.0.113.9 443/TCP", "/run/x", "port 8080/TCP" */
static void say_what(const struct ln_observed *s, char *buf, size_t size)
{
	const char *proto = ln_proto_name(s->proto);

	if (s->kind == LN_OBSERVED_INBOUND)
		snprintf(buf, size, "inbound port %u/%s", s->port, proto ? proto : "?");
	else if (s->kind == LN_OBSERVED_DEST || s->kind == LN_OBSERVED_CLAIM)
		snprintf(buf, size, "%s %u/%s", s->text, s->port, proto ? proto : "?");
	else
		snprintf(buf, size, "%s", s->text);
}

static void refuse(struct builder *b, const struct ln_observed *s, const char *why)
{
	struct ln_proposals *out = b->out;
	struct ln_unproposed *list = grow(out->not, out->n_not, &b->cap_not, sizeof(*list));

	if (!list) {
		b->failed = true;
		return;
	}
	out->not = list;
	say_what(s, list[out->n_not].text, sizeof(list[0].text));
	snprintf(list[out->n_not++].why, sizeof(list[0].why), "%s", why);
}

static void match(const struct builder *b, const struct ln_observed *s, struct ln_match *ret)
{
	const char *name = s->text;
	const struct ln_query q = {
	    .addr = s->addr,
	    .port = s->port,
	    .proto = s->proto,
	    .now_s = s->last_wall_ns / LN_NS_PER_S,
	    .granting = &name,
	    .n_granting = s->addr.family == 0,
	};

	ln_policy_match(b->c->policy, &q, ret);
}

/* What is asked of a relay that is not permitted is a violation, whatever the rules say of it. */
static bool is_permitted(const struct builder *b, const struct ln_observed *s)
{
	struct ln_match m;

	if (s->kind == LN_OBSERVED_NAME)
		return ln_policy_covers_name(b->c->policy, s->text, s->last_wall_ns / LN_NS_PER_S);
	if (s->kind != LN_OBSERVED_DEST && s->kind != LN_OBSERVED_CLAIM)
		return false;
	match(b, s, &m);
	return ln_match_permits(&m);
}

/* What the rules that are there say against it; NULL: nothing. */
static const char *ruled_out(const struct builder *b, const struct ln_observed *s)
{
	static const char denied[] = "a rule of the policy denies it";
	struct ln_match m;

	if (s->denied)
		return denied;
	if (s->kind == LN_OBSERVED_NAME)
		return ln_policy_denies_name(b->c->policy, s->text) ? denied : NULL;
	if (s->kind != LN_OBSERVED_DEST && s->kind != LN_OBSERVED_CLAIM)
		return NULL;
	match(b, s, &m);
	if (m.denied)
		return denied;
	return m.expired ? "a rule of the policy permitted it and is over; give it another date"
			 : NULL;
}

/* NULL: it may be proposed. */
static const char *objection(const struct builder *b, const struct ln_observed *s)
{
	const struct ln_addr_place *place;
	const char *ruled = ruled_out(b, s);

	if (ruled)
		return ruled;
	if (!s->listable)
		return "a policy cannot say it";
	place = s->kind == LN_OBSERVED_DEST && s->addr.family ? ln_place_find(&s->addr) : NULL;
	if (place && place->kind == LN_PLACE_CLOUD)
		return "this service hands out the machine's identity and credentials; a person "
		       "has to write that rule";
	return NULL;
}

static void say_why_address(const struct ln_observed *s, char *buf, size_t size)
{
	if (s->place)
		snprintf(buf, size, "%s", s->place);
	else if (s->grade == LN_GRADE_CLAIMED)
		snprintf(buf, size, "called %s, by nothing that can be trusted", s->called);
	else if (s->existing)
		snprintf(buf, size, "open before the watch began, so its name was not seen");
	else
		snprintf(buf, size, "no name was seen for it");
}

static void add_as(struct builder *b, const struct ln_observed *s, enum ln_proposal_part part,
		   enum ln_rule_kind list, const char *text)
{
	struct ln_proposal *p = add(b);

	if (!p)
		return;
	p->part = part;
	p->list = list;
	snprintf(p->text, sizeof(p->text), "%s", text);
	p->proto = s->proto;
	if (s->port) {
		p->ports[0] = s->port;
		p->n_ports = 1;
	}
	p->count = s->count;
	p->tx_bytes = s->tx_bytes;
	p->rx_bytes = s->rx_bytes;
	p->first_wall_ns = s->first_wall_ns;
	memcpy(p->command, s->command, sizeof(p->command));
	if (part == LN_PART_ADDRESS)
		say_why_address(s, p->why, sizeof(p->why));
	else if (part == LN_PART_UNIX && s->called[0])
		snprintf(p->why, sizeof(p->why), "%.200s", s->called);
}

static void add_one(struct builder *b, const struct ln_observed *s, enum ln_proposal_part part,
		    enum ln_rule_kind list)
{
	const char *no = objection(b, s);

	if (no)
		refuse(b, s, no);
	else
		add_as(b, s, part, list, s->text);
}

/* A rule for anywhere would be the shadow of one that the file has for somewhere. */
static bool is_listed_from(const struct builder *b, const struct ln_observed *s)
{
	for (size_t i = 0; b->c->existing && i < ln_policy_rules(b->c->policy); i++) {
		const struct ln_rule *r = ln_policy_rule(b->c->policy, i);

		if (r->kind == LN_RULE_INBOUND && r->net.addr.family != 0 &&
		    (r->proto == 0 || r->proto == s->proto))
			return true;
	}
	return false;
}

static void add_inbound(struct builder *b, const struct ln_observed *s)
{
	char text[LN_ADDR_TEXT_MAX];

	if (objection(b, s) || s->n_addrs == 0 || !is_listed_from(b, s)) {
		add_one(b, s, LN_PART_INBOUND, LN_RULE_INBOUND);
		return;
	}
	for (size_t i = 0; i < s->n_addrs; i++)
		add_as(b, s, LN_PART_INBOUND, LN_RULE_INBOUND, ln_addr_format(&s->addrs[i], text));
	if (s->more_addrs > 0)
		refuse(b, s, "from more addresses than are told apart");
}

/* A list that is not there polices nothing; once it is there it has to be whole. */
static bool wants_unix(const struct builder *b, const struct ln_observed **list, size_t n)
{
	if (!b->c->existing || ln_policy_polices_unix(b->c->policy))
		return true;
	for (size_t i = 0; i < n; i++)
		if (list[i]->kind == LN_OBSERVED_UNIX && list[i]->unexpected > 0)
			return true;
	return false;
}

static void add_all(struct builder *b, const struct ln_observed **list, size_t n)
{
	bool unix_too = wants_unix(b, list, n);

	for (size_t i = 0; i < n; i++) {
		const struct ln_observed *s = list[i];
		bool is_unix = s->kind == LN_OBSERVED_UNIX;

		if (is_unix ? !unix_too || s->verdicts & (1u << LN_VERDICT_EXPECTED)
			    : s->unexpected == 0 || is_permitted(b, s))
			continue;
		switch (s->kind) {
		case LN_OBSERVED_DEST:
			add_one(b, s, s->addr.family ? LN_PART_ADDRESS : LN_PART_NAME,
				LN_RULE_EXPECTED);
			break;
		case LN_OBSERVED_CLAIM:
			add_one(b, s, LN_PART_CLAIM, LN_RULE_EXPECTED);
			break;
		case LN_OBSERVED_NAME:
			add_one(b, s, LN_PART_ASKED, LN_RULE_DYNAMIC);
			break;
		case LN_OBSERVED_UNIX:
			add_one(b, s, LN_PART_UNIX, LN_RULE_UNIX);
			break;
		case LN_OBSERVED_INBOUND:
			add_inbound(b, s);
			break;
		default:
			refuse(b, s, "no rule can permit it");
			break;
		}
	}
}

static int compare(const void *a, const void *b)
{
	const struct ln_proposal *x = a, *y = b;
	int d;

	if (x->part != y->part)
		return x->part < y->part ? -1 : 1;
	d = strcmp(x->text, y->text);
	if (d == 0)
		d = (int)x->proto - (int)y->proto;
	return d ? d : (int)x->ports[0] - (int)y->ports[0];
}

static void take_over(struct ln_proposal *into, const struct ln_proposal *from)
{
	if (from->first_wall_ns < into->first_wall_ns) {
		into->first_wall_ns = from->first_wall_ns;
		memcpy(into->command, from->command, sizeof(into->command));
	}
	into->count += from->count;
	into->tx_bytes += from->tx_bytes;
	into->rx_bytes += from->rx_bytes;
}

static bool joins(const struct ln_proposal *a, const struct ln_proposal *b)
{
	return a->part == b->part && a->proto == b->proto && a->n_ports > 0 &&
	       a->n_ports < LN_PROPOSAL_PORTS && a->part != LN_PART_INBOUND &&
	       strcmp(a->text, b->text) == 0;
}

/* Ports of one destination become one rule; the same port twice, one port. */
static void join_ports(struct ln_proposals *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		struct ln_proposal *last = n > 0 ? &p->rules[n - 1] : NULL;
		const struct ln_proposal *this = &p->rules[i];

		if (!last || !joins(last, this)) {
			p->rules[n++] = *this;
			continue;
		}
		take_over(last, this);
		last->folded += this->folded;
		if (last->ports[last->n_ports - 1] != this->ports[0])
			last->ports[last->n_ports++] = this->ports[0];
	}
	p->n = n;
}

static bool is_covered(const struct ln_proposal *rule, const char *name)
{
	if (strncmp(rule->text, "*.", 2) != 0)
		return strcmp(rule->text, name) == 0;
	return ln_name_under(name, rule->text + 2) && strcmp(name, rule->text + 2) != 0;
}

/* Names that another rule covers need none of their own, and a rule must not shadow another. */
static bool makes_needless(const struct ln_proposal *rule, const struct ln_proposal *p)
{
	if (p->part == LN_PART_ASKED)
		return rule->part < LN_PART_ASKED ||
		       (rule->part == LN_PART_ASKED && rule->folded > 0);
	return p->part == LN_PART_CLAIM && rule->part == LN_PART_NAME && rule->proto == p->proto &&
	       rule->ports[0] == p->ports[0];
}

static void drop_covered(struct ln_proposals *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		bool covered = false;

		for (size_t k = 0; k < p->n && !covered; k++)
			covered = k != i && makes_needless(&p->rules[k], &p->rules[i]) &&
				  is_covered(&p->rules[k], p->rules[i].text);
		if (!covered)
			p->rules[n++] = p->rules[i];
	}
	p->n = n;
}

static bool same_gate(const struct ln_proposal *a, const struct ln_proposal *b)
{
	return a->part == b->part && a->proto == b->proto && a->ports[0] == b->ports[0] &&
	       a->folded == 0 && b->folded == 0;
}

/* The longest suffix of both, at whole labels. */
static const char *common_suffix(const char *a, const char *b)
{
	for (const char *at = a; at; at = strchr(at, '.')) {
		at += *at == '.';
		if (ln_name_under(b, at))
			return at;
	}
	return "";
}

/* The file's own rules must not become its shadow. */
static bool shadows(const struct builder *b, const struct ln_proposal *p, const char *suffix)
{
	for (size_t i = 0; b->c->existing && i < ln_policy_rules(b->c->policy); i++) {
		const struct ln_rule *r = ln_policy_rule(b->c->policy, i);

		if (r->kind == p->list && r->name && r->dest != LN_DEST_PATH &&
		    ln_name_under(r->name, suffix))
			return true;
	}
	return false;
}

/* Whether a name of this group can be part of a wildcard below `domain`. */
static bool is_below(const struct ln_proposal *p, const struct ln_proposal *first,
		     const char *domain)
{
	return same_gate(p, first) && ln_name_under(p->text, domain) &&
	       strcmp(p->text, domain) != 0;
}

/* Sets `wild` to "*.suffix" for the group of rules[at]; how many names it stands for, 0: none. */
static size_t find_fold(const struct builder *b, size_t at, char wild[LN_NAME_MAX + 2])
{
	const struct ln_proposals *p = b->out;
	const struct ln_proposal *first = &p->rules[at];
	const char *domain = ln_policy_registered_domain(b->c->policy, first->text);
	const char *suffix = strchr(first->text, '.');
	size_t n = 0;

	if (first->part != LN_PART_NAME && first->part != LN_PART_ASKED)
		return 0;
	if (strcmp(domain, first->text) == 0 || !suffix || first->folded > 0)
		return 0;
	suffix++;
	for (size_t i = 0; i < p->n; i++) {
		if (!is_below(&p->rules[i], first, domain))
			continue;
		/* The wildcard does not cover its own suffix: one label more is left. */
		const char *rest = strchr(p->rules[i].text, '.') + 1;
		suffix = common_suffix(suffix, rest);
		n++;
	}
	if (n < b->c->fold || !ln_name_under(suffix, domain) || shadows(b, first, suffix))
		return 0;
	snprintf(wild, LN_NAME_MAX + 2, "*.%s", suffix);
	return n;
}

/* Before ports are joined, so that a wildcard gets no port that only some of its names had. */
static void fold(struct builder *b)
{
	struct ln_proposals *p = b->out;

	for (size_t i = 0; i < p->n; i++) {
		char wild[LN_NAME_MAX + 2];
		struct ln_proposal *into = &p->rules[i];
		size_t n = find_fold(b, i, wild), kept = 0;

		if (n == 0)
			continue;
		for (size_t k = 0; k < p->n; k++) {
			struct ln_proposal *this = &p->rules[k];

			if (k <= i || !same_gate(this, into) ||
			    !ln_name_under(this->text, wild + 2) ||
			    strcmp(this->text, wild + 2) == 0) {
				p->rules[kept++] = *this;
				continue;
			}
			take_over(into, this);
		}
		p->n = kept;
		into->folded = n;
		memcpy(into->text, wild, sizeof(wild));
	}
}

/* Without a list of public suffixes nobody can say what a wildcard would stand for. */
static bool knows_suffixes(const struct ln_policy *p)
{
	return strcmp(ln_policy_registered_domain(p, "a.b.co.uk"), "b.co.uk") == 0;
}

int ln_propose(const struct ln_observations *o, const struct ln_propose_config *c,
	       struct ln_proposals *ret)
{
	struct builder b = {.c = c, .out = ret};
	LN_AUTO_FREE const struct ln_observed **list = NULL;
	size_t n;

	*ret = (struct ln_proposals){0};
	list = ln_observations_sorted(o, &n);
	if (!list)
		return -ENOMEM;
	add_all(&b, list, n);
	if (b.failed) {
		ln_proposals_done(ret);
		return -ENOMEM;
	}
	if (ret->n > 0)
		qsort(ret->rules, ret->n, sizeof(ret->rules[0]), compare);
	drop_covered(ret);
	if (c->fold > 0 && knows_suffixes(c->policy)) {
		fold(&b);
		drop_covered(ret);
	}
	if (ret->n > 0)
		qsort(ret->rules, ret->n, sizeof(ret->rules[0]), compare);
	join_ports(ret);
	for (int k = 0; k < LN_OBSERVED_KINDS; k++)
		ret->over += ln_observations_over(o, (enum ln_observed_kind)k);
	return 0;
}
