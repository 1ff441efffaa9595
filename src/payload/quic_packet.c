/* SPDX-License-Identifier: Apache-2.0 */
#include "quic_packet.h"

#define LONG_HEADER 0x80
#define FIXED_LEN   5 /* first byte and version */

enum type { TYPE_INITIAL, TYPE_ZERO_RTT, TYPE_HANDSHAKE, TYPE_RETRY };

bool ln_quic_varint(struct ln_quic_reader *r, uint64_t *ret)
{
	if (r->left == 0)
		return false;
	size_t len = (size_t)1 << (r->at[0] >> 6);
	if (r->left < len)
		return false;
	uint64_t v = r->at[0] & 0x3f;
	for (size_t i = 1; i < len; i++)
		v = v << 8 | r->at[i];
	r->at += len;
	r->left -= len;
	*ret = v;
	return true;
}

bool ln_quic_bytes(struct ln_quic_reader *r, size_t len, const uint8_t **ret)
{
	if (r->left < len)
		return false;
	*ret = r->at;
	r->at += len;
	r->left -= len;
	return true;
}

bool ln_quic_version(const uint8_t *bytes, size_t len, uint32_t *ret)
{
	if (len < FIXED_LEN || !(bytes[0] & LONG_HEADER))
		return false;
	*ret = (uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 8 |
	       bytes[4];
	return true;
}

/* Version 2 turns the types by one (RFC 9369, 3.2). */
static enum type type_of(uint8_t first, uint32_t version)
{
	unsigned int bits = first >> 4 & 3;

	return version == LN_QUIC_V2 ? (bits + 3) & 3 : bits;
}

static bool read_cid(struct ln_quic_reader *r, const uint8_t **ret, uint8_t *ret_len)
{
	const uint8_t *len;

	if (!ln_quic_bytes(r, 1, &len) || *len > LN_QUIC_CID_MAX || !ln_quic_bytes(r, *len, ret))
		return false;
	*ret_len = *len;
	return true;
}

/* What stands between the connection IDs and the packet number. */
static bool read_lengths(struct ln_quic_reader *r, enum type type, uint64_t *ret_len)
{
	uint64_t token_len;
	const uint8_t *token;

	if (type == TYPE_RETRY)
		return false;
	if (type == TYPE_INITIAL &&
	    (!ln_quic_varint(r, &token_len) || !ln_quic_bytes(r, token_len, &token)))
		return false;
	return ln_quic_varint(r, ret_len) && *ret_len <= r->left;
}

bool ln_quic_next_packet(struct ln_quic_reader *datagram, struct ln_quic_packet *ret)
{
	struct ln_quic_reader r = *datagram;
	struct ln_quic_packet p = {.bytes = r.at};
	const uint8_t *fixed, *scid;
	uint8_t scid_len;
	uint64_t len;

	if (!ln_quic_version(r.at, r.left, &p.version) ||
	    (p.version != LN_QUIC_V1 && p.version != LN_QUIC_V2) ||
	    !ln_quic_bytes(&r, FIXED_LEN, &fixed) || !read_cid(&r, &p.dcid, &p.dcid_len) ||
	    !read_cid(&r, &scid, &scid_len))
		return false;
	enum type type = type_of(*fixed, p.version);
	if (!read_lengths(&r, type, &len))
		return false;
	p.initial = type == TYPE_INITIAL;
	p.number_at = (size_t)(r.at - p.bytes);
	p.len = p.number_at + len;
	datagram->at += p.len;
	datagram->left -= p.len;
	*ret = p;
	return true;
}
