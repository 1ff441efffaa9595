/* SPDX-License-Identifier: Apache-2.0 */
/* The items of the lists of rules. */
#include <ctype.h>
#include <string.h>
#include "loader.h"
#include "pattern.h"
#include "when.h"

#define PURPOSE_MAX 1024

/* Whether it stands there only until somebody says what for. */
static bool is_mark(const char *purpose, size_t len)
{
	size_t word = strcspn(LN_PURPOSE_MARK, ":");

	return len >= word && memcmp(purpose, LN_PURPOSE_MARK, word) == 0 &&
	       (len == word || !isalnum((unsigned char)purpose[word]));
}

static bool read_purpose(struct ln_loader *l, const struct ln_yaml_node *map,
			 const struct ln_yaml_node *value, struct ln_draft *d)
{
	static const char *const need[] = {
	    [LN_RULE_EXPECTED] = "destination", [LN_RULE_DYNAMIC] = "name", [LN_RULE_DENY] = "ban",
	    [LN_RULE_UNIX] = "socket",          [LN_RULE_INBOUND] = "port",
	};
	_Static_assert(LN_ARRAY_SIZE(need) == LN_RULE_COUNT, "a word for each kind");
	bool wanted = l->report.strict && !map->cut && d->kind != LN_RULE_DENY;
	size_t len = 0;

	if (value && !ln_loader_text(l, value, "purpose", PURPOSE_MAX, false, &len))
		return false;
	if (len > 0) {
		d->purpose = value;
		d->purpose_len = len;
		wanted = wanted && is_mark(value->text, len);
	}
	if (!wanted)
		return true;
	ln_report_error(&l->report, value ? value->at : map->at,
			"\"purpose\" is %s; say what the agent needs this %s for%s (strict mode)",
			len > 0 ? "still \"" LN_PURPOSE_MARK "\"" : "missing", need[d->kind],
			map->kind == LN_YAML_MAP ? "" : ", as {path: …, purpose: …}");
	return false;
}

static bool read_expiry(struct ln_loader *l, const struct ln_field *f, struct ln_draft *d)
{
	return !f->value || ln_when_parse(f->value, f->key, &l->report, &d->expires_s);
}

static bool read_dest(struct ln_loader *l, const struct ln_yaml_node *n, const char *key,
		      struct ln_draft *d)
{
	char quote[LN_QUOTE_MAX];

	d->text = n->text;
	d->at = n->at;
	if (!ln_dest_parse(n, key, d->kind == LN_RULE_DENY ? NULL : &l->suffixes, &l->report,
			   &d->dest))
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

/* What a rule begins with: the fields of destination, port and protocol. */
static bool read_place(struct ln_loader *l, const struct ln_field *f, struct ln_draft *d)
{
	bool good = true;

	if (f[0].value)
		good &= read_dest(l, f[0].value, f[0].key, d);
	if (f[1].value)
		good &= ln_ports_parse(f[1].value, &l->report, &d->ports);
	if (f[2].value)
		good &= ln_proto_parse(f[2].value, &l->report, &d->proto);
	return good;
}

void ln_rules_read_expected(struct ln_loader *l, const struct ln_yaml_node *item)
{
	struct ln_field f[] = {
	    {"destination", "destination: a host name, \"*.suffix\", an address or a network"},
	    {"port", "port: a number, a range, a list or any"},
	    {"protocol", "protocol: TCP, UDP or any"},
	    {"purpose"},
	    {"expires"},
	};
	struct ln_draft d = {.kind = LN_RULE_EXPECTED, .line = item->at.line};
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
	good &= read_place(l, f, &d);
	good &= read_purpose(l, item, f[3].value, &d);
	good &= read_expiry(l, &f[4], &d);
	if (good)
		ln_loader_add(l, &d);
}

void ln_rules_read_dynamic(struct ln_loader *l, const struct ln_yaml_node *item)
{
	struct ln_field f[] = {
	    {"name", "name: a host name or \"*.suffix\""},
	    {"port"},
	    {"protocol"},
	    {"expires"},
	};
	struct ln_draft d = {.kind = LN_RULE_DYNAMIC, .line = item->at.line};
	char quote[LN_QUOTE_MAX];
	bool good = true;

	if (item->kind == LN_YAML_SCALAR) {
		f[0].value = item;
	} else if (item->kind == LN_YAML_MAP) {
		good = ln_fields_read(item, f, LN_ARRAY_SIZE(f), &l->report);
	} else {
		ln_report_error(&l->report, item->at,
				"each item must be a name, \"*.suffix\", or a mapping with name, "
				"port and protocol (found %s)",
				ln_yaml_found(item, quote));
		return;
	}
	good &= read_place(l, f, &d);
	good &= read_expiry(l, &f[3], &d);
	if (good)
		ln_loader_add(l, &d);
}

void ln_rules_read_deny(struct ln_loader *l, const struct ln_yaml_node *item)
{
	struct ln_field f[] = {
	    {"destination", "destination: a host name, \"*.suffix\", an address or a network"},
	    {"port"},
	    {"protocol"},
	    {"purpose"},
	};
	struct ln_draft d = {.kind = LN_RULE_DENY, .line = item->at.line};
	char quote[LN_QUOTE_MAX];
	bool good = true;

	if (item->kind == LN_YAML_SCALAR) {
		f[0].value = item;
	} else if (item->kind == LN_YAML_MAP) {
		good = ln_fields_read(item, f, LN_ARRAY_SIZE(f), &l->report);
	} else {
		ln_report_error(&l->report, item->at,
				"each item must be a destination, or a mapping with destination, "
				"port and protocol (found %s)",
				ln_yaml_found(item, quote));
		return;
	}
	good &= read_place(l, f, &d);
	good &= read_purpose(l, item, f[3].value, &d);
	if (good)
		ln_loader_add(l, &d);
}

/* One more in a list that is walked. */
static bool has_room(struct ln_loader *l, enum ln_rule_kind kind, const struct ln_yaml_node *item)
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

void ln_rules_read_unix(struct ln_loader *l, const struct ln_yaml_node *item)
{
	struct ln_field f[] = {
	    {"path", "path: where the socket is, or \"@\" and an abstract name"},
	    {"purpose"},
	    {"expires"},
	};
	struct ln_draft d = {
	    .kind = LN_RULE_UNIX, .line = item->at.line, .dest.kind = LN_DEST_PATH};
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
	good &= read_expiry(l, &f[2], &d);
	if (good && has_room(l, d.kind, item))
		ln_loader_add(l, &d);
}

static bool read_from(struct ln_loader *l, const struct ln_yaml_node *n, struct ln_draft *d)
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

void ln_rules_read_inbound(struct ln_loader *l, const struct ln_yaml_node *item)
{
	struct ln_field f[] = {
	    {"port", "port: the agent's own; a number, a range, a list or any"},
	    {"protocol", "protocol: TCP, UDP or any"},
	    {"from"},
	    {"purpose"},
	    {"expires"},
	};
	struct ln_draft d = {.kind = LN_RULE_INBOUND,
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
	good &= read_expiry(l, &f[4], &d);
	if (good && has_room(l, d.kind, item))
		ln_loader_add(l, &d);
}
