/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define PROCESSES_MAX 65536
#define TEXT_BYTES    4096 /* more than the words of any finding */

static int copy_config(struct ln_engine *e, const struct ln_engine_config *config)
{
	const char *agent_name = config->agent_name;

	if (!agent_name)
		agent_name = ln_policy_agent_name(config->policy);
	e->agent_name = strdup(agent_name ? agent_name : "");
	e->search = calloc(config->n_search + 1, sizeof(*e->search));
	e->rule_hits = calloc(ln_policy_rules(config->policy) + 1, sizeof(*e->rule_hits));
	e->limit_states = ln_limits_new(config->policy);
	if (!e->agent_name || !e->search || !e->rule_hits || !e->limit_states ||
	    ln_engine_copy_resolvers(e, config->resolvers, config->n_resolvers) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_search; i++)
		memcpy(e->search[e->n_search++], config->search[i], LN_NAME_MAX);
	e->policy = config->policy;
	e->agent = config->agent;
	e->netns = config->netns;
	e->repeat_every_ns = config->repeat_every_ns ? config->repeat_every_ns : 10 * LN_NS_PER_S;
	e->run = config->run;
	e->mode = config->mode;
	e->dry_run = config->dry_run;
	e->handle = config->handle;
	e->act = config->act;
	e->on_finding = config->on_finding;
	e->on_grant = config->on_grant;
	e->on_revoke = config->on_revoke;
	e->user = config->user;
	return 0;
}

/* An alert needs its words also when no memory is left. */
static bool reserve_texts(struct ln_engine *e)
{
	return ln_buf_reserve(&e->reason, TEXT_BYTES) && ln_buf_reserve(&e->hint, TEXT_BYTES) &&
	       ln_buf_reserve(&e->subject, TEXT_BYTES) && ln_buf_reserve(&e->same, TEXT_BYTES);
}

int ln_engine_new(const struct ln_engine_config *config, struct ln_engine **ret)
{
	struct ln_engine *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->tree = ln_tree_new(PROCESSES_MAX);
	e->names = ln_names_new(LN_NAMES_MAX + ln_policy_rules(config->policy),
				ln_policy_grace_ns(config->policy));
	e->aliases = ln_aliases_new(LN_ALIASES_MAX, ln_policy_grace_ns(config->policy));
	e->cgroups = ln_cgroups_new(LN_CGROUPS_MAX);
	e->holds = ln_holds_new(config);
	if (copy_config(e, config) < 0 || !reserve_texts(e) || !e->tree || !e->names ||
	    !e->aliases || !e->cgroups || !e->holds) {
		ln_engine_free(&e);
		return -ENOMEM;
	}
	*ret = e;
	return 0;
}

void ln_engine_free(struct ln_engine **engine)
{
	struct ln_engine *e = *engine;

	if (!e)
		return;
	ln_holds_free(&e->holds);
	ln_flows_done(e);
	ln_questions_done(e);
	ln_dns_streams_done(e);
	ln_tunnels_done(e);
	ln_bytes_done(e);
	ln_limits_done(e);
	ln_repeats_done(e);
	ln_destinations_done(&e->destinations);
	ln_tree_free(&e->tree);
	ln_names_free(&e->names);
	ln_aliases_free(&e->aliases);
	ln_cgroups_free(&e->cgroups);
	ln_buf_done(&e->reason);
	ln_buf_done(&e->hint);
	ln_buf_done(&e->subject);
	ln_buf_done(&e->same);
	free(e->rule_hits);
	free(e->search);
	free(e->keeps_case);
	free(e->resolvers);
	free(e->agent_name);
	free(e);
	*engine = NULL;
}

struct ln_finding ln_engine_timed_finding(struct ln_engine *e, enum ln_finding_kind kind,
					  uint32_t agent, uint32_t pid)
{
	const struct ln_proc *proc = pid ? ln_tree_find(e->tree, pid) : NULL;

	return (struct ln_finding){
	    .kind = kind,
	    .time_ns = e->now_ns,
	    .wall_ns = e->wall_ns,
	    .agent = agent,
	    .agent_name = e->agent_name,
	    .pid = pid,
	    .proc = proc,
	    .cgroup = proc ? ln_cgroups_find(e->cgroups, proc->cgroup_id) : NULL,
	};
}

