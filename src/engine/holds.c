/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flow that would be unexpected only for want of a name is held, when there is a reason that its
 * name came to the agent by a way that the sensor does not see: by nscd or systemd-resolved, or
 * before the watch. Meanwhile linnet asks for the names that the policy lists. The flow is told
 * when a name permits it, when linnet's questions are through, or at the latest after LN_HOLD_NS.
 *
 * A hold is of a destination. Events of its flows wait behind it in their order, so that none of
 * them overtakes its own opening. Bounds: LN_HOLDS_MAX destinations, and of each so many events
 * and bytes; what goes over is told at once.
 */
#include "internal.h"

#include <netinet/in.h>
#include <string.h>
#include <utlist.h>
#include "candidates.h"
#include "policy/pattern.h"

#define WORDS_BYTES (LN_NAME_MAX + 64)

struct held_event {
	struct held_event *next;
	struct ln_event ev;
	uint8_t bytes[]; /* what ev points to */
};

enum outcome {
	ENDED_NAMED,      /* some name permits it */
	ENDED_LOOKED,     /* linnet's own look-ups lead elsewhere */
	ENDED_FAILED,     /* one of them was not to be had */
	ENDED_UNANSWERED, /* not all of them were answered in time */
	ENDED_UNTOLD,     /* there was nothing to ask, and systemd-resolved said nothing */
};

struct ln_hold {
	struct ln_hold *prev, *next;
	uint64_t since_ns;
	uint64_t ticket; /* of what is asked now; 0 nothing is */
	bool asked, looked, failed;
	size_t n_names;            /* that were asked for first */
	char name[LN_NAME_MAX];    /* one of them */
	bool dirty;                /* there is a new name for its address */
	struct held_event *events; /* owned; oldest first; the first one is its opening */
	struct held_event **end;   /* where the next one goes */
	size_t n_events, n_bytes, n_flows;
};

struct ln_holds {
	struct ln_hold *list; /* owned; oldest first */
	size_t n;
	struct ln_candidates candidates;
	bool (*ask)(uint64_t ticket, const char *const *names, size_t n, void *user);
	uint64_t last_ticket;
	bool attached, dns_unseen, monitored;
	uint64_t news_ns; /* when linnet's own look-ups found a new address; 0 never */
	bool off_wire;    /* the tree has used a name service that is not on the wire */
	/* While the events of a hold are told: */
	const struct ln_hold *telling; /* borrowed; NULL none is */
	enum outcome outcome;
	struct ln_buf words;
};

struct ln_holds *ln_holds_new(const struct ln_engine_config *config)
{
	struct ln_holds *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->ask = config->ask;
	h->attached = config->attached;
	h->dns_unseen = config->dns_unseen;
	h->monitored = config->monitored;
	if (ln_candidates_init(&h->candidates, config->policy) < 0 ||
	    !ln_buf_reserve(&h->words, WORDS_BYTES))
		ln_holds_free(&h);
	return h;
}

void ln_holds_set_candidates(struct ln_engine *e, const struct ln_candidates *c)
{
	ln_candidates_done(&e->holds->candidates);
	e->holds->candidates = *c;
}

static void free_hold(struct ln_hold *hold)
{
	while (hold->events) {
		struct held_event *first = hold->events;

		hold->events = first->next;
		free(first);
	}
	free(hold);
}

void ln_holds_free(struct ln_holds **holds)
{
	struct ln_holds *h = *holds;

	if (!h)
		return;
	while (h->list) {
		struct ln_hold *hold = h->list;

		DL_DELETE(h->list, hold);
		free_hold(hold);
	}
	ln_candidates_done(&h->candidates);
	ln_buf_done(&h->words);
	free(h);
	*holds = NULL;
}

/* Those who answer from a cache, or ask for the agent over a connection of their own. The system
 * bus is where nss-resolve of old, and everything that asks by D-Bus, finds systemd-resolved. */
