#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Draws results as SVG, readable on light and on dark pages: `tests/bench/plot.py FOLDER` draws
FOLDER/results.json and FOLDER/peers.json anew."""
import json
import math
import sys
from pathlib import Path
from xml.sax.saxutils import escape

STYLE = """
  svg { --paper: #ffffff; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --own: #0969da; --other: #7d8590; --bad: #cf222e }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --own: #4493f8; --other: #8b949e; --bad: #f85149 }
  }
"""
# Written out for viewers that know no variables: the light colours.
LIGHT = {"paper": "#ffffff", "ink": "#1f2328", "soft": "#59636e", "line": "#d1d9e0", "own": "#0969da",
         "other": "#7d8590", "bad": "#cf222e"}
ROW, TOP = 28, 112
DETECTED = ("destination", "pid", "command", "name")
HEADINGS = ("where", "PID", "command", "name")


class Canvas:
    def __init__(self, width, title, subtitle):
        self.width, self.parts = width, []
        self.title = title
        self.text(20, 30, title, size=17, weight=600)
        self.text(20, 50, subtitle, colour="soft")

    def add(self, kind, colour, painted, **values):
        """The colour both as an attribute and as a variable, which wins where it is known."""
        self.parts.append(f"<{kind} " + " ".join(f'{k.replace("_", "-")}="{v}"' for k, v in values.items()) +
                          f' {painted}="{LIGHT[colour]}" style="{painted}: var(--{colour})"/>')

    def text(self, x, y, words, size=12, weight=400, colour="ink", anchor="start"):
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" '
            f'text-anchor="{anchor}" fill="{LIGHT[colour]}" style="fill: var(--{colour})">'
            f"{escape(words)}</text>")

    def line(self, x1, y1, x2, y2, colour="line", width=1, **more):
        self.add("line", colour, "stroke", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}",
                 y2=f"{y2:.1f}", stroke_width=width, **more)

    def dot(self, x, y, colour, hollow=False):
        if hollow:
            self.add("circle", colour, "stroke", cx=f"{x:.1f}", cy=f"{y:.1f}", r=4, stroke_width=2,
                     fill="none")
        else:
            self.add("circle", colour, "fill", cx=f"{x:.1f}", cy=f"{y:.1f}", r=5)

    def box(self, x, y, width, height, colour, opacity):
        self.add("rect", colour, "fill", x=f"{x:.1f}", y=f"{y:.1f}", width=width, height=height, rx=3,
                 fill_opacity=f"{opacity:.2f}")

    def svg(self, height):
        return ("<!--\nSPDX-License-Identifier: Apache-2.0\n-->\n"
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {height}" width="{self.width}" '
                f'height="{height}" role="img" font-family="system-ui, \'DejaVu Sans\', sans-serif">\n'
                f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n"
                f'<rect width="{self.width}" height="{height}" fill="{LIGHT["paper"]}" style="fill: var(--paper)"/>\n' +
                "\n".join(self.parts) + "\n</svg>\n")


class Axis:
    """A scale from left to right, with its grid and its labels above."""

    def __init__(self, canvas, x, width, values, log, bottom, unit):
        low, high = min(values), max(values)
        if log:
            steps = [m * 10 ** e for e in range(-3, 6) for m in (1, 2, 5)]
        else:
            steps = [i / 10 for i in range(0, 101)]
        first = max((s for s in steps if s <= low), default=steps[0])
        last = min((s for s in steps if s >= high), default=steps[-1])
        last = last if last > first else steps[steps.index(first) + 1]
        self.x, self.width, self.log, self.low, self.high = x, width, log, first, last
        ticks = [s for s in steps if first <= s <= last]
        keep, one = math.ceil(len(ticks) / 7), ticks.index(1) if 1 in ticks else 0
        for tick in ticks[one % keep::keep]:
            canvas.line(self.at(tick), TOP - 6, self.at(tick), bottom)
            canvas.text(self.at(tick), TOP - 12, f"{tick:g}{unit}", size=10, colour="soft",
                        anchor="middle")

    def at(self, value):
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.x + share * self.width


def rows_of(canvas, names, colour_of):
    for index, name in enumerate(names):
        y = TOP + index * ROW + ROW / 2
        canvas.text(20, y + 4, name, weight=600 if colour_of(name) == "own" else 400,
                    colour=colour_of(name) if colour_of(name) != "other" else "ink")
        yield name, y


def peers(told):
    """Tools as rows: what they cost, what they tell, how soon, and what they need."""
    facts, tools = told["environment"], told["tools"]
    tools = sorted((t for t in tools if t["name"] != "bare"), key=lambda t: t["name"] != "linnet")
    ran = [t for t in tools if "absent" not in t]
    bottom = TOP + len(tools) * ROW
    canvas = Canvas(1080, "linnet beside what people would use instead",
                    f"{facts['date'][:10]}, Linux {facts['kernel']}, {facts['cpus']} CPUs, medians of "
                    f"{facts['pairs']} alternating pairs; less is better, but for what is reported")
    canvas.text(215, 82, "connect+close, time against bare (×)", weight=600)
    canvas.text(480, 82, f"short connections reported, of {facts['children']:,}", weight=600)
    canvas.text(735, 82, "connect until told, p50 to p99 (ms)", weight=600)
    canvas.text(1025, 82, "idle", weight=600, anchor="middle")
    cost = Axis(canvas, 220, 225, [1, *(t["ratios"][w]["ratio"] for t in ran
                                        for w in ("connect_1", "connect_4"))], True, bottom, "")
    paced = [t["latency"]["paced"] for t in ran]
    wait = Axis(canvas, 740, 210, [1, *(p[k] for p in paced if "p50" in p for k in ("p50", "p99"))],
                True, bottom, "")
    for index, heading in enumerate(HEADINGS):
        canvas.text(505 + index * 58, TOP - 12, heading, size=10, colour="soft", anchor="middle")
    for x, heading in ((1000, "CPU %"), (1050, "MiB")):
        canvas.text(x, TOP - 12, heading, size=10, colour="soft", anchor="middle")
    by_name = {t["name"]: t for t in tools}
    colour_of = lambda name: "own" if name == "linnet" else "other"  # noqa: E731
    for name, y in rows_of(canvas, by_name, colour_of):
        tool = by_name[name]
        if "absent" in tool:
            canvas.text(220, y + 4, f"does not run here: {tool['absent']}"[:110], colour="soft")
            continue
        peer_row(canvas, tool, y, colour_of(name), cost, wait)
    canvas.dot(225, bottom + 24, "other")
    canvas.text(236, bottom + 28, "1 process", size=11, colour="soft")
    canvas.dot(315, bottom + 24, "other", hollow=True)
    canvas.text(326, bottom + 28, "4 processes", size=11, colour="soft")
    canvas.text(480, bottom + 28, "each has its own place, PID, command, name", size=11, colour="soft")
    canvas.text(740, bottom + 28, "one connection each 20 ms", size=11, colour="soft")
    return canvas.svg(bottom + 44)


def peer_row(canvas, tool, y, colour, cost, wait):
    one, four = (cost.at(tool["ratios"][w]["ratio"]) for w in ("connect_1", "connect_4"))
    canvas.line(one, y, four, y, colour, 2, stroke_opacity=0.5)
    canvas.dot(four, y, colour, hollow=True)
    canvas.dot(one, y, colour)
    for index, what in enumerate(DETECTED):
        share = tool["children"][what] / tool["children"]["of"]
        canvas.box(479 + index * 58, y - 11, 52, 22, colour, 0.06 + 0.34 * share)
        canvas.text(505 + index * 58, y + 4, f"{math.floor(1000 * share) / 10:g} %", size=11, anchor="middle")
    paced = tool["latency"]["paced"]
    if "p50" in paced:
        p50, p99 = wait.at(paced["p50"]), wait.at(paced["p99"])
        canvas.line(p50, y, p99, y, colour, 2)
        canvas.line(p99, y - 5, p99, y + 5, colour, 2)
        canvas.dot(p50, y, colour)
    else:
        canvas.text(wait.x, y + 4, f"told {paced['seen']} of {paced['of']}", size=11, colour="soft")
    idle = tool["idle"]
    canvas.text(1000, y + 4, f"{idle['cpu_percent']:.1f}", size=11, anchor="middle")
    canvas.text(1050, y + 4, f"{idle['rss_mib']:.0f}", size=11, anchor="middle")


def bars(told):
    """Each ratio to bare with its quartiles, and the limit that it must hold."""
    facts = told["environment"]
    results = [r for r in told["results"] if r["unit"] == "x" and "limit" in r]
    bottom = TOP + len(results) * ROW
    canvas = Canvas(900, "What linnet costs: time against bare",
                    f"{facts['date'][:10]}, commit {facts['commit']}, Linux {facts['kernel']}, {facts['cpus']} CPUs, "
                    f"median and quartiles of {facts['pairs']} pairs")
    canvas.text(390, 82, "ratio to the same workload without linnet (×; 1 is free)", weight=600)
    axis = Axis(canvas, 390, 440, [v for r in results for v in (*r["spread"], r["limit"][1])], False,
                bottom, "")
    canvas.line(axis.at(1), TOP - 6, axis.at(1), bottom, "soft", 1.5)
    for index, result in enumerate(results):
        y, colour = TOP + index * ROW + ROW / 2, "own" if result["passed"] else "bad"
        canvas.text(20, y + 4, result["name"])
        low, high = map(axis.at, result["spread"])
        limit = axis.at(result["limit"][1])
        canvas.line(low, y, high, y, colour, 3, stroke_opacity=0.5)
        canvas.line(limit, y - 9, limit, y + 9, "ink", 2,
                    **({"stroke_dasharray": "3 3"} if result["kind"] == "goal" else {}))
        canvas.dot(axis.at(result["value"]), y, colour)
        canvas.text(880, y + 4, f"{result['value']:.2f}", colour=colour if colour == "bad" else "ink", anchor="end")
    y = bottom + 24
    for x, colour, words in ((395, "own", "holds its limit"), (515, "bad", "misses it")):
        canvas.dot(x, y, colour)
        canvas.text(x + 11, y + 4, words, size=11, colour="soft")
    canvas.line(610, y - 8, 610, y + 8, "ink", 2)
    canvas.text(618, y + 4, "bar", size=11, colour="soft")
    canvas.line(660, y - 8, 660, y + 8, "ink", 2, stroke_dasharray="3 3")
    canvas.text(668, y + 4, "goal", size=11, colour="soft")
    return canvas.svg(bottom + 44)


DRAWN = {"results": bars, "peers": peers}


def draw(folder, name):
    told = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    (folder / f"{name}.svg").write_text(DRAWN[name](told), encoding="utf-8")


if __name__ == "__main__":
    for drawn in DRAWN:
        if (Path(sys.argv[1]) / f"{drawn}.json").exists():
            draw(Path(sys.argv[1]), drawn)
