/* SPDX-License-Identifier: Apache-2.0 */
#include "yaml_tree.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>
#include <yaml.h>
#include "source.h"

#define BLOCK_BYTES (64u << 10)

struct ln_yaml_block {
	struct ln_yaml_block *next;
	size_t used, cap;
	alignas(16) char data[];
};

struct frame {
	struct ln_yaml_node *node;
	struct ln_yaml_node **tail;
};

struct builder {
	struct ln_yaml *yaml;
	struct ln_report *report;
	struct frame frames[LN_YAML_DEPTH_MAX];
	size_t depth;
	size_t documents;
	bool stars_replaced; /* a plain scalar with the stand-in was told already */
};

enum step { STEP_GO, STEP_END, STEP_STOP, STEP_NO_MEMORY };

static void *take(struct ln_yaml *y, size_t size)
{
	struct ln_yaml_block *b = y->blocks;
	void *p;

	size = (size + alignof(void *) - 1) & ~(alignof(void *) - 1);
	if (!b || size > b->cap - b->used) {
		size_t cap = LN_MAX(size, (size_t)BLOCK_BYTES);

		b = malloc(sizeof(*b) + cap);
		if (!b)
			return NULL;
		*b = (struct ln_yaml_block){.next = y->blocks, .cap = cap};
		y->blocks = b;
	}
	p = b->data + b->used;
	b->used += size;
	return p;
}

void ln_yaml_done(struct ln_yaml *y)
{
	while (y->blocks) {
		struct ln_yaml_block *b = y->blocks;

		y->blocks = b->next;
		free(b);
	}
	*y = (struct ln_yaml){0};
}

