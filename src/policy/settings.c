/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a policy that are no lists of rules. */
#include <string.h>
#include "duration.h"
#include "loader.h"

#define DNS_PORT    53
#define GRACE_MAX_S (24 * 3600)

void ln_settings_read_resolver(struct ln_loader *l, const struct ln_yaml_node *item)
{
	struct ln_policy *p = l->policy;
	struct ln_endpoint ep;
	char quote[LN_QUOTE_MAX];

	if (item->kind != LN_YAML_SCALAR || strlen(item->text) != item->len ||
	    !ln_endpoint_parse(item->text, DNS_PORT, &ep) || ep.port == 0) {
		ln_report_error(
		    &l->report, item->at,
		    "a resolver must be an address, \"192.0.2.53\", \"192.0.2.53:5353\" "
		    "or \"[2001:db8::53]:5353\" (found %s)",
		    ln_yaml_found(item, quote));
		return;
	}
	for (size_t i = 0; i < p->n_resolvers; i++) {
		if (p->resolvers[i].port == ep.port &&
		    ln_addr_equal(&p->resolvers[i].addr, &ep.addr)) {
			ln_report_error(&l->report, item->at,
					"this resolver is listed already; remove it");
			return;
		}
	}
	if (p->n_resolvers == LN_RESOLVERS_MAX) {
		ln_report_error(&l->report, item->at, "more than %d resolvers; remove some",
				LN_RESOLVERS_MAX);
		return;
	}
	p->resolvers[p->n_resolvers++] = ep;
}

void ln_settings_read_dns(struct ln_loader *l, const struct ln_yaml_node *value)
{
	struct ln_field f[] = {{"grace"}};
	char quote[LN_QUOTE_MAX];

	if (!value || value->kind == LN_YAML_REPORTED)
		return;
	if (value->kind != LN_YAML_MAP || (!value->child && !value->cut)) {
		ln_report_error(&l->report, value->at,
				"dns must be a mapping with grace (found %s); resolvers have a key "
				"of their own, \"resolvers\"",
				value->kind == LN_YAML_MAP ? "nothing"
							   : ln_yaml_found(value, quote));
		return;
	}
	ln_fields_read(value, f, LN_ARRAY_SIZE(f), &l->report);
	if (f[0].value)
		ln_duration_parse(f[0].value, f[0].key, 0, GRACE_MAX_S, &l->report,
				  &l->policy->grace_ns);
}

void ln_settings_read_mode(struct ln_loader *l, const struct ln_yaml_node *value)
{
	const char *words[LN_MODE_COUNT];
	int i;

	for (i = 0; i < LN_MODE_COUNT; i++)
		words[i] = ln_mode_text(i);
	i = ln_loader_word(l, value, "mode", words, LN_ARRAY_SIZE(words));
	if (i >= 0)
		l->policy->mode = (enum ln_mode)i;
}

void ln_settings_read_on_failure(struct ln_loader *l, const struct ln_yaml_node *value)
{
	static const char *const words[] = {"open", "closed"};
	int i = ln_loader_word(l, value, "on_failure", words, LN_ARRAY_SIZE(words));

	if (i >= 0)
		l->policy->fails_closed = i == 1;
}

void ln_settings_read_loopback(struct ln_loader *l, const struct ln_yaml_node *value)
{
	static const char *const words[] = {
	    [LN_LOOPBACK_JUDGE] = "judge", [LN_LOOPBACK_ALLOW] = "allow"};
	int i = ln_loader_word(l, value, "loopback", words, LN_ARRAY_SIZE(words));

	if (i >= 0)
		l->policy->loopback = (enum ln_loopback)i;
}
