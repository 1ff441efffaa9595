/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One DNS message (RFC 1035, 4) read from hostile bytes: the question, and the addresses that
 * its CNAME chain leads to. A record counts only when its owner is the question's name or a name
 * that the chain reached, and only in the answer section. A name with a dot, a NUL or a
 * non-host byte inside a label is refused, not escaped. Bounded: LN_DNS_ADDRS_MAX addresses,
 * LN_DNS_CHAIN_MAX links; what goes over is counted in `over`. No allocation, no I/O.
 */
#ifndef LINNET_DNS_MESSAGE_H
#define LINNET_DNS_MESSAGE_H

#include "base/addr.h"
#include "base/name.h"

#define LN_DNS_ADDRS_MAX 64
#define LN_DNS_CHAIN_MAX 16

enum ln_dns_type { LN_DNS_A = 1, LN_DNS_CNAME = 5, LN_DNS_PTR = 12, LN_DNS_AAAA = 28 };

struct ln_dns_addr {
	struct ln_addr addr;
	uint32_t ttl_s; /* the smallest along the chain */
};

struct ln_dns_message {
	uint16_t id;
	bool response;
	bool truncated;
	uint8_t rcode;
	uint8_t opcode;
	uint16_t qtype;
	bool has_question;       /* exactly one question, class IN, a readable name */
	char qname[LN_NAME_MAX]; /* canonical */
	size_t n_chain;
	char chain[LN_DNS_CHAIN_MAX][LN_NAME_MAX]; /* CNAME targets in order, canonical */
	size_t n_addrs;
	struct ln_dns_addr addrs[LN_DNS_ADDRS_MAX];
	uint32_t over; /* A, AAAA and CNAME records that did not fit or did not belong */
};

/* 0; -EBADMSG: malformed (header and question are set as far as they could be read, so that a
 * broken tail does not hide the name that was asked for; never an address); -EOPNOTSUPP: well
 * formed, but its question is not one host name in class IN, or its opcode is not QUERY
 * (has_question is false then; id, rcode and flags are set). Addresses are read only from an
 * answer without error to a question for A, AAAA or ANY, and only of the type asked for. */
int ln_dns_parse(const uint8_t *bytes, size_t len, struct ln_dns_message *ret);
const char *ln_dns_type_name(uint16_t qtype); /* "A", "AAAA", "HTTPS", "TXT", …; NULL unknown */

#endif
