# SPDX-License-Identifier: Apache-2.0
"""What flows say reaches the sensor: the first bytes of TCP connections, all of DNS over TCP, the
first packets of QUIC, DNS answers of strangers; whole, in the right place, and bounded."""
import json
import os
import subprocess

import pytest

from netlab import OTHER, OTHER6, RESOLVER, RESOLVER6, sh
from watch import actor

TAP, URING = actor("tap"), actor("uring")
FIRST_BYTES, TURNS, RECORDS, STRANGERS = 8192, 16, 4096, 8
CLIENT = """
import os, socket, struct, sys
def connect(ip, port, **options):
    s = socket.create_connection((ip, port), timeout=20)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s
def end(s):
    s.shutdown(socket.SHUT_WR)
    while s.recv(65536):
        pass
    s.close()
data = bytes.fromhex(sys.argv[2]) if len(sys.argv) > 2 else b''
"""


class Tapped:
    """What the sensor told of a command's bytes."""

    def __init__(self, net, *command, dns_port=None):
        tap = [TAP, *(["-d", str(dns_port)] if dns_port else []), *map(str, command)]
        done = subprocess.run(net.enter(list(map(str, tap))), capture_output=True, timeout=60,
                              check=False)
        self.said = done.stderr.decode(errors="replace")
        assert done.returncode == 0, self.said
        self.records = [json.loads(line) for line in done.stdout.splitlines()]
        for record in self.records:
            record["bytes"] = bytes.fromhex(record.get("hex", ""))

    def of(self, kind, **facts):
        return [r for r in self.records if r["kind"] == kind and facts.items() <= r.items()]

    def flows(self, remote=None):
        """Ids of the flows that were opened, in order."""
        return [r["flow"] for r in self.of("open") if remote is None or r["remote"] == remote]

    def stream(self, flow, inbound=False):
        """The bytes of one direction, put together; each byte that is told again is the same."""
        told = {}
        for r in self.of("bytes", flow=flow):
            if r["in"] != inbound:
                continue
            for at, byte in enumerate(r["bytes"], r["offset"]):
                assert told.setdefault(at, byte) == byte
        assert sorted(told) == list(range(len(told)))
        return bytes(told[at] for at in range(len(told)))


def python(net, script, *arguments, **options):
    return Tapped(net, "/usr/bin/python3", "-c", CLIENT + script, *arguments, **options)


def where(ip, port):
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


@pytest.mark.parametrize("ip", [OTHER, OTHER6])
def test_one_byte_writes(net, ip):
    data = os.urandom(600)
    told = python(net, f"s = connect('{ip}', 7001)\nfor b in data: s.send(bytes([b]))\nend(s)\n",
                  "", data.hex())
    flow, = told.flows()
    assert told.stream(flow) == data
    assert {r["remote"] for r in told.of("bytes")} == {where(ip, 7001)}
    assert not [r for r in told.of("bytes") if r["cut"] or r["in"]]


@pytest.mark.parametrize("ip", [OTHER, OTHER6])
def test_the_first_of_a_large_one(net, ip):
    data = os.urandom(40000)
    told = python(net, f"s = connect('{ip}', 7001)\ns.sendall(data)\nend(s)\n", "", data.hex())
    flow, = told.flows()
    assert told.stream(flow) == data[:FIRST_BYTES]
    assert len(told.of("bytes")) < 12
    assert not [r for r in told.of("bytes") if r["cut"]]


def test_ip_options(net):
    data = os.urandom(700)
    told = python(net, f"s = socket.socket()\n"
                  "s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([1] * 8))\n"
                  f"s.connect(('{OTHER}', 7001))\ns.sendall(data)\nend(s)\n", "", data.hex())
    flow, = told.flows()
    assert told.stream(flow) == data


