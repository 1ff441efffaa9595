/* SPDX-License-Identifier: Apache-2.0 */
#include "observed.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include "base/table.h"
#include "base/text.h"
#include "describe.h"
#include "dns/chain.h"
#include "dns/message.h"
#include "policy/pattern.h"

/* The lists for sockets and ports hold 256 rules (linnet.yaml(5)); names are cheap to invent. */
static const size_t MAX_OF[] = {
    [LN_OBSERVED_DEST] = 4096,   [LN_OBSERVED_CLAIM] = 256, [LN_OBSERVED_NAME] = 1024,
    [LN_OBSERVED_RESOLVER] = 64, [LN_OBSERVED_UNIX] = 200,  [LN_OBSERVED_INBOUND] = 200,
    [LN_OBSERVED_OTHER] = 256,
};
_Static_assert(LN_ARRAY_SIZE(MAX_OF) == LN_OBSERVED_KINDS, "a bound for each kind");

#define NAMES_PER_DOMAIN 64

struct key {
	uint8_t kind, proto;
	uint16_t port;
	char text[LN_NAME_MAX];
};

struct entry {
	struct ln_observed seen;
	struct key key;
	size_t key_len;
	UT_hash_handle hh;
};

struct flow {
	uint64_t id;
	struct entry *entry; /* borrowed; NULL: it was not kept */
	bool unexpected;
	UT_hash_handle hh;
};

struct ln_observations {
	struct entry *entries; /* owned */
	struct flow *flows;    /* owned; oldest first */
	size_t n[LN_OBSERVED_KINDS];
	uint64_t over[LN_OBSERVED_KINDS];
	uint8_t *used; /* owned; by rule id */
	size_t n_used;
	bool used_unknown; /* without memory all of them count as used: none is called needless */
	uint64_t last_wall_ns;
	struct ln_redact redact;
};

