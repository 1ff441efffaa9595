# SPDX-License-Identifier: Apache-2.0
"""Who did it: the process, the socket, or both when they disagree. A socket that came from outside
the tree, or went there, is told with both processes; one that is the tree's own never is."""
import ctypes
import os
import signal
import socket
import subprocess

import pytest

from events import read_lines
from netlab import API, OTHER, OTHER6
from policies import WEATHER_ONLY
from watch import actor

PYTHON = "/usr/bin/python3"
ALL = "import ctypes, os, socket, struct, sys, threading\n"


def python(start, script, **options):
    return start.run(WEATHER_ONLY, PYTHON, "-c", ALL + script, **options)


def outsider(start, script):
    """A process outside the tree, which has said `ready`; its further lines as Items."""
    process = start.agent(PYTHON, "-uc", ALL + script)
    said = read_lines(process.stdout.fileno(), "outsider")
    said.wait(lambda line: line == "ready")
    return process, said


def facts(record):
    return record["how"], record["received"], record["passed"]


OWN = "task", False, False
RECEIVED = "ambiguous", True, False
PASSED = "ambiguous", False, True


def only_flow(watch):
    assert watch.wait() == 0, watch.text()
    assert len(watch.flows()) == 1, watch.records
    return watch.flows()[0]


@pytest.mark.parametrize("script, expected", [
    (f"socket.create_connection(('{OTHER}', 7001))", OWN),
    (f"socket.create_connection(('{OTHER6}', 7001))", OWN),
    (f"socket.socket(2, 2).sendto(b'x', ('{OTHER}', 7005))", OWN),
    (f"u = socket.socket(2, 2); u.connect(('{OTHER}', 7005)); u.send(b'x')",
     ("socket", False, False)),
    (f"s = socket.socket(2, 1, 262); s.connect(('{OTHER}', 7001))", OWN),
    (f"s = socket.socket()\nif os.fork() == 0: s.connect(('{OTHER}', 7001)); os._exit(0)\nos.wait()",
     OWN),
    (f"s = socket.socket(); s.set_inheritable(True)\n"
     f"os.execv(sys.executable, ['python3', '-c', 'import socket; socket.socket(fileno=%d)"
     f".connect((\"{OTHER}\", 7001))' % s.fileno()])", OWN)],
    ids=["tcp", "tcp6", "sendto", "connected udp", "mptcp", "fork", "exec"])
def test_own_sockets(start, script, expected):
    assert facts(only_flow(python(start, script))) == expected


@pytest.mark.parametrize("mode", ["tcp", "tcp-sqpoll", "udp"])
def test_own_sockets_of_io_uring(start, mode):
    port = "7005" if mode == "udp" else "7001"
    record = only_flow(start.run(WEATHER_ONLY, actor("uring"), mode, OTHER, port, "10"))
    assert not record["received"] and not record["passed"]


REUSED = """
server = socket.create_server(('', 0))
client = socket.create_connection(('127.0.0.1', server.getsockname()[1]))
accepted, _ = server.accept()
libc = ctypes.CDLL(None, use_errno=True)
assert libc.connect(accepted.fileno(), bytes(16), 16) == 0
accepted.connect(('{ip}', 7001))
"""


def test_an_accepted_socket_that_goes_elsewhere_is_our_own(start):
    watch = python(start, REUSED.format(ip=OTHER))
    assert watch.wait() == 0, watch.text()
    assert [facts(r) for r in watch.flows(ip=OTHER)] == [OWN]


def test_sockets_that_are_never_connected_leave_nothing(start):
    """Each takes an entry when it is made: more of them than there are entries."""
    record = only_flow(python(start, "for i in range(70000): socket.socket().close()\n"
                                     f"socket.create_connection(('{OTHER}', 7001))"))
    assert facts(record) == OWN and not record["uncounted"]


def setns(file):
    assert ctypes.CDLL(None).setns(file.fileno(), 0x40000000) == 0


def test_sockets_inherited_from_who_started_linnet(start, net):
    """As standard input: one that is connected is told as it is, one that is not becomes ours."""
    with open(f"/run/netns/{net.name}", "rb") as space, open("/proc/self/ns/net", "rb") as home:
        setns(space)
        try:
            idle, busy = socket.socket(), socket.create_connection((OTHER, 7001))
        finally:
            setns(home)
    watch = python(start, f"socket.socket(fileno=0).connect(('{OTHER}', 7001))", stdin=idle)
    assert facts(only_flow(watch)) == OWN
    watch = python(start, "pass", stdin=busy)
    record = only_flow(watch)
    assert record["existing"] and facts(record) == OWN and record["remote"]["port"] == 7001
    idle.close()
    busy.close()


