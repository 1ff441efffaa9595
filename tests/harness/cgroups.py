# SPDX-License-Identifier: Apache-2.0
"""Where the cgroup v2 tree is."""


def cgroup2_mount():
    """Its mount point, or None."""
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        return next((line.split()[4] for line in table if " - cgroup2 " in line), None)
