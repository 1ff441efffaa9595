/* SPDX-License-Identifier: Apache-2.0 */
/* The aliases that led from a name to an address, as one text: canonical names in order, a blank
 * between two. Bounded: what does not fit is missing in the middle, where "..." stands; the first
 * names and the last one are always there. */
#ifndef LINNET_DNS_CHAIN_H
#define LINNET_DNS_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include "base/name.h"

#define LN_CHAIN_TEXT_MAX 1024 /* with the NUL; four of the longest names */

struct ln_chain {
	size_t len;
	bool cut;
	char text[LN_CHAIN_TEXT_MAX];
};

void ln_chain_start(struct ln_chain *c);
void ln_chain_add(struct ln_chain *c, const char *name);
/* All names of another one's text. */
void ln_chain_append(struct ln_chain *c, const char *text);
/* The next name at *at, and *at behind it; false: none. */
bool ln_chain_next(const char **at, const char **ret_name, size_t *ret_len);
const char *ln_chain_last(const char *text); /* "" when there is none */

#endif
