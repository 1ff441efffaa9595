# SPDX-License-Identifier: Apache-2.0
"""Block mode: what is not permitted is refused in the kernel, at once and before a byte has left;
and what is permitted works from its first connect."""
import datetime
import errno
import json
import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from events import DEADLINE_S, SLOWER
from netlab import API, API6, OTHER, OTHER6, SCRIPTED_RESOLVER, sh
from policies import policy
from test_dns_abuse import CLIENT, FORGED, FORGERIES, GENUINE, GOOD, POLICY
from test_dns_abuse import resolver as forged_resolver  # noqa: F401
from watch import actor

PYTHON = "/usr/bin/python3"
HEAD = """
import errno, os, socket, sys
def outcome(call):
    try:
        call()
        return "ok"
    except OSError as e:
        return errno.errorcode[e.errno]
def tcp(to, port):
    s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
    s.settimeout(5)
    return outcome(lambda: s.connect((to, port)))
def udp(to, port, connected=False):
    s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM)
    if not connected:
        return outcome(lambda: s.sendto(b"x", (to, port)))
    s.connect((to, port))
    return outcome(lambda: s.send(b"x"))
"""


def blocking(*expected, deny=(), extra="", **options):
    text = policy(*expected, **options) + "mode: block\n" + extra
    if deny:
        text += "deny:\n" + "".join(f"  - {json.dumps(d)}\n" for d in deny)
    return text


def outcomes(start, rules, *expressions, options=()):
    """What each expression of the agent came to, and the watch."""
    script = HEAD + "".join(f"print({e})\n" for e in expressions)
    watch = start.run(rules, PYTHON, "-c", script, options=options)
    assert watch.wait() == 0, watch.text()
    return watch.stdout.list, watch


def blocked(watch):
    return [(r["proto"], r["remote"]["ip"], r["remote"]["port"])
            for r in watch.of("flow-open") if r.get("refused")]


def test_what_is_not_listed_is_refused_at_once(start):
    said, watch = outcomes(
        start, blocking(f"{API} 7001 TCP"), f"tcp('{OTHER}', 7001)", f"tcp('{OTHER6}', 7001)",
        f"tcp('::ffff:{OTHER}', 7001)", f"udp('{OTHER}', 7005)", f"udp('{OTHER6}', 7005)",
        f"udp('{OTHER}', 7006, connected=True)", f"tcp('{API}', 7002)", f"tcp('{API}', 7001)")
    assert said == ["EPERM"] * 7 + ["ok"]
    assert blocked(watch) == [("TCP", OTHER, 7001), ("TCP", OTHER6, 7001), ("TCP", OTHER, 7001),
                              ("UDP", OTHER, 7005), ("UDP", OTHER6, 7005), ("UDP", OTHER, 7006),
                              ("TCP", API, 7002)]
    closes = {r["id"]: r["outcome"] for r in watch.of("flow-close")}
    for opened in watch.of("flow-open"):
        assert (closes[opened["id"]] == "blocked") == bool(opened.get("refused")), opened


def test_rules_by_network_port_range_and_protocol_and_what_is_denied(start):
    said, _ = outcomes(
        start,
        blocking("203.0.113.0/24 7000-7002 TCP", f"{API6} any any", f"{API} 7006 UDP",
                 deny=[OTHER]),
        f"tcp('{API}', 7001)", f"tcp('{API}', 7002)", f"tcp('{API}', 7004)", f"udp('{API}', 7001)",
        f"udp('{API}', 7006)", f"tcp('{OTHER}', 7001)", f"tcp('{API6}', 7004)",
        f"udp('{API6}', 7005)")
    assert said == ["ok", "ok", "EPERM", "EPERM", "ok", "EPERM", "ok", "ok"]


def test_datagrams_of_one_socket_are_told_once_each_place(start):
    said, watch = outcomes(
        start, blocking(f"{API} 7005 UDP"),
        f"[(lambda s: [outcome(lambda: s.sendto(b'x', (to, 7005))) for to in ('{OTHER}', '{API}', "
        f"'{OTHER}', '{OTHER}')])(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))]")
    assert said == ["[['EPERM', 'ok', 'EPERM', 'EPERM']]"]
    assert blocked(watch) == [("UDP", OTHER, 7005)]


