/* SPDX-License-Identifier: Apache-2.0 */
/* What resolvers were asked: questions that wait for their answer, and those from before, by which
 * an answer that nobody asked for is told from one that comes late or twice. */
#ifndef LINNET_ENGINE_QUESTIONS_H
#define LINNET_ENGINE_QUESTIONS_H

#include "internal.h"

/* What an answer has to match; the name is as long as it is, no padding before it. */
struct ln_question_key {
	uint64_t flow_id;
	uint32_t agent;
	uint16_t dns_id;
	uint16_t qtype;
	char name[LN_NAME_MAX];
};

struct ln_question {
	uint64_t asked_ns;
	uint64_t until_ns;
	uint32_t pid, tid;
	struct ln_endpoint resolver;
	uint16_t local_port; /* 0 unknown */
	bool mixed_case;     /* there are capital letters in the name */
	uint32_t case_hash;  /* of the name as it was written */
	UT_hash_handle hh;
	size_t key_len;
	struct ln_question_key key; /* cut behind the name */
};

/* forged.c */

/* Why this answer cannot be what it says. q: the pending question that it matches; NULL none. */
enum ln_forgery ln_forged_find(struct ln_engine *e, uint32_t agent, const struct ln_dns_bytes *m,
			       const struct ln_dns_message *msg, const struct ln_question *q);
/* Makes an alert, or one more of its kind, of an answer's finding that has a forgery. */
void ln_forged_tell(struct ln_engine *e, const struct ln_dns_message *msg, struct ln_finding *f);

#endif
