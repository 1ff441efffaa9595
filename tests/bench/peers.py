# SPDX-License-Identifier: Apache-2.0
"""What people would use instead of linnet, as Debian ships it: how each is started and ended, and
what its output says. All of it happens in the benchmark's network namespace, with configuration in
its scratch folder; only audit rules and tracing reach the whole host, and both end with `close`."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import lab as places
from lab import Watched

READY_S, END_S = 20, 10
KNOCKED = f"127.99.0.1:{places.OTHER_USUAL}"  # where `work knock` connects
IPV4 = r"\d+\.\d+\.\d+\.\d+"


class CannotRun(Exception):
    """Why a tool does not run here."""


def call(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotRun(f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def report(where, pid=None, command="", name=""):
    """One connection as a tool tells it. `where` is IP:PORT."""
    return {"where": where, "pid": pid and int(pid), "command": command, "name": name}


class Subject:
    """`open`, any number of `run`, `close`, then `reports` of what it told; `leave` at the very end.
    Stamped output goes through `arrivals`. `commands` is what a person types on a new Debian until
    the first report of a connection, installing included."""

    name = package = note = ""
    commands = ()
    slow = 1  # a divisor of what there is to do in a turn

    def __init__(self, lab):
        self.lab = lab
        self.log = lab.folder / "peer.out"
        self.clock = None
        self.first_s = None  # from starting it to its first report, when `open` sees that

    def version(self):
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", self.package],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0 or not done.stdout:
            raise CannotRun(f"the package {self.package} is not installed")
        return done.stdout

    def open(self, stamped=False):
        """Starts what runs beside the workload."""
        self.clock = self.lab.arrivals() if stamped else None

    def run(self, arguments):
        """What a workload says that ran while the tool watched."""
        return self.lab.bare(*arguments)

    def close(self):
        if self.clock:
            self.clock.stdin.close()
            self.clock.wait()

    def leave(self):
        """Undoes what a pause left for the next `open`."""

    def lines(self):
        """(stamp, line) of what it told; 0 for a stamp when it was not stamped."""
        if self.clock:
            yield from self.lab.arrived()
        elif self.log.exists():
            with open(self.log, encoding="utf-8", errors="replace") as told:
                yield from ((0, line.rstrip("\n")) for line in told)

    def told_bytes(self):
        """How much it has told so far."""
        path = self.lab.folder / "arrivals" if self.clock else self.log
        return path.stat().st_size if path.exists() else 0

    def reports(self):
        """(stamp, report) of each connection that it told."""
        return iter(())

    @contextlib.contextmanager
    def idle(self):
        """Watching, with nothing to see. Gives a function that lists the tool's processes."""
        yield list


class Bare(Subject):
    name = "bare"


class Linnet(Subject):
    name = "linnet"
    commands = ("apt-get install ./linnet_*.deb", "editor policy.yaml",
                "linnet run -p policy.yaml -- COMMAND")
    note = "every connection from its log; latency of its alerts"

    def __init__(self, lab):
        super().__init__(lab)
        self.log = lab.folder / "log.jsonl"

    def version(self):
        return call(self.lab.linnet, "--version").split()[1]

    def run(self, arguments):
        watch = Watched(self.lab, arguments, **({"stderr": self.clock.stdin} if self.clock else {}))
        said = json.loads(watch.line())
        watch.end()
        return said

    def reports(self):
        for stamp, line in self.lines():
            if line.startswith("Destination: "):
                yield stamp, report(line.split()[1])
            elif line.startswith("{"):
                told = json.loads(line)
                if told["type"] == "flow-open":
                    names = [n["name"] for n in told["names"] if n["source"] == "answer"]
                    yield stamp, report(f"{told['remote']['ip']}:{told['remote']['port']}",
                                        told["pid"], " ".join(told["args"]), ", ".join(names))

    @contextlib.contextmanager
    def idle(self):
        watch = Watched(self.lab, ["wait"])
        watch.line()
        members = [watch.monitor(), watch.process.pid]
        yield lambda: members
        watch.end()


