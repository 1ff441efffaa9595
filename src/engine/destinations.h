/* SPDX-License-Identifier: Apache-2.0 */
/* An exact set of (address, port, protocol), to count distinct destinations in little memory: an
 * open-addressed array that doubles up to LN_DESTINATIONS_MAX entries. Nothing is ever removed. */
#ifndef LINNET_ENGINE_DESTINATIONS_H
#define LINNET_ENGINE_DESTINATIONS_H

#include <stdbool.h>
#include "base/addr.h"

#define LN_DESTINATIONS_MAX 65536

struct ln_destination {
	uint8_t bytes[16];
	uint16_t port;
	uint8_t proto;
	uint8_t family; /* 0: the slot is free */
};

struct ln_destinations {
	struct ln_destination *slots; /* owned */
	size_t n, n_slots;
};

void ln_destinations_done(struct ln_destinations *d);
/* False when it is new but could not be kept: the set is full, or there is no memory. */
bool ln_destinations_add(struct ln_destinations *d, const struct ln_endpoint *remote,
			 uint8_t proto);

#endif
