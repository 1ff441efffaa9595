/* SPDX-License-Identifier: Apache-2.0 */
/* Ways out that are no flow, and what prepares them. */
#include "internal.h"

void ln_channels_take(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_CHANNEL);

	f.channel = &ev->channel;
	f.flow = ev->channel.flow;
	ln_engine_emit(e, &f);
}

void ln_channels_tamper(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_TAMPER);

	f.reason = ev->tamper.what;
	ln_engine_emit(e, &f);
}
