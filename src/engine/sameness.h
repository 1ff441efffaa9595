/* SPDX-License-Identifier: Apache-2.0 */
/* What makes two violations the same one: a key for repeats.c. */
#ifndef LINNET_ENGINE_SAMENESS_H
#define LINNET_ENGINE_SAMENESS_H

#include "internal.h"

enum ln_same_kind {
	LN_SAME_FLOW,       /* by destination */
	LN_SAME_SOCKET,     /* received or passed out: by destination, and who has it */
	LN_SAME_INBOUND,    /* by peer and own port */
	LN_SAME_WIRE,       /* by both destinations */
	LN_SAME_CHANNEL,    /* by what channels.c says */
	LN_SAME_CLAIM,      /* by destination, and what claims.c says */
	LN_SAME_NAME,       /* of a DNS query */
	LN_SAME_GROUP,      /* by the registered domain of such a name */
	LN_SAME_UNREADABLE, /* by resolver */
	LN_SAME_DNS_WAY,    /* by destination: a notice */
	LN_SAME_FORGED,     /* by what is wrong with it, and the name */
};

/* `text` is as long as it is; no padding before it. */
struct ln_same_key {
	uint8_t kind;
	uint8_t proto; /* CHANNEL, FORGED, DNS_WAY: which */
	uint16_t port;
	uint32_t agent;
	struct ln_addr addr;
	char text[LN_NAME_MAX + 16]; /* a name, and some words before it */
};
#define LN_SAME_HEAD offsetof(struct ln_same_key, text)
_Static_assert(LN_SAME_HEAD == 28, "no hidden padding in a hash key");

/* Of a finding that is no DNS query. */
enum ln_same_kind ln_same_kind_of(const struct ln_finding *f);
/* Returns how long the key is. `same`: for a CHANNEL or a CLAIM. */
size_t ln_same_key_make(enum ln_same_kind kind, const struct ln_finding *f,
			const struct ln_buf *same, struct ln_same_key *ret);

#endif
