# SPDX-License-Identifier: Apache-2.0
"""No way out unseen: every technique of techniques.py is done, its token arrives outside, and then
there is an alert with the right owner and the real destination, or one on the preparation, or
`linnet doctor` says that linnet is blind to it here. The table of it all goes to docs/limits.md."""
import itertools
import json
import os
import platform
import subprocess

import pytest

import escape
import techniques
from marked import write_table
from techniques import BLIND, FLOW, PREPARED, SEEN, TECHNIQUES, WIRE
from watch import BUILD, LINNET, ROOT

DOCUMENT = ROOT / "docs/limits.md"
BEGIN, END = "<!-- table: written by tests/kernel/test_escape.py -->", "<!-- end of table -->"
PRINTED = BUILD / "escape-table.txt"
NOT_HERE = "not on this kernel"
rows = {}  # technique id → Row


class Row:
    """What the table says of one technique."""

    def __init__(self, technique, seen_as, channel, alert=None, how="", ms=None):
        self.technique, self.seen_as, self.channel = technique, seen_as, channel
        self.alert, self.how, self.ms = alert, how, ms


@pytest.fixture(scope="module")
def channels():
    """The channel table of `linnet doctor`, by name."""
    done = subprocess.run([LINNET, "doctor", "--json"], capture_output=True, text=True, timeout=60,
                          check=False)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return {r["name"]: r for r in records if r["section"] == "channel"}


@pytest.fixture(scope="module")
def place(nothing_left):
    made = escape.Place()
    yield made
    made.net.close()


@pytest.fixture
def places():
    """Makes places of the test's own."""
    made = []

    def make():
        made.append(escape.Place())
        return made[-1]

    yield make
    for one in made:
        one.net.close()


def text_of(ip, port):
    host = f"[{ip}]" if ":" in ip else ip
    return f"{host}:{port}" if port != "0" else f"{host}"


def is_there(alert, destination):
    """A port that the protocol does not have is not compared."""
    said = alert.fields.get("Destination", "")
    return said == destination or said.startswith((destination + " ", destination + ":"))


def is_owner(outcome, alert):
    t = outcome.technique
    command = alert.fields.get("Command", "")
    if t.owner:  # a program that the actor starts
        tree = {r["child"] for r in outcome.records if r["type"] == "process"
                and r.get("event") == "fork"}
        return os.path.basename(command.split()[0]) in t.owner and int(alert["PID"]) in tree
    return alert["PID"] == str(outcome.go_pid) and outcome.words["token"] in command


def destinations(outcome):
    """Where the alert has to say that it goes, and where it arrives; "" is not compared."""
    t = outcome.technique
    ip, port = (str(word).format(**outcome.words) for word in t.at)
    arrives = text_of(ip, port) if ip else ""
    return t.destination.format(**outcome.words) or arrives, arrives


def judge(outcome):
    """The alert that tells it, or None; an AssertionError when an alert is wrong."""
    t = outcome.technique
    told, arrives = destinations(outcome)
    fits = [a for a in outcome.alerts if a.title in t.titles]
    for alert in outcome.alerts:
        if alert.title in (FLOW, WIRE):
            assert is_there(alert, told) or is_there(alert, arrives), f"wrong place: {alert}"
    if t.expect == SEEN:
        fits = [a for a in fits if a.title not in techniques.NAMES_PLACE or is_there(a, told)]
    for alert in fits:
        assert is_owner(outcome, alert), f"not by {outcome.go_pid}: {alert}\n{outcome.text}"
    return next((a for title in t.titles for a in fits if a.title == title), None)


def record_of(outcome, alert):
    """The alert in the log."""
    return next(r for r in outcome.records if r.get("title") == alert.title and r.get("alert")
                and str(r.get("pid")) == alert["PID"])


@pytest.mark.parametrize("technique", TECHNIQUES, ids=lambda t: t.id)
def test_escape(technique, place, places, channels):
    assert technique.row in channels, f"`linnet doctor` has no row {technique.row!r}"
    channel = channels[technique.row]
    outcome = escape.run(technique, places() if technique.fresh else place,
                         places() if technique.scene == "second" else None,
                         channel["sight"] == "BLIND")
    if outcome.missing:
        if "LINNET_VM" in os.environ:  # in CI a failure: it was chosen because it is there
            pytest.skip(outcome.missing)
        rows[technique.id] = Row(technique, f"{NOT_HERE}: {outcome.missing}", channel)
        return
    alert = judge(outcome)
    if alert and not (technique.by_chance and channel["sight"] == "BLIND"):
        assert channel["sight"] != "BLIND", f"`linnet doctor` says BLIND, and there is\n{alert}"
        record = record_of(outcome, alert)
        if technique.party:
            assert record.get(technique.party, True), record
            maker = record["other"]  # of a socket that was made outside not every kernel tells
            assert maker is None or maker["pid"] in (0, outcome.outsider), record
        ms = (alert.arrived_ns - outcome.go_ns) / 1e6
        rows[technique.id] = Row(technique, alert.title, channel, alert, record.get("how", ""), ms)
        return
    # Ways out by an IP socket are seen on every kernel that linnet supports.
    may_be_blind = technique.expect in (BLIND, PREPARED) or technique.section == 2
    assert may_be_blind and channel["sight"] == "BLIND", (
        f"{technique.title}: {outcome.words['token']} arrived at {outcome.arrived}, and nothing "
        f"told it; `linnet doctor`: {channel}\n{outcome.text}")
    rows[technique.id] = Row(technique, "BLIND", channel)


def by_channel():
    """(channel, [row]) in the order in which the channels come first."""
    order = list(dict.fromkeys(t.row for t in TECHNIQUES))
    found = sorted((rows[t.id] for t in TECHNIQUES if t.id in rows),
                   key=lambda r: order.index(r.technique.row))
    return [(r[0].channel, r) for r in (list(group) for _, group in
                                        itertools.groupby(found, lambda r: r.technique.row))]


def printed():
    lines = [f"{'technique':61} {'seen as':31} {'owner':5} {'place':5} {'how':9} {'ms':>7}"]
    for _, group in by_channel():
        for r in group:
            yes = "yes" if r.alert else "-"
            where = yes if r.alert and r.alert.title in techniques.NAMES_PLACE else "-"
            ms = "-" if r.ms is None else f"{r.ms:.2f}" if r.ms > 0 else "before"
            lines.append(f"{r.technique.title:61.61} {r.seen_as:31} {yes:5} {where:5} "
                         f"{r.how or '-':9} {ms:>7}".rstrip())
    return "\n".join(lines) + "\n"


def documented():
    version = ".".join(platform.release().split(".")[:2])
    lines = [f"On Linux {version}:", "", "| way out | seen as |", "|---|---|"]
    for channel, group in by_channel():
        by = f" by {channel['by']}" if channel["by"] else ""
        lines.append(f"| **{channel['name']}**{by} | **{channel['sight']}** |")
        lines += [f"| {r.technique.title} | {r.seen_as} |" for r in group]
    return "\n".join(lines) + "\n"


def test_table_is_written():
    """Only of a run in which each technique came to something."""
    PRINTED.write_text(printed(), encoding="utf-8")
    if len(rows) == len(TECHNIQUES):
        write_table(DOCUMENT, BEGIN, END, documented())
