/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody touched linnet itself. Each way is told at once and then at most once a second; all of
 * them are in the log. */
#include "internal.h"

#include <string.h>

/* The one for this way, or the one to use for it: the longest quiet. */
static struct ln_tamper *find_slot(struct ln_engine *e, const char *what)
{
	struct ln_tamper *oldest = &e->tampers[0];

	for (size_t i = 0; i < LN_TAMPERS_MAX; i++) {
		struct ln_tamper *t = &e->tampers[i];

		if (strncmp(t->what, what, sizeof(t->what) - 1) == 0)
			return t;
		if (t->quiet_until_ns < oldest->quiet_until_ns)
			oldest = t;
	}
	snprintf(oldest->what, sizeof(oldest->what), "%s", what);
	oldest->quiet_until_ns = 0;
	return oldest;
}

void ln_tampers_take(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_TAMPER);
	struct ln_tamper *t = find_slot(e, ev->tamper.what);

	f.title = "LINNET TAMPERED WITH";
	f.reason = ev->tamper.what;
	f.subject = "linnet itself";
	f.other = &ev->tamper.by;
	if (f.pid == 0)
		f.pid = f.other->pid;
	f.proc = f.pid ? ln_tree_find(e->tree, f.pid) : NULL;
	e->sum.tampers++;
	if (e->now_ns >= t->quiet_until_ns) {
		f.alert = true;
		t->quiet_until_ns = e->now_ns + LN_NS_PER_S;
		e->sum.violations++;
	}
	ln_engine_emit(e, &f);
}
