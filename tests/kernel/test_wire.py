# SPDX-License-Identifier: Apache-2.0
"""Where packets really go, when that is elsewhere than the application said; and that nothing else
ever looks so."""
import json
import subprocess

import pytest

from netlab import AGENT4, API, API6, GATEWAY4, OTHER, OTHER6, sh
from policies import policy

PYTHON = "/usr/bin/python3"
IMPORTS = "import socket, struct, os, threading\n"
API_ONLY = policy(f"{API} any any", f"{API6} any any")
ROUTE4 = (f"s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([1, 131, 7, 4]) + "
          f"socket.inet_aton('{OTHER}'))\n")
ROUTE6 = ("s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RTHDR, bytes([0, 4, 4, 1, 1, 0, 0, 0]) + "
          f"bytes(16) + socket.inet_pton(socket.AF_INET6, '{OTHER6}'))\n")


def python(start, script, **options):
    return start.run(API_ONLY, PYTHON, "-c", IMPORTS + script, **options)


def went(watch):
    return [(r["named"]["ip"], r["named"]["port"], r["remote"]["ip"], r["remote"]["port"], r["way"])
            for r in watch.of("wire")]


def named(watch):
    return [(r["remote"]["ip"], r["remote"]["port"]) for r in watch.flows()]


@pytest.mark.parametrize("family, route, to, hop", [
    ("AF_INET", ROUTE4, API, OTHER), ("AF_INET6", ROUTE6, API6, OTHER6)], ids=["v4", "v6"])
def test_tcp_syn_with_a_route_of_its_own(start, family, route, to, hop):
    watch = python(start, f"s = socket.socket(socket.{family})\n{route}"
                          f"s.setblocking(False)\ns.connect_ex(('{to}', 7001))\n")
    assert watch.wait() == 0, watch.text()
    assert named(watch) == [(to, 7001)]
    assert went(watch) == [(to, 7001, hop, 7001, "routed")]
    assert watch.of("wire")[0]["verdict"] == "unexpected"
    # As root the kernel asks for CAP_NET_RAW before it takes IPv4 options.
    assert [a.title for a in watch.alerts.list if a.title != "PRIVILEGE USED"] == [
        "DESTINATION CHANGED"]


def test_tcp_that_leaves_its_way_when_it_is_established(start):
    """The route is set on a connection that stands: from then on its bytes go to the first hop."""
    watch = python(start, f"s = socket.create_connection(('{API6}', 7001))\n{ROUTE6}"
                          "s.send(b'secret')\n")
    assert watch.wait() == 0, watch.text()
    assert went(watch) == [(API6, 7001, OTHER6, 7001, "routed")]


RECORD_ROUTE = "s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([7, 7, 4, 0, 0, 0, 0, 0]))\n"


@pytest.mark.parametrize("kind, port", [("", 7001), ("socket.AF_INET, socket.SOCK_DGRAM", 7005)])
def test_options_that_change_no_way_are_nothing(start, kind, port):
    watch = python(start, f"s = socket.socket({kind})\n{RECORD_ROUTE}s.connect(('{API}', {port}))\n"
                          "s.send(b'x')\n")
    assert watch.wait() == 0, watch.text()
    assert named(watch) == [(API, port)] and went(watch) == []


@pytest.fixture
def nat(fresh_net):
    """A net whose agent's packets to API go to OTHER, port 7001 and 7005 to 7002 and 7006."""
    lab = fresh_net()
    lab.said = lab.serve(
        *({"kind": "tcp-sink", "ip": OTHER, "port": port} for port in (7001, 7002)),
        {"kind": "udp-echo", "ip": OTHER, "port": 7006})
    sh("nsenter", f"--net=/run/netns/{lab.name}", "nft", "-f", "-", text_in=(
        "table ip t {\nchain c {\ntype nat hook output priority -100\n"
        f"ip daddr {API} tcp dport 7001 dnat to {OTHER}:7002\n"
        f"ip daddr {API} udp dport 7005 dnat to {OTHER}:7006\n"
        "}\n}\n"))
    return lab


@pytest.mark.parametrize("script, port, to", [
    ("s = socket.create_connection(('{0}', 7001)); s.send(b'x' * 10)", 7001, 7002),
    ("s = socket.socket(2, 2); s.connect(('{0}', 7005))\n"
     "for i in range(3): s.send(b'x'); s.recv(9)", 7005, 7006),
    ("s = socket.socket(2, 2)\nfor i in range(3): s.sendto(b'x', ('{0}', 7005)); s.recv(9)",
     7005, 7006)], ids=["tcp", "connected udp", "sendto"])
def test_packets_that_nat_sends_elsewhere(start, nat, script, port, to):
    """One flow, under the name that the agent gave; both addresses are judged."""
    watch = python(start, script.format(API), net=nat)
    assert watch.wait() == 0, watch.text()
    assert named(watch) == [(API, port)]
    assert went(watch) == [(API, port, OTHER, to, "changed")]
    assert [a.title for a in watch.alerts.list] == ["DESTINATION CHANGED"]
    closed, = watch.flows("flow-close")
    if port == 7005:
        assert (closed["tx_packets"], closed["rx_packets"]) == (3, 3)