class Strace(Subject):
    """Runs the workload itself."""

    name, package = "strace -f", "strace"
    traced = "trace=execve,connect,sendto,sendmsg"
    connect = re.compile(rf'connect\(.*htons\((\d+)\), sin_addr=inet_addr\("({IPV4})"\)')
    quoted = re.compile(r'"((?:[^"\\]|\\.)*)"')

    def __init__(self, lab):
        super().__init__(lab)
        self.commands = ("apt-get install strace", f"{self.name} -e {self.traced} -o LOG COMMAND")

    def start(self, arguments):
        told = self.clock.stdin.fileno() if self.clock else None
        return subprocess.Popen(
            [*self.name.split(), "-e", self.traced, "-o", f"/dev/fd/{told}" if told else self.log,
             *self.lab.work(*arguments)], pass_fds=[told] if told else [], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)

    def run(self, arguments):
        said, _ = self.start(arguments).communicate()
        return json.loads(said)

    def reports(self):
        commands = {}
        for stamp, line in self.lines():
            pid, _, made = line.partition(" ")
            at = self.connect.search(made)
            if at:
                yield stamp, report(f"{at[2]}:{at[1]}", pid, commands.get(pid, ""))
            elif made.lstrip().startswith("execve("):
                commands[pid] = " ".join(self.quoted.findall(made.partition("[")[2]))

    @contextlib.contextmanager
    def idle(self):
        self.open()
        process = self.start(["wait"])
        process.stdout.readline()
        yield lambda: [process.pid]
        process.communicate()


class StraceSeccomp(Strace):
    name = "strace -f --seccomp-bpf"


class Beside(Subject):
    """Watches the host or the namespace, while the workload runs on its own. `pattern` finds what
    is in a line of its output."""

    end_signal = signal.SIGTERM
    pattern = re.compile("")
    words = ()

    def __init__(self, lab):
        super().__init__(lab)
        self.process = None
        self.said = lab.folder / "peer.err"

    def prepare(self):
        """What has to be there before it starts."""

    def configure(self):
        """What it is told once it runs."""

    def open(self, stamped=False):
        self.prepare()
        super().open(stamped)
        begin = time.monotonic()
        with open(self.log, "w", encoding="utf-8") as plain, \
                open(self.said, "w", encoding="utf-8") as said:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "--", *map(str, self.words)],
                stdin=subprocess.DEVNULL, stdout=self.clock.stdin if stamped else plain,
                stderr=said, start_new_session=True)
        self.configure()
        self.await_first(begin)

    def await_first(self, begin):
        """Connects until it tells so. Each time by a new process: auditd does not see old ones. For
        those that poll the connections stay open meanwhile."""
        knocking = []
        try:
            while time.monotonic() < begin + READY_S and self.process.poll() is None:
                knocking.append(subprocess.Popen(self.lab.work("knock", places.OTHER_USUAL),
                                                 stdin=subprocess.PIPE))
                time.sleep(0.02)
                if any(told["where"] == KNOCKED for _, told in self.reports()):
                    self.first_s = time.monotonic() - begin
                    return
        finally:
            for knock in knocking:
                knock.communicate()
        words = self.said.read_text(errors="replace").split()[-40:]
        raise CannotRun(" ".join(words) or f"it told no connection in {READY_S} s")

    def close(self):
        if self.process:
            self.signal(self.end_signal)
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
                self.process.wait()
            self.process = None
        super().close()

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def reports(self):
        for stamp, line in self.lines():
            told = self.pattern.search(line)
            if told:
                yield stamp, report(**told.groupdict())

    @contextlib.contextmanager
    def idle(self):
        self.open()
        try:
            yield lambda: places.session(self.process.pid)
        finally:
            self.close()


