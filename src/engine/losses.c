/* SPDX-License-Identifier: Apache-2.0 */
/* Losses are told at once, then at most once a second for each reason, and never forgotten. */
#include "internal.h"

#include <string.h>

static void tell(struct ln_engine *e, struct ln_loss *loss)
{
	struct ln_finding f = ln_engine_timed_finding(e, LN_FINDING_LOST, loss->agent, 0);

	f.event_kind = LN_EVENT_LOST;
	f.alert = true;
	f.reason = loss->reason;
	f.count = loss->count;
	loss->count = 0;
	loss->quiet_until_ns = e->now_ns + LN_NS_PER_S;
	ln_engine_emit(e, &f);
}

/* With more reasons than slots the last slot takes the rest. */
static struct ln_loss *find_slot(struct ln_engine *e, const char *reason)
{
	struct ln_loss *loss;

	for (size_t i = 0; i < e->n_losses; i++) {
		if (strncmp(e->losses[i].reason, reason, sizeof(loss->reason) - 1) == 0)
			return &e->losses[i];
	}
	if (e->n_losses == LN_LOSS_REASONS_MAX)
		return &e->losses[LN_LOSS_REASONS_MAX - 1];
	loss = &e->losses[e->n_losses++];
	if (e->n_losses == LN_LOSS_REASONS_MAX)
		reason = "other reasons";
	snprintf(loss->reason, sizeof(loss->reason), "%s", reason);
	return loss;
}

void ln_losses_add(struct ln_engine *e, uint32_t agent, const char *reason, uint64_t count)
{
	struct ln_loss *loss = find_slot(e, reason);

	loss->agent = agent;
	loss->count += count;
	if (e->now_ns >= loss->quiet_until_ns)
		tell(e, loss);
}

void ln_losses_no_memory(struct ln_engine *e, uint32_t agent)
{
	e->sum.tables_full++;
	ln_losses_add(e, agent, "out of memory: something that was seen could not be kept", 1);
}

void ln_losses_advance(struct ln_engine *e)
{
	for (size_t i = 0; i < e->n_losses; i++) {
		if (e->losses[i].count > 0 && e->now_ns >= e->losses[i].quiet_until_ns)
			tell(e, &e->losses[i]);
	}
}

void ln_losses_finish(struct ln_engine *e)
{
	for (size_t i = 0; i < e->n_losses; i++) {
		if (e->losses[i].count > 0)
			tell(e, &e->losses[i]);
	}
}

uint64_t ln_losses_deadline(const struct ln_engine *e)
{
	uint64_t first_ns = UINT64_MAX;

	for (size_t i = 0; i < e->n_losses; i++) {
		if (e->losses[i].count > 0)
			first_ns = LN_MIN(first_ns, e->losses[i].quiet_until_ns);
	}
	return first_ns;
}
