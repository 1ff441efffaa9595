# SPDX-License-Identifier: Apache-2.0
"""What is measured, one function a subject; each returns rows (see report.row)."""
import datetime
import json
import statistics
import time

import lab as places
from lab import Watched
from report import row

COUNT = {"connect": 30000, "udp": 40000, "getppid": 8000000, "forkexec": 1200}
KEPT_HOOKS = ("on_connect", "on_sendmsg", "on_post_bind", "on_sock_release", "on_egress",
              "on_ingress", "on_tcp_state")


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def scaled(sizes, number, least=1):
    return max(least, number // sizes.shrink)


def cost_ns(said):
    return said.get("p50_ns", said["ns"] / said["n"])


def paired(name, sizes, bare, with_linnet, bar=None, goal=None):
    """A B A B …, after one of each that does not count. The figure is the median of the ratios."""
    bare(), with_linnet()
    pairs = [(cost_ns(bare()), cost_ns(with_linnet())) for _ in range(sizes.pairs)]
    ratios = [b / a for a, b in pairs]
    low, high = percentile(ratios, 0.25), percentile(ratios, 0.75)
    a_ns, b_ns = (statistics.median(side) for side in zip(*pairs))
    return row(name, statistics.median(ratios), "x", bar=bar, goal=goal,
               spread=[low, high], note=f"{a_ns:.0f} → {b_ns:.0f} ns",
               pairs_ns=[[round(a), round(b)] for a, b in pairs])


def connects(lab, sizes):
    """connect+close: outside the tree, to an expected place, and a flood to unexpected ones."""
    for label, usual, other in (("", places.USUAL, places.OTHER_USUAL),
                                (", batching server", places.BATCHING, places.OTHER_BATCHING)):
        for count in 1, 4:
            def arguments(port, spread=1, count=count):
                return ["connect", port, scaled(sizes, COUNT["connect"]), count, spread, 0]

            def measure(what, run, args, limit, label=label, count=count):
                many = f"{count} process{'es' if count > 1 else ''}"
                limits = {"goal" if label else "bar": ("<=", limit)}
                return paired(f"connect+close, {what}, {many}{label}", sizes,
                              lambda: lab.bare(*args), lambda: run(*args), **limits)

            yield measure("untracked", lab.beside, arguments(usual), 1.02)
            yield measure("expected", lab.watched, arguments(usual), 1.06)
            yield measure("flood to one unexpected", lab.watched, arguments(other), 1.15)
            yield measure("flood to 1,000 unexpected", lab.watched, arguments(other, 1000), 1.15)


def other_calls(lab, sizes):
    """What an agent does besides connecting."""
    for name, arguments, limit in (
            ("UDP round trip, p50", ["udp", places.ECHO, scaled(sizes, COUNT["udp"]), 0], 1.05),
            ("getppid", ["getppid", scaled(sizes, COUNT["getppid"])], 1.02),
            ("fork+exec", ["forkexec", scaled(sizes, COUNT["forkexec"])], 1.05)):
        yield paired(name, sizes, lambda a=arguments: lab.bare(*a),
                     lambda a=arguments: lab.watched(*a), goal=("<=", limit))


def in_kernel(lab, sizes):
    """Time in linnet's programs for one connect+close, by the kernel's own clock. The listener's
    side, which is outside the tree, is in it: the kernel does not tell them apart."""
    stats = lab.start("stats")
    try:
        for name, port in (("expected", places.BATCHING), ("unexpected", places.OTHER_BATCHING)):
            before = places.programs()
            run = Watched(lab, ["connect", port, scaled(sizes, 50000), 1, 1, 0, "hold"])
            made = json.loads(run.line())["made"]
            # The server may still be closing its ends.
            ours = {p["name"]: p for i, p in places.programs().items()
                    if i not in before and p.get("name", "").startswith(KEPT_HOOKS)}
            run.end()
            each = {n: {"calls": p.get("run_cnt", 0) / made,
                        "ns": p.get("run_time_ns", 0) / made} for n, p in ours.items()}
            parts = sorted(((e["ns"], e["calls"], n) for n, e in each.items() if e["ns"] >= 1),
                           reverse=True)
            yield row(f"in-kernel time a connect+close, {name}", sum(e["ns"] for e in each.values()),
                      "ns", bar=("<=", 500) if name == "expected" else None,
                      note=", ".join(f"{n} {ns:.0f} ns/{calls:.1f}" for ns, calls, n in parts),
                      programs=each)
    finally:
        lab.stop(stats)


def latency(lab, sizes):
    """From just before connect(2) to the alert on linnet's standard error. Linnet shows at most 64
    alerts a second one by one, so bursts keep below that."""
    for name, count, burst, gap_us in (("paced", 300, 1, 20000), ("in bursts of 50", 750, 50,
                                                                  1100000)):
        count = max(2 * burst, count // sizes.shrink)
        clock = lab.arrivals()
        run = Watched(lab, ["latency", places.OTHER_BATCHING, count, burst, gap_us],
                      stderr=clock.stdin)
        clock.stdin.close()
        stamps = json.loads(run.line())["stamps"]
        run.end()
        seen = dict(line.split() for line in clock.stdout.read().splitlines())
        clock.stdout.close()
        clock.wait()
        took = [(int(seen[where]) - at_ns) / 1e6 for where, at_ns in stamps.items()
                if where in seen]
        if not took:
            raise RuntimeError("no alert came")
        yield row(f"alert latency p50, {name}", statistics.median(took), "ms", bar=("<", 0.3),
                  note=f"{len(took)} of {count} alerts; from {min(took):.3f} to {max(took):.3f} ms")
        yield row(f"alert latency p99, {name}", percentile(took, 0.99), "ms", bar=("<", 5))
        yield row(f"alerts shown, {name}", len(took), "of " + str(count), bar=("==", count))


def wall_ns(record):
    """The microseconds of a log record as nanoseconds since 1970."""
    when = datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00"))
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (when - epoch) // datetime.timedelta(microseconds=1) * 1000


def first_connection(lab, sizes):
    """From starting `linnet run` to its agent's first connect, as the log has it."""
    took = []
    for _ in range(max(3, sizes.pairs)):
        run = Watched(lab, ["connect", places.USUAL, 1, 1, 1, 0])
        run.line()
        run.end()
        first = next(r for r in run.records() if r["type"] == "flow-open")
        took.append((wall_ns(first) - run.begin_wall_ns) / 1e6)
    yield row("first connection seen after start", statistics.median(took), "ms", bar=("<=", 80),
              spread=[percentile(took, 0.25), percentile(took, 0.75)])


def short_children(lab, sizes):
    """Children of a millisecond: each connection with its own PID and arguments?"""
    count = scaled(sizes, 2000)
    run = Watched(lab, ["children", places.BATCHING, count])
    children = json.loads(run.line())["children"]
    run.end()
    flows = [r for r in run.records() if r["type"] == "flow-open"]
    told = {(r["pid"], r["args"][-1]) for r in flows if r["args"]}
    right = sum((pid, str(index)) in told for index, (pid, _) in enumerate(children))
    lives = [ns / 1e6 for _, ns in children]
    yield row("short children reported with PID and arguments", right, f"of {count}",
              bar=("==", count), note=f"{len(flows)} connections reported; a child lives "
              f"{statistics.median(lives):.2f} ms, at most {max(lives):.2f} ms")


def losses(lab, sizes):
    """Every connection made has an open and a close in the log, or stands in the count of losses.
    Events of processes share the ring: what is lost may be one of them."""
    for name, rate, count in (("30,000 a second", 30000, 150000), ("full speed", 0, 200000)):
        run = Watched(lab, ["connect", places.BATCHING, scaled(sizes, count), 4, 1, rate])
        said = json.loads(run.line())
        begin = time.monotonic()
        run.end()
        drained = time.monotonic() - begin
        opens = closes = others = lost = dropped = 0
        for record in run.records():
            opens += record["type"] == "flow-open"
            closes += record["type"] == "flow-close"
            others += record["type"] == "process"
            if record["type"] == "summary":
                lost, dropped = record["lost"], record["log_dropped"]
        made = 2 * said["made"]
        # exec and exit of the first process; four children fork and exit.
        unaccounted = made + 10 - (opens + closes + others + lost)
        yield row(f"events lost at {name}", lost + dropped, f"of {made}",
                  goal=("==", 0),
                  note=f"{said['n'] / said['ns'] * 1e9:.0f} a second; {opens} opens, {closes} "
                  f"closes of {said['made']}; linnet was done {drained:.2f} s later")
        yield row(f"events neither seen nor counted as lost, {name}", abs(unaccounted) + dropped,
                  f"of {made}", bar=("==", 0))


def idle(lab, sizes):
    """A monitor with nothing to do."""
    run = Watched(lab, ["wait"])
    run.line()
    pid, seconds = run.monitor(), 2 if sizes.shrink > 1 else 10
    time.sleep(2)  # past everything that is due after the start
    before = busy_of(pid, run.process.pid)
    time.sleep(seconds)
    after = busy_of(pid, run.process.pid)
    spent = [b - a for a, b in zip(before, after)]
    resident, peak = places.memory_kb(pid)
    parent, _ = places.memory_kb(run.process.pid)
    run.end()
    yield row("CPU when nothing happens", spent[0] / 1e7 / seconds, "%", bar=("<", 0.005),
              note=f"{spent[1]} ticks in {seconds} s, monitor and launcher")
    yield row("wake-ups when nothing happens", spent[2] / seconds, "a second", goal=("==", 0))
    yield row("RSS of the monitor, idle", resident / 1024, "MiB", bar=("<", 12),
              note=f"peak {peak / 1024:.1f}; launcher {parent / 1024:.1f}")


def busy_of(*pids):
    return [sum(values) for values in zip(*map(places.busy, pids))]


def memory(lab, sizes):
    """The monitor after many connections."""
    count = scaled(sizes, 100000)
    for name, port, spread in (("expected", places.BATCHING, 1),
                               ("unexpected, 10,000 places", places.OTHER_BATCHING, 10000)):
        run = Watched(lab, ["connect", port, count, 1, spread, 0, "hold"])
        run.line()
        pid = run.monitor()
        resident, peak = places.memory_kb(pid)
        run.end()
        yield row(f"RSS of the monitor after {count:,} connections, {name}", resident / 1024,
                  "MiB", bar=("<", 12), note=f"peak {peak / 1024:.1f}")


SUBJECTS = {"connect": connects, "calls": other_calls, "kernel": in_kernel, "latency": latency,
            "start": first_connection, "children": short_children, "losses": losses, "idle": idle,
            "memory": memory}
