/* SPDX-License-Identifier: Apache-2.0 */
/* A destination as a person writes it → a canonical name, a suffix or a network; and an
 * explanation for what is none of them: a URL, host:port, a wildcard over a public suffix. */
#ifndef LINNET_POLICY_DEST_H
#define LINNET_POLICY_DEST_H

#include "policy.h"
#include "yaml_tree.h"

struct ln_dest {
	enum ln_dest_kind kind;
	struct ln_net net;
	char name[LN_NAME_MAX];
};

/* The public suffix list, read when the first wildcard needs it. Zero it to begin. */
struct ln_suffixes {
	bool tried;
	struct psl_ctx_st *psl; /* owned; NULL: none on this system */
};
void ln_suffixes_done(struct ln_suffixes *s);
struct psl_ctx_st *ln_suffixes_take(struct ln_suffixes *s); /* read now, if it was not yet */

/* `key` is what the file calls it: "destination" or "name"; without `suffixes` it permits nothing,
 * so it may be as wide as it likes. False, and reported. */
bool ln_dest_parse(const struct ln_yaml_node *node, const char *key, struct ln_suffixes *suffixes,
		   struct ln_report *r, struct ln_dest *ret);

#endif
