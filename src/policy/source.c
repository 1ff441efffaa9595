/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"

#include <string.h>
#include "base/text.h"

/* One line without its break; false at the end. */
struct lines {
	const char *next, *end;
	const char *text;
	size_t len;
	uint32_t number;
};

static struct lines lines_start(const char *bytes, size_t len)
{
	return (struct lines){.next = bytes, .end = bytes + len};
}

static bool lines_next(struct lines *l)
{
	const char *stop;

	if (l->next == l->end)
		return false;
	stop = memchr(l->next, '\n', (size_t)(l->end - l->next));
	l->text = l->next;
	l->next = stop ? stop + 1 : l->end;
	l->len = (size_t)((stop ? stop : l->end) - l->text);
	if (l->len > 0 && l->text[l->len - 1] == '\r')
		l->len--;
	l->number++;
	return true;
}

static size_t indent_of(const struct lines *l)
{
	size_t i = 0;

	while (i < l->len && (l->text[i] == ' ' || l->text[i] == '\t'))
		i++;
	return i;
}

static bool is_content(const struct lines *l)
{
	size_t i = indent_of(l);

	return i < l->len && l->text[i] != '#';
}

bool ln_source_is_blank(const char *bytes, size_t len)
{
	struct lines l = lines_start(bytes, len);

	while (lines_next(&l)) {
		if (is_content(&l) && !(l.len == 3 && memcmp(l.text, "---", 3) == 0))
			return false;
	}
	return true;
}

/* YAML's printable characters, without the line breaks that only Unicode knows: an editor and
 * this reader must agree on what line a message is about. */
static bool is_allowed(uint32_t cp)
{
	if (cp < 0x20)
		return cp == '\t' || cp == '\n' || cp == '\r';
	return !(cp >= 0x7f && cp <= 0x9f) && cp != 0x2028 && cp != 0x2029 && cp != 0xfffe &&
	       cp != 0xffff;
}

static void report_bad(struct ln_report *r, const char *bytes, size_t len, size_t i,
		       struct ln_place at, size_t n, uint32_t cp)
{
	if (i == 0 && len >= 2 &&
	    (memcmp(bytes, "\xff\xfe", 2) == 0 || memcmp(bytes, "\xfe\xff", 2) == 0))
		ln_report_error(r, at, "the file is UTF-16; save it as UTF-8");
	else if (n == 0)
		ln_report_error(r, at, "byte 0x%02x is not UTF-8; save the file as UTF-8",
				(uint8_t)bytes[i]);
	else if (cp == 0)
		ln_report_error(r, at, "a NUL byte; a policy is plain text, save it as UTF-8");
	else
		ln_report_error(r, at, "control character U+%04X; remove it", cp);
}

bool ln_source_check(const char *bytes, size_t len, struct ln_report *r)
{
	struct ln_place at = {1, 1};

	for (size_t i = 0; i < len;) {
		uint8_t c = (uint8_t)bytes[i];
		uint32_t cp = c;
		size_t n = 1;

		if (c >= 0x80)
			n = ln_utf8_length((const uint8_t *)bytes + i, len - i, &cp);
		if (n == 0 || !is_allowed(cp)) {
			report_bad(r, bytes, len, i, at, n, cp);
			return false;
		}
		i += n;
		at.column++;
		if (c == '\n') {
			at.line++;
			at.column = 1;
		} else if (c == '\r' && !(i < len && bytes[i] == '\n')) {
			at.column--;
			ln_report_error(r, at,
					"a carriage return inside a line; end lines with LF");
			return false;
		}
	}
	return true;
}

static bool starts_with_key(const char *text, size_t len, const char *key)
{
	size_t n = strlen(key);

	return len > n && memcmp(text, key, n) == 0 && text[n] == ':';
}

static bool starts_with_rule_key(const char *text, size_t len)
{
	return starts_with_key(text, len, "destination") || starts_with_key(text, len, "port") ||
	       starts_with_key(text, len, "protocol") || starts_with_key(text, len, "purpose");
}

bool ln_source_lost_indentation(const char *bytes, size_t len, struct ln_place *ret)
{
	struct lines l = lines_start(bytes, len);
	uint32_t first = 0;
	bool has_list = false;

	while (lines_next(&l)) {
		if (!is_content(&l))
			continue;
		if (indent_of(&l) > 0)
			return false;
		has_list |= starts_with_key(l.text, l.len, "expected_outbound");
		if (first == 0 && starts_with_rule_key(l.text, l.len))
			first = l.number;
	}
	if (!has_list || first == 0)
		return false;
	*ret = (struct ln_place){first, 1};
	return true;
}

bool ln_source_tab_indent(const char *bytes, size_t len, uint32_t line, struct ln_place *ret)
{
	struct lines l = lines_start(bytes, len);

	while (lines_next(&l)) {
		if (l.number < line)
			continue;
		for (size_t i = 0; i < l.len && strchr(" -\t", l.text[i]); i++) {
			if (l.text[i] == '\t') {
				*ret = (struct ln_place){line, (uint32_t)i + 1};
				return true;
			}
		}
		return false;
	}
	return false;
}

static bool is_blank_at(const struct lines *l, size_t i)
{
	return i >= l->len || l->text[i] == ' ' || l->text[i] == '\t';
}

static size_t skip_quoted(const struct lines *l, size_t i)
{
	const char *close = memchr(l->text + i + 1, l->text[i], l->len - i - 1);

	return close ? (size_t)(close - l->text) : l->len;
}

static uint32_t column_of(const struct lines *l, size_t i)
{
	uint32_t column = 1;

	for (size_t k = 0; k < i; k++)
		column += ((uint8_t)l->text[k] & 0xc0) != 0x80;
	return column;
}

static void report_star(struct ln_report *r, const struct lines *l, size_t i, bool in_flow)
{
	char quote[LN_QUOTE_MAX];
	size_t n = 1;

	while (!is_blank_at(l, i + n) && !(in_flow && strchr(",]}", l->text[i + n])))
		n++;
	ln_report_error(r, (struct ln_place){l->number, column_of(l, i)},
			"an unquoted * starts a YAML alias; write %s, with the quotes",
			ln_report_quote(quote, l->text + i, n));
}

size_t ln_source_replace_stars(char *bytes, size_t len, struct ln_report *r)
{
	struct lines l = lines_start(bytes, len);
	unsigned int flow = 0;
	size_t n = 0;

	while (lines_next(&l)) {
		bool at_value = true;

		for (size_t i = 0; i < l.len; i++) {
			char c = l.text[i];

			if (c == ' ' || c == '\t')
				continue;
			if (c == '#' && (i == 0 || is_blank_at(&l, i - 1)))
				break;
			if (at_value && c == '*') {
				report_star(r, &l, i, flow > 0);
				bytes[l.text + i - bytes] = LN_SOURCE_STAND_IN;
				n++;
			} else if (at_value && (c == '"' || c == '\'')) {
				i = skip_quoted(&l, i);
			} else if (at_value && (c == '[' || c == '{')) {
				flow++;
				continue;
			} else if (flow > 0 && (c == ']' || c == '}')) {
				flow--;
			} else if ((flow > 0 && c == ',') || (c == ':' && is_blank_at(&l, i + 1)) ||
				   (at_value && c == '-' && is_blank_at(&l, i + 1))) {
				at_value = true;
				continue;
			}
			at_value = false;
		}
	}
	return n;
}