struct ln_finding ln_engine_finding(struct ln_engine *e, const struct ln_event *ev,
				    enum ln_finding_kind kind)
{
	struct ln_finding f = ln_engine_timed_finding(e, kind, ev->agent, ev->pid);

	f.event_kind = ev->kind;
	f.time_ns = ev->time_ns;
	f.wall_ns = ev->wall_ns;
	f.tid = ev->tid;
	return f;
}

void ln_engine_emit(struct ln_engine *e, struct ln_finding *f)
{
	ln_actions_take(e, f);
	if (e->run && f->alert && f->kind != LN_FINDING_REPEATS && f->kind != LN_FINDING_LOST) {
		snprintf(e->alert_id, sizeof(e->alert_id), "%s-%llu", e->run,
			 (unsigned long long)++e->alerts);
		f->alert_id = e->alert_id;
	}
	e->on_finding(f, e->user);
}

bool ln_engine_lists_resolver(const struct ln_engine *e, const struct ln_endpoint *remote)
{
	for (size_t i = 0; i < e->n_resolvers; i++) {
		if (e->resolvers[i].port == remote->port &&
		    ln_addr_equal(&e->resolvers[i].addr, &remote->addr))
			return true;
	}
	return false;
}

/* A resolver that the agent itself runs is not one that is trusted: a listener of its tree, or any
 * address in a network namespace that it made, where all addresses are its own. */
bool ln_engine_is_resolver(const struct ln_engine *e, const struct ln_flow *flow)
{
	if (flow->proto != IPPROTO_TCP && flow->proto != IPPROTO_UDP)
		return false;
	if (flow->same_tree || (e->netns && flow->netns && flow->netns != e->netns))
		return false;
	return ln_engine_lists_resolver(e, &flow->remote);
}

static void grant(struct ln_engine *e, uint32_t agent, const struct ln_addr *addr,
		  const struct ln_name_evidence *evidence)
{
	uint64_t until_ns = evidence->expires_ns, grace_ns = ln_policy_grace_ns(e->policy);

	if (!e->on_grant || !evidence->grants || !ln_name_source_grants(evidence->source) ||
	    !ln_names_grantable(addr))
		return;
	until_ns = until_ns > UINT64_MAX - grace_ns ? UINT64_MAX : until_ns + grace_ns;
	if (until_ns > e->now_ns)
		e->on_grant(agent ? agent : e->agent, addr, evidence->name, until_ns, e->user);
}

static void grant_one(uint32_t agent, const struct ln_addr *addr,
		      const struct ln_name_evidence *evidence, void *user)
{
	grant(user, agent, addr, evidence);
}

void ln_engine_grant_again(struct ln_engine *e)
{
	if (e->on_grant)
		ln_names_each(e->names, grant_one, e);
}

void ln_engine_revoke(struct ln_engine *e, uint32_t agent, const struct ln_addr *addr)
{
	if (e->on_revoke)
		e->on_revoke(agent, addr, e->user);
}

/* What was not kept may later be an unexpected destination, so it is told as a loss. */
void ln_engine_add_name(struct ln_engine *e, uint32_t agent, const struct ln_addr *addr,
			const struct ln_name_evidence *evidence)
{
	size_t before = ln_names_count(e->names);
	uint64_t evicted;

	(void)ln_names_add(e->names, agent, addr, evidence);
	grant(e, agent, addr, evidence);
	ln_holds_note_name(e, addr, evidence, ln_names_count(e->names) > before);
	evicted = ln_names_evicted(e->names);
	if (evicted != e->names_evicted)
		ln_losses_add(e, agent, "too many names of addresses: the oldest were forgotten",
			      evicted - e->names_evicted);
	e->names_evicted = evicted;
}

static void note_refused(struct ln_engine *e, uint32_t agent)
{
	uint64_t refused = ln_tree_refused(e->tree);

	if (refused != e->processes_refused)
		ln_losses_add(e, agent, "too many processes: one has no command line here",
			      refused - e->processes_refused);
	e->processes_refused = refused;
}

static bool is_living(struct ln_engine *e, uint32_t pid)
{
	const struct ln_proc *proc = ln_tree_find(e->tree, pid);

	return proc && proc->exit_ns == 0;
}

static void note_where(struct ln_proc *proc, const struct ln_event *ev)
{
	if (proc && ev->exec.ns_pid != 0)
		proc->ns_pid = ev->exec.ns_pid;
	if (proc && ev->exec.cgroup_id != 0)
		proc->cgroup_id = ev->exec.cgroup_id;
}

