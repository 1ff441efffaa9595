/* SPDX-License-Identifier: Apache-2.0 */
#include "diff.h"

#include <errno.h>
#include <string.h>
#include "base/text.h"

#define CONTEXT 3

int ln_lines_split(const char *text, size_t len, struct ln_lines *ret)
{
	const char *end = text + len, *at = text;
	size_t n = 0;

	for (const char *c = text; (c = memchr(c, '\n', (size_t)(end - c))); c++)
		n++;
	ret->at = calloc(n + 2, sizeof(*ret->at));
	if (!ret->at)
		return -ENOMEM;
	ret->n = 0;
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));

		ret->at[ret->n++] = at;
		at = stop ? stop + 1 : end;
	}
	ret->at[ret->n] = end;
	return 0;
}

void ln_lines_done(struct ln_lines *l)
{
	free(l->at);
	*l = (struct ln_lines){0};
}

static bool has_break(const struct ln_lines *l, size_t i)
{
	return l->at[i + 1] > l->at[i] && l->at[i + 1][-1] == '\n';
}

const char *ln_lines_get(const struct ln_lines *l, size_t i, size_t *ret_len)
{
	size_t len = (size_t)(l->at[i + 1] - l->at[i]);

	if (has_break(l, i))
		len--;
	if (len > 0 && l->at[i][len - 1] == '\r')
		len--;
	*ret_len = len;
	return l->at[i];
}

struct ln_change *ln_changes_add(struct ln_changes *c, size_t line, bool gone)
{
	if (c->n == c->cap) {
		size_t cap = LN_MAX(2 * c->cap, (size_t)16);
		struct ln_change *list = reallocarray(c->list, cap, sizeof(*list));

		if (!list) {
			c->failed = true;
			return NULL;
		}
		c->list = list;
		c->cap = cap;
	}
	c->list[c->n] = (struct ln_change){.line = line, .gone = gone};
	return &c->list[c->n++];
}

/* An insertion sort: they come nearly in order, and must keep it where they are equal. */
void ln_changes_sort(struct ln_changes *c)
{
	for (size_t i = 1; i < c->n; i++) {
		struct ln_change one = c->list[i];
		size_t k = i;

		for (; k > 0 && c->list[k - 1].line > one.line; k--)
			c->list[k] = c->list[k - 1];
		c->list[k] = one;
	}
}

void ln_changes_done(struct ln_changes *c)
{
	for (size_t i = 0; i < c->n; i++)
		ln_buf_done(&c->list[i].text);
	free(c->list);
	*c = (struct ln_changes){0};
}

static bool is_gone(const struct ln_changes *c, size_t from, size_t line)
{
	for (size_t i = from; i < c->n && c->list[i].line == line; i++)
		if (c->list[i].gone)
			return true;
	return false;
}

void ln_diff_apply(struct ln_buf *out, const struct ln_lines *l, const struct ln_changes *c,
		   const char *eol)
{
	size_t k = 0;

	for (size_t i = 0; i <= l->n; i++) {
		bool gone = is_gone(c, k, i);

		/* What comes after the last line needs that one to end. */
		if (k < c->n && c->list[k].line == i && i > 0 && i == l->n && out->len > 0 &&
		    !out->failed && out->data[out->len - 1] != '\n')
			ln_buf_adds(out, eol);
		for (; k < c->n && c->list[k].line == i; k++)
			ln_buf_add(out, c->list[k].text.data, c->list[k].text.len);
		if (i < l->n && !gone)
			ln_buf_add(out, l->at[i], (size_t)(l->at[i + 1] - l->at[i]));
	}
}

static size_t count_lines(const struct ln_buf *text)
{
	size_t n = 0;

	for (size_t i = 0; i < text->len; i++)
		n += text->data[i] == '\n';
	return n;
}

static void add_signed(struct ln_buf *out, char sign, const char *text, size_t len)
{
	ln_buf_addc(out, sign);
	ln_buf_add(out, text, len);
	if (len == 0 || text[len - 1] != '\n')
		ln_buf_adds(out, "\n\\ No newline at end of file\n");
}

