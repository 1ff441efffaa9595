/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <string.h>
#include "base/macros.h"
#include "reverse.h"
#include "wire.h"

/* RFC 1035, 4.1.2. Sets *ret_end behind the question; false when it is malformed. */
static bool read_question(const struct ln_dns_view *m, struct ln_dns_message *msg,
			  const uint8_t **ret_end)
{
	const uint8_t *at = m->start + NS_HFIXEDSZ;
	struct ln_dns_name name;
	int taken = ln_dns_read_name(m, at, &name);

	if (taken < 0 || m->end - at < taken + NS_QFIXEDSZ)
		return false;
	at += taken;
	msg->qtype = ln_dns_get16(at);
	if (name.host && ln_dns_get16(at + 2) == ns_c_in && msg->opcode == ns_o_query) {
		msg->has_question = true;
		memcpy(msg->qname, name.text, sizeof(msg->qname));
		memcpy(msg->qname_raw, name.raw, sizeof(msg->qname_raw));
		if (msg->qtype == LN_DNS_PTR && !ln_reverse_parse(msg->qname, &msg->reverse))
			msg->reverse = (struct ln_addr){0};
	}
	*ret_end = at + NS_QFIXEDSZ;
	return true;
}

/* What is no address, and what a failed answer says: a stub resolver ignores its records. */
static void drop_records(struct ln_dns_message *msg)
{
	msg->n_chain = 0;
	msg->n_addrs = 0;
	msg->n_targets = 0;
	msg->local_answers = 0;
}

static bool read_records(const struct ln_dns_view *m, const uint8_t *answer,
			 struct ln_dns_message *msg)
{
	bool for_address = msg->qtype == ns_t_a || msg->qtype == ns_t_aaaa;

	return ln_dns_read_answer(m, answer, msg) &&
	       (!for_address || ln_dns_read_additional(m, answer, msg));
}

/* RFC 1035, 4.1.1 */
static void read_header(const uint8_t *at, struct ln_dns_message *msg)
{
	msg->id = ln_dns_get16(at);
	msg->response = (at[2] & 0x80) != 0;
	msg->opcode = (at[2] >> 3) & 0xf;
	msg->truncated = (at[2] & 0x02) != 0;
	msg->rcode = at[3] & 0xf;
}

int ln_dns_parse(const uint8_t *bytes, size_t len, struct ln_dns_message *ret)
{
	struct ln_dns_view m;
	const uint8_t *answer = NULL;
	ns_msg parser;

	memset(ret, 0, sizeof(*ret));
	if (len < NS_HFIXEDSZ || len > NS_MAXMSG)
		return -EBADMSG;
	m = (struct ln_dns_view){.start = bytes, .end = bytes + len};
	read_header(bytes, ret);
	if (ln_dns_get16(bytes + 4) == 1 && !read_question(&m, ret, &answer))
		return -EBADMSG;
	if (ns_initparse(bytes, (int)len, &parser) < 0)
		return -EBADMSG;
	if (!ret->has_question)
		return -EOPNOTSUPP;
	if (!ret->response)
		return 0;
	if (!read_records(&m, answer, ret)) {
		drop_records(ret);
		return -EBADMSG;
	}
	if (ret->rcode != ns_r_noerror)
		drop_records(ret);
	return 0;
}

void ln_dns_chain_to(const struct ln_dns_message *msg, const struct ln_dns_addr *addr,
		     struct ln_chain *chain)
{
	for (size_t i = 0; i < addr->n_links; i++)
		ln_chain_add(chain, msg->chain[i]);
	if (addr->target >= 0)
		ln_chain_add(chain, msg->targets[addr->target].name);
}

/* Canonical decimal, as a client writes it. */
static size_t port_length(const char *text)
{
	size_t n = strspn(text, "0123456789");

	return n == 0 || n > 5 || text[0] == '0' || strtoul(text, NULL, 10) > UINT16_MAX ? 0 : n;
}

const char *ln_dns_host_of(const char *name)
{
	static const char scheme[] = "._https.";
	size_t n = name[0] == '_' ? port_length(name + 1) : 0;

	if (n == 0 || strncmp(name + 1 + n, scheme, strlen(scheme)) != 0)
		return name;
	return name + 1 + n + strlen(scheme);
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
