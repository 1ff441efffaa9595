/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that mean something by themselves, as a table in places.c: networks with a name. The
 * most special network wins. */
#ifndef LINNET_ENGINE_PLACES_H
#define LINNET_ENGINE_PLACES_H

#include "base/addr.h"

enum ln_place_kind {
	LN_PLACE_CLOUD,
	LN_PLACE_RESOLVER,
	LN_PLACE_LOOPBACK,
	LN_PLACE_LINK_LOCAL,
	LN_PLACE_MULTICAST,
	LN_PLACE_BROADCAST,
	LN_PLACE_PRIVATE,
};

struct ln_addr_place {
	enum ln_place_kind kind;
	const char *words; /* "cloud metadata service" */
};

/* NULL: any other address. */
const struct ln_addr_place *ln_place_find(const struct ln_addr *addr);
const char *ln_place_text(const struct ln_addr *addr); /* its words, or NULL */

#endif
