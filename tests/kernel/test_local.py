# SPDX-License-Identifier: Apache-2.0
"""What does not leave the machine by itself: UNIX sockets, loopback, listeners, and who comes in.
The other process has its right name, and what stays in the tree is told from what does not."""
import os
import subprocess

import pytest

from netlab import AGENT4, AGENT6
from policies import WEATHER_ONLY

PYTHON = "/usr/bin/python3"
HEAD = "import os, socket, sys\nU, S, D = socket.AF_UNIX, socket.SOCK_STREAM, socket.SOCK_DGRAM\n"


@pytest.fixture
def outside(start):
    """A process outside every tree that runs a script, says a line, and lives until the test ends."""
    def run(script, **options):
        process = start.agent(PYTHON, "-uc", HEAD + script, **options)
        process.said = process.stdout.readline().decode().strip()
        assert process.said
        return process
    return run


def run(start, script, **options):
    return start.run(WEATHER_ONLY, PYTHON, "-uc", HEAD + script, **options)


def ended(watch):
    assert watch.wait() == 0, watch.text()
    assert watch.of("lost") == []
    return watch


def unix_told(watch):
    return [(r["path"], r["abstract"], r["socket_type"], r["other"] and r["other"]["pid"],
             r["same_tree"]) for r in watch.of("channel", channel="unix-socket")]


UNIX_SERVER = """
s = socket.socket(U, {kind}); s.bind({name})
if {kind} == S: s.listen()
print('ready'); sys.stdin.read()
"""


@pytest.mark.parametrize("kind, how", [("S", "connect"), ("D", "connect"), ("D", "sendto")])
@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_unix_socket_of_an_outsider(start, net, outside, kind, abstract, how):
    """Short-lived: the socket is closed at once, and its other side is known all the same."""
    name = f"{net.folder}/{kind}{how}" if not abstract else f"linnet\0{net.name}{kind}{how}"
    given = "\0" + name if abstract else name
    helper = outside(UNIX_SERVER.format(kind=kind, name=repr(given)))
    watch = run(start, f"s = socket.socket(U, {kind})\n" + (
        f"s.connect({given!r}); s.send(b'x'); s.close()\n" if how == "connect" else
        f"s.sendto(b'x', {given!r}); s.close()\n"))
    ended(watch)
    told = watch.of("channel", channel="unix-socket")
    assert unix_told(watch) == [(name, abstract, "SOCK_STREAM" if kind == "S" else "SOCK_DGRAM",
                                 helper.pid, False)]
    assert told[0]["other"]["comm"] == "python3" and told[0]["how"] == "task"
    assert told[0]["args"][0] == PYTHON


def test_unix_path_is_told_as_it_was_given(start, net, outside):
    """Relative, and in a root of its own."""
    helper = outside(UNIX_SERVER.format(kind="S", name=repr(f"{net.folder}/given")))
    watch = run(start, f"os.chdir({str(net.folder)!r})\n"
                       "socket.socket(U, S).connect('given')\n"
                       f"os.chroot({str(net.folder)!r})\n"
                       "socket.socket(U, S).connect('/given')\n")
    ended(watch)
    assert unix_told(watch) == [("given", False, "SOCK_STREAM", helper.pid, False),
                                ("/given", False, "SOCK_STREAM", helper.pid, False)]


def test_unix_longest_names(start, outside):
    """sun_path has 108 bytes; Python wants one for the end of a path."""
    path, name = "/tmp/".ljust(107, "x"), "\0".ljust(108, "y")
    outside(UNIX_SERVER.format(kind="S", name=repr(name)))
    watch = run(start, f"socket.socket(U, S).connect({name!r})\n"
                       f"print(socket.socket(U, S).connect_ex({path!r}))\n")
    ended(watch)
    assert [r["path"] for r in watch.of("channel", channel="unix-socket")] == [name[1:], path]


def test_unix_connect_that_fails_is_told(start, net):
    watch = run(start, f"print(socket.socket(U, S).connect_ex('{net.folder}/nobody'))\n")
    ended(watch)
    assert unix_told(watch) == [(f"{net.folder}/nobody", False, "SOCK_STREAM", None, False)]


