/* SPDX-License-Identifier: Apache-2.0 */
/* A ClientHello under construction, and its records. */
#ifndef LINNET_TESTS_HELLO_FIXTURE_H
#define LINNET_TESTS_HELLO_FIXTURE_H

#include <stdint.h>
#include <string.h>

struct bytes {
	uint8_t data[40000];
	size_t len;
};

static inline void put(struct bytes *b, const void *data, size_t len)
{
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

#define put_text(b, text) put(b, text, sizeof(text) - 1)

static inline void put8(struct bytes *b, unsigned int v)
{
	b->data[b->len++] = (uint8_t)v;
}

static inline void put16(struct bytes *b, unsigned int v)
{
	put8(b, v >> 8);
	put8(b, v & 0xff);
}

static inline void set16(struct bytes *b, size_t at, size_t v)
{
	b->data[at] = (uint8_t)(v >> 8);
	b->data[at + 1] = (uint8_t)v;
}

static inline void put_ext(struct bytes *b, unsigned int type, const void *data, size_t len)
{
	put16(b, type);
	put16(b, (unsigned int)len);
	put(b, data, len);
}

/* A server_name extension with one host name. */
static inline void put_sni(struct bytes *b, const void *name, size_t len)
{
	put16(b, 0);
	put16(b, (unsigned int)len + 5);
	put16(b, (unsigned int)len + 3);
	put8(b, 0);
	put16(b, (unsigned int)len);
	put(b, name, len);
}

/* The message up to its extensions; hello_end sets the lengths. */
static inline void hello_begin(struct bytes *b)
{
	memset(b, 0, sizeof(*b));
	put(b, "\x01\0\0\0\x03\x03", 6);
	b->len += 32;
	put8(b, 0);
	put16(b, 4);
	put16(b, 0x1301);
	put16(b, 0x2a2a);
	put16(b, 0x0100);
	put16(b, 0);
}

#define HELLO_EXTENSIONS 47 /* where the length of the extensions is */

static inline void hello_end(struct bytes *b)
{
	set16(b, HELLO_EXTENSIONS, b->len - HELLO_EXTENSIONS - 2);
	b->data[1] = (uint8_t)((b->len - 4) >> 16);
	set16(b, 2, (b->len - 4) & 0xffff);
}

/* A message in records of `each` bytes. */
static inline void put_records(struct bytes *b, const uint8_t *message, size_t len, size_t each)
{
	for (size_t i = 0; i < len; i += each) {
		size_t n = len - i < each ? len - i : each;

		put(b, "\x16\x03\x01", 3);
		put16(b, (unsigned int)n);
		put(b, message + i, n);
	}
}

/* A hello with this name and nothing else, in one record. */
static inline void put_hello(struct bytes *b, const char *name)
{
	static struct bytes m;

	hello_begin(&m);
	put_sni(&m, name, strlen(name));
	hello_end(&m);
	put_records(b, m.data, m.len, 16384);
}

#endif
