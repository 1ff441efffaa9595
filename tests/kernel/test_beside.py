# SPDX-License-Identifier: Apache-2.0
"""What lies beside IP sockets: packet sockets, tunnels, privileges, injection, received
descriptors. Descriptors are found by sweeps; a vsock that the agent makes shows that one passed."""
import os
import signal
import subprocess

import pytest

from netlab import OTHER
from policies import WEATHER_ONLY
from test_tree import cgroup2_mount
from watch import actor

PYTHON = "/usr/bin/python3"
ROOT = ("--user", "root")
SOME_UID = 23456
OURS = ("packet-socket", "other-socket", "tunnel-device", "socket-received", "ring-received",
        "privilege", "injection", "attack")

LIBC = """
import array, ctypes, fcntl, os, signal, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
def need(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def getfd(pid, fd):
    return need(libc.syscall(438, os.pidfd_open(pid), fd, 0))
def ring():
    return need(libc.syscall(425, 4, ctypes.create_string_buffer(120)))
def child_that_lives():
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
"""
# Each line on standard input makes a vsock, which only a sweep can tell.
HOLD = """
keep = []
print('ready', flush=True)
for line in sys.stdin:
    keep.append(socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))
"""


class Held:
    """An agent that has done something and then lives on."""

    def __init__(self, watch, vsocks=0):
        self.watch = watch
        self._vsocks = vsocks
        watch.stdout.wait(lambda line: line == "ready")

    def sweep(self):
        """Returns when a sweep has passed that began after now."""
        self._vsocks += 1
        self.watch.process.stdin.write(b"\n")
        self.watch.process.stdin.flush()
        self.watch.tail.records.wait(lambda _: len(vsocks(self.watch)) >= self._vsocks)
        self._vsocks = len(vsocks(self.watch))

    def finish(self):
        self.watch.process.stdin.close()
        assert self.watch.wait() == 0, self.watch.text()
        return self.watch


def vsocks(watch):
    return watch.of("channel", channel="other-socket", family="AF_VSOCK")


def channels(watch, kind=None):
    """What was told besides the vsocks that show the sweeps."""
    return [r for r in watch.of("channel") if r["channel"] in OURS and r not in vsocks(watch)
            and (kind is None or r["channel"] == kind)]


def script(start, text, *arguments, user=ROOT, rules=WEATHER_ONLY, options=(), **more):
    return start.run(rules, PYTHON, "-c", LIBC + text, *map(str, arguments),
                     options=(*user, *options), **more)


def held(start, text, *arguments, **more):
    return Held(script(start, text + HOLD, *arguments, stdin=subprocess.PIPE, **more))


def finish(watch):
    assert watch.wait() == 0, watch.text()
    return watch


def only(records):
    assert len(records) == 1, "\n".join(map(str, records))
    return records[0]


def titles(watch):
    return [a.title for a in watch.alerts.list if a.title != "UNFOLLOWED SOCKET"]


@pytest.fixture
def outsider(start):
    """A process beside the tree that runs a script; returned when it has said `ready`."""
    def make(text="", uid=0, then="sys.stdin.readline()\n", **more):
        process = start.agent("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
                              PYTHON, "-c", LIBC + text + "print('ready', flush=True)\n" + then,
                              **more)
        assert process.stdout.readline() == b"ready\n"
        return process

    return make


CONNECT = f"sys.stdin.readline()\nsocket.create_connection(('{OTHER}', 7001)).send(b'x')\n"


def let_go(process):
    process.stdin.write(b"\n")
    process.stdin.flush()


def assert_victim(watch, process):
    """What the process does after the injection is told as its own."""
    told = only(channels(watch, "injection"))
    assert told["other"]["pid"] == process.pid, told
    adopted = only(watch.of("process", event="adopt"))
    assert adopted["pid"] == process.pid
    flow = only(watch.flows())
    assert (flow["pid"], flow["remote"]["ip"], flow["verdict"]) == (process.pid, OTHER,
                                                                    "unexpected")
    assert "INJECTION" in titles(watch)


# Sockets beside IP


@pytest.mark.parametrize("family, name", [(17, "AF_PACKET"), (44, "AF_XDP")])
def test_packet_socket_is_told_when_it_is_made(start, family, name):
    watch = finish(script(start, f"s = socket.socket({family}, socket.SOCK_RAW, 0)\n"))
    told = only(channels(watch))
    assert (told["channel"], told["family"], told["syscall"]) == ("packet-socket", name, "socket")
    assert told["how"] == "task" and told["socket_type"] == "SOCK_RAW"
    assert titles(watch) == ["PACKET SOCKET"]


