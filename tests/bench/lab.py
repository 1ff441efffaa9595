# SPDX-License-Identifier: Apache-2.0
"""Where the benchmark runs: a network namespace of its own (run entered it), listeners outside the
agent's tree, a policy, and linnet, bare or around a workload."""
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "harness"))

from cgroups import cgroup, cgroup2_mount  # noqa: E402
from netlab import make_certificates  # noqa: E402
from sites import nginx_command  # noqa: E402
from watch import monitor_of, status_of  # noqa: E402

# A usual server takes each connection at once. A batching one never has to be woken, so that less
# time that is not the workload's own stands in the ratio, and less noise.
USUAL, BATCHING, OTHER_USUAL, OTHER_BATCHING = 20000, 20001, 20100, 20101
ECHO, TCP_ECHO, DISCARD, WEB, WEB_TLS = 20200, 20201, 20202, 20203, 20204
NAME, SITE = "api.bench.test", "198.51.100.80"  # a loopback address would be no answer
CHILDREN = "198.18.0.1/16"  # where short children go that have names of their own
BATCH_US = 1000
POLICY = f"""agent_name: "bench"
expected_outbound:
  - destination: "127.0.0.1"
    port: "{USUAL}-{BATCHING}"
    protocol: "TCP"
    purpose: "Listeners of the benchmark"
  - destination: "127.0.0.1"
    port: {ECHO}
    protocol: "UDP"
    purpose: "Echo of the benchmark"
  - destination: "127.0.0.1"
    port: [{TCP_ECHO}, {DISCARD}]
    protocol: "TCP"
    purpose: "What takes more than a connect"
  - destination: "{NAME}"
    port: [{WEB}, {WEB_TLS}]
    protocol: "TCP"
    purpose: "A site that is permitted by its name"
resolvers: ["127.0.0.1"]
"""
WEB_SERVER = f'listen {SITE}:{WEB_TLS} ssl; location / {{ return 200 "ok"; }}'
TIME_WAITS = Path("/proc/sys/net/ipv4/tcp_max_tw_buckets")


