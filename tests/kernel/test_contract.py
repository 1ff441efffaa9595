# SPDX-License-Identifier: Apache-2.0
"""The user's own requirements, M1 to M10; the policy and the alert exactly as the contract has them."""
import os
import re

import pytest

from netlab import API, OTHER, SCRIPTED_RESOLVER, SKETCHY, WEATHER
from policies import WEATHER_ONLY, policy
from watch import SEED_POLICY, actor

SEED = '''\
agent_name: "travel_agent_v1"
expected_outbound:
  - destination: "api.company-internal.com"
    port: 443
    protocol: "TCP"
    purpose: "Internal flights API"
  - destination: "weather.service.com"
    port: 443
    protocol: "TCP"
    purpose: "Fetch destination weather"
allowed_dynamic_resolution:
  - "*.company-internal.com" # Allows for some DNS-based flexibility, but logged.
'''
CURL = ["/usr/bin/curl", "-sS", "-o", "/dev/null"]


def alerted(watch):
    return [a["Destination"] for a in watch.flow_alerts()]


def test_M1_expected_destinations_are_names_and_addresses_with_ports(start):
    watch = start.run(policy("weather.service.com 443 TCP", f"{OTHER} 7001-7002 TCP"), "sh", "-ec",
                      f"curl -sS -o /dev/null https://weather.service.com; "
                      f"{actor('flow')} tcp {OTHER} 7001 10; {actor('flow')} tcp {OTHER} 7002 10; "
                      f"{actor('flow')} tcp {API} 7001 10")
    assert watch.wait() == 0
    assert alerted(watch) == [f"{API}:7001 (resolved: unknown)"]
    assert {(r["remote"]["ip"], r["remote"]["port"], r["verdict"]) for r in watch.flows()
            if r["verdict"] != "dns"} == {
        (WEATHER, 443, "expected"), (OTHER, 7001, "expected"), (OTHER, 7002, "expected"),
        (API, 7001, "unexpected")}


@pytest.mark.parametrize("sensor", ["bpf", "poll"])
def test_M2_attaches_to_a_pid_with_ebpf_and_with_polling(start, sensor):
    agent = start.agent("sh", "-c", f"read x; exec {actor('flow')} tcp {OTHER} 7004 10")
    watch = start.attach(WEATHER_ONLY, agent.pid, options=[f"--sensor={sensor}"])
    assert watch.wait_record(type="header")["sensor"] == sensor
    agent.stdin.write(b"go\n")
    agent.stdin.flush()
    alert = watch.wait_alert(lambda a: a.is_flow)
    alert.assert_contract()
    assert alert["PID"] == str(agent.pid)
    assert alert["Destination"] == f"{OTHER}:7004 (resolved: unknown)"
    agent.kill()
    assert watch.wait() == 0


@pytest.mark.parametrize("proto, port", [("tcp", 7001), ("udp-sendto", 7005)])
def test_M3_alert_at_once_and_a_full_log(start, proto, port):
    """The alert comes while the agent still runs; the log has the opening and the end."""
    watch = start.run(WEATHER_ONLY, "sh", "-ec",
                      f"{actor('flow')} {proto} {OTHER} {port} 1 & read line", stdin=-1)
    alert = watch.wait_alert(lambda a: a.is_flow)
    opened = watch.wait_record(type="flow-open", verdict="unexpected")
    assert watch.process.poll() is None
    alert.assert_contract()
    assert opened["remote"] == {"ip": OTHER, "port": port}
    assert opened["alert"] is True and opened["proto"] == proto[:3].upper()
    assert opened["exe"] == os.path.realpath(actor("flow"))
    assert opened["args"] == [actor("flow"), proto, OTHER, str(port), "1"]
    closed = watch.wait_record(type="flow-close", id=opened["id"])
    assert closed["tx_bytes"] == (1 if proto == "tcp" else 100)
    watch.process.stdin.close()
    watch.wait()


def test_M4_the_policy_of_the_contract_is_accepted_as_written(start, net):
    assert SEED_POLICY.read_text() == SEED
    checked = start.linnet("check", SEED_POLICY, log=False)
    assert checked.wait() == 0, checked.text()
    watch = start.run(SEED_POLICY, *CURL, "https://api.company-internal.com")
    assert watch.wait() == 0, watch.text()
    assert watch.alerts.list == []
    header = watch.of("header")[0]
    assert header["agent"] == "travel_agent_v1" and header["rules"] == 3
    flow = next(r for r in watch.flows(port=443))
    assert flow["verdict"] == "expected" and flow["rule"]["line"] == 3


def test_M5_dynamic_names_are_allowed_but_logged_as_such(start):
    watch = start.run(SEED_POLICY, *CURL, "https://flights.company-internal.com")
    assert watch.wait() == 0, watch.text()
    assert watch.alerts.list == []
    flow = watch.flows(ip="203.0.113.11", port=443)[0]
    assert flow["verdict"] == "dynamic"
    assert flow["rule"]["kind"] == "dynamic"
    assert flow["rule"]["name"] == "flights.company-internal.com"


