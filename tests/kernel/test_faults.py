# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around linnet: it ends with a word, or goes on and says what it cannot keep. The
agent is unharmed either way, and nothing is lost in silence. Floods are in test_floods.py."""
import datetime
import json
import os
import re
import select
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest

import faults
import speaker
from attacker import CONNECT4, outsider
from events import Tail
from faults import RING_FULL, lost, monitor, put_down
from netlab import API, OTHER, OTHER6
from policies import WEATHER_ONLY, policy
from watch import actor, status_of, stopped

# No name to look up, or the events would wait for that.
API_ONLY = policy(f"{API} 443 TCP")
TAMPERED = "LINNET TAMPERED WITH"
SECOND = 1.3  # see test_defence.py


def tell(watch):
    watch.process.stdin.write(b"\n")
    watch.process.stdin.flush()


def whole_records(path):
    text = Path(path).read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_killed(start):
    """In the middle of a flood: the agent's calls go through, and the log ends with a whole line."""
    n = 20000
    watch = start.run(API_ONLY, "sh", "-c", f"{actor('flood')} {n} {OTHER} 7005 </dev/null; exit 5",
                      log=True)
    watch.wait_record(type="flow-open")
    os.kill(monitor(watch), signal.SIGKILL)
    ended = watch.wait_alert(lambda a: a.title == "WATCH ENDED")
    assert watch.wait(60) == 5, "the agent's own status"
    assert "flooded" in watch.stdout.list
    records = whole_records(watch.log_path)
    assert records[-1]["type"] != "summary"
    assert ended["Action"] == "NONE - the agent goes on, but linnet no longer watches it"
    put_down("killed", f"`[!] {ended.title}`: {ended['Reason']}", "each line of the log is whole",
             "unharmed", "ends with the agent, by its status")


def test_stopped(start):
    watch, agent = speaker.under(start, API_ONLY)
    with stopped(watch):
        for port in (7001, 7002, 7004):
            assert agent.say("connect", OTHER, port) == "ok"
        select.select([], [], [], 3)  # what takes time here is the fault itself
    late = watch.wait_alert(lambda a: a.title == TAMPERED and "did not run for" in str(a))
    agent.end()
    assert watch.wait() == 0, watch.text()
    assert {f["remote"]["port"] for f in watch.flows(ip=OTHER)} == {7001, 7002, 7004}
    assert watch.of("summary")[0]["lost"] == 0
    put_down("stopped", f"`[!] {TAMPERED}`: {re.sub('[0-9.]+ s', '… s', late['Rule Matched'][7:])}",
             "3 of 3 connections of that time are told", "unharmed", "goes on")


def limited_descriptors(start, soft, hard, *command, **options):
    return start.linnet(*command, wrapper=["prlimit", f"--nofile={soft}:{hard}"], **options)


def test_few_descriptors_at_the_start(start, net):
    mark = net.folder / "ran"
    watch = limited_descriptors(start, 100, 100, "run", "-p", start.policy(API_ONLY), "--", "touch",
                                mark)
    assert watch.wait() == 125, watch.text()
    said, = watch.stderr.list
    assert not mark.exists()
    put_down("descriptors-start", f"`{said.removeprefix('linnet: error: ')}`", "-", "is not started",
             "ends: 125")


def test_the_soft_limit_of_descriptors_is_the_agents(start):
    """linnet takes what the hard limit permits; the agent keeps what the user has set."""
    watch = limited_descriptors(start, 64, 1024, "run", "-p", start.policy(API_ONLY), "--", "sh",
                                "-c", "ulimit -n; ulimit -Hn")
    assert watch.wait() == 0, watch.text()
    assert watch.stdout.list == ["64", "1024"]


