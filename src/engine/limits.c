/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much leaves in a period, and to how many destinations that are new: the policy's limits. A
 * permitted place that is used to carry a lot away is told by this. A period is counted in
 * sixteenths, so it is up to one sixteenth shorter than it says. One limit costs 300 bytes, however
 * much there is to count; what one event costs grows with the number of limits alone.
 */
#include "internal.h"

#include <string.h>
#include "base/table.h"

#define PARTS    16
#define SEEN_MAX 65536 /* destinations that are told apart */

/* The sum of the last PARTS parts of a period. */
struct window {
	uint64_t parts[PARTS];
	uint64_t at; /* which part of time the last one is */
};

struct ln_limit_state {
	struct window bytes, places;
	uint64_t quiet_bytes_ns, quiet_places_ns; /* not told again before */
};

struct ln_seen_place {
	UT_hash_handle hh;
	char key[]; /* name or address, port, protocol */
};

static uint64_t add(struct window *w, uint64_t now_ns, uint64_t period_ns, uint64_t n)
{
	uint64_t at = now_ns / LN_MAX(period_ns / PARTS, (uint64_t)1), sum = 0;

	for (uint64_t i = 0; i < LN_MIN(at - w->at, (uint64_t)PARTS); i++)
		w->parts[(at - i) % PARTS] = 0;
	w->at = at;
	w->parts[at % PARTS] += n;
	for (size_t i = 0; i < PARTS; i++)
		sum += w->parts[i];
	return sum;
}

static void forget_places(struct ln_engine *e)
{
	struct ln_seen_place *p, *next;

	HASH_ITER (hh, e->seen_places, p, next) {
		HASH_DEL(e->seen_places, p);
		free(p);
	}
}

void ln_limits_done(struct ln_engine *e)
{
	forget_places(e);
	free(e->limit_states);
	e->limit_states = NULL;
}

struct ln_limit_state *ln_limits_new(const struct ln_policy *policy)
{
	const struct ln_limit *limits;

	return calloc(ln_policy_limits(policy, &limits) + 1, sizeof(struct ln_limit_state));
}

/* Names that lead to the place of this flow, that by which it is permitted first. */
static size_t names_of(const struct ln_engine *e, const char *permitted_as, const char **ret)
{
	size_t n = 0;

	if (permitted_as)
		ret[n++] = permitted_as;
	for (size_t i = 0; i < e->n_found; i++)
		if (e->found[i].grants)
			ret[n++] = e->found[i].name;
	return n;
}

/* "12 destinations that are new, to *.example.com" and what the policy says of it. */
static void tell(struct ln_engine *e, const struct ln_event *ev, const struct ln_limit *l,
		 uint64_t sum, uint64_t most, const char *what, const char *title)
{
	struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_LIMIT);

	ln_buf_reset(&e->subject);
	ln_buf_addf(
	    &e->subject, "%llu %s%s%s within %llu s, more than the %llu of the limit (line %u)",
	    (unsigned long long)sum, what, l->text ? " to " : "", l->text ? l->text : "",
	    (unsigned long long)(l->period_ns / LN_NS_PER_S), (unsigned long long)most, l->line);
	f.flow = &ev->flow.flow;
	f.title = title;
	f.verdict = LN_VERDICT_UNEXPECTED;
	f.reason = ln_buf_text(&e->subject);
	f.names = e->found;
	f.n_names = e->n_found;
	e->sum.violations++;
	f.alert = ln_folds_pass(e, LN_FOLD_FLOWS, 1, &f);
	ln_engine_emit(e, &f);
}

static void count_bytes(struct ln_engine *e, const struct ln_event *ev, const struct ln_limit *l,
			struct ln_limit_state *s, uint64_t n)
{
	uint64_t sum = add(&s->bytes, e->now_ns, l->period_ns, n);

