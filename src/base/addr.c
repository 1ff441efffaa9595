/* SPDX-License-Identifier: Apache-2.0 */
#include "addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define MAPPED_LEN 96 /* ::ffff:0:0/96 */

static bool is_mapped(const uint8_t bytes[16])
{
	static const uint8_t prefix[MAPPED_LEN / 8] = {[10] = 0xff, [11] = 0xff};

	return memcmp(bytes, prefix, sizeof(prefix)) == 0;
}

static uint8_t max_prefix(uint8_t family)
{
	return family == 4 ? 32 : family == 6 ? 128 : 0;
}

struct ln_addr ln_addr_make(uint8_t family, const void *bytes)
{
	struct ln_addr addr = {0};
	const uint8_t *b = bytes;

	if (family == 6 && is_mapped(b)) {
		family = 4;
		b += MAPPED_LEN / 8;
	}
	if (family == 4 || family == 6) {
		addr.family = family;
		memcpy(addr.bytes, b, max_prefix(family) / 8);
	}
	return addr;
}

/* The address as it is written: a mapped one stays family 6. */
static bool parse_raw(const char *text, struct ln_addr *ret)
{
	struct ln_addr addr = {0};

	if (inet_pton(AF_INET, text, addr.bytes) == 1)
		addr.family = 4;
	else if (inet_pton(AF_INET6, text, addr.bytes) == 1)
		addr.family = 6;
	else
		return false;
	*ret = addr;
	return true;
}

bool ln_addr_parse(const char *text, struct ln_addr *ret)
{
	struct ln_addr raw;

	if (!parse_raw(text, &raw))
		return false;
	*ret = ln_addr_make(raw.family, raw.bytes);
	return true;
}

/* Digits only, no sign, no leading zero: a number has one way to be written. */
static bool parse_number(const char *text, unsigned int max, unsigned int *ret)
{
	unsigned int n = 0;

	if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (unsigned int)(*text - '0');
		if (n > max)
			return false;
	}
	*ret = n;
	return true;
}

/* Copies text[0..len) as a string; false when it cannot be an address. */
static bool copy_addr_text(const char *text, size_t len, char buf[LN_ADDR_TEXT_MAX])
{
	if (len >= LN_ADDR_TEXT_MAX)
		return false;
	memcpy(buf, text, len);
	buf[len] = '\0';
	return true;
}

bool ln_net_parse(const char *text, bool strict, struct ln_net *ret)
{
	const char *slash = strchr(text, '/');
	char addr_text[LN_ADDR_TEXT_MAX];
	struct ln_addr raw, masked;
	unsigned int prefix_len;

	if (!copy_addr_text(text, slash ? (size_t)(slash - text) : strlen(text), addr_text) ||
	    !parse_raw(addr_text, &raw))
		return false;
	prefix_len = max_prefix(raw.family);
	if (slash && !parse_number(slash + 1, prefix_len, &prefix_len))
		return false;
	masked = ln_addr_mask(&raw, (uint8_t)prefix_len);
	if (strict && !ln_addr_equal(&masked, &raw))
		return false;
	/* Below 96 bits the network is wider than the mapped range and stays an IPv6 one. */
	if (masked.family == 6 && prefix_len >= MAPPED_LEN && is_mapped(masked.bytes)) {
		masked = ln_addr_make(6, masked.bytes);
		prefix_len -= MAPPED_LEN;
	}
	ret->addr = masked;
	ret->prefix_len = (uint8_t)prefix_len;
	return true;
}

bool ln_endpoint_parse(const char *text, uint16_t default_port, struct ln_endpoint *ret)
{
	struct ln_endpoint ep = {.port = default_port};
	const char *end, *port_text = NULL;
	char addr_text[LN_ADDR_TEXT_MAX];
	unsigned int port;

	if (text[0] == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || !memchr(text, ':', (size_t)(end - text)) ||
		    (end[1] != '\0' && end[1] != ':'))
			return false;
		if (end[1] == ':')
			port_text = end + 2;
	} else {
		end = strchr(text, ':');
		if (end && !strchr(end + 1, ':'))
			port_text = end + 1;
		else
			end = text + strlen(text); /* no colon, or a bare IPv6 address */
	}
	if (!copy_addr_text(text, (size_t)(end - text), addr_text))
		return false;
	if (!ln_addr_parse(addr_text, &ep.addr))
		return false;
	if (port_text) {
		if (!parse_number(port_text, UINT16_MAX, &port))
			return false;
		ep.port = (uint16_t)port;
	}
	*ret = ep;
	return true;
}