def test_few_descriptors_to_stop_processes_by(start):
    """Each is named by a descriptor, and there are more of them than the launcher can keep."""
    n = 150
    crowd = start.agent(actor("crowd"), n, OTHER, 7001)
    assert crowd.stdout.readline().startswith(b"there")
    watch = limited_descriptors(start, 256, 256, "attach", "-p",
                                start.policy(API_ONLY + "mode: freeze\n"), crowd.pid)
    watch.wait_record(type="process", event="adopt")
    crowd.stdin.write(b"\n")
    crowd.stdin.flush()
    action = watch.wait_alert(lambda a: a.is_flow)["Action"]
    tree = {r["pid"] for r in watch.of("process", event="adopt")}
    stopped = [pid for pid in tree if status_of(pid)["State"].startswith("T")]
    assert len(tree) == n + 1 and len(stopped) == n + 1
    assert action.startswith("FROZEN"), action
    put_down("descriptors", f"`{action.split()[0]}` in the alert", f"{len(stopped)} of {len(tree)} processes are stopped",
             "frozen, as the policy has it", "goes on")


def test_too_little_memory_at_the_start(start, net):
    mark = net.folder / "ran"
    with faults.limited(f"{net.name}-memory", "memory", 8 << 20) as folder:
        watch = start.run(API_ONLY, "touch", mark,
                          wrapper=["sh", "-c", f'echo 0 >{folder}/cgroup.procs; exec "$@"', "sh"])
        assert watch.wait() == 125, watch.text()
        said = watch.stderr.list[-1]
    assert not mark.exists()
    put_down("memory-start", f"`{said.removeprefix('linnet: error: ')}`", "-", "is not started",
             "ends: 125")


def test_memory_that_ends(start, net):
    """What the monitor and the launcher need together while the agent makes 4,000 processes is more
    than they have from now on. The kernel ends one of them."""
    script = f"read go; {actor('crowd')} 4000 {OTHER} 7001 </dev/null; exit 5"
    with faults.limited(f"{net.name}-memory", "memory", "1G") as folder:
        watch = start.run(API_ONLY, "sh", "-c", script, stdin=subprocess.PIPE)
        watch.wait_record(type="process", event="exec")
        for pid in monitor(watch), watch.pid:
            (folder / "cgroup.procs").write_text(str(pid))
        faults.set_limit(folder, "memory", 600 << 10)
        tell(watch)
        ended = watch.wait_alert(lambda a: a.title == "WATCH ENDED", 60)
        assert watch.wait(60) == 5, "the agent's own status"
    # The kernel cuts a write of a process that it ends: the last line may be torn.
    assert [json.loads(line) for line in watch.log_path.read_text().splitlines()[:-1]]
    put_down("memory", f"`[!] {ended.title}`: {ended['Reason']}",
             "each line of the log but the last is whole", "unharmed",
             "ends with the agent, by its status")


@pytest.fixture
def small_disk(net):
    folder = net.folder / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()


def test_full_disk(start, small_disk):
    log, n, more = small_disk / "log.jsonl", 1000, 20
    watch = start.run(API_ONLY, "sh", "-c", f"{actor('flood')} {n} {OTHER} 7005 </dev/null; read go; "
                      f"{actor('flood')} {more} {OTHER} 7006 </dev/null; exit 5", log=False,
                      stdin=subprocess.PIPE, options=["--log", log])
    said = watch.stderr.wait(lambda line: "cannot be written" in line)
    watch.stdout.wait(lambda line: line == "flooded")
    assert log.stat().st_size <= 256 << 10
    subprocess.run(["mount", "-o", "remount,size=4M", small_disk], check=True)
    tell(watch)
    assert watch.wait() == 5, watch.text()
    records = whole_records(log)
    missing = sum(r["count"] for r in records if r["type"] == "log-gap")
    kept = [r["type"] for r in records if r["type"] in ("flow-open", "flow-close", "process")]
    others = [r["type"] for r in records if r["type"] in ("header", "name", "repeats")]
    # Three execs, two forks and three exits; a header, two names of the hosts file, two counts.
    made = 2 * (n + more) + 8 + 5
    assert missing > 0 and len(kept) + len(others) + missing == made
    assert records[-1]["type"] == "summary" and records[-1]["log_dropped"] == missing
    assert f"{missing} records are missing" in watch.text()
    put_down("disk", f"`{said.split(': ', 2)[2].replace(str(log), 'LOG')}`; "
             "a `log-gap` record where they are missing", "kept + missing = made", "unharmed",
             "goes on", f"{missing} of {made} records are missing")


