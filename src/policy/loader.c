/* SPDX-License-Identifier: Apache-2.0 */
#include "loader.h"

#include <string.h>

static bool grow(struct ln_loader *l)
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

void ln_loader_add(struct ln_loader *l, const struct ln_draft *d)
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
				 .expires_s = d->expires_s,
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

bool ln_loader_text(struct ln_loader *l, const struct ln_yaml_node *n, const char *key, size_t max,
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

void ln_loader_list(struct ln_loader *l, const struct ln_field *f, bool optional,
		    void (*read_item)(struct ln_loader *l, const struct ln_yaml_node *item))
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

int ln_loader_word(struct ln_loader *l, const struct ln_yaml_node *n, const char *key,
		   const char *const *words, size_t n_words)
{
	char quote[LN_QUOTE_MAX], all[128] = "";

	if (!n || n->kind == LN_YAML_REPORTED)
		return -1;
	for (size_t i = 0, used = 0; i < n_words; i++) {
		if (n->kind == LN_YAML_SCALAR && n->len == strlen(words[i]) &&
		    strcmp(n->text, words[i]) == 0)
			return (int)i;
		used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s",
					 i == 0             ? ""
					 : i == n_words - 1 ? " or "
							    : ", ",
					 words[i]);
	}
	ln_report_error(&l->report, n->at, "%s must be %s (found %s)", key, all,
			ln_yaml_found(n, quote));
	return -1;
}
