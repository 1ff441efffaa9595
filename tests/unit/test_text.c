/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/text.h"

static void buf_grows(void **state)
{
	struct ln_buf b = {0};

	assert_string_equal(ln_buf_text(&b), "");
	for (int i = 0; i < 1000; i++)
		ln_buf_addf(&b, "%03d%s", i, "");
	ln_buf_adds(&b, "ab");
	ln_buf_addc(&b, '\0');
	ln_buf_add(&b, "cd", 2);
	assert_false(b.failed);
	assert_int_equal(b.len, 3005);
	assert_memory_equal(ln_buf_text(&b), "000001002", 9);
	assert_memory_equal(ln_buf_text(&b) + 2997, "999ab\0cd", 9);
	ln_buf_reset(&b);
	assert_string_equal(ln_buf_text(&b), "");
	ln_buf_done(&b);
	assert_null(b.data);
}

static void buf_bound(void **state)
{
	struct ln_buf b = {.max = 10};

	ln_buf_adds(&b, "12345678");
	ln_buf_adds(&b, "901");
	assert_true(b.failed);
	assert_string_equal(ln_buf_text(&b), "12345678");
	/* No text with a hole: what would fit is refused as well. */
	ln_buf_addc(&b, '9');
	ln_buf_addf(&b, "%d", 9);
	assert_string_equal(ln_buf_text(&b), "12345678");
	ln_buf_reset(&b);
	assert_false(b.failed);
	ln_buf_adds(&b, "1234567890");
	assert_false(b.failed);
	assert_string_equal(ln_buf_text(&b), "1234567890");
	ln_buf_addf(&b, "%s", "x");
	assert_true(b.failed);
	assert_string_equal(ln_buf_text(&b), "1234567890");
	ln_buf_done(&b);
}

static void buf_default_bound(void **state)
{
	struct ln_buf b = {0};
	char kilo[1024];

	memset(kilo, 'x', sizeof(kilo));
	for (int i = 0; i < 1024; i++)
		ln_buf_add(&b, kilo, sizeof(kilo));
	assert_false(b.failed);
	ln_buf_addc(&b, 'x');
	assert_true(b.failed);
	assert_int_equal(b.len, 1 << 20);
	ln_buf_done(&b);
}

typedef void escape_fn(struct ln_buf *out, const void *bytes, size_t len);

struct row {
	const char *bytes;
	size_t len;
	const char *expected;
};
/* clang-format off */
#define ROW(bytes, expected) {bytes, sizeof(bytes) - 1, expected}
/* clang-format on */

static void check_rows(escape_fn *fn, const struct row *rows, size_t count)
{
	struct ln_buf out = {0};

	for (size_t i = 0; i < count; i++) {
		ln_buf_reset(&out);
		fn(&out, rows[i].bytes, rows[i].len);
		assert_false(out.failed);
		assert_string_equal(ln_buf_text(&out), rows[i].expected);
	}
	ln_buf_done(&out);
}

