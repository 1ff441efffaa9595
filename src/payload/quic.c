/* SPDX-License-Identifier: Apache-2.0 */
#include "quic.h"

#include <errno.h>
#include <string.h>
#include "base/macros.h"
#include "quic_frames.h"
#include "quic_keys.h"

#define NEGOTIATION 0  /* a version that only servers say */
#define TRIES_MAX   16 /* Initial packets, and datagrams without any */

struct ln_quic {
	struct ln_quic_keys *keys; /* owned; NULL before the first packet that opened */
	uint32_t version;          /* of the keys, as is the connection ID */
	uint8_t dcid[LN_QUIC_CID_MAX];
	uint8_t dcid_len;
	uint64_t next_number;
	struct ln_stream *crypto; /* owned */
	unsigned int tries;
	bool over, no_memory;
};

bool ln_quic_maybe(const uint8_t *datagram, size_t len)
{
	uint32_t version;

	return ln_quic_version(datagram, len, &version) && version != NEGOTIATION;
}

struct ln_quic *ln_quic_new(void)
{
	return calloc(1, sizeof(struct ln_quic));
}

void ln_quic_free(struct ln_quic **q)
{
	if (!*q)
		return;
	ln_quic_keys_free(&(*q)->keys);
	ln_stream_free(&(*q)->crypto);
	free(*q);
	*q = NULL;
}

bool ln_quic_no_memory(const struct ln_quic *q)
{
	return q->no_memory || (q->crypto && ln_stream_no_memory(q->crypto));
}

/* Nothing is kept for a flow of which nothing more is wanted. */
static int end(struct ln_quic *q, int result)
{
	q->no_memory = ln_quic_no_memory(q);
	ln_quic_keys_free(&q->keys);
	ln_stream_free(&q->crypto);
	q->over = true;
	return result;
}

/* What an Initial packet held. */
struct opened {
	uint8_t *scratch; /* owned */
	const uint8_t *payload;
	size_t len;
};

static void free_opened(struct opened *o)
{
	free(o->scratch);
}

/* Opens the packet with keys that follow from this connection ID, and keeps them if it opens. */
static bool open_anew(struct ln_quic *q, const struct ln_quic_packet *p, const uint8_t *dcid,
		      uint8_t dcid_len, uint64_t next, struct opened *o)
{
	LN_CLEANUP(ln_quic_keys_free)
	struct ln_quic_keys *keys = ln_quic_keys_new(p->version, dcid, dcid_len);

	q->no_memory |= !keys;
	if (!keys || !ln_quic_open(keys, p, &next, o->scratch, &o->payload, &o->len))
		return false;
	ln_quic_keys_free(&q->keys);
	q->keys = LN_TAKE_PTR(keys);
	q->version = p->version;
	q->next_number = next;
	memmove(q->dcid, dcid, dcid_len);
	q->dcid_len = dcid_len;
	return true;
}

static bool open_packet(struct ln_quic *q, const struct ln_quic_packet *p, struct opened *o)
{
	bool same_version = p->version == q->version;
	bool same_cid = p->dcid_len == q->dcid_len && memcmp(p->dcid, q->dcid, p->dcid_len) == 0;

	o->scratch = malloc(p->len);
	if (!o->scratch) {
		q->no_memory = true;
		return false;
	}
	/* The keys stay those of the first packet's connection ID, whatever the server wants to be
	 * called; also when they agree on another version (RFC 9368, 2.3; RFC 9369, 4.1). */
	if (q->keys && same_version &&
	    ln_quic_open(q->keys, p, &q->next_number, o->scratch, &o->payload, &o->len))
		return true;
	if (q->keys && !same_version && open_anew(q, p, q->dcid, q->dcid_len, q->next_number, o))
		return true;
	if (q->keys && same_cid)
		return false;
	/* The first packet; or the client begins anew, after Retry (RFC 9000, 17.2.5.2) or with one
	 * more connection from the same port. Its hello comes from the first byte again. */
	struct ln_stream *crypto = ln_stream_new(LN_QUIC_CRYPTO_MAX);
	q->no_memory |= !crypto;
	if (!crypto || !open_anew(q, p, p->dcid, p->dcid_len, 0, o)) {
		ln_stream_free(&crypto);
		return false;
	}
	ln_stream_free(&q->crypto);
	q->crypto = crypto;
	return true;
}

static int take_initial(struct ln_quic *q, const struct ln_quic_packet *p, struct ln_tls_hello *ret)
{
	LN_CLEANUP(free_opened) struct opened o = {0};

	if (!open_packet(q, p, &o))
		return -EAGAIN;
	bool goes_on = ln_quic_frames(o.payload, o.len, q->crypto);
	size_t len;
	const uint8_t *hello = ln_stream_bytes(q->crypto, &len);
	int r = ln_tls_read_message(hello, len, ret);
	return r == -EAGAIN && !goes_on ? -EBADMSG : r;
}

int ln_quic_put(struct ln_quic *q, const uint8_t *datagram, size_t len, struct ln_tls_hello *ret)
{
	struct ln_quic_reader r = {datagram, len};
	struct ln_quic_packet p;
	bool any = false;

	if (q->over)
		return -EBADMSG;
	while (q->tries < TRIES_MAX && ln_quic_next_packet(&r, &p)) {
		if (!p.initial)
			continue;
		any = true;
		q->tries++;
		int result = take_initial(q, &p, ret);
		if (result != -EAGAIN)
			return end(q, result);
	}
	if (!any)
		q->tries++;
	return q->tries < TRIES_MAX ? -EAGAIN : end(q, -EBADMSG);
}

int ln_quic_cut(struct ln_quic *q, struct ln_tls_hello *ret)
{
	size_t len;

	if (!q->crypto)
		return end(q, -EBADMSG);
	const uint8_t *hello = ln_stream_bytes(q->crypto, &len);
	return end(q, ln_tls_read_message_cut(hello, len, ret));
}
