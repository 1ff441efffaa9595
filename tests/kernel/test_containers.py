# SPDX-License-Identifier: Apache-2.0
"""Agents in namespaces and containers, watched from outside and left as they are: the PID of the
host and the one inside, where they are, and whose files say what names mean."""
import json
import os
import shutil
import textwrap
from pathlib import Path

import pytest

from cgroups import cgroup
from netlab import OTHER, RESOLVER, SCRIPTED_RESOLVER
from policies import WEATHER_ONLY, policy
from watch import actor

PYTHON = "/usr/bin/python3"
FLOW = [actor("flow"), "tcp", OTHER, "7001", "10"]
WAIT_AND_FLOW = ["sh", "-c", f"echo ready; read line; exec {' '.join(FLOW)}"]
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount-proc", "--pid", "--fork", "--kill-child"]
BWRAP = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--ro-bind", "/",
         "/", "--proc", "/proc", "--dev", "/dev", "--die-with-parent"]
ID = "4f3c" * 16


def leaf_of(pid):
    """The last of a chain of only children."""
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[0])
    return pid


def ns_pid_of(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1])


def ready(agent):
    assert agent.stdout.readline() == b"ready\n"
    return leaf_of(agent.pid)


def go(process):
    process.stdin.write(b"\n")
    process.stdin.flush()


def assert_seen(watch, pid, ns_pid):
    flow = watch.flows(ip=OTHER, port=7001)[0]
    assert (flow["pid"], flow["ns_pid"]) == (pid, ns_pid)
    assert flow["args"] == FLOW and os.path.basename(flow["exe"]) == "flow"
    alert = watch.flow_alerts()[0]
    alert.assert_contract()
    assert (alert["PID"], alert["PID in container"]) == (str(pid), str(ns_pid))


@pytest.mark.parametrize("jail", [UNSHARE, BWRAP], ids=["unshare", "bwrap"])
def test_attach_to_the_inner_process(start, fresh_net, jail):
    """linnet is in one network namespace, the agent in another, and in PID, mount and user
    namespaces of its own."""
    home = fresh_net()
    said = home.serve({"kind": "tcp-sink", "ip": OTHER, "port": 7001})
    agent = start.agent(*jail, *WAIT_AND_FLOW, net=home)
    inner = ready(agent)
    ns_pid = ns_pid_of(inner)
    assert ns_pid < inner
    watch = start.attach(WEATHER_ONLY, inner)
    watch.wait_record(type="header")
    go(agent)
    assert watch.wait() == 0, watch.text()
    assert_seen(watch, inner, ns_pid)
    said.wait(event="close", rx=10)


@pytest.mark.parametrize("jail", [UNSHARE, BWRAP], ids=["unshare", "bwrap"])
def test_run_of_a_jail(start, jail):
    watch = start.run(WEATHER_ONLY, *jail, *FLOW)
    assert watch.wait() == 0, watch.text()
    inner = watch.flows(ip=OTHER, port=7001)[0]
    born = [r for r in watch.of("process", event="exec", pid=inner["pid"]) if r["args"] == FLOW]
    assert born and inner["ns_pid"] == born[0]["ns_pid"] < inner["pid"]
    assert_seen(watch, inner["pid"], inner["ns_pid"])


def crun_bundle(folder):
    """A container of busybox alone, with the network of who starts it."""
    (folder / "rootfs/bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", folder / "rootfs/bin/busybox")
    (folder / "rootfs/dev").mkdir()
    spec = {
        "ociVersion": "1.0.0",
        "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": [],
                    "args": ["/bin/busybox", "nc", OTHER, "7001"]},
        "root": {"path": "rootfs", "readonly": True},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": t} for t in ("pid", "mount", "ipc", "uts")]},
    }
    (folder / "rootfs/proc").mkdir()
    (folder / "config.json").write_text(json.dumps(spec))


