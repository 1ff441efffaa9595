/* SPDX-License-Identifier: Apache-2.0 */
#include "quic_keys.h"

#include <string.h>
#include <gcrypt.h>
#include "base/macros.h"

#define HASH_LEN     32 /* SHA-256 */
#define HASH_BLOCK   64
#define KEY_LEN      16 /* AES-128 */
#define IV_LEN       12
#define TAG_LEN      16
#define NUMBER_MAX   4 /* bytes of a packet number */
#define SAMPLE_LEN   16
#define LABEL_MAX    32
#define GCRYPT_NEEDS "1.10.0"

struct ln_quic_keys {
	gcry_cipher_hd_t header; /* owned */
	gcry_cipher_hd_t aead;   /* owned */
	uint8_t iv[IV_LEN];
};

struct version {
	uint8_t salt[20];
	const char *key, *iv, *hp; /* labels */
};

static const struct version versions[] = {
    {{0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
      0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a},
     "quic key",
     "quic iv",
     "quic hp"},
    {{0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
      0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9},
     "quicv2 key",
     "quicv2 iv",
     "quicv2 hp"},
};

/* Once in the process, and a second time does no harm: libgcrypt wants its version asked for before
 * anything else. No secure memory: these keys are anybody's, and locked pages would cost. */
static bool gcrypt_is_ready(void)
{
	static bool ready;

	if (ready)
		return true;
	if (!gcry_check_version(GCRYPT_NEEDS))
		return false;
	if (!gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P)) {
		gcry_control(GCRYCTL_DISABLE_SECMEM);
		gcry_control(GCRYCTL_INITIALIZATION_FINISHED);
	}
	ready = true;
	return true;
}

/* HMAC-SHA256 (RFC 2104) over two calls that allocate nothing. `key` is no longer than a block. */
static bool hmac(const uint8_t *key, size_t key_len, const uint8_t *text, size_t len,
		 uint8_t ret[HASH_LEN])
{
	uint8_t inner[HASH_BLOCK] = {0}, outer[HASH_BLOCK], hash[HASH_LEN];

	memcpy(inner, key, key_len);
	for (size_t i = 0; i < HASH_BLOCK; i++) {
		outer[i] = inner[i] ^ 0x5c;
		inner[i] ^= 0x36;
	}
	gcry_buffer_t first[] = {{.len = HASH_BLOCK, .data = inner},
				 {.len = len, .data = (void *)(uintptr_t)text}};
	gcry_buffer_t second[] = {{.len = HASH_BLOCK, .data = outer},
				  {.len = HASH_LEN, .data = hash}};
	return gcry_md_hash_buffers(GCRY_MD_SHA256, 0, hash, first, 2) == 0 &&
	       gcry_md_hash_buffers(GCRY_MD_SHA256, 0, ret, second, 2) == 0;
}

/* HKDF-Expand-Label (RFC 8446, 7.1) without context; one block is enough for all that we ask. */
static bool expand(const uint8_t secret[HASH_LEN], const char *label, uint8_t *ret, size_t len)
{
	static const char prefix[] = "tls13 ";
	uint8_t info[3 + LABEL_MAX + 2], hash[HASH_LEN];
	size_t label_len = sizeof(prefix) - 1 + strlen(label), n = 0;

	info[n++] = 0;
	info[n++] = (uint8_t)len;
	info[n++] = (uint8_t)label_len;
	memcpy(info + n, prefix, sizeof(prefix) - 1);
	memcpy(info + n + sizeof(prefix) - 1, label, label_len - (sizeof(prefix) - 1));
	n += label_len;
	info[n++] = 0; /* no context */
	info[n++] = 1; /* the first block */
	if (!hmac(secret, HASH_LEN, info, n, hash))
		return false;
	memcpy(ret, hash, len);
	return true;
}

