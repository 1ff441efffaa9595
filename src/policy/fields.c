/* SPDX-License-Identifier: Apache-2.0 */
#include "fields.h"

#include <string.h>
#include <strings.h>

#define TYPO_LEN_MAX 32
#define TYPOS_MAX    ((size_t)2)

/* Words that people use for a key. */
static const struct {
	const char *word, *key;
} synonyms[] = {
    {"host", "destination"},
    {"hostname", "destination"},
    {"domain", "destination"},
    {"address", "destination"},
    {"ip", "destination"},
    {"cidr", "destination"},
    {"name", "destination"},
    {"destination", "name"},
    {"host", "name"},
    {"domain", "name"},
    {"reason", "purpose"},
    {"comment", "purpose"},
    {"description", "purpose"},
    {"name", "agent_name"},
    {"socket", "path"},
    {"name", "path"},
    {"destination", "path"},
    {"source", "from"},
    {"src", "from"},
    {"peer", "from"},
    {"remote", "from"},
    {"client", "from"},
    {"address", "from"},
    {"unix", "expected_unix"},
    {"unix_sockets", "expected_unix"},
    {"sockets", "expected_unix"},
    {"inbound", "expected_inbound"},
    {"listen", "expected_inbound"},
    {"agent", "agent_name"},
    {"outbound", "expected_outbound"},
    {"allow", "expected_outbound"},
    {"nameservers", "resolvers"},
    {"grace", "dns"},
    {"ttl", "grace"},
    {"dynamic", "allowed_dynamic_resolution"},
    {"block", "deny"},
    {"denied", "deny"},
    {"blocked", "deny"},
    {"enforcement", "mode"},
    {"action", "mode"},
    {"until", "expires"},
    {"expiry", "expires"},
    {"valid_until", "expires"},
    {"alerts", "alert"},
    {"notify", "alert"},
    {"sinks", "alert"},
    {"bytes", "bytes_out"},
    {"url", "webhook"},
    {"command", "exec"},
    {"per", "period"},
};

/* Keys of a rule, for one that stands at the left margin. */
static const char *const rule_keys[] = {"destination", "port", "protocol", "purpose"};

/* Edits (insert, delete, replace, ignoring case) from one word to the other. */
static size_t distance(const char *a, size_t a_len, const char *b)
{
	size_t row[TYPO_LEN_MAX + 1], b_len = strlen(b);

	if (a_len > TYPO_LEN_MAX || b_len > TYPO_LEN_MAX)
		return TYPOS_MAX + 1;
	for (size_t k = 0; k <= b_len; k++)
		row[k] = k;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t k = 1; k <= b_len; k++) {
			size_t replace = diagonal + (strncasecmp(&a[i - 1], &b[k - 1], 1) != 0);

			diagonal = row[k];
			row[k] = LN_MIN(replace, LN_MIN(row[k], row[k - 1]) + 1);
		}
	}
	return row[b_len];
}

static struct ln_field *meant(const struct ln_yaml_node *key, struct ln_field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (key->len >= 3 && strncasecmp(key->text, fields[i].key, key->len) == 0)
			return &fields[i];
	}
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < LN_ARRAY_SIZE(synonyms); k++) {
			if (strcmp(fields[i].key, synonyms[k].key) == 0 &&
			    strcasecmp(key->text, synonyms[k].word) == 0)
				return &fields[i];
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (distance(key->text, key->len, fields[i].key) <=
		    LN_MIN(TYPOS_MAX, strlen(fields[i].key) / 3))
			return &fields[i];
	}
	return NULL;
}

static bool is_rule_key(const struct ln_yaml_node *key)
{
	for (size_t i = 0; i < LN_ARRAY_SIZE(rule_keys); i++) {
		if (strcmp(key->text, rule_keys[i]) == 0)
			return true;
	}
	return false;
}

static void report_unknown(const struct ln_yaml_node *key, struct ln_field *fields, size_t n,
			   struct ln_report *r)
{
	struct ln_field *suggestion = meant(key, fields, n);
	char quote[LN_QUOTE_MAX], keys[240] = "";

	ln_report_quote(quote, key->text, key->len);
	if (key->at.column == 1 && is_rule_key(key)) {
		ln_report_error(r, key->at,
				"%s belongs inside a rule; indent it like the \"destination\" of "
				"its rule",
				quote);
		return;
	}
	if (suggestion) {
		suggestion->misspelt = true;
		ln_report_error(r, key->at, "unknown key %s; did you mean \"%s\"?", quote,
				suggestion->key);
		return;
	}
	for (size_t i = 0, used = 0; i < n && used < sizeof(keys); i++)
		used += (size_t)snprintf(keys + used, sizeof(keys) - used, "%s%s",
					 i > 0 ? ", " : "", fields[i].key);
	ln_report_error(r, key->at, "unknown key %s; remove it, the keys here are %s", quote, keys);
}

static void read_pair(const struct ln_yaml_node *key, struct ln_field *fields, size_t n,
		      struct ln_report *r)
{
	char quote[LN_QUOTE_MAX];

	if (key->kind == LN_YAML_REPORTED)
		return;
	if (key->kind != LN_YAML_SCALAR) {
		ln_report_error(r, key->at, "a key must be a word (found %s); write \"key: value\"",
				ln_yaml_found(key, quote));
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct ln_field *f = &fields[i];

		if (key->len != strlen(f->key) || memcmp(key->text, f->key, key->len) != 0)
			continue;
		if (f->value) {
			ln_report_error(r, key->at,
					"\"%s\" is given twice, first on line %u; remove one",
					f->key, f->at.line);
			return;
		}
		f->value = key->next;
		f->at = key->at;
		return;
	}
	report_unknown(key, fields, n, r);
}

bool ln_fields_read(const struct ln_yaml_node *map, struct ln_field *fields, size_t n,
		    struct ln_report *r)
{
	const struct ln_yaml_node *key;
	bool complete = true;

	/* A key without a value is where a syntax error ended the reading. */
	for (key = map->child; key && key->next; key = key->next->next)
		read_pair(key, fields, n, r);
	for (size_t i = 0; i < n; i++) {
		if (fields[i].value || !fields[i].missing)
			continue;
		complete = false;
		if (!map->cut && !fields[i].misspelt)
			ln_report_error(r, map->at, "\"%s\" is missing; add %s", fields[i].key,
					fields[i].missing);
	}
	return complete;
}
