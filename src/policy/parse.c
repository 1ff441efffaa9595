/* SPDX-License-Identifier: Apache-2.0 */
#include "parse.h"

#include <errno.h>
#include <string.h>
#include "checks.h"
#include "dest.h"
#include "duration.h"
#include "fields.h"
#include "index.h"
#include "pattern.h"
#include "ports.h"
#include "source.h"

#define AGENT_NAME_MAX 128
#define PURPOSE_MAX    1024
#define RESOLVERS_MAX  16
#define DNS_PORT       53

struct loader {
	struct ln_report report;
	struct ln_suffixes suffixes;
	struct ln_policy *policy; /* owned until handed out */
	struct ln_place *places;  /* owned; of each rule's destination, by rule id */
	size_t cap;               /* of places and of the policy's rules */
	bool full[LN_RULE_COUNT]; /* a list has more than LN_LOCAL_MAX, which was told */
};

/* What is known of a rule while its mapping is read. */
struct draft {
	enum ln_rule_kind kind;
	const char *text; /* destination as written */
	struct ln_place at;
	struct ln_dest dest;
	struct ln_ports ports;
	uint8_t proto;
	const struct ln_yaml_node *purpose; /* NULL: none */
	size_t purpose_len;
	uint32_t line;
};

static bool grow(struct loader *l)
{
	size_t cap = LN_MAX(l->cap * 2, (size_t)16);
	struct ln_rule *rules;
	struct ln_place *places;

	if (l->policy->n_rules < l->cap)
		return true;
	rules = realloc(l->policy->rules, cap * sizeof(*rules));
	if (!rules)
		return false;
	l->policy->rules = rules;
	places = realloc(l->places, cap * sizeof(*places));
	if (!places)
		return false;
	l->places = places;
	l->cap = cap;
	return true;
}

static bool copy_ports(const struct ln_ports *ports, struct ln_rule *rule)
{
	if (ports->n == 0)
		return true;
	rule->ports = malloc(ports->n * sizeof(ports->list[0]));
	if (!rule->ports)
		return false;
	memcpy(rule->ports, ports->list, ports->n * sizeof(ports->list[0]));
	rule->n_ports = ports->n;
	return true;
}

static void add_rule(struct loader *l, const struct draft *d)
{
	struct ln_rule *rule;
	bool good;

	if (!grow(l)) {
		l->report.no_memory = true;
		return;
	}
	rule = &l->policy->rules[l->policy->n_rules];
	*rule = (struct ln_rule){.kind = d->kind,
				 .dest = d->dest.kind,
				 .id = (uint32_t)l->policy->n_rules,
				 .line = d->line,
				 .proto = d->proto,
				 .text = strdup(d->text)};
	good = rule->text && copy_ports(&d->ports, rule);
	if (d->dest.kind == LN_DEST_NET) {
		rule->net = d->dest.net;
	} else {
		rule->name = strdup(d->dest.name);
		good = good && rule->name;
	}
	if (d->purpose) {
		rule->purpose = strndup(d->purpose->text, d->purpose_len);
		good = good && rule->purpose;
	}
	l->places[l->policy->n_rules++] = d->at;
	l->report.no_memory |= !good;
}

/* Text for people: no control character but line breaks and tabs. Its length without blanks at
 * the end, 0: nothing but blanks; or false, and reported. */
