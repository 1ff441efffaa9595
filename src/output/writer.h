/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole texts (log lines, an alert block) to a descriptor, one write(2) each, without ever
 * waiting for the reader. A text goes out whole, or not at all and is counted. Of a text that was
 * cut by a short write the rest is kept (one text at most) and goes out before anything else, so
 * that a file stays readable line by line. The process must ignore SIGPIPE.
 */
#ifndef LINNET_OUTPUT_WRITER_H
#define LINNET_OUTPUT_WRITER_H

#include "sink.h"
#include "base/buf.h"

struct ln_writer {
	int fd;
	bool owned;
	bool file; /* a regular one: nobody waits at the other end */
	bool socket;
	bool ask_first;     /* fd may block: poll before each write */
	struct ln_buf rest; /* what a short write left over, from rest_at */
	size_t rest_at;
	uint64_t unreported; /* dropped since the reader was last told */
};

void ln_writer_init(struct ln_writer *w, int fd, bool owned);
void ln_writer_done(struct ln_writer *w); /* tries the rest once more */

/* Writes the text, in which `n` things are told, and counts the outcome in *s. False: it is lost.
 * The text is used up. */
bool ln_writer_put(struct ln_writer *w, struct ln_sink *s, struct ln_buf *text, size_t n);
void ln_writer_lose(struct ln_writer *w, struct ln_sink *s, int error, size_t n);
bool ln_writer_flush(struct ln_writer *w); /* the rest only; true when none is left */

#endif
