/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_edit.h"

#include <errno.h>
#include <string.h>
#include "policy/yaml_tree.h"

struct editor {
	const struct ln_policy_edit_config *c;
	struct ln_policy_edit *out;
	const struct ln_yaml_node *root;
	struct ln_list_style usual; /* of a list that is not there yet */
};

void ln_policy_edit_done(struct ln_policy_edit *e)
{
	ln_lines_done(&e->lines);
	ln_changes_done(&e->changes);
}

static uint32_t last_line(const struct ln_yaml_node *n)
{
	bool nested = n->kind == LN_YAML_LIST || n->kind == LN_YAML_MAP;
	uint32_t last = n->at.line;

	if (n->flow)
		return n->end.line;
	/* A text of several lines ends where the next thing could begin. */
	if (!nested)
		return n->end.line > last && n->end.column == 1 ? n->end.line - 1
								: LN_MAX(last, n->end.line);
	for (const struct ln_yaml_node *c = n->child; c; c = c->next)
		last = LN_MAX(last, last_line(c));
	return last;
}

/* Columns count characters. NULL: past the end of the line. */
static const char *at_place(const struct ln_lines *l, struct ln_place at)
{
	size_t len, i = 0;
	const char *line;

	if (at.line == 0 || at.line > l->n)
		return NULL;
	line = ln_lines_get(l, at.line - 1, &len);
	if (at.line == 1 && len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
		i = 3;
	for (uint32_t column = 1; column < at.column && i < len; column++) {
		i++;
		while (i < len && ((uint8_t)line[i] & 0xc0) == 0x80)
			i++;
	}
	return i < len ? line + i : NULL;
}

static const struct ln_yaml_node *value_of(const struct ln_yaml_node *map, const char *key)
{
	for (const struct ln_yaml_node *k = map->child; k && k->next; k = k->next->next)
		if (k->text && strcmp(k->text, key) == 0)
			return k->next;
	return NULL;
}

static char quote_of(const struct editor *e, const struct ln_yaml_node *n, char otherwise)
{
	const char *at;

	if (!n || n->kind != LN_YAML_SCALAR)
		return otherwise;
	if (!n->quoted)
		return 0;
	at = at_place(&e->out->lines, n->at);
	return at && *at == '\'' ? '\'' : '"';
}

static bool has_blank_between(const struct editor *e, const struct ln_yaml_node *list)
{
	const struct ln_yaml_node *first = list->child;
	size_t len;

	for (uint32_t line = first->next ? last_line(first) + 1 : UINT32_MAX;
	     first->next && line < first->next->at.line; line++) {
		(void)ln_lines_get(&e->out->lines, line - 1, &len);
		if (len == 0)
			return true;
	}
	return false;
}

static struct ln_list_style style_of(const struct editor *e, const struct ln_yaml_node *list)
{
	const struct ln_yaml_node *item = list->child;
	struct ln_list_style s = {.indent = list->at.column - 1, .offset = 2, .eol = e->out->eol};
	const char *first = item->kind == LN_YAML_MAP ? NULL : "";

	s.blank = !list->flow && has_blank_between(e, list);
	if (first) {
		memset(s.quote, quote_of(e, item, '"'), sizeof(s.quote));
		return s;
	}
	s.flow = item->flow;
	if (item->at.line == list->at.line && item->at.column > list->at.column)
		s.offset = item->at.column - list->at.column;
	const char *names[] = {"destination", "name", "path", "from"};
	const struct ln_yaml_node *dest = NULL;
	for (size_t i = 0; i < LN_ARRAY_SIZE(names) && !dest; i++)
		dest = value_of(item, names[i]);
	s.quote[LN_STYLE_DESTINATION] = quote_of(e, dest, '"');
	s.quote[LN_STYLE_PROTOCOL] =
	    quote_of(e, value_of(item, "protocol"), s.quote[LN_STYLE_DESTINATION]);
	s.quote[LN_STYLE_PURPOSE] =
	    quote_of(e, value_of(item, "purpose"), s.quote[LN_STYLE_DESTINATION]);
	return s;
}

/* The list's first rule of this kind after `i`; n: none. */
static size_t next_of(const struct ln_proposals *p, enum ln_rule_kind kind, size_t i)
{
	while (i < p->n && p->rules[i].list != kind)
		i++;
	return i;
}

static void add_rules(struct editor *e, enum ln_rule_kind kind, const struct ln_list_style *style,
		      struct ln_buf *out)
{
	const struct ln_proposals *p = e->c->proposals;
	const struct ln_proposal *previous = NULL;

	out->max = LN_POLICY_TEXT_MAX;
	for (size_t i = next_of(p, kind, 0); i < p->n; i = next_of(p, kind, i + 1)) {
		ln_policy_text_rule(out, &p->rules[i], previous, style);
		previous = &p->rules[i];
		e->out->added++;
	}
}

static void append_to_block(struct editor *e, enum ln_rule_kind kind,
			    const struct ln_yaml_node *list)
{
	struct ln_change *c = ln_changes_add(&e->out->changes, last_line(list), false);
	struct ln_list_style style = style_of(e, list);

	if (c)
		add_rules(e, kind, &style, &c->text);
}

/* Whether a comma stands between the last item and the bracket. */
static bool ends_in_comma(const char *at, const char *bracket)
{
	for (; at < bracket; at++) {
		if (*at == ',')
			return true;
		if (*at == '#')
			at = memchr(at, '\n', (size_t)(bracket - at));
		if (!at)
			return false;
	}
	return false;
}

static const struct ln_yaml_node *last_child(const struct ln_yaml_node *n)
{
	const struct ln_yaml_node *c = n->child;

	while (c && c->next)
		c = c->next;
	return c;
}

/* [a, b] becomes [a, b, c]: the line of the closing bracket is written anew. */
static int append_to_brackets(struct editor *e, enum ln_rule_kind kind,
			      const struct ln_yaml_node *list, struct ln_error *err)
{
	const struct ln_proposals *p = e->c->proposals;
	const struct ln_lines *l = &e->out->lines;
	const struct ln_yaml_node *last = last_child(list);
	const char *bracket = at_place(l, list->end), *item_end = at_place(l, last->end);
	size_t line = list->end.line - 1, len;
	struct ln_list_style style = style_of(e, list);
	struct ln_change *c;

	if (!bracket || *bracket != ']' || (item_end && item_end > bracket))
		return ln_error_set(err, EINVAL,
				    "the list on line %u is written in a way that "
				    "cannot be added to; write one rule a line",
				    list->at.line);
	c = ln_changes_add(&e->out->changes, line, true);
	if (!c)
		return -ENOMEM;
	c->text.max = LN_POLICY_TEXT_MAX;
	(void)ln_lines_get(l, line, &len);
	ln_buf_add(&c->text, l->at[line], (size_t)(bracket - l->at[line]));
	bool comma = item_end && ends_in_comma(last->flow ? item_end + 1 : item_end, bracket);
	for (size_t i = next_of(p, kind, 0); i < p->n; i = next_of(p, kind, i + 1)) {
		ln_buf_adds(&c->text, comma ? " " : ", ");
		ln_policy_text_item(&c->text, &p->rules[i], &style);
		comma = false;
		e->out->added++;
	}
	ln_buf_add(&c->text, bracket, len - (size_t)(bracket - l->at[line]));
	ln_buf_adds(&c->text, e->out->eol);
	return 0;
}

static void add_list(struct editor *e, enum ln_rule_kind kind)
{
	struct ln_change *c = ln_changes_add(&e->out->changes, last_line(e->root), false);

	if (!c)
		return;
	ln_buf_addf(&c->text, "%*s%s:%s", (int)e->root->at.column - 1, "", ln_rule_list_text(kind),
		    e->out->eol);
	add_rules(e, kind, &e->usual, &c->text);
}

/* One that is there already, or one that is not. */
static int edit_list(struct editor *e, enum ln_rule_kind kind, bool there, struct ln_error *err)
{
	const struct ln_yaml_node *list = value_of(e->root, ln_rule_list_text(kind));

	if (next_of(e->c->proposals, kind, 0) == e->c->proposals->n || (list != NULL) != there)
		return 0;
	if (!list)
		add_list(e, kind);
	else if (list->flow)
		return append_to_brackets(e, kind, list, err);
	else
		append_to_block(e, kind, list);
	return 0;
}

static size_t leading_blanks(const char *line, size_t len)
{
	size_t n = 0;

	while (n < len && line[n] == ' ')
		n++;
	return n;
}

static bool is_mark(const struct ln_lines *l, size_t line)
{
	size_t len, blanks;
	const char *text = ln_lines_get(l, line, &len);

	blanks = leading_blanks(text, len);
	return len - blanks >= strlen(LN_UNUSED_MARK) &&
	       memcmp(text + blanks, LN_UNUSED_MARK, strlen(LN_UNUSED_MARK)) == 0;
}

static void add_mark(struct editor *e, size_t line, const struct ln_rule *const *rules, size_t n)
{
	struct ln_change *c = ln_changes_add(&e->out->changes, line, false);
	size_t len;
	const char *text = ln_lines_get(&e->out->lines, line, &len);
	char date[16];

	e->out->marked++;
	if (!c)
		return;
	ln_buf_addf(&c->text, "%*s" LN_UNUSED_MARK "%s)", (int)leading_blanks(text, len), "",
		    ln_policy_text_date(e->c->wall_ns, date));
	for (size_t i = 0; n > 1 && i < n; i++)
		if (!ln_observations_rule_used(e->c->seen, rules[i]->id))
			ln_buf_addf(&c->text, "%s %s", i ? "," : ":", rules[i]->text);
	ln_buf_adds(&c->text, e->out->eol);
}

static int compare_lines(const void *a, const void *b)
{
	const struct ln_rule *x = *(const struct ln_rule *const *)a;
	const struct ln_rule *y = *(const struct ln_rule *const *)b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->id < y->id ? -1 : 1;
}

/* The rules of one line, which may be several between brackets. */
static void mark_line(struct editor *e, const struct ln_rule *const *rules, size_t n)
{
	size_t line = rules[0]->line - 1, unused = 0;
	bool marked = line > 0 && is_mark(&e->out->lines, line - 1);

	for (size_t i = 0; i < n; i++)
		unused += !ln_observations_rule_used(e->c->seen, rules[i]->id);
	if (unused > 0 && !marked)
		add_mark(e, line, rules, n);
	if (unused == 0 && marked && ln_changes_add(&e->out->changes, line - 1, true))
		e->out->unmarked++;
}

static int mark_unused(struct editor *e)
{
	size_t n = 0, all = ln_policy_rules(e->c->policy);
	LN_AUTO_FREE const struct ln_rule **rules = calloc(all + 1, sizeof(*rules));

	if (!rules)
		return -ENOMEM;
	for (size_t i = 0; i < all; i++) {
		const struct ln_rule *r = ln_policy_rule(e->c->policy, i);

		/* A denying rule does its work unseen. */
		if (r->kind != LN_RULE_DENY && r->line > 0 && r->line <= e->out->lines.n)
			rules[n++] = r;
	}
	qsort(rules, n, sizeof(rules[0]), compare_lines);
	for (size_t i = 0, k; i < n; i = k) {
		for (k = i + 1; k < n && rules[k]->line == rules[i]->line; k++)
			;
		mark_line(e, rules + i, k - i);
	}
	return 0;
}

static int edit(struct editor *e, struct ln_error *err)
{
	const struct ln_yaml_node *list;
	int r = 0;

	if (!e->root || e->root->kind != LN_YAML_MAP || e->root->flow)
		return ln_error_set(err, EINVAL,
				    "the policy is one mapping in braces, which cannot be added "
				    "to; write one key a line");
	list = value_of(e->root, ln_rule_list_text(LN_RULE_EXPECTED));
	e->usual = ln_list_style_default;
	if (list && list->child && !list->flow)
		e->usual = style_of(e, list);
	e->usual.eol = e->out->eol;
	/* What is added to the last list of the file stands before a new one. */
	for (int kind = 0; kind < LN_RULE_COUNT && r == 0; kind++)
		r = edit_list(e, (enum ln_rule_kind)kind, true, err);
	for (int kind = 0; kind < LN_RULE_COUNT && r == 0; kind++)
		r = edit_list(e, (enum ln_rule_kind)kind, false, err);
	if (r == 0)
		r = mark_unused(e);
	ln_changes_sort(&e->out->changes);
	for (size_t i = 0; r == 0 && i < e->out->changes.n; i++)
		if (e->out->changes.list[i].text.failed)
			r = -ENOMEM;
	return e->out->changes.failed ? -ENOMEM : r;
}

int ln_policy_edit_make(const struct ln_policy_edit_config *c, struct ln_error *err,
			struct ln_policy_edit *ret)
{
	struct ln_diags diags = {0};
	struct ln_report report = {.diags = &diags};
	struct editor e = {.c = c, .out = ret};
	struct ln_yaml yaml = {0};
	const char *end;
	size_t bom = c->len >= 3 && memcmp(c->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	int r;

	*ret = (struct ln_policy_edit){0};
	end = memchr(c->text, '\n', c->len);
	ret->eol = end && end > c->text && end[-1] == '\r' ? "\r\n" : "\n";
	r = ln_lines_split(c->text, c->len, &ret->lines);
	if (r == 0)
		r = ln_yaml_load(c->text + bom, c->len - bom, &report, &yaml);
	e.root = yaml.root;
	if (r == 0)
		r = edit(&e, err);
	if (r == -ENOMEM)
		ln_error_set(err, ENOMEM, "out of memory");
	ln_yaml_done(&yaml);
	ln_diags_done(&diags);
	if (r < 0)
		ln_policy_edit_done(ret);
	return r;
}
