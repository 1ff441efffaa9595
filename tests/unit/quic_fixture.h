/* SPDX-License-Identifier: Apache-2.0 */
/* A QUIC client for tests: hellos, frames, and Initial packets that are really sealed. It derives
 * its keys in another way than src/payload/quic_keys.c, and takes each value that a client may
 * choose. */
#ifndef LINNET_TESTS_QUIC_FIXTURE_H
#define LINNET_TESTS_QUIC_FIXTURE_H

#include <gcrypt.h>
#include <string.h>
#include "base/macros.h"

#define V1 0x00000001u
#define V2 0x6b3343cfu

struct wire {
	uint8_t bytes[8192];
	size_t len;
};

static inline void put_bytes(struct wire *w, const void *bytes, size_t len)
{
	assert_true(len <= sizeof(w->bytes) - w->len);
	if (len > 0)
		memcpy(w->bytes + w->len, bytes, len);
	w->len += len;
}

static inline void put_number(struct wire *w, size_t width, uint64_t v)
{
	while (width-- > 0) {
		uint8_t byte = (uint8_t)(v >> (8 * width));

		put_bytes(w, &byte, 1);
	}
}

static inline void put_zeros(struct wire *w, size_t len)
{
	while (len-- > 0)
		put_number(w, 1, 0);
}

static inline void put_varint(struct wire *w, uint64_t v)
{
	if (v < 0x40)
		put_number(w, 1, v);
	else if (v < 0x4000)
		put_number(w, 2, v | 0x4000);
	else if (v < 0x40000000)
		put_number(w, 4, v | 0x80000000);
	else
		put_number(w, 8, v | 0xc000000000000000);
}

/* A ClientHello message for this name with a key share of `share` bytes; 1216 is X25519MLKEM768. */
static inline void put_hello(struct wire *w, const char *name, size_t share)
{
	size_t name_len = strlen(name);
	size_t exts = 4 + name_len + 5 + 4 + 3 + 4 + 5 + 4 + 6 + share + 4;

	put_number(w, 1, 1);
	put_number(w, 3, 2 + 32 + 1 + 4 + 2 + 2 + exts);
	put_number(w, 2, 0x0303);
	put_zeros(w, 32 + 1);
	put_number(w, 2, 2);
	put_number(w, 2, 0x1301);
	put_number(w, 2, 0x0100);
	put_number(w, 2, exts);
	put_number(w, 4, 0x5a5a0000); /* GREASE */
	put_number(w, 2, 51);         /* key share */
	put_number(w, 2, 6 + share);
	put_number(w, 2, 4 + share);
	put_number(w, 2, 0x11ec);
	put_number(w, 2, share);
	put_zeros(w, share);
	put_number(w, 2, 43); /* versions */
	put_number(w, 2, 3);
	put_number(w, 3, 0x020304);
	put_number(w, 2, 16); /* ALPN */
	put_number(w, 2, 5);
	put_number(w, 2, 3);
	put_number(w, 3, 0x026833); /* h3 */
	put_number(w, 2, 0);        /* server name */
	put_number(w, 2, name_len + 5);
	put_number(w, 2, name_len + 3);
	put_number(w, 1, 0);
	put_number(w, 2, name_len);
	put_bytes(w, name, name_len);
}

static inline void put_crypto(struct wire *frames, const struct wire *hello, size_t start,
			      size_t len)
{
	put_varint(frames, 6);
	put_varint(frames, start);
	put_varint(frames, len);
	put_bytes(frames, hello->bytes + start, len);
}

/* How a packet is sealed; what is 0 is as the simplest client does it. */
struct seal {
	uint32_t version;
	const char *dcid;     /* 8 bytes */
	const char *key_dcid; /* whose keys, when others */
	uint32_t key_version; /* the same */
	size_t token_len;
	uint64_t number;
	size_t number_len; /* 1 when 0 */
	uint8_t flip;      /* bits of the first byte that are as they should not be */
	size_t pad_to;     /* length of the payload */
};

static inline void hmac256(const void *key, size_t key_len, const void *text, size_t len,
			   uint8_t ret[32])
{
	gcry_md_hd_t md;

	assert_int_equal(gcry_md_open(&md, GCRY_MD_SHA256, GCRY_MD_FLAG_HMAC), 0);
	assert_int_equal(gcry_md_setkey(md, key, key_len), 0);
	gcry_md_write(md, text, len);
	memcpy(ret, gcry_md_read(md, GCRY_MD_SHA256), 32);
	gcry_md_close(md);
}

static inline void derive_label(const uint8_t secret[32], const char *label, size_t len,
				uint8_t *ret)
{
	struct wire info = {.len = 0};
	uint8_t hash[32];

	put_number(&info, 2, len);
	put_number(&info, 1, strlen(label));
	put_bytes(&info, label, strlen(label));
	put_number(&info, 2, 1);
	hmac256(secret, 32, info.bytes, info.len, hash);
	memcpy(ret, hash, len);
}

