# SPDX-License-Identifier: Apache-2.0
"""What becomes of a violation in the modes kill and freeze, and in a dry run."""
import os
import signal
import subprocess
import time

import pytest

from cgroups import cgroup2_mount
from events import DEADLINE_S, wait_exit
from netlab import OTHER
from policies import WEATHER_ONLY
from watch import LINNET, actor, monitor_of

PYTHON = "/usr/bin/python3"
# Says the PIDs of itself, a child and a grandchild, which end when it does; waits for a line; then
# goes where it must not.
TREE = f"""
import os, subprocess, sys
a = subprocess.Popen(['sh', '-c', 'exec 3<&0; cat <&3 & echo $!; wait'], stdin=subprocess.PIPE,
                     stdout=subprocess.PIPE)
print(os.getpid(), a.pid, a.stdout.readline().decode().strip(), flush=True)
sys.stdin.readline()
while True:
    subprocess.run(['{actor("flow")}', 'tcp', '{OTHER}', '7001', '10'], stdout=subprocess.DEVNULL)
    print('went', flush=True)
    sys.stdin.readline()
"""
# Children without end that fork the next one and go, while one goes where it must not.
STORM = f"""
import os, subprocess
for i in range(4):
    if os.fork() == 0:
        while True:
            if os.fork() != 0:
                os._exit(0)
subprocess.run(['{actor("flow")}', 'tcp', '{OTHER}', '7001', '10'])
while True:
    os.wait()
"""


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def state(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]


def wait_stopped(pids):
    """The signal is there already; a process takes it when it gets a processor, and nothing tells
    when."""
    end = time.monotonic() + DEADLINE_S
    while [state(pid) for pid in pids] != ["T"] * len(pids):
        assert time.monotonic() < end, [state(pid) for pid in pids]


def frozen(watch):
    """Whether the cgroup of this run's agent is frozen."""
    with open(f"/proc/{watch.pid}/cgroup", encoding="ascii") as text:
        own = text.read().split("::", 1)[1].strip()
    with open(f"{cgroup2_mount()}{own}/linnet-{watch.pid}/cgroup.events", encoding="ascii") as text:
        return "frozen 1" in text.read()


def tree(start, *options):
    watch = start.run(WEATHER_ONLY, PYTHON, "-c", TREE, options=options, stdin=subprocess.PIPE)
    pids = [int(pid) for pid in watch.stdout.wait(lambda line: True).split()]
    return watch, pids


def go(watch):
    watch.process.stdin.write(b"\n")
    watch.process.stdin.flush()


def linnet(command, pid):
    return subprocess.run([LINNET, command, str(pid)], check=False, capture_output=True, text=True)


def test_kill_ends_the_whole_tree_and_says_so(start):
    watch, pids = tree(start, "--mode=kill")
    go(watch)
    alert = watch.wait_alert(lambda a: a.is_flow)
    assert alert["Action"] == "KILLED"
    assert watch.wait() == 137, watch.text()
    assert not any(map(alive, pids))
    assert watch.of("flow-open", action="killed")
    assert watch.of("summary")[0]["deeds"] == 1
    assert watch.of("header")[0]["mode"] == "kill"
    assert "  killed or frozen  1 time" in watch.text()


def test_the_code_of_fail_on_alert_wins_over_the_signal(start):
    watch, _ = tree(start, "--mode=kill", "--fail-on-alert=7")
    go(watch)
    assert watch.wait() == 7, watch.text()


def test_kill_ends_a_fork_storm(start):
    watch = start.run(WEATHER_ONLY, PYTHON, "-c", STORM, options=["--mode=kill"])
    assert watch.wait_alert(lambda a: a.is_flow)["Action"] == "KILLED"
    assert watch.wait() == 137, watch.text()


def test_kill_by_polling_comes_afterwards(start):
    watch = start.run(WEATHER_ONLY, PYTHON, "-c",
                      f"import socket; socket.create_connection(('{OTHER}', 7002)).recv(1)", options=["--mode=kill", "--sensor=poll"])
    assert watch.wait_alert(lambda a: a.is_flow)["Action"] == "KILLED"
    assert watch.wait() == 137, watch.text()


def test_kill_ends_an_attached_tree(start):
    agent = start.agent(PYTHON, "-c", TREE)
    pids = [int(pid) for pid in agent.stdout.readline().split()]
    watch = start.attach(WEATHER_ONLY, agent.pid, options=["--mode=kill"])
    watch.wait_record(type="process", pid=pids[2])
    agent.stdin.write(b"\n")
    agent.stdin.flush()
    assert watch.wait_alert(lambda a: a.is_flow)["Action"] == "KILLED"
    assert watch.wait() == 0, watch.text()
    agent.wait()
    assert not any(map(alive, pids))


def test_freeze_resume_freeze_kill(start):
    watch, pids = tree(start, "--mode=freeze")
    go(watch)
    alert = watch.wait_alert(lambda a: a.is_flow)
    assert alert["Action"] == (f"FROZEN (to go on: linnet resume {watch.pid}; "
                               f"to end it: linnet kill {watch.pid})")
    assert frozen(watch)
    done = linnet("resume", pids[0])
    assert (done.returncode, done.stdout) == (0, "the agent goes on\n"), done.stderr
    watch.stdout.wait(lambda line: line == "went")
    again = linnet("resume", watch.pid)
    assert again.returncode == 1 and "not frozen" in again.stderr, watch.text()
    go(watch)
    watch.alerts.wait(lambda a: a.is_flow and a is not alert)
    assert frozen(watch)
    done = linnet("kill", watch.pid)
    assert (done.returncode, done.stdout) == (0, "the agent was killed\n"), done.stderr
    assert watch.wait() == 137, watch.text()
    assert not any(map(alive, pids))
    assert watch.of("summary")[0]["deeds"] == 2