@pytest.mark.parametrize("ip", [OTHER, OTHER6])
def test_fast_open(net, ip):
    """Of two connections the second has the cookie: its SYN carries the data."""
    data = os.urandom(900)
    family = "AF_INET6" if ":" in ip else "AF_INET"
    told = python(net, "for n in range(2):\n"
                  f"    s = socket.socket(socket.{family})\n"
                  f"    s.sendto(data[:400], socket.MSG_FASTOPEN, ('{ip}', 7001))\n"
                  "    s.sendall(data[400:])\n"
                  "    end(s) if n == 0 else None\n"
                  "info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 16)\n"
                  "end(s)\n"
                  "assert info[5] & 32, 'no data in the SYN'\n", "", data.hex())
    assert [told.stream(flow) for flow in told.flows()] == [data, data]


@pytest.mark.parametrize("mode", ["tcp", "tcp-sqpoll"])
def test_uring(net, mode):
    told = Tapped(net, URING, mode, OTHER, "7001", 5000)
    flow, = told.flows()
    assert told.stream(flow) == bytes(5000)


def test_sendfile(net, tmp_path):
    data = os.urandom(20000)
    path = tmp_path / "data"
    path.write_bytes(data)
    told = python(net, f"s = connect('{OTHER}', 7001)\n"
                  f"f = os.open('{path}', os.O_RDONLY)\n"
                  "at = 0\n"
                  "while at < 20000: at += os.sendfile(s.fileno(), f, at, 20000 - at)\n"
                  "end(s)\n")
    flow, = told.flows()
    assert told.stream(flow) == data[:FIRST_BYTES]


def test_a_segment_that_is_lost(fresh_net):
    """It is sent once more, and told once more."""
    net = fresh_net()
    net.serve({"kind": "tcp-sink", "ip": OTHER, "port": 7001})
    sh("nsenter", f"--net=/run/netns/{net.outside}", "nft", "-f", "-", text_in=(
        "table inet drops {\nchain c {\ntype filter hook input priority 0;\n"
        "tcp dport 7001 meta length > 200 limit rate 1/hour burst 1 packets drop\n}\n}\n"))
    data = os.urandom(1500)
    told = python(net, f"s = connect('{OTHER}', 7001)\n"
                  "for at in range(0, 1500, 500): s.send(data[at:at + 500])\nend(s)\n", "",
                  data.hex())
    flow, = told.flows()
    assert told.stream(flow) == data
    assert [r["offset"] for r in told.of("bytes")].count(0) > 1


def test_what_is_torn_to_pieces_is_bounded(net):
    told = python(net, f"s = connect('{OTHER}', 7001)\n"
                  f"for n in range({RECORDS + 50}): s.send(b'x', socket.MSG_EOR)\n"
                  "end(s)\n")
    flow, = told.flows()
    pieces = told.of("bytes", flow=flow)
    assert pieces[-1]["cut"] and not pieces[-1]["bytes"]
    assert not [r for r in pieces[:-1] if r["cut"]]
    assert len(pieces) == RECORDS + 1 and not told.stream(flow).strip(b"x")
    assert sum(r["count"] for r in told.of("lost")) == 1


def test_a_conversation_has_no_first_bytes_any_more(net):
    told = python(net, f"s = connect('{OTHER}', 7002)\n"
                  "for n in range(200):\n    s.send(b'x')\n    s.recv(1)\nend(s)\n")
    flow, = told.flows()
    assert len(told.of("bytes", flow=flow)) == TURNS + 1
    assert not told.of("lost")


def test_what_is_out_of_band_ends_it(net):
    told = python(net, f"s = connect('{OTHER}', 7001)\ns.send(b'GET ')\n"
                  "s.send(b'X', socket.MSG_OOB)\ns.send(b'/ HTTP/1.1')\nend(s)\n")
    flow, = told.flows()
    pieces = told.of("bytes", flow=flow)
    assert pieces[-1]["cut"]
    assert told.stream(flow).startswith(b"GET ") and b"HTTP" not in told.stream(flow)


