/* SPDX-License-Identifier: Apache-2.0 */
#include "duration.h"

#include <string.h>

#define DIGITS_MAX 9

static uint32_t seconds_of(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	default:
		return 0;
	}
}

/* Leading digits, their value in *ret; 0: none, or more than any time has. */
static size_t read_number(const char *text, uint64_t *ret)
{
	size_t n = strspn(text, "0123456789");

	*ret = 0;
	if (n > DIGITS_MAX)
		return 0;
	for (size_t i = 0; i < n; i++)
		*ret = *ret * 10 + (uint64_t)(text[i] - '0');
	return n;
}

bool ln_duration_parse(const struct ln_yaml_node *node, const char *key, uint32_t min_s,
		       uint32_t max_s, struct ln_report *r, uint64_t *ret_ns)
{
	bool text = node->kind == LN_YAML_SCALAR && strlen(node->text) == node->len;
	char quote[LN_QUOTE_MAX];
	const char *found;
	uint64_t number;
	uint32_t unit_s;
	size_t n;

	if (node->kind == LN_YAML_REPORTED)
		return false;
	n = text ? read_number(node->text, &number) : 0;
	found = ln_yaml_found(node, quote);
	if (n > 0 && n == node->len) {
		ln_report_error(r, node->at,
				"%s needs a unit (found %s); write it like 30s, 10m or 1h", key,
				found);
		return false;
	}
	unit_s = n > 0 && n + 1 == node->len ? seconds_of(node->text[n]) : 0;
	if (unit_s == 0) {
		ln_report_error(r, node->at,
				"%s must be a whole number with s, m or h behind it, like 30s, 10m "
				"or 1h (found %s)",
				key, found);
		return false;
	}
	if (number * unit_s > max_s) {
		ln_report_error(r, node->at, "%s must be at most %uh (found %s)", key, max_s / 3600,
				found);
		return false;
	}
	if (number * unit_s < min_s) {
		ln_report_error(r, node->at, "%s must be at least %us (found %s)", key, min_s,
				found);
		return false;
	}
	*ret_ns = number * unit_s * LN_NS_PER_S;
	return true;
}