static void take_image(struct ln_engine *e, const struct ln_event *ev)
{
	if (!is_living(e, ev->pid))
		e->sum.processes++;
	note_where(ln_tree_exec(e->tree, ev->agent, ev->pid, ev->exec.exe, ev->exec.exe_len,
				ev->exec.args, ev->exec.args_len, ev->exec.cut, ev->time_ns),
		   ev);
}

static void take_adopted(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_proc *proc;

	ln_questions_doubt(e, e->now_ns);
	if (!is_living(e, ev->pid)) {
		e->sum.processes++;
		ln_tree_fork(e->tree, ev->agent, ev->exec.ppid, ev->pid, ev->time_ns);
	}
	if (!is_living(e, ev->pid))
		return;
	proc = ln_tree_find(e->tree, ev->pid);
	note_where(proc, ev);
	if (ev->exec.why)
		proc->why = ev->exec.why;
	if (ev->exec.exe_len > 0 || ev->exec.args_len > 0)
		take_image(e, ev);
}

static void take_fork(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_proc *child =
	    ln_tree_fork(e->tree, ev->agent, ev->pid, ev->fork.child, ev->time_ns);

	e->sum.processes++;
	if (child)
		child->ns_pid = ev->fork.child_ns_pid;
}

static void take_process(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_finding f;

	if (ev->kind == LN_EVENT_FORK) {
		take_fork(e, ev);
	} else if (ev->kind == LN_EVENT_ADOPT) {
		take_adopted(e, ev);
	} else if (ev->kind == LN_EVENT_EXEC) {
		take_image(e, ev);
	} else {
		ln_tree_exit(e->tree, ev->pid, ev->exit.status, ev->time_ns);
	}
	f = ln_engine_finding(e, ev, LN_FINDING_PROCESS);
	if (ev->kind == LN_EVENT_FORK)
		f.child = ev->fork.child;
	else if (ev->kind == LN_EVENT_EXIT)
		f.exit_status = ev->exit.status;
	ln_engine_emit(e, &f);
	note_refused(e, ev->agent);
}

static void take_name(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_NAME);

	ln_engine_add_name(e, ev->agent, &ev->name.addr, &ev->name.evidence);
	f.evidence = &ev->name.evidence;
	f.addr = ev->name.addr;
	/* What others on the host ask is nobody's business, until this agent goes there. */
	if (f.evidence->source == LN_NAME_RESOLVED &&
	    !ln_policy_covers_name(e->policy, f.evidence->name, ln_engine_wall_s(e)))
		return;
	ln_engine_emit(e, &f);
}

static void take_cgroup(struct ln_engine *e, const struct ln_event *ev)
{
	struct ln_proc *proc = ln_tree_find(e->tree, ev->pid);
	uint64_t evicted;

	ln_cgroups_put(e->cgroups, ev->cgroup.id, ev->cgroup.path, ev->cgroup.path_len);
	if (proc)
		proc->cgroup_id = ev->cgroup.id;
	evicted = ln_cgroups_evicted(e->cgroups);
	if (evicted != e->cgroups_evicted)
		ln_losses_add(e, ev->agent, "too many cgroups: one has no path here",
			      evicted - e->cgroups_evicted);
	e->cgroups_evicted = evicted;
	if (ev->cgroup.moved || ev->cgroup.uncovered) {
		struct ln_finding f = ln_engine_finding(e, ev, LN_FINDING_PROCESS);

		f.uncovered = ev->cgroup.uncovered;
		ln_engine_emit(e, &f);
	}
}

static void take_dns(struct ln_engine *e, const struct ln_event *ev)
{
	const struct ln_dns_bytes m = {
	    .flow = &ev->dns.flow,
	    .answer = ev->dns.answer,
	    .stranger = ev->dns.stranger,
	    .bytes = ev->dns.bytes,
	    .len = ev->dns.len,
	};

	ln_questions_message(e, ev, &m);
}

