# SPDX-License-Identifier: Apache-2.0
"""Names that a real systemd-resolved answers over its UNIX socket: nothing of them is on the agent's
wire, and linnet hears them from resolved's monitor."""
import subprocess

import pytest
from netlab import RESOLVER, SKETCHY, WEATHER
from policies import WEATHER_ONLY, policy
from resolvers import Host

FETCH = "curl -4 -sS --max-time 10 -o /dev/null"
NOBODY = ["--user", "nobody"]


@pytest.fixture
def host(fresh_net):
    net = fresh_net()
    net.serve(*({"kind": "https", "ip": ip, "port": 443} for ip in (WEATHER, SKETCHY)))
    host = Host(net, hosts="resolve [!UNAVAIL=return]")
    yield host
    host.close()


def test_a_listed_name_is_permitted_by_its_word(start, host):
    """Only a wildcard covers the name, so linnet never asks for it itself."""
    host.resolved(RESOLVER)
    watch = start.run(policy("192.0.2.1 443 TCP", dynamic=["*.service.com"]), "sh", "-ec",
                      f"for i in 1 2 3; do {FETCH} https://weather.service.com; done",
                      options=NOBODY, net=host)
    assert watch.wait() == 0, watch.text()
    assert watch.of("dns-query") == []
    assert watch.alerts.list == []
    flows = watch.flows(ip=WEATHER, port=443)
    assert [r["verdict"] for r in flows] == ["dynamic"] * 3
    assert {(n["name"], n["source"]) for r in flows for n in r["names"] if n["grants"]} == {
        ("weather.service.com", "resolved")}
    assert watch.of("name", ip=WEATHER)[0]["evidence"]["ttl"] == 60


def test_an_unlisted_name_is_one_alert_with_the_right_name(start, host):
    host.resolved(RESOLVER)
    watch = start.run(WEATHER_ONLY, "sh", "-ec",
                      f"for i in 1 2; do {FETCH} https://sketchy-mirror.example.com; done",
                      options=NOBODY, net=host)
    assert watch.wait() == 0, watch.text()
    alert, = watch.flow_alerts()
    alert.assert_contract()
    assert alert["Destination"].startswith(f"{SKETCHY}:443 (resolved: sketchy-mirror.example.com")
    assert "Confirmed" in alert.fields
    assert watch.of("name", ip=SKETCHY) == [], "what others ask is not written down"


def test_it_permits_nothing_to_an_agent_that_is_root(start, host):
    """Root could tell resolved whom to ask."""
    host.resolved(RESOLVER)
    watch = start.run(policy("192.0.2.1 443 TCP", dynamic=["*.service.com"]), "sh", "-ec",
                      f"{FETCH} https://weather.service.com", net=host)
    assert watch.wait() == 0, watch.text()
    flow, = watch.flows(ip=WEATHER, port=443)
    assert flow["verdict"] == "unexpected"
    assert {(n["name"], n["source"], n["grants"]) for n in flow["names"]
            if n["source"] == "resolved"} == {("weather.service.com", "resolved", False)}


def test_that_resolved_ended_is_told(start, host):
    service = host.resolved(RESOLVER)
    watch = start.run(WEATHER_ONLY, "sh", "-c", "read x", options=NOBODY, net=host,
                      stdin=subprocess.PIPE)
    watch.wait_record(type="header")
    host.stop(service)
    lost = watch.wait_record(type="lost")
    assert "systemd-resolved" in lost["reason"]
    watch.process.stdin.close()
    watch.wait()
    assert "start the watch anew" in watch.text()
    assert watch.of("summary")


def test_doctor_says_whether_it_listens(start, host):
    def state():
        doctor = start.linnet("doctor", "--json", net=host, log=False)
        doctor.wait(60)
        return next(line for line in doctor.stdout.list if "systemd-resolved monitor" in line)

    assert '"missing"' in state() and "not there" in state()
    host.resolved(RESOLVER)
    assert '"ok"' in state()
