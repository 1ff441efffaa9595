# SPDX-License-Identifier: Apache-2.0
"""Rows of results, their limits, and how they are shown. A bar is what a release must hold; a goal
is where linnet wants to be, and missing it fails nothing."""
import operator
import os
import platform
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HOLDS = {"<": operator.lt, "<=": operator.le, "==": operator.eq}
BEGIN, END = "<!-- table: written by tests/bench/run --record -->", "<!-- end of the table -->"


def row(name, value, unit, bar=None, goal=None, **more):
    """bar and goal: (comparison, number). The value is judged as it is shown, not finer."""
    kind, limit = ("bar", bar) if bar else ("goal", goal)
    value = round(value, 2 if unit == "x" else 3)
    result = {"name": name, "value": value, "unit": unit, **more}
    if limit:
        result |= {"kind": kind, "limit": list(limit),
                   "passed": HOLDS[limit[0]](value, limit[1])}
    return result


def shown(value, unit):
    if unit == "x":
        return f"{value:.2f}"
    text = f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.3g}"
    return f"{text} {unit}"


def cells(result):
    value = shown(result["value"], result["unit"])
    if "spread" in result:
        low, high = (shown(v, result["unit"]).split()[0] for v in result["spread"])
        value += f" ({low} to {high})"
    if "limit" not in result:
        return [result["name"], value, "", "", result.get("note", "")]
    sign, number = result["limit"]
    verdict = "pass" if result["passed"] else "MISS"
    limit = f"{sign} {number:g}".replace("<=", "≤").replace("== ", "")
    limit += " (goal)" if result["kind"] == "goal" else ""
    return [result["name"], value, limit, verdict, result.get("note", "")]


def missed(results):
    return [r for r in results if r.get("kind") == "bar" and not r["passed"]]


def environment(pairs):
    def said(*command):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "commit": said("git", "-c", "safe.directory=*", "describe", "--always", "--dirty"),
            "kernel": platform.release(), "machine": platform.machine(),
            "cpus": os.cpu_count(), "pairs": pairs, "load_before": os.getloadavg()[0]}


def markdown(facts, results):
    lines = [f"{facts['date'][:10]}, commit {facts['commit']}, Linux {facts['kernel']}, "
             f"{facts['cpus']} CPUs, {facts['pairs']} pairs, load before {facts['load_before']:.2f}.",
             "", *markdown_table(["what", "value (quartiles)", "limit", "", "more"], map(cells, results))]
    return "\n".join(lines)


def markdown_table(headings, rows):
    return ["| " + " | ".join(cells) + " |" for cells in (headings, ["---"] * len(headings), *rows)]


def line(result):
    name, value, limit, verdict, note = cells(result)
    return f"{verdict:5}{name:58} {value:26} {limit:14} {note}".rstrip()