void ln_engine_take(struct ln_engine *e, const struct ln_event *ev)
{
	switch (ev->kind) {
	case LN_EVENT_FORK:
	case LN_EVENT_ADOPT:
	case LN_EVENT_EXEC:
	case LN_EVENT_EXIT:
		take_process(e, ev);
		break;
	case LN_EVENT_FLOW_OPEN:
		ln_flows_open(e, ev);
		break;
	case LN_EVENT_FLOW_CLOSE:
		ln_dns_stream_end(e, ev);
		ln_bytes_close(e, ev->flow.flow.id);
		ln_flows_close(e, ev);
		break;
	case LN_EVENT_FLOW_PROGRESS:
		ln_flows_progress(e, ev);
		break;
	case LN_EVENT_DNS:
		take_dns(e, ev);
		break;
	case LN_EVENT_NAME:
		take_name(e, ev);
		break;
	case LN_EVENT_WIRE:
		ln_flows_wire(e, ev);
		break;
	case LN_EVENT_CHANNEL:
		ln_holds_note_channel(e, &ev->channel);
		ln_channels_take(e, ev);
		break;
	case LN_EVENT_CGROUP:
		take_cgroup(e, ev);
		break;
	case LN_EVENT_TAMPER:
		ln_tampers_take(e, ev);
		break;
	case LN_EVENT_LOOKED:
		ln_holds_looked(e, ev->looked.ticket, ev->looked.failed);
		break;
	case LN_EVENT_LOST:
		e->sum.lost += ev->lost.count;
		ln_questions_doubt(e, e->now_ns);
		ln_losses_add(e, ev->agent, ev->lost.reason, ev->lost.count);
		break;
	case LN_EVENT_BYTES:
		if (!ln_dns_stream_take(e, ev))
			ln_bytes_take(e, ev);
		break;
	case LN_EVENT_CLAIM:
		ln_bytes_claim(e, ev);
		break;
	case LN_EVENT_TICK:
	case LN_EVENT_COUNT:
		break;
	}
}

/* Events of several CPUs may come a little out of order; the engine's time never goes back. */
static void advance(struct ln_engine *e, uint64_t now_ns, uint64_t wall_ns)
{
	if (e->start_ns == 0)
		e->start_ns = now_ns;
	if (now_ns >= e->now_ns) {
		e->now_ns = now_ns;
		e->wall_ns = wall_ns;
	}
	ln_folds_advance(e);
	ln_repeats_advance(e);
	ln_losses_advance(e);
}

/* A name that comes late still counts, so the time of who waits for it ends afterwards. */
void ln_engine_feed(struct ln_engine *e, const struct ln_event *ev)
{
	advance(e, ev->time_ns, ev->wall_ns);
	if (!ln_holds_keep(e, ev))
		ln_engine_take(e, ev);
	ln_holds_advance(e);
}

void ln_engine_tick(struct ln_engine *e, uint64_t now_ns, uint64_t wall_ns)
{
	advance(e, now_ns, wall_ns);
	ln_holds_advance(e);
}

uint64_t ln_engine_deadline(const struct ln_engine *e)
{
	uint64_t told = LN_MIN(ln_repeats_deadline(e), ln_folds_deadline(e));

	return LN_MIN(told, LN_MIN(ln_losses_deadline(e), ln_holds_deadline(e)));
}

void ln_engine_finish(struct ln_engine *e, uint64_t now_ns, uint64_t wall_ns)
{
	ln_engine_tick(e, now_ns, wall_ns);
	ln_holds_finish(e);
	ln_repeats_finish(e);
	ln_folds_finish(e);
	ln_losses_finish(e);
}

size_t ln_engine_living(const struct ln_engine *e)
{
	return ln_tree_living(e->tree, e->agent);
}

size_t ln_engine_pids(const struct ln_engine *e, uint64_t since_ns, uint32_t *ret, size_t max)
{
	return ln_tree_pids(e->tree, e->agent, since_ns, ret, max);
}

size_t ln_engine_open_flows(const struct ln_engine *e)
{
	return ln_flows_count(e) + ln_holds_flows(e);
}

void ln_engine_summary(const struct ln_engine *e, struct ln_engine_summary *ret)
{
	*ret = e->sum;
	ret->destinations = e->destinations.n;
	ret->flows_open = ln_flows_count(e);
	ret->names_evicted = ln_names_evicted(e->names);
	ret->processes_refused = ln_tree_refused(e->tree);
}

uint64_t ln_engine_rule_hits(const struct ln_engine *e, size_t rule_id)
{
	return rule_id < ln_policy_rules(e->policy) ? e->rule_hits[rule_id] : 0;
}
