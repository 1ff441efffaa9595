/* SPDX-License-Identifier: Apache-2.0 */
/* The first bytes of each flow that leaves, until they have said what they are: LN_READINGS_MAX
 * flows and LN_READING_BYTES at once, the oldest goes. What they claim is judged in claims.c. */
#include "internal.h"

#include <netinet/in.h>
#include <string.h>
#include "base/table.h"

#define LOST_READING "too many flows at once: of one it is not known what its bytes say"

struct ln_reading {
	uint64_t id;            /* of the flow */
	struct ln_sniff *sniff; /* owned */
	size_t bytes;           /* that it may hold */
	bool claimed;           /* it has said something: what may still come is more of the same */
	bool no_memory;         /* something of it is not read, which has been told */
	struct ln_target relayed;
	UT_hash_handle hh;
};

struct context {
	struct ln_engine *e;
	const struct ln_event *ev;
	struct ln_reading *reading;
};

static void forget(struct ln_engine *e, struct ln_reading *r)
{
	HASH_DEL(e->readings, r);
	e->reading_bytes -= r->bytes;
	ln_sniff_free(&r->sniff);
	free(r);
}

static struct ln_reading *find(struct ln_engine *e, uint64_t id)
{
	struct ln_reading *r;

	HASH_FIND(hh, e->readings, &id, sizeof(id), r);
	return r;
}

/* Its later bytes begin nothing new. */
static void end(struct ln_engine *e, struct ln_reading *r)
{
	ln_flows_set_read(e, r->id);
	forget(e, r);
}

static void give_up_oldest(struct ln_engine *e, uint32_t agent)
{
	if (!e->readings->claimed)
		ln_losses_add(e, agent, LOST_READING, 1);
	end(e, e->readings);
	e->sum.tables_full++;
}

/* NULL: no memory. */
static struct ln_reading *begin(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_reading *r;

	if (HASH_COUNT(e->readings) >= LN_READINGS_MAX)
		give_up_oldest(e, ev->agent);
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->id = ev->bytes.flow.id;
	r->sniff = ln_sniff_new(ev->bytes.flow.proto);
	if (r->sniff)
		HASH_ADD(hh, e->readings, id, sizeof(r->id), r);
	if (!r->sniff || !r->hh.tbl) {
		ln_sniff_free(&r->sniff);
		free(LN_TAKE_PTR(r));
	}
	return r;
}

/* What comes in is for dns_stream.c, and what nobody judges need not be read. Of a flow that is
 * not known only the beginning can begin something: the rest may belong to what was read. */
static bool is_wanted(const struct ln_engine *e, const struct ln_event *ev, bool known)
{
	const struct ln_flow *flow = &ev->bytes.flow;
	struct ln_flow_memory memory;

	if (ev->bytes.inbound || flow->inbound || flow->same_tree)
		return false;
	if (known)
		return true;
	if (ln_flows_recall(e, flow->id, &memory))
		return !memory.read && memory.verdict != LN_VERDICT_INTERNAL;
	return ev->bytes.offset == 0;
}

static void on_claim(const struct ln_claim *c, void *user)
{
	struct context *in = user;

	in->reading->claimed = true;
	ln_claims_take(in->e, in->ev, c, &in->reading->relayed);
}

void ln_bytes_take(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_reading *r = find(e, ev->bytes.flow.id);
	struct context in = {.e = e, .ev = ev};
	bool more;

	if (!is_wanted(e, ev, r))
		return;
	if (!r)
		r = begin(e, ev);
	if (!r) {
		ln_losses_add(e, ev->agent, LOST_READING, 1);
		return;
	}
	in.reading = r;
	r->bytes += ev->bytes.len;
	e->reading_bytes += ev->bytes.len;
	more =
	    ln_sniff_put(r->sniff, ev->bytes.offset, ev->bytes.bytes, ev->bytes.len, on_claim, &in);
	if (!r->no_memory && ln_sniff_no_memory(r->sniff)) {
		r->no_memory = true;
		ln_losses_no_memory(e, ev->agent);
	}
	if (!more || ev->bytes.cut) {
		end(e, r);
		return;
	}
	while (e->reading_bytes > LN_READING_BYTES)
		give_up_oldest(e, ev->agent);
}

/* Read before, so only what was asked of a relay has to be kept for the next one. */
void ln_bytes_claim(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_reading *r = find(e, ev->claim.flow.id);
	struct ln_event as_bytes = *ev;

	if (!ev->claim.claim)
		return;
	as_bytes.kind = LN_EVENT_BYTES;
	memset(&as_bytes.bytes, 0, sizeof(as_bytes.bytes));
	as_bytes.bytes.flow = ev->claim.flow;
	if (!r)
		r = begin(e, &as_bytes);
	if (!r) {
		ln_losses_add(e, ev->agent, LOST_READING, 1);
		return;
	}
	r->claimed = true;
	ln_claims_take(e, &as_bytes, ev->claim.claim, &r->relayed);
}

void ln_bytes_close(struct ln_engine *e, uint64_t flow_id)
{
	struct ln_reading *r = find(e, flow_id);

	if (r)
		forget(e, r);
}

void ln_bytes_done(struct ln_engine *e)
{
	while (e->readings)
		forget(e, e->readings);
}

void ln_bytes_policy_changed(struct ln_engine *e)
{
	struct ln_reading *r, *next;

	HASH_ITER (hh, e->readings, r, next) {
		struct ln_target *t = &r->relayed;

		if (!t->rule)
			continue;
		t->rule =
		    t->name[0] != '\0'
			? ln_policy_covers_name(e->policy, t->name, ln_engine_wall_s(e))
			: ln_policy_covers_addr(e->policy, &t->remote.addr, ln_engine_wall_s(e));
		if (!t->rule)
			t->verdict = LN_VERDICT_UNEXPECTED;
	}
}
