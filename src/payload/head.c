/* SPDX-License-Identifier: Apache-2.0 */
#include "head.h"

#include <string.h>

void ln_head_set_host(struct ln_claim *c, const void *text, size_t len)
{
	char literal[LN_ADDR_TEXT_MAX];

	c->name[0] = '\0';
	c->addr = (struct ln_addr){0};
	if (ln_name_canonical(text, len, c->name)) {
		if (ln_addr_parse(c->name, &c->addr))
			c->name[0] = '\0';
	} else if (len < sizeof(literal) && !memchr(text, '\0', len)) {
		memcpy(literal, text, len);
		literal[len] = '\0';
		ln_addr_parse(literal, &c->addr);
	}
	c->has_name = c->addr.family == 0;
}
