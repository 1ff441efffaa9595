# SPDX-License-Identifier: Apache-2.0
"""Very much of something, and all of it counted. At full size by hand: LINNET_FLOODS=large, which
takes a minute more. The last test writes the table of all faults, docs/faults.md."""
import os
import re
import subprocess

import faults
import speaker
from events import read_lines
from faults import RING_FULL, lost, monitor, put_down, rss_mb
from netlab import API, OTHER, RESOLVER, SCRIPTED_RESOLVER, WEATHER
from policies import policy
from test_faults import API_ONLY
from watch import actor, stopped

LARGE = os.environ.get("LINNET_FLOODS") == "large"
RSS_MAX_MB = 64


def end(watch, timeout=60):
    watch.process.stdin.close()
    return watch.wait(timeout)


def test_full_ring(start):
    """Four processes flood while linnet is stopped as a whole: what is seen and what is lost add up
    to what was made."""
    n = 8000
    flood = f"{actor('flood')} {n} {OTHER} 7005 </dev/null"
    watch = start.run(API_ONLY, "sh", "-c", f"echo up; read go; for i in 1 2 3 4; do {flood} & done; "
                      "wait; echo made; read go", stdin=subprocess.PIPE)
    watch.stdout.wait(lambda line: line == "up")
    with stopped(watch):
        watch.process.stdin.write(b"\n")
        watch.process.stdin.flush()
        watch.stdout.wait(lambda line: line == "made", 60)
    notice = watch.wait_alert(lambda a: a.title == "EVENTS LOST")
    assert end(watch) in (0, 1), watch.text()
    seen = sum(len(watch.of(kind)) for kind in ("flow-open", "flow-close", "process"))
    gone = lost(watch, RING_FULL)
    # Each flow opens and closes; five execs, four forks and five exits.
    made = 4 * 2 * n + 14
    assert gone > made / 2 and seen + gone == made
    assert watch.stdout.list.count("flooded") == 4
    put_down("ring", f"`[!] {notice.title}`: {notice['Reason']}, with the number",
             f"seen + lost = made: {made:,} events", "unharmed", "goes on",
             f"{seen} seen + {gone} lost")


def test_fork_bomb(start, net):
    n = 3000 if LARGE else 600
    with faults.limited(f"{net.name}-bomb", "pids", 60) as cage:
        watch = start.run(API_ONLY, actor("bomb"), n, cage, OTHER, "7001")
        assert watch.wait(100) == 0, watch.text()
    said = re.fullmatch(r"born (\d+) refused (\d+)", watch.stdout.list[0])
    born, refused = map(int, said.groups())
    assert born > n / 2 and refused > 0
    events = [r["event"] for r in watch.of("process")]
    assert not watch.of("lost")
    assert (events.count("fork"), events.count("exit")) == (born, born + 1)
    flow, = watch.flows(ip=OTHER)
    assert len(watch.flow_alerts()) == 1 and flow["pid"] == watch.of("header")[0]["pid"]
    put_down("bomb", "each birth and end in the log", "births told = births made", "unharmed",
             "goes on", f"{born} born, {refused} refused")


def test_crowd(start, net):
    n = 10000
    with faults.limited(f"{net.name}-crowd", "pids", n + 100) as cage:
        watch = start.run(API_ONLY, "sh", "-c", f"echo 0 >{cage}/cgroup.procs; "
                          f"exec {actor('crowd')} {n} {OTHER} 7001", stdin=subprocess.PIPE)
        last = int(watch.stdout.wait(lambda line: line.startswith("there"), 60).split()[1])
        watch.process.stdin.write(b"\n")
        watch.process.stdin.flush()
        alert = watch.wait_alert(lambda a: a.is_flow)
        now, most = rss_mb(monitor(watch))
        assert end(watch) == 0, watch.text()
    assert alert["PID"] == str(last)
    assert most < RSS_MAX_MB
    events = [r["event"] for r in watch.of("process")]
    gone = lost(watch, RING_FULL)
    # Two execs, sh and crowd, and its move into the cage.
    assert len(events) + gone == 3 + n + n + 1
    put_down("crowd", "the connection of the last of them, by its PID", "seen + lost = made",
             "unharmed", f"goes on, below {RSS_MAX_MB} MB",
             f"RSS {now:.1f} MB, at most {most:.1f} MB; {gone} events lost")


