/* SPDX-License-Identifier: Apache-2.0 */
/* A flood of new violations stays readable: so many a second one by one, then one count. Each of
 * them is a finding of its own all the same, for the log. */
#include "internal.h"

static void tell(struct ln_engine *e, enum ln_fold_kind kind)
{
	static const char *const reasons[LN_FOLD_COUNT] = {
	    [LN_FOLD_FLOWS] = "other destinations that are not in the allow-list, too many in one "
			      "second to show each; all are in the log",
	    [LN_FOLD_NAMES] = "questions for other names that are not in the allow-list, too many "
			      "in one second to show each; all are in the log",
	    [LN_FOLD_ANSWERS] =
		"other forged DNS answers, too many in one second to show each; all "
		"are in the log",
	    [LN_FOLD_CHANNELS] = "other channels beside IP connections, too many in one second to "
				 "show each; all are in the log",
	    [LN_FOLD_CLAIMS] =
		"other claims in the first bytes of flows, too many in one second to "
		"show each; all are in the log",
	    [LN_FOLD_REPEATS] = "violations that were told before, too many of them to show the "
				"count of each; all are in the log",
	};
	static const enum ln_event_kind event_kinds[LN_FOLD_COUNT] = {
	    [LN_FOLD_FLOWS] = LN_EVENT_FLOW_OPEN, [LN_FOLD_NAMES] = LN_EVENT_DNS,
	    [LN_FOLD_ANSWERS] = LN_EVENT_DNS,     [LN_FOLD_CHANNELS] = LN_EVENT_CHANNEL,
	    [LN_FOLD_CLAIMS] = LN_EVENT_BYTES,    [LN_FOLD_REPEATS] = LN_EVENT_FLOW_OPEN,
	};
	struct ln_fold *fold = &e->folds[kind];
	struct ln_finding f =
	    ln_engine_timed_finding(e, LN_FINDING_REPEATS, fold->agent, fold->pid);

	f.event_kind = event_kinds[kind];
	f.alert = true;
	f.verdict = LN_VERDICT_UNEXPECTED;
	f.reason = reasons[kind];
	f.count = fold->folded;
	fold->folded = 0;
	ln_engine_emit(e, &f);
}

static void start_second(struct ln_engine *e, enum ln_fold_kind kind)
{
	struct ln_fold *fold = &e->folds[kind];

	if (e->now_ns - fold->start_ns < LN_NS_PER_S)
		return;
	if (fold->folded > 0)
		tell(e, kind);
	fold->start_ns = e->now_ns;
	fold->told = 0;
}

bool ln_folds_pass(struct ln_engine *e, enum ln_fold_kind kind, uint64_t n,
		   const struct ln_finding *f)
{
	struct ln_fold *fold = &e->folds[kind];

	start_second(e, kind);
	if (fold->told < LN_ALERTS_PER_S) {
		fold->told++;
		return true;
	}
	fold->folded += n;
	fold->agent = f->agent;
	fold->pid = f->pid;
	e->sum.alerts_folded++;
	return false;
}

void ln_folds_advance(struct ln_engine *e)
{
	for (int kind = 0; kind < LN_FOLD_COUNT; kind++) {
		if (e->folds[kind].folded > 0)
			start_second(e, kind);
	}
}

void ln_folds_finish(struct ln_engine *e)
{
	for (int kind = 0; kind < LN_FOLD_COUNT; kind++) {
		if (e->folds[kind].folded > 0)
			tell(e, kind);
	}
}

uint64_t ln_folds_deadline(const struct ln_engine *e)
{
	uint64_t first_ns = UINT64_MAX;

	for (int kind = 0; kind < LN_FOLD_COUNT; kind++) {
		if (e->folds[kind].folded > 0)
			first_ns = LN_MIN(first_ns, e->folds[kind].start_ns + LN_NS_PER_S);
	}
	return first_ns;
}
