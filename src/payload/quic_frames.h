/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of quic.c: the frames of an opened Initial packet (RFC 9000, 17.2.2 and 19). Apart from
 * the packets, for a fuzzer cannot guess their tags. */
#ifndef LINNET_PAYLOAD_QUIC_FRAMES_H
#define LINNET_PAYLOAD_QUIC_FRAMES_H

#include "stream.h"

#define LN_QUIC_CRYPTO_MAX 16384 /* bytes of a ClientHello */

/* Gives what CRYPTO frames carry to `crypto`. True: all frames were read; false: the connection
 * ends here, by CONNECTION_CLOSE, a frame that does not belong into an Initial, or a broken one.
 * What stood before it was taken. */
bool ln_quic_frames(const uint8_t *payload, size_t len, struct ln_stream *crypto);

#endif
