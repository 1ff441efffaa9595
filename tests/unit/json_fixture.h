/* SPDX-License-Identifier: Apache-2.0 */
/* Reading back what the connection log says. */
#ifndef LINNET_TESTS_JSON_FIXTURE_H
#define LINNET_TESTS_JSON_FIXTURE_H

#include <jansson.h>
#include <string.h>

/* Exactly one line that is one JSON object, without a byte that a terminal would obey. */
static inline json_t *parse_line(const char *text)
{
	size_t len = strlen(text);
	json_error_t error;
	json_t *record;

	assert_true(len > 0);
	assert_ptr_equal(strchr(text, '\n'), text + len - 1);
	for (size_t i = 0; i + 1 < len; i++)
		assert_true((uint8_t)text[i] >= 0x20 && text[i] != 0x7f);
	record = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (!record)
		fail_msg("%s at %d in: %s", error.text, error.column, text);
	assert_true(json_is_object(record));
	return record;
}

/* By "a.b.0.c". */
static inline json_t *field(json_t *record, const char *path)
{
	char copy[64], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *key = strtok_r(copy, ".", &save); key; key = strtok_r(NULL, ".", &save))
		record = json_is_array(record) ? json_array_get(record, strtoul(key, NULL, 10))
					       : json_object_get(record, key);
	if (!record)
		fail_msg("no field %s", path);
	return record;
}

static inline void assert_text(json_t *record, const char *path, const char *want)
{
	assert_true(json_is_string(field(record, path)));
	assert_string_equal(json_string_value(field(record, path)), want);
}

static inline void assert_number(json_t *record, const char *path, json_int_t want)
{
	assert_true(json_is_integer(field(record, path)));
	assert_int_equal(json_integer_value(field(record, path)), want);
}

static inline void assert_null_field(json_t *record, const char *path)
{
	assert_true(json_is_null(field(record, path)));
}

#endif
