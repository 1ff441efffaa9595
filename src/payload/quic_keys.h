/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of quic.c: the keys that protect a client's Initial packets, which follow from a
 * connection ID in the clear (RFC 9001, 5.2; RFC 9369, 3.3), and opening a packet with them. By
 * libgcrypt. */
#ifndef LINNET_PAYLOAD_QUIC_KEYS_H
#define LINNET_PAYLOAD_QUIC_KEYS_H

#include "quic_packet.h"

struct ln_quic_keys; /* opaque */

/* NULL without memory, or when libgcrypt will not. `version` is a known one. */
struct ln_quic_keys *ln_quic_keys_new(uint32_t version, const uint8_t *dcid, size_t dcid_len);
void ln_quic_keys_free(struct ln_quic_keys **k);
/* Takes header protection away and opens the packet. `*next` is the packet number that is expected,
 * and goes behind this one's. `scratch` is of p->len bytes; what was sealed stands in it on
 * success. False: it does not authenticate, and neither `*next` nor the outputs are touched. */
bool ln_quic_open(struct ln_quic_keys *k, const struct ln_quic_packet *p, uint64_t *next,
		  uint8_t *scratch, const uint8_t **ret_payload, size_t *ret_len);

#endif