void ln_holds_note_channel(struct ln_engine *e, const struct ln_channel *c)
{
	static const char *const services[] = {
	    "/run/nscd/socket",
	    "/run/.nscd_socket",
	    "/run/systemd/resolve/io.systemd.Resolve",
	    "/run/dbus/system_bus_socket",
	    "/var/lib/sss/pipes/*",
	};
	struct ln_socket_name name;

	/* glibc tries nscd each time; where nobody listens there is no other side. */
	if (e->holds->off_wire || c->kind != LN_CHANNEL_UNIX_SOCKET || c->same_tree ||
	    c->other.pid == 0 || !ln_socket_name_make(c->path, c->path_len, c->abstract, &name))
		return;
	for (size_t i = 0; i < LN_ARRAY_SIZE(services); i++)
		e->holds->off_wire |= ln_pattern_matches(services[i], &name);
}

void ln_holds_note_name(struct ln_engine *e, const struct ln_addr *addr,
			const struct ln_name_evidence *evidence, bool is_new)
{
	struct ln_hold *hold;

	if (evidence->source == LN_NAME_OWN_LOOKUP) {
		ln_candidates_answered(&e->holds->candidates, evidence->name, evidence->expires_ns);
		e->holds->news_ns = is_new ? e->now_ns : e->holds->news_ns;
	}
	DL_FOREACH (e->holds->list, hold) {
		if (ln_addr_equal(&hold->events->ev.flow.flow.remote.addr, addr))
			hold->dirty = true;
	}
}

static uint64_t due_ns(const struct ln_holds *h, const struct ln_hold *hold)
{
	if (hold->ticket != 0)
		return hold->since_ns + LN_HOLD_NS;
	return hold->since_ns + (h->monitored ? LN_HOLD_MONITOR_NS : 0);
}

uint64_t ln_holds_deadline(const struct ln_engine *e)
{
	uint64_t first_ns = UINT64_MAX;
	struct ln_hold *hold;

	DL_FOREACH (e->holds->list, hold) {
		first_ns = LN_MIN(first_ns, due_ns(e->holds, hold));
	}
	return first_ns;
}

size_t ln_holds_flows(const struct ln_engine *e)
{
	size_t n = 0;
	struct ln_hold *hold;

	DL_FOREACH (e->holds->list, hold) {
		n += hold->n_flows;
	}
	return n;
}

/* What is told of the flow begins with its opening. */
static void tell(struct ln_engine *e, struct ln_hold *hold, enum outcome outcome)
{
	struct ln_holds *h = e->holds;

	DL_DELETE(h->list, hold);
	h->n--;
	h->telling = hold;
	h->outcome = outcome;
	for (struct held_event *one = hold->events; one; one = one->next)
		ln_engine_take(e, &one->ev);
	h->telling = NULL;
	free_hold(hold);
}

static const char *words_of(struct ln_holds *h)
{
	const struct ln_hold *hold = h->telling;
	struct ln_buf *b = &h->words;

	ln_buf_reset(b);
	if (h->outcome == ENDED_UNTOLD) {
		ln_buf_adds(b, "in which systemd-resolved told no name of it");
		return ln_buf_text(b);
	}
	ln_buf_addf(b, "%s linnet's own look-up of %s",
		    h->outcome == ENDED_LOOKED ? "by" : "though", hold->name);
	if (hold->n_names > 1)
		ln_buf_addf(b, " and %zu other%s", hold->n_names - 1,
			    hold->n_names == 2 ? "" : "s");
	if (h->outcome == ENDED_FAILED)
		ln_buf_adds(b, " failed");
	else if (h->outcome == ENDED_UNANSWERED)
		ln_buf_adds(b, " was not answered");
	return ln_buf_text(b);
}

void ln_holds_mark(struct ln_engine *e, struct ln_finding *f)
{
	if (!e->holds->telling)
		return;
	f->held_ns = e->now_ns > f->time_ns ? e->now_ns - f->time_ns : 1;
	if (e->holds->outcome != ENDED_NAMED)
		f->held = words_of(e->holds);
}

