# SPDX-License-Identifier: Apache-2.0
"""After the attach the monitor is nobody: no capability, no way back, no root-only file."""
import os
import subprocess

import pytest

import watch as watching
from netlab import OTHER
from policies import WEATHER_ONLY
from watch import actor, status_of


@pytest.fixture(params=["run", "attach"])
def monitored(start, request):
    """(watch, PID of the monitor) while an agent waits."""
    if request.param == "run":
        watch = start.run(WEATHER_ONLY, "sh", "-c", "read line", stdin=subprocess.PIPE)
    else:
        agent = start.agent("sh", "-c", "read line")
        watch = start.attach(WEATHER_ONLY, agent.pid)
    watch.wait_record(type="header")
    monitors = watching.monitor_of(watch.log_path)
    yield watch, monitors


def unprivileged(monitors):
    """The process that reads events and parses DNS: the one that does not run as root."""
    found = [p for p in monitors if status_of(p)["Uid"].split()[1] != "0"]
    assert len(found) == 1, {p: status_of(p)["Uid"] for p in monitors}
    return found[0]


def test_one_process_alone_holds_the_log(monitored):
    _, monitors = monitored
    assert len(monitors) == 1


def test_the_monitor_has_no_privilege(monitored):
    _, monitors = monitored
    status = status_of(unprivileged(monitors))
    assert set(status["Uid"].split()) & {"0"} == set()
    assert set(status["Gid"].split()) & {"0"} == set()
    assert status.get("Groups", "").split() in ([], [status["Gid"].split()[0]])
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"


def test_the_monitor_holds_no_directory(monitored):
    """Such as the root of the cgroup tree, on which the probes were attached."""
    watch, monitors = monitored
    watch.wait_record(type="process")  # told by the first look at the events
    monitor = unprivileged(monitors)
    held = watching.descriptors_of(monitor)
    assert held and not [fd for fd in held if os.path.isdir(f"/proc/{monitor}/fd/{fd}")], held


def test_the_monitor_is_not_the_agents_user(start):
    watch = start.run(WEATHER_ONLY, "sh", "-c", "read line", stdin=subprocess.PIPE,
                      options=["--user", "nobody"])
    watch.wait_record(type="header")
    monitor = unprivileged(watching.monitor_of(watch.log_path))
    assert status_of(monitor)["Uid"].split()[0] != "65534"


def test_the_monitor_cannot_open_a_root_only_file(monitored, net):
    """Tried with exactly its ids and capabilities, and then with the real ones to see it works."""
    _, monitors = monitored
    secret = net.folder / f"secret-{os.urandom(3).hex()}"
    secret.write_text("root only\n")
    secret.chmod(0o600)
    status = status_of(unprivileged(monitors))
    uid, gid = status["Uid"].split()[1], status["Gid"].split()[1]
    keep = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--inh-caps=-all",
            "--bounding-set=-all", "--no-new-privs", "cat", str(secret)]
    denied = subprocess.run(keep, capture_output=True, text=True, check=False)
    assert denied.returncode != 0 and "Permission denied" in denied.stderr
    assert subprocess.run(["cat", str(secret)], capture_output=True, check=True).stdout


def test_the_monitor_holds_no_descriptor_of_a_root_only_file(monitored):
    """Sockets, BPF objects, event queues, and the log; no directory to climb from."""
    watch, monitors = monitored
    for target in watching.descriptors_of(unprivileged(monitors)).values():
        if target.startswith("/") and not target.startswith(("/dev/", "/proc", "/sys")):
            assert target == str(watch.log_path) or target.startswith("pipe:"), target


def test_what_stays_root_starts_and_ends_the_agent_only(monitored):
    """The starter keeps CAP_KILL to pass signals on, CAP_DAC_OVERRIDE to remove the agent's cgroup (of
    an attach CAP_DAC_READ_SEARCH, to open a changed policy), and nothing to read from: no log, no BPF
    object, no socket but the pair to the monitor."""
    watch, monitors = monitored
    if watch.pid in monitors:
        return
    status = status_of(watch.pid)
    dac_override, dac_read_search, kill = 1 << 1, 1 << 2, 1 << 5
    for kind in ("CapEff", "CapPrm", "CapBnd"):
        caps = int(status[kind], 16)
        assert caps in (0, kill | dac_override, kill | dac_read_search), kind
    held = watching.descriptors_of(watch.pid).values()
    assert not [h for h in held if "bpf" in h], held
    assert len([h for h in held if h.startswith("socket:")]) <= 1, held


def test_it_still_sees_everything_without_privileges(start):
    """Answers are parsed, flows judged and counted after root is gone."""
    watch = start.run(WEATHER_ONLY, "sh", "-c",
                      f"read line; curl -sS https://weather.service.com; "
                      f"{actor('flow')} udp-echo {OTHER} 7006 3", stdin=subprocess.PIPE)
    watch.wait_record(type="header")
    unprivileged(watching.monitor_of(watch.log_path))
    watch.process.stdin.write(b"\n")
    watch.process.stdin.close()
    assert watch.wait() == 0
    assert watch.of("dns-answer", query="weather.service.com", trusted=True)
    assert watch.flows("flow-close", ip=OTHER)[0]["rx_bytes"] == 300