int ln_observations_new(struct ln_observations **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static void drop_flow(struct ln_observations *o, struct flow *f)
{
	HASH_DEL(o->flows, f);
	free(f);
}

static void drop_entry(struct ln_observations *o, struct entry *e)
{
	o->n[e->seen.kind]--;
	HASH_DEL(o->entries, e);
	free(e);
}

void ln_observations_free(struct ln_observations **o)
{
	if (!*o)
		return;
	while ((*o)->flows)
		drop_flow(*o, (*o)->flows);
	while ((*o)->entries)
		drop_entry(*o, (*o)->entries);
	ln_redact_done(&(*o)->redact);
	free((*o)->used);
	free(*o);
	*o = NULL;
}

static void note_rule(struct ln_observations *o, const struct ln_rule *rule)
{
	size_t need = (size_t)rule->id + 1;

	if (need > o->n_used) {
		size_t size = LN_MAX(need, 2 * o->n_used);
		uint8_t *used = realloc(o->used, size);

		if (!used) {
			o->used_unknown = true;
			return;
		}
		memset(used + o->n_used, 0, size - o->n_used);
		o->used = used;
		o->n_used = size;
	}
	o->used[rule->id] = 1;
}

bool ln_observations_rule_used(const struct ln_observations *o, uint32_t rule_id)
{
	return o->used_unknown || (rule_id < o->n_used && o->used[rule_id]);
}

/* Printable ASCII, so that it can stand anywhere; cut at the end. */
static void copy_plain(char *to, size_t size, struct ln_buf *text)
{
	const char *from = ln_buf_text(text);
	size_t n = 0;

	for (; from[n] && n + 1 < size; n++)
		to[n] = from[n] >= 0x20 && from[n] < 0x7f ? from[n] : '?';
	to[n] = '\0';
	if (from[n] && n > 3)
		memcpy(to + n - 3, "...", 3);
}

static void describe(struct ln_observations *o, const struct ln_finding *f, struct ln_observed *s)
{
	struct ln_buf text = {0};

	ln_describe_command(&text, f->proc, &o->redact);
	copy_plain(s->command, sizeof(s->command), &text);
	ln_buf_done(&text);
}

/* NULL: there is no room, which is counted. */
static struct entry *get(struct ln_observations *o, const struct ln_finding *f,
			 enum ln_observed_kind kind, const char *text, uint16_t port, uint8_t proto)
{
	struct key key = {.kind = (uint8_t)kind, .proto = proto, .port = port};
	size_t len;
	struct entry *e;

	snprintf(key.text, sizeof(key.text), "%s", text);
	len = offsetof(struct key, text) + strlen(key.text);
	HASH_FIND(hh, o->entries, &key, len, e);
	if (e)
		return e;
	e = o->n[kind] < MAX_OF[kind] ? calloc(1, sizeof(*e)) : NULL;
	if (!e) {
		o->over[kind]++;
		return NULL;
	}
	e->key = key;
	e->key_len = len;
	e->seen = (struct ln_observed){.kind = kind,
				       .port = port,
				       .proto = proto,
				       .listable = kind != LN_OBSERVED_OTHER,
				       .first_wall_ns = f->wall_ns};
	memcpy(e->seen.text, key.text, sizeof(key.text));
	describe(o, f, &e->seen);
	HASH_ADD(hh, o->entries, key, len, e);
	if (!e->hh.tbl) {
		free(e);
		o->over[kind]++;
		return NULL;
	}
	o->n[kind]++;
	return e;
}

static void add_addr(struct ln_observed *s, const struct ln_addr *addr)
{
	if (addr->family == 0)
		return;
	for (size_t i = 0; i < s->n_addrs; i++)
		if (ln_addr_equal(&s->addrs[i], addr))
			return;
	if (s->n_addrs < LN_OBSERVED_ADDRS)
		s->addrs[s->n_addrs++] = *addr;
	else
		s->more_addrs++;
}

/* What permits a part of it does not deny another part. */
static void note_verdict(struct ln_observed *s, const struct ln_finding *f)
{
	bool unexpected = f->verdict == LN_VERDICT_UNEXPECTED;
	char ports[128];

	s->count++;
	s->unexpected += unexpected;
	s->last_wall_ns = f->wall_ns;
	s->verdicts |= 1u << f->verdict;
	if (!f->rule)
		return;
	if (unexpected && !s->denied)
		s->rule[0] = '\0';
	s->denied = s->denied || unexpected;
	if (s->rule[0] == '\0')
		snprintf(s->rule, sizeof(s->rule), "line %u: %s %s", f->rule->line, f->rule->text,
			 ln_rule_ports_text(f->rule, ports, sizeof(ports)));
}

/* Whether it is news. */
static const struct ln_observed *count(struct entry *e, const struct ln_finding *f)
{
	if (!e)
		return NULL;
	note_verdict(&e->seen, f);
	return e->seen.count == 1 ? &e->seen : NULL;
}

static bool can_have_rule(uint8_t proto, uint16_t port)
{
	return (proto == IPPROTO_TCP || proto == IPPROTO_UDP) && port != 0;
}

/* The name that a policy would best list it by; NULL: none that evidence grants. */
static const char *best_name(const struct ln_finding *f)
{
	if (f->rule_name)
		return f->rule_name;
	return f->n_names > 0 && f->names[0].grants ? f->names[0].name : NULL;
}

static void copy_name(char to[LN_NAME_MAX], const char *name)
{
	snprintf(to, LN_NAME_MAX, "%s", name);
}

static struct entry *destination(struct ln_observations *o, const struct ln_finding *f,
				 const char *name, const struct ln_endpoint *remote, uint8_t proto)
{
	char text[LN_ADDR_TEXT_MAX];
	struct entry *e =
	    get(o, f, LN_OBSERVED_DEST, name ? name : ln_addr_format(&remote->addr, text),
		remote->port, proto);

	if (!e)
		return NULL;
	struct ln_observed *s = &e->seen;
	s->listable = can_have_rule(proto, remote->port);
	s->place = s->place ? s->place : f->place;
	add_addr(s, &remote->addr);
	if (name) {
		s->grade = LN_GRADE_TRUSTED;
		return e;
	}
	s->addr = remote->addr;
	if (s->grade == LN_GRADE_NONE && f->n_names > 0) {
		s->grade = LN_GRADE_CLAIMED;
		copy_name(s->called, f->names[0].name);
	}
	return e;
}

static void remember_flow(struct ln_observations *o, const struct ln_finding *f, struct entry *e)
{
	struct flow *flow;

	HASH_FIND(hh, o->flows, &f->flow->id, sizeof(f->flow->id), flow);
	if (flow)
		drop_flow(o, flow);
	if (HASH_COUNT(o->flows) >= LN_OBSERVED_FLOWS_MAX)
		drop_flow(o, o->flows);
	flow = calloc(1, sizeof(*flow));
	if (flow) {
		flow->id = f->flow->id;
		flow->entry = e;
		flow->unexpected = f->verdict == LN_VERDICT_UNEXPECTED;
		HASH_ADD(hh, o->flows, id, sizeof(flow->id), flow);
	}
	if (flow && flow->hh.tbl)
		return;
	free(flow);
	o->over[e ? e->seen.kind : LN_OBSERVED_OTHER]++;
}

static struct flow *find_flow(const struct ln_observations *o, uint64_t id)
{
	struct flow *flow;

	HASH_FIND(hh, o->flows, &id, sizeof(id), flow);
	return flow;
}

static struct entry *inbound(struct ln_observations *o, const struct ln_finding *f)
{
	struct entry *e = get(o, f, LN_OBSERVED_INBOUND, "", f->flow->local.port, f->flow->proto);

	if (!e)
		return NULL;
	e->seen.listable = can_have_rule(f->flow->proto, f->flow->local.port);
	add_addr(&e->seen, &f->flow->remote.addr);
	return e;
}

static const struct ln_observed *take_open(struct ln_observations *o, const struct ln_finding *f)
{
	const struct ln_flow *flow = f->flow;
	char text[LN_ADDR_TEXT_MAX];
	struct entry *e;

	if (f->verdict == LN_VERDICT_INTERNAL)
		return NULL;
	if (flow->inbound)
		e = inbound(o, f);
	else if (f->verdict == LN_VERDICT_DNS)
		e = get(o, f, LN_OBSERVED_RESOLVER, ln_addr_format(&flow->remote.addr, text),
			flow->remote.port, flow->proto);
	else
		e = destination(o, f, best_name(f), &flow->remote, flow->proto);
	if (e)
		e->seen.existing = flow->existing;
	remember_flow(o, f, e);
	return count(e, f);
}

static void take_close(struct ln_observations *o, const struct ln_finding *f)
{
	struct flow *flow = find_flow(o, f->flow->id);

	if (!flow)
		return;
	if (flow->entry && f->end) {
		flow->entry->seen.tx_bytes += f->end->tx_bytes;
		flow->entry->seen.rx_bytes += f->end->rx_bytes;
		flow->entry->seen.last_wall_ns = f->wall_ns;
	}
	/* An evicted one comes again, with what it sends later. */
	if (!f->end || !f->end->evicted)
		drop_flow(o, flow);
}

static bool has_alias(const struct ln_finding *f, const char *of, const char *alias)
{
	size_t len, alias_len = strlen(alias);
	const char *name;

	for (size_t i = 0; i < f->n_names; i++) {
		const char *at = f->names[i].chain;

		if (strcmp(f->names[i].name, of) != 0)
			continue;
		while (at && ln_chain_next(&at, &name, &len))
			if (len == alias_len && memcmp(name, alias, len) == 0)
				return true;
	}
	return false;
}

static bool is_granted(const struct ln_finding *f, const char *name)
{
	for (size_t i = 0; i < f->n_names; i++)
		if (f->names[i].grants && strcmp(f->names[i].name, name) == 0)
			return true;
	return false;
}

static const struct ln_observed *take_other(struct ln_observations *o, const struct ln_finding *f)
{
	char text[LN_NAME_MAX];

	if (!f->title || f->kind == LN_FINDING_REPEATS)
		return NULL;
	snprintf(text, sizeof(text), "%s%s%s", f->title, f->subject ? ": " : "",
		 f->subject ? f->subject : "");
	return count(get(o, f, LN_OBSERVED_OTHER, text, 0, 0), f);
}

/* Whom the relay was asked for. A name without a port was only to be looked up. */
static const struct ln_observed *take_relayed(struct ln_observations *o, const struct ln_finding *f)
{
	const struct ln_target *t = f->target;
	const char *name = t->name[0] ? t->name : best_name(f);

	if (t->depth == 0 || (!name && t->remote.addr.family == 0))
		return take_other(o, f);
	if (t->remote.port == 0)
		return name ? count(get(o, f, LN_OBSERVED_NAME, name, 0, 0), f) : NULL;
	return count(destination(o, f, name, &t->remote, t->proto), f);
}

/* The flow goes by the name that its bytes say, when evidence grants that one as well. */
static const struct ln_observed *rename_flow(struct ln_observations *o, const struct ln_finding *f,
					     struct flow *flow)
{
	struct entry *old = flow->entry;
	struct entry *e = destination(o, f, f->claim->name, &f->flow->remote, f->flow->proto);
	bool is_news = e && e->seen.count == 0;

	if (!e || e == old)
		return NULL;
	e->seen.count++;
	e->seen.unexpected++;
	e->seen.verdicts |= old->seen.verdicts;
	e->seen.last_wall_ns = f->wall_ns;
	flow->entry = e;
	old->seen.count--;
	old->seen.unexpected--;
	/* Each open flow of an entry is one of its count: nobody points there any more. */
	if (old->seen.count == 0)
		drop_entry(o, old);
	return is_news ? &e->seen : NULL;
}

/* What the bytes of a flow say about where it goes. A site that is not the one by which the flow
 * will be permitted has to be listed as well. */
static const struct ln_observed *take_claim(struct ln_observations *o, const struct ln_finding *f)
{
	const struct ln_claim *c = f->claim;
	struct flow *flow = find_flow(o, f->flow->id);
	const char *name = "";

	if (c->layer == LN_LAYER_HTTP_PROXY || c->layer == LN_LAYER_SOCKS4 ||
	    c->layer == LN_LAYER_SOCKS5)
		return take_relayed(o, f);
	if (f->target->depth > 0)
		name = f->target->name;
	else if (flow && flow->entry && flow->entry->seen.kind == LN_OBSERVED_DEST)
		name = flow->entry->seen.addr.family == 0 ? flow->entry->seen.text : "";
	if (name[0] == '\0' || c->name[0] == '\0' || strcmp(name, c->name) == 0 ||
	    f->verdict == LN_VERDICT_EXPECTED || f->verdict == LN_VERDICT_DYNAMIC ||
	    has_alias(f, name, c->name))
		return NULL;
	if (f->target->depth == 0 && flow->unexpected && is_granted(f, c->name))
		return rename_flow(o, f, flow);
	return count(
	    get(o, f, LN_OBSERVED_CLAIM, c->name, f->target->remote.port, f->target->proto), f);
}

static const struct ln_observed *take_query(struct ln_observations *o, const struct ln_finding *f)
{
	char name[LN_NAME_MAX];
	const char *host;

	if (!f->query || f->query[0] == '\0')
		return take_other(o, f);
	/* A tunnel in names must not fill the table, nor a policy. */
	if (f->group && f->group->names > NAMES_PER_DOMAIN) {
		o->over[LN_OBSERVED_NAME]++;
		return NULL;
	}
	host = ln_dns_host_of(f->query);
	struct entry *e = get(o, f, LN_OBSERVED_NAME, host, 0, 0);
	if (e)
		e->seen.listable = ln_name_canonical(host, strlen(host), name);
	return count(e, f);
}

/* Whether a policy can say it, in quotes of either kind, and it means itself there. */
static bool is_plain_path(const struct ln_channel *c, struct ln_socket_name *ret)
{
	if (!ln_socket_name_make(c->path, c->path_len, c->abstract, ret) ||
	    memchr(c->path, '\0', c->path_len))
		return false;
	for (size_t i = 0; i < ret->len; i++)
		if (ret->text[i] <= 0x20 || ret->text[i] >= 0x7f || strchr("\"'\\*", ret->text[i]))
			return false;
	return true;
}

static const struct ln_observed *take_unix(struct ln_observations *o, const struct ln_finding *f)
{
	const struct ln_channel *c = f->channel;
	struct ln_socket_name name;
	struct entry *e;

	if (f->verdict == LN_VERDICT_INTERNAL || c->path_len == 0)
		return NULL;
	if (!is_plain_path(c, &name)) {
		e = get(o, f, LN_OBSERVED_UNIX, f->subject ? f->subject : "?", 0, 0);
		if (e)
			e->seen.listable = false;
		return count(e, f);
	}
	name.text[LN_MIN(name.len, sizeof(name.text) - 1)] = '\0';
	e = get(o, f, LN_OBSERVED_UNIX, name.text, 0, 0);
	if (!e)
		return NULL;
	if (c->other.comm[0])
		snprintf(e->seen.called, sizeof(e->seen.called), "%.*s", (int)sizeof(c->other.comm),
			 c->other.comm);
	return count(e, f);
}

static bool is_inbound_channel(const struct ln_finding *f)
{
	return f->channel->kind == LN_CHANNEL_LISTEN && f->flow && (f->title || f->rule);
}

static bool is_subflow(const struct ln_finding *f)
{
	return f->wire_why == LN_WIRE_SUBFLOW && f->verdict == LN_VERDICT_UNEXPECTED;
}

bool ln_observed_can_be_listed(const struct ln_finding *f)
{
	struct ln_socket_name path;

	switch (f->kind) {
	case LN_FINDING_FLOW_OPEN:
	case LN_FINDING_FLOW_CLOSE:
		return f->verdict == LN_VERDICT_UNEXPECTED || !f->title;
	case LN_FINDING_DNS_QUERY:
		return f->query && f->query[0] != '\0';
	case LN_FINDING_CLAIM:
		return f->claim->name[0] != '\0' ||
		       (f->target->depth > 0 && f->target->remote.addr.family != 0);
	case LN_FINDING_CHANNEL:
		return is_inbound_channel(f) || (f->channel->kind == LN_CHANNEL_UNIX_SOCKET &&
						 is_plain_path(f->channel, &path));
	case LN_FINDING_WIRE:
		return is_subflow(f);
	case LN_FINDING_REPEATS:
		return f->verdict == LN_VERDICT_UNEXPECTED;
	default:
		return false;
	}
}

const struct ln_observed *ln_observe(struct ln_observations *o, const struct ln_finding *f)
{
	o->last_wall_ns = LN_MAX(o->last_wall_ns, f->wall_ns);
	if (f->rule && f->verdict != LN_VERDICT_UNEXPECTED)
		note_rule(o, f->rule);
	switch (f->kind) {
	case LN_FINDING_FLOW_OPEN:
		if (f->title && f->verdict != LN_VERDICT_UNEXPECTED)
			(void)take_other(o, f);
		return take_open(o, f);
	case LN_FINDING_FLOW_CLOSE:
		take_close(o, f);
		return NULL;
	case LN_FINDING_DNS_QUERY:
		return take_query(o, f);
	case LN_FINDING_CLAIM:
		return take_claim(o, f);
	case LN_FINDING_CHANNEL:
		if (f->channel->kind == LN_CHANNEL_UNIX_SOCKET)
			return take_unix(o, f);
		if (f->channel->kind == LN_CHANNEL_LISTEN)
			return is_inbound_channel(f) ? count(inbound(o, f), f) : NULL;
		return take_other(o, f);
	case LN_FINDING_WIRE:
		if (is_subflow(f))
			return count(destination(o, f, best_name(f), f->wire, f->flow->proto), f);
		return take_other(o, f);
	default:
		return take_other(o, f);
	}
}

static int compare(const void *a, const void *b)
{
	const struct ln_observed *x = *(const struct ln_observed *const *)a;
	const struct ln_observed *y = *(const struct ln_observed *const *)b;
	int by_text;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	by_text = strcmp(x->text, y->text);
	if (by_text != 0)
		return by_text;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	return (int)x->proto - (int)y->proto;
}

const struct ln_observed **ln_observations_sorted(const struct ln_observations *o, size_t *ret_n)
{
	size_t n = 0;
	const struct ln_observed **list = calloc(HASH_COUNT(o->entries) + 1, sizeof(*list));

	for (const struct entry *e = o->entries; list && e; e = e->hh.next)
		list[n++] = &e->seen;
	if (list)
		qsort(list, n, sizeof(list[0]), compare);
	*ret_n = n;
	return list;
}

uint64_t ln_observations_over(const struct ln_observations *o, enum ln_observed_kind k)
{
	return o->over[k];
}

uint64_t ln_observations_last_wall_ns(const struct ln_observations *o)
{
	return o->last_wall_ns;
}