def test_run_of_a_container(start, net):
    """A runtime that keeps its hands off cgroups; where v1 is mounted too, it would not start."""
    bundle = net.folder / "bundle"
    crun_bundle(bundle)
    name = f"{net.name}-crun"
    script = ("umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; "
              f"exec crun --root {bundle}/state --cgroup-manager=disabled run -b {bundle} {name}")
    watch = start.run(WEATHER_ONLY, "unshare", "--mount", "sh", "-c", script)
    assert watch.wait() == 0, watch.text()
    flow = watch.flows(ip=OTHER, port=7001)[0]
    assert flow["ns_pid"] == 1 and flow["exe"].endswith("/bin/busybox")
    assert flow["args"] == ["/bin/busybox", "nc", OTHER, "7001"]


def enter_cgroup(folder, *command):
    return ["sh", "-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"', str(folder), *command]


@pytest.mark.parametrize("names, facts", [
    ((f"docker-{ID}.scope",), {"container": ID, "runtime": "docker"}),
    (("machine.slice", f"libpod-{ID}.scope"), {"container": ID, "runtime": "podman"}),
    (("kept.service",), {"unit": "kept.service"})], ids=["docker", "podman", "service"])
def test_attached_records_say_where_the_agent_is(start, net, names, facts):
    with cgroup(net.name, *names) as (folder, path):
        agent = start.agent(*enter_cgroup(folder, *WAIT_AND_FLOW))
        pid = ready(agent)
        watch = start.attach(WEATHER_ONLY, pid)
        watch.wait_record(type="header")
        go(agent)
        assert watch.wait() == 0, watch.text()
        told = [r for r in watch.records if r["type"] in ("process", "flow-open", "flow-close")]
        assert len(told) >= 4
        for record in told:
            assert record.items() >= {"cgroup": path, **facts}.items(), record


def test_a_process_that_goes_to_a_containers_cgroup(start, net):
    """What runtimes do, and what an agent that is root can do: the record says where it went, a
    person is told what is not seen there, and what it sends is told all the same."""
    flows = [[actor("flow"), "tcp", OTHER, "7001", "10"], [actor("flow"), "udp-sendto", OTHER, "7005", "3"]]
    with cgroup(net.name, f"docker-{ID}.scope") as (folder, path):
        watch = start.run(WEATHER_ONLY, *enter_cgroup(
            folder, "sh", "-c", "; ".join(" ".join(f) for f in flows)))
        assert watch.wait() == 0, watch.text()
    moved, = watch.of("process", event="cgroup")
    assert moved["uncovered"] is True
    assert moved["cgroup"] == path and moved["container"] == ID and moved["runtime"] == "docker"
    for port in 7001, 7005:
        flow, = watch.flows(port=port)
        assert flow["cgroup"] == path and flow["verdict"] == "unexpected"
    assert watch.flows("flow-close", port=7005)[0]["uncounted"] is True
    assert f"is now in the cgroup {path}" in watch.text()


def test_a_child_that_is_born_in_another_cgroup(start, net):
    with cgroup(net.name, "born.scope") as (folder, path):
        watch = start.run(WEATHER_ONLY, actor("tree"), f"into-cgroup={folder}", *FLOW)
        assert watch.wait() == 0, watch.text()
    flow, = watch.flows(ip=OTHER, port=7001)
    assert flow["cgroup"] == path and flow["unit"] == "born.scope"
    born, = watch.of("process", event="cgroup")
    assert (born["pid"], born["uncovered"]) == (flow["pid"], True)


def lookup(port):
    return (f"import socket; print('ready', flush=True); input()\n"
            f"a = socket.getaddrinfo('weather.service.com', {port}, socket.AF_INET)[0][4]\n"
            f"socket.create_connection(a).close()\n")


def as_nobody(*command):
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]


