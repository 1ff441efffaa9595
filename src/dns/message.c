/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <string.h>
#include "base/macros.h"

/* More CNAME records than a chain can hold, so that a few that lead nowhere do no harm. */
#define LINKS_MAX (2 * LN_DNS_CHAIN_MAX)

struct message_view {
	const uint8_t *start;
	const uint8_t *end;
};

/* A name as read: `host` is false when it is the root or has a byte that no host name has. */
struct read_name {
	bool host;
	char text[LN_NAME_MAX];
};

struct record {
	const uint8_t *owner; /* not read yet: it costs more than all the rest */
	uint16_t type;
	uint16_t class;
	uint32_t ttl_s;
	const uint8_t *data;
	size_t data_len;
};

struct cname_link {
	bool used;
	uint32_t ttl_s;
	char owner[LN_NAME_MAX];
	char target[LN_NAME_MAX];
};

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
static bool host_name_text(const uint8_t *wire, char ret[LN_NAME_MAX])
{
	size_t at = 0;

	for (; *wire != 0; wire += 1 + *wire) {
		if (at > 0)
			ret[at++] = '.';
		for (size_t i = 1; i <= *wire; i++) {
			char c = canonical_byte(wire[i]);

			if (c == '\0')
				return false;
			ret[at++] = c;
		}
	}
	ret[at] = '\0';
	return at > 0;
}

