/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of UNIX sockets: a path, or "@" and an abstract name, with "*" for any bytes but "/" and
 * "**" for any bytes. The canonical form of a path has no empty and no "." component, and /run
 * for /var/run, which is a link to it. Matching is one pass over the name for each byte of the
 * pattern, whatever the stars.
 */
#ifndef LINNET_POLICY_PATTERN_H
#define LINNET_POLICY_PATTERN_H

#include "yaml_tree.h"

#define LN_PATTERN_MAX 109 /* sun_path of sockaddr_un, and a NUL */

/* Canonical, or false and reported. `key`: what the file calls it. */
bool ln_pattern_parse(const struct ln_yaml_node *node, const char *key, struct ln_report *r,
		      char ret[LN_PATTERN_MAX]);

/* What an agent named, as in sockaddr_un, in canonical form. */
struct ln_socket_name {
	char text[LN_PATTERN_MAX]; /* abstract: with "@" in front; NULs may be inside */
	size_t len;
};
/* False: nothing that a pattern could mean. Paths with ".." are among these, because what they
 * lead to depends on links. */
bool ln_socket_name_make(const char *path, size_t len, bool abstract, struct ln_socket_name *ret);

bool ln_pattern_matches(const char *pattern, const struct ln_socket_name *name);
/* Whatever `b` matches `a` matches too. */
bool ln_pattern_covers(const char *a, const char *b);

#endif
