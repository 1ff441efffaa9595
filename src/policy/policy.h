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
	LN_RULE_DENY,    /* deny: wins over what the two lists before permit */
	LN_RULE_UNIX,    /* expected_unix */
	LN_RULE_INBOUND, /* expected_inbound */
	LN_RULE_COUNT,
};

/* A purpose that somebody has still to say; its first word is enough. */
#define LN_PURPOSE_MARK "TODO: what for?"

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
	uint64_t expires_s; /* from then on it permits nothing; seconds since 1970; 0: never */
};

/* What becomes of a connection that is not permitted. */
enum ln_mode {
	LN_MODE_MONITOR, /* it is told */
	LN_MODE_BLOCK,   /* it is refused */
	LN_MODE_KILL,    /* the agent is ended */
	LN_MODE_FREEZE,  /* the agent is stopped for a person to look at */
	LN_MODE_COUNT,
};
const char *ln_mode_text(enum ln_mode m); /* "monitor", … */

/* What a connection to a process outside of the agent on the same host is. */
enum ln_loopback {
	LN_LOOPBACK_JUDGE, /* judged like any other */
	LN_LOOPBACK_ALLOW, /* expected */
};

/* How much in a period. Without a destination the agent as a whole is meant. */
struct ln_limit {
	uint32_t line;
	char *text; /* owned; destination as written; NULL: none */
	enum ln_dest_kind dest;
	char *name; /* owned; as in a rule */
	struct ln_net net;
	uint64_t bytes_out;        /* 0: no limit */
	uint64_t new_destinations; /* 0: no limit; one of the two is there */
	uint64_t period_ns;        /* 1 s to 31 days */
};

/* Where an alert goes. */
enum ln_sink_kind {
	LN_SINK_STDERR,
	LN_SINK_LOG, /* the connection log */
	LN_SINK_EXEC,
	LN_SINK_WEBHOOK,
	LN_SINK_JOURNAL,
	LN_SINK_SYSLOG,
	LN_SINK_COUNT,
};
const char *ln_sink_kind_text(enum ln_sink_kind k); /* "stderr", … */
#define LN_POLICY_SINKS_MAX 16
struct ln_policy_sink {
	enum ln_sink_kind kind;
	char **argv;      /* EXEC: owned; ends with NULL; the first is an absolute path */
	char *target;     /* owned; WEBHOOK: a URL; SYSLOG: see linnet.yaml(5), NULL: this host's */
	char *token_file; /* owned; WEBHOOK: absolute path of a bearer token; NULL: none */
	uint32_t line;
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
enum ln_mode ln_policy_mode(const struct ln_policy *p);
/* In LN_MODE_BLOCK, when linnet has ended and the agent has not: whether all is refused. */
bool ln_policy_fails_closed(const struct ln_policy *p);
enum ln_loopback ln_policy_loopback(const struct ln_policy *p);
size_t ln_policy_limits(const struct ln_policy *p, const struct ln_limit **ret);
/* Whether this destination counts for the limit; `names`: canonical, that lead there. */
bool ln_limit_covers(const struct ln_limit *l, const struct ln_addr *addr, const char *const *names,
		     size_t n_names);
/* None: standard error and the log are meant. */
size_t ln_policy_sinks(const struct ln_policy *p, const struct ln_policy_sink **ret);
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
	const struct ln_rule *rule; /* borrowed from the policy: what decided; NULL: none did */
	bool denied;                /* it is an LN_RULE_DENY */
	const char *name; /* borrowed from the query: the name that matched; NULL by address */
	/* Only when nothing permits: */
	const struct ln_rule *expired;   /* what would, had it not expired; NULL: none */
	const struct ln_rule *near_rule; /* without `rule`: the closest one */
	enum ln_near_miss near;
	const char *near_name; /* borrowed from the query */
};
static inline bool ln_match_permits(const struct ln_match *m)
{
	return m->rule && !m->denied;
}

struct ln_query {
	struct ln_addr addr;
	uint16_t port;
	uint8_t proto;
	uint64_t now_s;              /* wall clock; 0: unknown, so that nothing has expired */
	const char *const *granting; /* canonical names that evidence grants for this address */
	size_t n_granting;
	const char *const *naming; /* names that are only claimed: for near misses */
	size_t n_naming;
};

/* A denying rule wins over all others, an expected rule over a dynamic one, an address over a name,
 * an exact name over a suffix, a longer suffix over a shorter, then the lower id. Always fills
 * *ret. */
void ln_policy_match(const struct ln_policy *p, const struct ln_query *q, struct ln_match *ret);

static inline bool ln_rule_is_over(const struct ln_rule *r, uint64_t now_s)
{
	return r->expires_s != 0 && now_s >= r->expires_s;
}
/* The rule that covers a name as a question to a resolver, whatever its port; NULL: none, or the
 * name is denied. */
const struct ln_rule *ln_policy_covers_name(const struct ln_policy *p, const char *name,
					    uint64_t now_s);
/* The rule that denies a name on every port and for every protocol; NULL: none. */
const struct ln_rule *ln_policy_denies_name(const struct ln_policy *p, const char *name);
/* Whether some rule lists this address, whatever its port, and none denies it on every port. */
const struct ln_rule *ln_policy_covers_addr(const struct ln_policy *p, const struct ln_addr *addr,
					    uint64_t now_s);

/* The part of a canonical name that somebody registered: one label below the longest public suffix,
 * without a list of these the last two labels; the whole name when it has no more. */
const char *ln_policy_registered_domain(const struct ln_policy *p, const char *name);

/* The form that people write of a canonical name with "xn--" in it; false: there is none. */
#define LN_NAME_UNICODE_MAX 1024
bool ln_name_unicode(const char *name, char ret[LN_NAME_UNICODE_MAX]);

/* UNIX sockets: `path` as in sockaddr_un without the leading NUL of an abstract one. NULL: none.
 * A path that is not absolute, or has a ".." in it, matches none. */
const struct ln_rule *ln_policy_match_unix(const struct ln_policy *p, const char *path,
					   size_t path_len, bool abstract, uint64_t now_s);
/* Whether the policy has an expected_unix list: without one such sockets are not policed. */
bool ln_policy_polices_unix(const struct ln_policy *p);
/* A listener (remote NULL) or an accepted connection on this local port. NULL: none. */
const struct ln_rule *ln_policy_match_inbound(const struct ln_policy *p, uint8_t proto,
					      uint16_t local_port, const struct ln_addr *remote,
					      uint64_t now_s);

/* The list of the file that rules of this kind stand in: "expected_outbound", … */
const char *ln_rule_list_text(enum ln_rule_kind k);
/* "443/TCP", "8000-8100,9000/any": for messages; "" for a UNIX socket, which has no port. */
const char *ln_rule_ports_text(const struct ln_rule *r, char *buf, size_t size);

#endif
