/* SPDX-License-Identifier: Apache-2.0 */
#include "sink.h"

#include <stdarg.h>
#include <string.h>

void ln_sink_free(struct ln_sink **s)
{
	if (*s)
		(*s)->ops->free(*s);
	*s = NULL;
}

const char *ln_sink_why(const struct ln_sink *s)
{
	return s->why[0] != '\0' ? s->why : strerror(s->error);
}

void ln_sink_failed(struct ln_sink *s, const char *format, ...)
{
	va_list ap;

	if (s->why[0] != '\0' || s->error != 0)
		return;
	va_start(ap, format);
	vsnprintf(s->why, sizeof(s->why), format, ap);
	va_end(ap);
}