static struct ln_place place(yaml_mark_t mark)
{
	return (struct ln_place){(uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

static enum step put(struct builder *b, enum ln_yaml_kind kind, yaml_mark_t mark,
		     struct ln_yaml_node **ret)
{
	struct ln_yaml_node *n;

	if (b->yaml->n_nodes >= LN_YAML_NODES_MAX) {
		ln_report_error(b->report, place(mark),
				"more than %u values in one file; use networks, *.suffix names "
				"and port ranges to write fewer rules",
				LN_YAML_NODES_MAX);
		return STEP_STOP;
	}
	n = take(b->yaml, sizeof(*n));
	if (!n)
		return STEP_NO_MEMORY;
	*n = (struct ln_yaml_node){.at = place(mark), .kind = (uint8_t)kind};
	b->yaml->n_nodes++;
	if (b->depth == 0) {
		b->yaml->root = n;
	} else {
		struct frame *f = &b->frames[b->depth - 1];

		*f->tail = n;
		f->tail = &n->next;
	}
	*ret = n;
	return STEP_GO;
}

static enum step open_node(struct builder *b, enum ln_yaml_kind kind, yaml_mark_t mark, bool flow)
{
	struct ln_yaml_node *n;
	enum step step;

	if (b->depth >= LN_YAML_DEPTH_MAX) {
		ln_report_error(b->report, place(mark),
				"nested deeper than %d levels; a policy needs four",
				LN_YAML_DEPTH_MAX);
		return STEP_STOP;
	}
	step = put(b, kind, mark, &n);
	if (step != STEP_GO)
		return step;
	n->cut = true; /* until its end is seen */
	n->flow = flow;
	b->frames[b->depth++] = (struct frame){n, &n->child};
	return STEP_GO;
}

static enum step close_node(struct builder *b, yaml_mark_t mark)
{
	struct ln_yaml_node *n = b->frames[--b->depth].node;

	n->cut = false;
	n->end = place(mark);
	return STEP_GO;
}

static enum step put_scalar(struct builder *b, const yaml_event_t *e)
{
	bool quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	bool told = b->stars_replaced && !quoted && e->data.scalar.value[0] == LN_SOURCE_STAND_IN;
	size_t len = e->data.scalar.length;
	struct ln_yaml_node *n;
	char *text;
	enum step step;

	step = put(b, told ? LN_YAML_REPORTED : LN_YAML_SCALAR, e->start_mark, &n);
	if (step != STEP_GO)
		return step;
	text = take(b->yaml, len + 1);
	if (!text)
		return STEP_NO_MEMORY;
	memcpy(text, e->data.scalar.value, len);
	text[len] = '\0';
	n->text = text;
	n->len = (uint32_t)len;
	n->quoted = quoted;
	n->end = place(e->end_mark);
	return STEP_GO;
}

static enum step put_alias(struct builder *b, const yaml_event_t *e)
{
	char quote[LN_QUOTE_MAX];
	const char *name = (const char *)e->data.alias.anchor;
	struct ln_yaml_node *n;

	ln_report_error(b->report, place(e->start_mark),
			"YAML aliases are not allowed (found an alias to %s); write the value "
			"out, or put it in quotes",
			ln_report_quote(quote, name, strlen(name)));
	return put(b, LN_YAML_REPORTED, e->start_mark, &n);
}

static void refuse_decoration(struct builder *b, const yaml_event_t *e, const yaml_char_t *anchor,
			      const yaml_char_t *tag)
{
	if (anchor)
		ln_report_error(b->report, place(e->start_mark),
				"YAML anchors are not allowed; remove it, or put the value in "
				"quotes when & belongs to it");
	if (tag)
		ln_report_error(b->report, place(e->start_mark),
				"YAML tags are not allowed; remove it, or put the value in quotes "
				"when ! belongs to it");
}

static enum step start_document(struct builder *b, const yaml_event_t *e)
{
	if (b->documents++ == 0)
		return STEP_GO;
	ln_report_error(b->report, place(e->start_mark),
			"a second YAML document starts here; a policy is one document, put the "
			"other in a file of its own");
	return STEP_STOP;
}

static enum step build(struct builder *b, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		return start_document(b, e);
	case YAML_STREAM_END_EVENT:
		return STEP_END;
	case YAML_ALIAS_EVENT:
		return put_alias(b, e);
	case YAML_SCALAR_EVENT:
		refuse_decoration(b, e, e->data.scalar.anchor, e->data.scalar.tag);
		return put_scalar(b, e);
	case YAML_SEQUENCE_START_EVENT:
		refuse_decoration(b, e, e->data.sequence_start.anchor, e->data.sequence_start.tag);
		return open_node(b, LN_YAML_LIST, e->start_mark,
				 e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE);
	case YAML_MAPPING_START_EVENT:
		refuse_decoration(b, e, e->data.mapping_start.anchor, e->data.mapping_start.tag);
		return open_node(b, LN_YAML_MAP, e->start_mark,
				 e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return close_node(b, e->start_mark);
	default:
		return STEP_GO;
	}
}

static bool says(const char *text, const char *part)
{
	return text && strstr(text, part);
}

static void report_syntax(struct ln_report *r, const yaml_parser_t *p, const char *bytes,
			  size_t len)
{
	struct ln_place at = place(p->problem_mark), begin = place(p->context_mark), tab;
	const char *problem = p->problem;

	if (ln_source_tab_indent(bytes, len, at.line, &tab))
		ln_report_error(r, tab, "a tab in the indentation; indent with spaces only");
	else if (says(p->context, "quoted scalar") && says(problem, "end of stream"))
		ln_report_error(r, begin, "this quote is never closed; add the closing quote");
	else if (says(problem, "cannot start any token"))
		ln_report_error(r, at,
				"a value cannot start with this character; put the value in "
				"quotes");
	else if (says(problem, "mapping values are not allowed"))
		ln_report_error(r, at,
				"a \": \" is not possible here; indent this line like the ones "
				"beside it, or put the value in quotes");
	else if (says(problem, "expected key") || says(problem, "expected '-'"))
		ln_report_error(r, at,
				"the indentation of this line does not fit the lines above; indent "
				"it like the ones it belongs to");
	else if (says(problem, "expected ',' or"))
		ln_report_error(r, begin,
				"this bracket is never closed, or a comma is missing "
				"inside; close it");
	else if (says(problem, "expected node content"))
		ln_report_error(r, at,
				"a value is missing here; write it, or close the bracket "
				"that is open");
	else if (says(problem, "could not find expected ':'"))
		ln_report_error(r, begin, "a key without a value; write \"key: value\"");
	else
		ln_report_error(r, at, "not valid YAML (%s); see linnet.yaml(5)",
				problem ? problem : "unknown error");
}

/* One reading. *ret_star: where an alias that cannot be one ended it, which was not told; line 0:
 * nowhere. */
static int read_once(const char *bytes, size_t len, struct builder *b, struct ln_place *ret_star)
{
	enum step step = STEP_GO;
	yaml_parser_t p;

	*ret_star = (struct ln_place){0};
	if (!yaml_parser_initialize(&p))
		return -ENOMEM;
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, (const unsigned char *)bytes, len);
	while (step == STEP_GO) {
		yaml_event_t e;

		if (!yaml_parser_parse(&p, &e)) {
			step = p.error == YAML_MEMORY_ERROR ? STEP_NO_MEMORY : STEP_STOP;
			if (says(p.context, "while scanning an alias"))
				*ret_star = place(p.context_mark);
			else if (step == STEP_STOP)
				report_syntax(b->report, &p, bytes, len);
			break;
		}
		step = build(b, &e);
		yaml_event_delete(&e);
	}
	yaml_parser_delete(&p);
	return step == STEP_NO_MEMORY ? -ENOMEM : 0;
}

int ln_yaml_load(const char *bytes, size_t len, struct ln_report *r, struct ln_yaml *ret)
{
	struct builder first = {.yaml = ret, .report = r};
	struct builder second = {.yaml = ret, .report = r, .stars_replaced = true};
	LN_AUTO_FREE char *copy = NULL;
	struct ln_place star;
	int err;

	*ret = (struct ln_yaml){0};
	err = read_once(bytes, len, &first, &star);
	if (err < 0 || star.line == 0)
		return err;
	/* Read once more without the stars, so that the other errors are told in the same run. */
	ln_diags_done(r->diags);
	r->unkept = 0;
	r->unkept_error = false;
	ln_yaml_done(ret);
	copy = malloc(len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, bytes, len);
	ln_source_replace_stars(copy, len, r);
	err = read_once(copy, len, &second, &star);
	if (err == 0 && star.line > 0)
		ln_report_error(r, star,
				"a * outside quotes starts a YAML alias, and this is not one; put "
				"the value in quotes");
	return err;
}

bool ln_yaml_is_null(const struct ln_yaml_node *n)
{
	return n->kind == LN_YAML_SCALAR && !n->quoted &&
	       (n->len == 0 || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0);
}

const char *ln_yaml_found(const struct ln_yaml_node *n, char buf[LN_QUOTE_MAX])
{
	if (n->kind == LN_YAML_LIST)
		return "a list";
	if (n->kind == LN_YAML_MAP)
		return "a mapping";
	if (ln_yaml_is_null(n))
		return "nothing";
	return ln_report_quote(buf, n->text, n->len);
}
