/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy as a value, and the matcher. Parsing is in policy/parse.h. After it is built a policy
 * does not change. Matching costs the same with ten rules and with 100,000: exact addresses and
 * names in hashes, networks by prefix length, name suffixes label by label.
 */
#ifndef LINNET_POLICY_POLICY_H
#define LINNET_POLICY_POLICY_H

#include "base/addr.h"
#include "base/name.h"

enum ln_rule_kind {
	LN_RULE_EXPECTED,
	LN_RULE_DYNAMIC,
	LN_RULE_UNIX,    /* expected_unix */
	LN_RULE_INBOUND, /* expected_inbound */
	LN_RULE_COUNT,
};
/* An address is a network of /32 or /128. */
enum ln_dest_kind { LN_DEST_NAME, LN_DEST_SUFFIX, LN_DEST_NET, LN_DEST_PATH };

struct ln_port_range {
	uint16_t first, last;
};

struct ln_rule {
	enum ln_rule_kind kind;
	enum ln_dest_kind dest;
	uint32_t id;   /* position in the policy, from 0; rules of both lists share the count */
	uint32_t line; /* in the file, from 1 */
	char *text;    /* owned; destination as written; for what comes in: from where */
	char *name;    /* owned; canonical; for "*.suffix" the suffix; for a UNIX socket its path or
			* pattern; NULL for LN_DEST_NET */
	struct ln_net net;           /* INBOUND: from where; family 0: anywhere */
	size_t n_ports;              /* 0: any */
	struct ln_port_range *ports; /* owned; sorted, disjoint */
	uint8_t proto;               /* IPPROTO_TCP, IPPROTO_UDP, 0: any */
	char *purpose;               /* owned; NULL when not given */
};

struct ln_policy; /* opaque */

void ln_policy_free(struct ln_policy **p);
const char *ln_policy_agent_name(const struct ln_policy *p);
const char *ln_policy_file(const struct ln_policy *p); /* as given to the parser */
size_t ln_policy_rules(const struct ln_policy *p);
const struct ln_rule *ln_policy_rule(const struct ln_policy *p, size_t id);
/* The policy's `resolvers:`; none: those of the agent's own resolv.conf are meant. */
size_t ln_policy_resolvers(const struct ln_policy *p, const struct ln_endpoint **ret);
/* How long a name still permits an address after its TTL; 0: not at all. */
#define LN_POLICY_GRACE_NS (600ULL * LN_NS_PER_S) /* unless the policy says otherwise */
uint64_t ln_policy_grace_ns(const struct ln_policy *p);
/* A policy without a rule, for a watch that was given none: everything is unexpected. */
struct ln_policy *ln_policy_new_empty(const char *agent_name);

enum ln_near_miss {
	LN_NEAR_NONE,
	LN_NEAR_PORT,      /* the destination is listed, on other ports */
	LN_NEAR_PROTO,     /* the destination and port are listed, for another protocol */
	LN_NEAR_SUBDOMAIN, /* a name below a listed exact name, or the bare suffix of a wildcard */
	LN_NEAR_UNTRUSTED, /* the name is listed, but nothing that grants says it is this address */
};

struct ln_match {
	const struct ln_rule *rule; /* borrowed from the policy; NULL: none permits */
	const char *name; /* borrowed from the query: the name that matched; NULL by address */
	const struct ln_rule *near_rule; /* only without `rule`: the closest one */
	enum ln_near_miss near;
	const char *near_name; /* borrowed from the query */
};

struct ln_query {
	struct ln_addr addr;
	uint16_t port;
	uint8_t proto;
	const char *const *granting; /* canonical names that evidence grants for this address */
	size_t n_granting;
	const char *const *naming; /* names that are only claimed: for near misses */
	size_t n_naming;
};

/* An expected rule wins over a dynamic one, an address over a name, an exact name over a suffix,
 * a longer suffix over a shorter, then the lower id. Always fills *ret. */
void ln_policy_match(const struct ln_policy *p, const struct ln_query *q, struct ln_match *ret);

/* The rule that covers a name as a question to a resolver, whatever its port; NULL: none. */
const struct ln_rule *ln_policy_covers_name(const struct ln_policy *p, const char *name);
/* Whether some rule lists this address, whatever its port. */
const struct ln_rule *ln_policy_covers_addr(const struct ln_policy *p, const struct ln_addr *addr);

/* The part of a canonical name that somebody registered: one label below the longest public suffix,
 * without a list of these the last two labels; the whole name when it has no more. */
const char *ln_policy_registered_domain(const struct ln_policy *p, const char *name);

/* UNIX sockets: `path` as in sockaddr_un without the leading NUL of an abstract one. NULL: none.
 * A path that is not absolute, or has a ".." in it, matches none. */
const struct ln_rule *ln_policy_match_unix(const struct ln_policy *p, const char *path,
					   size_t path_len, bool abstract);
/* Whether the policy has an expected_unix list: without one such sockets are not policed. */
bool ln_policy_polices_unix(const struct ln_policy *p);
/* A listener (remote NULL) or an accepted connection on this local port. NULL: none. */
const struct ln_rule *ln_policy_match_inbound(const struct ln_policy *p, uint8_t proto,
					      uint16_t local_port, const struct ln_addr *remote);

/* The list of the file that rules of this kind stand in: "expected_outbound", … */
const char *ln_rule_list_text(enum ln_rule_kind k);
/* "443/TCP", "8000-8100,9000/any": for messages; "" for a UNIX socket, which has no port. */
const char *ln_rule_ports_text(const struct ln_rule *r, char *buf, size_t size);

#endif
