# SPDX-License-Identifier: Apache-2.0
"""The comparison with other tools: what they say is read right, a run leaves nothing, the pictures
and tables come of it. How fast anything is is not asked here."""
import json
import subprocess
import sys
import types
import xml.etree.ElementTree as ElementTree

import pytest

from watch import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tests/bench"))

import compare  # noqa: E402
import peer_report  # noqa: E402
import peers  # noqa: E402
import plot  # noqa: E402

TITLE = b"work\0child\00020101\0007\0named".hex().upper()
SAID = {
    "strace -f": ('11 execve("/proc/self/exe", ["work", "child", "20101", "7", "named"], 0x7f /* 41 vars */) = 0\n'
                  '11 connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.1")}, 16) = 0\n'
                  '11 connect(3, {sa_family=AF_INET, sin_port=htons(20101), sin_addr=inet_addr("198.18.0.7")}, 16'
                  " <unfinished ...>\n", "198.18.0.7:20101", 11, "work child 20101 7 named", ""),
    "bpftrace": ("Attaching 1 probe...\n11 my work 198.18.0.7:20101\n", "198.18.0.7:20101", 11, "my work", ""),
    "opensnitchd": ("\x1b[2m[d]\x1b[0m DBG new connection tcp => 5:198.18.0.7 -> 198.18.0.7:20101 uid: 0\n"
                    "DBG [0] PID found 11 [14005139]\n"
                    "DBG \x1b[1m✔\x1b[0m \x1b[1m/bin/work\x1b[0m -> \x1b[1mc0007.bench.test\x1b[0m:20101 (all)\n",
                    "198.18.0.7:20101", 11, "/bin/work", "c0007.bench.test"),
    "tcpdump, SYN only": ("16:50:08.3 IP 198.18.0.7.40520 > 198.18.0.7.20101: Flags [S], seq 1, length 0\n",
                          "198.18.0.7:20101", None, "", ""),
    "conntrack -E": ("    [NEW] tcp      6 120 SYN_SENT src=198.18.0.7 dst=198.18.0.7 sport=40538 dport=20101 "
                     "[UNREPLIED] src=1.2.3.4 dst=4.3.2.1 sport=20101 dport=40538\n",
                     "198.18.0.7:20101", None, "", ""),
    "ss each 0.1 s": ('ESTAB 0      0      127.0.0.1:34 198.18.0.7:20101 users:(("work",pid=11,fd=3))\n',
                      "198.18.0.7:20101", 11, "work", ""),
    "lsof each 0.1 s": ("sink    9 root    3u  IPv4 14013544      0t0  TCP *:20101 (LISTEN)\n"
                        "work    11 root    3u  IPv4 14013544      0t0  TCP 1.2.3.4:5->198.18.0.7:20101 (SYN_SENT)\n",
                        "198.18.0.7:20101", 11, "work", ""),
    "auditd": ('type=SYSCALL msg=audit(17.8:8): arch=c000003e syscall=42 success=yes ppid=9 pid=11 auid=0 exe="/w"\n'
               "type=SOCKADDR msg=audit(17.8:8): saddr=02004E85C6120007000000000000SADDR={ … }\n"
               f"type=PROCTITLE msg=audit(17.8:8): proctitle={TITLE}\n",
               "198.18.0.7:20101", 11, "work child 20101 7 named", ""),
}


@pytest.mark.parametrize("name", SAID)
def test_what_a_tool_says_is_read(name, tmp_path):
    text, where, pid, command, site = SAID[name]
    tool = peers.PEERS[name](types.SimpleNamespace(folder=tmp_path))
    tool.log.parent.mkdir(exist_ok=True)
    tool.log.write_text(text)
    told = [one for _, one in tool.reports() if not one["where"].endswith(":53")]
    assert told == [{"where": where, "pid": pid, "command": command, "name": site}]


def made_up():
    ratios = {name: {"ratio": 1.5, "quartiles": [1.25, 2.0], "pairs_ns": [[100, 150]]} for name in compare.WORKLOADS}
    common = {"version": "1", "commands": ["a | b"], "note": "<&>", "ratios": ratios,
              "idle": {"cpu_percent": 0.5, "rss_mib": 8.0}, "first_s": {"median": 0.1, "runs": [0.1]},
              "children": {"of": 2000, "destination": 2000, "pid": 1999, "command": 0, "name": 0, "life_ms": 1,
                           "short": 2000}}
    told = {"of": 10, "seen": 10, "ms": [1], "p50": 0.25, "p99": 12.5}
    none = {"of": 10, "seen": 0, "ms": []}
    return {"environment": {"date": "2026-01-02T03:04:05Z", "commit": "c0ffee", "kernel": "6.1", "cpus": 2,
                            "cpu": "a CPU", "pairs": 3, "load_before": 0, "took_s": 90, "children": 2000},
            "tools": [{**common, "name": "fast & <loose>", "latency": {"paced": told, "bursts": told}},
                      {**common, "name": "polls", "latency": {"paced": none, "bursts": none}},
                      {"name": "absent", "commands": ["x"], "absent": "no kernel <for> it"},
                      {**common, "name": "linnet", "latency": {"paced": told, "bursts": told},
                       "installed": {"install_s": 1, "alert_s": 0.2}},
                      {"name": "bare", "children": common["children"]}]}


def words_of(picture):
    root = ElementTree.fromstring(picture)
    assert root.tag.endswith("svg")
    return [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]


def test_comparison_is_drawn_and_told():
    told = made_up()
    words = words_of(plot.peers(told))
    for expected in ("linnet", "fast & <loose>", "does not run here: no kernel <for> it", "told 0 of 10", "99.9 %"):
        assert expected in words
    table = peer_report.markdown(told["environment"], told["tools"])
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[2:6]] == ["| linnet", "| fast & <loose>", "| polls", "| absent"]
    assert "100 / 99.9 / 0 / 0" in rows[2] and "0 of 10" in rows[4] and "does not run here" in rows[5]
    assert "a \\| b" in table and "first alert it was 0.20 s" in table


def test_costs_are_drawn():
    row = {"unit": "x", "value": 1.2, "spread": [0.9, 1.3], "limit": ["<=", 1.05], "kind": "bar", "passed": False}
    facts = made_up()["environment"]
    words = words_of(plot.bars({"environment": facts, "results": [
        {**row, "name": "a < b"}, {**row, "name": "goal", "kind": "goal", "passed": True, "value": 1.0},
        {"name": "no ratio", "unit": "ms", "value": 3}]}))
    assert "a < b" in words and "1.20" in words and "no ratio" not in words


def test_recorded_pictures_are_of_the_recorded_results():
    for results in (ROOT / "docs/benchmarks").glob("*.json"):
        drawn = plot.DRAWN[results.stem](json.loads(results.read_text()))
        assert results.with_suffix(".svg").read_text() == drawn, f"run plot.py for {results.name}"


def test_a_tool_runs_beside_linnet_and_leaves_nothing(tmp_path):
    output = tmp_path / "peers.json"
    done = subprocess.run([ROOT / "tests/bench/run", BUILD, "--peers", "--quick", "--pairs", "1", "--only",
                           "ss each 0.1 s", "--output", output], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(output.read_text())
    assert told["left_behind"] == []
    polled, linnet, bare = told["tools"]
    assert polled["first_s"]["runs"] and polled["ratios"]["connect_4"]["ratio"] > 0
    found = linnet["children"]
    # What is a count and not a time holds anywhere.
    assert {found[what] for what in plot.DETECTED} == {found["of"]}
    assert all(latency["seen"] == latency["of"] for latency in linnet["latency"].values())
    assert bare["children"]["destination"] == 0
