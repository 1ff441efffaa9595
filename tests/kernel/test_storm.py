# SPDX-License-Identifier: Apache-2.0
"""Attach to a tree that forks all the time: nobody of it is missing afterwards. By hand, larger:
LINNET_STORM="lines pause_us rounds", such as "1000 2000000 50": a line forks once or twice after each
pause, and what two CPUs can do is a few thousand a second."""
import os

import pytest

from cgroups import cgroup
from faults import RING_FULL
from netlab import API, OTHER
from policies import policy
from watch import actor

LINES, PAUSE_US, ROUNDS = map(int, os.environ.get("LINNET_STORM", "100 200000 50").split())


def say(agent):
    agent.stdin.write(b"\n")
    agent.stdin.flush()


def one_round(start, where):
    agent = start.agent(actor("storm"), LINES, PAUSE_US, where, OTHER, "7001")
    root = int(agent.stdout.readline())
    # No name to look up, or the events would wait for that while the ring fills.
    watch = start.attach(policy(f"{API} 443 TCP"), root)
    watch.wait_record(type="header", timeout=60)
    say(agent)
    alive = {int(pid) for pid in agent.stdout.readline().split()}
    assert len(alive) == LINES
    say(agent)
    assert agent.wait(60) == 0
    assert watch.wait(60) == 0, watch.text()
    told = {flow["pid"] for flow in watch.flows(ip=OTHER, port=7001)}
    lost = {record["reason"] for record in watch.of("lost")}
    assert lost <= {RING_FULL}, "events of the storm may be lost, but nobody's place in the tree"
    assert alive <= told, f"not watched: {sorted(alive - told)}, of {LINES}"


@pytest.mark.parametrize("place", ["shared cgroup", "own cgroup"])
def test_nobody_is_missed(start, net, place):
    """Half of the rounds in the cgroup of everybody, half in one of the tree's own."""
    if place == "shared cgroup":
        for _ in range(ROUNDS // 2):
            one_round(start, "-")
        return
    with cgroup(f"{net.name}-storm") as (folder, _):
        for _ in range(ROUNDS - ROUNDS // 2):
            one_round(start, str(folder))