def test_M6_the_alert_is_the_one_of_the_contract(start):
    watch = start.run(SEED_POLICY, *CURL, "https://sketchy-mirror.example.com/upload")
    assert watch.wait() == 0, watch.text()
    alerts = watch.flow_alerts()
    assert len(alerts) == 1, watch.text()
    alert = alerts[0]
    alert.assert_contract()
    assert alert.lines[1:7] == [
        f"Timestamp: {alert['Timestamp']}",
        f"PID: {watch.flows(ip=SKETCHY)[0]['pid']}",
        "Command: /usr/bin/curl -sS -o /dev/null https://sketchy-mirror.example.com/upload",
        "Destination: 104.28.14.6:443 (resolved: sketchy-mirror.example.com)",
        "Action: LOGGED (Block policy not enabled)",
        "Rule Matched: NONE - Connection not in allow-list.",
    ]
    assert alert["Protocol"] == "TCP" and alert["Agent"] == "travel_agent_v1"
    text = watch.text()
    assert re.search(re.escape(str(alert)) + "\n\n", text + "\n\n"), "a blank line ends the block"


def test_M7_names_are_resolved_and_both_lists_are_checked(start):
    """By a name the agent asked for, by the address linnet found itself, and by address."""
    watch = start.run(policy("weather.service.com 443 TCP", "203.0.113.0/28 443 TCP"), "sh", "-c",
                      f"curl -sSk -o /dev/null https://{WEATHER};"
                      f"curl -sSk -o /dev/null https://203.0.113.11;"
                      f"curl -sSk -o /dev/null https://{OTHER};"
                      "curl -sS -o /dev/null https://weather.service.com")
    assert watch.wait() == 0, watch.text()
    verdicts = [(r["remote"]["ip"], r["verdict"]) for r in watch.flows(port=443)]
    assert verdicts == [(WEATHER, "expected"), ("203.0.113.11", "expected"),
                        (OTHER, "unexpected"), (WEATHER, "expected")]
    assert watch.of("dns-answer", query="weather.service.com", trusted=True)


def test_M7_the_policy_may_name_the_resolvers(start, fresh_net):
    """An answer counts when a resolver of the policy gives it, whoever else is in resolv.conf."""
    net = fresh_net()
    net.serve({"kind": "dns", "ip": SCRIPTED_RESOLVER, "port": 5300, "zone": {
        "pool.example.org": [[["pool.example.org", "A", OTHER, 60]]]}},
        {"kind": "tcp-sink", "ip": OTHER, "port": 7001})
    text = policy("pool.example.org 7001 TCP", resolvers=[f"{SCRIPTED_RESOLVER}:5300"])
    watch = start.run(text, "sh", "-ec",
                      f"dig +short -p 5300 @{SCRIPTED_RESOLVER} pool.example.org;"
                      f"{actor('flow')} tcp {OTHER} 7001 10", net=net)
    assert watch.wait() == 0, watch.text()
    assert watch.alerts.list == []
    answer = watch.of("dns-answer", query="pool.example.org")[0]
    assert answer["trusted"] is True and answer["answers"] == [OTHER]
    assert watch.flows(ip=OTHER)[0]["verdict"] == "expected"


def test_M8_the_whole_tree_is_watched(start):
    watch = start.run(WEATHER_ONLY, "sh", "-c",
                      f"sh -c '{actor('tree')} double-fork {actor('flow')} tcp {OTHER} 7001 10; :'")
    assert watch.wait() == 0, watch.text()
    alert = watch.flow_alerts()[0]
    alert.assert_contract()
    assert alert["Command"] == f"{os.path.realpath(actor('flow'))} tcp {OTHER} 7001 10"
    assert alert["PID"] not in {str(r["pid"]) for r in watch.of("header")}
    assert "tree double-fork" in alert["Process tree"]


def test_M9_detection_first_nothing_is_blocked_and_the_alert_says_so(start, net):
    watch = start.run(WEATHER_ONLY, actor("flow"), "tcp", OTHER, "7001", "4321")
    assert watch.wait() == 0
    assert watch.flow_alerts()[0]["Action"] == "LOGGED (Block policy not enabled)"
    assert watch.stdout.list == ["tx 4321 rx 8"]
    net.said.wait(event="close", ip=OTHER, port=7001, rx=4321)


def test_M10_no_policy_is_shown_as_a_gap(start):
    watch = start.linnet("run", "--", actor("flow"), "tcp", OTHER, "7001", "10")
    assert watch.wait() == 0, watch.text()
    assert re.search(r"GAP: there is no policy", watch.text())
    assert watch.of("header")[0]["policy"] is None
    assert len(watch.flow_alerts()) == 1


def test_M10_a_rule_without_a_purpose_is_shown_as_a_gap(start):
    text = WEATHER_ONLY.replace("    purpose: test\n", "")
    watch = start.run(text, "true")
    assert watch.wait() == 0, watch.text()
    assert re.search(r"GAP: 1 rule without a purpose", watch.text())
    strict = start.linnet("check", "--strict", start.policy(text), log=False)
    assert strict.wait() == 1, strict.text()
