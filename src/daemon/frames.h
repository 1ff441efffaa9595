/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of the frames of output/report.h. Who writes them reads what others wrote: a part
 * comes once, all of them together have at most LN_REPORT_BYTES_MAX, and what breaks off counts for
 * nothing. */
#ifndef LINNET_DAEMON_FRAMES_H
#define LINNET_DAEMON_FRAMES_H

#include "base/buf.h"
#include "output/report.h"

struct ln_frames {
	struct ln_buf parts[LN_REPORT_PARTS];
	bool came[LN_REPORT_PARTS];
};

/* Until LN_REPORT_END. False: it broke off, or is not what it should be. *f is zeroed before. */
bool ln_frames_read(int fd, struct ln_frames *f);
void ln_frames_done(struct ln_frames *f);

#endif