def test_packet_socket_that_lives_on_is_told_once(start):
    agent = held(start, "s = socket.socket(17, socket.SOCK_RAW, 0)\nchild_that_lives()\n")
    agent.sweep()
    agent.sweep()
    only(channels(agent.finish()))


def test_vsock_is_found_by_a_sweep(start):
    agent = held(start, "", user=("--user", str(SOME_UID)))
    agent.sweep()
    told = only(vsocks(agent.watch))
    assert told["how"] == "ambiguous" and told["socket_type"] == "SOCK_STREAM"
    assert channels(agent.finish()) == []


def test_packet_socket_made_by_a_ring_is_found_by_a_sweep(start):
    """A worker of the kernel makes it, in no system call: the privilege is told, then the socket."""
    watch = start.run(WEATHER_ONLY, actor("beside"), "ring-socket", options=ROOT,
                      stdin=subprocess.PIPE)
    told = watch.wait_record(type="channel", channel="packet-socket")
    assert told["family"] == "AF_PACKET" and told["how"] == "ambiguous"
    watch.process.stdin.close()
    finish(watch)
    privilege = only(channels(watch, "privilege"))
    assert privilege["capability"] == "CAP_NET_RAW" and privilege["syscall"] is None


# Tunnels


def test_tunnel_device(start):
    watch = finish(script(start, "os.open('/dev/net/tun', os.O_RDWR)\n"))
    told = only(channels(watch))
    assert told["channel"] == "tunnel-device" and told["how"] == "task"
    assert titles(watch) == ["TUNNEL DEVICE"]


def test_tunnel_that_lives_on_is_told_once(start):
    agent = held(start, "os.open('/dev/net/tun', os.O_RDWR)\n")
    agent.sweep()
    agent.sweep()
    only(channels(agent.finish()))


def test_tunnel_of_somebody_else(start, outsider):
    maker = outsider("assert os.open('/dev/net/tun', os.O_RDWR) == 3\n")
    agent = held(start, "t = getfd(int(sys.argv[1]), 3)\n", maker.pid)
    told = agent.watch.wait_record(type="channel", channel="tunnel-device")
    assert told["how"] == "ambiguous"
    agent.sweep()
    only(channels(agent.finish(), "tunnel-device"))


DEVICES = """
prog = ctypes.create_string_buffer(struct.pack('<BBhiBBhi', 0xb7, 0, 0, {allow}, 0x95, 0, 0, 0))
name = ctypes.create_string_buffer(b'GPL')
attr = struct.pack('<IIQQ', 15, 2, ctypes.addressof(prog), ctypes.addressof(name)).ljust(72, bytes(1))
fd = need(libc.syscall(321, 5, attr, len(attr)))
folder = os.open(sys.argv[1], os.O_RDONLY)
attr = struct.pack('<IIII', folder, fd, 6, 0)
need(libc.syscall(321, 8, attr, len(attr)))
open(sys.argv[1] + '/cgroup.procs', 'w').write('0')
try:
    open('/dev/zero').close()
    print('opened', flush=True)
except PermissionError:
    print('refused', flush=True)
"""


@pytest.mark.parametrize("allow, said", [(1, "opened"), (0, "refused")])
def test_programs_of_others_decide_on_devices_as_before(start, allow, said):
    """A cgroup with a program of its own, attached so that no other may be added below."""
    watch = start.run(WEATHER_ONLY, "cat", stdin=subprocess.PIPE)
    watch.wait_record(type="process", event="exec")
    folder = f"{cgroup2_mount()}/linnet-test-{os.getpid()}-devices"
    os.mkdir(folder)
    try:
        done = subprocess.run([PYTHON, "-c", LIBC + DEVICES.format(allow=allow), folder],
                              capture_output=True, text=True, check=True)
        assert done.stdout.split() == [said]
    finally:
        os.rmdir(folder)
    watch.process.stdin.close()
    finish(watch)


# Privileges


def test_network_administration(start):
    watch = finish(start.run(WEATHER_ONLY, "ip", "link", "set", "lo", "up", options=ROOT))
    told = channels(watch)
    assert {r["capability"] for r in told} == {"CAP_NET_ADMIN"}
    assert "sendmsg" in [r["syscall"] for r in told]
    assert not told[0]["own_ns"] and "PRIVILEGE USED" in titles(watch)


