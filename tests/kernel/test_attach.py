# SPDX-License-Identifier: Apache-2.0
"""linnet takes a living process, its tree and its open sockets."""
import os
import signal
import textwrap

from events import wait_exit
from netlab import OTHER, OTHER6
from policies import WEATHER_ONLY, policy
from watch import actor, stopped

PYTHON = "/usr/bin/python3"
HELD = """
import os, socket, sys
held = [socket.create_connection(('{ip}', {port}))]
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.connect(('{ip}', 7006)); u.send(b'x')
print('ready'); sys.stdin.readline()
held[0].sendall(b'y' * 10)
print('sent'); sys.stdin.readline()
"""


def go(agent):
    agent.stdin.write(b"\n")
    agent.stdin.flush()


def test_open_connections_are_judged_and_told_as_existing(start):
    agent = start.agent(PYTHON, "-uc", HELD.format(ip=OTHER, port=7002))
    assert agent.stdout.readline() == b"ready\n"
    watch = start.attach(WEATHER_ONLY, agent.pid)
    opened = watch.wait_record(type="flow-open", remote={"ip": OTHER, "port": 7002})
    assert opened["existing"] is True and opened["verdict"] == "unexpected"
    assert opened["pid"] == agent.pid
    alert = watch.wait_alert(lambda a: a.is_flow and ":7002" in a["Destination"])
    alert.assert_contract()
    assert alert["Protocol"] == "TCP, open before the watch began"
    go(agent)
    assert agent.stdout.readline() == b"sent\n"
    go(agent)
    assert watch.wait() == 0, watch.text()
    assert len(watch.flows(port=7002)) == 1
    assert len(watch.flows("flow-close", port=7002)) == 1


def test_open_connection_to_an_expected_place_is_quiet(start):
    agent = start.agent(PYTHON, "-uc", HELD.format(ip=OTHER6, port=7002).replace("AF_INET,", "AF_INET6,"))
    assert agent.stdout.readline() == b"ready\n"
    watch = start.attach(policy(f"{OTHER6} any any"), agent.pid)
    assert watch.wait_record(type="flow-open")["verdict"] == "expected"
    go(agent)
    go(agent)
    assert watch.wait() == 0, watch.text()
    assert watch.alerts.list == []


FAMILY = """
exec 3<&0
leaf() {{ read line <&3; exec {flow} tcp {ip} 7001 $1; }}
leaf 11 &
( leaf 12 & wait ) &
( leaf 13 & )
echo ready
wait
read line
"""


def test_children_grandchildren_and_orphans_that_live_already(start):
    """A child, a grandchild, and one whose parent is gone but whose session is ours."""
    agent = start.agent("setsid", "sh", "-c", FAMILY.format(flow=actor("flow"), ip=OTHER))
    assert agent.stdout.readline() == b"ready\n"
    watch = start.attach(WEATHER_ONLY, agent.pid)
    watch.wait_record(type="header")
    for _ in range(4):
        go(agent)
    assert watch.wait() == 0, watch.text()
    assert sorted(r["args"][-1] for r in watch.flows(ip=OTHER)) == ["11", "12", "13"]
    assert len(watch.flow_alerts()) == 1, "one destination, one alert; the others are repeats"


def test_children_born_after_the_attach(start):
    agent = start.agent("sh", "-c", f"read x; {actor('tree')} double-fork {actor('flow')} tcp {OTHER}"
                                    " 7001 10")
    watch = start.attach(WEATHER_ONLY, agent.pid)
    watch.wait_record(type="header")
    go(agent)
    assert watch.wait() == 0, watch.text()
    flow = watch.flows(ip=OTHER)[0]
    assert flow["args"] == [actor("flow"), "tcp", OTHER, "7001", "10"]
    assert flow["pid"] != agent.pid


def test_command_of_the_attached_process_is_known(start):
    agent = start.agent(PYTHON, "-uc", f"import socket; input(); "
                                       f"socket.create_connection(('{OTHER}', 7001))", "an argument")
    watch = start.attach(WEATHER_ONLY, agent.pid)
    watch.wait_record(type="header")
    go(agent)
    alert = watch.wait_alert(lambda a: a.is_flow)
    assert alert["Command"].startswith(os.path.realpath(PYTHON) + " -uc ")
    assert alert["Command"].endswith(" 'an argument'")
    watch.wait()


def test_ctrl_c_ends_the_watch_and_leaves_the_agent(start):
    agent = start.agent("sh", "-c", "read x; exit 5")
    watch = start.attach(WEATHER_ONLY, agent.pid)
    watch.wait_record(type="header")
    watch.signal(signal.SIGINT)
    assert watch.wait() in (0, 130)
    assert watch.of("summary")
    assert agent.poll() is None
    go(agent)
    assert agent.wait(20) == 5


def test_several_processes(start):
    agents = [start.agent("sh", "-c", f"read x; exec {actor('flow')} tcp {OTHER} 700{n} 10")
              for n in (1, 2)]
    watch = start.attach(WEATHER_ONLY, *(a.pid for a in agents))
    watch.wait_record(type="header")
    for agent in agents:
        go(agent)
    assert watch.wait() == 0, watch.text()
    assert {(r["pid"], r["remote"]["port"]) for r in watch.flows()} == {
        (agents[0].pid, 7001), (agents[1].pid, 7002)}


def test_no_such_process(start):
    gone = start.agent("true")
    gone.wait(20)
    wait_exit(gone.pid)
    watch = start.attach(WEATHER_ONLY, gone.pid)
    assert watch.wait() == 125
    assert str(gone.pid) in watch.text()


def test_attach_to_itself_or_init_is_refused(start):
    for pid in ("0", "-1", "abc", "99999999999"):
        watch = start.attach(WEATHER_ONLY, pid)
        assert watch.wait() in (2, 125), f"{pid}: {watch.text()}"
        assert watch.of("header") == []


def test_a_child_whose_birth_was_lost_is_waited_for_and_no_longer(start):
    """Without a cgroup of its own only the kernel's table knows who lives when events were lost."""
    script = textwrap.dedent(f"""
        import os, socket
        print("ready"); input()
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for i in range(40000):
            s.sendto(b"", ("{OTHER}", 1024 + i))
        turn, other = os.pipe()
        if os.fork() == 0:
            os.close(other)
            os.read(turn, 1)  # until the parent has ended
            print("left")
            os.read(0, 1)
            socket.create_connection(("{OTHER}", 7004)).close()
            os._exit(0)
    """)
    agent = start.agent(PYTHON, "-uc", script)
    assert agent.stdout.readline() == b"ready\n"
    watch = start.attach(WEATHER_ONLY, agent.pid)
    watch.wait_record(type="header")
    with stopped(watch):
        go(agent)
        assert agent.stdout.readline() == b"left\n"
    watch.wait_record(type="lost")
    go(agent)
    assert watch.wait() == 0, watch.text()
    assert len(watch.flows(port=7004)) == 1
