/* SPDX-License-Identifier: Apache-2.0 */
#include "quic_frames.h"

#include "quic_packet.h"

enum frame { PADDING, PING, ACK, ACK_ECN, CRYPTO = 6 };

/* Most of a client's first packet is this, and each byte of it is a frame of its own. */
static void skip_padding(struct ln_quic_reader *r)
{
	while (r->left > 0 && *r->at == PADDING) {
		r->at++;
		r->left--;
	}
}

/* Reads over an ACK: largest, delay, ranges, and three counts when it has ECN (RFC 9000, 19.3). The
 * ranges are as many as it says, but each takes bytes. */
static bool skip_ack(struct ln_quic_reader *r, bool ecn)
{
	uint64_t v, ranges;

	if (!ln_quic_varint(r, &v) || !ln_quic_varint(r, &v) || !ln_quic_varint(r, &ranges) ||
	    !ln_quic_varint(r, &v) || ranges > r->left / 2)
		return false;
	for (uint64_t i = 0; i < 2 * ranges + (ecn ? 3 : 0); i++) {
		if (!ln_quic_varint(r, &v))
			return false;
	}
	return true;
}

static bool take_crypto(struct ln_quic_reader *r, struct ln_stream *crypto)
{
	uint64_t offset, len;
	const uint8_t *bytes;

	if (!ln_quic_varint(r, &offset) || !ln_quic_varint(r, &len) ||
	    !ln_quic_bytes(r, len, &bytes))
		return false;
	/* Offsets have 62 bits here and 32 in a stream. What is beyond the bound, or of too many
	 * gaps, is as if it were lost: the hello stays incomplete, or it is sent again. */
	if (offset < LN_QUIC_CRYPTO_MAX)
		(void)ln_stream_put(crypto, (uint32_t)offset, bytes, len);
	return true;
}

bool ln_quic_frames(const uint8_t *payload, size_t len, struct ln_stream *crypto)
{
	struct ln_quic_reader r = {payload, len};
	bool more = true;
	uint64_t type;

	while (more && r.left > 0) {
		if (!ln_quic_varint(&r, &type))
			return false;
		switch (type) {
		case PADDING:
			skip_padding(&r);
			break;
		case PING:
			break;
		case ACK:
		case ACK_ECN:
			more = skip_ack(&r, type == ACK_ECN);
			break;
		case CRYPTO:
			more = take_crypto(&r, crypto);
			break;
		default:
			more = false;
		}
	}
	return more;
}
