/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML text → a tree of lists, mappings and scalars, each with its place. No type is ever guessed:
 * a scalar is its text, and whether it was quoted. Built from libyaml's events, because its
 * document API is quadratic on deep nesting. Aliases, anchors, tags, a second document, nesting
 * past LN_YAML_DEPTH_MAX and more than LN_YAML_NODES_MAX nodes are reported. After a syntax error
 * the tree holds what was read before it, so that the rest of the file's errors can be told.
 */
#ifndef LINNET_POLICY_YAML_TREE_H
#define LINNET_POLICY_YAML_TREE_H

#include "report.h"

#define LN_YAML_DEPTH_MAX 16
#define LN_YAML_NODES_MAX (4u << 20)

enum ln_yaml_kind {
	LN_YAML_SCALAR,
	LN_YAML_LIST,
	LN_YAML_MAP,
	LN_YAML_REPORTED, /* already told to the user: to be skipped in silence */
};

struct ln_yaml_node {
	struct ln_yaml_node *child; /* the first; a mapping has key, value, key, value… */
	struct ln_yaml_node *next;
	const char *text; /* scalar: with a NUL after its end */
	uint32_t len;
	struct ln_place at;
	struct ln_place end; /* just after a scalar; of a list in brackets the closing bracket */
	uint8_t kind;
	bool quoted;
	bool flow; /* a list or mapping in brackets */
	bool cut;  /* not closed when a syntax error ended the reading */
};

struct ln_yaml {
	struct ln_yaml_node *root;    /* NULL: nothing there, which was reported */
	struct ln_yaml_block *blocks; /* owned; memory of nodes and texts */
	size_t n_nodes;
};

/* 0 also when something was reported; -ENOMEM. ln_yaml_done in any case. */
int ln_yaml_load(const char *bytes, size_t len, struct ln_report *r, struct ln_yaml *ret);
void ln_yaml_done(struct ln_yaml *y);

/* The text of a plain scalar that stands for nothing. */
bool ln_yaml_is_null(const struct ln_yaml_node *n);
/* For "(found …)": the quoted text, "nothing", "a list", "a mapping". */
const char *ln_yaml_found(const struct ln_yaml_node *n, char buf[LN_QUOTE_MAX]);

#endif
