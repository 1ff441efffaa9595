/* SPDX-License-Identifier: Apache-2.0 */
/* Files and policies for plays in which memory runs out. Only test_no_memory*.c include it. */
#ifndef LINNET_TESTS_NO_MEMORY_FIXTURE_H
#define LINNET_TESTS_NO_MEMORY_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "policy/parse.h"
#include "scarce.h"

#define STORIES  "tests/data/stories/"
#define POLICIES "tests/data/policies/"
#define TEXT_MAX (1u << 20)

static inline int open_file(const char *name, int flags)
{
	int fd = open(name, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		fail_msg("%s: %s", name, strerror(errno));
	return fd;
}

/* Into a text that is the test's for as long as it runs. */
static inline const char *read_text(const char *name, size_t *ret_len)
{
	static char text[TEXT_MAX];
	LN_AUTO_CLOSE int fd = open_file(name, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	assert_true(n >= 0 && (size_t)n < sizeof(text) - 1);
	text[n] = '\0';
	if (ret_len)
		*ret_len = (size_t)n;
	return text;
}

static inline struct ln_policy *make_policy(const char *name, const char *more)
{
	struct ln_buf text = {0};
	struct ln_diags diags = {0};
	struct ln_policy *policy = NULL;

	ln_buf_adds(&text, read_text(name, NULL));
	ln_buf_adds(&text, more);
	if (ln_policy_parse(name, ln_buf_text(&text), text.len, false, &diags, &policy) < 0)
		fail_msg("%s: %s", name, diags.n ? diags.list[0].text : "no memory");
	ln_diags_done(&diags);
	ln_buf_done(&text);
	return policy;
}

#endif
