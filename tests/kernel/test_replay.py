# SPDX-License-Identifier: Apache-2.0
"""`linnet replay`: a recorded log judged anew. Only the last test records one itself."""
import json
import subprocess

import pytest

from netlab import OTHER
from policies import policy
from watch import LINNET, ROOT, SEED_POLICY

SAMPLE = ROOT / "tests/data/logs/seed.jsonl"
SEED = SEED_POLICY.read_text(encoding="utf-8")
SKETCHY = """  - destination: "sketchy-mirror.example.com"
    port: 443
    protocol: "TCP"
    purpose: "test"
"""


def replay(*arguments):
    return subprocess.run([LINNET, "replay", *map(str, arguments)], capture_output=True, text=True,
                          timeout=60, check=False)


def rows(*arguments):
    """What changed by destination, the sums, and the exit status."""
    done = replay("--json", *arguments)
    *found, sums = [json.loads(line) for line in done.stdout.splitlines()]
    return {r["destination"]: r for r in found}, sums, done.returncode


def write(folder, text, name="policy.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def test_the_same_policy_judges_as_before():
    found, sums, status = rows("--all", "-p", SEED_POLICY, SAMPLE)
    assert status == 1 and sums["changed"] == 0
    assert sums["violations_before"] == sums["violations_after"] == 2
    assert set(found) == {
        "api.company-internal.com:443/TCP", "10.0.0.53:53/UDP", "name api.company-internal.com",
        "sketchy-mirror.example.com:443/TCP", "name sketchy-mirror.example.com"}
    assert all(r["before"]["verdict"] == r["after"]["verdict"] for r in found.values())
    assert rows("-p", SEED_POLICY, SAMPLE)[0] == {}


def test_a_rule_more_permits_what_a_trusted_answer_named(tmp_path):
    longer = write(tmp_path, SEED.replace("allowed_dynamic", SKETCHY + "allowed_dynamic"))
    found, sums, status = rows(SAMPLE, "-p", longer)  # options may follow
    assert status == 0 and sums["changed"] == 2 and sums["violations_after"] == 0
    flow = found["sketchy-mirror.example.com:443/TCP"]
    assert flow["before"]["verdict"] == "unexpected" and flow["after"]["verdict"] == "expected"
    assert flow["after"]["by"] == "sketchy-mirror.example.com (line 11)"
    assert found["name sketchy-mirror.example.com"]["after"]["verdict"] == "dns"


def test_a_rule_less_makes_it_unexpected(tmp_path):
    shorter = write(tmp_path, policy("weather.service.com 443 TCP"))
    found, sums, status = rows("-p", shorter, SAMPLE)
    assert status == 1 and sums["violations_after"] == 4
    flow = found["api.company-internal.com:443/TCP"]
    assert flow["count"] == 1 and flow["before"]["by"] == "api.company-internal.com (line 3)"
    assert flow["after"]["verdict"] == "unexpected" and "api.company-internal.com" in flow["hint"]
    text = replay("-p", shorter, SAMPLE).stdout
    assert "api.company-internal.com:443/TCP: expected → unexpected, 1 time\n" in text
    assert text.endswith("5 judged anew, 2 otherwise than before; unexpected: 2 before, 4 now\n")


def test_a_denied_destination_is_unexpected(tmp_path):
    denied = write(tmp_path, policy("weather.service.com 443 TCP", dynamic=["*.company-internal.com"])
                   + "deny:\n  - api.company-internal.com\n")
    found, _, status = rows("-p", denied, SAMPLE)
    assert status == 1
    assert found["api.company-internal.com:443/TCP"]["after"]["verdict"] == "unexpected"


def test_lines_that_cannot_be_used_are_told(tmp_path):
    lines = SAMPLE.read_text(encoding="utf-8").splitlines(keepends=True)
    lines.insert(3, '{"type":"flow-open","time":1}\n')
    log = write(tmp_path, "".join(lines)[:-9], "cut.jsonl")
    done = replay("-p", SEED_POLICY, log)
    assert done.returncode == 1, done
    assert f"{log}:4: \"time\" is no text" in done.stderr
    assert f"{log}:{len(lines)}: the last record is cut off" in done.stderr
    assert "5 judged anew" in done.stdout


@pytest.mark.parametrize("text, said", [
    ("", "no header"), ("nonsense\n", "no header"), ('{"type":"flow-open"}\n', "before any header"),
    ('{"schema":99,"type":"header"}\n', "schema 99")])
def test_what_is_no_log_is_refused(tmp_path, text, said):
    done = replay("-p", SEED_POLICY, write(tmp_path, text, "x.jsonl"))
    assert done.returncode == 2 and said in done.stderr and not done.stdout


@pytest.mark.parametrize("arguments", [
    [], ["-p", SEED_POLICY], [SAMPLE], ["-p", "/nonexistent", SAMPLE],
    ["-p", SEED_POLICY, "/nonexistent"]])
def test_what_is_missing_is_2(arguments):
    done = replay(*arguments)
    assert done.returncode == 2 and done.stderr and not done.stdout


def test_escapes_of_a_hostile_log_reach_no_terminal(tmp_path):
    log = write(tmp_path, SAMPLE.read_text(encoding="utf-8").replace(
        '"reason":"Connection', '"reason":"\\u001b[2JConnection'), "x.jsonl")
    shorter = write(tmp_path, SEED.replace("allowed_dynamic", SKETCHY + "allowed_dynamic"))
    done = replay("-p", shorter, log)
    assert "\\x1b[2J" in done.stdout and "\x1b" not in done.stdout


def test_what_a_watch_recorded_is_judged_as_it_was(start, net):
    """Names, wire bytes, channels and flows of a real run, by the policy that they were judged by."""
    rules = start.policy(policy("weather.service.com 443 TCP"))
    watch = start.run(rules, "sh", "-c",
                      "curl -s -o /dev/null https://weather.service.com/; "
                      "curl -s -o /dev/null https://sketchy-mirror.example.com/; "
                      f"curl -s -o /dev/null http://{OTHER}/; true")
    assert watch.wait() == 0, watch.text()
    alerts = [a["Alert"] for a in watch.alerts.list]
    recorded = [r["alert_id"] for r in watch.records if "alert_id" in r]
    assert alerts == recorded and len(set(alerts)) == len(alerts) >= 3
    found, sums, status = rows("--all", "-p", rules, watch.log_path)
    assert status == 1 and sums["changed"] == 0, found
    assert sums["violations_after"] >= 3
    assert found["weather.service.com:443/TCP"]["after"]["verdict"] == "expected"
    wider = start.policy(policy("weather.service.com 443 TCP", "sketchy-mirror.example.com 443 TCP",
                                f"{OTHER} 80 TCP"))
    found, sums, status = rows("-p", wider, watch.log_path)
    assert status == 0 and sums["violations_after"] == 0, found
    assert found["sketchy-mirror.example.com:443/TCP"]["after"]["verdict"] == "expected"
