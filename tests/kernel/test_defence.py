# SPDX-License-Identifier: Apache-2.0
"""linnet under attack by root, the agent itself or somebody outside the tree: it notices within a
second, tells by every sink, and goes on. And what is no attack raises nothing.

Tests that end with `assert_quiet` take as long as an inspection needs to come round twice."""
import datetime
import os
import pwd
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

import watch as watching
from attacker import CONNECT4, TAMPER, Attacker, outsider
from events import wait_exit
from netlab import OTHER
from policies import WEATHER_ONLY, policy
from watch import actor, status_of

TITLE = "LINNET TAMPERED WITH"
SECOND = 1.3   # an inspection is due within 0.95 s; the rest is the machine's
QUIET_S = 2.2


@pytest.fixture(params=["agent", "outsider"])
def attack(start, request):
    """(watch, PID of the monitor, attacker). The agent: a shell that runs the attacker and, when
    that has ended, what else the test orders."""
    watch = start.run(WEATHER_ONLY, "sh", "-c", f"/usr/bin/python3 {TAMPER}; "
                      f"{actor('flow')} tcp {OTHER} 7001 10; read line", stdin=subprocess.PIPE)
    watch.wait_record(type="process", event="exec", args=["/usr/bin/python3", TAMPER])
    monitor = monitor_of(watch)
    if request.param == "agent":
        yield watch, monitor, Attacker(watch.process.stdin, watch.stdout)
    else:
        yield watch, monitor, outsider(start)
    watch.process.stdin.close()
    watch.wait()
    wait_exit(monitor)


def monitor_of(watch):
    monitors = [p for p in watching.monitor_of(watch.log_path) if p != watch.pid]
    assert len(monitors) == 1, monitors
    return monitors[0]


def wait_tamper(watch, words, since=None):
    """The alert and the record; at most a second after `since` (wall clock)."""
    alert = watch.wait_alert(lambda a: a.title == TITLE and words in a.fields.get("Rule Matched", ""))
    record = watch.tail.records.wait(lambda r: r["type"] == "tamper" and words in r["reason"])
    if since:
        told = datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00")).timestamp()
        assert told - since < SECOND, f"{told - since:.2f} s until: {words}"
    return alert


def tampers(watch):
    return [a for a in watch.alerts.list if a.title == TITLE]


def assert_quiet(watch):
    with pytest.raises(AssertionError, match="not seen in time"):
        watch.wait_alert(lambda a: a.title == TITLE, timeout=QUIET_S)
    assert not watch.of("tamper")


def connect_and_end(watch, attacker=None):
    """The watch still sees a connection of the agent."""
    watch.process.stdin.close()
    alert = watch.wait_alert(lambda a: a.is_flow)
    assert alert["Destination"].startswith(f"{OTHER}:7001")
    watch.wait()


def attached(start, *script):
    agent = start.agent("sh", "-c", "".join(script) or "read line")
    watch = start.attach(WEATHER_ONLY, agent.pid)
    watch.wait_record(type="process")
    return watch, agent


def test_a_detached_probe(attack):
    watch, monitor, attacker = attack
    since = time.time()
    assert attacker.order(monitor, "detach", CONNECT4) == "ok"
    wait_tamper(watch, "a probe was detached: cgroup/connect4", since)
    assert len([a for a in tampers(watch) if "detached" in str(a)]) == 1


def test_a_replaced_probe(attack):
    watch, monitor, attacker = attack
    since = time.time()
    assert attacker.order(monitor, "replace", CONNECT4) == "ok"
    wait_tamper(watch, "a probe was replaced: cgroup/connect4", since)


def test_the_map_of_the_tree_is_frozen(attack):
    watch, monitor, attacker = attack
    agent = watch.of("process", event="exec")[0]["pid"]
    assert attacker.order(monitor, "delete", agent) == "EPERM"
    connect_and_end(watch)


def test_a_process_taken_out_by_a_program(attack):
    watch, monitor, attacker = attack
    agent = watch.of("process", event="exec")[0]["pid"]
    since = time.time()
    assert attacker.order(monitor, "take", agent) == "ok"
    wait_tamper(watch, f"process {agent} was taken out of the watch", since)


def test_counters_that_are_set_back(start):
    """They grow with what the agent does: here, one connection to a place that is not expected."""
    watch, agent = attached(start, f"read line; {actor('flow')} tcp {OTHER} 7001 10; read line")
    agent.stdin.write(b"\n")
    agent.stdin.flush()
    watch.wait_alert(lambda a: a.is_flow)
    attacker = outsider(start)
    since = time.time()
    assert attacker.order(monitor_of(watch), "zero") == "ok"
    wait_tamper(watch, "a counter of the kernel side was set back", since)


