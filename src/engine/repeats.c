/* SPDX-License-Identifier: Apache-2.0 */
/* One violation is told once; that it comes again is counted, and the count told after a while
 * that doubles as long as it goes on. */
#include "sameness.h"

#include <string.h>
#include <utlist.h>
#include "base/table.h"
#include "dns/message.h"

struct ln_told {
	struct ln_heap_node due; /* key: when the count is to be told */
	bool armed;              /* in the heap */
	struct ln_told *idler, *busier;
	uint64_t period_ns;
	uint64_t word_ns; /* when it was told last */
	uint64_t repeats; /* in all */
	uint64_t since;   /* since the last word */
	/* A lookup asks for A and AAAA (and HTTPS) at once: the most asked type says how often. */
	uint64_t asked_a, asked_aaaa, asked_other;
	uint64_t window_ns; /* of a group: its start */
	unsigned int names; /* of a group: told in the window */
	/* The last one, and what was said about it. */
	struct ln_flow flow;
	uint32_t agent, pid, tid;
	uint16_t qtype;
	const char *title; /* static text */
	enum ln_action action;
	const char *action_why; /* static text */
	char *reason, *subject; /* owned; NULL none */
	UT_hash_handle hh;
	size_t key_len;
	char key[]; /* of a struct ln_same_key */
};

static enum ln_same_kind kind_of(const struct ln_told *t)
{
	return (uint8_t)t->key[offsetof(struct ln_same_key, kind)];
}

static bool is_question(enum ln_same_kind kind)
{
	return kind == LN_SAME_NAME || kind == LN_SAME_GROUP || kind == LN_SAME_UNREADABLE ||
	       kind == LN_SAME_FORGED;
}

static enum ln_event_kind event_kind_of(enum ln_same_kind kind)
{
	if (kind == LN_SAME_CHANNEL)
		return LN_EVENT_CHANNEL;
	if (kind == LN_SAME_WIRE)
		return LN_EVENT_WIRE;
	if (kind == LN_SAME_CLAIM)
		return LN_EVENT_BYTES;
	return is_question(kind) ? LN_EVENT_DNS : LN_EVENT_FLOW_OPEN;
}

static void tell(struct ln_engine *e, struct ln_told *t)
{
	struct ln_finding f = ln_engine_timed_finding(e, LN_FINDING_REPEATS, t->agent, t->pid);
	enum ln_same_kind kind = kind_of(t);
	char query[LN_NAME_MAX + 2];

	f.event_kind = event_kind_of(kind);
	f.alert = true;
	f.verdict = LN_VERDICT_UNEXPECTED;
	f.tid = t->tid;
	f.title = t->title;
	f.subject = t->subject;
	f.flow = t->subject ? NULL : &t->flow;
	f.reason = t->reason;
	f.action = t->action;
	f.action_why = t->action_why;
	f.count = t->since;
	if (kind == LN_SAME_FORGED)
		f.forgery = (uint8_t)t->key[offsetof(struct ln_same_key, proto)];
	if (is_question(kind)) {
		snprintf(query, sizeof(query), "%s%.*s", kind == LN_SAME_GROUP ? "*." : "",
			 (int)(t->key_len - LN_SAME_HEAD), t->key + LN_SAME_HEAD);
		f.query = query;
		f.qtype = t->qtype;
		if (kind == LN_SAME_NAME || kind == LN_SAME_GROUP)
			f.group = ln_tunnels_find(e, t->agent, query + 2 * (kind == LN_SAME_GROUP));
	}
	t->since = 0;
	t->word_ns = e->now_ns;
	t->period_ns = LN_MIN(2 * t->period_ns, LN_MAX(LN_REPEAT_MAX_NS, e->repeat_every_ns));
	if (ln_folds_pass(e, LN_FOLD_REPEATS, f.count, &f))
		ln_engine_emit(e, &f);
}

static void disarm(struct ln_engine *e, struct ln_told *t)
{
	if (t->armed)
		ln_heap_remove(&e->told_due, &t->due);
	t->armed = false;
}

static void free_told(struct ln_told *t)
{
	free(t->reason);
	free(t->subject);
	free(t);
}

static void forget(struct ln_engine *e, struct ln_told *t)
{
	disarm(e, t);
	if (t->since > 0)
		tell(e, t);
	HASH_DEL(e->told, t);
	DL_DELETE2(e->told_by_use, t, idler, busier);
	free_told(t);
}

