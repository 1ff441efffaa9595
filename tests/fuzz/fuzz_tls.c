/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as TLS records, and as a handshake message that is then put into records of any size:
 * both ways say the same. */
#include "claim_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_hello(const struct ln_tls_hello *h)
{
	require_name(h->name, h->has_name);
	require_printable(h->alpn, sizeof(h->alpn));
}

static bool same_hello(const struct ln_tls_hello *a, const struct ln_tls_hello *b)
{
	return a->has_name == b->has_name && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->alpn, b->alpn) == 0 && a->ech == b->ech && a->version == b->version;
}

typedef int (*reader)(const uint8_t *bytes, size_t len, struct ln_tls_hello *ret);

static void check_each_length(const uint8_t *data, size_t size, reader read, reader read_cut)
{
	struct ln_tls_hello whole = {0};
	int r = read(data, size, &whole);

	require(r == 0 || r == -EAGAIN || r == -EBADMSG);
	if (r == 0)
		require_hello(&whole);
	for (size_t len = 1; len < size; len = next_length(len, size)) {
		LN_AUTO_FREE uint8_t *part = copy_of(data, len);
		struct ln_tls_hello h = {0}, cut = {0};
		int early = read(part, len, &h);
		int late = read_cut(part, len, &cut);

		require(early == -EAGAIN || early == r);
		require(late == (early == -EAGAIN ? 0 : early));
		if (early == 0)
			require(same_hello(&h, &whole) && same_hello(&cut, &whole));
		if (late == 0)
			require_hello(&cut);
		/* A name that was there stays, unless there is another one. */
		if (late == 0 && cut.name[0] != '\0' && r == 0 && whole.name[0] != '\0')
			require(strcmp(cut.name, whole.name) == 0);
	}
}

static void check_message(const uint8_t *data, size_t size, size_t each)
{
	LN_AUTO_FREE uint8_t *records = malloc(size * 6 + 1);
	struct ln_tls_hello alone = {0}, split = {0};
	size_t len = 0;
	int r = ln_tls_read_message(data, size, &alone);

	require(records != NULL);
	for (size_t i = 0; i < size; i += each) {
		size_t n = LN_MIN(each, size - i);
		const uint8_t header[5] = {0x16, 3, 1, (uint8_t)(n >> 8), (uint8_t)n};

		memcpy(records + len, header, sizeof(header));
		memcpy(records + len + sizeof(header), data + i, n);
		len += sizeof(header) + n;
	}
	require(ln_tls_read(records, len, &split) == r);
	if (r == 0)
		require_hello(&alone);
	require(r != 0 || same_hello(&alone, &split));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > LN_TLS_HELLO_MAX)
		return 0;
	check_each_length(data, size, ln_tls_read, ln_tls_read_cut);
	if (size > 5) {
		check_each_length(data + 5, size - 5, ln_tls_read_message, ln_tls_read_message_cut);
		check_message(data + 5, size - 5, 1 + data[0]);
		check_message(data + 5, size - 5, 1);
	}
	return 0;
}
