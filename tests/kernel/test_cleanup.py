# SPDX-License-Identifier: Apache-2.0
"""However a watch ends, nothing is left, and the agent is unharmed."""
import os
import signal
import subprocess
from pathlib import Path

import pytest

import leaks
import watch as watching
from cgroups import cgroup2_mount
from events import wait_exit
from netlab import OTHER
from policies import WEATHER_ONLY
from watch import actor


@pytest.fixture(autouse=True)
def nothing_more_than_before():
    before = leaks.snapshot()
    yield
    left = leaks.left_since(before)
    assert not left, "left behind:\n" + "\n".join(left)


AGENT = ("sh", "-c", "echo $$; read line; echo still here; exit 5")


def started(start, **options):
    watch = start.run(WEATHER_ONLY, *AGENT, stdin=subprocess.PIPE, **options)
    pid = int(watch.stdout.wait(lambda line: line.isdigit()))
    return watch, pid


def say(watch):
    watch.process.stdin.write(b"\n")
    watch.process.stdin.close()


def test_normal_end(start):
    watch, pid = started(start)
    say(watch)
    assert watch.wait() == 5
    wait_exit(pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ended_by_a_signal(start, number):
    """The signal is the agent's; linnet ends with it."""
    watch, pid = started(start)
    watch.signal(number)
    assert watch.wait() == 128 + number
    wait_exit(pid)
    assert watch.of("summary")


def test_sigkill_of_linnet_leaves_the_agent_alone(start):
    watch, pid = started(start)
    mine = set(watching.monitor_of(watch.log_path)) | {watch.pid}
    for each in mine:
        os.kill(each, signal.SIGKILL)
    for each in mine:
        if each != watch.pid:
            wait_exit(each)
    watch.process.wait(20)
    say(watch)
    assert watch.stdout.wait(lambda line: line == "still here")
    wait_exit(pid)
    # What had to stay for the agent is swept up by the next start.
    assert start.run(WEATHER_ONLY, "true").wait() == 0


def test_sigkill_of_the_monitor_alone(start):
    """The process that judges is killed: the agent goes on, and its status is still told."""
    watch, pid = started(start)
    for each in watching.monitor_of(watch.log_path):
        if each != watch.pid:
            os.kill(each, signal.SIGKILL)
    say(watch)
    assert watch.stdout.wait(lambda line: line == "still here")
    watch.wait()
    wait_exit(pid)
    assert start.run(WEATHER_ONLY, "true").wait() == 0


@pytest.mark.parametrize("arguments", [
    ["-p", "/nonexistent.yaml", "--", "true"],
    ["-p", "POLICY", "--log", "/nonexistent/log", "--", "true"],
    ["-p", "POLICY", "--user", "no-such-user", "--", "true"],
    ["-p", "POLICY", "--sensor=none", "--", "true"],
    ["-p", "POLICY", "--log", "LOG", "--", "/nonexistent"]])
def test_a_failed_start_leaves_nothing(start, net, arguments):
    known = {"POLICY": str(start.policy(WEATHER_ONLY)), "LOG": str(net.folder / "failed.jsonl")}
    arguments = [known.get(a, a) for a in arguments]
    watch = start.linnet("run", *arguments, log=False)
    assert watch.wait() in (2, 125, 127), watch.text()
    assert watch.text()


def test_a_start_without_the_right_to_load_leaves_nothing(start, net):
    """Root without CAP_BPF and CAP_SYS_ADMIN: said, 125, and the agent never ran."""
    mark = net.folder / f"ran-{os.urandom(3).hex()}"
    command = net.enter(["setpriv", "--bounding-set=-bpf,-sys_admin,-perfmon",
                         "--inh-caps=-bpf,-sys_admin,-perfmon", watching.LINNET, "run", "-p",
                         str(start.policy(WEATHER_ONLY)), "--log", str(net.folder / "caps.jsonl"),
                         "--", "touch", str(mark)])
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 125, done
    assert done.stderr and not mark.exists()


def test_the_agent_is_unharmed_while_watched(start):
    """Its own cgroup is the only thing that differs; limits, nice, oom score and root are its own."""
    shown = ("for f in limits oom_score_adj loginuid; do cat /proc/self/$f; done; "
             "stat -L -c %i /proc/self/ns/net /proc/self/ns/mnt /proc/self/ns/pid /proc/self/root; "
             "nice; umask; grep -E '^(NoNewPrivs|Seccomp|CapBnd|TracerPid)' /proc/self/status")
    watch = start.run(WEATHER_ONLY, "sh", "-c", shown + "; cat /proc/self/cgroup")
    assert watch.wait() == 0
    plain = start.agent("sh", "-c", shown)
    expected = plain.communicate(timeout=20)[0].decode().splitlines()
    ignore = [i for i, line in enumerate(expected) if line.startswith("402653")]  # namespace ids
    for i, line in enumerate(expected):
        if i not in ignore and not line.isdigit():
            assert watch.stdout.list[i] == line


def test_background_process_that_outlives_the_command_is_said(start):
    watch = start.run(WEATHER_ONLY, "sh", "-c", "exec 3<&0; (read line <&3) & exit 0",
                      stdin=subprocess.PIPE)
    watch.stderr.wait(lambda line: "still running" in line)
    say(watch)
    assert watch.wait() == 0


def test_a_cgroup_that_somebody_removes_is_an_empty_one(start):
    """The agent has left it. linnet still waits for the agent, and no longer."""
    watch, pid = started(start)
    mount = Path(cgroup2_mount())
    own = mount / Path(f"/proc/{pid}/cgroup").read_text().rpartition("::/")[2].strip()
    (mount / "cgroup.procs").write_text(str(pid))
    own.rmdir()
    say(watch)
    assert watch.wait() == 5, watch.text()
    assert watch.stdout.list[-1] == "still here"


def test_attach_cleans_up_too(start):
    agent = start.agent("sh", "-c", "read line; exit 5")
    watch = start.attach(WEATHER_ONLY, agent.pid)
    watch.wait_record(type="header")
    for each in {*watching.monitor_of(watch.log_path), watch.pid}:
        os.kill(each, signal.SIGKILL)
    watch.process.wait(20)
    assert agent.poll() is None
    agent.communicate(b"\n", timeout=20)
    assert agent.returncode == 5


def test_thousands_of_processes_leave_no_descriptor_behind(start):
    watch = start.run(WEATHER_ONLY, "sh", "-c",
                      f"{actor('brood')} 300 {actor('blip')} {OTHER} 7001; echo done; read x",
                      stdin=subprocess.PIPE)
    watch.stdout.wait(lambda line: line == "done")
    held = [len(os.listdir(Path("/proc") / str(p) / "fd"))
            for p in watching.monitor_of(watch.log_path)]
    assert held and max(held) < 200  # the probes take some 110, 300 processes none
    say(watch)
    watch.wait()
