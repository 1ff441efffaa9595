/* SPDX-License-Identifier: Apache-2.0 */
/* Another policy while the watch runs. Nothing that was learnt goes: processes, names, questions,
 * open flows. What the old policy's rules were used for is counted on for rules that say the same.
 */
#include "internal.h"

#include <errno.h>
#include <string.h>
#include "base/table.h"
#include "candidates.h"

int ln_engine_copy_resolvers(struct ln_engine *e, const struct ln_endpoint *resolvers, size_t n)
{
	struct ln_endpoint *copy = calloc(n + 1, sizeof(*copy));
	bool *keeps_case = calloc(n + 1, sizeof(*keeps_case));

	if (!copy || !keeps_case) {
		free(copy);
		free(keeps_case);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		copy[i] = resolvers[i];
	free(e->resolvers);
	free(e->keeps_case);
	e->resolvers = copy;
	e->keeps_case = keeps_case;
	e->n_resolvers = n;
	return 0;
}

/* A rule of the old policy that was used, by what it says. */
struct used_rule {
	uint64_t hits;
	UT_hash_handle hh;
	char key[]; /* kind, ports and destination, NUL-terminated */
};

static void put_key(struct ln_buf *out, const struct ln_rule *rule)
{
	char ports[128];

	ln_buf_reset(out);
	ln_buf_addf(out, "%d %s %s", (int)rule->kind,
		    ln_rule_ports_text(rule, ports, sizeof(ports)), rule->text);
}

static struct used_rule *collect_used(struct ln_engine *e, struct ln_buf *key)
{
	struct used_rule *table = NULL, *u;

	for (size_t i = 0; i < ln_policy_rules(e->policy); i++) {
		if (e->rule_hits[i] == 0)
			continue;
		put_key(key, ln_policy_rule(e->policy, i));
		u = key->failed ? NULL : calloc(1, sizeof(*u) + key->len + 1);
		if (u) {
			u->hits = e->rule_hits[i];
			memcpy(u->key, ln_buf_text(key), key->len + 1);
			HASH_ADD_KEYPTR(hh, table, u->key, key->len, u);
		}
		if (!u || !u->hh.tbl) {
			free(u);
			ln_losses_no_memory(e, e->agent);
		}
	}
	return table;
}

/* Without memory some counts begin anew, no more. */
static void carry_hits(struct ln_engine *e, const struct ln_policy *policy, uint64_t *hits)
{
	struct ln_buf key = {0};
	struct used_rule *table = collect_used(e, &key), *u, *next;

	for (size_t i = 0; table && i < ln_policy_rules(policy); i++) {
		put_key(&key, ln_policy_rule(policy, i));
		HASH_FIND(hh, table, ln_buf_text(&key), key.len, u);
		if (u)
			hits[i] = u->hits;
	}
	HASH_ITER (hh, table, u, next) {
		HASH_DEL(table, u);
		free(u);
	}
	ln_buf_done(&key);
}

static void tell_policy(struct ln_engine *e, const struct ln_policy_news *news)
{
	struct ln_finding f = ln_engine_timed_finding(e, LN_FINDING_POLICY, e->agent, 0);

	f.policy = news;
	f.reason = news->refused;
	ln_engine_emit(e, &f);
}

int ln_engine_take_policy(struct ln_engine *e, const struct ln_policy *policy,
			  const struct ln_endpoint *resolvers, size_t n_resolvers, uint64_t now_ns,
			  uint64_t wall_ns)
{
	size_t n_rules = ln_policy_rules(policy);
	uint64_t *hits = calloc(n_rules + 1, sizeof(*hits));
	struct ln_limit_state *limits = ln_limits_new(policy);
	struct ln_candidates candidates = {0};
	struct ln_policy_news news = {.file = ln_policy_file(policy), .n_rules = n_rules};

	/* The old one stays whole until nothing can fail any more: the last step is all or none. */
	if (!hits || !limits || ln_candidates_init(&candidates, policy) < 0 ||
	    ln_engine_copy_resolvers(e, resolvers, n_resolvers) < 0) {
		free(hits);
		free(limits);
		ln_candidates_done(&candidates);
		return -ENOMEM;
	}
	carry_hits(e, policy, hits);
	free(e->rule_hits);
	e->rule_hits = hits;
	free(e->limit_states);
	e->limit_states = limits;
	ln_holds_set_candidates(e, &candidates);
	e->policy = policy;
	e->reason_rule = NULL;
	ln_names_set(e->names, LN_NAMES_MAX + n_rules, ln_policy_grace_ns(policy));
	ln_aliases_set_grace(e->aliases, ln_policy_grace_ns(policy));
	ln_bytes_policy_changed(e);
	ln_engine_tick(e, now_ns, wall_ns);
	ln_engine_grant_again(e);
	ln_flows_judge_anew(e, &news);
	tell_policy(e, &news);
	return 0;
}

void ln_engine_refuse_policy(struct ln_engine *e, const char *file, const char *why,
			     uint64_t now_ns, uint64_t wall_ns)
{
	const struct ln_policy_news news = {
	    .file = file, .refused = why, .n_rules = ln_policy_rules(e->policy)};

	ln_engine_tick(e, now_ns, wall_ns);
	tell_policy(e, &news);
}