def test_bpf(start):
    watch = finish(script(
        start, "attr = struct.pack('5I', 2, 4, 4, 1, 0).ljust(72, bytes(1))\n"
        "need(libc.syscall(321, 0, attr, len(attr)))\n"))
    assert ("CAP_BPF", "bpf") in [(r["capability"], r["syscall"]) for r in channels(watch)]


def test_capability_in_a_namespace_of_its_own_is_logged_without_alert(start):
    watch = finish(start.run(WEATHER_ONLY, "unshare", "-Urn", "ip", "link", "set", "lo", "up",
                             options=("--user", str(SOME_UID))))
    told = channels(watch)
    assert told and all(r["own_ns"] and r["capability"] == "CAP_NET_ADMIN" for r in told)
    assert titles(watch) == []


def test_looking_is_no_alert(start, outsider):
    other = outsider(uid=SOME_UID)
    watch = finish(script(start, "os.readlink(f'/proc/{sys.argv[1]}/exe')\n"
                                 "open(f'/proc/{sys.argv[1]}/environ').read()\n", other.pid))
    told = channels(watch)
    assert told and all(r["capability"] == "CAP_SYS_PTRACE" and r["read_only"] for r in told)
    assert titles(watch) == []


def test_repeated_use_is_held_back_and_counted(start):
    uses = 500
    agent = held(start, "s = socket.socket()\n"
                        f"for i in range({uses}):\n"
                        "    s.setsockopt(socket.SOL_SOCKET, 33, 4096)\n"  # SO_RCVBUFFORCE
                        "s.close()\n")
    agent.watch.tail.records.wait(
        lambda _: sum(r["held_back"] + 1 for r in channels(agent.watch)) == uses)
    assert len(channels(agent.finish())) < 10


# Injection


def test_ptrace_attach(start, outsider):
    victim = outsider(uid=SOME_UID, then=CONNECT)
    watch = script(start, "need(libc.ptrace(16, int(sys.argv[1]), 0, 0))\n"
                          "os.waitpid(int(sys.argv[1]), 0)\n"
                          "need(libc.ptrace(17, int(sys.argv[1]), 0, 0))\n", victim.pid)
    watch.wait_record(type="channel", channel="injection")
    let_go(victim)
    victim.wait(20)
    finish(watch)
    assert_victim(watch, victim)
    privilege = channels(watch, "privilege")[0]
    assert (privilege["capability"], privilege["syscall"]) == ("CAP_SYS_PTRACE", "ptrace")
    assert privilege["other"]["pid"] == victim.pid


SEIZE = ("signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
         "need(libc.ptrace(0x4206, int(sys.argv[1]), 0, 0))\n")


def test_ptrace_seize_by_the_same_user(start, outsider):
    """No capability, and no stop of which a signal would tell: a sweep finds it."""
    victim = outsider(uid=SOME_UID, then=CONNECT)
    agent = held(start, SEIZE, victim.pid, user=("--user", str(SOME_UID)))
    agent.watch.wait_record(type="channel", channel="injection")
    agent.watch.process.stdin.close()
    let_go(victim)
    victim.wait(20)
    finish(agent.watch)
    assert_victim(agent.watch, victim)


def test_a_tracer_that_waits_is_seen_at_once(start, outsider):
    """It lets go before any sweep."""
    victim = outsider(uid=SOME_UID, then=CONNECT)
    watch = script(start, SEIZE + "need(libc.ptrace(0x4207, int(sys.argv[1]), 0, 0))\n"
                                  "os.waitpid(int(sys.argv[1]), 0)\n"
                                  "need(libc.ptrace(17, int(sys.argv[1]), 0, 0))\n", victim.pid,
                   user=("--user", str(SOME_UID)))
    watch.wait_record(type="channel", channel="injection")
    let_go(victim)
    victim.wait(20)
    finish(watch)
    assert_victim(watch, victim)


def test_child_of_a_traced_process(start, outsider):
    """The victim forks before anything else has told of it."""
    victim = outsider(uid=SOME_UID, then=f"""
sys.stdin.readline()
if os.fork() == 0:
    socket.create_connection(('{OTHER}', 7001)).send(b'x')
    os._exit(0)
os.wait()
""")
    agent = held(start, SEIZE, victim.pid, user=("--user", str(SOME_UID)))
    let_go(victim)
    flow = agent.watch.wait_record(type="flow-open")
    assert flow["pid"] != victim.pid and flow["verdict"] == "unexpected"
    # The victim stops at the end of its child, until the tracer is gone.
    told = only(channels(agent.finish(), "injection"))
    assert told["other"]["pid"] == victim.pid


