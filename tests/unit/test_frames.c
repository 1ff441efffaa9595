/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>
#include "daemon/frames.h"

struct part {
	uint32_t part;
	const char *text;
	uint64_t more; /* bytes that are said to come and do not */
};

/* What was read of these; the file ends behind them. */
static bool read_parts(const struct part *parts, size_t n, struct ln_frames *ret)
{
	LN_AUTO_CLOSE int fd = memfd_create("frames", MFD_CLOEXEC);

	assert_true(fd >= 0);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(parts[i].text);
		const struct ln_report_head head = {.part = parts[i].part,
						    .len = len + parts[i].more};

		assert_int_equal(write(fd, &head, sizeof(head)), sizeof(head));
		assert_int_equal(write(fd, parts[i].text, len), len);
	}
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	memset(ret, 0, sizeof(*ret));
	return ln_frames_read(fd, ret);
}

static void test_parts_in_any_order(void **state)
{
	static const struct part parts[] = {
	    {LN_REPORT_SUMMARY, "# linnet\n", 0}, {LN_REPORT_DIFF, "", 0}, {LN_REPORT_END, "", 0}};
	struct ln_frames f;

	assert_true(read_parts(parts, LN_ARRAY_SIZE(parts), &f));
	assert_true(f.came[LN_REPORT_SUMMARY] && f.came[LN_REPORT_DIFF]);
	assert_false(f.came[LN_REPORT_POLICY]);
	assert_string_equal(ln_buf_text(&f.parts[LN_REPORT_SUMMARY]), "# linnet\n");
	ln_frames_done(&f);
}

static void test_what_breaks_off_counts_for_nothing(void **state)
{
	static const struct part parts[] = {{LN_REPORT_POLICY, "agent_name: a\n", 1}};
	struct ln_frames f;

	assert_false(read_parts(parts, 1, &f));
	ln_frames_done(&f);
	assert_false(read_parts(parts, 0, &f));
	ln_frames_done(&f);
}

static void test_what_nobody_sends_is_refused(void **state)
{
	static const struct part twice[] = {
	    {LN_REPORT_POLICY, "a", 0}, {LN_REPORT_POLICY, "b", 0}, {LN_REPORT_END, "", 0}};
	static const struct part unknown[] = {{LN_REPORT_PARTS, "", 0}, {LN_REPORT_END, "", 0}};
	/* The second is said to be as long as all of them may be together. */
	static const struct part too_much[] = {{LN_REPORT_POLICY, "a", 0},
					       {LN_REPORT_DIFF, "", LN_REPORT_BYTES_MAX}};
	struct ln_frames f;

	assert_false(read_parts(twice, LN_ARRAY_SIZE(twice), &f));
	ln_frames_done(&f);
	assert_false(read_parts(unknown, LN_ARRAY_SIZE(unknown), &f));
	ln_frames_done(&f);
	assert_false(read_parts(too_much, LN_ARRAY_SIZE(too_much), &f));
	assert_false(f.came[LN_REPORT_DIFF]);
	ln_frames_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parts_in_any_order),
	    cmocka_unit_test(test_what_breaks_off_counts_for_nothing),
	    cmocka_unit_test(test_what_nobody_sends_is_refused),
	};

	return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
