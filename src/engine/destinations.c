/* SPDX-License-Identifier: Apache-2.0 */
#include "destinations.h"

#include <string.h>
#include "base/macros.h"
#include "base/table.h"

#define SLOTS_MIN 256

_Static_assert(sizeof(struct ln_destination) == 20, "no hidden padding in a hash key");
_Static_assert((SLOTS_MIN & (SLOTS_MIN - 1)) == 0, "a slot is found by a mask");

/* The slot that holds `key`, or the free one where it belongs. At most half of them are taken. */
static struct ln_destination *find_slot(struct ln_destination *slots, size_t n_slots,
					const struct ln_destination *key)
{
	size_t at = ln_table_hash(key, sizeof(*key));

	for (;; at++) {
		struct ln_destination *slot = &slots[at & (n_slots - 1)];

		if (slot->family == 0 || memcmp(slot, key, sizeof(*key)) == 0)
			return slot;
	}
}

static bool grow(struct ln_destinations *d)
{
	size_t n_slots = d->n_slots ? 2 * d->n_slots : SLOTS_MIN;
	struct ln_destination *slots = calloc(n_slots, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < d->n_slots; i++) {
		if (d->slots[i].family != 0)
			*find_slot(slots, n_slots, &d->slots[i]) = d->slots[i];
	}
	free(d->slots);
	d->slots = slots;
	d->n_slots = n_slots;
	return true;
}

void ln_destinations_done(struct ln_destinations *d)
{
	free(d->slots);
	*d = (struct ln_destinations){0};
}

bool ln_destinations_add(struct ln_destinations *d, const struct ln_endpoint *remote, uint8_t proto)
{
	struct ln_destination key = {
	    .port = remote->port,
	    .proto = proto,
	    .family = LN_MAX(remote->addr.family, (uint8_t)1),
	};
	struct ln_destination *slot;

	memcpy(key.bytes, remote->addr.bytes, sizeof(key.bytes));
	if (d->n_slots > 0) {
		slot = find_slot(d->slots, d->n_slots, &key);
		if (slot->family != 0)
			return true;
	}
	if (d->n == LN_DESTINATIONS_MAX)
		return false;
	if (2 * (d->n + 1) > d->n_slots && !grow(d))
		return false;
	*find_slot(d->slots, d->n_slots, &key) = key;
	d->n++;
	return true;
}