def test_memory_written_by_call(start, outsider):
    victim = outsider(uid=SOME_UID, then=CONNECT)
    watch = script(start, "one = ctypes.create_string_buffer(8)\n"
                          "v = Vector(ctypes.addressof(one), 8)\n"
                          "libc.process_vm_writev(int(sys.argv[1]), ctypes.byref(v), 1, "
                          "ctypes.byref(v), 1, 0)\n", victim.pid)
    watch.wait_record(type="channel", channel="injection")
    let_go(victim)
    victim.wait(20)
    finish(watch)
    assert_victim(watch, victim)


def test_memory_opened_for_writing(start, outsider):
    """By the same user it takes no capability: a sweep finds the descriptor."""
    victim = outsider(uid=SOME_UID, then=CONNECT)
    agent = held(start, "f = open(f'/proc/{sys.argv[1]}/mem', 'r+b', buffering=0)\n", victim.pid,
                 user=("--user", str(SOME_UID)))
    agent.watch.wait_record(type="channel", channel="injection")
    agent.watch.process.stdin.close()
    let_go(victim)
    victim.wait(20)
    finish(agent.watch)
    assert_victim(agent.watch, victim)


def test_open_connection_of_a_victim_is_told(start, outsider):
    victim = outsider(f"s = socket.create_connection(('{OTHER}', 7004))\n", uid=SOME_UID)
    watch = script(start, "need(libc.ptrace(16, int(sys.argv[1]), 0, 0))\n"
                          "os.waitpid(int(sys.argv[1]), 0)\n"
                          "need(libc.ptrace(17, int(sys.argv[1]), 0, 0))\n", victim.pid)
    flow = watch.wait_record(type="flow-open", pid=victim.pid)
    assert flow["existing"] and flow["remote"]["ip"] == OTHER
    let_go(victim)
    victim.wait(20)
    finish(watch)
    assert channels(watch, "socket-received") == []


# Received descriptors


def test_ring_of_somebody_else(start, outsider):
    maker = outsider("r = ring()\nassert r == 3, r\n")
    agent = held(start, "r = getfd(int(sys.argv[1]), 3)\n", maker.pid)
    told = agent.watch.wait_record(type="channel", channel="ring-received")
    assert told["other"]["pid"] == maker.pid and told["how"] == "ambiguous"
    agent.sweep()
    only(channels(agent.watch, "ring-received"))
    assert "RING RECEIVED" in titles(agent.finish())


def test_ring_that_was_registered_and_closed(start, outsider):
    """It is in no descriptor table, and can be used all the same."""
    maker = outsider("r = ring()\nassert r == 3, r\n")
    watch = start.run(WEATHER_ONLY, actor("beside"), "ring-taken", maker.pid, 3, options=ROOT,
                      stdin=subprocess.PIPE)
    told = watch.wait_record(type="channel", channel="ring-received")
    assert told["other"]["pid"] == maker.pid
    watch.process.stdin.close()
    finish(watch)


def test_own_ring_is_none_of_it(start):
    """Also when a child that has inherited it has memory of its own."""
    agent = held(start, "r = ring()\nchild_that_lives()\n")
    agent.sweep()
    assert channels(agent.finish()) == []


STEAL = "s = socket.socket(fileno=getfd(int(sys.argv[1]), int(sys.argv[2])))\n"
TAKE = ("link = socket.socket(socket.AF_UNIX)\nlink.connect(sys.argv[1])\n"
        "s = socket.socket(fileno=socket.recv_fds(link, 1, 1)[1][0])\nlink.close()\n")
CONNECTED = f"s = socket.create_connection(('{OTHER}', 7001))\nassert s.fileno() == 3\n"


def assert_received(told, maker):
    assert (told["remote"]["ip"], told["remote"]["port"]) == (OTHER, 7001), told
    assert told["other"]["pid"] == maker.pid and told["how"] == "ambiguous"
    assert not told["existing"]


def test_stolen_socket(start, outsider):
    maker = outsider(CONNECTED)
    agent = held(start, STEAL, maker.pid, 3)
    assert_received(agent.watch.wait_record(type="channel", channel="socket-received"), maker)
    agent.sweep()
    only(channels(agent.watch, "socket-received"))
    assert "SOCKET RECEIVED" in titles(agent.finish())


