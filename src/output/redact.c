/* SPDX-License-Identifier: Apache-2.0 */
#include "redact.h"

#include <string.h>
#include <strings.h>

struct span {
	size_t from, to;
};

/* How the name of a secret ends, without '-' and '_': token, API_TOKEN, X-Api-Key. What follows
 * makes it another word: max_tokens, token_count, --password-file. */
static const char *const key_endings[] = {
    "token",  "password",  "passwd",    "passphrase",    "secret",
    "apikey", "accesskey", "secretkey", "authorization", "bearer",
};

/* Where a token shows itself by its first letters. */
static const char *const token_prefixes[] = {
    "sk-",    "ghp_",  "gho_",  "ghu_", "ghs_", "github_pat_",
    "glpat-", "xoxb-", "xoxp-", "AKIA", "ASIA",
};
#define TOKEN_RUN_MIN  16 /* letters and digits without a break, one digit at least */
#define BEARER_LEN_MIN 8

/* ASCII, whatever the locale. */
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_alnum(char c)
{
	return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z');
}

static bool is_joint(char c)
{
	return c == '-' || c == '_';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_quote(char c)
{
	return c == '"' || c == '\'' || c == '`';
}

static bool is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c);
}

/* Whether s[0..end) ends in `ending`, whatever the case and with joints left out. */
static bool ends_in(const char *s, size_t end, const char *ending)
{
	size_t left = strlen(ending);

	while (left > 0 && end > 0) {
		char c = s[--end];

		if (is_joint(c))
			continue;
		if (lower(c) != ending[--left])
			return false;
	}
	return left == 0;
}

static bool names_secret(const char *s, size_t end)
{
	if (end == 0 || !is_alnum(s[end - 1]))
		return false;
	for (size_t i = 0; i < LN_ARRAY_SIZE(key_endings); i++) {
		if (ends_in(s, end, key_endings[i]))
			return true;
	}
	return false;
}

/* A value inside a longer text ends where the text goes on; that of an argument which is nothing
 * but KEY=VALUE is all of the rest. */
static size_t value_end(const char *s, size_t len, size_t key_end, size_t from)
{
	bool whole = true;
	size_t to = from;

	if (ends_in(s, key_end, "authorization")) {
		while (to < len && !is_quote(s[to]) && s[to] != '\n' && s[to] != '\r')
			to++;
		return to;
	}
	for (size_t i = 0; i < key_end && whole; i++)
		whole = is_alnum(s[i]) || is_joint(s[i]) || s[i] == '.';
	for (size_t i = from; i < len && whole && s[0] != '-'; i++)
		whole = !is_blank(s[i]) && !is_one_of(s[i], "&;");
	if (whole)
		return len;
	while (to < len && !is_blank(s[to]) && !is_quote(s[to]) && !is_one_of(s[to], "&;|,)}]<>"))
		to++;
	return to;
}

/* s[at] is '=' or ':'. */
static bool find_value(const char *s, size_t len, size_t at, struct span *ret)
{
	size_t key_end = at, from = at + 1, to;

	while (key_end > 0 && is_blank(s[key_end - 1]))
		key_end--;
	if (key_end > 0 && is_quote(s[key_end - 1]))
		key_end--;
	if (!names_secret(s, key_end))
		return false;
	while (from < len && is_blank(s[from]))
		from++;
	if (from < len && is_quote(s[from])) {
		const char *close = memchr(s + from + 1, s[from], len - from - 1);

		from++;
		to = close ? (size_t)(close - s) : len;
	} else {
		to = value_end(s, len, key_end, from);
	}
	*ret = (struct span){from, to};
	return to > from;
}

/* s[from] follows "://". */
static bool find_userinfo(const char *s, size_t len, size_t from, struct span *ret)
{
	size_t colon = 0, at = 0;

	for (size_t i = from; i < len && !is_blank(s[i]) && !is_quote(s[i]); i++) {
		if (is_one_of(s[i], "/?#<>"))
			break;
		if (s[i] == ':' && colon == 0)
			colon = i;
		if (s[i] == '@')
			at = i;
	}
	*ret = (struct span){colon + 1, at};
	return colon > 0 && at > colon + 1;
}

