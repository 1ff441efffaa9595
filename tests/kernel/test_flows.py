# SPDX-License-Identifier: Apache-2.0
"""Every way to make a flow is seen once, with its owner, real destination, protocol, bytes and
outcome; the bytes are what the receiver counted."""
import os

import pytest

from netlab import API, BLACKHOLE, OTHER, OTHER6, UNREACHABLE
from policies import WEATHER_ONLY, policy
from watch import actor

FLOW, URING = actor("flow"), actor("uring")


def one_flow(watch, ip, port, proto):
    """The only flow of this run, opened and closed once, alerted once; returns its close record."""
    assert watch.wait() == 0, watch.text()
    opened, closed = watch.flows(), watch.flows("flow-close")
    assert [(r["remote"], r["proto"]) for r in opened] == [({"ip": ip, "port": port}, proto)]
    assert [r["id"] for r in closed] == [opened[0]["id"]]
    assert opened[0]["verdict"] == "unexpected"
    alerts = watch.flow_alerts()
    assert len(alerts) == 1
    alerts[0].assert_contract()
    where = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
    assert alerts[0]["Destination"] == f"{where} (resolved: unknown)"
    assert alerts[0]["PID"] == str(opened[0]["pid"])
    exited = watch.of("process", event="exit", pid=opened[0]["pid"])
    assert len(exited) == 1
    return closed[0]


@pytest.mark.parametrize("actor_name, mode, ip", [
    (FLOW, "tcp", OTHER), (FLOW, "tcp", OTHER6), (FLOW, "tcp-mapped", OTHER),
    (FLOW, "mptcp", OTHER), (FLOW, "mptcp", OTHER6), (FLOW, "fastopen", OTHER),
    (FLOW, "fastopen", OTHER6), (FLOW, "fastopen-connect", OTHER),
    (URING, "tcp", OTHER), (URING, "tcp", OTHER6), (URING, "tcp-sqpoll", OTHER)])
def test_tcp(start, net, actor_name, mode, ip):
    n = 1000 + int.from_bytes(os.urandom(2), "big")
    watch = start.run(WEATHER_ONLY, actor_name, mode, ip, "7001", n)
    closed = one_flow(watch, ip, 7001, "TCP")
    served = net.said.wait(event="close", ip=ip, port=7001, rx=n)
    assert closed["tx_bytes"] == served["rx"] == n
    assert closed["rx_bytes"] == served["tx"]
    assert closed["outcome"] == "connected"
    assert closed["duration_ms"] > 0
    assert closed["tx_packets"] >= 2 and closed["rx_packets"] >= 1
    assert closed["local"]["port"] == served["peer_port"]
    assert closed["mptcp"] == (mode == "mptcp")


def test_tcp_large_transfer_both_ways(start, net):
    n = 8 << 20
    watch = start.run(WEATHER_ONLY, "/usr/bin/python3", "-c",
                      "import socket, threading\n"
                      f"c = socket.create_connection(('{OTHER}', 7002))\n"
                      f"t = threading.Thread(target=lambda: (c.sendall(bytes({n})), "
                      "c.shutdown(socket.SHUT_WR)))\n"
                      "t.start()\n"
                      "n = 0\n"
                      "while more := c.recv(1 << 20): n += len(more)\n"
                      "print(n)\n")
    closed = one_flow(watch, OTHER, 7002, "TCP")
    assert watch.stdout.list == [str(n)]
    assert (closed["tx_bytes"], closed["rx_bytes"]) == (n, n)


@pytest.mark.parametrize("actor_name, mode, ip", [
    (FLOW, "udp-connected", OTHER), (FLOW, "udp-connected", OTHER6), (FLOW, "udp-sendto", OTHER),
    (FLOW, "udp-sendto", OTHER6), (FLOW, "udp-mapped", OTHER), (FLOW, "udp-sendmsg", OTHER),
    (FLOW, "udp-sendmsg", OTHER6), (FLOW, "udp-sendmmsg", OTHER), (FLOW, "udp-sendmmsg", OTHER6),
    (URING, "udp", OTHER)])
def test_udp(start, net, actor_name, mode, ip):
    before = len(net.said.all())
    watch = start.run(WEATHER_ONLY, actor_name, mode, ip, "7005", 7)
    closed = one_flow(watch, ip, 7005, "UDP")
    net.said.lines.wait(lambda _: sum(
        e["event"] == "datagram" and e["ip"] == ip and e["port"] == 7005
        for e in net.said.all()[before:]) == 7)
    assert (closed["tx_bytes"], closed["tx_packets"]) == (700, 7)
    assert (closed["rx_bytes"], closed["rx_packets"]) == (0, 0)


@pytest.mark.parametrize("ip", [OTHER, OTHER6])
def test_udp_answers_are_counted(start, ip):
    closed = one_flow(start.run(WEATHER_ONLY, FLOW, "udp-echo", ip, "7006", 5), ip, 7006, "UDP")
    assert (closed["tx_bytes"], closed["rx_bytes"]) == (500, 500)
    assert (closed["tx_packets"], closed["rx_packets"]) == (5, 5)


def test_udp_elsewhere_is_told_where_it_went(start):
    """Connected to one place and sent to another: only where a datagram went is a flow."""
    watch = start.run(WEATHER_ONLY, FLOW, "udp-elsewhere", OTHER, "7005", 1, API, "7005")
    one_flow(watch, API, 7005, "UDP")