static bool read_text(struct loader *l, const struct ln_yaml_node *n, const char *key, size_t max,
		      bool one_line, size_t *ret_len)
{
	char quote[LN_QUOTE_MAX];
	size_t len = n->len;

	if (n->kind == LN_YAML_REPORTED)
		return false;
	if (n->kind != LN_YAML_SCALAR) {
		ln_report_error(&l->report, n->at, "%s must be text (found %s)", key,
				ln_yaml_found(n, quote));
		return false;
	}
	while (len > 0 &&
	       (n->text[len - 1] == ' ' || n->text[len - 1] == '\t' || n->text[len - 1] == '\n'))
		len--;
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)n->text[i];

		if (c != 0x7f && (c >= 0x20 || (!one_line && (c == '\n' || c == '\t'))))
			continue;
		ln_report_error(
		    &l->report, n->at,
		    "%s holds a line break or a control character (found %s); remove it", key,
		    ln_report_quote(quote, n->text, n->len));
		return false;
	}
	if (len > max) {
		ln_report_error(&l->report, n->at, "%s is longer than %zu bytes; shorten it", key,
				max);
		return false;
	}
	*ret_len = ln_yaml_is_null(n) ? 0 : len;
	return true;
}

static bool read_purpose(struct loader *l, const struct ln_yaml_node *map,
			 const struct ln_yaml_node *value, struct draft *d)
{
	static const char *const need[] = {
	    [LN_RULE_EXPECTED] = "destination",
	    [LN_RULE_DYNAMIC] = "name",
	    [LN_RULE_UNIX] = "socket",
	    [LN_RULE_INBOUND] = "port",
	};
	_Static_assert(LN_ARRAY_SIZE(need) == LN_RULE_COUNT, "a word for each kind");
	size_t len = 0;

	if (value && !read_text(l, value, "purpose", PURPOSE_MAX, false, &len))
		return false;
	if (len > 0) {
		d->purpose = value;
		d->purpose_len = len;
	} else if (l->report.strict && !map->cut) {
		ln_report_error(&l->report, value ? value->at : map->at,
				"\"purpose\" is missing; say what the agent needs this %s for%s "
				"(strict mode)",
				need[d->kind],
				map->kind == LN_YAML_MAP ? "" : ", as {path: …, purpose: …}");
		return false;
	}
	return true;
}

static bool read_dest(struct loader *l, const struct ln_yaml_node *n, const char *key,
		      struct draft *d)
{
	char quote[LN_QUOTE_MAX];

	d->text = n->text;
	d->at = n->at;
	if (!ln_dest_parse(n, key, &l->suffixes, &l->report, &d->dest))
		return false;
	if (d->kind == LN_RULE_DYNAMIC && d->dest.kind == LN_DEST_NET) {
		ln_report_error(&l->report, n->at,
				"allowed_dynamic_resolution takes names only (found %s); list "
				"addresses and networks under expected_outbound",
				ln_report_quote(quote, n->text, n->len));
		return false;
	}
	return true;
}

static void read_expected(struct loader *l, const struct ln_yaml_node *item)
{
	struct ln_field f[] = {
	    {"destination", "destination: a host name, \"*.suffix\", an address or a network"},
	    {"port", "port: a number, a range, a list or any"},
	    {"protocol", "protocol: TCP, UDP or any"},
	    {"purpose"},
	};
	struct draft d = {.kind = LN_RULE_EXPECTED, .line = item->at.line};
	char quote[LN_QUOTE_MAX];
	bool good;

	if (item->kind != LN_YAML_MAP) {
		ln_report_error(&l->report, item->at,
				"a rule must be a mapping with destination, port and protocol "
				"(found %s)",
				ln_yaml_found(item, quote));
		return;
	}
	good = ln_fields_read(item, f, LN_ARRAY_SIZE(f), &l->report);
	if (f[0].value)
		good &= read_dest(l, f[0].value, f[0].key, &d);
	if (f[1].value)
		good &= ln_ports_parse(f[1].value, &l->report, &d.ports);
	if (f[2].value)
		good &= ln_proto_parse(f[2].value, &l->report, &d.proto);
	good &= read_purpose(l, item, f[3].value, &d);
	if (good)
		add_rule(l, &d);
}