IN_TREE = """
l = socket.socket(U, {kind}); l.bind({name})
if {kind} == S: l.listen()
c = socket.socket(U, {kind}); c.connect({name}); c.send(b'x')
print('sent'); sys.stdin.readline()
"""


@pytest.mark.parametrize("kind", ["S", "D"])
@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_unix_socket_in_the_tree(start, net, kind, abstract):
    name = f"\0{net.name}-in-{kind}" if abstract else f"{net.folder}/in-{kind}"
    watch = run(start, IN_TREE.format(kind=kind, name=repr(name)), stdin=subprocess.PIPE)
    told = watch.wait_record(type="channel", channel="unix-socket")
    watch.process.stdin.close()
    ended(watch)
    assert told["same_tree"] is True and told["other"]["pid"] == told["pid"]
    assert watch.alerts.list == []


def test_unix_listener_whose_maker_is_gone(start, net):
    """A daemon of the tree: the process that called listen has ended, its child serves."""
    path = f"{net.folder}/daemon"
    watch = run(start, "r, w = os.pipe()\n"
                       "maker = os.fork()\n"
                       "if maker == 0:\n"
                       f"    l = socket.socket(U, S); l.bind({path!r}); l.listen()\n"
                       "    if os.fork(): os._exit(0)\n"
                       "    os.close(w); l.accept(); os.read(r, 1); os._exit(0)\n"
                       "os.waitpid(maker, 0)\n"
                       f"socket.socket(U, S).connect({path!r})\n"
                       "sys.stdin.readline()\n", stdin=subprocess.PIPE)
    told = watch.wait_record(type="channel", channel="unix-socket")
    watch.process.stdin.close()
    ended(watch)
    assert told["same_tree"] is True and told["other"]["pid"] not in (None, told["pid"])


def test_unix_pairs_are_nobodys_business(start):
    watch = run(start, "a, b = socket.socketpair(); a.send(b'x'); b.recv(1)\n")
    ended(watch)
    assert unix_told(watch) == []


def test_unix_end_of_a_pair_connected_to_an_outsider(start, net, outside):
    """Such a socket carries its own maker's PID: it must not pass for the other side's."""
    path = f"{net.folder}/pair"
    helper = outside(UNIX_SERVER.format(kind="D", name=repr(path)))
    watch = run(start, f"a, b = socket.socketpair(U, D); a.connect({path!r}); a.send(b'x')\n")
    ended(watch)
    assert unix_told(watch) == [(path, False, "SOCK_DGRAM", helper.pid, False)]


DRAINED = """
s = socket.socket(U, D); s.bind({name}); print('ready')
while s.recv(10): pass
"""


def test_unix_datagrams_are_told_once(start, net, outside):
    path = f"{net.folder}/log"
    outside(DRAINED.format(name=repr(path)))
    watch = run(start, f"s = socket.socket(U, D)\nfor i in range(5000): s.sendto(b'x', {path!r})\n")
    ended(watch)
    assert len(unix_told(watch)) == 1


def test_unix_flood_of_sockets_loses_nothing(start, net, outside):
    """More than wait at once: each is told, in time, with the one that listens or without."""
    path = f"{net.folder}/flood"
    helper = outside(DRAINED.format(name=repr(path)))
    n = 3000
    watch = run(start, f"for i in range({n}):\n"
                       f"    s = socket.socket(U, D); s.connect({path!r}); s.close()\n")
    ended(watch)
    told = unix_told(watch)
    assert len(told) == n
    assert {other for _, _, _, other, _ in told} <= {helper.pid, None}
    assert {same for *_, same in told} == {False}


TCP_SERVER = """
s = socket.create_server(({ip!r}, 0), family={family}); print(s.getsockname()[1])
if {once}:
    c, _ = s.accept(); s.close(); os._exit(0)
sys.stdin.read()
"""
UDP_SERVER = """
s = socket.socket({family}, D); s.bind(({ip!r}, {port})); print(s.getsockname()[1]); sys.stdin.read()
"""
FAMILIES = {"127.0.0.1": "socket.AF_INET", "0.0.0.0": "socket.AF_INET", "::1": "socket.AF_INET6",
            "::": "socket.AF_INET6"}
