/* SPDX-License-Identifier: Apache-2.0 */
#include "permits.h"

#include <errno.h>
#include <string.h>
#include "base/table.h"

#define NET_DEPTH_MAX 129 /* prefix lengths of a family */

/* Sets by what is in them. */
struct known_set {
	uint32_t id;
	size_t len;
	UT_hash_handle hh;
	uint8_t bytes[]; /* the ranges; of a set, and its key */
};

/* What is being built of a name. */
struct name_node {
	char *name; /* owned; key */
	size_t len;
	uint32_t first, last; /* own rules, chained by `next` of the builder; 0 none, else id + 1 */
	uint32_t at;          /* in permits->names */
	bool done;
	UT_hash_handle hh;
};

struct builder {
	const struct ln_policy *policy;
	struct ln_permits *out;
	struct known_set *known;
	uint64_t now_s;
	uint32_t *next; /* by rule id */
	struct ln_permit_range *work;
	size_t n_work, cap_work;
	size_t cap_ranges, cap_sets;
};

static bool counts(const struct builder *b, const struct ln_rule *r)
{
	return (r->kind == LN_RULE_EXPECTED || r->kind == LN_RULE_DYNAMIC ||
		r->kind == LN_RULE_DENY) &&
	       !ln_rule_is_over(r, b->now_s);
}

static int reserve(void **array, size_t *cap, size_t need, size_t size)
{
	size_t more = LN_MAX(need, 2 * *cap);
	void *grown;

	if (need <= *cap)
		return 0;
	grown = reallocarray(*array, more, size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*cap = more;
	return 0;
}

static int add_range(struct builder *b, const struct ln_permit_range *range)
{
	int r = reserve((void **)&b->work, &b->cap_work, b->n_work + 1, sizeof(*b->work));

	if (r == 0)
		b->work[b->n_work++] = *range;
	return r;
}

static int add_rule(struct builder *b, const struct ln_rule *rule)
{
	struct ln_permit_range range = {0, UINT16_MAX, rule->proto, rule->kind == LN_RULE_DENY};
	int r = 0;

	if (rule->n_ports == 0)
		return add_range(b, &range);
	for (size_t i = 0; r == 0 && i < rule->n_ports; i++) {
		range.first = rule->ports[i].first;
		range.last = rule->ports[i].last;
		r = add_range(b, &range);
	}
	return r;
}

static int add_set(struct builder *b, uint32_t id)
{
	struct ln_permit_set set = b->out->sets[id];
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < set.n; i++)
		r = add_range(b, &b->out->ranges[set.first + i]);
	return r;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct ln_permit_range *x = a, *y = b;

	if (x->deny != y->deny)
		return (int)y->deny - x->deny;
	if (x->proto != y->proto)
		return (int)x->proto - y->proto;
	return x->first != y->first ? (int)x->first - y->first : (int)x->last - y->last;
}

/* Sorted, and none that touch one another. */
static void merge_work(struct builder *b)
{
	size_t n = 0;

	if (b->n_work == 0)
		return;
	qsort(b->work, b->n_work, sizeof(b->work[0]), compare_ranges);
	for (size_t i = 1; i < b->n_work; i++) {
		struct ln_permit_range *last = &b->work[n];
		const struct ln_permit_range *one = &b->work[i];

		if (one->deny == last->deny && one->proto == last->proto &&
		    one->first <= (uint32_t)last->last + 1)
			last->last = LN_MAX(last->last, one->last);
		else
			b->work[++n] = *one;
	}
	b->n_work = n + 1;
}

static int new_set(struct builder *b, uint32_t *ret)
{
	struct ln_permits *out = b->out;
	int r = reserve((void **)&out->sets, &b->cap_sets, out->n_sets + 1, sizeof(*out->sets));

	if (r == 0)
		r = reserve((void **)&out->ranges, &b->cap_ranges, out->n_ranges + b->n_work,
			    sizeof(*out->ranges));
	if (r < 0)
		return r;
	out->sets[out->n_sets] =
	    (struct ln_permit_set){(uint32_t)out->n_ranges, (uint32_t)b->n_work};
	if (b->n_work > 0)
		memcpy(out->ranges + out->n_ranges, b->work, b->n_work * sizeof(*b->work));
	out->n_ranges += b->n_work;
	*ret = (uint32_t)out->n_sets++;
	return 0;
}

