/* SPDX-License-Identifier: Apache-2.0 */
/* `limits:`. What they count is elsewhere; here is what they say and what they cover. */
#include <string.h>
#include "amount.h"
#include "dest.h"
#include "duration.h"
#include "loader.h"

#define PERIOD_MIN_S 1
#define PERIOD_MAX_S (31 * 24 * 3600)

static bool keep(struct ln_policy *p, const struct ln_limit *draft, const struct ln_dest *dest)
{
	struct ln_limit *list = realloc(p->limits, (p->n_limits + 1) * sizeof(*list)), *limit;

	if (!list)
		return false;
	p->limits = list;
	limit = &list[p->n_limits++];
	*limit = *draft;
	if (!draft->text)
		return true;
	limit->text = strdup(draft->text);
	limit->dest = dest->kind;
	if (dest->kind == LN_DEST_NET)
		limit->net = dest->net;
	else
		limit->name = strdup(dest->name);
	return limit->text && (limit->name || dest->kind == LN_DEST_NET);
}

static bool same_destination(const struct ln_limit *limit, const struct ln_limit *draft,
			     const struct ln_dest *dest)
{
	if (!limit->text || !draft->text)
		return !limit->text && !draft->text;
	if (limit->dest != dest->kind)
		return false;
	if (dest->kind != LN_DEST_NET)
		return strcmp(limit->name, dest->name) == 0;
	return limit->net.prefix_len == dest->net.prefix_len &&
	       ln_addr_equal(&limit->net.addr, &dest->net.addr);
}

/* Two for the same, in the same period, of which one would never be reached first. */
static bool is_repeated(struct ln_loader *l, const struct ln_limit *draft,
			const struct ln_dest *dest, struct ln_place at)
{
	const struct ln_policy *p = l->policy;

	for (size_t i = 0; i < p->n_limits; i++) {
		const struct ln_limit *other = &p->limits[i];

		if (other->period_ns != draft->period_ns || !same_destination(other, draft, dest) ||
		    ((other->bytes_out == 0 || draft->bytes_out == 0) &&
		     (other->new_destinations == 0 || draft->new_destinations == 0)))
			continue;
		ln_report_error(&l->report, at,
				"line %u limits the same in the same period; keep one of the two",
				other->line);
		return true;
	}
	return false;
}

void ln_limits_read(struct ln_loader *l, const struct ln_yaml_node *item)
{
	struct ln_field f[] = {
	    {"destination"},
	    {"bytes_out"},
	    {"new_destinations"},
	    {"period", "period: the time in which it counts, as 1h"},
	};
	struct ln_limit draft = {.line = item->at.line};
	struct ln_dest dest = {.kind = LN_DEST_NAME};
	char quote[LN_QUOTE_MAX];
	bool good;

	if (item->kind != LN_YAML_MAP) {
		ln_report_error(&l->report, item->at,
				"a limit must be a mapping with bytes_out or new_destinations, and "
				"period (found %s)",
				ln_yaml_found(item, quote));
		return;
	}
	good = ln_fields_read(item, f, LN_ARRAY_SIZE(f), &l->report);
	if (f[0].value) {
		draft.text = (char *)f[0].value->text;
		good &= ln_dest_parse(f[0].value, f[0].key, NULL, &l->report, &dest);
	}
	if (f[1].value)
		good &= ln_bytes_parse(f[1].value, f[1].key, &l->report, &draft.bytes_out);
	if (f[2].value)
		good &= ln_count_parse(f[2].value, f[2].key, &l->report, &draft.new_destinations);
	if (f[3].value)
		good &= ln_duration_parse(f[3].value, f[3].key, PERIOD_MIN_S, PERIOD_MAX_S,
					  &l->report, &draft.period_ns);
	if (!f[1].value && !f[2].value && !item->cut && !f[1].misspelt && !f[2].misspelt) {
		ln_report_error(&l->report, item->at,
				"this limits nothing; add bytes_out or new_destinations");
		return;
	}
	if (!good || is_repeated(l, &draft, &dest, item->at))
		return;
	if (l->policy->n_limits == LN_SETTINGS_MAX)
		ln_report_error(&l->report, item->at, "more than %d limits; remove some",
				LN_SETTINGS_MAX);
	else
		l->report.no_memory |= !keep(l->policy, &draft, &dest);
}

bool ln_limit_covers(const struct ln_limit *l, const struct ln_addr *addr, const char *const *names,
		     size_t n_names)
{
	if (!l->text)
		return true;
	if (l->dest == LN_DEST_NET)
		return ln_net_contains(&l->net, addr);
	for (size_t i = 0; i < n_names; i++) {
		bool same = strcmp(names[i], l->name) == 0;

		if (l->dest == LN_DEST_NAME ? same : !same && ln_name_under(names[i], l->name))
			return true;
	}
	return false;
}

size_t ln_policy_limits(const struct ln_policy *p, const struct ln_limit **ret)
{
	*ret = p->limits;
	return p->n_limits;
}

void ln_limits_free(struct ln_policy *p)
{
	for (size_t i = 0; i < p->n_limits; i++) {
		free(p->limits[i].text);
		free(p->limits[i].name);
	}
	free(p->limits);
}
