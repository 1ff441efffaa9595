/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cgroups of v2: which one a task is in, and whether its packets are seen. */
#ifndef LINNET_CGROUP_BPF_H
#define LINNET_CGROUP_BPF_H

#include "emit.bpf.h"

#define CGROUP_DEPTH_MAX 16

static __always_inline struct cgroup *cgroup_of(const struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp);
}

/* Whether egress and ingress hang on this cgroup or on one above it. */
static __always_inline bool cgroup_is_covered(const struct cgroup *cgroup)
{
	for (int i = 0; cgroup && i < CGROUP_DEPTH_MAX; i++) {
		__u64 id = BPF_CORE_READ(cgroup, kn, id);

		if (bpf_map_lookup_elem(&covered_cgroups, &id))
			return true;
		cgroup = (struct cgroup *)BPF_CORE_READ(cgroup, self.parent);
	}
	return false;
}

/* Tells the path of the task's cgroup; `moved`: also when it was told before. */
int cgroup_tell(__u64 task, __u32 agent, __u32 moved);

#endif
