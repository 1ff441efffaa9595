# SPDX-License-Identifier: Apache-2.0
"""--guard, on kernels with BPF LSM and without: it is there, or linnet does not start."""
import os
import signal
import subprocess

import pytest

from attacker import TAMPER, Attacker
from netlab import OTHER
from policies import WEATHER_ONLY
from test_defence import connect_and_end, monitor_of
from watch import LINNET, actor

TITLE = "LINNET ATTACKED"
ATTACKS = [
    # The order, its error (the kernel makes another one of ours for /proc/PID/mem), by what it is.
    ("signal 9", "EPERM", "by signal 9 SIGKILL of kill(2)"),
    ("attach", "EPERM", "by ptrace(2)"),
    ("write", "EACCES", "by openat(2)"),
    ("detach 10", "EPERM", "by bpf(2)"),
]


@pytest.fixture(scope="module")
def possible():
    """What doctor says: a kernel that lists "bpf" among its LSMs may refuse such programs all the
    same. The kernels of tests/vm have what it needs."""
    said = subprocess.run([LINNET, "doctor"], check=False, text=True, capture_output=True).stdout
    hook = next(line for line in said.splitlines() if " lsm/ptrace_access_check" in line)
    works = "[ok" in hook
    assert works or "LINNET_VM" not in os.environ, said
    return works


def assert_refused(watch):
    assert watch.wait() == 125
    assert "the guard is not possible here: it needs BPF LSM" in watch.text()
    assert "leave --guard away" in watch.text() and not watch.of("header")


@pytest.mark.parametrize("command", ["run", "attach"])
def test_the_guard_is_there_or_nothing_runs(start, net, possible, command):
    """Whoever asks for it must not believe that it is there."""
    mark = net.folder / f"ran-{os.urandom(3).hex()}"
    if command == "run":
        watch = start.run(WEATHER_ONLY, "touch", mark, options=["--guard"])
    else:
        agent = start.agent("sh", "-c", f"read line; touch {mark}", stdin=subprocess.PIPE)
        watch = start.attach(WEATHER_ONLY, agent.pid, options=["--guard"])
    if not possible:
        assert_refused(watch)
        assert not mark.exists()
        return
    if command == "attach":
        watch.wait_record(type="process")
        agent.stdin.close()
    assert watch.wait() == 0
    assert mark.exists()


def test_the_guard_refuses_and_tells(start, possible):
    """Root in the tree reaches for linnet, and for others: those are none of the guard's business.
    """
    watch = start.run(WEATHER_ONLY, "sh", "-c", f"/usr/bin/python3 {TAMPER}; "
                      f"{actor('flow')} tcp {OTHER} 7001 10; read line", stdin=subprocess.PIPE,
                      options=["--guard"])
    if not possible:
        assert_refused(watch)
        return
    watch.wait_record(type="process", event="exec", args=["/usr/bin/python3", TAMPER])
    monitor = monitor_of(watch)
    attacker = Attacker(watch.process.stdin, watch.stdout)
    for order, error, words in ATTACKS:
        assert attacker.order(monitor, order) == error, order
        alert = watch.wait_alert(lambda a, words=words: a.title == TITLE and words in str(a))
        assert alert["Action"] == "BLOCKED", alert
    # The map of the tree, and the launcher.
    assert attacker.order(monitor, "delete", monitor) == "EPERM"
    assert attacker.order(watch.pid, "signal 15") == "EPERM"
    watch.wait_alert(lambda a: a.title == TITLE and "SIGTERM" in str(a))

    other = start.agent("sleep", "60")
    assert attacker.order(other.pid, "attach") == "ok"
    assert attacker.order(other.pid, "signal", int(signal.SIGKILL)) == "ok"
    assert other.wait() == -signal.SIGKILL
    assert not watch.of("tamper")
    connect_and_end(watch)
