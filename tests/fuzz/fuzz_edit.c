/* SPDX-License-Identifier: Apache-2.0 */
/* Any policy that is accepted, as a person wrote it, edited by `linnet learn`: what comes out is a
 * policy still, it permits what it permitted, and it says what was added. */
#include <netinet/in.h>
#include "output/policy_edit.h"
#include "policy/parse.h"
#include "text_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WALL_NS (1795824000ULL * LN_NS_PER_S) /* 2026-11-28 */

static void see_flow(struct ln_observations *o, const char *name, const char *remote, bool inbound)
{
	static uint64_t id;
	struct ln_name_evidence evidence = {.source = LN_NAME_ANSWER, .grants = true};
	struct ln_flow flow = {.id = ++id, .proto = IPPROTO_TCP, .inbound = inbound};
	const struct ln_finding f = {.kind = LN_FINDING_FLOW_OPEN,
				     .wall_ns = WALL_NS,
				     .verdict = LN_VERDICT_UNEXPECTED,
				     .title = "x",
				     .flow = &flow,
				     .names = &evidence,
				     .n_names = name != NULL};

	require(ln_endpoint_parse(remote, 0, &flow.remote));
	flow.local = flow.remote;
	snprintf(evidence.name, sizeof(evidence.name), "%s", name ? name : "");
	(void)ln_observe(o, &f);
}

/* One of each kind that a policy can list. */
static struct ln_observations *observations(void)
{
	const struct ln_finding question = {.kind = LN_FINDING_DNS_QUERY,
					    .wall_ns = WALL_NS,
					    .verdict = LN_VERDICT_UNEXPECTED,
					    .title = "x",
					    .query = "asked.example.net"};
	struct ln_channel channel = {.kind = LN_CHANNEL_UNIX_SOCKET,
				     .path = "/run/docker.sock",
				     .path_len = strlen("/run/docker.sock")};
	const struct ln_finding socket = {.kind = LN_FINDING_CHANNEL,
					  .wall_ns = WALL_NS,
					  .verdict = LN_VERDICT_UNEXPECTED,
					  .title = "x",
					  .channel = &channel};
	struct ln_observations *o;

	require(ln_observations_new(&o) == 0);
	see_flow(o, "new.example.net", "203.0.113.7:443", false);
	see_flow(o, NULL, "203.0.113.8:8443", false);
	see_flow(o, NULL, "198.51.100.1:9090", true);
	(void)ln_observe(o, &question);
	(void)ln_observe(o, &socket);
	return o;
}

static struct ln_policy *parse(const char *text, size_t len)
{
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;

	(void)ln_policy_parse("fuzz.yaml", text, len, false, &diags, &policy);
	ln_diags_done(&diags);
	return policy;
}

static void check_edit(struct ln_policy_edit *e, const struct ln_policy *before)
{
	struct ln_buf text = {0}, diff = {0};
	struct ln_policy *after;

	ln_diff_apply(&text, &e->lines, &e->changes, e->eol);
	ln_diff_write(&diff, "fuzz.yaml", &e->lines, &e->changes, e->eol);
	require((e->changes.n > 0) == (diff.len > 0));
	after = parse(ln_buf_text(&text), text.len);
	require(after != NULL);
	require(ln_policy_rules(after) == ln_policy_rules(before) + e->added);
	ln_policy_free(&after);
	ln_buf_done(&text);
	ln_buf_done(&diff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct ln_policy *policy = parse(text, size);
	struct ln_observations *seen;
	struct ln_proposals proposals;
	struct ln_policy_edit edit;
	struct ln_error err = {0};

	if (!policy)
		return 0;
	seen = observations();
	require(ln_propose(seen, &(struct ln_propose_config){.policy = policy, .existing = true},
			   &proposals) == 0);
	const struct ln_policy_edit_config config = {.text = text,
						     .len = size,
						     .policy = policy,
						     .proposals = &proposals,
						     .seen = seen,
						     .wall_ns = WALL_NS};
	if (ln_policy_edit_make(&config, &err, &edit) == 0) {
		check_edit(&edit, policy);
		ln_policy_edit_done(&edit);
	} else {
		require(err.text[0] != '\0');
	}
	ln_proposals_done(&proposals);
	ln_observations_free(&seen);
	ln_policy_free(&policy);
	return 0;
}