struct secrets {
	uint8_t key[16], iv[12], hp[16];
};

static inline struct secrets derive_secrets(uint32_t version, const char *dcid)
{
	static const char salt1[] = "\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17"
				    "\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a";
	static const char salt2[] = "\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93"
				    "\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9";
	bool two = version == V2;
	uint8_t initial[32], client[32];
	struct secrets s;

	hmac256(two ? salt2 : salt1, 20, dcid, 8, initial);
	derive_label(initial, "tls13 client in", 32, client);
	derive_label(client, two ? "tls13 quicv2 key" : "tls13 quic key", sizeof(s.key), s.key);
	derive_label(client, two ? "tls13 quicv2 iv" : "tls13 quic iv", sizeof(s.iv), s.iv);
	derive_label(client, two ? "tls13 quicv2 hp" : "tls13 quic hp", sizeof(s.hp), s.hp);
	return s;
}

/* The payload, padded, and a tag, behind what is in `w` from `start` on: its header. */
static inline void seal_payload(struct wire *w, size_t start, const struct secrets *s,
				uint64_t number, const struct wire *frames, size_t pad)
{
	struct wire plain = *frames;
	uint8_t tag[16], nonce[12];
	gcry_cipher_hd_t aead;

	put_zeros(&plain, pad);
	memcpy(nonce, s->iv, sizeof(nonce));
	for (size_t i = 0; i < 8; i++)
		nonce[11 - i] ^= (uint8_t)(number >> (8 * i));
	assert_int_equal(gcry_cipher_open(&aead, GCRY_CIPHER_AES128, GCRY_CIPHER_MODE_GCM, 0), 0);
	assert_int_equal(gcry_cipher_setkey(aead, s->key, sizeof(s->key)), 0);
	assert_int_equal(gcry_cipher_setiv(aead, nonce, sizeof(nonce)), 0);
	assert_int_equal(gcry_cipher_authenticate(aead, w->bytes + start, w->len - start), 0);
	assert_int_equal(gcry_cipher_encrypt(aead, plain.bytes, plain.len, NULL, 0), 0);
	assert_int_equal(gcry_cipher_gettag(aead, tag, sizeof(tag)), 0);
	gcry_cipher_close(aead);
	put_bytes(w, plain.bytes, plain.len);
	put_bytes(w, tag, sizeof(tag));
}

static inline void mask_header(struct wire *w, size_t start, size_t number_at, size_t number_len,
			       const struct secrets *s)
{
	gcry_cipher_hd_t ecb;
	uint8_t mask[16];

	assert_int_equal(gcry_cipher_open(&ecb, GCRY_CIPHER_AES128, GCRY_CIPHER_MODE_ECB, 0), 0);
	assert_int_equal(gcry_cipher_setkey(ecb, s->hp, sizeof(s->hp)), 0);
	assert_int_equal(gcry_cipher_encrypt(ecb, mask, 16, w->bytes + number_at + 4, 16), 0);
	gcry_cipher_close(ecb);
	w->bytes[start] ^= mask[0] & 0x0f;
	for (size_t i = 0; i < number_len; i++)
		w->bytes[number_at + i] ^= mask[1 + i];
}

/* One Initial packet behind what is in the datagram. */
static inline void put_initial(struct wire *w, const struct seal *how, const struct wire *frames)
{
	uint32_t version = how->version ? how->version : V1;
	const char *key_dcid = how->key_dcid ? how->key_dcid : how->dcid;
	struct secrets s = derive_secrets(how->key_version ? how->key_version : version, key_dcid);
	size_t number_len = how->number_len ? how->number_len : 1, start = w->len;
	size_t least = 20; /* for the sample */
	size_t pad = LN_MAX(how->pad_to, least) - LN_MIN(LN_MAX(how->pad_to, least), frames->len);

	put_number(w, 1, ((version == V2 ? 0xd0u : 0xc0u) | (number_len - 1)) ^ how->flip);
	put_number(w, 4, version);
	put_number(w, 1, 8);
	put_bytes(w, how->dcid, 8);
	put_number(w, 1, 3);
	put_bytes(w, "abc", 3);
	put_varint(w, how->token_len);
	put_zeros(w, how->token_len);
	put_varint(w, number_len + frames->len + pad + 16);
	size_t number_at = w->len;
	put_number(w, number_len, how->number);
	seal_payload(w, start, &s, how->number, frames, pad);
	mask_header(w, start, number_at, number_len, &s);
}

/* A packet of another type: `type` as version 1 counts them. */
static inline void put_other(struct wire *w, unsigned int type, const char *dcid, size_t len)
{
	put_number(w, 1, 0xc0u | type << 4);
	put_number(w, 4, V1);
	put_number(w, 1, 8);
	put_bytes(w, dcid, 8);
	put_number(w, 1, 0);
	put_varint(w, len);
	put_zeros(w, len);
}

#endif