static bool derive(struct ln_quic_keys *k, const struct version *v, const uint8_t *dcid, size_t len)
{
	uint8_t initial[HASH_LEN], client[HASH_LEN], key[KEY_LEN], hp[KEY_LEN];

	if (!hmac(v->salt, sizeof(v->salt), dcid, len, initial) ||
	    !expand(initial, "client in", client, HASH_LEN) ||
	    !expand(client, v->key, key, KEY_LEN) || !expand(client, v->iv, k->iv, IV_LEN) ||
	    !expand(client, v->hp, hp, KEY_LEN))
		return false;
	return gcry_cipher_open(&k->header, GCRY_CIPHER_AES128, GCRY_CIPHER_MODE_ECB, 0) == 0 &&
	       gcry_cipher_setkey(k->header, hp, KEY_LEN) == 0 &&
	       gcry_cipher_open(&k->aead, GCRY_CIPHER_AES128, GCRY_CIPHER_MODE_GCM, 0) == 0 &&
	       gcry_cipher_setkey(k->aead, key, KEY_LEN) == 0;
}

struct ln_quic_keys *ln_quic_keys_new(uint32_t version, const uint8_t *dcid, size_t dcid_len)
{
	LN_CLEANUP(ln_quic_keys_free) struct ln_quic_keys *k = calloc(1, sizeof(*k));

	if (!k || !gcrypt_is_ready() ||
	    !derive(k, &versions[version == LN_QUIC_V2], dcid, dcid_len))
		return NULL;
	return LN_TAKE_PTR(k);
}

void ln_quic_keys_free(struct ln_quic_keys **k)
{
	if (!*k)
		return;
	gcry_cipher_close((*k)->header);
	gcry_cipher_close((*k)->aead);
	free(*k);
	*k = NULL;
}

/* The number that is nearest to the expected one among those that end like this one (RFC 9000,
 * A.3). */
static uint64_t decode_number(uint64_t next, uint32_t truncated, size_t len)
{
	uint64_t window = (uint64_t)1 << (8 * len), half = window / 2;
	uint64_t candidate = (next & ~(window - 1)) | truncated;

	if (candidate + half <= next && candidate < ((uint64_t)1 << 62) - window)
		return candidate + window;
	if (candidate > next + half && candidate >= window)
		return candidate - window;
	return candidate;
}

/* Takes the protection from first byte and packet number (RFC 9001, 5.4). */
static bool unmask(struct ln_quic_keys *k, uint8_t *packet, size_t number_at, uint32_t *ret_number,
		   size_t *ret_number_len)
{
	uint8_t mask[SAMPLE_LEN];
	uint32_t number = 0;

	if (gcry_cipher_encrypt(k->header, mask, sizeof(mask), packet + number_at + NUMBER_MAX,
				SAMPLE_LEN) != 0)
		return false;
	packet[0] ^= mask[0] & 0x0f;
	size_t len = (packet[0] & 3) + 1;
	for (size_t i = 0; i < len; i++) {
		packet[number_at + i] ^= mask[1 + i];
		number = number << 8 | packet[number_at + i];
	}
	*ret_number = number;
	*ret_number_len = len;
	return true;
}

bool ln_quic_open(struct ln_quic_keys *k, const struct ln_quic_packet *p, uint64_t *next,
		  uint8_t *scratch, const uint8_t **ret_payload, size_t *ret_len)
{
	uint32_t truncated;
	size_t number_len;

	/* The sample is taken as if the number had four bytes; with the tag there is always enough.
	 */
	if (p->len - p->number_at < NUMBER_MAX + SAMPLE_LEN)
		return false;
	memcpy(scratch, p->bytes, p->len);
	if (!unmask(k, scratch, p->number_at, &truncated, &number_len))
		return false;
	uint64_t number = decode_number(*next, truncated, number_len);
	uint8_t nonce[IV_LEN];
	memcpy(nonce, k->iv, IV_LEN);
	for (size_t i = 0; i < sizeof(number); i++)
		nonce[IV_LEN - 1 - i] ^= (uint8_t)(number >> (8 * i));
	uint8_t *sealed = scratch + p->number_at + number_len;
	size_t len = p->len - p->number_at - number_len - TAG_LEN;
	if (gcry_cipher_reset(k->aead) != 0 || gcry_cipher_setiv(k->aead, nonce, IV_LEN) != 0 ||
	    gcry_cipher_authenticate(k->aead, scratch, (size_t)(sealed - scratch)) != 0 ||
	    (len > 0 && gcry_cipher_decrypt(k->aead, sealed, len, NULL, 0) != 0) ||
	    gcry_cipher_checktag(k->aead, sealed + len, TAG_LEN) != 0)
		return false;
	*next = LN_MAX(*next, number + 1);
	*ret_payload = sealed;
	*ret_len = len;
	return true;
}