static bool ask(struct ln_engine *e, struct ln_hold *hold)
{
	const char *names[LN_HOLD_NAMES_MAX];
	const struct ln_flow *flow = &hold->events->ev.flow.flow;
	struct ln_holds *h = e->holds;
	size_t n;

	if (!h->ask)
		return false;
	n = ln_candidates_pick(&h->candidates, flow->remote.port, flow->proto, e->now_ns, names,
			       LN_ARRAY_SIZE(names));
	if (n == 0 || !h->ask(h->last_ticket + 1, names, n, e->user))
		return false;
	hold->ticket = ++h->last_ticket;
	if (!hold->asked) {
		hold->n_names = n;
		memcpy(hold->name, names[0], strlen(names[0]) + 1);
	}
	hold->asked = true;
	return true;
}

/* How many bytes the event points to, and where. */
static size_t payload_of(const struct ln_event *ev, const uint8_t **ret)
{
	*ret = ev->kind == LN_EVENT_DNS ? ev->dns.bytes : ev->bytes.bytes;
	if (ev->kind == LN_EVENT_DNS)
		return ev->dns.len;
	return ev->kind == LN_EVENT_BYTES ? ev->bytes.len : 0;
}

static bool append(struct ln_engine *e, struct ln_hold *hold, const struct ln_event *ev)
{
	const uint8_t *bytes;
	size_t len = payload_of(ev, &bytes);
	struct held_event *one;

	if (hold->n_events == LN_HOLD_EVENTS_MAX || hold->n_bytes + len > LN_HOLD_BYTES_MAX)
		return false;
	one = calloc(1, sizeof(*one) + len);
	if (!one) {
		ln_losses_no_memory(e, ev->agent);
		return false;
	}
	one->ev = *ev;
	if (len > 0)
		memcpy(one->bytes, bytes, len);
	if (ev->kind == LN_EVENT_DNS)
		one->ev.dns.bytes = one->bytes;
	else if (ev->kind == LN_EVENT_BYTES)
		one->ev.bytes.bytes = one->bytes;
	*hold->end = one;
	hold->end = &one->next;
	hold->n_events++;
	hold->n_bytes += len;
	hold->n_flows += ev->kind == LN_EVENT_FLOW_OPEN;
	return true;
}

/* The kinds that could be confirmed, and only once: a violation that was told has no news. */
static bool is_worth(struct ln_engine *e, const struct ln_event *ev)
{
	const struct ln_holds *h = e->holds;
	const struct ln_flow *flow = &ev->flow.flow;

	if (!h->off_wire && !h->dns_unseen &&
	    !(h->attached && e->now_ns - e->start_ns < LN_HOLD_ATTACH_NS))
		return false;
	return !h->telling && h->n < LN_HOLDS_MAX && !flow->inbound && !flow->received &&
	       !flow->passed && (flow->proto == IPPROTO_TCP || flow->proto == IPPROTO_UDP) &&
	       ln_names_grantable(&flow->remote.addr) && !ln_repeats_told(e, ev->agent, flow);
}

bool ln_holds_take(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_holds *h = e->holds;
	struct ln_hold *hold;

	if (!is_worth(e, ev))
		return false;
	hold = calloc(1, sizeof(*hold));
	if (!hold) {
		ln_losses_no_memory(e, ev->agent);
		return false;
	}
	hold->since_ns = e->now_ns;
	hold->end = &hold->events;
	if (!append(e, hold, ev) || (!ask(e, hold) && !(h->monitored && h->off_wire))) {
		free_hold(hold);
		return false;
	}
	DL_APPEND(h->list, hold);
	h->n++;
	return true;
}

static bool is_same_place(const struct ln_event *a, const struct ln_event *b)
{
	const struct ln_flow *x = &a->flow.flow, *y = &b->flow.flow;

	return a->agent == b->agent && x->proto == y->proto && x->remote.port == y->remote.port &&
	       ln_addr_equal(&x->remote.addr, &y->remote.addr) && !y->inbound && !y->received &&
	       !y->passed;
}

