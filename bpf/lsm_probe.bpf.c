// SPDX-License-Identifier: GPL-2.0-or-later
/* Does BPF LSM work here? An object of its own: a kernel that refuses it must not refuse the rest.
 * That it loads and attaches proves nothing: user space makes one bpf call and looks at the
 * counter. */
#include "kernel_types.bpf.h"

char LICENSE[] SEC("license") = "GPL";

__u64 stat_calls = 0;

SEC("lsm/bpf")
int BPF_PROG(on_probe, int cmd, union bpf_attr *attr, unsigned int size)
{
	__sync_fetch_and_add(&stat_calls, 1);
	return 0;
}
