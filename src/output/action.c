/* SPDX-License-Identifier: Apache-2.0 */
#include "action.h"

/* What the mode promises and could not be done. */
static const char *broken_promise(const struct ln_finding *f)
{
	static const char *const done[] = {"Could not be refused", "Could not be killed",
					   "Could not be frozen"};
	static const char *const dry[] = {"Dry run: could not be refused",
					  "Dry run: could not be killed",
					  "Dry run: could not be frozen"};
	size_t i = f->mode == LN_MODE_KILL ? 1 : f->mode == LN_MODE_FREEZE ? 2 : 0;

	return f->dry_run ? dry[i] : done[i];
}

void ln_action_add(struct ln_buf *out, const struct ln_finding *f)
{
	const char *why = f->action_why ? f->action_why : "unknown";

	switch (f->action) {
	case LN_ACTION_BLOCKED:
		ln_buf_adds(out, "BLOCKED");
		break;
	case LN_ACTION_KILLED:
		ln_buf_adds(out, "KILLED");
		break;
	case LN_ACTION_FROZEN:
		ln_buf_addf(out, "FROZEN (to go on: linnet resume %u; to end it: linnet kill %u)",
			    f->handle, f->handle);
		break;
	case LN_ACTION_WOULD_BLOCK:
		ln_buf_adds(out, "LOGGED (Dry run: would be BLOCKED)");
		break;
	case LN_ACTION_WOULD_KILL:
		ln_buf_adds(out, "LOGGED (Dry run: would be KILLED)");
		break;
	case LN_ACTION_WOULD_FREEZE:
		ln_buf_adds(out, "LOGGED (Dry run: would be FROZEN)");
		break;
	case LN_ACTION_LET_THROUGH:
		ln_buf_addf(out, "LOGGED (%s: %s)", broken_promise(f), why);
		break;
	case LN_ACTION_NONE:
	case LN_ACTION_LOGGED:
	case LN_ACTION_COUNT:
		ln_buf_addf(out, "LOGGED (%s)",
			    f->action_why ? f->action_why : "Block policy not enabled");
		break;
	}
}
