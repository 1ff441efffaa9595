# SPDX-License-Identifier: Apache-2.0
"""`linnet explain`: one decision, its reason, and the line to add."""
import json
import subprocess

import pytest

from watch import LINNET, ROOT, SEED_POLICY

SAMPLE = ROOT / "tests/data/logs/seed.jsonl"
RULES = """agent_name: a
expected_outbound:
  - {destination: api.example.com, port: [443, "8000-8100"], protocol: TCP, purpose: flights}
  - {destination: "*.cdn.example.com", port: any, protocol: any, purpose: files}
  - {destination: 203.0.113.0/24, port: 53, protocol: UDP, purpose: names}
  - {destination: old.example.com, port: 443, protocol: TCP, purpose: gone, expires: "2020-01-01"}
allowed_dynamic_resolution:
  - "*.dyn.example.com"
deny:
  - evil.cdn.example.com
"""


@pytest.fixture(name="rules")
def rules_fixture(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(RULES)
    return path


def explain(*arguments):
    return subprocess.run([LINNET, "explain", *map(str, arguments)], capture_output=True, text=True,
                          timeout=30, check=False)


@pytest.mark.parametrize("asked, status, verdict, line", [
    ("api.example.com:443/TCP", 0, "expected", 3), ("API.Example.com.:8050/tcp", 0, "expected", 3),
    ("api.example.com:444/TCP", 1, "unexpected", None), ("api.example.com:443/UDP", 1, "unexpected", None),
    ("a.b.cdn.example.com:9/UDP", 0, "expected", 4), ("cdn.example.com:9/UDP", 1, "unexpected", None),
    ("x.dyn.example.com:22/TCP", 0, "dynamic", 8), ("203.0.113.9:53/UDP", 0, "expected", 5),
    ("203.0.114.9:53/UDP", 1, "unexpected", None), ("[2001:db8::1]:443/TCP", 1, "unexpected", None),
    ("evil.cdn.example.com:443/TCP", 1, "unexpected", 10),
    ("old.example.com:443/TCP", 1, "unexpected", None)])
def test_one_decision(rules, asked, status, verdict, line):
    done = explain("--json", "-p", rules, asked)
    assert done.returncode == status, done
    found, = [json.loads(text) for text in done.stdout.splitlines()]
    assert found["verdict"] == verdict and found["allowed"] == (status == 0)
    assert (found["rule"] or {}).get("line") == line
    assert found["reason"]
    text = explain("-p", rules, asked)
    assert text.returncode == status
    assert text.stdout.startswith(f"{asked} is ") and ("UNEXPECTED" in text.stdout) == (status == 1)


def test_the_rule_to_add_is_what_it_lacks(rules, tmp_path):
    done = explain("-p", rules, "new.example.org:8443/TCP")
    assert done.returncode == 1
    rule = done.stdout.split("add to expected_outbound:\n")[1]
    assert '    - destination: "new.example.org"\n      port: 8443\n      protocol: "TCP"\n' in rule
    longer = tmp_path / "longer.yaml"
    longer.write_text("agent_name: a\nexpected_outbound:\n" + rule)
    assert explain("-p", longer, "new.example.org:8443/TCP").returncode == 0
    assert explain("-p", longer, "new.example.org:8443/UDP").returncode == 1


def test_a_near_miss_is_told(rules):
    assert "api.example.com is expected on 443,8000-8100/TCP, this is 444/TCP" in explain(
        "-p", rules, "api.example.com:444/TCP").stdout
    assert "*.cdn.example.com does not include cdn.example.com itself" in explain(
        "-p", rules, "cdn.example.com:443/TCP").stdout


def test_what_denies_and_what_is_over_is_told(rules):
    denied = explain("-p", rules, "evil.cdn.example.com:443/TCP").stdout
    assert "line 10" in denied and "To allow it" not in denied
    over = explain("-p", rules, "old.example.com:443/TCP").stdout
    assert "line 6, 2020-01-01T00:00:00Z" in over


def test_without_a_port_each_range_that_rules_tell_apart(rules):
    done = explain("--json", "-p", rules, "api.example.com")
    assert done.returncode == 0
    found = {(r["first_port"], r["last_port"], r["proto"]): r["verdict"]
             for r in map(json.loads, done.stdout.splitlines())}
    assert {k for k, v in found.items() if v == "expected"} == {
        (443, 443, "TCP"), (8000, 8100, "TCP")}
    assert found[(1, 442, "TCP")] == found[(1, 65535, "UDP")] == "unexpected"
    text = explain("-p", rules, "api.example.com").stdout
    assert "  443/TCP: expected - " in text and "  8000-8100/TCP: expected - " in text
    one = explain("--json", "-p", rules, "nobody.example.org")
    assert one.returncode == 1 and len(one.stdout.splitlines()) == 1
    assert json.loads(one.stdout)["proto"] == "any"


@pytest.mark.parametrize("asked", [
    "https://api.example.com/", "10.0.0.0/8", "*.example.com", "a b", "", "api.example.com:0",
    "api.example.com:70000", "api.example.com:http", "[::1", "a\nb", "\x1b[2J"])
def test_what_is_no_destination_is_2(rules, asked):
    done = explain("-p", rules, asked)
    assert done.returncode == 2 and len(done.stderr) > 20 and not done.stdout, done
    assert "\x1b" not in done.stderr


def test_usage(rules):
    for arguments in ([], ["api.example.com"], ["-p", rules], ["-p", "/nonexistent", "a.example"],
                      ["--log", "/nonexistent", "k7f2-1"], ["-p", rules, "a.example", "b.example"]):
        done = explain(*arguments)
        assert done.returncode == 2 and done.stderr, arguments


def test_an_alert_by_its_id(tmp_path):
    done = explain("--log", SAMPLE, "k7f2-2")
    assert done.returncode == 1, done
    for said in ("k7f2-2: UNEXPECTED OUTBOUND CONNECTION\n", "To:         104.28.14.6:443/TCP\n",
                 "/usr/bin/python /opt/agent/main.py (PID 7843)", "Started by: /usr/bin/bash (PID 7840)",
                 "sketchy-mirror.example.com: answer", "Connection not in allow-list."):
        assert said in done.stdout, (said, done.stdout)
    same = explain("-p", SEED_POLICY, "--log", SAMPLE, "k7f2-2")
    assert same.returncode == 1 and '- destination: "sketchy-mirror.example.com"' in same.stdout
    wider = tmp_path / "wider.yaml"
    wider.write_text("agent_name: a\nexpected_outbound:\n  - {destination: sketchy-mirror.example.com, "
                     "port: 443, protocol: TCP}\n")
    now = explain("--json", "-p", wider, "--log", SAMPLE, "k7f2-2")
    assert now.returncode == 0, now
    found = json.loads(now.stdout)
    assert found["record"]["alert_id"] == "k7f2-2" and found["now"]["allowed"]
    assert found["now"]["rule"]["line"] == 3


def test_an_id_that_is_not_there():
    done = explain("--log", SAMPLE, "k7f2-9")
    assert done.returncode == 2 and "the last one is k7f2-2" in done.stderr


def test_own_look_ups_tell_addresses_and_who_shares_them(start, net):
    rules = start.policy("agent_name: a\nexpected_outbound:\n"
                         "  - {destination: weather.service.com, port: 443, protocol: TCP}\n")
    done = subprocess.run(net.enter([LINNET, "explain", "--resolve", "-p", str(rules),
                                     "weather.service.com:443/TCP"]),
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done
    assert "  Address:  " in done.stdout