def test_one_socket_two_connections(net):
    told = python(net, f"s = connect('{OTHER}', 7001)\ns.send(b'first')\n"
                  "libc = __import__('ctypes').CDLL(None)\n"
                  "assert libc.connect(s.fileno(), bytes(16), 16) == 0\n"
                  f"s.connect(('{OTHER}', 7001))\ns.send(b'second one')\nend(s)\n")
    assert [told.stream(flow) for flow in told.flows()] == [b"first", b"second one"]


def test_inside_the_tree_nothing_is_told(net):
    told = python(net, "l = socket.create_server(('127.0.0.1', 0))\n"
                  "s = connect(*l.getsockname())\nc, _ = l.accept()\n"
                  "s.send(b'hello')\nc.recv(5)\nc.send(b'back')\ns.recv(4)\n")
    assert told.flows() and not told.of("bytes")


def messages(stream):
    """The DNS messages of a stream."""
    while stream:
        length = int.from_bytes(stream[:2], "big")
        assert len(stream) >= 2 + length
        yield stream[2:2 + length]
        stream = stream[2 + length:]


@pytest.mark.parametrize("resolver", [RESOLVER, RESOLVER6])
def test_dns_over_tcp(net, resolver):
    told = Tapped(net, "dig", "+tcp", "+short", "+timeout=5", f"@{resolver}",
                  "other.example.org", "A")
    flow, = told.flows(where(resolver, 53))
    question, = messages(told.stream(flow))
    answer, = messages(told.stream(flow, inbound=True))
    assert b"\5other\7example\3org\0" in question
    assert question[:2] == answer[:2] and answer[2] & 0x80
    assert bytes(map(int, OTHER.split("."))) in answer
    order = [r["in"] for r in told.of("bytes", flow=flow)]
    assert order == sorted(order)


QUESTIONS = """
def question(n, name):
    body = struct.pack('!HHHHHH', n, 0x100, 1, 0, 0, 0) + b''.join(
        bytes([len(p)]) + p.encode() for p in name.split('.')) + b'\\0\\0\\1\\0\\1'
    return struct.pack('!H', len(body)) + body
"""


@pytest.mark.parametrize("how", ["pipelined", "torn"])
def test_many_questions_on_one_connection(net, how):
    """Dnsmasq takes a hundred. All that came is told."""
    send = ("s.sendall(all_)" if how == "pipelined" else
            "[s.send(all_[n:n + 1]) for n in range(len(all_))]")
    told = python(net, QUESTIONS + f"s = connect('{RESOLVER}', 53)\n"
                  "all_ = b''.join(question(n, 'weather.service.com') for n in range(90))\n"
                  f"{send}\n"
                  "came = b''\n"
                  "while len(came) < 90 * 55: came += s.recv(65536)\n"
                  "print(all_.hex(), came.hex(), file=sys.stderr)\n")
    sent, came = map(bytes.fromhex, told.said.split())
    flow, = told.flows()
    assert told.stream(flow) == sent
    assert told.stream(flow, inbound=True) == came
    assert len(list(messages(came))) == 90
    assert not told.of("lost")


def test_a_dns_port_of_the_policy(net):
    """The echo server's port is one: told both ways, to the last byte."""
    data = os.urandom(30000)
    told = python(net, f"s = connect('{OTHER}', 7002)\ns.sendall(data)\n"
                  "n = 0\nwhile n < len(data): n += len(s.recv(65536))\n", "", data.hex(),
                  dns_port=7002)
    flow, = told.flows()
    assert told.stream(flow) == told.stream(flow, inbound=True) == data


def test_too_much_dns_is_cut(net):
    told = python(net, f"s = connect('{OTHER}', 7001)\ns.sendall(bytes(3 << 20))\nend(s)\n",
                  dns_port=7001)
    flow, = told.flows()
    out = told.of("bytes", flow=flow, **{"in": False})
    assert out[-1]["cut"] and sum(len(r["bytes"]) for r in out) <= 1 << 20
    assert "what a flow says was too much or could not be read" in {
        r["reason"] for r in told.of("lost")}