/* The set of what was collected, which is then empty again. */
static int take_set(struct builder *b, uint32_t *ret)
{
	struct known_set *known;
	size_t len;
	int r;

	merge_work(b);
	len = b->n_work * sizeof(*b->work);
	if (len == 0) {
		*ret = 0;
		return 0;
	}
	HASH_FIND(hh, b->known, b->work, len, known);
	if (!known) {
		known = calloc(1, sizeof(*known) + len);
		if (!known)
			return -ENOMEM;
		r = new_set(b, &known->id);
		memcpy(known->bytes, b->work, len);
		if (r == 0)
			HASH_ADD_KEYPTR(hh, b->known, known->bytes, len, known);
		if (r < 0 || !known->hh.tbl) {
			free(known);
			return -ENOMEM;
		}
	}
	b->n_work = 0;
	*ret = known->id;
	return 0;
}

static int compare_nets(const struct ln_net *x, const struct ln_net *y)
{
	int r = (int)x->addr.family - y->addr.family;

	if (r == 0)
		r = memcmp(x->addr.bytes, y->addr.bytes, sizeof(x->addr.bytes));
	return r ? r : (int)x->prefix_len - y->prefix_len;
}

static int compare_net_rules(const void *a, const void *b)
{
	const struct ln_rule *const *x = a, *const *y = b;

	return compare_nets(&(*x)->net, &(*y)->net);
}

/* Sorted, a network comes after all that contain it; those that do are kept on a stack. */
static int build_nets(struct builder *b, const struct ln_rule **rules, size_t n)
{
	uint32_t stack[NET_DEPTH_MAX];
	size_t depth = 0, i = 0;
	int r = 0;

	qsort(rules, n, sizeof(*rules), compare_net_rules);
	b->out->nets = calloc(n + 1, sizeof(*b->out->nets));
	if (!b->out->nets)
		return -ENOMEM;
	while (r == 0 && i < n) {
		const struct ln_net *net = &rules[i]->net;
		struct ln_permit_net *one = &b->out->nets[b->out->n_nets];

		while (depth > 0 &&
		       !ln_net_contains(&b->out->nets[stack[depth - 1]].net, &net->addr))
			depth--;
		if (depth > 0)
			r = add_set(b, b->out->nets[stack[depth - 1]].set);
		one->net = *net;
		for (; r == 0 && i < n && compare_nets(net, &rules[i]->net) == 0; i++)
			r = add_rule(b, rules[i]);
		if (r == 0)
			r = take_set(b, &one->set);
		stack[depth++] = (uint32_t)b->out->n_nets++;
	}
	return r;
}

static struct name_node *find_node(struct name_node *nodes, const char *name, size_t len)
{
	struct name_node *node;

	HASH_FIND(hh, nodes, name, len, node);
	return node;
}

static int add_name(struct builder *b, struct name_node **nodes, const struct ln_rule *rule)
{
	size_t len = strlen(rule->name);
	struct name_node *node = find_node(*nodes, rule->name, len);

	if (!node) {
		node = calloc(1, sizeof(*node));
		if (!node)
			return -ENOMEM;
		node->name = strdup(rule->name);
		node->len = len;
		if (!node->name) {
			free(node);
			return -ENOMEM;
		}
		HASH_ADD_KEYPTR(hh, *nodes, node->name, node->len, node);
		if (!node->hh.tbl) {
			free(node->name);
			free(node);
			return -ENOMEM;
		}
		node->at = (uint32_t)HASH_COUNT(*nodes) - 1;
	}
	if (node->last)
		b->next[node->last - 1] = rule->id + 1;
	else
		node->first = rule->id + 1;
	node->last = rule->id + 1;
	return 0;
}

static int build_name(struct builder *b, struct name_node *nodes, struct name_node *node);

/* What holds below the closest suffix that some rule is about. */
static int above(struct builder *b, struct name_node *nodes, const struct name_node *node,
		 uint32_t *ret)
{
	*ret = 0;
	for (const char *dot = strchr(node->name, '.'); dot; dot = strchr(dot + 1, '.')) {
		struct name_node *up = find_node(nodes, dot + 1, strlen(dot + 1));
		int r;

		if (!up)
			continue;
		r = build_name(b, nodes, up);
		*ret = b->out->names[up->at].below;
		return r;
	}
	return 0;
}

