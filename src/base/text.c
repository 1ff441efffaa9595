/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <string.h>

/* Unicode's Default_Ignorable_Code_Point (invisible, so that two texts look alike) together with
 * controls, line and paragraph separators, bidirectional formatting and annotation marks.
 * Sorted. */
static const struct {
	uint32_t first, last;
} unsafe_ranges[] = {
    {0x0000, 0x001f}, {0x007f, 0x009f},   {0x00ad, 0x00ad},   {0x034f, 0x034f},   {0x061c, 0x061c},
    {0x115f, 0x1160}, {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200f},   {0x2028, 0x202e},
    {0x2060, 0x206f}, {0x3164, 0x3164},   {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},
    {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

static bool is_unsafe(uint32_t cp)
{
	for (size_t i = 0; i < LN_ARRAY_SIZE(unsafe_ranges); i++) {
		if (cp <= unsafe_ranges[i].last)
			return cp >= unsafe_ranges[i].first;
	}
	return false;
}

/* Whatever looks like a gap between two words (Zs, and the empty Braille pattern). */
static bool is_blank(uint32_t cp)
{
	return cp == ' ' || cp == '\t' || cp == 0xa0 || cp == 0x1680 ||
	       (cp >= 0x2000 && cp <= 0x200a) || cp == 0x202f || cp == 0x205f || cp == 0x2800 ||
	       cp == 0x3000;
}

static bool is_continuation(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

size_t ln_utf8_length(const uint8_t *s, size_t len, uint32_t *ret_code_point)
{
	uint32_t cp, smallest;
	size_t n;

	if (len == 0)
		return 0;
	if (s[0] < 0x80) {
		cp = s[0];
		smallest = 0;
		n = 1;
	} else if ((s[0] & 0xe0) == 0xc0) {
		cp = s[0] & 0x1f;
		smallest = 0x80;
		n = 2;
	} else if ((s[0] & 0xf0) == 0xe0) {
		cp = s[0] & 0x0f;
		smallest = 0x800;
		n = 3;
	} else if ((s[0] & 0xf8) == 0xf0) {
		cp = s[0] & 0x07;
		smallest = 0x10000;
		n = 4;
	} else {
		return 0;
	}
	if (n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (!is_continuation(s[i]))
			return 0;
		cp = cp << 6 | (s[i] & 0x3f);
	}
	if (cp < smallest || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	if (ret_code_point)
		*ret_code_point = cp;
	return n;
}

/* Printable ASCII that needs no escape in any of the forms: all but " ' \ */
static const bool is_plain[256] = {
    [0x20 ... 0x21] = true,
    [0x23 ... 0x26] = true,
    [0x28 ... 0x5b] = true,
    [0x5d ... 0x7e] = true,
};

static size_t plain_run(const uint8_t *s, size_t len)
{
	size_t i = 0;

	while (i < len && is_plain[s[i]])
		i++;
	return i;
}

/* By hand, because an agent may fill its arguments with nothing but such bytes. */
static void add_hex(struct ln_buf *out, char letter, uint32_t value, int digits)
{
	char text[2 + 8] = {'\\', letter};

	for (int i = 0; i < digits; i++)
		text[2 + i] = "0123456789abcdef"[value >> (4 * (digits - 1 - i)) & 0xf];
	ln_buf_add(out, text, 2 + (size_t)digits);
}

/* The three that both forms write with a letter. */
static bool add_short(struct ln_buf *out, uint32_t cp)
{
	if (cp == '\n')
		ln_buf_adds(out, "\\n");
	else if (cp == '\r')
		ln_buf_adds(out, "\\r");
	else if (cp == '\t')
		ln_buf_adds(out, "\\t");
	else
		return false;
	return true;
}

static void add_escape(struct ln_buf *out, uint32_t cp)
{
	if (add_short(out, cp))
		return;
	if (cp < 0x80)
		add_hex(out, 'x', cp, 2);
	else if (cp < 0x10000)
		add_hex(out, 'u', cp, 4);
	else
		add_hex(out, 'U', cp, 8);
}

static void escape(struct ln_buf *out, const uint8_t *s, size_t len, bool quotes)
{
	size_t i = 0;

	while (i < len) {
		size_t n = plain_run(s + i, len - i);
		uint32_t cp;

		if (n > 0) {
			ln_buf_add(out, s + i, n);
			i += n;
			continue;
		}
		n = ln_utf8_length(s + i, len - i, &cp);
		if (n == 0) {
			add_hex(out, 'x', s[i], 2);
			n = 1;
		} else if (is_unsafe(cp)) {
			add_escape(out, cp);
		} else {
			if (cp == '\\' || (cp == '\'' && quotes))
				ln_buf_addc(out, '\\');
			ln_buf_add(out, s + i, n);
		}
		i += n;
	}
}

void ln_text_escape(struct ln_buf *out, const void *bytes, size_t len)
{
	escape(out, bytes, len, false);
}

static bool wants_quotes(const uint8_t *s, size_t len)
{
	uint32_t cp;

	if (len == 0)
		return true;
	for (size_t i = 0; i < len;) {
		size_t n = ln_utf8_length(s + i, len - i, &cp);

		if (n > 0 && is_blank(cp))
			return true;
		i += LN_MAX(n, (size_t)1);
	}
	return false;
}

void ln_text_escape_word(struct ln_buf *out, const void *bytes, size_t len)
{
	bool quoted = wants_quotes(bytes, len);

	if (quoted)
		ln_buf_addc(out, '\'');
	escape(out, bytes, len, true);
	if (quoted)
		ln_buf_addc(out, '\'');
}

static void add_json_escape(struct ln_buf *out, uint32_t cp)
{
	if (add_short(out, cp))
		return;
	if (cp < 0x10000) {
		add_hex(out, 'u', cp, 4);
	} else {
		add_hex(out, 'u', 0xd800 + ((cp - 0x10000) >> 10), 4);
		add_hex(out, 'u', 0xdc00 + (cp & 0x3ff), 4);
	}
}

void ln_text_json(struct ln_buf *out, const void *bytes, size_t len)
{
	static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
	const uint8_t *s = bytes;
	size_t i = 0;

	ln_buf_addc(out, '"');
	while (i < len) {
		size_t n = plain_run(s + i, len - i);
		uint32_t cp;

		if (n > 0) {
			ln_buf_add(out, s + i, n);
			i += n;
			continue;
		}
		n = ln_utf8_length(s + i, len - i, &cp);
		if (n == 0) {
			ln_buf_adds(out, replacement);
			n = 1;
		} else if (is_unsafe(cp)) {
			add_json_escape(out, cp);
		} else {
			if (cp == '"' || cp == '\\')
				ln_buf_addc(out, '\\');
			ln_buf_add(out, s + i, n);
		}
		i += n;
	}
	ln_buf_addc(out, '"');
}
