/* SPDX-License-Identifier: Apache-2.0 */
/* Has the kernel keep run times of BPF programs until standard input ends. */
#include "bench.h"

#include <stdio.h>
#include <bpf/bpf.h>

int main(void)
{
	if (bpf_enable_stats(BPF_STATS_RUN_TIME) < 0)
		err(1, "BPF statistics");
	puts("READY");
	fflush(stdout);
	wait_for_eof(STDIN_FILENO);
	return 0;
}