@pytest.mark.parametrize("kind, protocol, alert", [
    ("SOCK_RAW", 1, "RAW SOCKET"), ("SOCK_RAW", 255, "RAW SOCKET"),
    ("SOCK_DGRAM", 1, "UNFOLLOWED SOCKET"), ("SOCK_DGRAM", 136, "UNFOLLOWED SOCKET")])
def test_sockets_that_no_rule_can_permit_are_not_made(start, kind, protocol, alert):
    said, watch = outcomes(
        start, blocking(f"{API} any any"),
        f"outcome(lambda: socket.socket(socket.AF_INET, socket.{kind}, {protocol}))")
    assert said == ["EPERM"]
    assert alert in [a.title for a in watch.alerts.list]


def test_tunnel_devices_are_not_opened(start):
    said, watch = outcomes(start, blocking(f"{API} any any"),
                           "outcome(lambda: open('/dev/net/tun', 'r+b'))")
    assert said == ["EPERM"]
    assert "TUNNEL DEVICE" in [a.title for a in watch.alerts.list]


BEFORE = HEAD + f"""
icmp = b"\\x08\\0\\xf7\\xff\\0\\0\\0\\0"
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
ping = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
lite = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)
connected = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
connected.connect(("{OTHER}", 7005))
loose = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
unused = socket.socket()
talks = socket.create_connection(("{OTHER}", 7002))
print("ready", flush=True)
sys.stdin.readline()
print(outcome(lambda: raw.sendto(icmp, ("{OTHER}", 0))),
      outcome(lambda: ping.sendto(icmp, ("{OTHER}", 0))),
      outcome(lambda: lite.sendto(b"x", ("{OTHER}", 7005))), outcome(lambda: connected.send(b"x")),
      outcome(lambda: loose.sendto(b"x", ("{OTHER}", 7005))),
      outcome(lambda: unused.connect(("{OTHER}", 7001))), outcome(lambda: talks.send(b"x")),
      flush=True)
"""


def test_sockets_from_before_the_attach(start):
    """What is already connected goes on, and the alert says so; nothing else does."""
    agent = start.agent(PYTHON, "-c", BEFORE)
    assert agent.stdout.readline() == b"ready\n"
    watch = start.attach(blocking(f"{API} any any"), agent.pid)
    watch.wait_record(type="header")
    said = agent.communicate(b"\n", timeout=DEADLINE_S)[0].decode().split()
    assert watch.wait() == 0, watch.text()
    assert said == ["EPERM"] * 6 + ["ok"], watch.text()
    kept, = (a for a in watch.flow_alerts() if ":7002 " in a["Destination"])
    assert kept["Action"] == "LOGGED (Could not be refused: it was open before the watch began)"


def told_to_connect(start, ready):
    """A process outside the tree that connects when a line comes, and says what came of it."""
    return start.agent(PYTHON, "-c", HEAD + ready + f"""
print("ready", flush=True)
sys.stdin.readline()
print(outcome(lambda: s.connect(("{OTHER}", 7001))), flush=True)
""")


def test_a_socket_of_the_tree_is_refused_outside_too(start, net):
    path = net.folder / f"take-{os.urandom(4).hex()}"
    watch = start.run(blocking(f"{API} any any"), PYTHON, "-c", f"""
import socket
server = socket.socket(socket.AF_UNIX); server.bind('{path}'); server.listen()
print("ready", flush=True)
c, _ = server.accept()
s = socket.socket()
socket.send_fds(c, [b"x"], [s.fileno()])
c.recv(1)
""")
    watch.stdout.wait(lambda line: line == "ready")
    taker = told_to_connect(start, f"c = socket.socket(socket.AF_UNIX); c.connect('{path}')\n"
                            "s = socket.socket(fileno=socket.recv_fds(c, 1, 1)[1][0])")
    assert taker.stdout.readline() == b"ready\n"
    assert taker.communicate(b"\n")[0] == b"EPERM\n"
    assert watch.wait() == 0, watch.text()
    assert blocked(watch) == [("TCP", OTHER, 7001)]


def test_a_process_that_the_tree_traces_is_refused_too(start):
    """It ends before its tracer does, who does not wait for it: the watch does not either."""
    victim = told_to_connect(start, "s = socket.socket()")
    assert victim.stdout.readline() == b"ready\n"
    watch = start.run(blocking(f"{API} any any"), PYTHON, "-c", f"""
import ctypes, sys
assert ctypes.CDLL(None).ptrace(0x4206, {victim.pid}, None, None) == 0
print("traced", flush=True)
sys.stdin.readline()
""", stdin=subprocess.PIPE)
    watch.stdout.wait(lambda line: line == "traced")
    victim.stdin.write(b"\n")
    victim.stdin.flush()
    assert victim.stdout.read() == b"EPERM\n"
    watch.process.stdin.close()
    assert watch.wait() == 0, watch.text()
    assert blocked(watch) == [("TCP", OTHER, 7001)]


