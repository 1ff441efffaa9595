/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 = rotate(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

uint64_t ln_siphash13(const uint64_t key[2], const void *bytes, size_t len)
{
	struct sip s = {
	    .v0 = key[0] ^ 0x736f6d6570736575,
	    .v1 = key[1] ^ 0x646f72616e646f6d,
	    .v2 = key[0] ^ 0x6c7967656e657261,
	    .v3 = key[1] ^ 0x7465646279746573,
	};
	const uint8_t *at = bytes;
	uint64_t word;

	for (size_t left = len; left >= sizeof(word); left -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sip_word(&s, le64toh(word));
		at += sizeof(word);
	}
	word = (uint64_t)len << 56;
	for (size_t i = 0; i < len % sizeof(word); i++)
		word |= (uint64_t)at[i] << (8 * i);
	sip_word(&s, word);
	s.v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint32_t ln_table_hash(const void *key, size_t len)
{
	static uint64_t secret[2];
	static bool have_secret;

	if (!have_secret) {
		/* 16 random bytes that the kernel gave at exec (getauxval(3)): no system call. */
		const void *random = (const void *)(uintptr_t)getauxval(AT_RANDOM);

		if (random)
			memcpy(secret, random, sizeof(secret));
		have_secret = true;
	}
	return (uint32_t)ln_siphash13(secret, key, len);
}