static char *put_decimal(char *at, unsigned int n)
{
	char digits[10];
	int count = 0;

	do {
		digits[count++] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	while (count > 0)
		*at++ = digits[--count];
	return at;
}

const char *ln_addr_format(const struct ln_addr *addr, char buf[LN_ADDR_TEXT_MAX])
{
	char *at = buf;

	if (addr->family == 4) {
		for (int i = 0; i < 4; i++) {
			if (i > 0)
				*at++ = '.';
			at = put_decimal(at, addr->bytes[i]);
		}
		*at = '\0';
	} else if (addr->family != 6 || !inet_ntop(AF_INET6, addr->bytes, buf, LN_ADDR_TEXT_MAX)) {
		memcpy(buf, "none", sizeof("none"));
	}
	return buf;
}

const char *ln_endpoint_format(const struct ln_endpoint *ep, char buf[LN_ENDPOINT_TEXT_MAX])
{
	bool brackets = ep->addr.family == 6;
	char *at = buf;

	if (brackets)
		*at++ = '[';
	ln_addr_format(&ep->addr, at);
	at += strlen(at);
	if (brackets)
		*at++ = ']';
	*at++ = ':';
	at = put_decimal(at, ep->port);
	*at = '\0';
	return buf;
}

bool ln_addr_equal(const struct ln_addr *a, const struct ln_addr *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

struct ln_addr ln_addr_mask(const struct ln_addr *addr, uint8_t prefix_len)
{
	struct ln_addr masked = *addr;

	for (unsigned int i = 0; i < sizeof(masked.bytes); i++) {
		unsigned int first_bit = i * 8;

		if (first_bit >= prefix_len)
			masked.bytes[i] = 0;
		else if (prefix_len - first_bit < 8)
			masked.bytes[i] &= (uint8_t)(0xff00 >> (prefix_len - first_bit));
	}
	return masked;
}

bool ln_net_contains(const struct ln_net *net, const struct ln_addr *addr)
{
	struct ln_addr masked;

	if (net->addr.family != addr->family || net->prefix_len > max_prefix(addr->family))
		return false;
	masked = ln_addr_mask(addr, net->prefix_len);
	return ln_addr_equal(&masked, &net->addr);
}

bool ln_addr_is_loopback(const struct ln_addr *addr)
{
	if (addr->family == 4)
		return addr->bytes[0] == 127;
	return addr->family == 6 && memcmp(addr->bytes, &in6addr_loopback, 16) == 0;
}

bool ln_addr_is_unspecified(const struct ln_addr *addr)
{
	static const uint8_t zero[16];

	if (addr->family == 4)
		return addr->bytes[0] == 0;
	return addr->family == 6 && memcmp(addr->bytes, zero, sizeof(zero)) == 0;
}

bool ln_addr_is_multicast(const struct ln_addr *addr)
{
	if (addr->family == 4)
		return (addr->bytes[0] & 0xf0) == 0xe0;
	return addr->family == 6 && addr->bytes[0] == 0xff;
}

bool ln_addr_is_link_local(const struct ln_addr *addr)
{
	if (addr->family == 4)
		return addr->bytes[0] == 169 && addr->bytes[1] == 254;
	return addr->family == 6 && addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80;
}

const char *ln_proto_name(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_ICMP:
		return "ICMP";
	case IPPROTO_TCP:
		return "TCP";
	case IPPROTO_UDP:
		return "UDP";
	case IPPROTO_DCCP:
		return "DCCP";
	case IPPROTO_GRE:
		return "GRE";
	case IPPROTO_ESP:
		return "ESP";
	case IPPROTO_ICMPV6:
		return "ICMPv6";
	case IPPROTO_SCTP:
		return "SCTP";
	case IPPROTO_UDPLITE:
		return "UDPLITE";
	default:
		return NULL;
	}
}