def test_hoard(start, net):
    """All are told. The kernel side has room for the ends of 65,536, and says of how many it has
    none; user space has room for all."""
    n, each, tracked = 100000, 8000, 65536
    holders = -(-n // each)
    server = net.spawn_outside([actor("hoard"), "serve", str(n), OTHER, "8000"],
                               stdout=subprocess.PIPE)
    ready = read_lines(server.stdout.fileno(), "hoard serve")
    ready.wait(lambda _: len(ready.list) == holders)
    watch = start.run(API_ONLY, actor("hoard"), n, OTHER, "8000", stdin=subprocess.PIPE)
    watch.stdout.wait(lambda _: watch.stdout.list.count("held") == holders, 400)
    now, most = rss_mb(monitor(watch))
    assert end(watch, 400) == 0, watch.text()
    server.kill()
    summary, = watch.of("summary")
    ring = lost(watch, RING_FULL)
    opened = {r["id"] for r in watch.flows()}
    assert most < RSS_MAX_MB
    assert n - ring <= len(opened) <= n and len(watch.flows()) == len(opened)
    assert lost(watch, "no memory for a socket's owner: flows without end or counts") == n - tracked
    assert summary["flows"] == len(opened) and summary["tables_full"] == 0
    ended = len(watch.flows("flow-close"))
    assert ended + summary["flows_open"] == len(opened) and ended <= tracked
    put_down("hoard", "`[!] EVENTS LOST`: no memory for a socket's owner: flows without end or "
             "counts, with the number",
             f"{n:,} openings; ends for {tracked:,}, and {n - tracked:,} without", "unharmed",
             f"goes on, below {RSS_MAX_MB} MB",
             f"RSS {now:.1f} MB, at most {most:.1f} MB; {ring} events lost")


# Three datagrams to each question: noise; noise behind a header that fits; and behind the question.
NOISE = f"""
import random, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('{SCRIPTED_RESOLVER}', 53))
noise = random.Random(1)
print('READY')
while True:
    asked, who = s.recvfrom(4096)
    s.sendto(noise.randbytes(noise.randrange(1, 600)), who)
    s.sendto(asked[:2] + b'\\x81\\x80' + noise.randbytes(8 + noise.randrange(500)), who)
    s.sendto(asked[:2] + b'\\x81\\x80\\0\\1' + bytes([0, noise.randrange(1, 9)]) + bytes(4)
             + asked[12:] + noise.randbytes(noise.randrange(1, 500)), who)
"""

ASKER = f"""
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.connect(('{SCRIPTED_RESOLVER}', 53))
for i in range(%d):
    s.send(struct.pack('!6H', i, 0x100, 1, 0, 0, 0) + b'\\7weather\\7service\\3com\\0\\0\\1\\0\\1')
    for _ in range(3): s.recv(4096)
for port in (443, 7001): socket.create_connection(('{OTHER}', port)).close()
socket.create_connection((socket.gethostbyname('weather.service.com'), 443)).close()
"""


def test_dns_noise(start, net):
    n = 20000 if LARGE else 1000
    server = net.spawn_outside([speaker.PYTHON, "-uc", NOISE], stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"READY\n"
    watch = start.run(policy("weather.service.com 443 TCP", resolvers=[RESOLVER, SCRIPTED_RESOLVER]),
                      speaker.PYTHON, "-c", ASKER % n, "end")
    assert watch.wait(100) == 0, watch.text()
    server.kill()
    summary, = watch.of("summary")
    # The last question and its answer are those of the end.
    asked, answered, gone = len(watch.of("dns-query")), len(watch.of("dns-answer")), lost(watch, RING_FULL)
    assert summary["dns_queries"] == asked <= n + 1 and summary["dns_malformed"] == answered - 1
    assert 4 * n + 2 - gone <= asked + answered <= 4 * n + 2
    assert {(r["remote"]["ip"], r["verdict"]) for r in watch.flows() if r["remote"]["port"] != 53} == {
        (OTHER, "unexpected"), (WEATHER, "expected")}
    put_down("dns", "`dns_malformed` in the summary", "each of three answers to each question", "unharmed",
             "goes on; nothing is permitted by them", f"{3 * n} answers, {gone} events lost")


FLOW, NAMESAKE = actor("flow"), actor("namesake")


def test_pids_that_are_used_again(start):
    """By clone3 with set_tid, in the machine's own PID namespace: a child of the tree has the PID of
    another one that has ended, and then somebody outside of the tree has it."""
    watch, agent = speaker.under(start, API_ONLY)
    assert agent.say("run", FLOW, "tcp", OTHER, 7001, 10) == "ok"
    pid = watch.wait_record(type="flow-open")["pid"]
    # Nobody reads meanwhile: when they are read, the PID is another process's, or nobody's.
    with stopped(watch):
        assert agent.say("run", NAMESAKE, pid, FLOW, "tcp", OTHER, 7002, 20) == "ok"
        stranger = start.agent(NAMESAKE, pid, FLOW, "tcp", API, 7001, 10)
        assert stranger.wait(20) == 0
        assert agent.say("run", NAMESAKE, pid, FLOW, "udp-echo", OTHER, 7006, 2) == "ok"
    agent.end()
    assert watch.wait() == 0, watch.text()
    flows = watch.flows()
    assert [(f["pid"], f["args"][3:]) for f in flows] == [
        (pid, [str(port), str(count)]) for port, count in ((7001, 10), (7002, 20), (7006, 2))]
    assert {f["remote"]["ip"] for f in flows} == {OTHER}
    put_down("reuse", "each connection with the command that made it", "3 of 3 of the tree, and none "
             "of a stranger with the same PID", "unharmed", "goes on")


def test_pid_of_an_attached_process_that_is_used_again(start):
    """The watch has ended with its process, whoever has the number now."""
    agent = start.agent("sh", "-c", "read line")
    watch = start.attach(API_ONLY, agent.pid)
    watch.wait_record(type="process", event="adopt")
    agent.communicate(b"\n", timeout=20)
    stranger = start.agent(NAMESAKE, agent.pid, FLOW, "tcp", OTHER, 7001, 10)
    assert stranger.wait(20) == 0
    assert watch.wait() == 0, watch.text()
    assert not watch.flows() and not watch.alerts.list


def test_table_is_written():
    faults.write()