/* Returns the bytes that the name takes at `at` (RFC 1035, 4.1.4), or -1 when it is malformed. */
static int read_name(const struct message_view *m, const uint8_t *at, struct read_name *ret)
{
	uint8_t wire[NS_MAXCDNAME];
	int taken = ns_name_unpack(m->start, m->end, at, wire, sizeof(wire));

	if (taken < 0)
		return -1;
	ret->host = host_name_text(wire, ret->text);
	return taken;
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* RFC 1035, 4.1.2. Sets *ret_end behind the question; false when it is malformed. */
static bool read_question(const struct message_view *m, struct ln_dns_message *msg,
			  const uint8_t **ret_end)
{
	const uint8_t *at = m->start + NS_HFIXEDSZ;
	struct read_name name;
	int taken = read_name(m, at, &name);

	if (taken < 0 || m->end - at < taken + NS_QFIXEDSZ)
		return false;
	at += taken;
	msg->qtype = get16(at);
	if (name.host && get16(at + 2) == ns_c_in && msg->opcode == ns_o_query) {
		msg->has_question = true;
		memcpy(msg->qname, name.text, sizeof(msg->qname));
	}
	*ret_end = at + NS_QFIXEDSZ;
	return true;
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* The record at *at (RFC 1035, 4.1.3); moves *at behind it. ns_initparse has seen the borders of
 * all records before; they are checked again, so that nothing here rests on it. */
static bool read_record(const struct message_view *m, const uint8_t **at, struct record *ret)
{
	const uint8_t *p = *at;

	ret->owner = p;
	if (ns_name_skip(&p, m->end) < 0 || m->end - p < NS_RRFIXEDSZ)
		return false;
	ret->type = get16(p);
	ret->class = get16(p + 2);
	/* RFC 2181, 8: a TTL with the top bit set is zero. */
	ret->ttl_s = get32(p + 4) > INT32_MAX ? 0 : get32(p + 4);
	ret->data_len = get16(p + 8);
	ret->data = p + NS_RRFIXEDSZ;
	if ((size_t)(m->end - ret->data) < ret->data_len)
		return false;
	*at = ret->data + ret->data_len;
	return true;
}

/* Keeps a CNAME record, whether it belongs or not. False when its names are malformed. */
static bool read_link(const struct message_view *m, const struct record *rr,
		      struct cname_link links[LINKS_MAX], size_t *n, uint32_t *over)
{
	struct read_name owner, target;
	int taken;

	if (*n == LINKS_MAX) {
		(*over)++;
		return true;
	}
	taken = read_name(m, rr->data, &target);
	if (taken < 0 || (size_t)taken != rr->data_len || read_name(m, rr->owner, &owner) < 0)
		return false;
	if (rr->class != ns_c_in || !owner.host || !target.host) {
		(*over)++;
		return true;
	}
	links[*n].used = false;
	links[*n].ttl_s = rr->ttl_s;
	memcpy(links[*n].owner, owner.text, LN_NAME_MAX);
	memcpy(links[*n].target, target.text, LN_NAME_MAX);
	(*n)++;
	return true;
}

/* Position of the name on the way from the question: 0 the question itself, i + 1 for chain[i];
 * -1: not on it. */
static int chain_position(const struct ln_dns_message *msg, const char *name)
{
	if (strcmp(name, msg->qname) == 0)
		return 0;
	for (size_t i = 0; i < msg->n_chain; i++) {
		if (strcmp(name, msg->chain[i]) == 0)
			return (int)i + 1;
	}
	return -1;
}

static struct cname_link *find_link(struct cname_link *links, size_t n, const char *owner)
{
	for (size_t i = 0; i < n; i++) {
		if (!links[i].used && strcmp(links[i].owner, owner) == 0)
			return &links[i];
	}
	return NULL;
}

/* The records of a chain come in any order. A name has one CNAME (RFC 1034, 3.6.2): of several the
 * first counts. ttl_s[i] becomes the smallest TTL on the way to position i. A target that was
 * passed already ends the walk, so each round adds a new name or is the last. */
static void follow_chain(struct ln_dns_message *msg, struct cname_link *links, size_t n_links,
			 uint32_t ttl_s[LN_DNS_CHAIN_MAX + 1])
{
	const char *name = msg->qname;
	struct cname_link *link;

	ttl_s[0] = UINT32_MAX;
	while ((link = find_link(links, n_links, name)) != NULL) {
		size_t n = msg->n_chain;

		if (n == LN_DNS_CHAIN_MAX || chain_position(msg, link->target) >= 0)
			break;
		link->used = true;
		memcpy(msg->chain[n], link->target, LN_NAME_MAX);
		ttl_s[n + 1] = LN_MIN(ttl_s[n], link->ttl_s);
		name = msg->chain[n];
		msg->n_chain++;
	}
	msg->over += (uint32_t)(n_links - msg->n_chain);
}

/* False when the record's owner is malformed. */
static bool take_address(const struct message_view *m, const struct record *rr,
			 const uint32_t ttl_s[LN_DNS_CHAIN_MAX + 1], struct ln_dns_message *msg)
{
	uint8_t family = rr->type == ns_t_a ? 4 : 6;
	size_t want_len = family == 4 ? NS_INADDRSZ : NS_IN6ADDRSZ;
	struct read_name owner;
	struct ln_dns_addr *entry;
	int position;

	if (rr->class != ns_c_in || rr->data_len != want_len ||
	    (msg->qtype != rr->type && msg->qtype != ns_t_any) ||
	    msg->n_addrs == LN_DNS_ADDRS_MAX) {
		msg->over++;
		return true;
	}
	if (read_name(m, rr->owner, &owner) < 0)
		return false;
	position = owner.host ? chain_position(msg, owner.text) : -1;
	if (position < 0) {
		msg->over++;
		return true;
	}
	entry = &msg->addrs[msg->n_addrs++];
	entry->addr = ln_addr_make(family, rr->data);
	entry->ttl_s = LN_MIN(rr->ttl_s, ttl_s[position]);
	return true;
}

/* False when the section is malformed. Records of other types (RRSIG, DNAME) are passed over. */
static bool read_answer(const struct message_view *m, const uint8_t *answer,
			struct ln_dns_message *msg)
{
	const uint16_t n_records = get16(m->start + 6);
	struct cname_link links[LINKS_MAX];
	uint32_t ttl_s[LN_DNS_CHAIN_MAX + 1];
	size_t n_links = 0;
	const uint8_t *at = answer;
	struct record rr;

	for (int i = 0; i < n_records; i++) {
		if (!read_record(m, &at, &rr) ||
		    (rr.type == ns_t_cname && !read_link(m, &rr, links, &n_links, &msg->over)))
			return false;
	}
	follow_chain(msg, links, n_links, ttl_s);
	at = answer;
	for (int i = 0; i < n_records; i++) {
		if (!read_record(m, &at, &rr) || ((rr.type == ns_t_a || rr.type == ns_t_aaaa) &&
						  !take_address(m, &rr, ttl_s, msg)))
			return false;
	}
	return true;
}

/* Who takes an answer at all: a stub resolver ignores the records of a failed one. */
static bool has_addresses(const struct ln_dns_message *msg)
{
	return msg->response && msg->rcode == ns_r_noerror &&
	       (msg->qtype == ns_t_a || msg->qtype == ns_t_aaaa || msg->qtype == ns_t_any);
}

/* RFC 1035, 4.1.1 */
static void read_header(const uint8_t *at, struct ln_dns_message *msg)
{
	msg->id = get16(at);
	msg->response = (at[2] & 0x80) != 0;
	msg->opcode = (at[2] >> 3) & 0xf;
	msg->truncated = (at[2] & 0x02) != 0;
	msg->rcode = at[3] & 0xf;
}

int ln_dns_parse(const uint8_t *bytes, size_t len, struct ln_dns_message *ret)
{
	struct message_view m;
	const uint8_t *answer = NULL;
	ns_msg parser;

	memset(ret, 0, sizeof(*ret));
	if (len < NS_HFIXEDSZ || len > NS_MAXMSG)
		return -EBADMSG;
	m = (struct message_view){.start = bytes, .end = bytes + len};
	read_header(bytes, ret);
	if (get16(bytes + 4) == 1 && !read_question(&m, ret, &answer))
		return -EBADMSG;
	if (ns_initparse(bytes, (int)len, &parser) < 0)
		return -EBADMSG;
	if (!ret->has_question)
		return -EOPNOTSUPP;
	if (has_addresses(ret) && !read_answer(&m, answer, ret)) {
		ret->n_chain = 0;
		ret->n_addrs = 0;
		return -EBADMSG;
	}
	return 0;
}

const char *ln_dns_type_name(uint16_t qtype)
{
	static const struct {
		uint16_t type;
		const char *name;
	} types[] = {
	    {1, "A"},      {2, "NS"},     {5, "CNAME"},  {6, "SOA"},    {10, "NULL"},
	    {12, "PTR"},   {13, "HINFO"}, {15, "MX"},    {16, "TXT"},   {25, "KEY"},
	    {28, "AAAA"},  {29, "LOC"},   {33, "SRV"},   {35, "NAPTR"}, {39, "DNAME"},
	    {43, "DS"},    {44, "SSHFP"}, {46, "RRSIG"}, {47, "NSEC"},  {48, "DNSKEY"},
	    {52, "TLSA"},  {64, "SVCB"},  {65, "HTTPS"}, {99, "SPF"},   {251, "IXFR"},
	    {252, "AXFR"}, {255, "ANY"},  {256, "URI"},  {257, "CAA"},
	};

	for (size_t i = 0; i < LN_ARRAY_SIZE(types); i++) {
		if (types[i].type == qtype)
			return types[i].name;
	}
	return NULL;
}