def test_its_own_resolv_conf_and_hosts_count(start, fresh_net):
    """The agent, not root, lives in a container whose files are root's: they name its resolver."""
    home = fresh_net()
    etc = home.write_etc(resolv_conf=f"nameserver {SCRIPTED_RESOLVER}\n",
                         hosts=f"127.0.0.1 localhost\n{OTHER} inside.example\n")
    home.serve({"kind": "dns", "ip": SCRIPTED_RESOLVER, "port": 53, "zone": {
                   "weather.service.com": [[["weather.service.com", "A", OTHER, 60]]]}},
               {"kind": "tcp-sink", "ip": OTHER, "port": 443},
               {"kind": "tcp-sink", "ip": OTHER, "port": 7001})
    script = lookup(443) + "socket.create_connection(('inside.example', 7001)).close()\n"
    agent = start.agent(*as_nobody(PYTHON, "-c", script), net=home, etc=etc)
    assert agent.stdout.readline() == b"ready\n"
    watch = start.attach(policy("weather.service.com 443 TCP", "inside.example 7001 TCP"), agent.pid)
    watch.wait_record(type="header")
    agent.communicate(b"\n", timeout=20)
    assert watch.wait() == 0, watch.text()
    assert watch.flows(ip=OTHER, port=443)[0]["verdict"] == "expected", watch.text()
    assert watch.flows(ip=OTHER, port=7001)[0]["verdict"] == "expected", watch.text()


def test_what_root_could_have_written_in_its_container_is_not_trusted(start, fresh_net):
    home = fresh_net()
    etc = home.write_etc(resolv_conf=f"nameserver {SCRIPTED_RESOLVER}\n")
    home.serve({"kind": "dns", "ip": SCRIPTED_RESOLVER, "port": 53, "zone": {
                   "weather.service.com": [[["weather.service.com", "A", OTHER, 60]]]}},
               {"kind": "tcp-sink", "ip": OTHER, "port": 443})
    agent = start.agent(PYTHON, "-c", lookup(443), net=home, etc=etc)
    assert agent.stdout.readline() == b"ready\n"
    watch = start.attach(WEATHER_ONLY, agent.pid)
    watch.wait_record(type="header")
    agent.communicate(b"\n", timeout=20)
    assert watch.wait() == 0, watch.text()
    assert "could change its /etc/resolv.conf" in watch.text()
    assert watch.flows(ip=OTHER, port=443)[0]["verdict"] == "unexpected"


# The agent answers itself, in a network namespace where the resolver's address is its own.
FORGED = f"""
import ctypes, fcntl, os, socket, struct
if ctypes.CDLL(None).unshare(0x10000000 | 0x40000000):
    raise SystemExit(3)
for name, ip in (b"lo", "127.0.0.1"), (b"lo:1", "{RESOLVER}"), (b"lo:2", "{OTHER}"):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8916, struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(ip)))
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", name, 1))
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("{RESOLVER}", 53))
pid = os.fork()
if pid:
    while True:  # a stranger to the process that is attached to
        question, peer = server.recvfrom(512)
        server.sendto(question[:2] + b"\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0" + question[12:] +
                      b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + socket.inet_aton("{OTHER}"), peer)
server.close()
print("ready", flush=True)
input()
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.connect(("{RESOLVER}", 53))
client.send(b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\7weather\\7service\\3com\\0\\0\\1\\0\\1")
client.recv(512)
socket.socket().connect_ex(("{OTHER}", 443))
"""


def test_a_resolver_in_the_agents_own_network_grants_nothing(start, net):
    # The policy's name has no address here, so that only the forged answer could name it.
    agent = start.agent(*as_nobody(PYTHON, "-c", textwrap.dedent(FORGED)))
    inner = ready(agent)
    watch = start.attach(WEATHER_ONLY, inner)
    watch.wait_record(type="header")
    go(agent)
    assert watch.wait() == 0, watch.text()
    flow, = watch.flows(ip=OTHER, port=443)
    assert flow["verdict"] == "unexpected" and not any(n["grants"] for n in flow["names"]), flow
    assert "belongs to a user namespace of its own" in watch.text()