class Auditd(Beside):
    """The kernel has one set of rules and one daemon, so this runs only where audit is not in use.
    Once audit was on, each new process takes the slower way through its system calls, even when it
    is off again, except under the rule `never,task`: it is set in pauses, so that bare is bare."""

    name = package = "auditd"
    rule = ("-a", "always,exit", "-F", "arch=b64", "-S", "connect,sendto,sendmsg", "-k", "linnet-bench")
    out_of_the_way = ("-a", "never,task")
    commands = ("apt-get install auditd", f"auditctl {' '.join(rule)}",
                "ausearch -i -k linnet-bench")
    backlog = 8192  # of the rules file that Debian ships
    address = re.compile(r"^type=SOCKADDR .*:(\d+)\): saddr=0200([0-9A-F]{4})([0-9A-F]{8})")
    caller = re.compile(r"^type=SYSCALL .*:(\d+)\):.* syscall=42 .* pid=(\d+) ")
    title = re.compile(r'^type=PROCTITLE .*:(\d+)\): proctitle=(?:([0-9A-F]+)|"(.*)")$')

    def __init__(self, lab):
        super().__init__(lab)
        self.folder = lab.folder / "audit"
        self.log = self.folder / "audit.log"
        self.words = ("auditd", "-n", "-c", self.folder)
        self.before = None  # (rules, backlog limit)
        self.tail = None

    def status(self):
        return dict(line.split(None, 1) for line in call("auditctl", "-s").splitlines())

    def rules(self):
        return [r for r in call("auditctl", "-l").splitlines() if r.startswith("-")]

    def prepare(self):
        status, rules = self.status(), self.rules()
        if self.before is None:
            if status["pid"] != "0" or status["enabled"] != "0" or (
                    rules and rules != [" ".join(self.out_of_the_way)]):
                raise CannotRun(f"audit is in use here: enabled {status['enabled']}, daemon "
                                f"{status['pid']}, {len(rules)} rules")
            self.before = rules, status["backlog_limit"]
        self.folder.mkdir(mode=0o750, exist_ok=True)
        (self.folder / "plugins.d").mkdir(exist_ok=True)
        self.log.unlink(missing_ok=True)
        shipped = Path("/etc/audit/auditd.conf").read_text()
        settings = self.folder / "auditd.conf"
        settings.write_text("".join(line for line in shipped.splitlines(keepends=True) if not
                                    line.startswith(("log_file", "log_group", "plugin_dir", "max_log_file"))) +
                            f"log_file = {self.log}\nplugin_dir = {self.folder}/plugins.d\n"
                            "max_log_file = 900\nmax_log_file_action = KEEP_LOGS\n")
        settings.chmod(0o640)

    def configure(self):
        deadline = time.monotonic() + READY_S
        while self.status()["pid"] != str(self.process.pid):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise CannotRun(self.said.read_text().strip() or "the kernel took no audit daemon")
            time.sleep(0.01)
        call("auditctl", "-D")
        call("auditctl", "-b", self.backlog)
        call("auditctl", *self.rule)
        if self.clock:
            self.tail = subprocess.Popen(["tail", "-n", "+1", "-f", self.log],
                                         stdout=self.clock.stdin)

    def close(self):
        if self.before is not None:
            call("auditctl", "-D")
            lost = self.status()["lost"]
            self.note = f"{lost} events lost by the kernel's own count" if lost != "0" else ""
        if self.tail:
            self.tail.terminate()
            self.tail.wait()
            self.tail = None
        super().close()
        if self.before is not None:
            call("auditctl", "-e", "0")  # the daemon switched it on
            call("auditctl", *self.out_of_the_way)

    def leave(self):
        if self.before is not None:
            rules, backlog = self.before
            call("auditctl", "-D")
            call("auditctl", "-b", backlog)
            call("auditctl", "--reset-lost")
            for rule in rules:
                call("auditctl", *rule.split())
            self.before = None

    def reports(self):
        pids, places_of = {}, {}
        for stamp, line in self.lines():
            for pattern, into in ((self.caller, pids), (self.address, places_of)):
                found = pattern.search(line)
                if found:
                    into[found[1]] = found.groups()[1:]
            found = self.title.search(line)
            if found and found[1] in pids and found[1] in places_of:
                port, ip = places_of.pop(found[1])
                command = found[3] or bytes.fromhex(found[2]).replace(b"\0", b" ").decode(errors="replace")
                yield stamp, report(f"{socket.inet_ntoa(bytes.fromhex(ip))}:{int(port, 16)}",
                                    pids.pop(found[1])[0], command)


class Bpftrace(Beside):
    """It needs tracefs, which is mounted for it alone."""

    name = package = "bpftrace"
    end_signal = signal.SIGINT
    pattern = re.compile(rf"^(?P<pid>\d+) (?P<command>.*) (?P<where>{IPV4}:\d+)$")
    script = """tracepoint:syscalls:sys_enter_connect {
  $in = (struct sockaddr_in *)args->uservaddr;
  if ($in->sin_family == 2) {
    printf("%d %s %s:%d\\n", pid, comm, ntop($in->sin_addr.s_addr),
           ($in->sin_port >> 8) | (($in->sin_port & 0xff) << 8));
  }
}"""
    commands = ("apt-get install bpftrace", "editor connect.bt  (6 lines)",
                "bpftrace -B line connect.bt")

    def __init__(self, lab):
        super().__init__(lab)
        self.words = ("unshare", "--mount", "sh", "-c",
                      'mount -t tracefs none /sys/kernel/tracing; exec bpftrace -B line -e "$0"',
                      self.script)


