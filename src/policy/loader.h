/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers of a policy's keys share while a file is read: rules.c reads the items of lists
 * of rules, settings.c, limits.c and sinks.c the other keys, and parse.c the file as a whole. Each
 * reader reports what is wrong and goes on. */
#ifndef LINNET_POLICY_LOADER_H
#define LINNET_POLICY_LOADER_H

#include "dest.h"
#include "fields.h"
#include "index.h"
#include "ports.h"

#define LN_RESOLVERS_MAX 16

struct ln_loader {
	struct ln_report report;
	struct ln_suffixes suffixes;
	struct ln_policy *policy; /* owned until handed out */
	struct ln_place *places;  /* owned; of each rule's destination, by rule id */
	size_t cap;               /* of places and of the policy's rules */
	bool full[LN_RULE_COUNT]; /* a list has more than LN_LOCAL_MAX, which was told */
};

/* What is known of a rule while its mapping is read. */
struct ln_draft {
	enum ln_rule_kind kind;
	const char *text; /* destination as written */
	struct ln_place at;
	struct ln_dest dest;
	struct ln_ports ports;
	uint8_t proto;
	uint64_t expires_s;
	const struct ln_yaml_node *purpose; /* NULL: none */
	size_t purpose_len;
	uint32_t line;
};

/* loader.c */
void ln_loader_add(struct ln_loader *l, const struct ln_draft *d);
/* Text for people: no control character but line breaks and tabs. Its length without blanks at
 * the end, 0: nothing but blanks; or false, and reported. */
bool ln_loader_text(struct ln_loader *l, const struct ln_yaml_node *n, const char *key, size_t max,
		    bool one_line, size_t *ret_len);
/* A value that is one of `n` words; its index, or -1 and reported. */
int ln_loader_word(struct ln_loader *l, const struct ln_yaml_node *n, const char *key,
		   const char *const *words, size_t n_words);
void ln_loader_list(struct ln_loader *l, const struct ln_field *f, bool optional,
		    void (*read_item)(struct ln_loader *l, const struct ln_yaml_node *item));

/* rules.c: one item of a list */
void ln_rules_read_expected(struct ln_loader *l, const struct ln_yaml_node *item);
void ln_rules_read_dynamic(struct ln_loader *l, const struct ln_yaml_node *item);
void ln_rules_read_deny(struct ln_loader *l, const struct ln_yaml_node *item);
void ln_rules_read_unix(struct ln_loader *l, const struct ln_yaml_node *item);
void ln_rules_read_inbound(struct ln_loader *l, const struct ln_yaml_node *item);

/* settings.c: the value may be NULL */
void ln_settings_read_resolver(struct ln_loader *l, const struct ln_yaml_node *item);
void ln_settings_read_dns(struct ln_loader *l, const struct ln_yaml_node *value);
void ln_settings_read_mode(struct ln_loader *l, const struct ln_yaml_node *value);
void ln_settings_read_on_failure(struct ln_loader *l, const struct ln_yaml_node *value);
void ln_settings_read_loopback(struct ln_loader *l, const struct ln_yaml_node *value);

/* limits.c and sinks.c: one item */
void ln_limits_read(struct ln_loader *l, const struct ln_yaml_node *item);
void ln_sinks_read(struct ln_loader *l, const struct ln_yaml_node *item);
void ln_limits_free(struct ln_policy *p);
void ln_sinks_free(struct ln_policy *p);

#endif
