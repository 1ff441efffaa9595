/* SPDX-License-Identifier: Apache-2.0 */
#include "reverse.h"

#include <string.h>

/* The hexadecimal digit that is one label of ip6.arpa, or -1. */
static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* RFC 3596, 2.5: 32 nibbles, the last one first. */
static bool parse_reverse6(const char *name, struct ln_addr *ret)
{
	uint8_t bytes[16] = {0};

	for (int i = 0; i < 32; i++) {
		int value = nibble(name[2 * i]);

		if (value < 0 || name[2 * i + 1] != '.')
			return false;
		bytes[15 - i / 2] |= (uint8_t)(value << (i % 2 ? 4 : 0));
	}
	if (strcmp(name + 64, "ip6.arpa") != 0)
		return false;
	*ret = ln_addr_make(6, bytes);
	return true;
}

/* RFC 1035, 3.5: four decimal numbers, the last one first, without leading zeros. */
static bool parse_reverse4(const char *name, struct ln_addr *ret)
{
	uint8_t bytes[4];

	for (int i = 3; i >= 0; i--) {
		size_t digits = strspn(name, "0123456789");
		unsigned long value = digits >= 1 && digits <= 3 ? strtoul(name, NULL, 10) : 256;

		if (value > 255 || name[digits] != '.' || (digits > 1 && name[0] == '0'))
			return false;
		bytes[i] = (uint8_t)value;
		name += digits + 1;
	}
	if (strcmp(name, "in-addr.arpa") != 0)
		return false;
	*ret = ln_addr_make(4, bytes);
	return true;
}

bool ln_reverse_parse(const char *name, struct ln_addr *ret)
{
	return parse_reverse4(name, ret) ||
	       (strlen(name) == 64 + strlen("ip6.arpa") && parse_reverse6(name, ret));
}
