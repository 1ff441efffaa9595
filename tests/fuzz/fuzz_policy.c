/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a policy: refused with messages, or a policy that can be asked about itself. The
 * first byte's lowest bit is strict mode. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/parse.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
	for (; *text; text++) {
		if ((uint8_t)*text < 0x20 || *text == 0x7f)
			abort();
	}
}

/* A path that the pattern stands for: something for each star. */
static void ask_unix(const struct ln_policy *p, const struct ln_rule *r)
{
	bool abstract = r->name[0] == '@';
	char path[LN_NAME_MAX];
	size_t len = strlen(r->name);

	if (len > 108)
		abort();
	memcpy(path, r->name, len + 1);
	for (size_t i = 0; i < len; i++)
		path[i] = path[i] == '*' ? 'a' : path[i];
	if (!ln_policy_polices_unix(p) ||
	    !ln_policy_match_unix(p, path + abstract, len - abstract, abstract, 0))
		abort();
	ln_policy_match_unix(p, r->text, strlen(r->text), !abstract, 0);
}

static void ask_inbound(const struct ln_policy *p, const struct ln_rule *r)
{
	uint16_t port = r->n_ports > 0 ? r->ports[0].first : 9;
	uint8_t proto = r->proto > 0 ? r->proto : 17;
	struct ln_addr from = r->net.addr.family ? r->net.addr : (struct ln_addr){.family = 6};

	if (!ln_policy_match_inbound(p, proto, port, NULL, 0) ||
	    !ln_policy_match_inbound(p, proto, port, &from, 0))
		abort();
}

static bool denies(const struct ln_policy *p)
{
	for (size_t i = 0; i < ln_policy_rules(p); i++) {
		if (ln_policy_rule(p, i)->kind == LN_RULE_DENY)
			return true;
	}
	return false;
}

/* Each rule must be found by what it says itself, unless a denying one wins. */
static void ask(const struct ln_policy *p, const struct ln_rule *r, bool denied)
{
	const char *name = r->name;
	char below[LN_NAME_MAX + 2], buf[32];
	struct ln_query q = {.port = r->n_ports > 0 ? r->ports[0].first : 9,
			     .proto = r->proto > 0 ? r->proto : 6,
			     .granting = &name};
	struct ln_match m;

	ln_rule_ports_text(r, buf, sizeof(buf));
	if (r->kind == LN_RULE_UNIX) {
		ask_unix(p, r);
		return;
	}
	if (r->kind == LN_RULE_INBOUND) {
		ask_inbound(p, r);
		return;
	}
	if (r->dest == LN_DEST_NET) {
		q.addr = r->net.addr;
		if (!ln_policy_covers_addr(p, &q.addr, 0) && !denied)
			abort();
	} else {
		if (r->dest == LN_DEST_SUFFIX) {
			snprintf(below, sizeof(below), "a.%s", r->name);
			name = below;
		}
		if (strlen(name) >= LN_NAME_MAX)
			return;
		q.n_granting = 1;
		if (!ln_policy_covers_name(p, name, 0) && !denied)
			abort();
	}
	ln_policy_match(p, &q, &m);
	if (!m.rule || m.denied != (m.rule->kind == LN_RULE_DENY) ||
	    (r->kind == LN_RULE_DENY && !m.denied) || (m.denied && !denied))
		abort();
	if (r->expires_s != 0) {
		q.now_s = r->expires_s;
		ln_policy_match(p, &q, &m);
		if (m.rule ? ln_rule_is_over(m.rule, q.now_s) : !m.expired)
			abort();
		q.now_s = 0;
	}
	q.port ^= 1;
	q.n_naming = q.n_granting;
	q.naming = q.granting;
	q.n_granting = 0;
	ln_policy_match(p, &q, &m);
	if (r->kind != LN_RULE_DENY && !m.rule && m.near == LN_NEAR_NONE)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ln_diags diags = {0};
	struct ln_policy *p = NULL;
	int err;
	bool denied;

	if (size == 0)
		return 0;
	err =
	    ln_policy_parse("fuzz.yaml", (const char *)data + 1, size - 1, data[0] & 1, &diags, &p);
	if ((err == 0) != (p != NULL) || (err == 0) != (diags.n_errors == 0) ||
	    (p && ln_policy_rules(p) == 0))
		abort();
	for (size_t i = 0; i < diags.n; i++)
		check_text(diags.list[i].text);
	denied = p && denies(p);
	for (size_t i = 0; p && i < ln_policy_rules(p); i++)
		ask(p, ln_policy_rule(p, i), denied);
	ln_diags_done(&diags);
	ln_policy_free(&p);
	return 0;
}