static void add_old(struct ln_buf *out, const struct ln_lines *l, size_t i, char sign)
{
	add_signed(out, sign, l->at[i], (size_t)(l->at[i + 1] - l->at[i]));
}

/* Its last line is not ended, and something comes after it: it is another line then. */
static bool gets_break(const struct ln_lines *l, const struct ln_changes *c, size_t i)
{
	return i + 1 == l->n && !has_break(l, i) && c->n > 0 && c->list[c->n - 1].line == l->n;
}

struct hunk {
	size_t first, last; /* changes: first…last-1 */
	size_t from, to;    /* old lines: from…to-1 */
};

static struct hunk find_hunk(const struct ln_lines *l, const struct ln_changes *c, size_t first)
{
	struct hunk h = {.first = first, .last = first};
	size_t end = c->list[first].line;

	h.from = end > CONTEXT ? end - CONTEXT : 0;
	while (h.last < c->n && c->list[h.last].line <= end + 2 * CONTEXT) {
		end = c->list[h.last].line + c->list[h.last].gone;
		h.last++;
	}
	h.to = LN_MIN(end + CONTEXT, l->n);
	return h;
}

static void add_body(struct ln_buf *out, const struct ln_lines *l, const struct ln_changes *c,
		     const struct hunk *h, const char *eol, size_t *ret_old, size_t *ret_new)
{
	size_t k = h->first, old = 0, new = 0;

	for (size_t i = h->from; i <= h->to; i++) {
		bool here = i < h->to, gone = here && is_gone(c, k, i);

		if (gone)
			add_old(out, l, i, '-');
		for (; k < h->last && c->list[k].line == i; k++) {
			const struct ln_buf *text = &c->list[k].text;
			size_t at = 0;

			/* Where lines only go, the text is empty and has no memory. */
			while (at < text->len) {
				const char *from = text->data + at;
				const char *stop = memchr(from, '\n', text->len - at);
				size_t len = stop ? (size_t)(stop - from) + 1 : text->len - at;
				add_signed(out, '+', from, len);
				at += len;
			}
			new += count_lines(text);
		}
		if (!here)
			continue;
		old++;
		if (gone)
			continue;
		new ++;
		if (gets_break(l, c, i)) {
			add_old(out, l, i, '-');
			ln_buf_addc(out, '+');
			ln_buf_add(out, l->at[i], (size_t)(l->at[i + 1] - l->at[i]));
			ln_buf_adds(out, eol);
		} else {
			add_old(out, l, i, ' ');
		}
	}
	*ret_old = old;
	*ret_new = new;
}

/* "-0,0" is how the place before the first line is written. */
static size_t start_of(size_t from, size_t n)
{
	return n == 0 ? from : from + 1;
}

void ln_diff_write(struct ln_buf *out, const char *name, const struct ln_lines *l,
		   const struct ln_changes *c, const char *eol)
{
	long shift = 0;

	if (c->n == 0)
		return;
	for (int i = 0; i < 2; i++) {
		ln_buf_adds(out, i == 0 ? "--- " : "+++ ");
		ln_text_escape(out, name, strlen(name));
		/* Without it patch(1) ends the name at a blank. */
		ln_buf_adds(out, strchr(name, ' ') ? "\t\n" : "\n");
	}
	for (size_t k = 0; k < c->n;) {
		struct hunk h = find_hunk(l, c, k);
		struct ln_buf body = {.max = out->max};
		size_t old, new;

		add_body(&body, l, c, &h, eol, &old, &new);
		ln_buf_addf(out, "@@ -%zu,%zu +%zu,%zu @@\n", start_of(h.from, old), old,
			    start_of((size_t)((long)h.from + shift), new), new);
		ln_buf_add(out, body.data, body.len);
		out->failed = out->failed || body.failed;
		ln_buf_done(&body);
		shift += (long)new - (long)old;
		k = h.last;
	}
}
