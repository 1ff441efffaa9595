# SPDX-License-Identifier: Apache-2.0
"""What an agent that knows linnet would try: to forge the evidence that permits, to blind the watch,
to outlive it."""
import contextlib
import json
import os
import socket
import subprocess
import textwrap

import pytest

import watch as watching
from netlab import OTHER, RESOLVER, SCRIPTED_RESOLVER
from policies import WEATHER_ONLY
from watch import stopped

PYTHON = "/usr/bin/python3"

# A resolver of the agent's own: in a network namespace that it made, where it may take any address.
OWN_NAMESPACE = f"""
import ctypes, fcntl, os, socket, struct
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, SIOCSIFADDR = 0x8914, 0x8916

def up(name, ip):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        if ip:
            fcntl.ioctl(s, SIOCSIFADDR, struct.pack("16sHH4s8x", name, socket.AF_INET, 0,
                                                    socket.inet_aton(ip)))
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14x", name, 1))

child = os.fork()
if child == 0:
    if ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET):
        os._exit(3)
    up(b"lo", None)
    up(b"lo:1", "{RESOLVER}")
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("{RESOLVER}", 53))
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(("{RESOLVER}", 53))
    question = b"\\7weather\\7service\\3com\\0\\0\\1\\0\\1"
    client.send(b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + question)
    _, peer = server.recvfrom(512)
    answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + socket.inet_aton("{OTHER}")
    server.sendto(b"\\x12\\x34\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0" + question + answer, peer)
    client.recv(512)
    os._exit(0)
print("forged", os.waitpid(child, 0)[1])
socket.create_connection(("{OTHER}", 443)).close()
"""


def say(watch):
    watch.process.stdin.write(b"\n")
    watch.process.stdin.flush()


def test_a_resolver_in_a_namespace_of_the_agents_own_grants_nothing(start):
    watch = start.run(WEATHER_ONLY, PYTHON, "-c", textwrap.dedent(OWN_NAMESPACE),
                      options=["--user", "nobody"])
    assert watch.wait() == 0, watch.text()
    assert watch.stdout.list == ["forged 0"]
    flow = watch.flows(ip=OTHER, port=443)[0]
    assert flow["verdict"] == "unexpected", flow
    assert not any(n["grants"] for n in flow["names"]), flow
    assert not any(r["trusted"] for r in watch.of("dns-answer"))


def test_a_child_whose_birth_was_lost_is_still_waited_for(start):
    """The agent fills the event buffer while the monitor cannot read, leaves a child behind and ends:
    the watch goes on, and sees what the child does."""
    script = textwrap.dedent(f"""
        import os, socket, sys
        input()
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for i in range(60000):
            s.sendto(b"", ("{OTHER}", 1024 + i))
        turn, other = os.pipe()
        if os.fork() == 0:
            print("left", flush=True)
            os.close(other)
            os.read(turn, 1)  # until the parent has ended
            os.read(0, 1)
            socket.create_connection(("{OTHER}", 7004)).close()
            os._exit(0)
        os.read(0, 1)
    """)
    watch = start.run(WEATHER_ONLY, PYTHON, "-uc", script, stdin=subprocess.PIPE)
    watch.wait_record(type="process", event="exec")
    with stopped(watch):
        say(watch)
        watch.stdout.wait(lambda line: line == "left")
    watch.stderr.wait(lambda line: "EVENTS LOST" in line)
    watch.wait_record(type="lost")
    say(watch)
    watch.stderr.wait(lambda line: "still running" in line)
    say(watch)
    assert watch.wait() == 0, watch.text()
    assert [f["port"] for f in (r["remote"] for r in watch.flows() if r["proto"] == "TCP")] == [7004]


def full(kind):
    """(our end, standard error for linnet) of something that takes no byte more."""
    if kind == "terminal":
        ours, its = os.openpty()
    elif kind == "socket":
        ours, its = (s.detach() for s in socket.socketpair())
    else:
        ours, its = os.pipe()
    os.set_blocking(its, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(its, b"x")
    os.set_blocking(its, True)
    return ours, its


@pytest.mark.parametrize("kind", ["pipe", "terminal", "socket"])
def test_standard_error_that_nobody_reads_does_not_stop_the_watch(start, net, kind):
    """linnet goes on judging, writes the log, and ends."""
    script = ("import socket\n"
              "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
              f"for i in range(200): s.sendto(b'x', ('{OTHER}', 10000 + i))\n")
    log = net.folder / f"unread-{kind}.jsonl"
    ours, its = full(kind)
    try:
        process = subprocess.Popen(net.enter([
            watching.LINNET, "run", "-p", str(start.policy(WEATHER_ONLY)), "--log", str(log),
            "--user", "nobody", "--", PYTHON, "-c", script]), stderr=its)
        status = process.wait(20)
    finally:
        os.close(ours)  # lets go whoever hangs there
        os.close(its)
        process.wait(20)
    assert status == 0
    records = [json.loads(line) for line in log.read_text().splitlines()]
    ports = {r["remote"]["port"] for r in records if r["type"] == "flow-open"}
    assert ports == set(range(10000, 10200))
    assert records[-1]["type"] == "summary"


def test_a_resolver_that_the_agent_wrote_down_itself_is_not_trusted(start, net):
    """Attached, the agent lives under a resolv.conf of its own, and hides from debuggers, which makes
    its /proc folder root's."""
    etc = net.write_etc(resolv_conf=f"nameserver {SCRIPTED_RESOLVER}\n")
    for path in etc.iterdir():
        os.chown(path, 65534, 65534)
    net.serve({"kind": "dns", "ip": SCRIPTED_RESOLVER, "port": 53, "zone": {
        "weather.service.com": [[["weather.service.com", "A", OTHER, 60]]]}})
    agent = start.agent(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", PYTHON, "-uc",
        "import ctypes, socket\nctypes.CDLL(None).prctl(4, 0)\nprint('ready'); input()\n"
        "a = socket.getaddrinfo('weather.service.com', 443, socket.AF_INET)[0][4]\n"
        "socket.create_connection(a).close()\n", etc=etc)
    assert agent.stdout.readline() == b"ready\n"
    watch = start.attach(WEATHER_ONLY, agent.pid)
    watch.wait_record(type="header")
    agent.communicate(b"\n", timeout=20)
    assert watch.wait() == 0, watch.text()
    assert watch.flows(ip=OTHER, port=443)[0]["verdict"] == "unexpected"
    assert "could change its /etc/resolv.conf" in watch.text()


def test_without_root_the_gap_is_said(start, net):
    """By polling, linnet and the agent are one user: the agent may end the watch."""
    done = subprocess.run(net.enter(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", watching.LINNET, "run",
         "--sensor=poll", "-p", str(start.policy(WEATHER_ONLY)), "--log", "/dev/null", "--", "true"]),
        capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done
    assert "GAP: the agent runs as linnet's own user" in done.stderr


def test_a_log_that_is_taken_away_is_told(start):
    watch = start.run(WEATHER_ONLY, "sh", "-c", "read line", stdin=subprocess.PIPE)
    watch.wait_record(type="process", event="exec")
    watch.log_path.unlink()
    say(watch)
    assert watch.wait() == 0
    assert f"{watch.log_path} cannot be written (No such file" in watch.text(), watch.text()
    assert "records are missing" in watch.text()
