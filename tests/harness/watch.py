# SPDX-License-Identifier: Apache-2.0
"""linnet under test: started, its alerts and its log collected as they come."""
import contextlib
import itertools
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from events import DEADLINE_S, Items, Tail, read_lines

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("LINNET_BUILD", ROOT / "build"))
LINNET = str(BUILD / "linnet")
ACTORS = BUILD / "tests" / "actors"
SEED_POLICY = ROOT / "tests/data/policies/seed.yaml"
CONTRACT_LABELS = ["Timestamp", "PID", "Command", "Destination", "Action", "Rule Matched"]
_numbers = itertools.count(1)


def actor(name):
    return str(ACTORS / name)


class Alert:
    """One block of standard error, from its `[!] ` line to the blank line after it."""

    def __init__(self, lines, arrived_ns=0):
        self.lines = lines
        self.arrived_ns = arrived_ns  # when its headline was read, monotonic
        self.title = lines[0].removeprefix("[!] ")
        self.fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)

    def __getitem__(self, label):
        return self.fields[label]

    @property
    def is_flow(self):
        return self.title == "UNEXPECTED OUTBOUND CONNECTION"

    def __str__(self):
        return "\n".join(self.lines)

    def assert_contract(self):
        """The seven lines of the contract, in their order and form."""
        assert self.lines[0] == "[!] UNEXPECTED OUTBOUND CONNECTION", self
        assert [line.split(": ")[0] for line in self.lines[1:7]] == CONTRACT_LABELS, self
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", self["Timestamp"]), self
        assert re.fullmatch(r"[1-9]\d*", self["PID"]), self
        assert re.fullmatch(r"(\d+(\.\d+){3}|\[[0-9a-f:]+\]):\d+ \(resolved: \S.*\)",
                            self["Destination"]), self
        assert self["Action"] == "LOGGED (Block policy not enabled)", self
        assert self["Rule Matched"].startswith("NONE - "), self
        assert all(re.match(r"[A-Z][A-Za-z ]+: \S", line) for line in self.lines[7:]), self


class AlertLines(Items):
    """Lines of standard error; the blocks among them are Alerts. on_close is called at the end."""

    def __init__(self, on_close=None):
        super().__init__("standard error")
        self._on_close = on_close
        self.alerts = Items("alerts")
        self._block = []
        self._arrived_ns = 0

    def _finish(self):
        if self._block:
            self.alerts.add(Alert(self._block, self._arrived_ns))
            self._block = []

    def add(self, line):
        super().add(line)
        if line.startswith("[!] ") or not line:
            self._finish()
        if line.startswith("[!] "):
            self._arrived_ns = time.monotonic_ns()
        if line.startswith("[!] ") or (line and self._block):
            self._block.append(line)

    def close(self):
        super().close()
        self._finish()
        if self._on_close:
            self._on_close()
        self.alerts.close()


class Linnet:
    """A linnet that runs where the agent of a Net lives."""

    def __init__(self, net, arguments, *, log=True, etc=None, form="nsenter", environment=None,
                 cwd=None, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, program=LINNET,
                 wrapper=()):
        number = next(_numbers)
        self.net = net
        self.folder = net.folder / f"watch-{number}"
        self.folder.mkdir()
        self.log_path = self.folder / "log.jsonl"
        self.tail = Tail(str(self.log_path)) if log else None
        if log:
            arguments = [arguments[0], "--log", str(self.log_path), *arguments[1:]]
        environment = dict(environment or {k: v for k, v in os.environ.items()
                                           if not k.startswith("SUDO_")},
                           PYTHONDONTWRITEBYTECODE="1", **net.trust)
        self.process = subprocess.Popen(
            net.enter([*wrapper, program, *map(str, arguments)], etc=etc, form=form), env=environment,
            cwd=cwd, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)
        self.stderr = AlertLines(self.tail.finish if self.tail else None)
        self.alerts = self.stderr.alerts
        read_lines(self.process.stderr.fileno(), self.stderr)
        self.stdout = (read_lines(self.process.stdout.fileno(), "standard output")
                       if stdout == subprocess.PIPE else None)

    @property
    def pid(self):
        return self.process.pid

    @property
    def records(self):
        return self.tail.records.list

    def text(self):
        return "\n".join(self.stderr.list)

    def wait(self, timeout=DEADLINE_S):
        """Waits for the end; returns the exit status (128+N for a signal, as a shell says it)."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"linnet still runs after {timeout} s:\n{self.text()}") from None
        self.stderr.wait_closed()
        if self.stdout:
            self.stdout.wait_closed()
        self.alerts.wait_closed()
        if self.tail:
            self.tail.stop()
        return status if status >= 0 else 128 - status

    def wait_alert(self, predicate, timeout=DEADLINE_S):
        return self.alerts.wait(predicate, timeout)

    def wait_record(self, timeout=DEADLINE_S, **facts):
        """The first log record with these facts."""
        return self.tail.records.wait(lambda r: facts.items() <= r.items(), timeout)

    def of(self, kind, **facts):
        """All records of a type so far with these facts."""
        return [r for r in self.records if r["type"] == kind and facts.items() <= r.items()]

    def flows(self, kind="flow-open", ip=None, port=None):
        return [r for r in self.of(kind) if (ip is None or r["remote"]["ip"] == ip)
                and (port is None or r["remote"]["port"] == port)]

    def flow_alerts(self):
        return [a for a in self.alerts.list if a.is_flow]

    def signal(self, number):
        os.kill(self.process.pid, number)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.tail:
            self.tail.stop()


def monitor_of(log_path):
    """PIDs of the processes that hold the connection log open, this one aside."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        try:
            if str(log_path) in descriptors_of(pid).values():
                found.append(int(pid))
        except OSError:
            continue
    return found


@contextlib.contextmanager
def stopped(watch):
    """linnet as a whole does not run; first the one that looks after the monitor, which would let it
    go on."""
    pids = [watch.pid, *monitor_of(watch.log_path)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


def descriptors_of(pid):
    """What each open descriptor is, by number; one that was closed meanwhile is not in it."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            continue
    return found


def status_of(pid):
    """/proc/PID/status as a dict."""
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                if ":\t" in line)
