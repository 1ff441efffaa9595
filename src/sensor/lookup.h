/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linnet's own look-ups of the exact names that a policy lists, by c-ares: at start, and again
 * when their TTL (clamped to [5 s, 1 h]) is over. Answers become LN_EVENT_NAME. Sockets are made
 * here, in linnet's own network namespace; the names asked are only those of the policy.
 */
#ifndef LINNET_SENSOR_LOOKUP_H
#define LINNET_SENSOR_LOOKUP_H

#include "sensor.h"

struct ln_lookup; /* opaque */

/* names: canonical, borrowed for the object's life; doubles and localhost are passed over. At most
 * 64 questions are under way at once. Nothing is sent before the first dispatch, which is due at
 * once. A question without an address is asked again after 5 s, then at doubled times up to 1 h. */
int ln_lookup_new(const char *const *names, size_t n_names, const struct ln_endpoint *servers,
		  size_t n_servers, struct ln_error *err, struct ln_lookup **ret);
void ln_lookup_free(struct ln_lookup **l);
/* Asks for these names now, whatever their TTL: names that are not among those of the look-up are
 * passed over. When each of them has been answered or has failed, LN_EVENT_LOOKED with this ticket
 * follows. A question that is under way is not asked twice, and one that was asked within 20 ms
 * is asked when these are over. -ENOENT: none of the names is known here; -EBUSY: 256 tickets
 * wait, or 512 questions were asked so within a second. May be called by `fn` of a dispatch. */
int ln_lookup_ask(struct ln_lookup *l, uint64_t ticket, const char *const *names, size_t n);
/* An epoll descriptor that holds c-ares' sockets and a timer: readable when dispatch has work. */
int ln_lookup_fd(struct ln_lookup *l);
int ln_lookup_dispatch(struct ln_lookup *l, ln_event_fn fn, void *user);
/* Whether each question has been answered, or has failed, at least once. */
bool ln_lookup_settled(const struct ln_lookup *l);
/* How many names have never been answered. */
size_t ln_lookup_unanswered(const struct ln_lookup *l);
uint64_t ln_lookup_failures(const struct ln_lookup *l); /* counter */
/* Other limits for the TTL than [5 s, 1 h]; at least 1 s. From the next answer on. */
void ln_lookup_set_ttl_limits(struct ln_lookup *l, uint32_t min_s, uint32_t max_s);

#endif
