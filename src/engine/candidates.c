/* SPDX-License-Identifier: Apache-2.0 */
#include "candidates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/macros.h"
#include "policy/ports.h"

#define SCAN_MAX 4096
#define PICK_MAX 64

static int compare(const void *a, const void *b)
{
	const struct ln_candidate *x = a, *y = b;

	return strcmp(x->rule->name, y->rule->name);
}

int ln_candidates_init(struct ln_candidates *c, const struct ln_policy *policy)
{
	size_t rules = ln_policy_rules(policy);

	*c = (struct ln_candidates){0};
	c->list = calloc(rules + 1, sizeof(*c->list));
	if (!c->list)
		return -ENOMEM;
	for (size_t i = 0; i < rules; i++) {
		const struct ln_rule *rule = ln_policy_rule(policy, i);

		if (rule->dest == LN_DEST_NAME && rule->kind != LN_RULE_DENY)
			c->list[c->n++].rule = rule;
	}
	qsort(c->list, c->n, sizeof(*c->list), compare);
	return 0;
}

void ln_candidates_done(struct ln_candidates *c)
{
	free(c->list);
	*c = (struct ln_candidates){0};
}

void ln_candidates_answered(struct ln_candidates *c, const char *name, uint64_t until_ns)
{
	size_t first = 0, end = c->n;

	while (first < end) {
		size_t middle = first + (end - first) / 2;

		if (strcmp(c->list[middle].rule->name, name) < 0)
			first = middle + 1;
		else
			end = middle;
	}
	for (; first < c->n && strcmp(c->list[first].rule->name, name) == 0; first++)
		c->list[first].until_ns = LN_MAX(c->list[first].until_ns, until_ns);
}

/* Rules of one name stand together, but the walk may begin among them. */
static bool has(const char *const *names, size_t n, const char *name)
{
	for (size_t i = n; i-- > 0;) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

size_t ln_candidates_pick(struct ln_candidates *c, uint16_t port, uint8_t proto, uint64_t now_ns,
			  const char **ret, size_t max)
{
	const char *valid[PICK_MAX];
	size_t n = 0, n_valid = 0, left = LN_MIN(c->n, (size_t)SCAN_MAX);

	max = LN_MIN(max, (size_t)PICK_MAX);
	for (; left > 0 && n < max; left--) {
		const struct ln_candidate *one = &c->list[c->next];
		const char *name = one->rule->name;

		c->next = (c->next + 1) % c->n;
		if (!ln_rule_permits(one->rule, port, proto) || has(ret, n, name) ||
		    has(valid, n_valid, name))
			continue;
		if (one->until_ns <= now_ns)
			ret[n++] = name;
		else if (n_valid < max)
			valid[n_valid++] = name;
	}
	for (size_t i = 0; i < n_valid && n < max; i++)
		ret[n++] = valid[i];
	return n;
}
