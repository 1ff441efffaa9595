# SPDX-License-Identifier: Apache-2.0
"""What is measured, one function a subject; each returns rows (see report.row)."""
import datetime
import json
import statistics
import time

import lab as places
from lab import Watched
from report import row

COUNT = {"udp": 40000, "pingpong": 40000, "stream": 512, "getppid": 8000000, "forkexec": 1200,
         "request": 8000, "https": 1000}
TRAFFIC_HOOKS = ("on_sock_create", "on_connect", "on_sendmsg", "on_bind", "on_post_bind", "on_sock_release", "on_egress",
              "on_ingress", "on_tcp_state")


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def scaled(sizes, number, least=1):
    return max(least, number // sizes.shrink)


def cost_ns(said):
    return said.get("p50_ns", said["ns"] / said["n"])


def paired(name, sizes, bare, with_linnet, bar=None, goal=None):
    """A B A B …, after one of each that does not count (a quick run has none). The figure is the
    median of the ratios."""
    if sizes.shrink == 1:
        bare(), with_linnet()
    pairs = [(cost_ns(bare()), cost_ns(with_linnet())) for _ in range(sizes.pairs)]
    ratios = [b / a for a, b in pairs]
    low, high = percentile(ratios, 0.25), percentile(ratios, 0.75)
    a_ns, b_ns = (statistics.median(side) for side in zip(*pairs))
    return row(name, statistics.median(ratios), "x", bar=bar, goal=goal,
               spread=[low, high], note=f"{a_ns:.0f} → {b_ns:.0f} ns",
               pairs_ns=[[round(a), round(b)] for a, b in pairs])


def connects(lab, sizes):
    """connect+close: outside the tree, to an expected place, and a flood to unexpected ones; as a
    kernel comes, where the bars hold, and lean: without TIME_WAIT, and no server to wake."""
    for lean, count_each, usual, other in (
            (False, 15000, places.USUAL, places.OTHER_USUAL),
            (True, 30000, places.BATCHING, places.OTHER_BATCHING)):
        lab.keep_time_wait(not lean)
        for count in 1, 4:
            def measure(what, run, limit, port, spread=1, lean=lean, count=count,
                        each=count_each):
                args = ["connect", port, scaled(sizes, each), count, spread, 0]
                name = f"{'lean ' if lean else ''}connect+close, {what}, {count} proc."
                return paired(name, sizes, lambda: lab.bare(*args), lambda: run(*args),
                              **{"goal" if lean else "bar": ("<=", limit)})

            yield measure("untracked", lab.beside, 1.02, usual)
            yield measure("expected", lab.watched, 1.06, usual)
            yield measure("flood to 1 unexpected", lab.watched, 1.15, other)
            yield measure("flood to 1,000 unexpected", lab.watched, 1.15, other, 1000)
    lab.keep_time_wait(False)


def other_calls(lab, sizes):
    """What a process does besides connecting: the agent, and one beside it. A stream costs per KiB:
    1.02 is 0.98 of the throughput."""
    for name, arguments, limit in (
            ("UDP round trip, p50", ["udp", places.ECHO, scaled(sizes, COUNT["udp"]), 0],
             {"goal": ("<=", 1.05)}),
            ("TCP round trip, p50", ["pingpong", places.TCP_ECHO,
                                     scaled(sizes, COUNT["pingpong"]), 0], {"bar": ("<=", 1.05)}),
            ("TCP stream", ["stream", places.DISCARD, scaled(sizes, COUNT["stream"]), 0],
             {"bar": ("<=", 1.02)}),
            ("getppid", ["getppid", scaled(sizes, COUNT["getppid"])], {"bar": ("<=", 1.02)}),
            ("fork+exec", ["forkexec", scaled(sizes, COUNT["forkexec"])], {"goal": ("<=", 1.05)})):
        yield paired(name, sizes, lambda a=arguments: lab.bare(*a),
                     lambda a=arguments: lab.watched(*a), **limit)
        yield paired(f"{name}, untracked", sizes, lambda a=arguments: lab.bare(*a),
                     lambda a=arguments: lab.beside(*a), bar=("<=", 1.02))
        if arguments[0] == "udp":
            yield paired("the same beside an empty program there", sizes,
                         lambda a=arguments: lab.bare(*a),
                         lambda a=arguments: lab.beside_nothing(*a))
            yield paired("untracked, against the empty program", sizes,
                         lambda a=arguments: lab.beside_nothing(*a),
                         lambda a=arguments: lab.beside(*a), bar=("<=", 1.02))


def check_requests(lab, arguments):
    """Each is permitted by its name, and its first bytes are read."""
    run = Watched(lab, arguments)
    made = json.loads(run.line())["made"] + 1
    run.end()
    told = list(run.records())
    permitted = sum(r["type"] == "flow-open" and r["verdict"] == "expected" for r in told)
    named = sum(r["type"] == "claim" and r["claimed"]["name"] == places.NAME for r in told)
    if permitted != made or named != made:
        raise RuntimeError(f"of {made} requests {permitted} were permitted and {named} read")


def requests(lab, sizes):
    """What an agent does all day: a look-up, a connect to what was answered, a request, its
    response. The answer and the request's first bytes are copied and read. By TLS, and with
    nothing but the system calls."""
    plain = ["request", places.WEB, scaled(sizes, COUNT["request"]), 0]
    with lab.web_server() as authority:
        tls = ["https", places.WEB_TLS, scaled(sizes, COUNT["https"]), 0, authority]
        for name, arguments in ("request by name", plain), ("HTTPS request by name", tls):
            check_requests(lab, arguments)
            yield paired(f"{name}, p50", sizes, lambda a=arguments: lab.bare(*a),
                         lambda a=arguments: lab.watched(*a), bar=("<=", 1.05))
            yield paired(f"{name}, p50, untracked", sizes, lambda a=arguments: lab.bare(*a),
                         lambda a=arguments: lab.beside(*a), bar=("<=", 1.02))
    yield paired("request by name, p50, beside empty programs there", sizes,
                 lambda: lab.bare(*plain), lambda: lab.beside_nothing(*plain))


def in_kernel(lab, sizes):
    """Time in linnet's programs by the kernel's own clock, without what it counts for an empty
    program. The other side of each connection is outside the tree and goes through the same
    programs; the kernel does not tell them apart."""
    stats, empty_ns = lab.start("stats")
    try:
        for name, limits, arguments in (
                ("a connect+close, expected", {"bar": ("<=", 500)},
                 ["connect", places.BATCHING, scaled(sizes, 50000), 1, 1, 0, "hold"]),
                ("a connect+close, unexpected", {},
                 ["connect", places.OTHER_BATCHING, scaled(sizes, 50000), 1, 1, 0, "hold"]),
                ("a UDP round trip", {}, ["udp", places.ECHO, scaled(sizes, 50000), 0, "hold"])):
            run = Watched(lab, arguments)
            made = json.loads(run.line())["made"]
            held = places.programs(run.monitor())
            run.end()
            ours = {n: facts for n, facts in held.items() if n.startswith(TRAFFIC_HOOKS)}
            if not ours:
                raise RuntimeError(f"no BPF program for traffic among {sorted(held)}")
            yield in_kernel_row(name, ours, made, float(empty_ns), limits)
    finally:
        lab.stop(stats)


def in_kernel_row(name, programs, made, empty_ns, limits):
    parts = {}
    for program, facts in programs.items():
        calls = facts.get("run_cnt", 0) / made
        if calls >= 0.01:
            parts[program] = {"calls": calls,
                              "ns": facts["run_time_ns"] / made - calls * empty_ns}
    net = sum(p["ns"] for p in parts.values())
    calls = sum(p["calls"] for p in parts.values())
    by_cost = sorted(parts.items(), key=lambda part: -part[1]["ns"])
    return row(f"in-kernel time of {name}", net, "ns", **limits, parts=parts, note=", ".join(
        [*(f"{n} {p['ns']:.0f} in {p['calls']:.1f} calls" for n, p in by_cost),
         f"left out: {calls:.1f} × {empty_ns:.0f} ns of an empty program"]))


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
        clock.wait()
        seen = {line.split()[1]: at_ns for at_ns, line in lab.arrived()
                if line.startswith("Destination: ")}
        took = [(seen[where] - at_ns) / 1e6 for where, at_ns in stamps.items()
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
        opens = closes = others = lost = dropped = still_open = 0
        for record in run.records():
            opens += record["type"] == "flow-open"
            closes += record["type"] == "flow-close"
            others += record["type"] == "process"
            if record["type"] == "summary":
                lost, dropped = record["lost"], record["log_dropped"]
                still_open = record["flows_open"]
        made = 2 * said["made"]
        # exec and exit of the first process; four children fork and exit.
        unaccounted = made + 10 - (opens + closes + others + lost + still_open)
        yield row(f"events lost at {name}", lost + dropped, f"of {made}",
                  goal=("==", 0),
                  note=f"{said['n'] / said['ns'] * 1e9:.0f} a second; {opens} opens, {closes} "
                  f"closes of {said['made']}, {still_open} still open; linnet was done {drained:.2f} s later")
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
    yield row("wake-ups when nothing happens", spent[2] / seconds, "a second", goal=("<", 1.5),
              note="it looks at itself once a second")
    yield row("RSS idle", resident / 1024, "MiB", bar=("<", 12),
              note=f"peak {peak / 1024:.1f}; launcher {parent / 1024:.1f}")


def busy_of(*pids):
    return [sum(values) for values in zip(*map(places.busy, pids))]


def settled(pid):
    """CPU time of a process once it has nothing left to do."""
    before, now = -1, places.busy(pid)[0]
    while now != before:
        time.sleep(0.2)
        before, now = now, places.busy(pid)[0]
    return now


def memory(lab, sizes):
    """The monitor after many connections: what it holds, and what it has worked."""
    count = scaled(sizes, 100000)
    for name, port, spread in (("expected", places.BATCHING, 1),
                               ("unexpected, 10,000 places", places.OTHER_BATCHING, 10000)):
        before = Watched(lab, ["wait"])
        before.line()
        start_ns = settled(before.monitor())
        before.end()
        run = Watched(lab, ["connect", port, count, 1, spread, 25000, "hold"])
        made = json.loads(run.line())["made"]
        pid = run.monitor()
        spent_us = (settled(pid) - start_ns) / 1000
        resident, peak = places.memory_kb(pid)
        run.end()
        yield row(f"RSS after {made:,} connections, {name}", resident / 1024, "MiB",
                  bar=("<", 12), note=f"peak {peak / 1024:.1f}")
        yield row(f"CPU of the monitor a connection, {name}", spent_us / made, "µs",
                  note=f"{run.log_bytes / made:.0f} bytes of log")


SUBJECTS = {"connect": connects, "calls": other_calls, "request": requests,
            "kernel": in_kernel, "latency": latency,
            "start": first_connection, "children": short_children, "losses": losses, "idle": idle,
            "memory": memory}