	if (sum <= l->bytes_out || e->now_ns < s->quiet_bytes_ns)
		return;
	s->quiet_bytes_ns = e->now_ns + l->period_ns;
	tell(e, ev, l, sum, l->bytes_out, "bytes sent", "VOLUME LIMIT");
}

static void count_place(struct ln_engine *e, const struct ln_event *ev, const struct ln_limit *l,
			struct ln_limit_state *s)
{
	uint64_t sum = add(&s->places, e->now_ns, l->period_ns, 1);

	if (sum <= l->new_destinations || e->now_ns < s->quiet_places_ns)
		return;
	s->quiet_places_ns = e->now_ns + l->period_ns;
	tell(e, ev, l, sum, l->new_destinations, "new destinations", "NEW DESTINATIONS LIMIT");
}

static bool counts(const struct ln_flow *flow)
{
	return !flow->same_tree && !flow->inbound;
}

void ln_limits_bytes(struct ln_engine *e, const struct ln_event *ev, const char *permitted_as,
		     uint64_t n)
{
	const struct ln_flow *flow = &ev->flow.flow;
	const char *names[LN_ARRAY_SIZE(e->found) + 1];
	const struct ln_limit *limits;
	size_t n_limits = ln_policy_limits(e->policy, &limits), n_names;

	if (n_limits == 0 || n == 0 || !counts(flow))
		return;
	e->n_found = ln_names_find(e->names, ev->agent, &flow->remote.addr, e->now_ns, e->found,
				   LN_ARRAY_SIZE(e->found));
	n_names = names_of(e, permitted_as, names);
	for (size_t i = 0; i < n_limits; i++)
		if (limits[i].bytes_out &&
		    ln_limit_covers(&limits[i], &flow->remote.addr, names, n_names))
			count_bytes(e, ev, &limits[i], &e->limit_states[i], n);
}

/* A place of many addresses counts once, by its name. When no more can be told apart the rest is no
 * news, and told as a loss. */
static bool is_new_place(struct ln_engine *e, uint32_t agent, const struct ln_flow *flow,
			 const char *name)
{
	char key[LN_NAME_MAX + LN_ADDR_TEXT_MAX + 16], addr[LN_ADDR_TEXT_MAX];
	struct ln_seen_place *p;
	size_t len = (size_t)snprintf(key, sizeof(key), "%u %s %u/%u", agent,
				      name ? name : ln_addr_format(&flow->remote.addr, addr),
				      flow->remote.port, flow->proto);

	HASH_FIND(hh, e->seen_places, key, len, p);
	if (p)
		return false;
	p = HASH_COUNT(e->seen_places) < SEEN_MAX ? calloc(1, sizeof(*p) + len + 1) : NULL;
	if (p) {
		memcpy(p->key, key, len + 1);
		HASH_ADD_KEYPTR(hh, e->seen_places, p->key, len, p);
	}
	if (p && p->hh.tbl)
		return true;
	free(p);
	e->sum.tables_full++;
	ln_losses_add(e, agent, "too many destinations: new ones are not counted any more", 1);
	return false;
}

void ln_limits_open(struct ln_engine *e, const struct ln_event *ev, enum ln_verdict verdict,
		    const char *permitted_as)
{
	const struct ln_flow *flow = &ev->flow.flow;
	const char *names[LN_ARRAY_SIZE(e->found) + 1];
	const struct ln_limit *limits;
	size_t n_limits = ln_policy_limits(e->policy, &limits), n_names;

	if (n_limits == 0 || !counts(flow) || verdict == LN_VERDICT_DNS)
		return;
	n_names = names_of(e, permitted_as, names);
	if (!is_new_place(e, ev->agent, flow, n_names ? names[0] : NULL))
		return;
	for (size_t i = 0; i < n_limits; i++)
		if (limits[i].new_destinations &&
		    ln_limit_covers(&limits[i], &flow->remote.addr, names, n_names))
			count_place(e, ev, &limits[i], &e->limit_states[i]);
}
