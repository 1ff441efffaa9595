/* SPDX-License-Identifier: Apache-2.0 */
/* When to try again: 1 s, doubled with each failure up to 60 s, and of that a random part between
 * half and all, so that many monitors do not come back at once. Pure. */
#ifndef LINNET_OUTPUT_BACKOFF_H
#define LINNET_OUTPUT_BACKOFF_H

#include <stdint.h>

#define LN_BACKOFF_TRIES 10 /* of one message, which takes three to six minutes */

/* failures: so far, 1 or more. asked_s: what the server asked for by Retry-After, 0 nothing; it
 * counts up to 300 s, and never makes the pause shorter. */
uint64_t ln_backoff_ns(unsigned failures, uint64_t asked_s, uint32_t random);

enum ln_answer { LN_ANSWER_DONE, LN_ANSWER_AGAIN, LN_ANSWER_NEVER };
/* What a status of HTTP means for the message. */
enum ln_answer ln_backoff_answer(long status);

#endif