def await_record(path, predicate):
    tail = Tail(str(path))
    try:
        tail.records.wait(predicate)
    finally:
        tail.stop()


def test_log_moved_cut_and_deleted(start):
    """Three ways in which a log goes; each is told within a second or so."""
    watch, agent = speaker.under(start, API_ONLY)
    moved = watch.folder / "log.1"
    told = []

    def await_tamper(words):
        alert = watch.wait_alert(lambda a: a.title == TAMPERED and words in str(a))
        told.append(alert["Rule Matched"].removeprefix("NONE - "))

    assert agent.say("connect", OTHER, 7001) == "ok"
    watch.wait_record(type="flow-open")
    watch.log_path.rename(moved)
    await_tamper("moved away")
    assert agent.say("connect", OTHER, 7002) == "ok"
    await_record(moved, lambda r: r["type"] == "flow-open" and r["remote"]["port"] == 7002)
    os.truncate(moved, 0)
    await_tamper("was cut")
    await_record(moved, lambda r: r["type"] == "tamper")
    moved.unlink()
    await_tamper("was deleted")
    agent.end()
    assert watch.wait() == 0
    assert "records are missing in" in watch.text()
    put_down("log", f"`[!] {TAMPERED}`: " + "; ".join(told), "records that went are counted: "
             "`… records are missing in …`", "unharmed", "goes on")


HOUR, YEAR = 3600, 365 * 86400


def with_a_clock(start, net, rules):
    """(watch, speaker, function that sets the clock of these two): see tests/actors/clock.c."""
    ahead = net.folder / "clock"
    ahead.write_bytes(struct.pack("q", 0))

    def set_ahead(seconds):
        with open(ahead, "r+b") as file:
            file.write(struct.pack("q", seconds))

    return *speaker.under(start, rules, environment={
        **os.environ, "LD_PRELOAD": actor("clock.so"), "LINNET_TEST_CLOCK": str(ahead)}), set_ahead


def test_clock_that_is_set(start, net):
    watch, agent, set_ahead = with_a_clock(start, net, WEATHER_ONLY)
    steps, told = [0, 2 * HOUR, -2 * HOUR, YEAR, -20 * YEAR, 0], []
    for before, step in zip([0, *steps], steps):
        set_ahead(step)
        if step != before:
            way = "forward" if step > before else "back"
            # To the second, or the one before.
            said = re.compile(rf"clock was set {way} by ({abs(step - before)}|{abs(step - before) - 1}) s")
            watch.stderr.wait(said.search)
        assert agent.say("ask", "weather.service.com", 443) == "ok"
        assert agent.say("connect", OTHER, 7001) == "ok"
        # Its time is made when it is read.
        watch.tail.records.wait(lambda r: len(watch.flows(ip=OTHER)) == len(told) + 1)
        told.append(step)
    agent.end()
    assert watch.wait() == 0, watch.text()
    verdicts = [r["verdict"] for r in watch.flows() if r["remote"]["port"] != 53]
    assert verdicts == len(steps) * ["expected", "unexpected"]
    assert len(watch.flow_alerts()) == 1
    assert sum(r["count"] for r in watch.of("repeats")) == len(steps) - 1
    times = [datetime.datetime.fromisoformat(r["time"].replace("Z", "+00:00")).timestamp()
             for r in watch.flows(ip=OTHER)]
    now = time.time()
    assert all(abs(t - now - step) < 600 for t, step in zip(times, steps, strict=True))
    assert not watch.of("tamper") and watch.of("summary")[0]["lost"] == 0
    put_down("clock", "`the system's clock was set … by … s: the times in the log follow it`",
             "12 of 12 connections, judged as ever", "unharmed", "goes on")