static void read_dynamic(struct loader *l, const struct ln_yaml_node *item)
{
	struct ln_field f[] = {
	    {"name", "name: a host name or \"*.suffix\""},
	    {"port"},
	    {"protocol"},
	};
	struct draft d = {.kind = LN_RULE_DYNAMIC, .line = item->at.line};
	char quote[LN_QUOTE_MAX];
	bool good = true;

	if (item->kind == LN_YAML_SCALAR) {
		good = read_dest(l, item, f[0].key, &d);
	} else if (item->kind == LN_YAML_MAP) {
		good = ln_fields_read(item, f, LN_ARRAY_SIZE(f), &l->report);
		if (f[0].value)
			good &= read_dest(l, f[0].value, f[0].key, &d);
		if (f[1].value)
			good &= ln_ports_parse(f[1].value, &l->report, &d.ports);
		if (f[2].value)
			good &= ln_proto_parse(f[2].value, &l->report, &d.proto);
	} else {
		ln_report_error(&l->report, item->at,
				"each item must be a name, \"*.suffix\", or a mapping with name, "
				"port and protocol (found %s)",
				ln_yaml_found(item, quote));
		return;
	}
	if (good)
		add_rule(l, &d);
}

/* One more in a list that is walked. */
static bool has_room(struct loader *l, enum ln_rule_kind kind, const struct ln_yaml_node *item)
{
	const struct ln_policy *p = l->policy;
	size_t n = p->n_rules;

	while (n > 0 && p->rules[n - 1].kind == kind)
		n--;
	if (p->n_rules - n < LN_LOCAL_MAX)
		return true;
	if (!l->full[kind])
		ln_report_error(&l->report, item->at,
				"more than %d rules in %s; write fewer, wider ones", LN_LOCAL_MAX,
				ln_rule_list_text(kind));
	l->full[kind] = true;
	return false;
}

static void read_unix(struct loader *l, const struct ln_yaml_node *item)
{
	struct ln_field f[] = {
	    {"path", "path: where the socket is, or \"@\" and an abstract name"},
	    {"purpose"},
	};
	struct draft d = {.kind = LN_RULE_UNIX, .line = item->at.line, .dest.kind = LN_DEST_PATH};
	const struct ln_yaml_node *path = item;
	char quote[LN_QUOTE_MAX];
	bool good = true;

	_Static_assert(sizeof(d.dest.name) >= LN_PATTERN_MAX, "a pattern fits");
	if (item->kind == LN_YAML_MAP) {
		good = ln_fields_read(item, f, LN_ARRAY_SIZE(f), &l->report);
		path = f[0].value;
	} else if (item->kind != LN_YAML_SCALAR) {
		ln_report_error(&l->report, item->at,
				"each item must be the path of a UNIX socket, or a mapping with "
				"path and purpose (found %s)",
				ln_yaml_found(item, quote));
		return;
	}
	if (path) {
		d.text = path->text;
		d.at = path->at;
		good &= ln_pattern_parse(path, f[0].key, &l->report, d.dest.name);
	}
	good &= read_purpose(l, item, f[1].value, &d);
	if (good && has_room(l, d.kind, item))
		add_rule(l, &d);
}

static bool read_from(struct loader *l, const struct ln_yaml_node *n, struct draft *d)
{
	char quote[LN_QUOTE_MAX], addr[LN_ADDR_TEXT_MAX];
	bool text = n->kind == LN_YAML_SCALAR && strlen(n->text) == n->len;

	if (n->kind == LN_YAML_REPORTED)
		return false;
	d->text = n->text;
	if (text && ln_net_parse(n->text, true, &d->dest.net))
		return true;
	if (text && ln_net_parse(n->text, false, &d->dest.net))
		ln_report_error(&l->report, n->at,
				"the network has host bits set (found %s); write \"%s/%u\"",
				ln_yaml_found(n, quote), ln_addr_format(&d->dest.net.addr, addr),
				d->dest.net.prefix_len);
	else
		ln_report_error(&l->report, n->at,
				"from must be an address or a network (found %s); leave it out for "
				"anywhere",
				ln_yaml_found(n, quote));
	return false;
}