class Watched:
    """`linnet run` around a workload: its log, and what the workload said."""

    def __init__(self, lab, arguments, stderr=subprocess.DEVNULL, policy=None):
        self.log = lab.folder / "log.jsonl"
        self.log.unlink(missing_ok=True)
        self.log_bytes = 0
        self.begin_wall_ns = time.time_ns()
        self.process = subprocess.Popen(
            [lab.linnet, "run", "-q", "-p", policy or lab.policy, "--log", self.log, "--",
             *lab.work(*arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True)

    def line(self):
        """The next line of the workload."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the workload said nothing; linnet ended with "
                               f"{self.process.wait()}")
        return line

    def monitor(self):
        """The process that reads events; not the agent's parent."""
        holders = monitor_of(self.log)
        if len(holders) != 1:
            raise RuntimeError(f"who is the monitor? {holders} hold the log")
        return holders[0]

    def end(self):
        """Lets a workload that waits go on, and waits for linnet's end."""
        if self.process.stdin:
            self.process.stdin.close()
        self.process.stdout.read()
        if self.process.wait() != 0:
            raise RuntimeError(f"linnet ended with {self.process.returncode}")
        self.log_bytes = self.log.stat().st_size

    def records(self):
        with open(self.log, encoding="utf-8") as log:
            yield from map(json.loads, log)


class Lab:
    def __init__(self, build):
        self.linnet = str(build / "linnet")
        self._bin = build / "tests" / "bench"
        self._children = []
        self._scratch = tempfile.TemporaryDirectory(prefix="linnet-bench-")
        self.folder = Path(self._scratch.name)
        self.folder.chmod(0o711)
        self.policy = self.folder / "policy.yaml"
        self.policy.write_text(POLICY)
        self._time_waits = TIME_WAITS.read_text()
        Path("/proc/sys/net/core/somaxconn").write_text("65535")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for address in f"{SITE}/32", CHILDREN:
            subprocess.run(["ip", "addr", "add", address, "dev", "lo"], check=True)
        self.keep_time_wait(False)

    def __enter__(self):
        try:
            for port in USUAL, OTHER_USUAL:
                self.start("sink", "tcp", port, 0)
            for port in BATCHING, OTHER_BATCHING:
                self.start("sink", "tcp", port, BATCH_US)
            for kind, port, cpu in (("udp", ECHO, 0), ("echo", TCP_ECHO, 0), ("discard", DISCARD, 0),
                                    ("web", WEB, 0)):
                self.start("sink", kind, port, cpu)
            self.start("sink", "names", 53, 0, SITE)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for child in list(self._children):
            self.stop(child)
        self._scratch.cleanup()

    def keep_time_wait(self, keep):
        """As the kernel does by default, or not at all: then every connect finds a free port as
        fast as the one before, and costs a fraction."""
        TIME_WAITS.write_text(self._time_waits if keep else "0")

    def work(self, what, *arguments):
        program = ["https"] if what == "https" else ["work", what]
        return [str(self._bin / program[0]), *program[1:], *map(str, arguments)]

    def start(self, program, *arguments):
        """A program that says READY, and ends with its standard input. Returns it, and what else
        it said."""
        child = subprocess.Popen([self._bin / program, *map(str, arguments)], text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._children.append(child)
        ready, _, more = child.stdout.readline().strip().partition(" ")
        if ready != "READY":
            raise RuntimeError(f"{program} did not start")
        return child, more

    @contextlib.contextmanager
    def web_server(self):
        """A real one, for TLS, on the CPU of the workload; gives the file with its authority."""
        make_certificates(self.folder, [NAME])
        server = subprocess.Popen(["taskset", "-c", "0", *nginx_command(self.folder, WEB_SERVER)],
                                  stderr=subprocess.PIPE, text=True)
        try:
            said = []
            while not said or "nginx/" not in said[-1]:
                said.append(server.stderr.readline())
                if not said[-1]:
                    raise RuntimeError(f"nginx did not start: {said}")
            yield self.folder / "ca.pem"
        finally:
            server.terminate()
            server.wait()
            server.stderr.close()

    def stop(self, child):
        self._children.remove(child)
        child.stdin.close()
        child.wait()
        child.stdout.close()

    def arrivals(self):
        """Stamps the lines that come into its standard input; `arrived` has them."""
        with open(self.folder / "arrivals", "w", encoding="utf-8") as told:
            return subprocess.Popen([self._bin / "arrivals"], stdin=subprocess.PIPE, stdout=told)

    def arrived(self):
        """(nanoseconds, line) of all lines that have come."""
        with open(self.folder / "arrivals", encoding="utf-8", errors="replace") as told:
            for line in told:
                at_ns, _, line = line.rstrip("\n").partition(" ")
                yield int(at_ns), line

    @staticmethod
    def _said(command):
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, text=True)
        return json.loads(done.stdout)

    def bare(self, *arguments):
        return self._said(self.work(*arguments))

    def watched(self, *arguments, policy=None):
        """What a workload says that ran as the agent."""
        run = Watched(self, arguments, policy=policy)
        said = json.loads(run.line())
        run.end()
        return said

    def beside(self, *arguments):
        """What a workload says that ran outside the tree while linnet watched a process."""
        run = Watched(self, ["wait"])
        run.line()
        said = self.bare(*arguments)
        run.end()
        return said

    def beside_nothing(self, what, *arguments):
        """What a workload says beside programs that do nothing where linnet's would be."""
        if what != "request":
            return self._beside_floor(["datagram", cgroup2_mount()], [], what, *arguments)
        with cgroup(f"linnet-bench-{os.getpid()}") as (folder, _):
            enter = ["sh", "-c", f'echo $$ >{folder}/cgroup.procs && exec "$@"', "enter"]
            return self._beside_floor(["request", cgroup2_mount(), folder], enter, what, *arguments)

    def _beside_floor(self, hooks, enter, *arguments):
        floor, _ = self.start("floor", *hooks)
        try:
            return self._said([*enter, *self.work(*arguments)])
        finally:
            self.stop(floor)


def memory_kb(pid):
    """(resident now, the most it was)."""
    status = status_of(pid)
    return tuple(int(status[key].split()[0]) for key in ("VmRSS", "VmHWM"))


def spent_ns(pid):
    """CPU time of all threads so far, and in clock ticks that of children that have ended."""
    own = sum(int(path.read_text().split()[0])
              for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[13]) + int(fields[14])
    return own + ticks * 1000000000 // os.sysconf("SC_CLK_TCK")


def busy(pid):
    """(nanoseconds on a CPU, clock ticks, times it went to sleep) so far."""
    ran_ns = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return ran_ns, int(fields[11]) + int(fields[12]), int(
        status_of(pid)["voluntary_ctxt_switches"])


def session(pid):
    """All processes of the session that this one leads."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if path.read_text().rpartition(")")[2].split()[3] == str(pid):
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def programs(pid):
    """What the kernel knows of the BPF programs that a process holds by their links: name → facts.
    Other watches on this machine have programs of the same names."""
    held = set()
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        facts = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        if "prog_id" in facts:
            held.add(int(facts["prog_id"]))
    said = subprocess.run(["bpftool", "-j", "prog", "show"], check=True, capture_output=True)
    return {p["name"]: p for p in json.loads(said.stdout) if p["id"] in held}
