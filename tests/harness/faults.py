# SPDX-License-Identifier: Apache-2.0
"""What may go wrong around linnet. Each fault is done for real by a test of test_faults.py or
test_floods.py, which puts down here what it saw; the table of it all goes to docs/faults.md."""
import contextlib
import os
import signal
from pathlib import Path

from cgroups import cgroup2_mount
from events import wait_exit
from marked import write_table
from watch import BUILD, ROOT, monitor_of, status_of

DOCUMENT = ROOT / "docs/faults.md"
BEGIN, END = "<!-- table: written by tests/kernel/test_floods.py -->", "<!-- end of table -->"
PRINTED = BUILD / "faults-table.txt"

FAULTS = {
    "killed": "the monitor is killed while events come",
    "stopped": "linnet is stopped as a whole, and goes on after three seconds",
    "descriptors-start": "fewer descriptors than the probes need",
    "descriptors": "150 processes to be frozen, and descriptors to hold 128",
    "memory-start": "a memory limit that the probes do not fit into",
    "memory": "a memory limit that the monitor reaches",
    "disk": "the disk of the log is full, and then has room again",
    "log": "the log is moved away, cut, and deleted",
    "clock": "the clock is set, hours and years, forward and back",
    "policy": "the policy is replaced while connections are made",
    "detached": "a probe is detached by another process of root's",
    "ring": "the event buffer is full: four processes flood, and nobody reads",
    "bomb": "a fork bomb, in a cgroup of 60 processes",
    "crowd": "10,000 processes at once",
    "hoard": "100,000 open connections",
    "dns": "DNS answers of random bytes",
    "reuse": "PIDs that are used again",
}
rows = {}  # id → Row


class Row:
    """told: how a person learns of it; counted: what adds up; agent, linnet: what becomes of them;
    figures: measured, printed and not documented."""

    def __init__(self, told, counted, agent, linnet, figures=""):
        self.told, self.counted, self.agent, self.linnet = told, counted, agent, linnet
        self.figures = figures


def put_down(fault, *what, **figures):
    rows[fault] = Row(*what, **figures)


def documented():
    lines = ["| fault | what is told | what adds up | the agent | linnet |", "|---|---|---|---|---|"]
    lines += [f"| {FAULTS[i]} | {rows[i].told} | {rows[i].counted} | {rows[i].agent} | "
              f"{rows[i].linnet} |" for i in FAULTS]
    return "\n".join(lines) + "\n"


def write():
    """The document only by a run in which each fault was done."""
    PRINTED.write_text("".join(f"{FAULTS[i]:65.65} {r.figures}".rstrip() + "\n"
                               for i, r in rows.items()), encoding="utf-8")
    if set(rows) == set(FAULTS):
        write_table(DOCUMENT, BEGIN, END, documented())


def monitor(watch):
    found, = (pid for pid in monitor_of(watch.log_path) if pid != watch.pid)
    return found


def rss_mb(pid):
    """(now, at most so far)"""
    status = status_of(pid)
    return tuple(int(status[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM"))


RING_FULL = "the event buffer was full"


def lost(watch, reason):
    """How many events of the kernel side; other losses (a wake-up, a map entry) are none."""
    return sum(r["count"] for r in watch.of("lost") if r["reason"] == reason)


# The files of a limit: of cgroup v1, and of v2.
CONTROLLERS = {"memory": ("memory.limit_in_bytes", "memory.max"), "pids": ("pids.max", "pids.max")}


def set_limit(folder, controller, limit):
    file = next(f for f in CONTROLLERS[controller] if (folder / f).exists())
    (folder / file).write_text(str(limit))


@contextlib.contextmanager
def limited(name, controller, limit):
    """A cgroup whose processes have this limit together: its folder. It goes when what is in it has
    gone, and what is still in it then is killed."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    folder = next((Path(m[4]) for m in mounts if "cgroup" in m and controller in m[-1].split(",")),
                  None)
    if folder is None:
        folder = Path(cgroup2_mount())
        (folder / "cgroup.subtree_control").write_text(f"+{controller}")
    folder /= name
    folder.mkdir()
    try:
        set_limit(folder, controller, limit)
        yield folder
    finally:
        for pid in map(int, (folder / "cgroup.procs").read_text().split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            wait_exit(pid)
        folder.rmdir()
