/* SPDX-License-Identifier: Apache-2.0 */
#include "amount.h"

#include <string.h>

#define DIGITS_MAX 9

static const struct {
	const char *unit;
	uint64_t bytes;
} units[] = {
    {"B", 1},
    {"kB", 1000},
    {"KB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"TB", 1000000000000},
    {"KiB", 1ULL << 10},
    {"MiB", 1ULL << 20},
    {"GiB", 1ULL << 30},
    {"TiB", 1ULL << 40},
};

/* Digits without a leading zero; how many, 0: none, or more than any amount has. */
static size_t read_number(const struct ln_yaml_node *node, uint64_t *ret)
{
	size_t n;

	if (node->kind != LN_YAML_SCALAR || strlen(node->text) != node->len)
		return 0;
	n = strspn(node->text, "0123456789");
	if (n > DIGITS_MAX || node->text[0] == '0')
		return 0;
	*ret = 0;
	for (size_t i = 0; i < n; i++)
		*ret = *ret * 10 + (uint64_t)(node->text[i] - '0');
	return n;
}

bool ln_bytes_parse(const struct ln_yaml_node *node, const char *key, struct ln_report *r,
		    uint64_t *ret)
{
	char quote[LN_QUOTE_MAX];
	uint64_t value;
	size_t n;

	if (node->kind == LN_YAML_REPORTED)
		return false;
	n = read_number(node, &value);
	for (size_t i = 0; n > 0 && i < LN_ARRAY_SIZE(units); i++) {
		if (strcmp(node->text + n, units[i].unit) != 0)
			continue;
		*ret = value * units[i].bytes;
		return true;
	}
	ln_report_error(r, node->at,
			"%s must be a whole number with its unit behind it, like 500KB, 10MB or "
			"2GiB (found %s)",
			key, ln_yaml_found(node, quote));
	return false;
}

bool ln_count_parse(const struct ln_yaml_node *node, const char *key, struct ln_report *r,
		    uint64_t *ret)
{
	char quote[LN_QUOTE_MAX];
	uint64_t value;
	size_t n;

	if (node->kind == LN_YAML_REPORTED)
		return false;
	n = read_number(node, &value);
	if (n > 0 && n == node->len) {
		*ret = value;
		return true;
	}
	ln_report_error(r, node->at, "%s must be a whole number from 1 to 999999999 (found %s)",
			key, ln_yaml_found(node, quote));
	return false;
}