def test_fast_open_and_mptcp(start):
    said, watch = outcomes(
        start, blocking(f"{API} 7001 TCP"),
        "outcome(lambda: socket.socket().sendto(b'x', socket.MSG_FASTOPEN, "
        f"('{OTHER}', 7001)))",
        f"outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(('{OTHER}', "
        "7001)))",
        f"outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(('{API}', "
        "7001)))")
    assert said == ["EPERM", "EPERM", "ok"]
    assert blocked(watch) == [("TCP", OTHER, 7001)] * 2


@pytest.mark.parametrize("mode", ["tcp", "udp"])
def test_io_uring(start, mode):
    watch = start.run(blocking(f"{API} any any"), actor("uring"), mode, OTHER,
                      "7001" if mode == "tcp" else "7005", "100")
    assert watch.wait() != 0
    assert "Operation not permitted" in watch.text()
    assert blocked(watch)


def test_loopback_inside_the_tree_and_out_of_it(start):
    listen = "(lambda l: (l.bind(('127.0.0.1', 0)), l.listen(), l)[2])(socket.socket())"
    outside = start.agent(PYTHON, "-c", "import socket, sys\ns = socket.socket()\n"
                          "s.bind(('127.0.0.1', 7999))\ns.listen()\nprint('ready', flush=True)\n"
                          "sys.stdin.read()")
    outside.stdout.readline()
    inside = f"(lambda l: tcp(*l.getsockname()))({listen})"
    said, _ = outcomes(start, blocking(f"{API} any any"), inside, "tcp('127.0.0.1', 7999)")
    assert said == ["ok", "EPERM"]
    said, _ = outcomes(start, blocking(f"{API} any any", extra="loopback: allow\n"), inside,
                       "tcp('127.0.0.1', 7999)")
    assert said == ["ok", "ok"]


def test_others_are_left_alone(start):
    """Who is outside the tree pays nothing and is refused nothing."""
    watch = start.run(blocking(f"{API} any any"), "cat", stdin=-1)
    watch.stderr.wait(lambda line: "watching" in line)
    other = start.agent(PYTHON, "-c", HEAD + f"print(tcp('{OTHER}', 7001), udp('{OTHER}', 7005), "
                        "outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)))")
    assert other.communicate()[0] == b"ok ok ok\n"
    watch.process.stdin.close()
    assert watch.wait() == 0


