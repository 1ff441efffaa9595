# SPDX-License-Identifier: Apache-2.0
"""Where the cgroup v2 tree is, and cgroups of a test's own."""
import contextlib
import select
from pathlib import Path

import pytest

from events import DEADLINE_S


def cgroup2_mount():
    """Its mount point, or None."""
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        return next((line.split()[4] for line in table if " - cgroup2 " in line), None)


@contextlib.contextmanager
def cgroup(*names):
    """A cgroup below the root of the tree, such as cgroup("a", "b.scope"): its folder and its path.
    It goes when what is in it has gone."""
    mount = cgroup2_mount()
    if not mount:
        pytest.skip("cgroup2 is not mounted here")
    folders = [Path(mount, *names[:n + 1]) for n in range(len(names))]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    try:
        yield folders[-1], "/" + "/".join(names)
    finally:
        for folder in reversed(folders):
            wait_empty(folder)
            folder.rmdir()


def wait_empty(folder):
    with open(folder / "cgroup.events", encoding="ascii") as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while "populated 1" in events.read():
            assert poll.poll(DEADLINE_S * 1000), f"{folder} is not empty"
            events.seek(0)
