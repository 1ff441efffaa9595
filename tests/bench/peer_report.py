# SPDX-License-Identifier: Apache-2.0
"""The comparison with the peers as lines and as a table."""
import textwrap

from report import markdown_table

COLUMNS = 120  # of prose

HEADINGS = ["tool", "connect+close 1 / 4 proc., ×", "TCP round trip, ×", "TCP stream, ×",
            "short connections: destination / PID / command / name, %", "told after, paced p50 / p99, ms",
            "in bursts of 50, ms", "idle CPU, %", "RSS, MiB", "first report, s", "commands"]


def ratio(tool, name):
    told = tool["ratios"][name]
    low, high = told["quartiles"]
    return f"{told['ratio']:.2f} ({low:.2f} to {high:.2f})"


def share(number, of):
    """Never rounded up to all of them."""
    return f"{int(1000 * number / of) / 10:g}"


def told_after(latency):
    if "p50" not in latency:
        return f"{latency['seen']} of {latency['of']}"
    missed = "" if latency["seen"] == latency["of"] else f" ({latency['seen']} of {latency['of']})"
    return f"{latency['p50']:.2f} / {latency['p99']:.2f}{missed}"


def cells(tool):
    if "absent" in tool:
        return [tool["name"], f"does not run here: {tool['absent']}", *[""] * (len(HEADINGS) - 2)]
    found = tool["children"]
    return [tool["name"],
            f"{ratio(tool, 'connect_1')} / {ratio(tool, 'connect_4')}",
            ratio(tool, "pingpong"), ratio(tool, "stream"),
            " / ".join(share(found[what], found["of"])
                       for what in ("destination", "pid", "command", "name")),
            told_after(tool["latency"]["paced"]), told_after(tool["latency"]["bursts"]),
            f"{tool['idle']['cpu_percent']:.2f}", f"{tool['idle']['rss_mib']:.1f}",
            f"{tool['first_s']['median']:.2f}", str(len(tool["commands"]))]


def line(tool):
    if "absent" in tool or "ratios" not in tool:
        return f"{tool['name']:24} {tool.get('absent', tool['children'])}"
    return "  ".join([f"{tool['name']:24}", *cells(tool)[1:]])


def paragraph(text):
    return textwrap.fill(text, COLUMNS, break_long_words=False, break_on_hyphens=False)


def markdown(facts, tools):
    """Linnet first; bare only tells how long a child lives."""
    compared = sorted((t for t in tools if t["name"] != "bare"), key=lambda t: t["name"] != "linnet")
    lines = ["![Cost, what is told of short connections, and how soon, of linnet and of the others](peers.svg)",
             "", paragraph(f"{facts['date'][:10]}, commit {facts['commit']}, Linux {facts['kernel']}, "
                           f"{facts['cpus']} CPUs ({facts['cpu']}), {facts['pairs']} pairs, load before "
                           f"{facts['load_before']:.2f}, {facts['took_s'] / 60:.1f} minutes. Raw runs: "
                           "[peers.json](peers.json)."), "",
             *markdown_table(HEADINGS, map(cells, compared)), "",
             *markdown_table(["tool", "version", "a child lived, ms", "more", "what a person types"],
                             map(details, compared))]
    bare = next(t for t in tools if t["name"] == "bare")["children"]
    told = (f"Without a tool a child lived {bare['life_ms']} ms (median), {bare['short']} of {bare['of']} "
            "less than 5 ms.")
    own = next((t["installed"] for t in tools if "installed" in t), None)
    if own:
        told += (f" `make install` of what was built took {own['install_s']:.2f} s, and from there to the "
                 f"first alert it was {own['alert_s']:.2f} s.")
    return "\n".join([*lines, "", paragraph(told)])


def details(tool):
    typed = "<br>".join(f"`{c}`".replace("|", "\\|") for c in tool["commands"])
    life = str(tool["children"]["life_ms"]) if "children" in tool else ""
    return [tool["name"], tool.get("version", ""), life, tool.get("note", ""), typed]