INITIAL = "b'\\xc3\\0\\0\\0\\1'"


def test_quic(net):
    """Initials, not other packets; four, and a word that there were more."""
    told = python(net, f"""
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(('{OTHER}', 7005))
for n in range(3): s.send(b'\\x43 a short header' + bytes([n]))
s.send(b'\\xc3\\0\\0\\0\\0 negotiates')
s.send(b'\\xe3\\0\\0\\0\\1 a handshake')
s.send(b'\\xd3\\x6b\\x33\\x43\\xcf version 2')
for n in range(6): s.send({INITIAL} + os.urandom(1200))
""")
    flow, = told.flows()
    pieces = told.of("bytes", flow=flow)
    assert [(r["offset"], r["cut"], len(r["bytes"])) for r in pieces] == [
        (0, False, 15), (1, False, 1205), (2, False, 1205), (3, False, 1205), (3, True, 0)]
    assert pieces[0]["bytes"].endswith(b"version 2")


@pytest.mark.parametrize("ip", [OTHER, OTHER6])
def test_quic_in_one_large_datagram(net, ip):
    """Cut by the kernel only later (UDP_SEGMENT)."""
    told = python(net, f"""
s = socket.socket(socket.AF_INET6 if ':' in '{ip}' else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(17, 103, 1200)
s.sendto(({INITIAL} + bytes(1195)) * 2 + b'x' * 100, ('{ip}', 7005))
""")
    flow, = told.flows()
    assert [(r["offset"], len(r["bytes"])) for r in told.of("bytes", flow=flow)] == [
        (0, 1200), (1, 1200), (2, 100)]


FORGER = QUESTIONS + f"""
def forge(times, ask):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('0.0.0.0', 0))
    if ask:
        s.sendto(question(7, 'weather.service.com')[2:], ('{RESOLVER}', 53))
        s.recv(512)
    else:
        s.sendto(b'hello', ('{OTHER}', 7005))
    f = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    f.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    f.bind(('127.0.0.1', 53))
    for n in range(times):
        f.sendto(b'forged', ('127.0.0.1', s.getsockname()[1]))
        s.recv(512)
"""


def test_answers_of_strangers(net):
    told = python(net, FORGER + "forge(20, True)\n")
    strange = told.of("dns", stranger=True)
    assert len(strange) == STRANGERS
    assert all(r["answer"] and r["remote"] == "127.0.0.1:53" and r["bytes"] == b"forged"
               for r in strange)
    lost = told.of("lost")  # in as many parts as the sensor looked
    assert {r["reason"] for r in lost} == {"DNS answers that nobody asked for: too many"}
    assert sum(r["count"] for r in lost) == 20 - STRANGERS
    assert [r["remote"] for r in told.of("dns", answer=True, stranger=False)] == [
        f"{RESOLVER}:53"]


def test_who_has_not_asked_has_no_strangers(net):
    told = python(net, FORGER + "forge(3, False)\n")
    assert not told.of("dns", stranger=True) and not told.of("lost")


def test_dns_servers_of_the_tree(net):
    told = python(net, """
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(('127.0.0.1', 53))
t = socket.create_server(('127.0.0.1', 53))
m = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
m.bind(('::1', 53))
""")
    assert [(r["local"], r["proto"]) for r in told.of("listen")] == [
        ("127.0.0.1:53", 17), ("127.0.0.1:53", 6), ("[::1]:53", 17)]


def test_a_dns_port_that_the_kernel_chose(net):
    told = Tapped(net, "unshare", "-n", "sh", "-c",
                  "ip link set lo up; echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start; "
                  "echo 53 53 >/proc/sys/net/ipv4/ip_local_port_range; "
                  "exec python3 -c \"import socket\n"
                  "u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                  "u.bind(('127.0.0.1', 0))\n"
                  "assert u.getsockname()[1] == 53\"")
    assert [r["local"] for r in told.of("listen")] == ["127.0.0.1:53"]