ROUNDS = 10_000 // SLOWER ** 2
ZONE = "wild.test"
# For the name nN.… the address 10.200.N/256.N%256, for a moment.
COUNTING_SERVER = f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("{SCRIPTED_RESOLVER}", 53))
print("ready", flush=True)
while True:
    q, who = s.recvfrom(512)
    n = int(q[14:13 + q[12]])
    s.sendto(q[:2] + b"\\x81\\x80" + q[4:6] + b"\\0\\1\\0\\0\\0\\0" + q[12:]
             + b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\0\\0\\4" + bytes([10, 200, n // 256, n % 256]), who)
"""


def test_a_listed_name_works_from_its_first_connect(start, fresh_net):
    """Nobody but the answer on its way to the agent can know: each name is asked for once, and the
    rule is a wildcard, so that own look-ups do not help."""
    net = fresh_net()
    sh("ip", "-n", net.outside, "route", "add", "local", "10.200.0.0/16", "dev", "lo")
    server = net.spawn_outside([PYTHON, "-c", COUNTING_SERVER], stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"ready\n"
    each = ROUNDS // 2
    script = "".join(f"taskset -c {i} {actor('asker')} {SCRIPTED_RESOLVER} {ZONE} 7 {each} "
                     f"{i * each} & p{i}=$!; " for i in range(2)) + "wait $p0 && wait $p1"
    watch = start.run(blocking(f"*.{ZONE} 7 TCP", resolvers=[SCRIPTED_RESOLVER]),
                      "bash", "-c", script, net=net)
    assert watch.wait(200) == 0, watch.text()
    assert watch.stdout.list == [f"refused 0 unanswered 0 reached {each}"] * 2
    assert not blocked(watch)
    assert len({r["remote"]["ip"] for r in watch.of("flow-open") if r["proto"] == "TCP"}) > each


def test_an_unlisted_name_permits_nothing(start):
    said, _ = outcomes(start, blocking("weather.service.com 443 TCP"),
                       "outcome(lambda: socket.getaddrinfo('weather.service.com', 443))",
                       "outcome(lambda: socket.getaddrinfo('sketchy-mirror.example.com', 443))",
                       "tcp('104.28.14.6', 443)",
                       "tcp('203.0.113.20', 443)", "tcp('203.0.113.20', 80)")
    assert said == ["ok", "ok", "EPERM", "ok", "EPERM"]


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forged_answer_permits_nothing_in_the_kernel(start, forged_resolver, kind):
    """As its kernel side reads it, before the engine has."""
    script = (f"ask(s)\nfor i in range(2): s.recv(4096)\n"
              f"for a in {FORGED!r}, {GENUINE!r}:\n"
              "    t = socket.socket()\n    t.settimeout(5)\n"
              "    print(t.connect_ex((a, 443)))\n")
    watch = start.run(POLICY + "mode: block\n", PYTHON, "-B", "-c", CLIENT + script,
                      **forged_resolver(FORGERIES[kind], GOOD))
    assert watch.wait() == 0, watch.text()
    # Nobody listens at the genuine one, but it was reached.
    assert watch.stdout.list == [str(errno.EPERM), str(errno.ECONNREFUSED)]


def test_a_rule_that_ends_permits_no_more(start):
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=4 * SLOWER)
    rules = blocking(f"{OTHER} 7001 TCP").replace(
        "purpose: test", f"purpose: test\n    expires: {end:%Y-%m-%dT%H:%M:%SZ}")
    script = HEAD + f"""
import select
print(tcp('{OTHER}', 7001), flush=True)
while tcp('{OTHER}', 7001) == 'ok': select.select([], [], [], 0.1)
print(tcp('{OTHER}', 7001))
"""
    watch = start.run(rules, PYTHON, "-c", script)
    assert watch.wait() == 0, watch.text()
    assert watch.stdout.list == ["ok", "EPERM"]
    assert "expired on" in watch.flow_alerts()[0]["Rule Matched"]


AFTER = HEAD + f"""
print("ready", flush=True)
sys.stdin.readline()
print(tcp('{API}', 7001), tcp('{OTHER}', 7001), udp('{OTHER}', 7005), udp('{OTHER}', 7006, True),
      udp('{API}', 7005), udp('{API}', 7005, True),
      outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
      (lambda l: (l.bind(("127.0.0.1", 0)), l.listen(), tcp(*l.getsockname())))(socket.socket())[2])
"""
CLOSED = ["ok EPERM EPERM EPERM ok ok EPERM ok"]
OPEN = ["ok ok ok ok ok ok ok ok"]


def monitor_of(watch):
    return next(int(p) for p in subprocess.run(
        ["pgrep", "-P", str(watch.pid)], capture_output=True, text=True, check=True).stdout.split()
        if Path(f"/proc/{p}/comm").read_text() == "linnet-monitor\n")


@pytest.mark.parametrize("extra, victims, said", [
    ("on_failure: closed\n", "monitor", CLOSED), ("on_failure: closed\n", "both", CLOSED),
    ("", "monitor", OPEN), ("", "both", OPEN),
    ("on_failure: closed\n", "orderly", OPEN)],
    ids=["closed-monitor", "closed-both", "open-monitor", "open-both", "closed-orderly"])
def test_what_holds_when_linnet_has_died(start, extra, victims, said):
    watch = start.run(blocking(f"{API} any any", extra=extra), PYTHON, "-c", AFTER,
                      stdin=subprocess.PIPE)
    watch.stdout.wait(lambda line: line == "ready")
    monitor = monitor_of(watch)
    fd = os.pidfd_open(monitor)
    if victims == "both":
        watch.process.kill()
        watch.process.wait()
    os.kill(monitor, signal.SIGTERM if victims == "orderly" else signal.SIGKILL)
    select.select([fd], [], [], DEADLINE_S)
    os.close(fd)
    watch.process.stdin.write(b"\n")
    watch.process.stdin.close()
    watch.stdout.wait_closed()
    assert watch.stdout.list[1:] == said
    if victims == "both":  # the next one sweeps
        assert start.run(blocking(f"{API} any any"), "true").wait() == 0
