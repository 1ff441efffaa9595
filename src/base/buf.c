/* SPDX-License-Identifier: Apache-2.0 */
#include "buf.h"

#include <string.h>

#define DEFAULT_MAX (1u << 20)
#define FIRST_CAP   128

/* Once failed a buffer takes nothing more, so that what it holds is always the beginning of the
 * text and never a text with a hole. */
bool ln_buf_reserve(struct ln_buf *b, size_t extra)
{
	size_t max = b->max > 0 ? b->max : DEFAULT_MAX;
	size_t need, cap;
	char *data;

	if (b->failed)
		return false;
	if (b->len > max || extra > max - b->len) {
		b->failed = true;
		return false;
	}
	need = b->len + extra + 1;
	if (need <= b->cap)
		return true;
	cap = LN_MAX(b->cap * 2, (size_t)FIRST_CAP);
	cap = LN_MAX(LN_MIN(cap, max + 1), need);
	data = realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void ln_buf_done(struct ln_buf *b)
{
	free(b->data);
	*b = (struct ln_buf){.max = b->max};
}

void ln_buf_reset(struct ln_buf *b)
{
	b->len = 0;
	b->failed = false;
}

void ln_buf_add(struct ln_buf *b, const void *bytes, size_t len)
{
	if (len == 0 || !ln_buf_reserve(b, len))
		return;
	memcpy(b->data + b->len, bytes, len);
	b->len += len;
}

void ln_buf_adds(struct ln_buf *b, const char *text)
{
	ln_buf_add(b, text, strlen(text));
}

void ln_buf_addc(struct ln_buf *b, char c)
{
	if (!ln_buf_reserve(b, 1))
		return;
	b->data[b->len++] = c;
}

void ln_buf_addf(struct ln_buf *b, const char *format, ...)
{
	size_t room = b->data ? b->cap - b->len : 0;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(b->data ? b->data + b->len : NULL, room, format, args);
	va_end(args);
	if (n < 0) {
		b->failed = true;
		return;
	}
	if (!ln_buf_reserve(b, (size_t)n))
		return;
	if ((size_t)n >= room) {
		va_start(args, format);
		vsnprintf(b->data + b->len, (size_t)n + 1, format, args);
		va_end(args);
	}
	b->len += (size_t)n;
}

const char *ln_buf_text(struct ln_buf *b)
{
	if (!b->data)
		return "";
	b->data[b->len] = '\0';
	return b->data;
}
