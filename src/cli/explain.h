/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of `linnet explain`. */
#ifndef LINNET_CLI_EXPLAIN_H
#define LINNET_CLI_EXPLAIN_H

#include "base/buf.h"
#include "engine/explain.h"

/* What is asked about: "DEST[:PORT][/PROTO]". */
struct ln_asked {
	char name[LN_NAME_MAX];    /* canonical; "" an address */
	struct ln_endpoint remote; /* family 0: a name; port 0: every port */
	uint8_t proto;             /* 0: TCP and UDP */
};
/* False: it has told why. */
bool ln_asked_parse(const char *text, struct ln_asked *ret);

/* explain_names.c: what this machine says about names: its hosts file, and with `resolve` linnet's
 * own look-ups of the asked name and of those that the policy lists. */
struct ln_known {
	struct ln_addr addr;
	char name[LN_NAME_MAX];
};
struct ln_known_names {
	size_t n, cap;
	struct ln_known *list;    /* owned */
	bool over;                /* there were more than are kept */
	bool unanswered;          /* a look-up had no answer in time */
	struct ln_engine *engine; /* borrowed; is fed, too */
};
void ln_known_hosts(struct ln_known_names *k);
/* 0, or -errno when it has told why. */
int ln_known_resolve(struct ln_known_names *k, const struct ln_policy *policy, const char *name);
void ln_known_done(struct ln_known_names *k);

/* explain_log.c: an alert of a log. `policy` may be NULL. Returns the exit status. */
int ln_explain_alert(const char *log, const char *id, const struct ln_policy *policy, bool json);

/* Whether a hint says no more than the rule that follows it. */
bool ln_explain_is_rule(const char *hint);
/* The rule to add, ready to be pasted, after `indent`. */
void ln_explain_add_rule(struct ln_buf *out, const char *indent, const char *destination,
			 uint16_t port, uint8_t proto, const char *purpose);

#endif
