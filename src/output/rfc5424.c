/* SPDX-License-Identifier: Apache-2.0 */
#include "rfc5424.h"

#include <string.h>
#include "base/clock.h"

#define FACILITY 10 /* authpriv: messages on security */
/* The enterprise number for documentation (RFC 5612): the project has none of its own. */
#define SD_ID "linnet@32473"
#define BOM   "\xef\xbb\xbf"

void ln_rfc5424_init(struct ln_rfc5424 *m)
{
	bool valid;

	m->pid = getpid();
	valid = gethostname(m->host, sizeof(m->host) - 1) == 0 && m->host[0] != '\0';
	for (const char *c = m->host; valid && *c; c++)
		valid = *c > ' ' && *c < 127;
	if (!valid)
		snprintf(m->host, sizeof(m->host), "-");
}

/* As much of it as `max` bytes hold, without half a character at the end. */
static size_t cut(const char *text, size_t len, size_t max)
{
	if (len <= max)
		return len;
	while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
		max--;
	return max;
}

void ln_rfc5424_begin(struct ln_rfc5424 *m, enum ln_severity severity, uint64_t wall_ns,
		      const char *msgid)
{
	char time[LN_TIME_TEXT_MAX];

	ln_buf_reset(&m->text);
	ln_buf_addf(&m->text, "<%d>1 %s %s linnet %d %.32s [" SD_ID, FACILITY * 8 + (int)severity,
		    ln_time_format(wall_ns, 6, time), m->host, (int)m->pid, msgid);
}

/* RFC 5424, 6.3.3: these three and no others. */
void ln_rfc5424_param(struct ln_rfc5424 *m, const char *name, const char *value, size_t len)
{
	len = cut(value, len, LN_RFC5424_PARAM_MAX);
	ln_buf_addf(&m->text, " %s=\"", name);
	for (size_t i = 0; i < len; i++) {
		if (value[i] == '"' || value[i] == '\\' || value[i] == ']')
			ln_buf_addc(&m->text, '\\');
		ln_buf_addc(&m->text, value[i]);
	}
	ln_buf_addc(&m->text, '"');
}

static bool is_ascii(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] > 127)
			return false;
	return true;
}

/* RFC 5424, 6.4: UTF-8 begins with a byte order mark; ASCII needs none. */
void ln_rfc5424_end(struct ln_rfc5424 *m, const char *text, size_t len)
{
	ln_buf_adds(&m->text, "] ");
	if (!is_ascii(text, len))
		ln_buf_adds(&m->text, BOM);
	ln_buf_add(&m->text, text,
		   cut(text, len, LN_RFC5424_MAX - LN_MIN(m->text.len, (size_t)LN_RFC5424_MAX)));
}
