/* SPDX-License-Identifier: Apache-2.0 */
/* A finding as the log tells it. */
#ifndef LINNET_TESTS_RECORD_FIXTURE_H
#define LINNET_TESTS_RECORD_FIXTURE_H

#include "json_fixture.h"
#include "output_fixture.h"

static inline json_t *logged(void)
{
	json_t *record;

	capture_jsonl(false);
	cap.sink->ops->finding(cap.sink, &finding);
	record = parse_line(next_write());
	assert_int_equal(cap.sink->written, 1);
	capture_end();
	return record;
}

#endif
