/* SPDX-License-Identifier: Apache-2.0 */
/* Has the kernel keep run times of BPF programs until standard input ends. Says first how many
 * nanoseconds it counts for a program that does nothing: the price of reading the clock. */
#include "bench.h"

#include <stdio.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>

#define CALLS 1000000

static double empty_program_ns(void)
{
	const struct bpf_insn code[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "nothing", "GPL", code, 2, NULL);
	struct bpf_prog_info info = {0};
	__u32 size = sizeof(info);
	char packet[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = CALLS);

	if (fd < 0 || bpf_prog_test_run_opts(fd, &run) < 0 ||
	    bpf_obj_get_info_by_fd(fd, &info, &size) < 0 || info.run_cnt == 0)
		err(1, "an empty BPF program");
	close(fd);
	return (double)info.run_time_ns / (double)info.run_cnt;
}

int main(void)
{
	if (bpf_enable_stats(BPF_STATS_RUN_TIME) < 0)
		err(1, "BPF statistics");
	printf("READY %.1f\n", empty_program_ns());
	fflush(stdout);
	wait_for_eof(STDIN_FILENO);
	return 0;
}