/* Most reasons are the same each time; without memory the one before stays. */
static void note_reason(struct ln_engine *e, struct ln_told *t, const char *reason)
{
	char *copy;

	if (!reason || (t->reason && strcmp(t->reason, reason) == 0))
		return;
	copy = strdup(reason);
	if (!copy) {
		ln_losses_no_memory(e, t->agent);
		return;
	}
	free(t->reason);
	t->reason = copy;
}

/* What every new one says of itself. */
static void note(struct ln_engine *e, struct ln_told *t, const struct ln_finding *f)
{
	if (f->flow)
		t->flow = *f->flow;
	t->agent = f->agent;
	t->pid = f->pid;
	t->tid = f->tid;
	t->qtype = f->qtype;
	t->title = f->title;
	note_reason(e, t, f->reason);
	t->action = ln_actions_plan(e, f, &t->action_why);
	if (t->subject || !f->subject)
		return;
	t->subject = strdup(f->subject);
	if (!t->subject)
		ln_losses_no_memory(e, t->agent);
}

/* NULL: no memory. */
static struct ln_told *add(struct ln_engine *e, const struct ln_same_key *key, size_t len)
{
	struct ln_told *t = calloc(1, sizeof(*t) + len);

	if (!t)
		return NULL;
	t->period_ns = e->repeat_every_ns;
	t->word_ns = e->now_ns;
	t->key_len = len;
	memcpy(t->key, key, len);
	HASH_ADD(hh, e->told, key, len, t);
	if (!t->hh.tbl)
		free(LN_TAKE_PTR(t));
	return t;
}

/* The entry of this violation, as the busiest; *ret_new says whether it had to be made. NULL: no
 * memory. */
static struct ln_told *need(struct ln_engine *e, enum ln_same_kind kind, const struct ln_finding *f,
			    bool *ret_new)
{
	struct ln_same_key key;
	size_t len = ln_same_key_make(kind, f, &e->same, &key);
	struct ln_told *t;

	HASH_FIND(hh, e->told, &key, len, t);
	*ret_new = !t;
	if (t) {
		DL_DELETE2(e->told_by_use, t, idler, busier);
	} else {
		if (HASH_COUNT(e->told) >= LN_TOLD_MAX) {
			forget(e, e->told_by_use);
			e->sum.tables_full++;
		}
		t = add(e, &key, len);
		if (!t) {
			ln_losses_no_memory(e, f->agent);
			return NULL;
		}
	}
	DL_APPEND2(e->told_by_use, t, idler, busier);
	note(e, t, f);
	return t;
}

/* Counts `n` more and sees to it that they are told in time. */
static void count(struct ln_engine *e, struct ln_told *t, uint64_t n)
{
	t->repeats += n;
	t->since += n;
	if (n == 0 || t->armed)
		return;
	if (e->now_ns - t->word_ns > 2 * t->period_ns)
		t->period_ns = e->repeat_every_ns;
	t->due.key = e->now_ns + t->period_ns;
	if (ln_heap_reserve(&e->told_due) < 0) {
		/* It is told when it is forgotten, at the latest at the end. */
		ln_losses_no_memory(e, t->agent);
		return;
	}
	ln_heap_push(&e->told_due, &t->due);
	t->armed = true;
}

static enum ln_fold_kind fold_of(const struct ln_finding *f)
{
	if (f->kind == LN_FINDING_CHANNEL)
		return LN_FOLD_CHANNELS;
	if (f->kind == LN_FINDING_DNS_ANSWER)
		return LN_FOLD_ANSWERS;
	return f->kind == LN_FINDING_CLAIM ? LN_FOLD_CLAIMS : LN_FOLD_FLOWS;
}

void ln_repeats_take(struct ln_engine *e, struct ln_finding *f)
{
	bool is_new;
	struct ln_told *t = need(e, ln_same_kind_of(f), f, &is_new);

	if (!t || is_new) {
		e->sum.violations++;
		f->alert = ln_folds_pass(e, fold_of(f), 1, f);
		return;
	}
	count(e, t, 1);
	e->sum.repeats++;
	f->repeat_of = t->repeats;
}

