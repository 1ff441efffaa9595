/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What systemd-resolved tells those who subscribe to its results (varlink method
 * io.systemd.Resolve.Monitor.SubscribeQueryResults): a question, the names that led to it over
 * CNAME records, and the records of the answer as they are on the wire. They are put together into
 * a DNS message and read as one, so the same rules hold as for the agent's own answers. Bounds:
 * 16 questions, and what fits into one message.
 */
#ifndef LINNET_DNS_RESOLVED_RESULT_H
#define LINNET_DNS_RESOLVED_RESULT_H

#include "message.h"

/* `msg` has at least one address; qname may also be a name that led to the question, or the
 * question's single label under a search domain. Borrowed for the call. */
typedef void (*ln_resolved_fn)(const struct ln_dns_message *msg, void *user);

/* One JSON text, without the NUL that ends it. 0, also for what is no successful answer; -EBADMSG:
 * not what resolved sends. */
int ln_resolved_result_read(const char *text, size_t len, ln_resolved_fn fn, void *user);
/* Whether resolved asks only DNS servers for this name: single labels go to LLMNR too, and .local
 * to mDNS, which anybody on the link can answer. */
bool ln_resolved_result_trusted(const char *name);

#endif
