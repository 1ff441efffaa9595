/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One DNS message (RFC 1035, 4) read from hostile bytes: the question, and what the answer section
 * says of it. A record counts only when its owner is the question's name or a name that the chain
 * from it reached. A name with a dot, a NUL or a non-host byte inside a label is refused, not
 * escaped. No allocation, no I/O. Bounded, and what goes over is counted in `over`.
 *
 * The chain is of CNAME records, and of HTTPS and SVCB records in AliasMode (RFC 9460, 2.4.2).
 * Addresses are those of A and AAAA records, and the hints of HTTPS and SVCB records in
 * ServiceMode (RFC 9460, 7.3): clients connect to a hint without asking further, and it is an
 * answer of the same resolver to a question for the same name, so it counts for as much.
 *
 * A truncated answer is read like any other. Most stubs ask again over TCP, some use what they
 * got; what is in it was said by the same resolver. A record that is cut makes it malformed.
 *
 * What does not belong is counted for whoever judges the answer: it never counts as an address.
 */
#ifndef LINNET_DNS_MESSAGE_H
#define LINNET_DNS_MESSAGE_H

#include "base/addr.h"
#include "base/name.h"
#include "chain.h"

#define LN_DNS_ADDRS_MAX   64
#define LN_DNS_CHAIN_MAX   16
#define LN_DNS_TARGETS_MAX 8

enum ln_dns_type {
	LN_DNS_A = 1,
	LN_DNS_CNAME = 5,
	LN_DNS_PTR = 12,
	LN_DNS_AAAA = 28,
	LN_DNS_SVCB = 64,
	LN_DNS_HTTPS = 65,
};

struct ln_dns_addr {
	struct ln_addr addr;
	uint32_t ttl_s;  /* the smallest along the chain */
	uint8_t n_links; /* how many names of `chain` lead to it */
	int8_t target;   /* and then targets[target]; -1: none */
};

struct ln_dns_target {
	uint32_t ttl_s;
	uint8_t n_links;
	char name[LN_NAME_MAX]; /* canonical */
};

struct ln_dns_message {
	uint16_t id;
	bool response;
	bool truncated;
	uint8_t rcode;
	uint8_t opcode;
	uint16_t qtype;
	bool has_question;           /* exactly one question, class IN, a readable name */
	char qname[LN_NAME_MAX];     /* canonical */
	char qname_raw[LN_NAME_MAX]; /* the same in the case that it came in */
	struct ln_addr reverse;      /* the address that a PTR question is about; family 0: none */
	size_t n_chain;
	char chain[LN_DNS_CHAIN_MAX][LN_NAME_MAX]; /* aliases in order, canonical */
	uint32_t chain_ttl_s[LN_DNS_CHAIN_MAX];    /* the smallest up to it */
	size_t n_addrs;
	struct ln_dns_addr addrs[LN_DNS_ADDRS_MAX];
	/* HTTPS and SVCB: other hosts that do the service. PTR: what `reverse` is called. */
	size_t n_targets;
	struct ln_dns_target targets[LN_DNS_TARGETS_MAX];
	uint32_t
	    over; /* records of the answer that did not fit, did not belong or were malformed */

	uint32_t local_answers; /* of `addrs`: loopback or unspecified */
	/* A, AAAA and CNAME records that nobody asked for; also in an answer with an error. */
	uint32_t foreign_answers; /* in the answer section: the chain does not lead to the owner */
	uint32_t foreign_additional; /* only of an answer to A or AAAA, in the additional section:
				      * no record of the message names the owner as a host */
	char foreign_name[LN_NAME_MAX]; /* owner of the first one; "": not a host name */
};

/* 0; -EBADMSG: malformed (header and question are set as far as they could be read, so that a
 * broken tail does not hide the name that was asked for; never an address); -EOPNOTSUPP: well
 * formed, but its question is not one host name in class IN, or its opcode is not QUERY
 * (has_question is false then; id, rcode and flags are set). Chain, addresses and targets are read
 * only from an answer without error, and only from records of the type asked for (ANY: of all). */
int ln_dns_parse(const uint8_t *bytes, size_t len, struct ln_dns_message *ret);
/* Adds the aliases that lead to this one of msg->addrs. */
void ln_dns_chain_to(const struct ln_dns_message *msg, const struct ln_dns_addr *addr,
		     struct ln_chain *chain);
/* The host that a canonical name asks about: "_8443._https.api.example.com" is how a client asks
 * for the HTTPS record of api.example.com on another port than 443 (RFC 9460, 9.1). The prefix
 * says nothing but the port. Any other name is returned as it is. */
const char *ln_dns_host_of(const char *name);
const char *ln_dns_type_name(uint16_t qtype); /* "A", "AAAA", "HTTPS", "TXT", …; NULL unknown */

#endif