def test_events_taken_out_of_the_buffer(attack):
    watch, monitor, attacker = attack
    assert attacker.order(monitor, "consume") == "ok"
    watch.process.stdin.close()
    wait_tamper(watch, "events were taken out of the buffer")


def test_a_stopped_monitor_goes_on_at_once(attack):
    watch, monitor, attacker = attack
    since = time.time()
    assert attacker.order(monitor, "signal", int(signal.SIGSTOP)) == "ok"
    wait_tamper(watch, "the monitor was stopped by a signal and goes on", since)
    connect_and_end(watch)


def test_a_monitor_stopped_again_and_again(attack):
    """Each stop is counted, told at most once a second, and the watch goes on."""
    watch, monitor, attacker = attack
    assert attacker.order(monitor, "storm", int(signal.SIGSTOP), 20000) == "ok"
    watch.stderr.wait(lambda line: "was stopped by a signal" in line and "times)" in line)
    connect_and_end(watch)


def test_a_stopped_launcher(attack):
    watch, monitor, attacker = attack
    since = time.time()
    assert attacker.order(watch.pid, "signal", int(signal.SIGSTOP)) == "ok"
    wait_tamper(watch, "the launcher was stopped by a signal", since)
    os.kill(watch.pid, signal.SIGCONT)
    connect_and_end(watch)
    assert len(tampers(watch)) == 1, watch.text()


def test_a_killed_launcher(attack):
    watch, monitor, attacker = attack
    assert attacker.order(watch.pid, "signal", int(signal.SIGKILL)) == "ok"
    wait_tamper(watch, "the launcher was killed")
    watch.process.stdin.close()
    watch.wait_alert(lambda a: a.is_flow)


def test_an_attach_has_a_launcher_too(start):
    watch, agent = attached(start, f"read line; {actor('flow')} tcp {OTHER} 7001 10")
    assert int(status_of(watch.pid)["CapEff"], 16) == 1 << 5 | 1 << 2, "KILL, DAC_READ_SEARCH"
    assert int(status_of(watch.pid)["CapBnd"], 16) == 0
    since = time.time()
    os.kill(monitor_of(watch), signal.SIGSTOP)
    wait_tamper(watch, "the monitor was stopped by a signal and goes on", since)
    agent.communicate(b"\n", timeout=20)
    assert watch.wait() == 0, watch.text()
    assert len(watch.flow_alerts()) == 1


def test_a_killed_monitor_of_an_attach_is_told(start):
    watch, agent = attached(start)
    os.kill(monitor_of(watch), signal.SIGKILL)
    ended = watch.wait_alert(lambda a: a.title == "WATCH ENDED")
    assert ended["Reason"] == "the monitor was killed by signal 9 (Killed)"
    assert ended["PID"] == str(agent.pid)
    assert watch.wait() == 125
    assert agent.poll() is None


def test_a_signal_ends_an_attach_in_order(start):
    watch, agent = attached(start)
    watch.signal(signal.SIGTERM)
    assert watch.wait() == 0, watch.text()
    assert watch.of("summary") and not tampers(watch)
    assert agent.poll() is None


def test_a_deleted_log(start):
    watch, _ = attached(start)
    os.unlink(watch.log_path)
    watch.wait_alert(lambda a: a.title == TITLE and "the log was deleted" in str(a))
    watch.stderr.wait(lambda line: "cannot be written" in line)
    assert len(tampers(watch)) == 1


def test_a_log_that_is_moved_away(start):
    watch, _ = attached(start)
    os.rename(watch.log_path, watch.folder / "elsewhere")
    watch.log_path.write_text("")
    watch.wait_alert(lambda a: a.title == TITLE and "the log was moved away" in str(a))
    watch.signal(signal.SIGTERM)
    watch.wait()
    assert '"tamper"' in (watch.folder / "elsewhere").read_text()


def test_a_log_that_is_cut(start):
    watch, _ = attached(start)
    os.truncate(watch.log_path, 0)
    watch.wait_alert(lambda a: a.title == TITLE and "the log was cut" in str(a))


def test_a_busy_machine_raises_nothing(start):
    busy = [start.agent("sh", "-c", "while :; do :; done") for _ in range(8)]
    watch, _ = attached(start)
    with pytest.raises(AssertionError, match="not seen in time"):
        watch.wait_alert(lambda a: a.title == TITLE, timeout=5)
    assert all(b.poll() is None for b in busy)


