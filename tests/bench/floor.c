/* SPDX-License-Identifier: Apache-2.0 */
/* The least that a program costs where linnet looks at named datagrams: `floor CGROUP` attaches one
 * there that returns at once, until standard input ends. */
#include "bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>

int main(int argc, char **argv)
{
	const struct bpf_insn code[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, how, .expected_attach_type = BPF_CGROUP_UDP4_SENDMSG);

	if (argc != 2)
		errx(2, "usage: floor CGROUP");
	int cgroup = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0)
		err(1, "%s", argv[1]);
	int program =
	    bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "nothing", "GPL", code, 2, &how);
	if (program < 0 || bpf_link_create(program, cgroup, BPF_CGROUP_UDP4_SENDMSG, NULL) < 0)
		err(1, "an empty BPF program");
	printf("READY\n");
	fflush(stdout);
	wait_for_eof(STDIN_FILENO);
	return 0;
}