TO = {"127.0.0.1": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::1": "::1", "::": "::1"}


def assert_listener(watch, helper, proto, port):
    opened = watch.flows(port=port)
    assert [(r["proto"], r["verdict"], r["inbound"], r["listener"]) for r in opened] == [
        (proto, "unexpected", False, {"pid": helper.pid, "comm": "python3"})]
    assert watch.flow_alerts()[0]["Listener"] == f"PID {helper.pid} python3"


@pytest.mark.parametrize("ip", FAMILIES)
@pytest.mark.parametrize("since", ["before", "after", "gone"])
def test_loopback_names_the_tcp_listener(start, outside, ip, since):
    """A listener from before linnet, one that came later, and one that ends when it has accepted."""
    script = TCP_SERVER.format(ip=ip, family=FAMILIES[ip], once=since == "gone")
    client = "socket.create_connection(({to!r}, int({port}))).close()\n"
    if since != "after":
        helper = outside(script)
        port = helper.said
        watch = run(start, client.format(to=TO[ip], port=port))
    else:
        watch = run(start, "p = sys.stdin.readline()\n" + client.format(to=TO[ip], port="p"),
                    stdin=subprocess.PIPE)
        watch.wait_record(type="process", event="exec")
        helper = outside(script)
        port = helper.said
        watch.process.stdin.write(port.encode() + b"\n")
        watch.process.stdin.close()
    ended(watch)
    assert_listener(watch, helper, "TCP", int(port))


@pytest.mark.parametrize("ip", FAMILIES)
@pytest.mark.parametrize("since", ["before", "after"])
@pytest.mark.parametrize("how", ["connect", "sendto"])
def test_loopback_names_the_udp_server(start, outside, ip, since, how):
    script = UDP_SERVER.format(ip=ip, family=FAMILIES[ip], port=18553)
    client = f"s = socket.socket({FAMILIES[ip]}, D)\n" + (
        f"s.connect(({TO[ip]!r}, 18553)); s.send(b'x')\n" if how == "connect" else
        f"s.sendto(b'x', ({TO[ip]!r}, 18553))\n")
    if since == "before":
        helper = outside(script)
        watch = run(start, client)
    else:
        watch = run(start, "sys.stdin.readline()\n" + client, stdin=subprocess.PIPE)
        watch.wait_record(type="process", event="exec")
        helper = outside(script)
        watch.process.stdin.close()
    ended(watch)
    assert_listener(watch, helper, "UDP", 18553)


def test_loopback_without_a_listener(start):
    watch = run(start, "print(socket.socket().connect_ex(('127.0.0.1', 9)))\n")
    ended(watch)
    assert [r["listener"] for r in watch.flows(port=9)] == [None]


SHARED = """
def server():
    s = socket.socket({family}, {kind}); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(('127.0.0.1', 18554))
    if {kind} == S: s.listen()
    return s
"""


@pytest.mark.parametrize("kind", ["S", "D"])
def test_reuseport_group_with_an_outsider_is_not_internal(start, outside, kind):
    shared = SHARED.format(family="socket.AF_INET", kind=kind)
    outside(shared + "s = server(); print('ready'); sys.stdin.read()\n")
    watch = run(start, shared + f"l = [server() for i in range(3)]\nfor i in range(20):\n"
                f"    c = socket.socket(socket.AF_INET, {kind}); c.connect(('127.0.0.1', 18554))\n"
                "    c.send(b'x')\n")
    ended(watch)
    assert [r["verdict"] for r in watch.flows(port=18554) if not r["inbound"]] == (
        ["unexpected"] * 20)


@pytest.mark.parametrize("kind", ["S", "D"])
def test_reuseport_group_of_the_tree_is_internal(start, kind):
    watch = run(start, SHARED.format(family="socket.AF_INET", kind=kind) +
                f"l = [server() for i in range(3)]\nc = socket.socket(socket.AF_INET, {kind})\n"
                "c.connect(('127.0.0.1', 18554)); c.send(b'x')\n")
    ended(watch)
    assert [r["verdict"] for r in watch.flows(port=18554)] == ["internal"]
    assert watch.alerts.list == []


def listens(watch, **facts):
    return [(r["proto"], r["local"]["ip"], r["local"]["port"]) for r in
            watch.of("channel", channel="listen", **facts)]


@pytest.mark.parametrize("ip", [*FAMILIES, AGENT4, AGENT6])
def test_listening_is_told(start, ip):
    family = FAMILIES.get(ip) or ("socket.AF_INET6" if ":" in ip else "socket.AF_INET")
    watch = run(start, f"s = socket.create_server(({ip!r}, 0), family={family})\n"
                       f"u = socket.socket({family}, D); u.bind(({ip!r}, 18555))\n"
                       f"v = socket.socket({family}, D); v.bind(({ip!r}, 0))\n"
                       "print(s.getsockname()[1])\n")
    ended(watch)
    assert listens(watch) == [("TCP", ip, int(watch.stdout.list[0])), ("UDP", ip, 18555)]
    titles = {a.title for a in watch.alerts.list}
    assert titles == (set() if ip in ("127.0.0.1", "::1") else {"INBOUND CHANNEL"})


def test_listening_without_an_address(start):
    """listen(2) on a socket that was never bound: everywhere, on a port not yet known."""
    watch = run(start, "s = socket.socket(); s.listen()\n")
    ended(watch)
    assert listens(watch) == [("TCP", "0.0.0.0", 0)]
    assert [a.title for a in watch.alerts.list] == ["INBOUND CHANNEL"]


CLIENT = """
import socket
c = socket.create_connection(({ip!r}, {port})); c.sendall(b'question'); n = 0
while more := c.recv(65536): n += len(more)
print(n)
"""


@pytest.mark.parametrize("ip, server", [(AGENT4, AGENT4), (AGENT6, AGENT6), (AGENT4, "::"),
                                        (AGENT6, "::")])
def test_inbound_connection_that_is_answered(start, net, ip, server):
    """From the other namespace; also IPv4 on a socket of IPv6."""
    family = "socket.AF_INET6" if ":" in server else "socket.AF_INET"
    watch = run(start, f"s = socket.create_server(({server!r}, 0), family={family}, "
                       f"dualstack_ipv6={server == '::'})\n"
                       "print(s.getsockname()[1]); c, _ = s.accept(); c.recv(8)\n"
                       "c.sendall(b'x' * 100000); c.close()\n")
    port = int(watch.stdout.wait(lambda line: line.strip()))
    done = subprocess.run(["nsenter", f"--net=/run/netns/{net.outside}", PYTHON, "-c",
                           CLIENT.format(ip=ip, port=port)], capture_output=True, text=True,
                          check=False)
    assert done.stdout == "100000\n", done.stderr
    ended(watch)
    opened, closed = watch.flows(), watch.flows("flow-close")
    assert [(r["inbound"], r["how"], r["local"], r["existing"], r["same_tree"]) for r in opened] == [
        (True, "socket", {"ip": ip, "port": port}, False, False)]
    assert opened[0]["remote"]["ip"] in ("10.99.0.1", "fd99::1")
    assert [(r["id"], r["tx_bytes"], r["rx_bytes"], r["outcome"]) for r in closed] == [
        (opened[0]["id"], 100000, 8, "connected")]


def test_inbound_on_loopback_from_an_outsider(start, net):
    watch = run(start, "s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1])\n"
                       "c, _ = s.accept(); c.recv(8); c.sendall(b'secret'); c.close()\n")
    port = int(watch.stdout.wait(lambda line: line.strip()))
    done = subprocess.run(["nsenter", f"--net=/run/netns/{net.name}", PYTHON, "-c",
                           CLIENT.format(ip="127.0.0.1", port=port)], capture_output=True,
                          text=True, check=False)
    assert done.stdout == "6\n", done.stderr
    ended(watch)
    assert [(r["inbound"], r["same_tree"], r["verdict"]) for r in watch.flows()] == [
        (True, False, "unexpected")]


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
def test_pair_in_the_tree_is_internal_at_both_ends(start, ip):
    watch = run(start, f"s = socket.create_server(({ip!r}, 0), family={FAMILIES[ip]})\n"
                       "if os.fork() == 0:\n"
                       "    c = socket.create_connection(s.getsockname()[:2]); c.sendall(b'12345')\n"
                       "    c.recv(1); os._exit(0)\n"
                       "c, _ = s.accept(); c.recv(5); c.close(); os.wait()\n")
    ended(watch)
    ends = watch.flows("flow-close")
    assert sorted((r["inbound"], r["verdict"], r["tx_bytes"], r["rx_bytes"]) for r in ends) == [
        (False, "internal", 5, 0), (True, "internal", 0, 5)]
    assert watch.alerts.list == []


EXISTING = """
t = socket.create_server(('0.0.0.0', 0)); l = socket.create_server(('127.0.0.1', 0))
u = socket.socket(socket.AF_INET, D); u.bind(('0.0.0.0', 18556))
v = socket.socket(socket.AF_INET, D); v.bind(('0.0.0.0', 0))
own = socket.create_connection(l.getsockname()); end, _ = l.accept()
print(t.getsockname()[1], l.getsockname()[1])
c, _ = t.accept(); print('accepted'); sys.stdin.readline()
c.sendall(b'answer'); c.close(); sys.stdin.readline()
"""
HOLDING = """
c = socket.create_connection(({ip!r}, {port})); print('connected'); n = 0
while more := c.recv(100): n += len(more)
print(n)
"""


def test_attach_to_listeners_and_what_they_accepted(start, net):
    agent = start.agent(PYTHON, "-uc", HEAD + EXISTING)
    tcp, loopback = map(int, agent.stdout.readline().split())
    client = net.spawn_outside([PYTHON, "-uc", HEAD + HOLDING.format(ip=AGENT4, port=tcp)],
                               stdout=subprocess.PIPE)
    assert client.stdout.readline() == b"connected\n" and agent.stdout.readline() == b"accepted\n"
    watch = start.attach(WEATHER_ONLY, agent.pid)
    watch.wait_record(type="flow-open", local={"ip": AGENT4, "port": tcp})
    agent.stdin.write(b"\n")
    agent.stdin.flush()
    assert client.stdout.readline() == b"6\n"
    agent.stdin.close()
    ended(watch)
    assert sorted(listens(watch, existing=True)) == [
        ("TCP", "0.0.0.0", tcp), ("TCP", "127.0.0.1", loopback), ("UDP", "0.0.0.0", 18556)]
    assert len(listens(watch)) == 3
    by_end = {(r["inbound"], r["local"]["port"] if r["inbound"] else r["remote"]["port"]):
              (r["existing"], r["same_tree"]) for r in watch.flows()}
    assert by_end == {(True, tcp): (True, False), (True, loopback): (True, True),
                      (False, loopback): (True, True)}
    closed = [r for r in watch.flows("flow-close") if r["local"]["port"] == tcp]
    assert [(r["tx_bytes"], r["inbound"]) for r in closed] == [(6, True)]


def test_attach_to_a_listener_that_an_outsider_holds_too(start):
    """Who made it, and may accept from it, is outside: a connect to it is judged."""
    maker = start.agent(PYTHON, "-uc", HEAD +
                        "l = socket.create_server(('127.0.0.1', 0))\n"
                        "pid = os.fork()\n"
                        "if pid == 0:\n"
                        "    sys.stdin.readline(); socket.create_connection(l.getsockname())\n"
                        "    os._exit(0)\n"
                        "print(pid, l.getsockname()[1]); l.accept(); os.wait()\n")
    pid, port = map(int, maker.stdout.readline().split())
    watch = start.attach(WEATHER_ONLY, pid)
    watch.wait_record(type="header")
    maker.stdin.write(b"\n")
    maker.stdin.flush()
    ended(watch)
    outbound = [r for r in watch.flows(port=port) if not r["inbound"]]
    assert [(r["same_tree"], r["listener"]["pid"]) for r in outbound] == [(False, maker.pid)]
