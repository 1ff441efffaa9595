/* SPDX-License-Identifier: Apache-2.0 */
/* The least that a program costs where linnet looks: until standard input ends, one that returns at
 * once stands at linnet's hooks.
 *
 *   floor datagram CGROUP          at the one that a datagram passes which names its destination
 *   floor request CGROUP AGENT     at all that a request by name passes: at CGROUP, the root, and
 *                                  at AGENT, where the workload is, each packet
 */
#include "bench.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct hook {
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
	const char *tracepoint; /* of those that have a name */
	bool datagram;
	bool packets; /* at the workload's own cgroup */
} hooks[] = {
    {BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE},
    {BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_RELEASE},
    {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT},
    {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_SENDMSG, .datagram = true},
    {BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, .packets = true},
    {BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS, .packets = true},
    {BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "inet_sock_set_state"},
    {BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "tcp_destroy_sock"},
};

static int cgroup_at(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

/* A tracing program lets pass by 0, one of a cgroup by 1. `cgroup`: of no meaning to tracing. */
static void stand_at(const struct hook *hook, int cgroup)
{
	const struct bpf_insn code[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = !hook->tracepoint},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, how, .expected_attach_type = hook->attach);

	if (hook->tracepoint) {
		int id = libbpf_find_vmlinux_btf_id(hook->tracepoint, hook->attach);

		if (id < 0)
			errx(1, "this kernel has no tracepoint %s", hook->tracepoint);
		how.attach_btf_id = (__u32)id;
		cgroup = 0;
	}
	int program = bpf_prog_load(hook->type, "nothing", "GPL", code, 2, &how);

	if (program < 0 || bpf_link_create(program, cgroup, hook->attach, NULL) < 0)
		err(1, "an empty BPF program");
}

int main(int argc, char **argv)
{
	bool datagram = argc == 3 && strcmp(argv[1], "datagram") == 0;

	if (!datagram && (argc != 4 || strcmp(argv[1], "request") != 0))
		errx(2, "usage: floor datagram CGROUP | floor request CGROUP AGENT");
	int root = cgroup_at(argv[2]), agent = datagram ? -1 : cgroup_at(argv[3]);

	for (size_t i = 0; i < sizeof(hooks) / sizeof(*hooks); i++)
		if (hooks[i].datagram || !datagram)
			stand_at(&hooks[i], hooks[i].packets ? agent : root);
	printf("READY\n");
	fflush(stdout);
	wait_for_eof(STDIN_FILENO);
	return 0;
}