def test_sendmmsg_to_two_places_is_two_flows(start):
    watch = start.run(WEATHER_ONLY, FLOW, "udp-sendmmsg", OTHER, "7005", 6, API, "7005")
    assert watch.wait() == 0, watch.text()
    assert sorted((r["remote"]["ip"], r["tx_packets"]) for r in watch.flows("flow-close")) == [
        (API, 3), (OTHER, 3)]
    assert len(watch.flow_alerts()) == 2


def test_one_socket_two_connections(start):
    watch = start.run(WEATHER_ONLY, FLOW, "reconnect", OTHER, "7001", 100, API, "7001")
    assert watch.wait() == 0, watch.text()
    assert [r["remote"]["ip"] for r in watch.flows()] == [OTHER, API]
    assert [(r["remote"]["ip"], r["tx_bytes"]) for r in watch.flows("flow-close")] == [
        (OTHER, 0), (API, 100)]


PYTHON_CONNECT = """
import socket
s = socket.socket(socket.AF_INET{six})
try:
    s.connect(({ip!r}, {port}))
    s.sendall(b'x' * 10)
    s.recv(10)
except OSError as e:
    print(type(e).__name__)
"""


@pytest.mark.parametrize("ip, port, outcome", [
    (OTHER, 7999, "refused"), (OTHER6, 7999, "refused"), (BLACKHOLE, 443, "timed-out"),
    (UNREACHABLE, 443, "unreachable"), (OTHER, 7003, "reset")])
def test_outcomes(start, ip, port, outcome):
    watch = start.run(WEATHER_ONLY, "/usr/bin/python3", "-c",
                      PYTHON_CONNECT.format(six="6" if ":" in ip else "", ip=ip, port=port))
    closed = one_flow(watch, ip, port, "TCP")
    assert closed["outcome"] == outcome
    assert closed["tx_bytes"] == (10 if outcome == "reset" else 0)


def test_given_up_before_it_was_established(start):
    watch = start.run(WEATHER_ONLY, "/usr/bin/python3", "-c",
                      "import socket\ns = socket.socket()\ns.setblocking(False)\n"
                      f"s.connect_ex(('{BLACKHOLE}', 443))\ns.close()\n")
    assert one_flow(watch, BLACKHOLE, 443, "TCP")["outcome"] == "aborted"


def test_killed_in_the_middle(start, net):
    """kill -9: what was sent until then is counted."""
    watch = start.run(WEATHER_ONLY, "/usr/bin/python3", "-c",
                      f"import socket, os\nc = socket.create_connection(('{OTHER}', 7002))\n"
                      "c.sendall(b'x' * 5000)\nn = 0\n"
                      "while n < 5000: n += len(c.recv(5000))\n"
                      "os.kill(os.getpid(), 9)\n")
    assert watch.wait() == 137
    closed = watch.flows("flow-close")[0]
    assert (closed["tx_bytes"], closed["rx_bytes"]) == (5000, 5000)


def test_shared_socket_is_one_flow(start):
    """A socket that a child inherits and uses is still one flow, of the one that opened it."""
    watch = start.run(WEATHER_ONLY, "/usr/bin/python3", "-c",
                      f"import socket, os\nc = socket.create_connection(('{OTHER}', 7001))\n"
                      "c.sendall(b'x' * 100)\n"
                      "if os.fork() == 0:\n    c.sendall(b'y' * 50)\n    os._exit(0)\n"
                      "os.wait()\nc.shutdown(socket.SHUT_WR)\nc.recv(100)\n")
    assert one_flow(watch, OTHER, 7001, "TCP")["tx_bytes"] == 150


def test_repeats_are_counted_not_flooded(start):
    watch = start.run(WEATHER_ONLY, "/usr/bin/python3", "-c",
                      "import socket\nfor i in range(50):\n"
                      f"    socket.create_connection(('{OTHER}', 7001)).close()\n")
    assert watch.wait() == 0, watch.text()
    assert len(watch.flow_alerts()) == 1
    assert len(watch.flows()) == 50
    repeats = [a for a in watch.alerts.list if a.title.startswith("REPEATED")]
    assert [a.title.split(":")[0] for a in repeats] == ["REPEATED 49 times"]
    assert sum(r["count"] for r in watch.of("repeats")) == 49
    summary = watch.of("summary")[0]
    assert summary["flows"] == 50 and summary["destinations"] == 1 and summary["lost"] == 0


def test_near_miss_is_explained(start):
    watch = start.run(policy(f"{OTHER} 443 TCP"), FLOW, "tcp", OTHER, "7001", 10)
    assert watch.wait() == 0
    assert watch.flow_alerts()[0]["Hint"] == (
        f"{OTHER} is expected on 443/TCP, this is 7001/TCP")


def test_many_sockets_at_once_lose_nothing(start):
    n = 400
    watch = start.run(WEATHER_ONLY, "/usr/bin/python3", "-c",
                      "import socket\n"
                      f"held = [socket.create_connection(('{OTHER}', 7002)) for _ in range({n})]\n"
                      "for s in held: s.sendall(b'0123456789')\n"
                      "for s in held: assert len(s.recv(10, socket.MSG_WAITALL)) == 10\n"
                      "for s in held: s.close()\n")
    assert watch.wait(60) == 0, watch.text()
    closed = watch.flows("flow-close")
    assert len(closed) == len({r["id"] for r in closed}) == n
    assert {(r["tx_bytes"], r["rx_bytes"]) for r in closed} == {(10, 10)}
    assert watch.of("lost") == []
