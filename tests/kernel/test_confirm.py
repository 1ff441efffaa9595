# SPDX-License-Identifier: Apache-2.0
"""Names that never cross the agent's wire: an alarm is confirmed by linnet's own look-up first."""
import subprocess

import pytest
from netlab import API, OTHER, SCRIPTED_RESOLVER, SKETCHY, WEATHER
from policies import WEATHER_ONLY, policy
from resolvers import Host
from watch import actor

HELD_MS = 250 + 150  # the bound, and what a busy machine adds to it
MOVED = "203.0.113.21"
FETCH = "curl -4 -sS --max-time 10 -o /dev/null"


@pytest.fixture
def hosts():
    """Makes mount namespaces for services."""
    made = []

    def make(net, **options):
        made.append(Host(net, **options))
        return made[-1]

    yield make
    for host in made:
        host.close()


def own_lookup(watch, ip):
    return watch.tail.records.wait(
        lambda r: r["type"] == "name" and r["ip"] == ip and r["evidence"]["source"] == "own-lookup")


def moving_net(fresh_net):
    """weather.service.com is at one address, and will be at another."""
    net = fresh_net(dns_options=["max-cache-ttl=0"])
    net.serve(*({"kind": "https", "ip": ip, "port": 443} for ip in (WEATHER, MOVED, SKETCHY)))
    return net


def move(net):
    net.hosts["weather.service.com"] = [MOVED]
    net.start_dns()


@pytest.mark.parametrize("shared", [False, True])
def test_a_listed_name_by_nscd_is_confirmed(start, fresh_net, hosts, shared):
    """nscd asks for the agent, and what it gets is not what linnet got at the start."""
    net = moving_net(fresh_net)
    host = hosts(net)
    host.nscd(shared)
    watch = start.run(WEATHER_ONLY, "sh", "-ec", f"read x; {FETCH} https://weather.service.com",
                      net=host, stdin=subprocess.PIPE)
    own_lookup(watch, WEATHER)
    move(net)
    watch.process.stdin.write(b"\n")
    watch.process.stdin.close()
    assert watch.wait() == 0, watch.text()
    assert watch.of("dns-query") == []
    assert watch.alerts.list == []
    flow = watch.flows(ip=MOVED, port=443)[0]
    assert flow["verdict"] == "expected" and 0 < flow["held_ms"] <= HELD_MS
    assert [n["source"] for n in flow["names"] if n["grants"]] == ["own-lookup"]


def test_an_unlisted_name_by_nscd_is_one_alert_within_the_bound(start, fresh_net, hosts):
    net = moving_net(fresh_net)
    host = hosts(net)
    host.nscd()
    watch = start.run(WEATHER_ONLY, "sh", "-ec",
                      f"for i in 1 2; do {FETCH} https://sketchy-mirror.example.com; done", net=host)
    assert watch.wait() == 0, watch.text()
    alert, = watch.flow_alerts()
    alert.assert_contract()
    assert alert["Destination"].startswith(f"{SKETCHY}:443 ")
    assert alert["Confirmed"].endswith("by linnet's own look-up of weather.service.com")
    first, again = watch.flows(ip=SKETCHY, port=443)
    assert first["verdict"] == "unexpected" and 0 < first["held_ms"] <= HELD_MS
    assert again["repetition"] == 1


def test_no_nscd_no_delay(start, net):
    """glibc tries nscd's socket each time: that alone is no reason to hold anything."""
    watch = start.run(WEATHER_ONLY, "sh", "-ec",
                      f"getent ahosts weather.service.com; {actor('flow')} tcp {OTHER} 443 10",
                      net=net)
    assert watch.wait() == 0, watch.text()
    assert [r["path"] for r in watch.of("channel")][0] == "/var/run/nscd/socket"
    flow, = watch.flows(ip=OTHER, port=443)
    assert flow["verdict"] == "unexpected" and "held_ms" not in flow
    assert len(watch.flow_alerts()) == 1


def test_pool_larger_than_an_answer_by_nscd(start, fresh_net, hosts):
    """Each answer has two of ten addresses. nscd gets one of them, linnet must find it again."""
    net = fresh_net()
    pool = [f"203.0.113.{n}" for n in range(12, 22)]
    net.serve({"kind": "dns", "ip": SCRIPTED_RESOLVER, "port": 53, "zone": {"pool.example.org": [
        [["pool.example.org", "A", ip, 60] for ip in pool[i:i + 2]] for i in range(0, 10, 2)]}})
    net.serve(*({"kind": "http", "ip": ip, "port": 80} for ip in pool))
    host = hosts(net)
    host.run_path("/etc/resolv.conf").write_text(f"nameserver {SCRIPTED_RESOLVER}\n")
    host.nscd()
    watch = start.run(policy("pool.example.org 80 TCP"), "sh", "-ec",
                      f"for i in 1 2 3; do {FETCH} http://pool.example.org; done", net=host)
    assert watch.wait() == 0, watch.text()
    assert watch.alerts.list == []
    assert {r["verdict"] for r in watch.flows(port=80)} == {"expected"}


def test_attached_agent_with_an_answer_from_before(start, fresh_net):
    """The name has moved since the agent asked; after the attach it moves back."""
    net = moving_net(fresh_net)
    move(net)
    agent = start.agent("/usr/bin/python3", "-uc",
                        "import socket\n"
                        "a = socket.getaddrinfo('weather.service.com', 443, socket.AF_INET)[0][4]\n"
                        "print('known'); input()\n"
                        "socket.create_connection(a).close()\n", net=net)
    assert agent.stdout.readline() == b"known\n"
    net.hosts["weather.service.com"] = [WEATHER]
    net.start_dns()
    watch = start.attach(WEATHER_ONLY, agent.pid, net=net)
    own_lookup(watch, WEATHER)
    net.hosts["weather.service.com"] = [WEATHER, MOVED]
    net.start_dns()
    agent.stdin.write(b"\n")
    agent.stdin.flush()
    assert watch.wait() == 0, watch.text()
    assert watch.alerts.list == []
    flow, = watch.flows(ip=MOVED)
    assert flow["verdict"] == "expected" and flow["held_ms"] > 0


def test_polling_holds_because_it_sees_no_dns(start, fresh_net):
    net = moving_net(fresh_net)
    net.serve({"kind": "tcp-hold", "ip": API, "port": 443})
    watch = start.run(WEATHER_ONLY, "/usr/bin/python3", "-c",
                      "import socket, sys\n"
                      f"held = [socket.create_connection((a, 443)) for a in ('{MOVED}', '{API}')]\n"
                      "sys.stdin.read()\n",
                      options=["--sensor=poll"], net=net, stdin=subprocess.PIPE)
    own_lookup(watch, WEATHER)
    assert watch.wait_alert(lambda a: a.is_flow)["Confirmed"].startswith("after ")
    watch.process.stdin.close()
    assert watch.wait() == 0, watch.text()
    assert {r["remote"]["ip"] for r in watch.flows(port=443)} == {MOVED, API}