def test_clock_that_is_set_while_rules_end_in_the_kernel(start, net):
    """Block mode: the kernel does not know the time. A rule whose end comes by the step permits no
    more, and one whose end is in the future again permits anew, by address and by name."""
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    rules = policy(f"{OTHER} 7001 TCP", "weather.service.com 443 TCP").replace(
        "purpose: test", f"purpose: test\n    expires: {end:%Y-%m-%dT%H:%M:%SZ}")
    watch, agent, set_ahead = with_a_clock(start, net, rules + "mode: block\n")
    deadline = time.monotonic() + 20
    places = (("connect", OTHER, 7001), ("ask", "weather.service.com", 443))
    for step, way, said in (0, "", "ok"), (2 * HOUR, "forward", "EPERM"), (0, "back", "ok"):
        set_ahead(step)
        if way:
            watch.stderr.wait(re.compile(f"clock was set {way} by").search)
        for place in places:
            while (answer := agent.say(*place)) != said:
                assert time.monotonic() < deadline, (step, place, answer)
        if said == "EPERM":
            watch.wait_alert(lambda a: "Rule at line 3 expired on" in a["Rule Matched"])
    agent.end()
    assert watch.wait() == 0, watch.text()


def test_policy_replaced_in_use(start):
    """Every other one permits what the agent does all the time; every fifth is broken. The sockets
    end with their process: nobody who looks at its descriptors can then end one for it."""
    n, changes = 500, 30
    path = start.policy(API_ONLY)
    path.chmod(0o600)
    texts = [policy(f"{API} 443 TCP", f"{OTHER} 7005 UDP"), API_ONLY]
    flood = f"while read go; do {actor('flood')} {n} {OTHER} 7005 keep </dev/null; done; exit 0"
    watch = start.run(path, "sh", "-c", flood, stdin=subprocess.PIPE, options=["--user", "nobody"])
    watch.wait_record(type="process", event="exec")
    news = []
    for i in range(changes):
        tell(watch)
        beside = path.with_suffix(".new")
        beside.write_text("agent_name: [\n" if i % 5 == 4 else texts[i % 2])
        beside.chmod(0o600)
        beside.rename(path)
        news.append(watch.tail.records.wait(lambda r: r["type"] == "policy" and r not in news))
        watch.stdout.wait(lambda _: watch.stdout.list.count("flooded") == i + 1)
    watch.process.stdin.close()
    assert watch.wait(60) == 0, watch.text()
    assert watch.of("policy") == news
    assert [r["taken"] for r in news] == [i % 5 != 4 for i in range(changes)]
    seen = sum(len(watch.of(kind)) for kind in ("flow-open", "flow-close", "process"))
    assert seen + lost(watch, RING_FULL) == changes * (2 * n + 3) + 2  # forks, execs, exits
    assert {r["verdict"] for r in watch.flows()} == {"expected", "unexpected"}
    refused = sum(not r["taken"] for r in news)
    put_down("policy", "a `policy` record each, and a word for each that is refused",
             f"{changes} changes, {refused} refused; seen + lost = made", "unharmed", "goes on")


def test_detached_probe(start):
    watch, agent = speaker.under(start, API_ONLY)
    attacker = outsider(start)
    since = time.time()
    assert attacker.order(monitor(watch), "detach", CONNECT4) == "ok"
    record = watch.wait_record(type="tamper")
    told = datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00")).timestamp()
    assert told - since < SECOND
    # What the others see goes on to be seen.
    assert agent.say("connect", OTHER6, 7001) == "ok"
    assert watch.wait_alert(lambda a: a.is_flow)["Destination"].startswith(f"[{OTHER6}]:7001")
    agent.end()
    assert watch.wait() == 0
    put_down("detached", f"`[!] {TAMPERED}`: {record['reason']}", "told within a second", "unharmed",
             "goes on with the other probes", f"told after {told - since:.2f} s")
