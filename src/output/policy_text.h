/* SPDX-License-Identifier: Apache-2.0 */
/* Proposed rules as YAML in the style of a file, and a whole policy of them. Only printable ASCII
 * comes out, whatever the agent called itself. */
#ifndef LINNET_OUTPUT_POLICY_TEXT_H
#define LINNET_OUTPUT_POLICY_TEXT_H

#include "base/buf.h"
#include "propose.h"

#define LN_POLICY_TEXT_MAX (16u << 20)

enum { LN_STYLE_DESTINATION, LN_STYLE_PORT, LN_STYLE_PROTOCOL, LN_STYLE_PURPOSE, LN_STYLE_KEYS };

/* How a list is written. */
struct ln_list_style {
	unsigned indent;           /* of the dash */
	unsigned offset;           /* of the keys from the dash */
	char quote[LN_STYLE_KEYS]; /* ' or ", 0: plain where that is possible */
	bool flow;                 /* - {destination: …, port: …} */
	bool blank;                /* an empty line between two rules */
	const char *eol;
};
extern const struct ln_list_style ln_list_style_default;

/* Its lines, comments included. `previous`: the rule before it in this list, NULL none. */
void ln_policy_text_rule(struct ln_buf *out, const struct ln_proposal *p,
			 const struct ln_proposal *previous, const struct ln_list_style *style);
/* "{destination: …}", or "name": as an item between brackets. */
void ln_policy_text_item(struct ln_buf *out, const struct ln_proposal *p,
			 const struct ln_list_style *style);

struct ln_policy_text {
	const char *agent_name; /* raw */
	const char *source;     /* "one run of …", raw; a comment */
	uint64_t wall_ns;
};
/* False: there is no rule about destinations, without which a policy is none. */
bool ln_policy_text_whole(struct ln_buf *out, const struct ln_proposals *p,
			  const struct ln_policy_text *about);
/* "2026-11-28" */
const char *ln_policy_text_date(uint64_t wall_ns, char buf[16]);

#endif