@pytest.fixture
def passer(net, outsider):
    """A process beside the tree that has a connection and hands it to whoever asks at its path."""
    path = str(net.folder / f"pass-{os.urandom(4).hex()}")
    maker = outsider(
        CONNECTED + f"server = socket.socket(socket.AF_UNIX)\nserver.bind('{path}')\n"
        f"os.chmod('{path}', 0o777)\nserver.listen()\n",
        then="c = server.accept()[0]\nsocket.send_fds(c, [b'x'], [3])\nsys.stdin.readline()\n")
    return maker, path


def test_passed_socket(start, passer):
    """Without any privilege: by SCM_RIGHTS."""
    maker, path = passer
    agent = held(start, TAKE, path, user=("--user", str(SOME_UID)))
    assert_received(agent.watch.wait_record(type="channel", channel="socket-received"), maker)
    agent.finish()


def test_passed_socket_that_is_closed_at_once(start, net, passer):
    """No sweep sees it: only --deep does."""
    maker, path = passer
    watch = finish(script(start, TAKE + "s.send(b'7 bytes')\ns.close()\n", path,
                          user=("--user", str(SOME_UID)), options=("--deep",)))
    told = only(channels(watch))
    assert told["channel"] == "socket-received" and told["how"] == "ambiguous"
    assert (told["remote"]["ip"], told["remote"]["port"]) == (OTHER, 7001)
    assert titles(watch) == ["SOCKET RECEIVED"]
    let_go(maker)
    net.said.wait(event="close", ip=OTHER, rx=7)


# Attacks on linnet


def test_signal_to_linnet(start):
    watch = finish(script(start, "os.kill(os.getppid(), signal.SIGCONT)\n"))
    told = only(channels(watch))
    assert told["channel"] == "attack" and told["number"] == signal.SIGCONT
    assert told["other"]["pid"] == watch.pid and told["syscall"] == "kill"


# Nothing of it


ORDINARY = """
import subprocess, threading
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
accepted = server.accept()[0]
a, b = socket.socketpair()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(('127.0.0.1', 0))
u6 = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
t = threading.Thread(target=lambda: None)
t.start(); t.join()
r = ring()
os.kill(os.getpid(), 0)
subprocess.run(['bash', '-c', 'echo $$ | cat; kill -USR1 $$ || true; ls -l /proc/self/fd >&2'])
"""


@pytest.mark.parametrize("user", [ROOT, ("--user", str(SOME_UID))], ids=["root", "user"])
@pytest.mark.parametrize("deep", [(), ("--deep",)], ids=["", "deep"])
def test_an_ordinary_agent_gives_none(start, user, deep):
    agent = held(start, ORDINARY, user=user, options=deep)
    agent.sweep()
    agent.sweep()
    assert channels(agent.watch) == [], agent.watch.text()
    agent.finish()


@pytest.mark.parametrize("command", [
    ["curl", "-s", "https://weather.service.com/"],
    ["bash", "-c", "for i in 1 2 3; do id -u; done | sort | uniq -c"]])
def test_an_ordinary_command_gives_none(start, command):
    watch = finish(start.run(WEATHER_ONLY, *command, options=ROOT))
    assert channels(watch) == []


def test_the_rest_of_the_host_gives_none(start, outsider):
    agent = held(start, "")
    victim = outsider(uid=SOME_UID)
    other = outsider("p = socket.socket(17, socket.SOCK_RAW, 0)\nr = ring()\n"
                     "os.open('/dev/net/tun', os.O_RDWR)\n"
                     f"need(libc.ptrace(16, {victim.pid}, 0, 0))\nos.waitpid({victim.pid}, 0)\n"
                     f"need(libc.ptrace(17, {victim.pid}, 0, 0))\n")
    agent.sweep()
    assert other.poll() is None
    assert channels(agent.finish()) == []


def test_what_was_there_before_is_marked_so(start):
    agent = start.agent(PYTHON, "-c", LIBC + "p = socket.socket(17, socket.SOCK_RAW, 0)\n"
                        "print('ready', flush=True)\nsys.stdin.readline()\n")
    assert agent.stdout.readline() == b"ready\n"
    watch = start.attach(WEATHER_ONLY, agent.pid)
    told = watch.wait_record(type="channel", channel="packet-socket")
    assert told["existing"] and told["pid"] == agent.pid
    agent.stdin.close()
    finish(watch)
