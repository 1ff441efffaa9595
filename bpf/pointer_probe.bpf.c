// SPDX-License-Identifier: GPL-2.0-or-later
/* May a global function take a pointer? Not before Linux 5.12. An object of its own, as the kernel
 * refuses the whole of it. */
#include "kernel_types.bpf.h"

char LICENSE[] SEC("license") = "GPL";

__noinline int length_at(const __u32 *len)
{
	return len ? *len : 0;
}

SEC("cgroup_skb/egress")
int on_probe(struct __sk_buff *skb)
{
	__u32 len = skb->len;

	return length_at(&len) > 0;
}