static void read_inbound(struct loader *l, const struct ln_yaml_node *item)
{
	struct ln_field f[] = {
	    {"port", "port: the agent's own; a number, a range, a list or any"},
	    {"protocol", "protocol: TCP, UDP or any"},
	    {"from"},
	    {"purpose"},
	};
	struct draft d = {.kind = LN_RULE_INBOUND,
			  .line = item->at.line,
			  .text = "anywhere",
			  .dest.kind = LN_DEST_NET};
	char quote[LN_QUOTE_MAX];
	bool good;

	if (item->kind != LN_YAML_MAP) {
		ln_report_error(&l->report, item->at,
				"a rule must be a mapping with port and protocol (found %s)",
				ln_yaml_found(item, quote));
		return;
	}
	good = ln_fields_read(item, f, LN_ARRAY_SIZE(f), &l->report);
	if (f[0].value) {
		d.at = f[0].value->at;
		good &= ln_ports_parse(f[0].value, &l->report, &d.ports);
	}
	if (f[1].value)
		good &= ln_proto_parse(f[1].value, &l->report, &d.proto);
	if (f[2].value)
		good &= read_from(l, f[2].value, &d);
	good &= read_purpose(l, item, f[3].value, &d);
	if (good && has_room(l, d.kind, item))
		add_rule(l, &d);
}

static void read_resolver(struct loader *l, const struct ln_yaml_node *item)
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
	if (p->n_resolvers == RESOLVERS_MAX) {
		ln_report_error(&l->report, item->at, "more than %d resolvers; remove some",
				RESOLVERS_MAX);
		return;
	}
	p->resolvers[p->n_resolvers++] = ep;
}

static void read_list(struct loader *l, const struct ln_field *f, bool optional,
		      void (*read_item)(struct loader *l, const struct ln_yaml_node *item))
{
	const struct ln_yaml_node *list = f->value;
	char quote[LN_QUOTE_MAX];

	if (!list || list->kind == LN_YAML_REPORTED)
		return;
	if (ln_yaml_is_null(list) || (list->kind == LN_YAML_LIST && !list->child && !list->cut)) {
		ln_report_error(&l->report, f->at, "%s is empty; list at least one item%s", f->key,
				optional ? ", or remove the key" : "");
		return;
	}
	if (list->kind != LN_YAML_LIST) {
		ln_report_error(&l->report, list->at,
				"%s must be a list (found %s); start each item with \"- \"", f->key,
				ln_yaml_found(list, quote));
		return;
	}
	for (const struct ln_yaml_node *item = list->child; item; item = item->next) {
		if (item->kind != LN_YAML_REPORTED)
			read_item(l, item);
	}
}

static void read_agent_name(struct loader *l, const struct ln_yaml_node *value)
{
	size_t len;

	if (!value || !read_text(l, value, "agent_name", AGENT_NAME_MAX, true, &len))
		return;
	if (len == 0) {
		ln_report_error(&l->report, value->at,
				"agent_name is empty; give the agent a name, for the alerts");
		return;
	}
	l->policy->agent_name = strndup(value->text, len);
	l->report.no_memory |= !l->policy->agent_name;
}

static void read_dns(struct loader *l, const struct ln_yaml_node *value)
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
		ln_duration_parse(f[0].value, f[0].key, &l->report, &l->policy->grace_ns);
}

