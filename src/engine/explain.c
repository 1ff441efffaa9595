/* SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

#include <string.h>
#include "internal.h"
#include "places.h"

/* The only one for the address, whatever else is known of it. */
static void suppose(struct ln_engine *e, const char *name)
{
	struct ln_name_evidence *evidence = &e->found[0];

	memset(evidence, 0, sizeof(*evidence));
	snprintf(evidence->name, sizeof(evidence->name), "%s", name);
	evidence->source = LN_NAME_ANSWER;
	evidence->grants = true;
	evidence->seen_ns = e->now_ns;
	evidence->expires_ns = UINT64_MAX;
	e->n_found = 1;
}

void ln_engine_explain(struct ln_engine *e, uint8_t proto, const struct ln_endpoint *remote,
		       const char *name, struct ln_explanation *ret)
{
	const struct ln_flow flow = {.proto = proto, .remote = *remote};
	struct ln_judgement j = {0};

	if (name) {
		suppose(e, name);
		ln_judge_found(e, &flow, &j);
	} else {
		ln_judge_flow(e, e->agent, &flow, &j);
	}
	*ret = (struct ln_explanation){
	    .verdict = j.verdict,
	    .rule = j.match.rule,
	    .rule_name = j.match.name,
	    .expired = j.match.expired,
	    .reason = ln_judge_reason(e, &flow, &j),
	    .place = remote->addr.family ? ln_place_text(&remote->addr) : NULL,
	    .names = e->found,
	    .n_names = e->n_found,
	};
	if (j.verdict == LN_VERDICT_UNEXPECTED)
		ret->hint = ln_hint_flow(e, &flow, &j.match);
}
