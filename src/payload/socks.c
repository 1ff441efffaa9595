/* SPDX-License-Identifier: Apache-2.0 */
/* What a client says to a SOCKS server: version 4, 4a, and 5 (RFC 1928) with or without a password
 * (RFC 1929), which is passed over. */
#include "head.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SOCKS4 4
#define SOCKS5 5

#define METHOD_NONE     0
#define METHOD_GSSAPI   1
#define METHOD_PASSWORD 2
#define METHOD_REFUSED  0xff
#define AUTH_VERSION    1 /* of the password, and of GSSAPI messages (RFC 1961) */

#define ATYP_IPV4 1
#define ATYP_NAME 3
#define ATYP_IPV6 4

enum command {
	COMMAND_CONNECT = 1,
	COMMAND_BIND = 2,
	COMMAND_UDP = 3,
	COMMAND_RESOLVE = 0xf0, /* these two by Tor */
	COMMAND_RESOLVE_PTR = 0xf1,
};

struct cursor {
	const uint8_t *at;
	size_t left;
};

/* NULL: they are not there yet. */
static const uint8_t *take(struct cursor *c, size_t n)
{
	const uint8_t *p = c->at;

	if (n > c->left)
		return NULL;
	c->at += n;
	c->left -= n;
	return p;
}

/* Up to a NUL, which is taken, too. */
static const uint8_t *take_string(struct cursor *c, size_t *ret_len)
{
	const uint8_t *end = c->left > 0 ? memchr(c->at, '\0', c->left) : NULL;

	if (!end)
		return NULL;
	*ret_len = (size_t)(end - c->at);
	return take(c, *ret_len + 1);
}

static const char *command_text(unsigned int version, unsigned int command)
{
	switch (command) {
	case COMMAND_CONNECT:
		return "CONNECT";
	case COMMAND_BIND:
		return "BIND";
	case COMMAND_UDP:
		return version == SOCKS5 ? "UDP ASSOCIATE" : NULL;
	case COMMAND_RESOLVE:
		return "RESOLVE";
	case COMMAND_RESOLVE_PTR:
		return "RESOLVE_PTR";
	default:
		return NULL;
	}
}

static int set_command(struct ln_head *h, unsigned int version, unsigned int command)
{
	const char *text = command_text(version, command);

	if (!text)
		return -EBADMSG;
	snprintf(h->claim.detail, sizeof(h->claim.detail), "%s", text);
	if (command == COMMAND_CONNECT || command == COMMAND_BIND)
		h->next = LN_HEAD_TUNNEL;
	return 0;
}

static void set_addr(struct ln_claim *c, uint8_t family, const uint8_t *bytes)
{
	c->has_name = false;
	c->addr = ln_addr_make(family, bytes);
}

static int read_socks4(struct cursor *c, struct ln_head *h)
{
	const uint8_t *p = take(c, 1), *user, *name;
	size_t user_len, name_len;
	int r;

	if (!p)
		return -EAGAIN;
	if (p[0] != SOCKS4)
		return -EBADMSG;
	p = take(c, 1);
	if (!p)
		return -EAGAIN;
	r = set_command(h, SOCKS4, p[0]);
	if (r < 0)
		return r;
	p = take(c, 6);
	if (!p)
		return -EAGAIN;
	h->claim.port = (uint16_t)(p[0] << 8 | p[1]);
	user = take_string(c, &user_len);
	if (!user)
		return -EAGAIN;
	if (p[2] != 0 || p[3] != 0 || p[4] != 0 || p[5] == 0) {
		set_addr(&h->claim, 4, p + 2);
		return 0;
	}
	name = take_string(c, &name_len); /* 4a: 0.0.0.x stands for a name behind the user */
	if (!name)
		return -EAGAIN;
	ln_head_set_host(&h->claim, name, name_len);
	return 0;
}

static int read_greeting(struct cursor *c, bool offered[256])
{
	const uint8_t *p = take(c, 1);

	if (!p)
		return -EAGAIN;
	if (p[0] != SOCKS5)
		return -EBADMSG;
	p = take(c, 1);
	if (!p)
		return -EAGAIN;
	if (p[0] == 0)
		return -EBADMSG;
	for (unsigned int i = p[0]; i > 0; i--) {
		p = take(c, 1);
		if (!p)
			return -EAGAIN;
		if (p[0] == METHOD_REFUSED)
			return -EBADMSG;
		offered[p[0]] = true;
	}
	return 0;
}

