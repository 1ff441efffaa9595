# SPDX-License-Identifier: Apache-2.0
"""Makes one technique happen under linnet and says what came of it."""
import json
import os
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field

import leaks
import netlab
import probes
from events import read_lines
from netlab import API, API6, HERE, OTHER
from policies import policy
from techniques import DECOY_BRIDGE, DECOY_LINK, DECOY_TUNNEL, PORT, SUBFLOW
from watch import ACTORS, LINNET, ROOT, Linnet

ARRIVAL_S = 60 if "LINNET_VM" in os.environ else 5  # a machine in software is slow to start linnet
PYTHON_ACTORS = ROOT / "tests/actors/escape"
OUTSIDE = str(HERE / "outside.py")
# What the agent may reach: the decoys, which it names when it means another place.
ALLOWED = policy(*(f"{ip} any any" for ip in (API, API6, DECOY_LINK, DECOY_BRIDGE, DECOY_TUNNEL)))
POLICY = ALLOWED + 'expected_unix: ["/run/linnet-test/expected"]\n'


class Receiver:
    """The other end; `tokens` are what has come."""

    def __init__(self, net):
        self.process = net.spawn_outside(
            ["/usr/bin/python3", str(HERE / "receiver.py"), str(PORT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        lines = read_lines(self.process.stdout.fileno(), "receiver")
        lines.wait(lambda line: "READY" in line)
        self.said = netlab.Said(lines)

    def order(self, **what):
        self.process.stdin.write(json.dumps(what).encode() + b"\n")
        self.process.stdin.flush()


class Place:
    """A small internet with a receiver, and what a technique has to know of it."""

    def __init__(self):
        self.net = netlab.Net()
        try:
            for key in ("ipv4/conf/all/accept_source_route", "ipv4/conf/eth0/accept_source_route",
                        "ipv6/conf/all/seg6_enabled", "ipv6/conf/eth0/seg6_enabled"):
                netlab.sh("nsenter", f"--net=/run/netns/{self.net.outside}", "sh", "-c",
                          f"echo 1 >/proc/sys/net/{key}")
            link = json.loads(netlab.sh("ip", "-n", self.net.outside, "-j", "addr", "show",
                                        "eth0"))[0]
            self.mac = link["address"]
            self.link6 = next(a["local"] for a in link["addr_info"] if a["scope"] == "link")
            self.receiver = Receiver(self.net)
        except BaseException:
            self.net.close()
            raise


@dataclass
class Outcome:
    """What one technique came to."""
    technique: object
    missing: str = ""  # why it cannot be done here
    arrived: dict = None  # what the receiver said
    go_pid: int = 0
    go_ns: int = 0
    outsider: int = 0  # PID of the helper
    alerts: list = field(default_factory=list)
    records: list = field(default_factory=list)
    words: dict = field(default_factory=dict)
    text: str = ""


class Run:
    """One technique, once."""

    def __init__(self, technique, place, second, stack, blind):
        self.t = technique
        self.blind = blind
        self.place, self.net = place, place.net
        self.stack = stack
        self.number = os.urandom(8).hex()
        self.token = f"esc-{self.number}"
        self.folder = self.net.folder / f"escape-{self.number}"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.stdin, self.helper_stdin, self.program = subprocess.DEVNULL, subprocess.PIPE, LINNET
        self.helper = None
        self.words = {"token": self.token, "folder": self.folder, "bin": ACTORS / "escape",
                      "mac": place.mac, "link6": place.link6, "net": self.net.name,
                      "second": second.net.name if second else "",
                      "cgroup2": probes.cgroup2_mount(),
                      "away": f"{probes.cgroup2_mount()}/{self.net.name}-away",
                      "key": int(self.number[:7], 16) + 1}

    def fill(self, words):
        return [str(word).format(**self.words) for word in words]

    def program_of(self, name):
        if name.startswith("/"):
            return name
        if name.endswith(".py"):
            return str(PYTHON_ACTORS / name)
        folder = ACTORS / "escape" if name.startswith("escape-") else ACTORS
        return str(folder / name)

    def script(self, name, text):
        path = self.folder / name
        path.write_text("#!/bin/sh\nset -e\n" + text, encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    def start_outside(self, command, ready=True, **options):
        """A process on the agent's host that linnet does not watch; waits until it is ready."""
        process = subprocess.Popen(self.net.enter(self.fill(command)), stdout=subprocess.PIPE,
                                   **{"stdin": subprocess.PIPE, **options})
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        process.lines = read_lines(process.stdout.fileno(), f"helper {command}")
        if ready:
            facts = process.lines.wait(lambda line: line.startswith("ready")).split()[1:]
            self.words.update({f"helper{n}": fact for n, fact in enumerate(facts)})
        return process

    def start_helper(self):
        if not self.t.helper:
            return
        command = ([self.program_of(self.t.helper[0])] if self.t.helper[0].startswith("escape-")
                   else [OUTSIDE, self.t.helper[0]])
        become = (["/usr/bin/setpriv", f"--reuid={self.t.helper_user}", "--clear-groups"]
                  if self.t.helper_user else [])
        self.helper = self.start_outside([*become, *command, *self.t.helper[1:]],
                                         stdin=self.helper_stdin)

    def tell_helper(self):
        self.helper.stdin.write(b"\n")
        self.helper.stdin.flush()

    # What else has to be there, by the name in Technique.scene: before the helper is started.

    def scene_subflow(self):
        netlab.sh("ip", "-n", self.net.outside, "mptcp", "endpoint", "add", SUBFLOW, "dev", "lo",
                  "signal")
        netlab.sh("ip", "-n", self.net.name, "mptcp", "limits", "set", "subflows", "2",
                  "add_addr_accepted", "2")

    def scene_away(self):
        os.mkdir(self.words["away"])
        self.stack.callback(os.rmdir, self.words["away"])

    def scene_run(self):
        self.program = self.script("start", (
            "mount -t tmpfs none /run\nmkdir /run/dbus\n: >/run/docker.sock\n"
            f"mount --bind {self.folder}/relay.sock /run/docker.sock\nexec {LINNET} \"$@\"\n"))

    def scene_dbus(self):
        """The daemon listens in our folder, and stands at its usual path in the agent's mounts. The
        service is whoever may see all messages."""
        bus = f"unix:path={self.folder}/bus"
        config = self.folder / "bus.conf"
        config.write_text(
            '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"'
            ' "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">\n'
            f"<busconfig><type>system</type><listen>{bus}</listen><auth>EXTERNAL</auth>"
            '<policy context="default"><allow user="*"/><allow own="*"/>'
            '<allow send_type="method_call"/><allow send_type="signal"/>'
            '<allow receive_type="method_call"/><allow receive_type="signal"/>'
            '<allow eavesdrop="true"/></policy></busconfig>\n', encoding="utf-8")
        daemon = self.start_outside(["/usr/bin/dbus-daemon", f"--config-file={config}", "--nofork",
                                     "--print-address"], ready=False,
                                    stderr=subprocess.DEVNULL)
        daemon.lines.wait(lambda line: line.startswith("unix:"))
        self.start_outside(["sh", "-c", f"dbus-monitor --address {bus} | "
                            f"{OUTSIDE} input {OTHER} {PORT} NameLost"])
        self.program = self.script("start", (
            "mount -t tmpfs none /run\nmkdir /run/dbus\n: >/run/dbus/system_bus_socket\n"
            f"mount --bind {self.folder}/bus /run/dbus/system_bus_socket\nexec {LINNET} \"$@\"\n"))

    def scene_tmux(self):
        name = self.net.name
        server = ["/usr/bin/tmux", "-L", name, "-f", "/dev/null"]
        subprocess.run(self.net.enter([*server, "new-session", "-d", "cat"]), check=True,
                       env=dict(os.environ, TMUX_TMPDIR="/tmp"))
        self.stack.callback(os.unlink, f"/tmp/tmux-0/{name}")
        self.stack.callback(subprocess.run, [*server, "kill-server"], check=True)

    def scene_inherited(self):
        self.program = self.script(
            "start", f"exec {OUTSIDE} start {OTHER} {PORT} {LINNET} \"$@\"\n")

    def scene_fifo(self):
        os.mkfifo(self.folder / "fifo")

    def scene_file(self):
        (self.folder / "file.wait").touch()

    def scene_pipe(self):
        read_end, write_end = os.pipe()
        self.stack.callback(os.close, read_end)
        self.stack.callback(os.close, write_end)
        self.helper_stdin, self.stdin = read_end, write_end

    def scene_release(self):
        mount_point = self.folder / "hierarchy"
        mount_point.mkdir()
        self.stack.callback(leaks.end_hierarchy, self.net.name, mount_point)

    # While the agent runs.

    def act(self, watch):
        if self.t.kept:
            if not self.blind:
                watch.wait_alert(lambda a: a.title in self.t.titles)
            watch.process.stdin.write(b"\n")
            watch.process.stdin.flush()
        elif self.t.scene in ("connect", "datagram"):
            watch.stdout.wait(lambda line: line.startswith("ready"))
            self.place.receiver.order(**{self.t.scene: [netlab.AGENT4, PORT]})
        elif self.t.scene == "file":
            watch.stdout.wait_closed()
            self.helper.stdin.write(b"\n")
            self.helper.stdin.flush()

    def start(self):
        """Returns the watch, and the lines of who lets the token go."""
        actor = self.fill([self.program_of(self.t.actor[0]), *self.t.actor[1:]])
        path = self.folder / "policy.yaml"
        path.write_text(POLICY, encoding="utf-8")
        if self.t.scene == "share":
            return self.attach(actor, path)
        options = [*self.t.options, *(["--user", self.t.user] if self.t.user else [])]
        environment = dict(os.environ, **({"ESCAPE_KEEP": "1"} if self.t.kept else {}))
        watch = Linnet(self.net, ["run", "-p", path, *options, "--", *actor], program=self.program,
                       stdin=subprocess.PIPE if self.t.kept else self.stdin,
                       environment={k: v for k, v in environment.items()
                                    if not k.startswith("SUDO_")})
        self.stack.callback(watch.close)
        return watch, watch.stdout

    def wait_arrival(self, place):
        ip, port = self.fill(self.t.at)
        facts = {"ip": ip} if ip else {}
        facts |= {"port": int(port)} if port != "0" else {}
        return place.receiver.said.wait(ARRIVAL_S, event="token", token=self.token, via=self.t.via,
                                        **facts)

    def attach(self, actor, path):
        """Only the second of the two processes that the actor makes is watched."""
        first = self.start_outside(actor, ready=False)
        second = first.lines.wait(lambda line: line.startswith("ready")).split()[1]
        watch = Linnet(self.net, ["attach", "-p", path, second])
        self.stack.callback(watch.close)
        watch.wait_record(type="header")
        first.stdin.write(b"\n")
        first.stdin.flush()
        return watch, first.lines


def run(technique, place, second=None, blind=False):
    """Makes it happen; an AssertionError when the token does not arrive. `blind`: no alert will come
    that could be waited for."""
    missing = probes.missing(technique.needs)
    if missing:
        return Outcome(technique, missing=missing)
    with ExitStack() as stack:
        r = Run(technique, place, second, stack, blind)
        getattr(r, f"scene_{technique.scene}", lambda: None)()
        r.start_helper()
        watch, lines = r.start()
        try:
            r.act(watch)
            arrived = r.wait_arrival(second or place)
        except AssertionError as wrong:
            raise AssertionError(f"{wrong}\n{watch.text()}\n{lines.list}") from None
        status = watch.wait()
        assert status == 0, f"the actor ended with {status}\n{watch.text()}"
        went = [line.split() for line in lines.list if line.startswith("go ")]
        assert len(went) == 1, lines.list
        return Outcome(technique, arrived=arrived, go_pid=int(went[0][1]), go_ns=int(went[0][2]),
                       outsider=r.helper.pid if r.helper else 0, alerts=watch.alerts.list,
                       records=watch.records, words=r.words, text=watch.text())