def test_processes_that_come_and_go_raise_nothing(start):
    """Short lives, a leader that ends before its threads, and nobody who reaps."""
    watch, _ = attached(start, f"{actor('brood')} 300 {actor('blip')} {OTHER} 7001; "
                               f"{actor('tree')} dead-leader {actor('flow')} tcp {OTHER} 7001 10; "
                               "(sleep 0 & exec sleep 30) & read line; kill $!")
    assert_quiet(watch)


def test_a_cgroup_that_goes_raises_nothing(start, net):
    """The links on it go with it; the tree lives on in another."""
    root = Path("/sys/fs/cgroup/unified" if Path("/sys/fs/cgroup/unified").is_dir()
                else "/sys/fs/cgroup")
    folders = [root / f"{net.folder.name}-{n}" for n in "ab"]
    for folder in folders:
        folder.mkdir()
    agent = start.agent("sh", "-c", f"echo $$ >{folders[0]}/cgroup.procs; (echo 0 >"
                        f"{folders[1]}/cgroup.procs; echo in; exec sleep 30) & read x")
    agent.stdout.readline()
    try:
        watch = start.attach(WEATHER_ONLY, agent.pid)
        watch.wait_record(type="process")
        agent.stdin.write(b"\n")
        agent.stdin.close()
        agent.wait(20)
    finally:
        wait_empty(folders[0])
        folders[0].rmdir()
    assert_quiet(watch)
    (folders[1] / "cgroup.kill").write_text("1")
    assert watch.wait() == 0, watch.text()
    wait_empty(folders[1])
    folders[1].rmdir()


def wait_empty(folder):
    for pid in (folder / "cgroup.procs").read_text().split():
        wait_exit(int(pid))


@pytest.mark.parametrize("command", ["run", "attach"])
def test_ctrl_z_raises_nothing(start, net, terminal, command):
    agent = start.agent("sh", "-c", "read line")
    log = net.folder / f"tty-{os.urandom(3).hex()}.jsonl"
    rest = f"-- sh -c 'echo rea''dy; read line'" if command == "run" else str(agent.pid)
    terminal.type(f"{watching.LINNET} {command} -p {start.policy(WEATHER_ONLY)} --log {log} "
                  f"{rest}\n")
    terminal.expect("ready" if command == "run" else "watching test_agent")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    with pytest.raises(AssertionError, match="not seen in time"):
        terminal.lines.wait(lambda line: TITLE in line, timeout=QUIET_S)
    terminal.type("fg; echo sta''tus=$?\n")
    terminal.lines.wait(lambda line: line.startswith(watching.LINNET))
    terminal.type("\n" if command == "run" else "\x03")
    terminal.expect("status=0")
    assert b'"tamper"' not in log.read_bytes()


def test_the_log_is_out_of_the_agents_reach(start, net):
    """A directory that the agent's user can write is worth a warning."""
    user = pwd.getpwnam("nobody")
    open_folder = Path(f"/tmp/{net.folder.name}-open")
    open_folder.mkdir()
    try:
        os.chown(open_folder, user.pw_uid, user.pw_gid)
        log = open_folder / "log.jsonl"
        watch = start.run(WEATHER_ONLY, "true", log=False,
                          options=["--user", "nobody", "--log", str(log)])
        assert watch.wait() == 0
        assert f"the agent's user can delete or replace the log {log}" in watch.text()
        assert stat.S_IMODE(log.stat().st_mode) == 0o600 and log.stat().st_uid == 0
        log.unlink()
    finally:
        open_folder.rmdir()
    watch = start.run(WEATHER_ONLY, "true", options=["--user", "nobody"])
    assert watch.wait() == 0
    assert "can delete or replace" not in watch.text()


def test_a_policy_that_the_agents_user_can_read_is_a_gap(start, net):
    shown = Path(f"/tmp/{net.folder.name}-policy.yaml")
    shown.write_text(policy("weather.service.com 443 TCP"))
    try:
        for mode, gap in ((0o644, True), (0o600, False)):
            shown.chmod(mode)
            watch = start.run(shown, "true", options=["--user", "nobody"])
            assert watch.wait() == 0
            assert ("GAP: the agent's user can read the policy" in watch.text()) == gap
            if not gap:
                continue
            # The agent is root, or linnet's own user: nothing is hidden from it anyway.
            watch = start.run(shown, "true")
            assert watch.wait() == 0
            assert "can read the policy" not in watch.text()
    finally:
        shown.unlink()
