# SPDX-License-Identifier: Apache-2.0
"""No shape of family loses a process: the connection of the last one has its PID and arguments."""
import os
import shutil

import pytest

from cgroups import cgroup2_mount
from netlab import OTHER
from policies import WEATHER_ONLY
from watch import actor

FLOW = [actor("flow"), "tcp", OTHER, "7001", "10"]


def the_flow(watch, status=0):
    assert watch.wait() == status, watch.text()
    flows = watch.flows(ip=OTHER, port=7001)
    assert len(flows) == 1, watch.records
    alert = watch.flow_alerts()[0]
    alert.assert_contract()
    assert alert["PID"] == str(flows[0]["pid"])
    return flows[0]


def assert_ancestry(watch, flow):
    """Every process up to the command that linnet started is known by its fork."""
    parents = {r["child"]: r["pid"] for r in watch.of("process", event="fork")}
    root = watch.of("header")[0]["pid"]
    pid, seen = flow["pid"], set()
    while pid != root and pid not in seen:
        seen.add(pid)
        assert pid in parents, f"{pid} has no known parent: {parents}"
        pid = parents[pid]
    assert pid == root


@pytest.mark.parametrize("shape", [
    "fork", "double-fork", "setsid", "clone-parent", "vfork", "thread-fork", "thread-exec",
    "dead-leader", "dead-leader-exec", "posix-spawn", "daemon", "pid-namespace-init", "setns-pid"])
def test_shape(start, shape):
    watch = start.run(WEATHER_ONLY, "sh", "-c", f"{actor('tree')} {shape} {' '.join(FLOW)}; exit 0")
    flow = the_flow(watch)
    assert flow["args"] == FLOW
    assert flow["exe"] == os.path.realpath(FLOW[0])
    assert_ancestry(watch, flow)


@pytest.mark.parametrize("leader", ["live", "dead"])
def test_connection_of_a_thread(start, leader):
    watch = start.run(WEATHER_ONLY, actor("thread"), leader, OTHER, "7001")
    flow = the_flow(watch)
    assert flow["args"] == [actor("thread"), leader, OTHER, "7001"]
    assert flow["tid"] != flow["pid"] == watch.of("header")[0]["pid"]


def test_orphans_are_watched_to_their_end(start):
    """The command ends at once; what it left in the background is still seen."""
    watch = start.run(WEATHER_ONLY, "sh", "-c",
                      f"exec 3<&0; (read line <&3; exec {' '.join(FLOW)}) & exit 7", stdin=-1)
    watch.wait_record(type="process", event="exit", pid=watch.wait_record(type="header")["pid"])
    watch.process.stdin.write(b"go\n")
    watch.process.stdin.flush()
    flow = the_flow(watch, status=7)
    assert flow["args"] == FLOW


@pytest.mark.parametrize("unshare", ["--pid --fork", "--user --map-root-user", "--mount --uts --ipc",
                                     "--pid --fork --user --map-root-user --mount-proc"])
def test_new_namespaces(start, unshare):
    watch = start.run(WEATHER_ONLY, "sh", "-c", f"unshare {unshare} {' '.join(FLOW)}; exit 0")
    flow = the_flow(watch)
    assert flow["args"] == FLOW
    assert os.path.basename(flow["exe"]) == "flow"


def test_new_network_namespace(start, net):
    """In a namespace of its own the agent reaches only what it makes there: loopback."""
    watch = start.run(WEATHER_ONLY, "unshare", "--net", "sh", "-ec",
                      "ip link set lo up; ip addr add 203.0.113.99/32 dev lo; "
                      f"{actor('flow')} udp-sendto {OTHER} 7005 3")
    assert watch.wait() == 0, watch.text()
    flow = watch.flows(ip=OTHER, port=7005)[0]
    assert flow["args"][1] == "udp-sendto" and flow["verdict"] == "unexpected"


def test_enters_another_network_namespace(start, fresh_net):
    """setns: the way out is another one, the owner is the same."""
    other = fresh_net()
    said = other.serve({"kind": "tcp-sink", "ip": OTHER, "port": 7001})
    watch = start.run(WEATHER_ONLY, "nsenter", f"--net=/run/netns/{other.name}", *FLOW)
    assert the_flow(watch)["args"] == FLOW
    said.wait(event="close", rx=10)


def test_move_to_another_cgroup(start):
    """The agent leaves the cgroup that linnet made for it; its bytes are still counted or said to
    be unknown, and the flow is never lost."""
    mount = cgroup2_mount()
    if not mount:
        pytest.skip("cgroup2 is not mounted here")
    away = f"{mount}/other-{os.getpid()}"
    os.mkdir(away)
    try:
        watch = start.run(WEATHER_ONLY, "sh", "-c",
                          f"echo $$ >{away}/cgroup.procs && exec {' '.join(FLOW)}")
        flow = the_flow(watch)
        assert flow["args"] == FLOW
        closed = watch.flows("flow-close", ip=OTHER)[0]
        assert closed["tx_bytes"] == 10 or (closed["uncounted"] and closed["tx_bytes"] is None)
    finally:
        os.rmdir(away)


def test_the_agent_takes_its_cgroup_away(start):
    """The watch goes on without it, rests, and ends with the agent."""
    mount = cgroup2_mount()
    if not mount:
        pytest.skip("cgroup2 is not mounted here")
    away = f"{mount}/other-{os.getpid()}"
    os.mkdir(away)
    try:
        watch = start.run(WEATHER_ONLY, "sh", "-c",
                          f"echo $$ >{away}/cgroup.procs && rmdir $(find {mount} -name linnet-$PPID)"
                          f" && {' '.join(FLOW)}")
        assert the_flow(watch)["args"] == FLOW
        assert watch.wait(20) == 0, watch.text()
    finally:
        os.rmdir(away)


def test_static_binary_and_renamed_copy(start, net):
    """The name in the alert is the file's real path, not what the process calls itself."""
    copy = net.folder / "innocent"
    shutil.copy(actor("flow"), copy)
    watch = start.run(WEATHER_ONLY, "/usr/bin/python3", "-c",
                      f"import os; os.execv('{copy}', ['/usr/bin/curl', *{FLOW[1:]!r}])")
    flow = the_flow(watch)
    assert flow["exe"] == str(copy)
    assert watch.flow_alerts()[0]["Command"] == f"{copy} {' '.join(FLOW[1:])}"


def test_untracked_processes_are_not_reported(start):
    """The same traffic by a stranger next to the agent is nobody's business here."""
    watch = start.run(WEATHER_ONLY, "sh", "-c", "read line", stdin=-1)
    watch.wait_record(type="header")
    stranger = start.agent(*FLOW)
    assert stranger.wait(20) == 0
    watch.process.stdin.write(b"\n")
    watch.process.stdin.close()
    assert watch.wait() == 0
    assert watch.flows() == [] and watch.alerts.list == []


def test_two_watches_do_not_mix(start):
    first = start.run(WEATHER_ONLY, actor("brood"), 20, actor("blip"), OTHER, "7001", "first")
    second = start.run(WEATHER_ONLY, actor("brood"), 20, actor("blip"), OTHER, "7002", "second")
    assert first.wait() == 0 and second.wait() == 0
    assert len(first.flows()) == len(second.flows()) == 20
    assert {r["args"][3] for r in first.flows()} == {"first"}
    assert {r["args"][3] for r in second.flows()} == {"second"}
