# SPDX-License-Identifier: Apache-2.0
"""Linnet beside its peers: each tool's turns alternate with bare ones and with linnet's. What is
kept of each is a dictionary, raw runs included; peer_report.py and plot.py show them."""
import contextlib
import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

import lab as places
import leaks
from measures import cost_ns, percentile, scaled
from peers import PEERS, Bare, CannotRun, Linnet

# To a usual server, with TIME_WAIT, as a kernel comes; and what 1 KiB of a stream takes.
WORKLOADS = {
    "connect_1": ("connect", places.USUAL, 3000, 1, 1, 0),
    "connect_4": ("connect", places.USUAL, 6000, 4, 1, 0),
    "pingpong": ("pingpong", places.TCP_ECHO, 8000, 0),
    "stream": ("stream", places.DISCARD, 256, 0),
}
CHILDREN, SHORT_MS = 2000, 5
BURSTS = {"paced": (150, 1, 20000), "bursts": (200, 50, 1100000)}  # count, burst, gap in µs
LAST_WORDS_S = 5
IDLE_S, SETTLE_S, LOOKS = 4, 1, 8


def turn(subject, sizes, slow):
    """All workloads once: nanoseconds for each thing done."""
    subject.open()
    try:
        return {name: cost_ns(subject.run([kind, port, scaled(sizes, count // slow, 100), *more]))
                for name, (kind, port, count, *more) in WORKLOADS.items()}
    finally:
        subject.close()


def alternate(sizes, subjects):
    """Turns of each subject, in rotating order, after one that does not count (a quick run has none);
    and how long each took to its first report. A slow tool has less to do, and so have the others."""
    turns = {subject.name: [] for subject in subjects}
    first_s = {subject.name: [] for subject in subjects}
    slow, unmeasured = max(subject.slow for subject in subjects), int(sizes.shrink == 1)
    for pair in range(sizes.pairs + unmeasured):
        for subject in subjects[pair % len(subjects):] + subjects[:pair % len(subjects)]:
            took = turn(subject, sizes, slow)
            if pair >= unmeasured:
                turns[subject.name].append(took)
            if subject.first_s:
                first_s[subject.name].append(subject.first_s)
    return turns, first_s


def ratios(bare, with_it):
    """For each workload the median of the ratios, its quartiles, and the pairs."""
    told = {}
    for name in WORKLOADS:
        pairs = [(a[name], b[name]) for a, b in zip(bare, with_it)]
        each = [b / a for a, b in pairs]
        told[name] = {"ratio": round(statistics.median(each), 3),
                      "quartiles": [round(percentile(each, share), 3) for share in (0.25, 0.75)],
                      "pairs_ns": [[round(a, 1), round(b, 1)] for a, b in pairs]}
    return told


def children(lab, subject, sizes):
    """Of short children, each with a name, a destination, a PID and arguments of its own: how many
    were told, and with what."""
    count = scaled(sizes, CHILDREN, 50)
    subject.open()
    try:
        arguments = ["children", places.OTHER_BATCHING, count, "named"]
        lives = subject.run(arguments)["children"]
        settle(subject)
    finally:
        subject.close()
    told = {}
    for _, one in subject.reports():
        told.setdefault(one["where"], []).append(one)
    right = {"destination": 0, "pid": 0, "command": 0, "name": 0}
    for index, (pid, _) in enumerate(lives):
        of_it = told.get(f"198.18.{index >> 8}.{index & 255}:{places.OTHER_BATCHING}", [])
        right["destination"] += bool(of_it)
        right["pid"] += any(one["pid"] == pid for one in of_it)
        right["command"] += any(one["command"].endswith(
            f"child {places.OTHER_BATCHING} {index} named") for one in of_it)
        right["name"] += any(f"c{index:04x}.bench.test" in one["name"] for one in of_it)
    lives_ms = [ns / 1e6 for _, ns in lives]
    return {"of": count, **right, "life_ms": round(statistics.median(lives_ms), 2),
            "short": sum(ms < SHORT_MS for ms in lives_ms)}


def settle(subject):
    """Lets the tool tell what it has seen: until it tells no more, or goes on and on."""
    before, deadline = -1, time.monotonic() + LAST_WORDS_S
    while (now := subject.told_bytes()) != before and time.monotonic() < deadline:
        before = now
        time.sleep(0.3)


def latency(lab, subject, sizes, count, burst, gap_us):
    """From just before connect(2) until the line that tells it came out of the tool's pipe."""
    count = max(burst, count // sizes.shrink)
    subject.open(stamped=True)
    try:
        stamps = subject.run(["latency", places.OTHER_BATCHING, count, burst, gap_us])["stamps"]
        settle(subject)
    finally:
        subject.close()
    seen = {}
    for at_ns, one in subject.reports():
        seen.setdefault(one["where"], at_ns)
    took = [(seen[where] - at_ns) / 1e6 for where, at_ns in stamps.items() if where in seen]
    told = {"of": count, "seen": len(took), "ms": [round(ms, 3) for ms in took]}
    if took:
        told |= {"p50": round(statistics.median(took), 3), "p99": round(percentile(took, 0.99), 3)}
    return told


def first_by_run(subject, sizes):
    """For what starts the workload itself: from its start to the report of its first connect."""
    took = []
    for _ in range(min(3, sizes.pairs)):
        subject.open(stamped=True)
        try:
            begin_ns = time.monotonic_ns()
            subject.run(["latency", places.OTHER_USUAL, 1, 1, 0])
        finally:
            subject.close()
        took.append((min(at_ns for at_ns, _ in subject.reports()) - begin_ns) / 1e9)
    return took


def idle(subject, sizes):
    seconds = IDLE_S if sizes.shrink == 1 else 0.5
    with subject.idle() as members:
        time.sleep(min(SETTLE_S, seconds))
        before, resident = spent_ns(members()), 0
        for _ in range(LOOKS):
            time.sleep(seconds / LOOKS)
            resident = max(resident, resident_kb(members()))
        spent = sum(ns - before[pid] for pid, ns in spent_ns(members()).items() if pid in before)
    return {"cpu_percent": round(spent / 1e7 / seconds, 3), "rss_mib": round(resident / 1024, 1)}


def spent_ns(pids):
    """A child that ended stands in the account of its parent."""
    told = {}
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            told[pid] = places.spent_ns(pid)
    return told


def resident_kb(pids):
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, KeyError):
            total += places.memory_kb(pid)[0]
    return total


def processor():
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")


def audit_state():
    """Rules and switch, where the tools to ask for them are installed."""
    if not shutil.which("auditctl"):
        return set()
    rules, status = (subprocess.run(["auditctl", f], capture_output=True, text=True, check=False).stdout
                     for f in ("-l", "-s"))
    return {f"audit: {line}" for line in (*rules.splitlines(), *status.splitlines()[:1])}


def traces():
    return audit_state() | leaks.snapshot()


def left_since(before):
    """What a run left on the host, and processes that outlive it in its network namespace."""
    found = (audit_state() - before) | set(leaks.left_since(before))
    for path in Path("/proc").glob("[0-9]*/ns/net"):
        with contextlib.suppress(OSError):
            if os.readlink(path) == os.readlink("/proc/self/ns/net") and path.parts[2] != str(os.getpid()):
                found.add(f"process {path.parts[2]}: {Path(f'/proc/{path.parts[2]}/comm').read_text().strip()}")
    return sorted(found)


def install(lab, build):
    """`make install` of what is built, into a folder, and from there to the first alert."""
    begin = time.monotonic()
    subprocess.run(["meson", "install", "--no-rebuild", "-C", build, "--destdir", lab.folder / "root"],
                   check=True, capture_output=True)
    installed_s = time.monotonic() - begin
    own, lab.linnet = lab.linnet, str(next((lab.folder / "root").rglob("*bin/linnet")))
    try:
        linnet = Linnet(lab)
        linnet.open(stamped=True)
        try:
            begin_ns = time.monotonic_ns()
            linnet.run(["latency", places.OTHER_USUAL, 1, 1, 0])
        finally:
            linnet.close()
        alert_s = (min(at_ns for at_ns, _ in linnet.reports()) - begin_ns) / 1e9
    finally:
        lab.linnet = own
    return {"install_s": round(installed_s, 2), "alert_s": round(alert_s, 3)}


def about(subject):
    return {"name": subject.name, "version": subject.version(), "commands": list(subject.commands)}


def once(lab, subject, sizes, first_s):
    """What needs no pair."""
    first_s = first_s or first_by_run(subject, sizes)
    return {"children": children(lab, subject, sizes),
            "latency": {name: latency(lab, subject, sizes, *burst) for name, burst in BURSTS.items()},
            "idle": idle(subject, sizes),
            "first_s": {"median": round(statistics.median(first_s), 3),
                        "runs": [round(s, 3) for s in first_s]}}


def measure(lab, options):
    """Yields a dictionary for each peer, and at last those of linnet and of bare."""
    bare, linnet = Bare(lab), Linnet(lab)
    all_bare, all_linnet = [], []
    lab.keep_time_wait(True)
    for name in options.only or PEERS:
        peer = PEERS[name](lab)
        told = {"name": name, "commands": list(peer.commands)}
        try:
            told |= about(peer)
            turns, first_s = alternate(options, [bare, linnet, peer])
            all_bare += turns["bare"]
            all_linnet += turns["linnet"]
            told |= {"ratios": ratios(turns["bare"], turns[name]),
                     "linnet": ratios(turns["bare"], turns["linnet"]),
                     **once(lab, peer, options, first_s[name]), "note": peer.note}
        except CannotRun as why:
            told = {"name": name, "commands": told["commands"], "absent": str(why)}
        finally:
            peer.close()  # whatever was interrupted
            peer.leave()
        yield told
    if all_bare:
        yield {**about(linnet), "ratios": ratios(all_bare, all_linnet), "note": linnet.note,
               **once(lab, linnet, options, []), "installed": install(lab, options.build)}
    yield {"name": "bare", "children": children(lab, bare, options)}
