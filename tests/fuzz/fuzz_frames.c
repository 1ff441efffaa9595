/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what the monitor sends to the process that writes the user's files: the monitor may
 * have been taken over. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "daemon/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool promise)
{
	if (!promise)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ln_frames f = {0};
	size_t sum = 0;
	LN_AUTO_CLOSE int fd = memfd_create("frames", MFD_CLOEXEC);

	require(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
	if (ln_frames_read(fd, &f)) {
		require(!f.came[LN_REPORT_END]);
		for (int i = 0; i < LN_REPORT_PARTS; i++) {
			require(f.came[i] || f.parts[i].len == 0);
			sum += f.parts[i].len + f.came[i] * sizeof(struct ln_report_head);
		}
		require(sum + sizeof(struct ln_report_head) <= size);
	}
	ln_frames_done(&f);
	return 0;
}