static void utf8_lengths(void **state)
{
	static const struct {
		const char *bytes;
		size_t len, expected;
		uint32_t code_point;
	} rows[] = {
	    {"a", 1, 1, 'a'},
	    {"\0", 1, 1, 0},
	    {"\x7f", 1, 1, 0x7f},
	    {"\xc2\x80", 2, 2, 0x80},
	    {"\xdf\xbf", 2, 2, 0x7ff},
	    {"\xe0\xa0\x80", 3, 3, 0x800},
	    {"\xed\x9f\xbf", 3, 3, 0xd7ff},
	    {"\xee\x80\x80", 3, 3, 0xe000},
	    {"\xef\xbf\xbf", 3, 3, 0xffff},
	    {"\xf0\x90\x80\x80", 4, 4, 0x10000},
	    {"\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff},
	    {"", 0, 0, 0},
	    {"\x80", 1, 0, 0},                 /* continuation alone */
	    {"\xbf\x80", 2, 0, 0},             /* the same */
	    {"\xc0\x80", 2, 0, 0},             /* overlong NUL */
	    {"\xc1\xbf", 2, 0, 0},             /* overlong DEL */
	    {"\xe0\x9f\xbf", 3, 0, 0},         /* overlong U+07FF */
	    {"\xf0\x8f\xbf\xbf", 4, 0, 0},     /* overlong U+FFFF */
	    {"\xed\xa0\x80", 3, 0, 0},         /* surrogate */
	    {"\xed\xbf\xbf", 3, 0, 0},         /* surrogate */
	    {"\xf4\x90\x80\x80", 4, 0, 0},     /* past U+10FFFF */
	    {"\xf8\x88\x80\x80\x80", 5, 0, 0}, /* five bytes */
	    {"\xfe", 1, 0, 0},
	    {"\xff", 1, 0, 0},
	    {"\xc2", 1, 0, 0},             /* truncated */
	    {"\xe2\x80", 2, 0, 0},         /* truncated */
	    {"\xf0\x9f\x98", 3, 0, 0},     /* truncated */
	    {"\xc2\x41", 2, 0, 0},         /* broken */
	    {"\xe2\x80\x41", 3, 0, 0},     /* broken */
	    {"\xf0\x9f\x98\xc0", 4, 0, 0}, /* broken */
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(rows); i++) {
		uint32_t cp = 12345;
		size_t n = ln_utf8_length((const uint8_t *)rows[i].bytes, rows[i].len, &cp);

		if (n != rows[i].expected || cp != (n > 0 ? rows[i].code_point : 12345))
			fail_msg("row %zu: length %zu, U+%04x", i, n, cp);
		assert_int_equal(ln_utf8_length((const uint8_t *)rows[i].bytes, rows[i].len, NULL),
				 n);
	}
}

static void escape_rows(void **state)
{
	static const struct row rows[] = {
	    ROW("", ""),
	    ROW("/usr/bin/python \"x\" 'y'", "/usr/bin/python \"x\" 'y'"),
	    ROW("gr\xc3\xbc\xc3\x9f \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80",
		"gr\xc3\xbc\xc3\x9f \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80"),
	    ROW("a\\b", "a\\\\b"),
	    ROW("\\n", "\\\\n"),
	    ROW("a\nb\rc\td", "a\\nb\\rc\\td"),
	    ROW("\0\x01\x07\b\x1b[2J\x1f\x7f", "\\x00\\x01\\x07\\x08\\x1b[2J\\x1f\\x7f"),
	    ROW("\xc2\x80\xc2\x85\xc2\x9b\xc2\x9f\xc2\xa1", "\\u0080\\u0085\\u009b\\u009f\xc2\xa1"),
	    ROW("\x9b"
		"31m",
		"\\x9b31m"), /* a raw CSI is not UTF-8 */
	    ROW("\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029"),
	    ROW("\xe2\x80\xaa\xe2\x80\xae\xd8\x9c", "\\u202a\\u202e\\u061c"),
	    ROW("\xe2\x81\xa6\xe2\x81\xa9", "\\u2066\\u2069"),
	    ROW("\xe2\x80\x8b\xe2\x80\x8d\xe2\x80\x8e\xe2\x80\x8f", "\\u200b\\u200d\\u200e\\u200f"),
	    ROW("\xe2\x81\xa0\xef\xbb\xbf", "\\u2060\\ufeff"),
	    ROW("\xf3\xa0\x80\x80\xf3\xa0\x81\xa1\xf3\xa0\x81\xbf",
		"\\U000e0000\\U000e0061\\U000e007f"),
	    ROW("\xc0\xaf", "\\xc0\\xaf"),
	    ROW("\xed\xa0\x80", "\\xed\\xa0\\x80"),
	    ROW("a\xe2\x80", "a\\xe2\\x80"),
	    ROW("\xe2\x80"
		"a",
		"\\xe2\\x80a"),
	    ROW("\xe2\xe2\x82\xac", "\\xe2\xe2\x82\xac"),
	};

	check_rows(ln_text_escape, rows, LN_ARRAY_SIZE(rows));
}

static void word_rows(void **state)
{
	static const struct row rows[] = {
	    ROW("", "''"),
	    ROW("/opt/agent/main.py", "/opt/agent/main.py"),
	    ROW("--x=\"1\"", "--x=\"1\""),
	    ROW("a b", "'a b'"),
	    ROW("a\tb", "'a\\tb'"),
	    ROW("a\nb", "a\\nb"),
	    /* A quote is escaped wherever it stands, so that one word never reads as two. */
	    ROW("it's", "it\\'s"),
	    ROW("a' 'b", "'a\\' \\'b'"),
	    ROW("\\' ", "'\\\\\\' '"),
	    /* Blanks that are not ASCII look like a gap as well. */
	    ROW("a\xc2\xa0"
		"b",
		"'a\xc2\xa0"
		"b'"),
	    ROW("a\xe3\x80\x80"
		"b",
		"'a\xe3\x80\x80"
		"b'"),
	    ROW("a\xe2\xa0\x80"
		"b",
		"'a\xe2\xa0\x80"
		"b'"),
	    ROW("\xa0", "\\xa0"),
	};

	check_rows(ln_text_escape_word, rows, LN_ARRAY_SIZE(rows));
}

static void json_rows(void **state)
{
	static const struct row rows[] = {
	    ROW("", "\"\""),
	    ROW("plain/text it's", "\"plain/text it's\""),
	    ROW("a\"b\\c", "\"a\\\"b\\\\c\""),
	    ROW("\n\r\t", "\"\\n\\r\\t\""),
	    ROW("\0\b\f\x1b\x1f\x7f", "\"\\u0000\\u0008\\u000c\\u001b\\u001f\\u007f\""),
	    ROW("\xc2\x9b", "\"\\u009b\""),
	    ROW("gr\xc3\xbc\xf0\x9f\x98\x80", "\"gr\xc3\xbc\xf0\x9f\x98\x80\""),
	    ROW("\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6", "\"\\u2028\\u202e\\u2066\""),
	    ROW("\xef\xbb\xbf", "\"\\ufeff\""),
	    ROW("\xf3\xa0\x81\x81", "\"\\udb40\\udc41\""), /* U+E0041 as a pair */
	    ROW("a\xff"
		"b",
		"\"a\xef\xbf\xbd"
		"b\""),
	    ROW("\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""),
	    ROW("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""),
	    ROW("x\xe2\x80", "\"x\xef\xbf\xbd\xef\xbf\xbd\""),
	};

	check_rows(ln_text_json, rows, LN_ARRAY_SIZE(rows));
}

/* Written down again by hand, so that a hole in the table of the code is seen. */
static bool must_not_pass(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) || cp == 0x61c ||
	       (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) || cp == 0x2060 ||
	       (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff || (cp >= 0xe0000 && cp <= 0xe007f);
}

static size_t encode(uint32_t cp, char buf[4])
{
	if (cp < 0x80) {
		buf[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		buf[0] = (char)(0xc0 | cp >> 6);
		buf[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		buf[0] = (char)(0xe0 | cp >> 12);
		buf[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		buf[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	buf[0] = (char)(0xf0 | cp >> 18);
	buf[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	buf[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	buf[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

static bool is_clean(const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		uint32_t cp;
		size_t n = ln_utf8_length((const uint8_t *)text + i, len - i, &cp);

		if (n == 0 || must_not_pass(cp))
			return false;
		i += n;
	}
	return true;
}

static void every_code_point(void **state)
{
	struct ln_buf out = {0};
	uint32_t passed = 0;

	for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
		bool surrogate = cp >= 0xd800 && cp <= 0xdfff;
		char bytes[4];
		size_t len = encode(cp, bytes);

		ln_buf_reset(&out);
		ln_text_escape(&out, bytes, len);
		if (!is_clean(out.data, out.len))
			fail_msg("U+%04x reaches the terminal", cp);
		if (out.len == len && memcmp(out.data, bytes, len) == 0)
			passed++;
		else if (!surrogate && out.data[0] != '\\')
			fail_msg("U+%04x became something else", cp);
		ln_buf_reset(&out);
		ln_text_json(&out, bytes, len);
		if (!is_clean(out.data, out.len))
			fail_msg("U+%04x reaches the log", cp);
	}
	/* Nearly all pass as they are: of 1,112,064 not surrogates, 4,096 are tags and others. */
	assert_in_range(passed, 1107000, 1112064);
	ln_buf_done(&out);
}

/* A JSON string as RFC 8259, section 7 has it, to the last byte. */
static bool is_json_string(const char *s, size_t len)
{
	size_t i = 1;

	if (len < 2 || s[0] != '"' || s[len - 1] != '"')
		return false;
	while (i < len - 1) {
		if (s[i] == '"' || (unsigned char)s[i] < 0x20)
			return false;
		if (s[i] != '\\') {
			i++;
		} else if (s[i + 1] == 'u') {
			if (i + 6 > len - 1 || strspn(s + i + 2, "0123456789abcdef") < 4)
				return false;
			i += 6;
		} else {
			if (i + 2 > len - 1 || !strchr("\"\\nrt", s[i + 1]))
				return false;
			i += 2;
		}
	}
	return i == len - 1;
}

static void random_bytes(void **state)
{
	/* Bytes that begin or continue the sequences of interest more often than others. */
	static const uint8_t likely[] = {0xe2, 0x80, 0xae, 0x81, 0xa6, 0xf3, 0xa0, 0xc2,
					 0x9b, 0xed, 0xef, 0xbb, 0xbf, '\\', '"',  '\'',
					 ' ',  0x1b, '\n', 'a',  0xc0, 0xf4, 0x90, 0};
	static escape_fn *const fns[] = {ln_text_escape, ln_text_escape_word, ln_text_json};
	uint64_t random = 0x9e3779b97f4a7c15;
	struct ln_buf out = {0};

	for (int round = 0; round < 100000; round++) {
		uint8_t bytes[24];
		size_t len;

		for (size_t i = 0; i < sizeof(bytes); i++) {
			random = random * 6364136223846793005ULL + 1442695040888963407ULL;
			bytes[i] = (random >> 63) ? (uint8_t)(random >> 40)
						  : likely[(random >> 33) % sizeof(likely)];
		}
		len = (random >> 50) % (sizeof(bytes) + 1);
		for (size_t i = 0; i < LN_ARRAY_SIZE(fns); i++) {
			ln_buf_reset(&out);
			fns[i](&out, bytes, len);
			assert_true(is_clean(ln_buf_text(&out), out.len));
		}
		assert_true(is_json_string(ln_buf_text(&out), out.len));
	}
	ln_buf_done(&out);
}

static void bound_is_kept(void **state)
{
	struct ln_buf out = {.max = 16};

	ln_text_json(&out, "\x01\x02\x03\x04", 4);
	assert_true(out.failed);
	assert_true(out.len <= 16);
	ln_buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(buf_grows),         cmocka_unit_test(buf_bound),
	    cmocka_unit_test(buf_default_bound), cmocka_unit_test(utf8_lengths),
	    cmocka_unit_test(escape_rows),       cmocka_unit_test(word_rows),
	    cmocka_unit_test(json_rows),         cmocka_unit_test(every_code_point),
	    cmocka_unit_test(random_bytes),      cmocka_unit_test(bound_is_kept),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