class OpenSnitch(Beside):
    """Without its user interface, which asks: one rule allows all, and what it decides is in its
    log. It reads its configuration from /etc, so a folder is mounted there for it alone."""

    name, package = "opensnitchd", "opensnitch"
    note = "allows all, tells by its debug log; a fifth of the work in each turn"
    slow = 5
    commands = ("apt-get install opensnitch iptables", "editor /etc/opensnitchd/rules/all.json",
                "editor /etc/opensnitchd/default-config.json  (LogLevel 0)",
                "opensnitchd -rules-path /etc/opensnitchd/rules")
    colour = re.compile(r"\x1b\[[0-9;]*m")
    begun = re.compile(rf"new connection tcp => \d+:{IPV4} -> ({IPV4}:\d+)")
    found = re.compile(r"PID found (\d+) ")
    decided = re.compile(r"✔ (.*) -> (\S+):\d+ ")

    def __init__(self, lab):
        super().__init__(lab)
        self.folder = lab.folder / "opensnitchd"
        self.words = ("unshare", "--mount", "sh", "-c",
                      'mount --bind "$0" /etc/opensnitchd && exec opensnitchd -rules-path "$0/rules"',
                      self.folder)

    def prepare(self):
        rules = self.folder / "rules"
        rules.mkdir(parents=True, exist_ok=True)
        shipped = json.loads(Path("/etc/opensnitchd/default-config.json").read_text())
        shipped["Server"] = {"Address": f"unix://{self.folder}/nobody", "LogFile": "/dev/stdout"}
        shipped |= {"LogLevel": 0, "ProcMonitorMethod": "proc"}
        (self.folder / "default-config.json").write_text(json.dumps(shipped))
        (self.folder / "system-fw.json").write_text('{"SystemRules": []}')
        when = "2026-01-01T00:00:00Z"
        (rules / "all.json").write_text(json.dumps(
            {"created": when, "updated": when, "name": "all", "enabled": True, "precedence": False,
             "action": "allow", "duration": "always",
             "operator": {"type": "simple", "operand": "true", "data": "", "sensitive": False,
                          "list": []}}))

    def close(self):
        ran = self.process is not None
        super().close()
        if ran:  # it takes away its rules, but not the tables
            call("nft", "flush", "ruleset")

    def reports(self):
        where = pid = None
        for stamp, line in self.lines():
            line = self.colour.sub("", line)
            begun, found, decided = (p.search(line) for p in (self.begun, self.found, self.decided))
            if begun:
                where, pid = begun[1], None
            elif found:
                pid = found[1]
            elif decided and where:
                named = "" if re.fullmatch(IPV4, decided[2]) else decided[2]
                yield stamp, report(where, pid, decided[1], named)
                where = None


class Tcpdump(Beside):
    name, package = "tcpdump, SYN only", "tcpdump"
    end_signal = signal.SIGINT
    words = ("tcpdump", "-i", "lo", "-nn", "-l", "-s", "96", "--immediate-mode",
             "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn")
    commands = ("apt-get install tcpdump", "tcpdump -i any -nn -l -s 96 --immediate-mode 'tcp[tcpflags] & …'")
    pattern = re.compile(rf"> ({IPV4})\.(\d+): Flags \[S\]")

    def reports(self):
        for stamp, line in self.lines():
            told = self.pattern.search(line)
            if told:
                yield stamp, report(f"{told[1]}:{told[2]}")


class Conntrack(Beside):
    """The kernel tracks connections only where a rule asks for it."""

    name, package = "conntrack -E", "conntrack"
    end_signal = signal.SIGINT
    words = ("conntrack", "-E", "-e", "NEW", "-p", "tcp")
    table = ("add table inet linnet_peers; add chain inet linnet_peers out { type filter hook "
             "output priority 0; }; add rule inet linnet_peers out ct state new counter")
    commands = ("apt-get install conntrack nftables", "nft 'add table …; add chain …; add rule … ct state new counter'",
                "conntrack -E -e NEW -p tcp")
    pattern = re.compile(rf"\[NEW\].*? dst=({IPV4}) sport=\d+ dport=(\d+) ")
    reports = Tcpdump.reports

    def prepare(self):
        call("nft", self.table)

    def close(self):
        ran = self.process is not None
        super().close()
        if ran:
            call("nft", "delete", "table", "inet", "linnet_peers")
            call("conntrack", "-F")


class Ss(Beside):
    name, package = "ss each 0.1 s", "iproute2"
    words = ("sh", "-c", "while :; do ss -Htnp; sleep 0.1; done")
    commands = ("apt-get install iproute2", words[-1])
    pattern = re.compile(rf'\s(?P<where>{IPV4}:\d+)\s+users:\(\("(?P<command>[^"]*)",pid=(?P<pid>\d+)')


class Lsof(Beside):
    name, package = "lsof each 0.1 s", "lsof"
    words = ("sh", "-c", "while :; do lsof -nP -iTCP; sleep 0.1; done")
    commands = ("apt-get install lsof", words[-1])
    pattern = re.compile(rf"^(?P<command>\S+)\s+(?P<pid>\d+) .*->(?P<where>{IPV4}:\d+) ")


# auditd comes last: once it ran, new processes of this host are not quite as before.
PEERS = {kind.name: kind for kind in (Strace, StraceSeccomp, Bpftrace, OpenSnitch, Tcpdump, Conntrack,
                                      Ss, Lsof, Auditd)}
