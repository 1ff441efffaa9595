/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an engine has to make of a story, said once more in the plainest way: lists that are walked,
 * rules that are tried one by one, no hash, no eviction. It knows which names lead where and for
 * how long, which questions wait, and who lives; a verdict of the engine is compared with its own.
 */
#ifndef LINNET_TESTS_PROPERTY_MODEL_H
#define LINNET_TESTS_PROPERTY_MODEL_H

#include "property_story.h"

#define MODEL_KNOWN_MAX 2048
#define MODEL_NAMES_MAX 16 /* different ones */

struct model_name {
	uint32_t agent; /* 0: all */
	struct ln_addr addr;
	const char *name;
	uint64_t expires_ns;
};

struct model_alias {
	uint32_t agent;
	const char *name, *target;
	uint64_t expires_ns;
};

struct model_question {
	uint64_t flow_id;
	uint32_t agent;
	struct story_dns dns;
	uint64_t until_ns;
};

struct model {
	const struct ln_policy *policy; /* borrowed */
	struct ln_endpoint resolvers[STORY_RESOLVERS];
	size_t n_resolvers;
	uint64_t now_ns, wall_ns;
	size_t n_names, n_aliases, n_questions;
	struct model_name names[MODEL_KNOWN_MAX]; /* that grant, or did */
	struct model_alias aliases[MODEL_KNOWN_MAX];
	struct model_question questions[STORY_EVENTS_MAX];
	uint64_t open[STORY_EVENTS_MAX]; /* ids of flows */
	size_t n_open;
	uint32_t living[2 * STORY_EVENTS_MAX]; /* PIDs; those of one agent begin with its number */
	size_t n_living;
	bool accepted; /* the answer of the last event was asked for, and of a trusted resolver */
};

void model_init(struct model *m, const struct ln_policy *policy, unsigned int which);
void model_set_policy(struct model *m, const struct ln_policy *policy, unsigned int which);
/* To be called before the engine gets it, and after the policy was set when it is a RELOAD. */
void model_take(struct model *m, const struct story_event *s);

/* `also`: names that count besides those that are known to lead there. */
enum ln_verdict model_judge(const struct model *m, uint32_t agent, const struct ln_flow *flow,
			    const char *const *also, size_t n_also, const struct ln_rule **ret);
/* Until when a name permits that address; 0: it does not. */
uint64_t model_granted_until(const struct model *m, uint32_t agent, const struct ln_addr *addr,
			     const char *name);
/* The names that permit that address now, each once. */
size_t model_granting(const struct model *m, uint32_t agent, const struct ln_addr *addr,
		      const char *ret[MODEL_NAMES_MAX]);
size_t model_living(const struct model *m, uint32_t agent);

#endif