bool ln_repeats_is_news(struct ln_engine *e, const struct ln_finding *f)
{
	bool is_new;
	struct ln_told *t = need(e, ln_same_kind_of(f), f, &is_new);

	return (!t || is_new) && ln_folds_pass(e, fold_of(f), 1, f);
}

bool ln_repeats_told(struct ln_engine *e, uint32_t agent, const struct ln_flow *flow)
{
	const struct ln_finding f = {.kind = LN_FINDING_FLOW_OPEN,
				     .verdict = LN_VERDICT_UNEXPECTED,
				     .agent = agent,
				     .flow = flow};
	struct ln_same_key key;
	size_t len = ln_same_key_make(ln_same_kind_of(&f), &f, NULL, &key);
	struct ln_told *t;

	HASH_FIND(hh, e->told, &key, len, t);
	return t;
}

static uint64_t times_asked(const struct ln_told *t)
{
	return LN_MAX(t->asked_other, LN_MAX(t->asked_a, t->asked_aaaa));
}

/* Returns by how much the question comes more often than it did. */
static uint64_t add_question(struct ln_told *t, uint16_t qtype)
{
	uint64_t before = times_asked(t);

	if (qtype == LN_DNS_A)
		t->asked_a++;
	else if (qtype == LN_DNS_AAAA)
		t->asked_aaaa++;
	else
		t->asked_other++;
	return times_asked(t) - before;
}

/* A zone that gets many new names is told as one: names may carry data out. False: this name is
 * one too many. */
static bool pass_group(struct ln_engine *e, struct ln_finding *f)
{
	bool is_new;
	struct ln_told *group = f->group ? need(e, LN_SAME_GROUP, f, &is_new) : NULL;

	if (!group)
		return true;
	if (is_new || e->now_ns - group->window_ns >= LN_GROUP_WINDOW_NS) {
		group->window_ns = e->now_ns;
		group->names = 0;
	}
	if (group->names < LN_GROUP_NAMES_MAX) {
		group->names++;
		return true;
	}
	count(e, group, 1);
	f->repeat_of = group->repeats;
	e->sum.alerts_folded++;
	return false;
}

static struct ln_told *find_name(struct ln_engine *e, const struct ln_finding *f)
{
	struct ln_same_key key;
	size_t len = ln_same_key_make(LN_SAME_NAME, f, NULL, &key);
	struct ln_told *t;

	HASH_FIND(hh, e->told, &key, len, t);
	return t;
}

void ln_repeats_query(struct ln_engine *e, struct ln_finding *f)
{
	enum ln_same_kind kind = f->query[0] == '\0' ? LN_SAME_UNREADABLE : LN_SAME_NAME;
	struct ln_told *t;
	bool is_new;

	if (kind == LN_SAME_NAME && !find_name(e, f) && !pass_group(e, f))
		return;
	t = need(e, kind, f, &is_new);
	if (!t || is_new) {
		if (t)
			add_question(t, f->qtype);
		f->alert = ln_folds_pass(e, LN_FOLD_NAMES, 1, f);
		return;
	}
	count(e, t, kind == LN_SAME_NAME ? add_question(t, f->qtype) : 1);
	f->repeat_of = t->repeats;
}

void ln_repeats_advance(struct ln_engine *e)
{
	struct ln_heap_node *first;

	while ((first = ln_heap_top(&e->told_due)) != NULL && first->key <= e->now_ns) {
		struct ln_told *t = LN_HEAP_ITEM(first, struct ln_told, due);

		disarm(e, t);
		tell(e, t);
	}
}

void ln_repeats_finish(struct ln_engine *e)
{
	struct ln_told *t;

	DL_FOREACH2(e->told_by_use, t, busier)
	{
		disarm(e, t);
		if (t->since > 0)
			tell(e, t);
	}
}

uint64_t ln_repeats_deadline(const struct ln_engine *e)
{
	struct ln_heap_node *first = ln_heap_top(&e->told_due);

	return first ? first->key : UINT64_MAX;
}

void ln_repeats_done(struct ln_engine *e)
{
	while (e->told_by_use) {
		struct ln_told *t = e->told_by_use;

		HASH_DEL(e->told, t);
		DL_DELETE2(e->told_by_use, t, idler, busier);
		free_told(t);
	}
	ln_heap_done(&e->told_due);
}
