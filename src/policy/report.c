/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdarg.h>
#include <string.h>
#include "base/text.h"

#define QUOTED_BYTES_MAX 64

static void add(struct ln_report *r, struct ln_place at, bool warning, char *text)
{
	struct ln_diags *d = r->diags;
	size_t cap = d->n;

	/* The array doubles whenever its size reaches a power of two. */
	if ((cap & (cap - 1)) == 0) {
		struct ln_diag *list = realloc(d->list, LN_MAX(cap * 2, (size_t)8) * sizeof(*list));

		if (!list) {
			free(text);
			r->no_memory = true;
			return;
		}
		d->list = list;
	}
	d->list[d->n++] = (struct ln_diag){at.line, at.column, warning, text};
	d->n_errors += !warning;
}

LN_FORMAT(4, 0)
static void vreport(struct ln_report *r, struct ln_place at, bool warning, const char *format,
		    va_list args)
{
	char *text = NULL;

	if (r->diags->n >= LN_REPORT_MAX) {
		r->unkept++;
		r->unkept_error |= !warning;
		return;
	}
	if (vasprintf(&text, format, args) < 0) {
		r->no_memory = true;
		return;
	}
	add(r, at, warning, text);
}

void ln_report_error(struct ln_report *r, struct ln_place at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vreport(r, at, false, format, args);
	va_end(args);
}

void ln_report_warning(struct ln_report *r, struct ln_place at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vreport(r, at, !r->strict, format, args);
	va_end(args);
}

static int compare(const void *a, const void *b)
{
	const struct ln_diag *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return strcmp(x->text, y->text);
}

void ln_report_finish(struct ln_report *r)
{
	char *text = NULL;

	if (r->diags->n > 1)
		qsort(r->diags->list, r->diags->n, sizeof(*r->diags->list), compare);
	if (r->unkept == 0)
		return;
	if (asprintf(&text, "%zu more messages are not shown; correct the ones above first",
		     r->unkept) < 0) {
		r->no_memory = true;
		return;
	}
	add(r, (struct ln_place){0}, !r->unkept_error, text);
}

const char *ln_report_quote(char buf[LN_QUOTE_MAX], const char *text, size_t len)
{
	struct ln_buf out = {.max = LN_QUOTE_MAX * 2};
	size_t shown = LN_MIN(len, (size_t)QUOTED_BYTES_MAX);

	/* A character is never cut in two. */
	while (shown > 0 && shown < len && ((uint8_t)text[shown] & 0xc0) == 0x80)
		shown--;
	ln_text_escape(&out, text, shown);
	snprintf(buf, LN_QUOTE_MAX, "\"%s%s\"", ln_buf_text(&out), shown < len ? "…" : "");
	ln_buf_done(&out);
	return buf;
}

void ln_diags_done(struct ln_diags *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->list[i].text);
	free(d->list);
	*d = (struct ln_diags){0};
}
