/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of quic.c: numbers and long headers of QUIC (RFC 9000, 16 and 17.2) from hostile bytes.
 * Nothing is read beyond what a reader holds; a read that fails leaves it where it was. */
#ifndef LINNET_PAYLOAD_QUIC_PACKET_H
#define LINNET_PAYLOAD_QUIC_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LN_QUIC_V1      0x00000001u
#define LN_QUIC_V2      0x6b3343cfu
#define LN_QUIC_CID_MAX 20

struct ln_quic_reader {
	const uint8_t *at; /* borrowed from the caller */
	size_t left;
};
bool ln_quic_varint(struct ln_quic_reader *r, uint64_t *ret);
bool ln_quic_bytes(struct ln_quic_reader *r, size_t len, const uint8_t **ret);

struct ln_quic_packet {
	const uint8_t *bytes; /* of the whole packet; borrowed from the datagram */
	size_t len;
	size_t number_at; /* where the packet number begins, which is protected */
	uint32_t version;
	bool initial;
	const uint8_t *dcid;
	uint8_t dcid_len;
};

/* A long header, and its version. The fixed bit is not looked at, for it may be greased (RFC
 * 9287). */
bool ln_quic_version(const uint8_t *bytes, size_t len, uint32_t *ret);
/* The next packet of a datagram. False: nothing that we know follows: a short header, another
 * version, Retry, or bytes that are no packet. */
bool ln_quic_next_packet(struct ln_quic_reader *datagram, struct ln_quic_packet *ret);

#endif
