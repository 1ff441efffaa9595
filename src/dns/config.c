/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <string.h>

#define HOSTS_PAIRS_MAX 100000

struct cursor {
	const char *at;
	const char *end;
};

struct word {
	const char *text;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static bool next_line(struct cursor *text, struct cursor *ret)
{
	const char *newline;

	if (text->at == text->end)
		return false;
	newline = memchr(text->at, '\n', (size_t)(text->end - text->at));
	ret->at = text->at;
	ret->end = newline ? newline : text->end;
	text->at = newline ? newline + 1 : text->end;
	return true;
}

/* The next word of a line; a comment ends the line. */
static bool next_word(struct cursor *line, const char *comment, struct word *ret)
{
	while (line->at < line->end && is_blank(*line->at))
		line->at++;
	ret->text = line->at;
	while (line->at < line->end && !is_blank(*line->at) &&
	       (*line->at == '\0' || !strchr(comment, *line->at)))
		line->at++;
	ret->len = (size_t)(line->at - ret->text);
	return ret->len > 0;
}

static bool word_is(const struct word *w, const char *text)
{
	return w->len == strlen(text) && memcmp(w->text, text, w->len) == 0;
}

/* An address, perhaps with a zone ("fe80::1%eth0"), which linnet has no use for. */
static bool word_addr(const struct word *w, struct ln_addr *ret)
{
	char text[LN_ADDR_TEXT_MAX];
	const char *zone = memchr(w->text, '%', w->len);
	size_t len = zone ? (size_t)(zone - w->text) : w->len;

	if (len >= sizeof(text) || memchr(w->text, '\0', len))
		return false;
	memcpy(text, w->text, len);
	text[len] = '\0';
	return ln_addr_parse(text, ret);
}

static void read_server(struct cursor *line, struct ln_resolv_conf *ret)
{
	struct word word;
	struct ln_endpoint *server = &ret->servers[ret->n_servers];

	if (ret->n_servers == LN_RESOLV_SERVERS_MAX || !next_word(line, "#;", &word) ||
	    !word_addr(&word, &server->addr)) {
		ret->skipped++;
		return;
	}
	server->port = 53;
	ret->n_servers++;
}

/* "search" and "domain" exclude each other: the last line counts. "." is the root: no domain. */
static void read_search(struct cursor *line, size_t max, struct ln_resolv_conf *ret)
{
	struct word word;

	ret->n_search = 0;
	while (next_word(line, "#;", &word)) {
		if (word_is(&word, "."))
			continue;
		if (ret->n_search < max &&
		    ln_name_canonical(word.text, word.len, ret->search[ret->n_search]))
			ret->n_search++;
		else
			ret->skipped++;
	}
}

void ln_resolv_conf_parse(const char *text, size_t len, struct ln_resolv_conf *ret)
{
	struct cursor file = {.at = text, .end = text};
	struct cursor line;
	struct word word;

	memset(ret, 0, sizeof(*ret));
	if (len > 0)
		file.end += len;
	while (next_line(&file, &line)) {
		/* As glibc does: a keyword stands in the first column, or it is none. */
		if (line.at == line.end || is_blank(*line.at) || !next_word(&line, "#;", &word))
			continue;
		if (word_is(&word, "nameserver"))
			read_server(&line, ret);
		else if (word_is(&word, "search"))
			read_search(&line, LN_RESOLV_SEARCH_MAX, ret);
		else if (word_is(&word, "domain"))
			read_search(&line, 1, ret);
	}
	if (ret->n_servers == 0) {
		ln_addr_parse("127.0.0.1", &ret->servers[0].addr);
		ret->servers[0].port = 53;
		ret->n_servers = 1;
	}
}

uint32_t ln_hosts_parse(const char *text, size_t len, ln_hosts_fn fn, void *user)
{
	struct cursor file = {.at = text, .end = text};
	struct cursor line;
	struct word word;
	struct ln_addr addr;
	char name[LN_NAME_MAX];
	uint32_t pairs = 0, skipped = 0;

	if (len > 0)
		file.end += len;
	while (next_line(&file, &line)) {
		if (!next_word(&line, "#", &word))
			continue;
		if (!word_addr(&word, &addr)) {
			skipped++;
			continue;
		}
		while (next_word(&line, "#", &word)) {
			if (pairs == HOSTS_PAIRS_MAX ||
			    !ln_name_canonical(word.text, word.len, name)) {
				skipped++;
				continue;
			}
			fn(&addr, name, user);
			pairs++;
		}
	}
	return skipped;
}
