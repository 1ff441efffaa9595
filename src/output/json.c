/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <string.h>
#include "base/clock.h"
#include "base/text.h"

void ln_json_number(struct ln_buf *b, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	ln_buf_add(b, digits + at, sizeof(digits) - at);
}

void ln_json_hex(struct ln_buf *b, uint64_t n)
{
	char digits[18];
	size_t at = sizeof(digits);

	digits[--at] = '"';
	do {
		digits[--at] = "0123456789abcdef"[n & 15];
		n >>= 4;
	} while (n > 0);
	digits[--at] = '"';
	ln_buf_add(b, digits + at, sizeof(digits) - at);
}

void ln_json_ms(struct ln_buf *b, uint64_t ns)
{
	unsigned int us = (unsigned int)(ns / 1000 % 1000);
	char fraction[4] = {'.', (char)('0' + us / 100), (char)('0' + us / 10 % 10),
			    (char)('0' + us % 10)};

	ln_json_number(b, ns / LN_NS_PER_MS);
	ln_buf_add(b, fraction, sizeof(fraction));
}

void ln_json_bool(struct ln_buf *b, bool value)
{
	ln_buf_adds(b, value ? "true" : "false");
}

void ln_json_text(struct ln_buf *b, const char *text)
{
	if (text)
		ln_text_json(b, text, strlen(text));
	else
		LN_JSON_ADD(b, "null");
}

void ln_json_time(struct ln_buf *b, uint64_t wall_ns)
{
	char time[LN_TIME_TEXT_MAX];

	ln_buf_addc(b, '"');
	ln_buf_adds(b, ln_time_format(wall_ns, 6, time));
	ln_buf_addc(b, '"');
}

void ln_json_addr(struct ln_buf *b, const struct ln_addr *addr)
{
	char text[LN_ADDR_TEXT_MAX];

	ln_json_text(b, ln_addr_format(addr, text));
}

void ln_json_endpoint(struct ln_buf *b, const struct ln_endpoint *ep)
{
	if (ep->addr.family == 0 && ep->port == 0) {
		LN_JSON_ADD(b, "null");
		return;
	}
	LN_JSON_OPEN(b, "ip");
	if (ep->addr.family == 0)
		LN_JSON_ADD(b, "null");
	else
		ln_json_addr(b, &ep->addr);
	LN_JSON_KEY(b, "port");
	ln_json_number(b, ep->port);
	ln_buf_addc(b, '}');
}

void ln_json_list(struct ln_buf *b, const char *const *texts, size_t n)
{
	ln_buf_addc(b, '[');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			ln_buf_addc(b, ',');
		ln_json_text(b, texts[i]);
	}
	ln_buf_addc(b, ']');
}
