/* SPDX-License-Identifier: Apache-2.0 */
#include "chain.h"

#include <string.h>

#define GAP "..."

/* The names kept before the gap, the gap, and the last name; each with its blank. */
_Static_assert(LN_CHAIN_TEXT_MAX > 3 * LN_NAME_MAX, "the first name, the gap and the last fit");

void ln_chain_start(struct ln_chain *c)
{
	c->len = 0;
	c->cut = false;
	c->text[0] = '\0';
}

static void push(struct ln_chain *c, const char *word, size_t len)
{
	if (c->len > 0)
		c->text[c->len++] = ' ';
	memcpy(c->text + c->len, word, len);
	c->len += len;
	c->text[c->len] = '\0';
}

static void pop(struct ln_chain *c)
{
	char *blank = strrchr(c->text, ' ');

	c->len = blank ? (size_t)(blank - c->text) : 0;
	c->text[c->len] = '\0';
}

static bool fits(const struct ln_chain *c, size_t len)
{
	return c->len + 1 + len < sizeof(c->text);
}

static void add(struct ln_chain *c, const char *name, size_t len)
{
	if (!c->cut && fits(c, len)) {
		push(c, name, len);
		return;
	}
	if (c->cut) {
		pop(c); /* what was the last is in the middle now */
		pop(c);
	}
	while (!fits(c, strlen(GAP) + 1 + len))
		pop(c);
	c->cut = true;
	push(c, GAP, strlen(GAP));
	push(c, name, len);
}

void ln_chain_add(struct ln_chain *c, const char *name)
{
	add(c, name, strlen(name));
}

void ln_chain_append(struct ln_chain *c, const char *text)
{
	const char *name;
	size_t len;

	while (ln_chain_next(&text, &name, &len))
		add(c, name, len);
}

bool ln_chain_next(const char **at, const char **ret_name, size_t *ret_len)
{
	const char *name = *at + strspn(*at, " ");
	size_t len = strcspn(name, " ");

	if (len == 0)
		return false;
	*ret_name = name;
	*ret_len = len;
	*at = name + len;
	return true;
}

const char *ln_chain_last(const char *text)
{
	const char *blank = strrchr(text, ' ');

	return blank ? blank + 1 : text;
}
