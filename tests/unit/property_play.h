/* SPDX-License-Identifier: Apache-2.0 */
/* A story told to an engine and to a model of it. What the engine says is compared with what the
 * model says, finding by finding; a difference fails the test, with the seed of the story. */
#ifndef LINNET_TESTS_PROPERTY_PLAY_H
#define LINNET_TESTS_PROPERTY_PLAY_H

#include "property_model.h"

#define ORDER_MAX (3 * STORY_EVENTS_MAX)

/* What became of the flow of one event. */
struct opened {
	bool told;
	enum ln_verdict verdict;
	uint64_t digest; /* of its verdict, rule and names */
};

/* What was said of a flow, by its id. */
struct flow_words {
	uint64_t id;
	enum ln_verdict verdict;
	size_t n_names; /* that have permitted it */
	char names[8][LN_NAME_MAX];
};

/* What was said of a destination that is not permitted. */
struct place_words {
	uint32_t agent;
	struct ln_flow flow;
	bool alert;
	char reason[160];
};

struct play {
	const struct story *story;
	bool checks; /* else only what came out is noted */
	size_t at;   /* the event that is being told */
	bool again;  /* for the second time */
	struct model model;
	struct ln_policy *policy; /* owned */
	struct ln_engine *engine; /* owned */
	struct opened opened[STORY_EVENTS_MAX];
	size_t n_flows, n_places;
	struct flow_words flows[2 * STORY_EVENTS_MAX];
	struct place_words places[2 * STORY_EVENTS_MAX];
	uint64_t repeats, told_repeats; /* of flows */
	uint64_t digest;                /* of everything */
};

/* The order in which events are told; AGAIN: one that was told before. */
struct order {
	size_t n;
	uint16_t list[ORDER_MAX];
};
#define AGAIN 0x8000

/* `checks`: compares; else only what comes out is noted. `asks`: linnet has look-ups of its own. */
void play_begin(struct play *p, const struct story *s, bool checks, bool asks);
/* All of it, to the end. */
void play_tell(struct play *p, const struct order *o);
/* Fails the test. */
void play_broken(const struct play *p, const char *promise, int line);

#define check(p, promise)                                                                          \
	do {                                                                                       \
		if (!(promise))                                                                    \
			play_broken(p, #promise, __LINE__);                                        \
	} while (0)

#endif