/* The two answers of user and password. */
static int pass_password(struct cursor *c)
{
	const uint8_t *p = take(c, 1); /* the version */

	for (int i = 0; i < 2; i++) {
		p = take(c, 1);
		if (!p || !take(c, p[0]))
			return -EAGAIN;
	}
	return 0;
}

/* The server's choice is not seen: what the client says next tells it. Sets *ret_hidden when that
 * is in a way that is not read here. */
static int pass_authentication(struct cursor *c, const bool offered[256], bool *ret_hidden)
{
	bool others = offered[METHOD_GSSAPI];

	for (unsigned int i = METHOD_PASSWORD + 1; i < METHOD_REFUSED; i++)
		others |= offered[i];
	if (c->left == 0)
		return -EAGAIN;
	if (c->at[0] == AUTH_VERSION && offered[METHOD_PASSWORD]) {
		if (pass_password(c) < 0)
			return -EAGAIN;
		if (c->left == 0)
			return -EAGAIN;
	}
	if (c->at[0] == SOCKS5)
		return 0;
	*ret_hidden = others;
	return others ? 0 : -EBADMSG;
}

static int read_target(struct cursor *c, struct ln_claim *claim)
{
	const uint8_t *p = take(c, 1), *name, *port;

	if (!p)
		return -EAGAIN;
	if (p[0] == ATYP_NAME) {
		p = take(c, 1);
		name = p ? take(c, p[0]) : NULL;
		if (!name)
			return -EAGAIN;
		ln_head_set_host(claim, name, p[0]);
	} else if (p[0] == ATYP_IPV4 || p[0] == ATYP_IPV6) {
		uint8_t family = p[0] == ATYP_IPV4 ? 4 : 6;

		p = take(c, family == 4 ? 4 : 16);
		if (!p)
			return -EAGAIN;
		set_addr(claim, family, p);
	} else {
		return -EBADMSG;
	}
	port = take(c, 2);
	if (!port)
		return -EAGAIN;
	claim->port = (uint16_t)(port[0] << 8 | port[1]);
	return 0;
}

static int read_socks5(struct cursor *c, struct ln_head *h)
{
	bool offered[256] = {false}, hidden = false;
	const uint8_t *p;
	int r = read_greeting(c, offered);

	if (r == 0)
		r = pass_authentication(c, offered, &hidden);
	if (r < 0)
		return r;
	if (hidden) {
		snprintf(h->claim.detail, sizeof(h->claim.detail), "other authentication");
		return 0;
	}
	take(c, 1); /* the version */
	p = take(c, 1);
	if (!p)
		return -EAGAIN;
	r = set_command(h, SOCKS5, p[0]);
	if (r < 0)
		return r;
	if (!take(c, 1))
		return -EAGAIN;
	r = read_target(c, &h->claim);
	if (r == 0 && p[0] == COMMAND_UDP) {
		/* It is where the client sends from. The targets are in the datagrams. */
		ln_head_set_unreadable(&h->claim);
		h->claim.port = 0;
	}
	return r;
}

static int finish(int r, bool cut, struct ln_head *h, size_t len, struct ln_head *ret)
{
	if (r == -EAGAIN && cut) {
		ln_head_set_unreadable(&h->claim);
		h->claim.port = 0;
		h->next = LN_HEAD_END;
		r = 0;
	}
	if (r < 0)
		return r;
	h->len = len;
	*ret = *h;
	return 0;
}

int ln_socks4_read_head(const uint8_t *bytes, size_t len, bool cut, struct ln_head *ret)
{
	struct ln_head h = {.claim = {.layer = LN_LAYER_SOCKS4, .has_name = true}};
	struct cursor c = {bytes, len};
	int r = read_socks4(&c, &h);

	return finish(r, cut, &h, len - c.left, ret);
}

int ln_socks5_read_head(const uint8_t *bytes, size_t len, bool cut, struct ln_head *ret)
{
	struct ln_head h = {.claim = {.layer = LN_LAYER_SOCKS5, .has_name = true}};
	struct cursor c = {bytes, len};
	int r = read_socks5(&c, &h);

	return finish(r, cut, &h, len - c.left, ret);
}
