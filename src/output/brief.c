/* SPDX-License-Identifier: Apache-2.0 */
#include "brief.h"

#include <string.h>

#define MARK "[!] "

static enum ln_severity severity_of(const struct ln_finding *f)
{
	switch (f->kind) {
	case LN_FINDING_TAMPER:
		return LN_SEVERITY_CRITICAL;
	case LN_FINDING_LOST:
		return LN_SEVERITY_ERROR;
	case LN_FINDING_REPEATS:
		return LN_SEVERITY_NOTICE;
	default:
		return LN_SEVERITY_WARNING;
	}
}

const char *ln_brief_field(struct ln_brief *b, const char *label, size_t *ret_len)
{
	const char *at = ln_buf_text(&b->alert.text);
	size_t n = strlen(label);

	while ((at = strchr(at, '\n')) != NULL) {
		at++;
		if (strncmp(at, label, n) != 0 || strncmp(at + n, ": ", 2) != 0)
			continue;
		*ret_len = strcspn(at + n + 2, "\n");
		return at + n + 2;
	}
	return NULL;
}

void ln_brief_make(struct ln_brief *b, const struct ln_finding *f)
{
	size_t len;

	ln_buf_reset(&b->alert.text);
	ln_buf_reset(&b->line);
	b->severity = severity_of(f);
	ln_alert_add(&b->alert, f);
	const char *text = ln_buf_text(&b->alert.text);
	if (strncmp(text, MARK, strlen(MARK)) == 0)
		text += strlen(MARK);
	ln_buf_add(&b->line, text, strcspn(text, "\n"));
	const char *more = ln_brief_field(b, "Destination", &len);
	if (!more)
		more = ln_brief_field(b, "Reason", &len);
	if (!more)
		return;
	ln_buf_adds(&b->line, ": ");
	ln_buf_add(&b->line, more, len);
}

void ln_brief_done(struct ln_brief *b)
{
	ln_alert_done(&b->alert);
	ln_buf_done(&b->line);
}
