/* SPDX-License-Identifier: Apache-2.0 */
#include "tls.h"

#include <errno.h>
#include <string.h>
#include "base/macros.h"

#define RECORD_HEADER      5
#define RECORD_HANDSHAKE   0x16
#define RECORD_VERSION_MAX 0x0f  /* first byte; some servers want 3, Go takes all up to this */
#define RECORD_MAX         16384 /* of plain text (RFC 8446, 5.1) */
#define EMPTY_MAX          32    /* records without a byte, as servers bear them */
#define MESSAGE_HEADER     4
#define CLIENT_HELLO       1
#define VERSION_MAJOR      3

#define EXT_SERVER_NAME        0
#define EXT_ALPN               16
#define EXT_SUPPORTED_VERSIONS 43
#define EXT_ECH                0xfe0d
#define NAME_TYPE_HOST         0
#define ECH_OUTER              0

/* A block of bytes with a length that was declared: `left` belong to it, `have` of these are
 * there. Each take_ function returns 0 and moves on; -EBADMSG when the block is shorter than what
 * is asked for; -EAGAIN when the rest of it has to come first. */
struct cursor {
	const uint8_t *at;
	size_t have;
	size_t left;
};

static int take_bytes(struct cursor *c, size_t n, const uint8_t **ret)
{
	if (n > c->left)
		return -EBADMSG;
	if (n > c->have)
		return -EAGAIN;
	*ret = c->at;
	c->at += n;
	c->have -= n;
	c->left -= n;
	return 0;
}

/* A number of `width` bytes, 1 or 2. */
static int take_number(struct cursor *c, unsigned int width, unsigned int *ret)
{
	const uint8_t *p;
	int r = take_bytes(c, width, &p);

	if (r < 0)
		return r;
	*ret = width == 1 ? p[0] : (unsigned int)(p[0] << 8 | p[1]);
	return 0;
}

/* A block of min..max bytes after a length of `width` bytes; all of it is there. */
static int take_vector(struct cursor *c, unsigned int width, size_t min, size_t max,
		       struct cursor *ret)
{
	unsigned int len;
	const uint8_t *p;
	int r = take_number(c, width, &len);

	if (r < 0)
		return r;
	if (len < min || len > max)
		return -EBADMSG;
	r = take_bytes(c, len, &p);
	if (r < 0)
		return r;
	*ret = (struct cursor){p, len, len};
	return 0;
}

/* Values that clients throw in so that servers keep ignoring the unknown (RFC 8701). */
static bool is_grease(unsigned int high, unsigned int low)
{
	return high == low && (low & 0x0f) == 0x0a;
}

/* One host name, or none that can be told: servers disagree about which of several counts. */
static void read_server_name(struct cursor c, struct ln_tls_hello *h)
{
	struct cursor list, text, host = {0};
	unsigned int type, n_hosts = 0;

	h->has_name = true;
	if (take_vector(&c, 2, 1, UINT16_MAX, &list) < 0 || c.left > 0)
		return;
	while (list.left > 0) {
		if (take_number(&list, 1, &type) < 0 ||
		    take_vector(&list, 2, 0, UINT16_MAX, &text) < 0)
			return;
		if (type == NAME_TYPE_HOST) {
			host = text;
			n_hosts++;
		}
	}
	if (n_hosts == 1)
		ln_name_canonical((const char *)host.at, host.left, h->name);
}

static void read_alpn(struct cursor c, struct ln_tls_hello *h)
{
	struct cursor list, id;
	size_t len = 0;

	if (take_vector(&c, 2, 2, UINT16_MAX, &list) < 0)
		return;
	while (take_vector(&list, 1, 1, UINT8_MAX, &id) == 0) {
		if (id.left == 2 && is_grease(id.at[0], id.at[1]))
			continue;
		if (len > 0 && len < LN_ALPN_MAX - 1)
			h->alpn[len++] = ',';
		for (size_t i = 0; i < id.left && len < LN_ALPN_MAX - 1; i++) {
			char byte = (char)id.at[i];

			h->alpn[len++] = byte > ' ' && byte <= '~' && byte != ',' ? byte : '?';
		}
	}
}

static void read_versions(struct cursor c, struct ln_tls_hello *h)
{
	struct cursor list;
	unsigned int version, highest = 0;

	if (take_vector(&c, 1, 2, UINT8_MAX, &list) < 0)
		return;
	while (take_number(&list, 2, &version) == 0)
		if (version >> 8 == VERSION_MAJOR)
			highest = LN_MAX(highest, version);
	if (highest > 0)
		h->version = (uint16_t)highest;
}

/* What is inside of an extension never makes the hello another thing: a server that does not know
 * the extension does not look either. */
static void read_extension(unsigned int type, struct cursor data, struct ln_tls_hello *h)
{
	switch (type) {
	case EXT_SERVER_NAME:
		read_server_name(data, h);
		break;
	case EXT_ALPN:
		read_alpn(data, h);
		break;
	case EXT_SUPPORTED_VERSIONS:
		read_versions(data, h);
		break;
	case EXT_ECH:
		h->ech |= data.left > 0 && data.at[0] == ECH_OUTER;
		break;
	default:
		break;
	}
}

/* Two of an extension are for a server that knows it no hello (RFC 8446, 4.2), and nothing for one
 * that does not. So two server names are none that can be told, and of others the first counts. */