BEFORE = """
t, u, m = socket.socket(), socket.socket(2, 2), socket.socket(2, 1, 262)
print('ready'); input()
t.connect(('{ip}', 7001)); u.sendto(b'x', ('{ip}', 7005)); m.connect(('{ip}', 7001))
"""


def test_sockets_from_before_the_watch_are_our_own(start):
    agent = start.agent(PYTHON, "-uc", ALL + BEFORE.format(ip=OTHER))
    assert agent.stdout.readline() == b"ready\n"
    watch = start.attach(WEATHER_ONLY, agent.pid)
    watch.wait_record(type="header")
    agent.stdin.write(b"\n")
    agent.stdin.flush()
    assert watch.wait() == 0, watch.text()
    assert [facts(r) for r in watch.flows()] == [OWN] * 3


HAND_OVER = """
s = socket.socket(2, {kind})
server = socket.socket(socket.AF_UNIX); server.bind('{path}'); server.listen()
print('ready')
c, _ = server.accept()
socket.send_fds(c, [b'x'], [s.fileno()])
c.recv(1)
"""
TAKE = """
c = socket.socket(socket.AF_UNIX); c.connect('{path}')
_, fds, _, _ = socket.recv_fds(c, 1, 1)
s = socket.socket(fileno=fds[0])
"""


@pytest.mark.parametrize("kind, use", [
    (1, f"s.connect(('{OTHER}', 7001))"),
    (2, f"s.sendto(b'x', ('{OTHER}', 7005))"),
    (2, f"s.connect(('{OTHER}', 7005)); s.send(b'x')"),
    (2, f"s.bind(('', 0)); s.sendto(b'x', ('{OTHER}', 7005))"),
    (1, f"s.bind(('', 0)); s.connect(('{OTHER}', 7001))")],
    ids=["tcp", "sendto", "connected udp", "bound udp", "bound tcp"])
def test_a_socket_made_outside(start, kind, use):
    path = start.net.folder / f"hand-{os.urandom(4).hex()}"
    outsider(start, HAND_OVER.format(kind=kind, path=path))
    record = only_flow(python(start, TAKE.format(path=path) + use))
    assert facts(record) == RECEIVED
    assert record["remote"]["ip"] == OTHER


def test_a_socket_taken_from_a_process_outside(start):
    process, _ = outsider(start, "s = socket.socket()\nprint(s.fileno())\nprint('ready')\ninput()")
    record = only_flow(python(
        start, "libc = ctypes.CDLL(None, use_errno=True)\n"
        f"pidfd = os.pidfd_open({process.pid})\n"
        f"s = socket.socket(fileno=libc.syscall(438, pidfd, 3, 0))\n"
        f"s.connect(('{OTHER}', 7001))"))
    assert facts(record) == RECEIVED


TAKE_OVER = """
server = socket.socket(socket.AF_UNIX); server.bind('{path}'); server.listen()
print('ready')
c, _ = server.accept()
_, fds, _, _ = socket.recv_fds(c, 1, 1)
s = socket.socket(fileno=fds[0])
{use}
c.send(b'x')
c.recv(1)
"""
GIVE = """
s = socket.socket(2, {kind})
c = socket.socket(socket.AF_UNIX); c.connect('{path}')
socket.send_fds(c, [b'x'], [s.fileno()])
c.recv(1)
"""


@pytest.mark.parametrize("kind, use, own", [
    (1, f"s.connect(('{OTHER}', 7001))", ""),
    (2, f"s.sendto(b'x', ('{OTHER}', 7005))", f"s.sendto(b'x', ('{API}', 7005))"),
    (2, f"s.connect(('{OTHER}', 7005)); s.send(b'x')",
     f"s.connect(('{API}', 7005)); s.send(b'x')")], ids=["tcp", "sendto", "connected udp"])
def test_a_socket_used_outside(start, kind, use, own):
    """The owner stays the one in the tree, and what it does afterwards is its own again."""
    path = start.net.folder / f"take-{os.urandom(4).hex()}"
    process, _ = outsider(start, TAKE_OVER.format(path=path, use=use))
    watch = python(start, GIVE.format(kind=kind, path=path) + own)
    assert watch.wait() == 0, watch.text()
    record = watch.flows(ip=OTHER)[0]
    assert facts(record) == PASSED
    assert record["other"]["pid"] == process.pid and record["other"]["comm"].startswith("python3")
    started = watch.of("process", event="exec")[0]
    assert record["pid"] == started["pid"]
    assert all(not r["passed"] for r in watch.flows(ip=API)) and len(watch.flows(ip=API)) == bool(own)


