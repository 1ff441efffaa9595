/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of a record, each checked when it is read. */
#include "log_impl.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

void ln_log_wrong(struct ln_log_reader *r, const char *format, ...)
{
	va_list args;

	if (r->wrong)
		return;
	r->wrong = true;
	va_start(args, format);
	vsnprintf(r->what, sizeof(r->what), format, args);
	va_end(args);
}

static const json_t *find(const json_t *o, const char *key)
{
	const json_t *value = json_object_get(o, key);

	return json_is_null(value) ? NULL : value;
}

const char *ln_log_text(struct ln_log_reader *r, const json_t *o, const char *key)
{
	const json_t *value = find(o, key);

	if (!value)
		return NULL;
	if (!json_is_string(value)) {
		ln_log_wrong(r, "\"%s\" is no text", key);
		return NULL;
	}
	if (strlen(json_string_value(value)) != json_string_length(value)) {
		ln_log_wrong(r, "\"%s\" has a NUL", key);
		return NULL;
	}
	return json_string_value(value);
}

bool ln_log_bool(struct ln_log_reader *r, const json_t *o, const char *key)
{
	const json_t *value = find(o, key);

	if (value && !json_is_boolean(value))
		ln_log_wrong(r, "\"%s\" is neither true nor false", key);
	return json_is_true(value);
}

uint64_t ln_log_number(struct ln_log_reader *r, const json_t *o, const char *key, uint64_t max)
{
	const json_t *value = find(o, key);

	if (!value)
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    (uint64_t)json_integer_value(value) > max) {
		ln_log_wrong(r, "\"%s\" is no number from 0 to %llu", key, (unsigned long long)max);
		return 0;
	}
	return (uint64_t)json_integer_value(value);
}

uint64_t ln_log_hex(struct ln_log_reader *r, const json_t *o, const char *key)
{
	const char *text = ln_log_text(r, o, key);

	if (!text)
		return 0;
	if (text[0] == '\0' || strlen(text) > 16 || text[strspn(text, "0123456789abcdef")]) {
		ln_log_wrong(r, "\"%s\" is no hexadecimal number", key);
		return 0;
	}
	return strtoull(text, NULL, 16);
}

/* "2023-10-26T14:32:07.123456Z", as linnet writes it; the fraction has 0 to 9 digits. */
static bool parse_time(const char *text, uint64_t *ret_ns)
{
	struct tm tm = {0};
	int used = 0, digits = 0;
	uint64_t fraction = 0;
	time_t seconds;

	if (strlen(text) < 20 || !isdigit((unsigned char)text[0]) ||
	    sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6 ||
	    used != 19)
		return false;
	text += used;
	if (*text == '.') {
		for (text++; isdigit((unsigned char)*text) && digits < 9; text++, digits++)
			fraction = 10 * fraction + (uint64_t)(*text - '0');
	}
	if (strcmp(text, "Z") != 0 || tm.tm_year < 1970 || tm.tm_year > 2200)
		return false;
	for (; digits < 9; digits++)
		fraction *= 10;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	seconds = timegm(&tm);
	if (seconds < 0)
		return false;
	*ret_ns = (uint64_t)seconds * LN_NS_PER_S + fraction;
	return true;
}

uint64_t ln_log_time(struct ln_log_reader *r, const json_t *o)
{
	const char *text = ln_log_text(r, o, "time");
	uint64_t ns = 0;

	if (!text || !parse_time(text, &ns))
		ln_log_wrong(r, "\"time\" is no time like 2023-10-26T14:32:07.123456Z");
	return ns;
}

struct ln_addr ln_log_addr(struct ln_log_reader *r, const json_t *o, const char *key)
{
	const char *text = ln_log_text(r, o, key);
	struct ln_addr addr = {0};

	if (text && !ln_addr_parse(text, &addr))
		ln_log_wrong(r, "\"%s\" is no address", key);
	return addr;
}

struct ln_endpoint ln_log_endpoint(struct ln_log_reader *r, const json_t *o, const char *key)
{
	const json_t *value = find(o, key);
	struct ln_endpoint ep = {0};

	if (!value)
		return ep;
	if (!json_is_object(value)) {
		ln_log_wrong(r, "\"%s\" is no address and port", key);
		return ep;
	}
	ep.addr = ln_log_addr(r, value, "ip");
	ep.port = (uint16_t)ln_log_number(r, value, "port", UINT16_MAX);
	return ep;
}

struct ln_party ln_log_party(struct ln_log_reader *r, const json_t *o, const char *key)
{
	const json_t *value = find(o, key);
	struct ln_party party = {0};
	const char *comm;

	if (!value)
		return party;
	if (!json_is_object(value)) {
		ln_log_wrong(r, "\"%s\" is no process", key);
		return party;
	}
	party.pid = (uint32_t)ln_log_number(r, value, "pid", UINT32_MAX);
	comm = ln_log_text(r, value, "comm");
	if (comm)
		snprintf(party.comm, sizeof(party.comm), "%s", comm);
	return party;
}

/* A protocol without a name is its number as text. */
uint8_t ln_log_proto(struct ln_log_reader *r, const json_t *o)
{
	const char *text = ln_log_text(r, o, "proto");
	char number[4];

	if (!text)
		return 0;
	for (unsigned int proto = 0; proto < 256; proto++) {
		const char *name = ln_proto_name((uint8_t)proto);

		snprintf(number, sizeof(number), "%u", proto);
		if (strcmp(name ? name : number, text) == 0)
			return (uint8_t)proto;
	}
	ln_log_wrong(r, "\"proto\" is no protocol");
	return 0;
}

const json_t *ln_log_list(struct ln_log_reader *r, const json_t *o, const char *key)
{
	const json_t *value = find(o, key);

	if (value && !json_is_array(value)) {
		ln_log_wrong(r, "\"%s\" is no list", key);
		return NULL;
	}
	return value;
}

unsigned int ln_log_word(struct ln_log_reader *r, const json_t *o, const char *key,
			 const char *(*text)(unsigned int), unsigned int count, unsigned int none)
{
	const char *word = ln_log_text(r, o, key);

	for (unsigned int i = 0; word && i < count; i++) {
		const char *known = text(i);

		if (known && strcmp(known, word) == 0)
			return i;
	}
	if (word)
		ln_log_wrong(r, "\"%s\" has a word that is not known", key);
	return none;
}

const char *ln_log_keep(struct ln_log_reader *r, const char *text)
{
	char *copy;

	for (size_t i = 0; text && i < r->n_words; i++) {
		if (strcmp(r->words[i], text) == 0)
			return r->words[i];
	}
	if (!text || r->n_words == LN_LOG_WORDS_MAX)
		return NULL;
	copy = strdup(text);
	if (copy)
		r->words[r->n_words++] = copy;
	return copy;
}