static int read_extensions(struct cursor *c, struct ln_tls_hello *h)
{
	uint64_t seen = 0; /* types below 64 */
	unsigned int type, len;
	int r = take_number(c, 2, &len);

	if (r < 0)
		return r;
	if (len != c->left)
		return -EBADMSG;
	while (c->left > 0) {
		struct cursor data;
		bool again;

		r = take_number(c, 2, &type);
		if (r == 0)
			r = take_vector(c, 2, 0, UINT16_MAX, &data);
		if (r < 0)
			return r;
		again = type < 64 && (seen & 1ULL << type);
		if (type < 64)
			seen |= 1ULL << type;
		if (!again)
			read_extension(type, data, h);
		else if (type == EXT_SERVER_NAME)
			h->name[0] = '\0';
	}
	return 0;
}

/* Fills *h as far as it comes. */
static int read_body(struct cursor *c, struct ln_tls_hello *h)
{
	struct cursor part;
	const uint8_t *random;
	unsigned int version;
	int r = take_number(c, 2, &version);

	if (r < 0)
		return r;
	h->version = (uint16_t)version;
	r = take_bytes(c, 32, &random);
	if (r == 0)
		r = take_vector(c, 1, 0, 32, &part); /* session id */
	if (r == 0)
		r = take_vector(c, 2, 2, UINT16_MAX, &part); /* cipher suites */
	if (r == 0 && part.left % 2 != 0)
		return -EBADMSG;
	if (r == 0)
		r = take_vector(c, 1, 1, UINT8_MAX, &part); /* compression methods */
	if (r < 0 || c->left == 0)
		return r;
	return read_extensions(c, h);
}

static int read_message(const uint8_t *bytes, size_t len, struct ln_tls_hello *h)
{
	struct cursor body;

	if (len > 0 && bytes[0] != CLIENT_HELLO)
		return -EBADMSG;
	if (len < MESSAGE_HEADER)
		return -EAGAIN;
	body.at = bytes + MESSAGE_HEADER;
	body.left = (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
	body.have = LN_MIN(len - MESSAGE_HEADER, body.left);
	return read_body(&body, h);
}

/* The handshake bytes of the records: in place while they are in one, else joined in `buf`. */
struct message {
	const uint8_t *bytes;
	size_t len;
	uint8_t buf[MESSAGE_HEADER + LN_TLS_HELLO_MAX];
};

static void add_fragment(struct message *m, const uint8_t *bytes, size_t len)
{
	if (m->len == 0) {
		m->bytes = bytes;
		m->len = len;
		return;
	}
	if (m->bytes != m->buf) {
		m->len = LN_MIN(m->len, sizeof(m->buf));
		memcpy(m->buf, m->bytes, m->len);
		m->bytes = m->buf;
	}
	len = LN_MIN(len, sizeof(m->buf) - m->len);
	memcpy(m->buf + m->len, bytes, len);
	m->len += len;
}

static bool is_whole(const struct message *m)
{
	return m->len >= MESSAGE_HEADER &&
	       m->len - MESSAGE_HEADER >=
		   ((size_t)m->bytes[1] << 16 | (size_t)m->bytes[2] << 8 | m->bytes[3]);
}

/* Takes records until the message is whole or the bytes end. The version is anything that a server
 * lets pass: middleboxes made clients lie there (RFC 8446, 5.1). */
static int join_records(const uint8_t *bytes, size_t len, struct message *m)
{
	unsigned int n_empty = 0;

	m->bytes = NULL;
	m->len = 0;
	while (len > 0 && !is_whole(m)) {
		size_t fragment;

		if (bytes[0] != RECORD_HANDSHAKE || (len > 1 && bytes[1] > RECORD_VERSION_MAX))
			return -EBADMSG;
		if (len < RECORD_HEADER)
			break;
		fragment = (size_t)bytes[3] << 8 | bytes[4];
		n_empty = fragment == 0 ? n_empty + 1 : 0;
		if (fragment > RECORD_MAX || n_empty > EMPTY_MAX)
			return -EBADMSG;
		bytes += RECORD_HEADER;
		len -= RECORD_HEADER;
		fragment = LN_MIN(fragment, len);
		if (fragment > 0)
			add_fragment(m, bytes, fragment);
		bytes += fragment;
		len -= fragment;
	}
	return 0;
}

static int read_records(const uint8_t *bytes, size_t len, struct ln_tls_hello *h)
{
	struct message m;
	int joined = join_records(bytes, len, &m);
	int r = read_message(m.bytes, m.len, h);

	return r == -EAGAIN && joined < 0 ? joined : r;
}

/* What is asked for, from how the reading ended: all of the hello, or what there is of it. */
static int give(int r, bool cut, struct ln_tls_hello *h, struct ln_tls_hello *ret)
{
	if (r == -EAGAIN && cut) {
		h->has_name = true;
		r = 0;
	}
	if (r == 0)
		*ret = *h;
	return r;
}

int ln_tls_read(const uint8_t *bytes, size_t len, struct ln_tls_hello *ret)
{
	struct ln_tls_hello h = {0};

	return give(read_records(bytes, len, &h), false, &h, ret);
}

int ln_tls_read_cut(const uint8_t *bytes, size_t len, struct ln_tls_hello *ret)
{
	struct ln_tls_hello h = {0};

	return give(read_records(bytes, len, &h), true, &h, ret);
}

int ln_tls_read_message(const uint8_t *bytes, size_t len, struct ln_tls_hello *ret)
{
	struct ln_tls_hello h = {0};

	return give(read_message(bytes, len, &h), false, &h, ret);
}

int ln_tls_read_message_cut(const uint8_t *bytes, size_t len, struct ln_tls_hello *ret)
{
	struct ln_tls_hello h = {0};

	return give(read_message(bytes, len, &h), true, &h, ret);
}
