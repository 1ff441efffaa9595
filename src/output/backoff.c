/* SPDX-License-Identifier: Apache-2.0 */
#include "backoff.h"

#include "base/macros.h"

#define FIRST_NS (1 * LN_NS_PER_S)
#define LAST_NS  (60 * LN_NS_PER_S)
#define ASKED_S  300

uint64_t ln_backoff_ns(unsigned failures, uint64_t asked_s, uint32_t random)
{
	unsigned doublings = LN_MIN(failures > 0 ? failures - 1 : 0, 6U);
	uint64_t whole = LN_MIN(FIRST_NS << doublings, LAST_NS);
	uint64_t pause = whole / 2 + (uint64_t)(((unsigned __int128)(whole / 2) * random) >> 32);

	return LN_MAX(pause, LN_MIN(asked_s, (uint64_t)ASKED_S) * LN_NS_PER_S);
}

enum ln_answer ln_backoff_answer(long status)
{
	if (status >= 200 && status < 300)
		return LN_ANSWER_DONE;
	return status >= 500 || status == 429 || status == 408 ? LN_ANSWER_AGAIN : LN_ANSWER_NEVER;
}