static const struct ln_flow *flow_of(const struct ln_event *ev)
{
	switch (ev->kind) {
	case LN_EVENT_FLOW_CLOSE:
		return &ev->flow.flow;
	case LN_EVENT_DNS:
		return &ev->dns.flow;
	case LN_EVENT_BYTES:
		return &ev->bytes.flow;
	case LN_EVENT_WIRE:
		return &ev->wire.flow;
	default:
		return NULL;
	}
}

static bool has_flow(const struct ln_hold *hold, uint64_t id)
{
	for (const struct held_event *one = hold->events; one; one = one->next) {
		if (one->ev.kind == LN_EVENT_FLOW_OPEN && one->ev.flow.flow.id == id)
			return true;
	}
	return false;
}

/* A process that executes something else would be told with the wrong command. */
static bool has_process(const struct ln_hold *hold, uint32_t pid)
{
	for (const struct held_event *one = hold->events; one; one = one->next) {
		if (one->ev.pid == pid)
			return true;
	}
	return false;
}

static enum outcome outcome_of(const struct ln_hold *hold)
{
	if (!hold->asked)
		return ENDED_UNTOLD;
	if (!hold->looked)
		return ENDED_UNANSWERED;
	return hold->failed ? ENDED_FAILED : ENDED_LOOKED;
}

static void tell_process(struct ln_engine *e, uint32_t pid)
{
	struct ln_hold *hold, *next;

	DL_FOREACH_SAFE(e->holds->list, hold, next)
	{
		if (has_process(hold, pid))
			tell(e, hold, outcome_of(hold));
	}
}

bool ln_holds_keep(struct ln_engine *e, const struct ln_event *ev)
{
	const struct ln_flow *flow = flow_of(ev);
	struct ln_hold *hold;

	if (!e->holds->list)
		return false;
	if (ev->kind == LN_EVENT_EXEC)
		tell_process(e, ev->pid);
	if (!flow && ev->kind != LN_EVENT_FLOW_OPEN)
		return false;
	DL_FOREACH (e->holds->list, hold) {
		if (flow ? has_flow(hold, flow->id) : is_same_place(&hold->events->ev, ev))
			break;
	}
	if (!hold)
		return false;
	if (append(e, hold, ev))
		return true;
	tell(e, hold, outcome_of(hold));
	return false;
}

/* Where new addresses come, more of them may: of a pool an answer is only a part. */
void ln_holds_looked(struct ln_engine *e, uint64_t ticket, bool failed)
{
	uint64_t news_ns = e->holds->news_ns;
	struct ln_hold *hold;

	DL_FOREACH (e->holds->list, hold) {
		if (hold->ticket == ticket)
			break;
	}
	if (!hold)
		return;
	hold->ticket = 0;
	hold->looked = true;
	hold->failed = failed;
	if (news_ns != 0 && e->now_ns - news_ns < LN_HOLD_NS)
		ask(e, hold);
}

static bool is_permitted(struct ln_engine *e, const struct ln_hold *hold)
{
	const struct ln_event *ev = &hold->events->ev;
	struct ln_judgement j;

	ln_judge_flow(e, ev->agent, &ev->flow.flow, &j);
	return j.verdict != LN_VERDICT_UNEXPECTED;
}

void ln_holds_advance(struct ln_engine *e)
{
	struct ln_hold *hold, *next;

	DL_FOREACH_SAFE(e->holds->list, hold, next)
	{
		if (hold->dirty && is_permitted(e, hold))
			tell(e, hold, ENDED_NAMED);
		else if (due_ns(e->holds, hold) <= e->now_ns)
			tell(e, hold, outcome_of(hold));
		else
			hold->dirty = false;
	}
}

void ln_holds_finish(struct ln_engine *e)
{
	while (e->holds->list)
		tell(e, e->holds->list, outcome_of(e->holds->list));
}