QUIET = """
def send(n):
    for i in range(300):
        s.sendto(b'x', ('{api}', 8000 + (i * n) % 40))
threads = [threading.Thread(target=send, args=(n,)) for n in range(1, 5)]
for t in threads: t.start()
for t in threads: t.join()
s.connect(('{api}', 8050)); s.send(b'x'); s.sendto(b'x', ('{api}', 8051)); s.send(b'x')
for i in range(9): s.sendto(b'x', ('{api}', 8060 + i))
s.send(b'x'); s.send(b'x', socket.MSG_MORE); s.connect(('{api}', 8052)); s.send(b'x'); s.send(b'x')
"""


@pytest.mark.parametrize("family, api", [("2", API), ("10", API6)])
def test_many_destinations_on_one_socket_are_no_difference(start, family, api):
    """Threads, evicted slots, corked datagrams, sends beside the connected address."""
    watch = python(start, f"s = socket.socket({family}, 2)\n" + QUIET.format(api=api))
    assert watch.wait() == 0, watch.text()
    assert went(watch) == []
    assert watch.alerts.list == []


@pytest.mark.parametrize("script", [
    "s = socket.create_server(('127.0.0.1', 7301)); socket.socket().connect(('0.0.0.0', 7301))",
    "s = socket.create_server(('::1', 7301), family=10); socket.socket(10).connect(('::', 7301))",
    f"s = socket.create_server(('{AGENT4}', 7301)); c = socket.socket(); c.bind(('{AGENT4}', 0))\n"
    "c.connect(('0.0.0.0', 7301))",
    f"s = socket.create_server(('127.0.0.1', 7301)); c = socket.socket(10)\n"
    f"c.bind(('::ffff:{AGENT4}', 0)); c.connect(('::', 7301))",
    "s = socket.socket(2, 2); s.sendto(b'x', ('0.0.0.0', 7301))",
    f"s = socket.socket(2, 2); s.setsockopt(1, 25, b'eth0'); s.sendto(b'x', ('0.0.0.0', 7301))",
    f"s = socket.socket(10); s.connect(('::ffff:{API}', 7001)); s.send(b'x')",
    f"s = socket.socket(10, 2); s.sendto(b'x', ('::ffff:{API}', 7005))"])
def test_other_names_of_an_address_are_no_difference(start, script):
    watch = python(start, script)
    assert watch.wait() == 0, watch.text()
    assert went(watch) == []


SERVER = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('0.0.0.0', 7009)); s.listen(); print('ready', flush=True)
c, _ = s.accept()
while more := c.recv(99): c.send(more)
"""


def joins(lab):
    """How many further paths somebody asked the far side for."""
    names, values = (line.split()[1:] for line in sh(
        "nsenter", f"--net=/run/netns/{lab.outside}", "cat", "/proc/net/netstat").splitlines()
        if line.startswith("MPTcpExt:"))
    return int(dict(zip(names, values))["MPJoinSynRx"])


@pytest.mark.parametrize("blocks", [False, True], ids=["monitor", "block"])
def test_a_further_path_of_mptcp(start, fresh_net, blocks):
    """To an address that the peer announces: connected by a worker of the kernel."""
    lab = fresh_net()
    sh("ip", "-n", lab.outside, "mptcp", "limits", "set", "subflows", "4", "add_addr_accepted", "4")
    sh("ip", "-n", lab.name, "mptcp", "limits", "set", "subflows", "4", "add_addr_accepted", "4")
    sh("ip", "-n", lab.outside, "mptcp", "endpoint", "add", GATEWAY4, "signal")
    server = lab.spawn_outside([PYTHON, "-c", SERVER], stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"ready\n"
    watch = python(start, f"s = socket.socket(2, 1, 262); s.connect(('{API}', 7009))\n"
                          "s.send(b'x'); s.recv(9); input(); s.send(b'y'); print(s.recv(9))\n",
                   net=lab, stdin=subprocess.PIPE, options=["--mode=block"] if blocks else [])
    record = watch.wait_record(type="wire")
    alert = watch.wait_alert(lambda a: a.title == "DESTINATION CHANGED")
    watch.process.stdin.write(b"\n")
    watch.process.stdin.close()
    assert watch.wait() == 0, watch.text()
    assert watch.stdout.list == ["b'y'"]  # the first path goes on
    assert (record["named"]["ip"], record["remote"]["ip"], record["remote"]["port"],
            record["way"]) == (API, GATEWAY4, 7009, "subflow"), json.dumps(record)
    assert record["verdict"] == "unexpected"
    assert alert["Action"] == ("BLOCKED" if blocks else "LOGGED (Block policy not enabled)")
    assert (joins(lab) == 0) == blocks
    assert record["id"] == watch.flows()[0]["id"] and len(watch.flows()) == 1
