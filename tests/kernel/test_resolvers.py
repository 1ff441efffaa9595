# SPDX-License-Identifier: Apache-2.0
"""Real resolvers, and names whose addresses are never twice the same: what was answered to the agent
is the name, and nothing else is."""
import dataclasses

import pytest

import sites
from clients import CLIENTS
from netlab import SCRIPTED_RESOLVER, sh
from policies import policy
from recursors import RESOLVERS, dnsmasq_options

BY_NAME = {client.name: client for client in CLIENTS}
ROUNDS = 8
LISTED, UNLISTED = "192.0.2", "198.18.0"  # the networks of the two kinds


def pool(name, network):
    """Answers of 4 to 8 out of 40 addresses, that nobody keeps."""
    answers, at = [], 0
    for turn in range(20):
        size = 4 + turn % 5
        answers.append([[name, "A", f"{network}.{100 + (at + i) % 40}", 0] for i in range(size)])
        at += size
    return {name: answers}


def moving(name, network):
    """An alias, now of one CDN and then of another."""
    cdns = {f"{name}.{cdn}": f"{network}.{140 + n}"
            for n, cdn in enumerate(["cdn.example.com", "edge.example.edu", "cache.example"])}
    return {name: [[[name, "CNAME", cdn, 0], [cdn, "A", ip, 0]] for cdn, ip in cdns.items()],
            **{cdn: [[[cdn, "A", ip, 0]]] for cdn, ip in cdns.items()}}


def zero(name, network):
    return {name: [[[name, "A", f"{network}.{n}", 0]] for n in (150, 151)]}


@dataclasses.dataclass(frozen=True)
class Case:
    """A kind of name: what an authority answers; without, the resolver knows 40 addresses, which is
    more than an answer by UDP holds."""
    name: str
    answers: object
    least: int  # so many addresses are connected in ROUNDS

    @property
    def listed(self):
        return f"{self.name}.example.org"

    @property
    def unlisted(self):
        return f"{self.name}.example.net"


CASES = [Case("pool", pool, 3), Case("moving", moving, 2), Case("zero", zero, 2),
         Case("big", None, 1)]
ROWS = [(resolver, "curl-http1", case) for resolver in RESOLVERS for case in CASES]
# Other readers of answers. This musl does not ask again by TCP.
ROWS += [("unbound", client, case) for client in ("go-static", "musl-static") for case in CASES
         if (client, case.name) != ("musl-static", "big")]
every_row = pytest.mark.parametrize(
    "resolver, client, case", ROWS, ids=[f"{r}-{c}-{k.name}" for r, c, k in ROWS])
POLICY = policy(*(f"{case.listed} {port} TCP" for case in CASES for port in (80, 443)))


@pytest.fixture(scope="module")
def net(nothing_left):
    """The internet of this file: `start` runs linnet in it. `net.etc_of` is what an agent has in
    /etc that asks a resolver."""
    for client in CLIENTS:
        client.make()
    zone, known = {}, {}
    for case in CASES:
        for name, network in (case.listed, LISTED), (case.unlisted, UNLISTED):
            if case.answers:
                zone |= case.answers(name, network)
            else:
                known[name] = [f"{network}.{n}" for n in range(60, 100)]
    lab = sites.lab(hosts={**dict.fromkeys(zone, []), **known}, dns_options=dnsmasq_options(zone))
    try:
        sh("ip", "-n", lab.outside, "route", "add", "local", f"{UNLISTED}.0/24", "dev", "lo")
        lab.serve({"kind": "dns", "ip": SCRIPTED_RESOLVER, "port": 53, "zone": zone})
        lab.etc_of = {name: lab.write_etc(resolv_conf=f"nameserver {begin(lab, known)}\n")
                      for name, begin in RESOLVERS.items()}
        yield lab
    finally:
        lab.close()


@pytest.fixture
def fetch(start, net):
    """Runs linnet over a client that fetches again and again from one host."""
    def run(resolver, client, host, rounds):
        client = BY_NAME[client]
        watch = start.run(POLICY, "sh", "-ec", f"for i in $(seq {rounds}); do \"$@\"; done", "sh",
                          *client.fetch(host, net, net.folder), etc=net.etc_of[resolver])
        assert watch.wait() == 0, watch.text()
        said = "\n".join(watch.stdout.list)
        assert said.count(f"{host} at ") == rounds, watch.text()
        return watch
    return run


def site_flows(watch):
    return [r for r in watch.flows() if r["verdict"] != "dns"]


@every_row
def test_what_was_answered_is_the_listed_name(fetch, resolver, client, case):
    watch = fetch(resolver, client, case.listed, ROUNDS)
    assert watch.alerts.list == []
    flows = site_flows(watch)
    assert {r["verdict"] for r in flows} == {"expected"}
    reached = {r["remote"]["ip"] for r in flows}
    answered = {ip for r in watch.of("dns-answer") for ip in r["answers"]}
    assert len(flows) == ROUNDS
    # To the end of the second unbound keeps an alias, whatever its TTL.
    assert len(reached) >= case.least or (resolver, case.name) == ("unbound", "moving")
    assert reached <= answered
    assert all(case.listed in {n["name"] for n in r["names"]} for r in flows)


@every_row
def test_what_was_answered_for_another_name_is_told(fetch, resolver, client, case):
    watch = fetch(resolver, client, case.unlisted, 1)
    # To ask again by TCP repeats the question.
    told = [a for a in watch.alerts.list if not a.title.startswith("REPEATED ")]
    assert [a.title for a in told] == [
        "UNEXPECTED DNS QUERY", "UNEXPECTED OUTBOUND CONNECTION"], watch.text()
    flow, = site_flows(watch)
    alert = told[1]
    alert.assert_contract()
    ip = flow["remote"]["ip"]
    assert flow["alert"] and flow["verdict"] == "unexpected"
    assert {n["name"] for n in flow["names"]} == {case.unlisted}
    assert alert["Destination"] == (
        f"{ip}:{flow['remote']['port']} (resolved: {case.unlisted})")
