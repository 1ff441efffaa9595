/* SPDX-License-Identifier: Apache-2.0 */
#include "head.h"

#include <string.h>

void ln_head_set_unreadable(struct ln_claim *c)
{
	c->has_name = true;
	c->name[0] = '\0';
	c->addr = (struct ln_addr){0};
}

/* Whether a name ends in a number: no top-level domain does, and programs take such text for an
 * address in one way or another (127.1, 0x7f.1, 017700000001). */
static bool is_number(const char *name)
{
	const char *last = strrchr(name, '.');

	last = last ? last + 1 : name;
	if (last[0] == '0' && last[1] == 'x')
		return last[2 + strspn(last + 2, "0123456789abcdef")] == '\0';
	return last[strspn(last, "0123456789")] == '\0';
}

void ln_head_set_host(struct ln_claim *c, const void *text, size_t len)
{
	char literal[LN_ADDR_TEXT_MAX];

	ln_head_set_unreadable(c);
	if (ln_name_canonical(text, len, c->name)) {
		if (ln_addr_parse(c->name, &c->addr) || is_number(c->name))
			c->name[0] = '\0';
	} else if (len < sizeof(literal) && !memchr(text, '\0', len)) {
		memcpy(literal, text, len);
		literal[len] = '\0';
		ln_addr_parse(literal, &c->addr);
	}
	c->has_name = c->addr.family == 0;
}

/* Digits up to 65535, or nothing at all. */
static bool parse_port(const char *text, size_t len, uint16_t *ret)
{
	unsigned int port = 0;

	if (len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		port = port * 10 + (unsigned int)(text[i] - '0');
	}
	if (port > UINT16_MAX || (len > 0 && port == 0))
		return false;
	*ret = (uint16_t)port;
	return true;
}

void ln_head_set_authority(struct ln_claim *c, const char *text, size_t len)
{
	bool brackets = len > 0 && text[0] == '[';
	const char *host = brackets ? text + 1 : text;
	size_t rest = len - (size_t)(host - text);
	const char *end = memchr(host, brackets ? ']' : ':', rest);
	const char *port = end && brackets ? end + 1 : end;
	size_t host_len = end ? (size_t)(end - host) : rest;
	size_t port_len = port ? len - (size_t)(port - text) : 0;

	ln_head_set_unreadable(c);
	c->port = 0;
	if (brackets && (!end || !memchr(host, ':', host_len)))
		return;
	if (port_len > 0 && (port[0] != ':' || !parse_port(port + 1, port_len - 1, &c->port)))
		return;
	ln_head_set_host(c, host, host_len);
}

bool ln_head_same_host(const struct ln_claim *a, const struct ln_claim *b)
{
	return a->has_name == b->has_name && strcmp(a->name, b->name) == 0 &&
	       ln_addr_equal(&a->addr, &b->addr);
}
