/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which names led an agent to an address: all of them, each with its source, its grade and its
 * expiry; never "the last name wins". A granting name permits while now <= expires + grace
 * (`stale` once past expiry); after that, and for a naming-only source, it still tells people
 * what the address was called. Bound: `max` evidence entries in all and LN_NAMES_PER_ADDR an
 * address and agent; the one that expired longest ago, else the oldest, goes first (of one
 * address: of those that only name, if there are any), and is counted. When full, the agent that
 * holds most gives: one that holds no more than its share (max by the number of agents that hold
 * anything) never loses an entry to another. O(log max).
 */
#ifndef LINNET_DNS_NAMES_H
#define LINNET_DNS_NAMES_H

#include "base/addr.h"
#include "base/name.h"

#define LN_NAMES_PER_ADDR 64

enum ln_name_source {
	LN_NAME_ANSWER,     /* a DNS answer of a trusted resolver to the agent's own question */
	LN_NAME_OWN_LOOKUP, /* linnet asked itself */
	LN_NAME_HOSTS,      /* /etc/hosts of the agent */
	LN_NAME_RESOLVED,   /* systemd-resolved says that it told somebody here so */
	/* What follows names and never grants. */
	LN_NAME_UNTRUSTED,   /* an answer from anywhere else, or unasked */
	LN_NAME_SNI,         /* the agent said so to the server: TLS, … */
	LN_NAME_QUIC_SNI,    /* … QUIC, … */
	LN_NAME_HOST_HEADER, /* … HTTP/1 */
	LN_NAME_PTR,         /* a reverse look-up of the agent */
	LN_NAME_SOURCE_COUNT,
};
const char *ln_name_source_text(enum ln_name_source s); /* "answer", "own-lookup", … */
bool ln_name_source_grants(enum ln_name_source s);      /* else it never does, whatever it says */
bool ln_name_source_is_claim(enum ln_name_source s); /* what the agent said to a server: no TTL */

struct ln_name_evidence {
	char name[LN_NAME_MAX]; /* canonical: the name that was asked for */
	enum ln_name_source source;
	bool grants;
	bool stale;   /* past its TTL, inside the grace */
	bool over;    /* past the grace: names only (grants is false) */
	uint32_t pid; /* who asked; 0 linnet itself */
	uint32_t ttl_s;
	uint64_t seen_ns, expires_ns; /* monotonic; expires UINT64_MAX: hosts */
	/* The aliases on the way from the name to the address, see chain.h; NULL: none. Borrowed:
	 * what ln_names_find gives lives until the next ln_names_add. */
	const char *chain;
};

struct ln_names; /* opaque */

struct ln_names *ln_names_new(size_t max, uint64_t grace_ns);
void ln_names_free(struct ln_names **n);
/* Other bounds from now on. What is there stays; with a smaller `max` it goes as new ones come. */
void ln_names_set(struct ln_names *n, size_t max, uint64_t grace_ns);

/* Adds or renews (agent, addr, name, source, grants): of two expiries the later one holds. agent 0:
 * evidence for every agent. A loopback address is kept only from LN_NAME_HOSTS, and then only for
 * naming; a source that only names, and an address that is not grantable, never grant whatever
 * `grants` says. -EINVAL: no address, or no name; -ENOMEM counts as evicted. */
int ln_names_add(struct ln_names *n, uint32_t agent, const struct ln_addr *addr,
		 const struct ln_name_evidence *evidence);
/* Fills up to `max` entries, granting ones first, then newest first; returns how many. */
size_t ln_names_find(struct ln_names *n, uint32_t agent, const struct ln_addr *addr,
		     uint64_t now_ns, struct ln_name_evidence *ret, size_t max);
/* Each entry that grants; what it gives is borrowed for the call. */
void ln_names_each(const struct ln_names *n,
		   void (*fn)(uint32_t agent, const struct ln_addr *addr,
			      const struct ln_name_evidence *evidence, void *user),
		   void *user);
size_t ln_names_count(const struct ln_names *n);
uint64_t ln_names_evicted(const struct ln_names *n); /* counter */
/* Whether a name can permit this address at all: not loopback, unspecified (0/8, ::), multicast or
 * broadcast. Those stand for a place here or for many places, and an answer must not open them. */
bool ln_names_grantable(const struct ln_addr *addr);

#endif