def test_a_signal_to_linnet_ends_a_frozen_agent(start):
    watch, pids = tree(start, "--mode=freeze")
    go(watch)
    watch.wait_alert(lambda a: a.is_flow)
    watch.signal(signal.SIGINT)
    assert watch.wait() == 137, watch.text()
    assert not any(map(alive, pids))


def test_freeze_stops_an_attached_tree_and_resume_lets_it_go_on(start):
    agent = start.agent(PYTHON, "-c", TREE)
    pids = [int(pid) for pid in agent.stdout.readline().split()]
    watch = start.attach(WEATHER_ONLY, agent.pid, options=["--mode=freeze"])
    watch.wait_record(type="process", pid=pids[2])
    agent.stdin.write(b"\n")
    agent.stdin.flush()
    assert watch.wait_alert(lambda a: a.is_flow)["Action"].startswith("FROZEN")
    wait_stopped(pids)
    done = linnet("resume", watch.pid)
    assert done.returncode == 0, done.stderr
    assert agent.stdout.readline() == b"went\n"
    assert "T" not in [state(pid) for pid in pids]
    done = linnet("kill", watch.pid)
    assert done.returncode == 0, done.stderr
    assert watch.wait() == 0, watch.text()
    agent.wait()
    assert not any(map(alive, pids))


def test_a_dry_run_only_tells(start):
    watch = start.run(WEATHER_ONLY, "sh", "-c", f"{actor('flow')} tcp {OTHER} 7001 10; exit 4",
                      options=["--mode=kill", "--dry-run"])
    assert watch.wait() == 4, watch.text()
    assert watch.flow_alerts()[0]["Action"] == "LOGGED (Dry run: would be KILLED)"
    summary = watch.of("summary")[0]
    assert summary["would_act"] >= 1 and summary["deeds"] == 0
    assert "dry run" in watch.text()


def test_the_option_wins_and_a_looser_one_is_told(start):
    watch = start.run("mode: kill\n" + WEATHER_ONLY, "sh", "-c",
                      f"{actor('flow')} tcp {OTHER} 7001 10; exit 4", options=["--mode=monitor"])
    assert watch.wait() == 4, watch.text()
    assert "--mode=monitor is looser than the policy's mode, kill" in watch.text()
    assert watch.flow_alerts()[0]["Action"] == "LOGGED (Block policy not enabled)"


def test_block_by_polling_is_refused(start):
    watch = start.run(WEATHER_ONLY, "true", options=["--mode=block", "--sensor=poll"])
    assert watch.wait() == 125
    assert "mode block needs --sensor=bpf" in watch.text()


@pytest.mark.parametrize("closed", [False, True])
def test_when_the_monitor_of_an_attached_agent_is_killed(start, closed):
    agent = start.agent(PYTHON, "-c", TREE)
    pids = [int(pid) for pid in agent.stdout.readline().split()]
    watch = start.attach("mode: freeze\n" + ("on_failure: closed\n" if closed else "") + WEATHER_ONLY,
                         agent.pid)
    watch.wait_record(type="process", pid=pids[2])
    os.kill(monitor_of(watch.log_path)[0], signal.SIGKILL)
    alert = watch.wait_alert(lambda a: a.title == "WATCH ENDED")
    assert alert["Action"].startswith("FROZEN" if closed else "NONE")
    if closed:
        wait_stopped(pids)
    else:
        assert "T" not in [state(pid) for pid in pids]
    watch.wait()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_exit(agent.pid)


@pytest.mark.parametrize("mode, action", [("kill", "KILLED"), ("freeze", "FROZEN")])
def test_when_the_monitor_of_a_run_is_killed_and_the_policy_fails_closed(start, mode, action):
    watch = start.run(f"mode: {mode}\non_failure: closed\n" + WEATHER_ONLY, PYTHON, "-c", TREE,
                      stdin=subprocess.PIPE)
    pids = [int(pid) for pid in watch.stdout.wait(lambda line: True).split()]
    os.kill(monitor_of(watch.log_path)[0], signal.SIGKILL)
    alert = watch.wait_alert(lambda a: a.title == "WATCH ENDED")
    assert alert["Action"].startswith(action)
    if mode == "freeze":
        assert frozen(watch)
        assert linnet("kill", watch.pid).returncode == 0
    assert watch.wait() == 137, watch.text()
    assert not any(map(alive, pids))


def test_resume_and_kill_refuse_what_linnet_did_not_start(start):
    agent = start.agent("sleep", "1000")
    for command in ("resume", "kill"):
        done = linnet(command, agent.pid)
        assert done.returncode == 1 and "take the number from the alert" in done.stderr
    assert alive(agent.pid)
    done = linnet("kill", 2 ** 22 + 5)
    assert done.returncode == 1 and "there is no process" in done.stderr
