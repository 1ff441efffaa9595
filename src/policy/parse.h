/* SPDX-License-Identifier: Apache-2.0 */
/* YAML text → policy, with all errors of a file in one run. The format is linnet.yaml(5). Hostile
 * input is refused cheaply: longer than LN_POLICY_BYTES_MAX, deeper than 16,
 * aliases, a second document. */
#ifndef LINNET_POLICY_PARSE_H
#define LINNET_POLICY_PARSE_H

#include "policy.h"

#define LN_POLICY_BYTES_MAX (16u << 20) /* 100,000 rules are about 10 MiB */

struct ln_diag {
	uint32_t line, column; /* from 1; 0: the file as a whole */
	bool warning;
	char *text; /* owned; "what; what to do" */
};

struct ln_diags {
	size_t n, n_errors;
	struct ln_diag *list; /* owned; in file order; at most 1,000, then one that says so */
};

void ln_diags_done(struct ln_diags *d);

/* 0; -EINVAL: *diags (zeroed by the caller) says why; -ENOMEM. *ret only on success. `strict`
 * makes purposes required and turns warnings into errors. `file` is only for messages. */
int ln_policy_parse(const char *file, const char *bytes, size_t len, bool strict,
		    struct ln_diags *diags, struct ln_policy **ret);

#endif
