/* SPDX-License-Identifier: Apache-2.0 */
/* Random stories for an engine: what two agents do, in any order, with clocks that stand still,
 * jump and go back. Few names, addresses and ports, so that events have to do with each other. The
 * same seed makes the same story. */
#ifndef LINNET_TESTS_PROPERTY_STORY_H
#define LINNET_TESTS_PROPERTY_STORY_H

#include "engine/engine.h"

#define STORY_EVENTS_MAX 120
#define STORY_POLICIES   3
#define STORY_RESOLVERS  2 /* the first of them, or both, are trusted */
#define STORY_AGENTS     2
#define STORY_START_NS   (5000 * LN_NS_PER_S)
#define STORY_WALL_NS    (1698330720 * LN_NS_PER_S) /* 2023-10-26T14:32:00Z */

enum step {
	STEP_EVENT,
	STEP_RELOAD,
	STEP_REFUSE,
	STEP_TICK,
	STEP_GRANT_AGAIN,
};

/* What the bytes of a DNS message say. */
struct story_dns {
	uint16_t id, qtype;
	const char *name;  /* static text */
	const char *alias; /* static text; of an answer, between name and address; NULL none */
	struct ln_addr addr;
	uint32_t ttl_s, alias_ttl_s;
};

struct story_event {
	enum step step;
	unsigned int burst;  /* those of one burst happen at the same time */
	unsigned int policy; /* RELOAD: which */
	struct ln_event ev;  /* its time counts in every step; points into this struct */
	struct story_dns dns;
	struct ln_flow flow; /* of a channel */
	uint8_t bytes[320];
};

struct story {
	uint64_t seed;
	size_t n;
	struct story_event events[STORY_EVENTS_MAX];
};

struct story_random {
	uint64_t state;
};
uint32_t story_pick(struct story_random *r, uint32_t n); /* 0 to n - 1 */

void story_make(uint64_t seed, struct story *ret);
const char *story_policy(unsigned int i); /* YAML */
/* Trusted under that policy: how many of *ret. */
size_t story_resolvers(unsigned int policy, struct ln_endpoint ret[STORY_RESOLVERS]);

#endif
