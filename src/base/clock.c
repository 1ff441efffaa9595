/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include <time.h>
#include "macros.h"

static uint64_t now_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * LN_NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t ln_clock_mono_ns(void)
{
	return now_ns(CLOCK_MONOTONIC);
}

uint64_t ln_clock_boot_ns(void)
{
	return now_ns(CLOCK_BOOTTIME);
}

uint64_t ln_clock_wall_ns(void)
{
	return now_ns(CLOCK_REALTIME);
}

static char *put_digits(char *at, unsigned int n, int width)
{
	for (int i = width - 1; i >= 0; i--) {
		at[i] = (char)('0' + n % 10);
		n /= 10;
	}
	return at + width;
}

/* The calendar is worked out here because gmtime_r takes the C library's time-zone lock and this
 * runs for each log record. Years are counted from March, so that the leap day is the last one of
 * a year; 2^64 ns end in 2554, so a year has four digits. */
static char *put_date(char *at, uint64_t days_since_1970)
{
	unsigned int days = (unsigned int)days_since_1970 + 719468; /* since 0000-03-01 */
	unsigned int era = days / 146097;
	unsigned int day_of_era = days % 146097;
	unsigned int year_of_era =
	    (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned int day_of_year =
	    day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned int month_from_march = (5 * day_of_year + 2) / 153;
	unsigned int day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
	unsigned int month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
	unsigned int year = era * 400 + year_of_era + (month <= 2);

	at = put_digits(at, year, 4);
	*at++ = '-';
	at = put_digits(at, month, 2);
	*at++ = '-';
	return put_digits(at, day, 2);
}

const char *ln_time_format(uint64_t wall_ns, int digits, char buf[LN_TIME_TEXT_MAX])
{
	uint64_t seconds = wall_ns / LN_NS_PER_S;
	unsigned int fraction = (unsigned int)(wall_ns % LN_NS_PER_S);
	unsigned int second_of_day = (unsigned int)(seconds % 86400);
	char *at = put_date(buf, seconds / 86400);

	*at++ = 'T';
	at = put_digits(at, second_of_day / 3600, 2);
	*at++ = ':';
	at = put_digits(at, second_of_day / 60 % 60, 2);
	*at++ = ':';
	at = put_digits(at, second_of_day % 60, 2);
	digits = LN_MAX(0, LN_MIN(digits, 9));
	if (digits > 0) {
		for (int i = digits; i < 9; i++)
			fraction /= 10;
		*at++ = '.';
		at = put_digits(at, fraction, digits);
	}
	*at++ = 'Z';
	*at = '\0';
	return buf;
}
