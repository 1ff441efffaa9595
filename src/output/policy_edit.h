/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What would have to change in a policy file for a run to have had no violation: new rules at the
 * end of their lists in the file's own style, and a word above the rules that nothing used. Nothing
 * else of the text changes, because it is edited and not written anew.
 */
#ifndef LINNET_OUTPUT_POLICY_EDIT_H
#define LINNET_OUTPUT_POLICY_EDIT_H

#include "base/error.h"
#include "diff.h"
#include "policy_text.h"

#define LN_UNUSED_MARK "# not used in this run ("

struct ln_policy_edit_config {
	const char *text; /* borrowed until ln_policy_edit_done; it parses as `policy` */
	size_t len;
	const struct ln_policy *policy;
	const struct ln_proposals *proposals;
	const struct ln_observations *seen;
	uint64_t wall_ns;
};

struct ln_policy_edit {
	struct ln_lines lines;
	struct ln_changes changes;
	const char *eol;
	size_t added, marked, unmarked;
};

int ln_policy_edit_make(const struct ln_policy_edit_config *c, struct ln_error *err,
			struct ln_policy_edit *ret);
void ln_policy_edit_done(struct ln_policy_edit *e);

#endif
