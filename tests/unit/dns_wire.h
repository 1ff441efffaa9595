/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages, byte by byte. */
#ifndef LINNET_TESTS_DNS_WIRE_H
#define LINNET_TESTS_DNS_WIRE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/macros.h"
#include "dns/message.h"

#define FLAG_RESPONSE  0x8000
#define FLAG_TRUNCATED 0x0200
#define CLASS_IN       1

/* A message under construction. */
struct wire {
	uint8_t bytes[8192];
	size_t len;
};

static inline void put16(struct wire *w, unsigned int v)
{
	w->bytes[w->len++] = (uint8_t)(v >> 8);
	w->bytes[w->len++] = (uint8_t)v;
}

static inline void put_bytes(struct wire *w, const void *bytes, size_t len)
{
	memcpy(w->bytes + w->len, bytes, len);
	w->len += len;
}

static inline void put_label(struct wire *w, const void *bytes, size_t len)
{
	w->bytes[w->len++] = (uint8_t)len;
	put_bytes(w, bytes, len);
}

/* "a.b" as labels; no escapes. */
static inline void put_name(struct wire *w, const char *name)
{
	while (*name != '\0') {
		size_t len = strcspn(name, ".");

		put_label(w, name, len);
		name += len + (name[len] == '.');
	}
	w->bytes[w->len++] = 0;
}

static inline void put_header(struct wire *w, unsigned int flags, unsigned int n_questions)
{
	w->len = 0;
	put16(w, 0x1234);
	put16(w, flags);
	put16(w, n_questions);
	put16(w, 0);
	put16(w, 0);
	put16(w, 0);
}

static inline void start(struct wire *w, unsigned int flags, const char *name, unsigned int type)
{
	put_header(w, flags, 1);
	put_name(w, name);
	put16(w, type);
	put16(w, CLASS_IN);
}

enum section { ANSWER = 6, AUTHORITY = 8, ADDITIONAL = 10 /* offset of the count */ };

static inline void count_record(struct wire *w, enum section s)
{
	if (++w->bytes[s + 1] == 0)
		w->bytes[s]++;
}

static inline void put_record(struct wire *w, enum section s, const char *owner, unsigned int type,
			      uint32_t ttl, const void *data, size_t len)
{
	count_record(w, s);
	put_name(w, owner);
	put16(w, type);
	put16(w, CLASS_IN);
	put16(w, ttl >> 16);
	put16(w, ttl & 0xffff);
	put16(w, (unsigned int)len);
	put_bytes(w, data, len);
}

static inline void put_address(struct wire *w, enum section s, const char *owner, uint32_t ttl,
			       const char *addr)
{
	struct ln_addr a;

	assert_true(ln_addr_parse(addr, &a));
	put_record(w, s, owner, a.family == 4 ? LN_DNS_A : LN_DNS_AAAA, ttl, a.bytes,
		   a.family == 4 ? 4 : 16);
}

static inline void put_a(struct wire *w, const char *owner, uint32_t ttl, const char *addr)
{
	put_address(w, ANSWER, owner, ttl, addr);
}

/* One whose data is a name, after `skip` bytes: NS, MX, SRV, PTR. */
static inline void put_host(struct wire *w, enum section s, const char *owner, unsigned int type,
			    size_t skip, const char *host)
{
	struct wire data = {.len = skip};

	put_name(&data, host);
	put_record(w, s, owner, type, 60, data.bytes, data.len);
}

static inline void put_cname(struct wire *w, const char *owner, uint32_t ttl, const char *target)
{
	struct wire data = {.len = 0};

	put_name(&data, target);
	put_record(w, ANSWER, owner, LN_DNS_CNAME, ttl, data.bytes, data.len);
}

/* Parses a copy of the exact size, so that a read past the end is one that ASan sees. */
static inline int parse(const struct wire *w, struct ln_dns_message *ret)
{
	LN_AUTO_FREE uint8_t *copy = malloc(w->len ? w->len : 1);

	assert_non_null(copy);
	memcpy(copy, w->bytes, w->len);
	return ln_dns_parse(copy, w->len, ret);
}

static inline void assert_addr(const struct ln_dns_message *msg, size_t i, const char *addr,
			       uint32_t ttl)
{
	char text[LN_ADDR_TEXT_MAX];

	assert_true(i < msg->n_addrs);
	assert_string_equal(ln_addr_format(&msg->addrs[i].addr, text), addr);
	assert_int_equal(msg->addrs[i].ttl_s, ttl);
}

#endif
