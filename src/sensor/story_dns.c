/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages of a story, written without compression. */
#include "story.h"

#include <errno.h>
#include <string.h>
#include "dns/message.h"

#define TYPE_MAX 260

struct writer {
	uint8_t *at, *end;
	bool full;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
	if ((size_t)(w->end - w->at) < len) {
		w->full = true;
		return;
	}
	memcpy(w->at, bytes, len);
	w->at += len;
}

static void put16(struct writer *w, unsigned int value)
{
	const uint8_t bytes[] = {(uint8_t)(value >> 8), (uint8_t)value};

	put(w, bytes, sizeof(bytes));
}

static int put_name(struct writer *w, const char *name, struct ln_error *err)
{
	while (*name != '\0') {
		size_t len = strcspn(name, ".");
		uint8_t len_byte = (uint8_t)len;

		if (len == 0 || len > 63)
			return ln_error_set(err, EINVAL,
					    "\"%s\" is no name; write labels of 1 to "
					    "63 bytes",
					    name);
		put(w, &len_byte, 1);
		put(w, name, len);
		name += len + (name[len] == '.');
	}
	put(w, "", 1);
	return 0;
}

static int find_type(const char *name, struct ln_error *err, uint16_t *ret)
{
	for (uint16_t type = 1; type < TYPE_MAX; type++) {
		const char *known = ln_dns_type_name(type);

		if (known && strcmp(known, name) == 0) {
			*ret = type;
			return 0;
		}
	}
	return ln_error_set(err, EINVAL, "unknown record type \"%s\"; write one like A or HTTPS",
			    name);
}

/* One parameter: "ipv4hint=192.0.2.1,192.0.2.2". */
static int put_hints(struct writer *w, char *text, struct ln_error *err)
{
	char *list = strchr(text, '='), *at, *addr;
	uint8_t family = strncmp(text, "ipv4hint=", 9) == 0 ? 4 : 6;
	struct ln_addr parsed;
	uint8_t *len_at;
	size_t len;

	if (!list || (family == 6 && strncmp(text, "ipv6hint=", 9) != 0))
		return ln_error_set(err, EINVAL, "\"%s\" is no hint", text);
	put16(w, family == 4 ? 4 : 6);
	len_at = w->at;
	put16(w, 0);
	for (addr = strtok_r(list + 1, ",", &at); addr; addr = strtok_r(NULL, ",", &at)) {
		if (!ln_addr_parse(addr, &parsed) || parsed.family != family)
			return ln_error_set(err, EINVAL, "\"%s\" is no such hint", addr);
		put(w, parsed.bytes, family == 4 ? 4 : 16);
	}
	len = (size_t)(w->at - len_at) - 2;
	if (!w->full)
		memcpy(len_at, (uint8_t[]){(uint8_t)(len >> 8), (uint8_t)len}, 2);
	return 0;
}

/* RFC 9460 in short: "1 svc.test ipv4hint=192.0.2.1", "0 pool.test", "1 ." */
static int put_service(struct writer *w, const char *data, struct ln_error *err)
{
	char text[512], *at, *word;
	int r;

	if ((size_t)snprintf(text, sizeof(text), "%s", data) >= sizeof(text))
		return ln_error_set(err, EMSGSIZE, "the record is too long");
	word = strtok_r(text, " ", &at);
	put16(w, word ? (unsigned int)strtoul(word, NULL, 10) : 0);
	word = strtok_r(NULL, " ", &at);
	if (!word)
		return ln_error_set(err, EINVAL, "write a priority, a target and hints");
	r = put_name(w, strcmp(word, ".") == 0 ? "" : word, err);
	while (r == 0 && (word = strtok_r(NULL, " ", &at)) != NULL)
		r = put_hints(w, word, err);
	return r;
}

static int put_data(struct writer *w, uint16_t type, const char *data, struct ln_error *err)
{
	uint8_t *len_at = w->at;
	struct ln_addr addr;
	size_t len;
	int r = 0;

	put16(w, 0);
	if (type == LN_DNS_A || type == LN_DNS_AAAA) {
		if (!ln_addr_parse(data, &addr) || (addr.family == 4) != (type == LN_DNS_A))
			return ln_error_set(err, EINVAL, "\"%s\" is no address of this type", data);
		put(w, addr.bytes, addr.family == 4 ? 4 : 16);
	} else if (type == LN_DNS_CNAME || type == LN_DNS_PTR) {
		r = put_name(w, data, err);
	} else if (type == LN_DNS_HTTPS || type == LN_DNS_SVCB) {
		r = put_service(w, data, err);
	} else {
		put(w, data, strlen(data));
	}
	if (r < 0 || w->full)
		return r;
	len = (size_t)(w->at - len_at) - 2;
	len_at[0] = (uint8_t)(len >> 8);
	len_at[1] = (uint8_t)len;
	return 0;
}

static int put_record(struct writer *w, json_t *record, const char *qname, struct ln_error *err)
{
	const char *name = qname, *type_name, *data;
	json_error_t wrong;
	int ttl_s = 60, r;
	uint16_t type;

	if (json_unpack_ex(record, &wrong, JSON_STRICT, "{s?s, s:s, s?i, s:s}", "name", &name,
			   "type", &type_name, "ttl", &ttl_s, "data", &data) < 0)
		return ln_error_set(err, EINVAL, "record: %s", wrong.text);
	r = find_type(type_name, err, &type);
	if (r == 0)
		r = put_name(w, name, err);
	if (r < 0)
		return r;
	put16(w, type);
	put16(w, 1); /* class IN */
	put16(w, (unsigned int)ttl_s >> 16);
	put16(w, (unsigned int)ttl_s & 0xffff);
	return put_data(w, type, data, err);
}

int ln_story_dns_message(const json_t *body, bool answer, struct ln_error *err, uint8_t *buf,
			 size_t size, size_t *ret_len)
{
	struct writer w = {.at = buf, .end = buf + size};
	const char *name, *type_name = "A";
	json_t *records = NULL, *record;
	json_error_t wrong;
	int id = 0, rcode = 0, r;
	uint16_t type;
	size_t i;

	if (json_unpack_ex((json_t *)body, &wrong, JSON_STRICT, "{s?i, s:s, s?s, s?i, s?o}", "id",
			   &id, "name", &name, "type", &type_name, "rcode", &rcode, "records",
			   &records) < 0)
		return ln_error_set(err, EINVAL, "DNS message: %s", wrong.text);
	r = find_type(type_name, err, &type);
	if (r < 0)
		return r;
	put16(&w, (unsigned int)id);
	put16(&w, answer ? 0x8180u | (unsigned int)rcode : 0x0100u); /* QR, RD, RA */
	put16(&w, 1);
	put16(&w, (unsigned int)json_array_size(records));
	put16(&w, 0);
	put16(&w, 0);
	r = put_name(&w, name, err);
	put16(&w, type);
	put16(&w, 1); /* class IN */
	json_array_foreach(records, i, record)
	{
		if (r == 0)
			r = put_record(&w, record, name, err);
	}
	if (r == 0 && w.full)
		r = ln_error_set(err, EMSGSIZE, "the DNS message is longer than %zu bytes", size);
	if (r == 0)
		*ret_len = (size_t)(w.at - buf);
	return r;
}
