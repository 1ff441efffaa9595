/* SPDX-License-Identifier: Apache-2.0 */
/* What base/text.h promises of everything that is shown. */
#ifndef LINNET_FUZZ_TEXT_CHECKS_H
#define LINNET_FUZZ_TEXT_CHECKS_H

#include <stdlib.h>
#include <string.h>
#include "base/text.h"

static inline void require(bool promise)
{
	if (!promise)
		abort();
}

/* Controls, and what makes a terminal or an editor show a text in another order, or not at all. */
static inline bool is_dangerous(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       c == 0x061c;
}

/* Whole UTF-8, and nothing dangerous but the line breaks that a text of several lines has. */
static inline void require_shown(const char *text, size_t len, bool lines)
{
	const uint8_t *at = (const uint8_t *)text, *end;

	if (len == 0)
		return;
	end = at + len;
	while (at < end) {
		uint32_t c;
		size_t n = ln_utf8_length(at, (size_t)(end - at), &c);

		require(n > 0);
		require((lines && c == '\n') || !is_dangerous(c));
		at += n;
	}
}

#endif
