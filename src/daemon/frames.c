/* SPDX-License-Identifier: Apache-2.0 */
#include "frames.h"

#include <errno.h>
#include <unistd.h>

static bool read_whole(int fd, void *to, size_t len)
{
	char *at = to;

	while (len > 0) {
		ssize_t n = read(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

/* Memory is taken for what has come, not for what is said to come. */
static bool read_part(int fd, uint64_t len, struct ln_buf *text)
{
	char chunk[65536];

	text->max = LN_REPORT_BYTES_MAX;
	while (len > 0) {
		size_t n = (size_t)LN_MIN(len, (uint64_t)sizeof(chunk));

		if (!read_whole(fd, chunk, n))
			return false;
		ln_buf_add(text, chunk, n);
		len -= n;
	}
	return !text->failed;
}

bool ln_frames_read(int fd, struct ln_frames *f)
{
	uint64_t left = LN_REPORT_BYTES_MAX;
	struct ln_report_head head;

	while (read_whole(fd, &head, sizeof(head))) {
		if (head.part == LN_REPORT_END)
			return true;
		if (head.part >= LN_REPORT_PARTS || f->came[head.part] || head.len > left)
			return false;
		left -= head.len;
		f->came[head.part] = true;
		if (!read_part(fd, head.len, &f->parts[head.part]))
			return false;
	}
	return false;
}

void ln_frames_done(struct ln_frames *f)
{
	for (int i = 0; i < LN_REPORT_PARTS; i++)
		ln_buf_done(&f->parts[i]);
}
