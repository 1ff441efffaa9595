/* SPDX-License-Identifier: Apache-2.0 */
/* What became of a violation, in each mode: the action must be true. Refusing is the kernel side's,
 * which says of each flow and channel whether it did. Killing and freezing are asked for here,
 * before the violation is told, so that it can be told with what came of it. */
#include "internal.h"

static bool is_violation(const struct ln_finding *f)
{
	return f->title || f->verdict == LN_VERDICT_UNEXPECTED;
}

static bool is_refused(const struct ln_finding *f)
{
	if (f->kind == LN_FINDING_CHANNEL)
		return f->channel->refused;
	return f->flow && f->flow->refused;
}

static bool would_be_refused(const struct ln_finding *f)
{
	if (f->kind == LN_FINDING_CHANNEL)
		return f->channel->would_refuse;
	return f->flow && f->flow->would_refuse;
}

/* What others do to the agent, or to linnet, must not bring it down: or anybody could do that. */
static bool is_its_doing(const struct ln_finding *f)
{
	if (f->kind == LN_FINDING_DNS_ANSWER)
		return f->forgery == LN_FORGERY_OWN;
	return f->kind != LN_FINDING_TAMPER;
}

/* What is told, but never refused. NULL: it should have been. */
static const char *why_never(const struct ln_finding *f)
{
	if (f->kind == LN_FINDING_DNS_QUERY)
		return "DNS questions are not refused";
	if (f->kind == LN_FINDING_DNS_ANSWER)
		return "DNS answers are not refused";
	if (f->kind == LN_FINDING_TAMPER)
		return "Tampering is told, not refused";
	if (f->kind == LN_FINDING_LIMIT)
		return "Limits are told, not refused";
	if (f->kind != LN_FINDING_CHANNEL)
		return NULL;
	if (f->channel->kind == LN_CHANNEL_LISTEN)
		return "Listening is not refused";
	if (f->channel->kind == LN_CHANNEL_PRIVILEGE)
		return "The use of privileges is not refused";
	return NULL;
}

static const char *why_not_refused(const struct ln_finding *f)
{
	if (f->kind == LN_FINDING_CLAIM)
		return "it was read in bytes that were on their way";
	if (f->kind == LN_FINDING_WIRE)
		return "it was seen in packets that were on their way";
	if (f->kind == LN_FINDING_CHANNEL && f->channel->existing)
		return "it was there before the watch began";
	if (f->kind == LN_FINDING_CHANNEL || !f->flow)
		return "this way is not refused here, see `linnet doctor`";
	if (f->flow->existing)
		return "it was open before the watch began";
	if (f->flow->inbound)
		return "the other side began it";
	if (f->flow->received)
		return "the socket was made outside the agent";
	if (f->flow->passed)
		return "the socket is used outside the agent";
	return "the kernel side let it pass, see `linnet doctor`";
}

static enum ln_action plan_block(const struct ln_engine *e, const struct ln_finding *f,
				 const char **ret_why)
{
	if (e->dry_run && would_be_refused(f))
		return LN_ACTION_WOULD_BLOCK;
	/* A connection that a new policy does not permit is cut. */
	if (f->kind == LN_FINDING_VERDICT && e->on_grant)
		return e->dry_run ? LN_ACTION_WOULD_BLOCK : LN_ACTION_BLOCKED;
	*ret_why = why_never(f);
	if (*ret_why)
		return LN_ACTION_LOGGED;
	*ret_why = why_not_refused(f);
	return LN_ACTION_LET_THROUGH;
}

/* Of what is acted upon; without a deed it is told that none was done. */
static enum ln_action plan_deed(const struct ln_engine *e, const char **ret_why)
{
	if (e->dry_run)
		return e->mode == LN_MODE_KILL ? LN_ACTION_WOULD_KILL : LN_ACTION_WOULD_FREEZE;
	*ret_why = e->deed.why;
	return e->deed.action == LN_ACTION_NONE ? LN_ACTION_LOGGED : e->deed.action;
}

enum ln_action ln_actions_plan(const struct ln_engine *e, const struct ln_finding *f,
			       const char **ret_why)
{
	*ret_why = NULL;
	if (is_refused(f))
		return LN_ACTION_BLOCKED;
	if (!is_violation(f))
		return LN_ACTION_NONE;
	if (e->mode == LN_MODE_MONITOR)
		return LN_ACTION_LOGGED;
	if (f->kind == LN_FINDING_REPEATS) {
		*ret_why = "Each of them is in the log";
		return LN_ACTION_LOGGED;
	}
	if (e->mode == LN_MODE_BLOCK)
		return plan_block(e, f, ret_why);
	if (is_its_doing(f))
		return plan_deed(e, ret_why);
	*ret_why = "It is not the agent's doing";
	return LN_ACTION_LOGGED;
}

/* Not what only says more of a violation that was told: the end of a flow, a count, or what the
 * bytes of a flow say that was unexpected anyway. */
static bool is_first_word(const struct ln_finding *f)
{
	if (f->kind == LN_FINDING_CLAIM)
		return f->title;
	return f->kind != LN_FINDING_FLOW_CLOSE && f->kind != LN_FINDING_REPEATS;
}

/* Whether this finding is one that ends or stops the agent. */
static bool calls_for_deed(const struct ln_engine *e, const struct ln_finding *f)
{
	bool acts = e->mode == LN_MODE_KILL || e->mode == LN_MODE_FREEZE;

	return acts && !e->dry_run && is_first_word(f) && is_violation(f) && is_its_doing(f);
}

static void act(struct ln_engine *e, struct ln_finding *f)
{
	static const struct ln_deed none = {.action = LN_ACTION_LET_THROUGH,
					    .why = "nobody is there to do it"};

	e->deed = e->act ? e->act(f, e->user) : none;
	if (e->deed.news) {
		e->sum.deeds++;
		f->alert = true;
	}
}

static void count(struct ln_engine *e, const struct ln_finding *f)
{
	switch (f->action) {
	case LN_ACTION_BLOCKED:
		e->sum.blocked++;
		e->sum.blocked_permitted += !is_violation(f);
		break;
	case LN_ACTION_WOULD_BLOCK:
	case LN_ACTION_WOULD_KILL:
	case LN_ACTION_WOULD_FREEZE:
		e->sum.would_act++;
		break;
	case LN_ACTION_LET_THROUGH:
		e->sum.let_through++;
		break;
	default:
		break;
	}
}

void ln_actions_take(struct ln_engine *e, struct ln_finding *f)
{
	f->mode = e->mode;
	f->dry_run = e->dry_run;
	f->handle = e->handle;
	if (f->action != LN_ACTION_NONE)
		return;
	if (calls_for_deed(e, f))
		act(e, f);
	f->action = ln_actions_plan(e, f, &f->action_why);
	if (is_first_word(f))
		count(e, f);
}