static void read_root(struct loader *l, const struct ln_yaml_node *root)
{
	struct ln_field f[] = {
	    {"agent_name", "agent_name: the name that alerts show"},
	    {ln_rule_list_text(LN_RULE_EXPECTED),
	     "expected_outbound: the list of what the agent may reach"},
	    {ln_rule_list_text(LN_RULE_DYNAMIC)},
	    {ln_rule_list_text(LN_RULE_UNIX)},
	    {ln_rule_list_text(LN_RULE_INBOUND)},
	    {"resolvers"},
	    {"dns"},
	};
	char quote[LN_QUOTE_MAX];

	if (root->kind == LN_YAML_REPORTED)
		return;
	if (root->kind != LN_YAML_MAP) {
		ln_report_error(&l->report, root->at,
				"a policy must be a mapping with agent_name and expected_outbound "
				"(found %s); see linnet.yaml(5)",
				ln_yaml_found(root, quote));
		return;
	}
	ln_fields_read(root, f, LN_ARRAY_SIZE(f), &l->report);
	read_agent_name(l, f[0].value);
	read_list(l, &f[1], false, read_expected);
	read_list(l, &f[2], true, read_dynamic);
	/* In the order of their kinds, wherever they stand in the file. */
	read_list(l, &f[3], true, read_unix);
	read_list(l, &f[4], true, read_inbound);
	read_list(l, &f[5], true, read_resolver);
	read_dns(l, f[6].value);
}

static void report_lost_indentation(struct loader *l, const char *bytes, size_t len)
{
	struct ln_place at;

	if (l->report.diags->n_errors == 0 || !ln_source_lost_indentation(bytes, len, &at))
		return;
	/* One cause, one message: the others are its consequences. */
	ln_diags_done(l->report.diags);
	l->report.unkept = 0;
	ln_report_error(&l->report, at,
			"the file has lost its indentation, as text pasted from a web page does: "
			"every line starts at column 1; indent the keys of each rule under its "
			"\"- destination:\"");
}

static int load(struct loader *l, const char *bytes, size_t len)
{
	struct ln_yaml yaml;
	int err;

	if (len > LN_POLICY_BYTES_MAX) {
		ln_report_error(&l->report, (struct ln_place){0},
				"the file is larger than %u MiB; use networks, *.suffix names and "
				"port ranges to write fewer rules",
				LN_POLICY_BYTES_MAX >> 20);
		return 0;
	}
	/* A byte order mark is no character: columns count from after it. */
	if (len >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
		bytes += 3;
		len -= 3;
	}
	if (!ln_source_check(bytes, len, &l->report))
		return 0;
	if (ln_source_is_blank(bytes, len)) {
		ln_report_error(&l->report, (struct ln_place){0},
				"the file is empty; write agent_name and expected_outbound, see "
				"linnet.yaml(5)");
		return 0;
	}
	err = ln_yaml_load(bytes, len, &l->report, &yaml);
	if (err == 0 && yaml.root) {
		read_root(l, yaml.root);
		err = l->report.no_memory ? -ENOMEM : ln_index_build(l->policy);
		if (err == 0)
			ln_check_rules(l->policy, l->places, &l->report);
	}
	ln_yaml_done(&yaml);
	report_lost_indentation(l, bytes, len);
	return err;
}

int ln_policy_parse(const char *file, const char *bytes, size_t len, bool strict,
		    struct ln_diags *diags, struct ln_policy **ret)
{
	struct loader l = {.report = {.diags = diags, .strict = strict}};
	int err = -ENOMEM;

	l.policy = calloc(1, sizeof(*l.policy));
	if (l.policy) {
		l.policy->grace_ns = LN_POLICY_GRACE_NS;
		l.policy->file = strdup(file);
		l.policy->resolvers = calloc(RESOLVERS_MAX, sizeof(*l.policy->resolvers));
		if (l.policy->file && l.policy->resolvers)
			err = load(&l, bytes, len);
	}
	ln_report_finish(&l.report);
	if (l.report.no_memory)
		err = -ENOMEM;
	else if (err == 0 && diags->n_errors > 0)
		err = -EINVAL;
	if (err == 0) {
		l.policy->suffixes = ln_suffixes_take(&l.suffixes);
		*ret = LN_TAKE_PTR(l.policy);
	}
	ln_policy_free(&l.policy);
	ln_suffixes_done(&l.suffixes);
	free(l.places);
	return err;
}