static int own_rules(struct builder *b, const struct name_node *node, enum ln_dest_kind dest)
{
	int r = 0;

	for (uint32_t i = node->first; r == 0 && i; i = b->next[i - 1]) {
		const struct ln_rule *rule = ln_policy_rule(b->policy, i - 1);

		if (rule->dest == dest)
			r = add_rule(b, rule);
	}
	return r;
}

static int build_name(struct builder *b, struct name_node *nodes, struct name_node *node)
{
	struct ln_permit_name *one = &b->out->names[node->at];
	uint32_t up = 0;
	int r;

	if (node->done)
		return 0;
	node->done = true;
	r = above(b, nodes, node, &up);
	if (r == 0)
		r = add_set(b, up);
	if (r == 0)
		r = own_rules(b, node, LN_DEST_SUFFIX);
	if (r == 0)
		r = take_set(b, &one->below);
	if (r == 0)
		r = add_set(b, up);
	if (r == 0)
		r = own_rules(b, node, LN_DEST_NAME);
	if (r == 0)
		r = take_set(b, &one->whole);
	one->name = node->name;
	return r;
}

static int build_names(struct builder *b, struct name_node *nodes)
{
	struct name_node *node, *next;
	int r = 0;

	b->out->names = calloc(HASH_COUNT(nodes) + 1, sizeof(*b->out->names));
	if (!b->out->names)
		return -ENOMEM;
	b->out->n_names = HASH_COUNT(nodes);
	HASH_ITER (hh, nodes, node, next) {
		if (r == 0)
			r = build_name(b, nodes, node);
	}
	return r;
}

static int build(struct builder *b, struct name_node **nodes)
{
	size_t n = ln_policy_rules(b->policy), n_nets = 0;
	LN_AUTO_FREE const struct ln_rule **nets = calloc(n + 1, sizeof(*nets));
	uint32_t none;
	int r;

	b->next = calloc(n + 1, sizeof(*b->next));
	if (!nets || !b->next)
		return -ENOMEM;
	r = new_set(b, &none);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct ln_rule *rule = ln_policy_rule(b->policy, i);

		if (!counts(b, rule))
			continue;
		if (rule->dest == LN_DEST_NET)
			nets[n_nets++] = rule;
		else
			r = add_name(b, nodes, rule);
	}
	if (r == 0)
		r = build_nets(b, nets, n_nets);
	return r == 0 ? build_names(b, *nodes) : r;
}

int ln_permits_new(const struct ln_policy *p, uint64_t now_s, struct ln_permits **ret)
{
	struct builder b = {.policy = p, .now_s = now_s};
	struct name_node *nodes = NULL;
	struct known_set *known, *next;
	int r;

	b.out = calloc(1, sizeof(*b.out));
	if (!b.out)
		return -ENOMEM;
	r = build(&b, &nodes);
	b.out->index = nodes;
	HASH_ITER (hh, b.known, known, next) {
		HASH_DEL(b.known, known);
		free(known);
	}
	free(b.work);
	free(b.next);
	if (r < 0) {
		ln_permits_free(&b.out);
		return r;
	}
	*ret = b.out;
	return 0;
}

void ln_permits_free(struct ln_permits **permits)
{
	struct ln_permits *p = *permits;
	struct name_node *nodes, *node, *next;

	if (!p)
		return;
	nodes = p->index;
	HASH_ITER (hh, nodes, node, next) {
		HASH_DEL(nodes, node);
		free(node->name);
		free(node);
	}
	free(p->ranges);
	free(p->sets);
	free(p->nets);
	free(p->names);
	free(p);
	*permits = NULL;
}

uint32_t ln_permits_find_name(const struct ln_permits *p, const char *name)
{
	struct name_node *nodes = p->index;
	const struct name_node *node = find_node(nodes, name, strlen(name));

	if (node)
		return p->names[node->at].whole;
	for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
		node = find_node(nodes, dot + 1, strlen(dot + 1));
		if (node)
			return p->names[node->at].below;
	}
	return 0;
}

const struct ln_permit_net *ln_permits_find_net(const struct ln_permits *p,
						const struct ln_net *net)
{
	size_t low = 0, high = p->n_nets;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int r = compare_nets(net, &p->nets[mid].net);

		if (r == 0)
			return &p->nets[mid];
		if (r < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}