/* s[at] is a blank. */
static bool find_bearer(const char *s, size_t len, size_t at, struct span *ret)
{
	size_t from = at + 1, to;
	bool digit = false;

	if (at < 6 || strncasecmp(s + at - 6, "bearer", 6) != 0 || (at > 6 && is_alnum(s[at - 7])))
		return false;
	while (from < len && is_blank(s[from]))
		from++;
	for (to = from; to < len && (is_alnum(s[to]) || is_one_of(s[to], "-._~+/=")); to++)
		digit = digit || is_digit(s[to]);
	*ret = (struct span){from, to};
	return digit && to - from >= BEARER_LEN_MIN;
}

static size_t token_prefix(const char *s, size_t len)
{
	for (size_t i = 0; i < LN_ARRAY_SIZE(token_prefixes); i++) {
		size_t n = strlen(token_prefixes[i]);

		if (len > n && s[0] == token_prefixes[i][0] && memcmp(s, token_prefixes[i], n) == 0)
			return n;
	}
	return 0;
}

/* s[from] follows a prefix. Always tells where the token's bytes end. */
static bool find_token(const char *s, size_t len, size_t from, struct span *ret)
{
	size_t run = 0, to;
	bool digit = false, found = false;

	for (to = from; to < len && (is_alnum(s[to]) || is_joint(s[to])); to++) {
		run = is_joint(s[to]) ? 0 : run + 1;
		digit = run > 0 && (digit || is_digit(s[to]));
		found = found || (digit && run >= TOKEN_RUN_MIN);
	}
	*ret = (struct span){from, to};
	return found;
}

/* Bytes at which a secret may begin; all others are passed over quickly. */
static const bool is_start[256] = {
    [':'] = true,  ['='] = true, [' '] = true, ['\t'] = true, ['\n'] = true,
    ['\r'] = true, ['s'] = true, ['g'] = true, ['x'] = true,  ['A'] = true,
};

/* The first secret at or after `at`. A run of token bytes that failed once is not tried again from
 * its middle (*dull_until), which keeps the whole linear. */
static bool find_secret(const char *s, size_t len, size_t at, size_t *dull_until, struct span *ret)
{
	for (size_t i = at; i < len; i++) {
		char c = s[i];
		size_t n;

		if (!is_start[(uint8_t)c])
			continue;
		if (c == ':' && len - i >= 3 && memcmp(s + i, "://", 3) == 0) {
			if (find_userinfo(s, len, i + 3, ret))
				return true;
		} else if (c == '=' || c == ':') {
			if (find_value(s, len, i, ret))
				return true;
		} else if (is_blank(c)) {
			if (find_bearer(s, len, i, ret))
				return true;
		} else if (i >= *dull_until && (i == 0 || !is_alnum(s[i - 1]))) {
			n = token_prefix(s + i, len - i);
			if (n > 0 && find_token(s, len, i + n, ret))
				return true;
			if (n > 0)
				*dull_until = ret->to;
		}
	}
	return false;
}

/* "--password", whose value is the next argument; not "--no-password" or "--password=x". */
static bool is_secret_flag(const char *s, size_t len)
{
	return len > 1 && s[0] == '-' && !(len > 5 && memcmp(s, "--no-", 5) == 0) &&
	       !memchr(s, '=', len) && !memchr(s, ' ', len) && names_secret(s, len);
}

void ln_redact_done(struct ln_redact *r)
{
	ln_buf_done(&r->copy);
}

void ln_redact_start(struct ln_redact *r)
{
	r->value_next = false;
}

const char *ln_redact_arg(struct ln_redact *r, const char *arg, size_t *len)
{
	size_t at = 0, dull_until = 0;
	struct span secret;

	if (r->off)
		return arg;
	if (r->value_next && *len > 0 && arg[0] != '-') {
		r->value_next = false;
		*len = strlen(LN_REDACTED);
		return LN_REDACTED;
	}
	r->value_next = is_secret_flag(arg, *len);
	if (!find_secret(arg, *len, 0, &dull_until, &secret))
		return arg;
	ln_buf_reset(&r->copy);
	do {
		ln_buf_add(&r->copy, arg + at, secret.from - at);
		ln_buf_adds(&r->copy, LN_REDACTED);
		at = secret.to;
	} while (find_secret(arg, *len, at, &dull_until, &secret));
	ln_buf_add(&r->copy, arg + at, *len - at);
	if (r->copy.failed) {
		*len = strlen(LN_REDACTED);
		return LN_REDACTED;
	}
	*len = r->copy.len;
	return r->copy.data;
}