TRACE = """
libc = ctypes.CDLL(None, use_errno=True)
assert libc.ptrace(0x4206, {pid}, None, None) == 0, ctypes.get_errno()
print('traced', flush=True)
sys.stdin.readline()
"""


def test_a_process_outside_that_the_tree_traces(start):
    process, said = outsider(start, "print('ready')\ninput()\n"
                             f"socket.create_connection(('{OTHER}', 7001))\nprint('done')\ninput()")
    watch = python(start, TRACE.format(pid=process.pid), stdin=subprocess.PIPE)
    watch.stdout.wait(lambda line: line == "traced")
    process.stdin.write(b"\n")
    process.stdin.flush()
    said.wait(lambda line: line == "done")
    record = watch.wait_record(type="flow-open", remote={"ip": OTHER, "port": 7001})
    watch.process.stdin.close()
    assert watch.wait() == 0, watch.text()
    assert facts(record) == PASSED
    assert record["other"]["pid"] == process.pid and record["pid"] != process.pid
    os.kill(process.pid, signal.SIGKILL)


def test_strangers_are_none_of_ours(start):
    """A process outside with sockets of its own, while a watch runs."""
    process, said = outsider(start, "print('ready')\ninput()\n"
                             f"socket.create_connection(('{OTHER}', 7001))\n"
                             f"socket.socket(2, 2).sendto(b'x', ('{OTHER}', 7005))\n"
                             f"socket.socket(2, 1, 262).connect(('{OTHER}', 7001))\nprint('done')")
    watch = python(start, f"print('up', flush=True); input(); "
                          f"socket.create_connection(('{API}', 7001))", stdin=subprocess.PIPE)
    watch.stdout.wait(lambda line: line == "up")
    process.stdin.write(b"\n")
    process.stdin.flush()
    said.wait(lambda line: line == "done")
    watch.process.stdin.write(b"\n")
    watch.process.stdin.close()
    assert watch.wait() == 0, watch.text()
    assert [r["remote"]["ip"] for r in watch.flows()] == [API]


@pytest.mark.parametrize("script, proto, port, number", [
    (f"u = socket.socket(2, 2, 136); u.sendto(b'x' * 10, ('{OTHER}', 7005))", "UDPLITE", 7005, None),
    (f"u = socket.socket(2, 2, 136); u.connect(('{OTHER}', 7005)); u.send(b'x' * 10)", "UDPLITE",
     7005, None),
    (f"p = socket.socket(2, 2, 1); p.sendto(bytes([8, 0, 0, 0, 0, 0, 0, 1]), ('{OTHER}', 0))",
     "ICMP", 0, None),
    (f"p = socket.socket(10, 2, 58); p.sendto(bytes([128, 0, 0, 0, 0, 0, 0, 1]), ('{OTHER6}', 0))",
     "ICMPV6", 0, None),
    (f"r = socket.socket(2, 3, 253); r.sendto(b'x' * 10, ('{OTHER}', 0))", "253", 0, 253),
    (f"r = socket.socket(10, 3, 253); r.sendto(b'x' * 10, ('{OTHER6}', 0))", "253", 0, 253),
    (f"r = socket.socket(2, 3, 17); r.sendto(struct.pack('>4H', 9, 7005, 10, 0) + b'xx', "
     f"('{OTHER}', 0))", "UDP", 7005, 17),
    (f"r = socket.socket(2, 3, 255); r.sendto(struct.pack('>BBHHHBBH4s4s', 69, 0, 30, 1, 0, 64, 254,"
     f" 0, bytes(4), socket.inet_aton('{OTHER}')) + b'x' * 10, ('{API}', 0))", "254", 0, 255)],
    ids=["udp-lite", "connected udp-lite", "ping", "ping6", "raw", "raw6", "raw udp", "own header"])
def test_other_datagrams(start, script, proto, port, number):
    """Judged by where they go; raw sockets are told as such when they are made."""
    watch = python(start, script)
    assert watch.wait() == 0, watch.text()
    opened = [r for r in watch.flows() if r["remote"]["ip"] in (OTHER, OTHER6)]
    assert [(r["proto"].upper().replace("-", ""), r["remote"]["port"], r["verdict"])
            for r in opened] == [(proto, port, "unexpected")], watch.records
    assert len([r for r in watch.flows("flow-close") if r["id"] == opened[0]["id"]]) == 1
    raw = watch.of("channel", channel="raw-socket")
    assert [r["number"] for r in raw] == ([] if number is None else [number])
