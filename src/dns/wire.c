/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <arpa/nameser.h>

enum svcb_key { KEY_IPV4HINT = 4, KEY_IPV6HINT = 6 };

/* NUL: a byte that no host name has. */
static char canonical_byte(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
		return (char)c;
	return '\0';
}

/* `wire` is what ns_name_unpack made: labels of 1 to 63 bytes, a zero byte, 255 bytes at most
 * (RFC 1035, 2.3.4 and 3.1), so the text with its dots is at most 253. A dot inside a label is
 * refused here, where it can still be told from one between labels. */
static bool host_name_text(const uint8_t *wire, struct ln_dns_name *ret)
{
	size_t at = 0;

	for (; *wire != 0; wire += 1 + *wire) {
		if (at > 0) {
			ret->text[at] = '.';
			ret->raw[at++] = '.';
		}
		for (size_t i = 1; i <= *wire; i++) {
			char c = canonical_byte(wire[i]);

			if (c == '\0')
				return false;
			ret->text[at] = c;
			ret->raw[at++] = (char)wire[i];
		}
	}
	ret->text[at] = '\0';
	ret->raw[at] = '\0';
	return at > 0;
}

int ln_dns_read_name(const struct ln_dns_view *m, const uint8_t *at, struct ln_dns_name *ret)
{
	uint8_t wire[NS_MAXCDNAME];
	int taken = ns_name_unpack(m->start, m->end, at, wire, sizeof(wire));

	if (taken < 0)
		return -1;
	ret->host = host_name_text(wire, ret);
	if (!ret->host) {
		ret->text[0] = '\0';
		ret->raw[0] = '\0';
	}
	return taken;
}

uint16_t ln_dns_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)ln_dns_get16(at) << 16 | ln_dns_get16(at + 2);
}

bool ln_dns_read_record(const struct ln_dns_view *m, const uint8_t **at, struct ln_dns_record *ret)
{
	const uint8_t *p = *at;

	ret->owner = p;
	if (ns_name_skip(&p, m->end) < 0 || m->end - p < NS_RRFIXEDSZ)
		return false;
	ret->type = ln_dns_get16(p);
	ret->class = ln_dns_get16(p + 2);
	/* RFC 2181, 8: a TTL with the top bit set is zero. */
	ret->ttl_s = get32(p + 4) > INT32_MAX ? 0 : get32(p + 4);
	ret->data_len = ln_dns_get16(p + 8);
	ret->data = p + NS_RRFIXEDSZ;
	if ((size_t)(m->end - ret->data) < ret->data_len)
		return false;
	*at = ret->data + ret->data_len;
	return true;
}

/* RFC 9460, 2.2: the target is not compressed. Sets *at behind it. */
static bool read_target(const struct ln_dns_view *m, const uint8_t **at, const uint8_t *end,
			struct ln_dns_service *ret)
{
	const uint8_t *p = *at;
	int taken;

	while (p < end && *p != 0) {
		if (*p > NS_MAXLABEL)
			return false;
		p += 1 + *p;
	}
	if (p >= end)
		return false;
	taken = ln_dns_read_name(m, *at, &ret->target);
	if (taken < 0)
		return false;
	ret->self = taken == 1;
	*at += taken;
	return true;
}

/* RFC 9460, 2.2 and 7.3: keys strictly ascend, a hint is a list of addresses, and not empty. */
static bool read_parameters(const uint8_t *at, const uint8_t *end, struct ln_dns_service *ret)
{
	int last_key = -1;

	while (at < end) {
		size_t len;
		int key;

		if (end - at < 4)
			return false;
		key = ln_dns_get16(at);
		len = ln_dns_get16(at + 2);
		at += 4;
		if (key <= last_key || (size_t)(end - at) < len)
			return false;
		if (key == KEY_IPV4HINT || key == KEY_IPV6HINT) {
			int six = key == KEY_IPV6HINT;
			size_t size = six ? NS_IN6ADDRSZ : NS_INADDRSZ;

			if (len == 0 || len % size != 0)
				return false;
			ret->hints[six] = at;
			ret->n_hints[six] = len / size;
		}
		at += len;
		last_key = key;
	}
	return true;
}

bool ln_dns_read_service(const struct ln_dns_view *m, const struct ln_dns_record *rr,
			 struct ln_dns_service *ret)
{
	const uint8_t *at = rr->data + 2, *end = rr->data + rr->data_len;

	ret->n_hints[0] = 0;
	ret->n_hints[1] = 0;
	if (rr->data_len < 3)
		return false;
	ret->priority = ln_dns_get16(rr->data);
	if (!read_target(m, &at, end, ret))
		return false;
	return ret->priority == 0 || read_parameters(at, end, ret);
}
