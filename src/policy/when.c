/* SPDX-License-Identifier: Apache-2.0 */
#include "when.h"

#include <string.h>

#define DAY_S 86400

struct reader {
	const char *at;
	bool good;
};

static int number(struct reader *r, size_t digits, int first, int last)
{
	int n = 0;

	for (size_t i = 0; r->good && i < digits; i++) {
		r->good = r->at[i] >= '0' && r->at[i] <= '9';
		n = n * 10 + (r->at[i] - '0');
	}
	r->good = r->good && n >= first && n <= last;
	if (r->good)
		r->at += digits;
	return n;
}

static char one_of(struct reader *r, const char *chars)
{
	char c = *r->at;

	r->good = r->good && c != '\0' && strchr(chars, c);
	if (r->good)
		r->at++;
	return c;
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days since 1970; the year is 1970 to 9999. */
static int64_t days_until(int year, int month, int day)
{
	int before = year - 1;
	int64_t days = (int64_t)before * 365 + before / 4 - before / 100 + before / 400 - 719162;

	for (int m = 1; m < month; m++)
		days += days_in(year, m);
	return days + day - 1;
}

/* "T18:00:00+02:00" in seconds: RFC 3339, 5.6. A fraction of a second does not count. */
static int64_t read_time(struct reader *r)
{
	int64_t hour, minute, second, offset;
	char sign;

	one_of(r, "Tt ");
	hour = number(r, 2, 0, 23);
	one_of(r, ":");
	minute = number(r, 2, 0, 59);
	one_of(r, ":");
	second = number(r, 2, 0, 60);
	if (r->good && *r->at == '.') {
		size_t digits = strspn(r->at + 1, "0123456789");

		r->good = digits > 0;
		r->at += 1 + digits;
	}
	sign = one_of(r, "Zz+-");
	if (sign == 'Z' || sign == 'z')
		return (hour * 60 + minute) * 60 + second;
	offset = (int64_t)number(r, 2, 0, 23) * 60;
	one_of(r, ":");
	offset += number(r, 2, 0, 59);
	return (hour * 60 + minute + (sign == '+' ? -offset : offset)) * 60 + second;
}

static bool parse(const char *text, uint64_t *ret_s)
{
	struct reader r = {text, true};
	int year, month, day;
	int64_t when;

	year = number(&r, 4, 1970, 9999);
	one_of(&r, "-");
	month = number(&r, 2, 1, 12);
	one_of(&r, "-");
	day = number(&r, 2, 1, 31);
	if (!r.good || day > days_in(year, month))
		return false;
	when = days_until(year, month, day) * DAY_S;
	if (*r.at != '\0')
		when += read_time(&r);
	/* Zero stands for never. */
	if (!r.good || *r.at != '\0' || when <= 0)
		return false;
	*ret_s = (uint64_t)when;
	return true;
}

bool ln_when_parse(const struct ln_yaml_node *node, const char *key, struct ln_report *r,
		   uint64_t *ret_s)
{
	char quote[LN_QUOTE_MAX];

	if (node->kind == LN_YAML_REPORTED)
		return false;
	if (node->kind == LN_YAML_SCALAR && strlen(node->text) == node->len &&
	    parse(node->text, ret_s))
		return true;
	ln_report_error(r, node->at,
			"%s must be a date, or a time with its offset (found %s); write it as "
			"\"2027-01-31\" or \"2027-01-31T18:00:00Z\"",
			key, ln_yaml_found(node, quote));
	return false;
}
