/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine would say of a destination, without anything having happened: the same judge, the
 * same reasons and hints. What was fed before (names, the time) counts. */
#ifndef LINNET_ENGINE_EXPLAIN_H
#define LINNET_ENGINE_EXPLAIN_H

#include "engine.h"

struct ln_explanation {
	enum ln_verdict verdict;
	const struct ln_rule *rule;    /* that decided; NULL: none did */
	const char *rule_name;         /* as which it matched; NULL by address */
	const struct ln_rule *expired; /* that would permit it, were it not over; NULL: none */
	const char *reason;            /* words */
	const char *hint;              /* near miss, or what to add; NULL: none */
	const char *place;             /* what the address is, in words; NULL: nothing special */
	const struct ln_name_evidence *names; /* of the address */
	size_t n_names;
};

/* A connection to this endpoint. With a name (canonical) as if something that grants had said that
 * the name leads there; the address may be missing then (family 0). *ret lives until the engine is
 * used again. */
void ln_engine_explain(struct ln_engine *e, uint8_t proto, const struct ln_endpoint *remote,
		       const char *name, struct ln_explanation *ret);

#endif
