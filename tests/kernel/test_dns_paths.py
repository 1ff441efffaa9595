# SPDX-License-Identifier: Apache-2.0
"""A name becomes an address on many paths: by each of them what a trusted resolver said is evidence.
The servers are real ones. The policies have wildcards, for which linnet looks up nothing itself, so
that nothing but the agent's own answers can permit."""
import ipaddress
import struct
import subprocess
import time
from pathlib import Path

import pytest

from events import read_lines
from netlab import API, BLACKHOLE, OTHER, OTHER6, RESOLVER, RESOLVER6, SCRIPTED_RESOLVER, SKETCHY
from policies import policy
from watch import actor, monitor_of, status_of

HARNESS = Path(__file__).resolve().parent.parent / "harness"
PYTHON = "/usr/bin/python3"
HOSTS = {"www.example.org": [OTHER], "six.example.org": [OTHER6], "sketchy.example.net": [SKETCHY]}
LISTED = policy("*.example.org 7001 TCP")


@pytest.fixture
def paths(fresh_net):
    """An internet with sinks on port 7001; `more` is for dnsmasq."""
    def make(*more, hosts=None):
        net = fresh_net(hosts=hosts or HOSTS, dns_options=more)
        net.serve(*({"kind": "tcp-sink", "ip": ip, "port": 7001}
                    for ip in (OTHER, OTHER6, API, SKETCHY)))
        return net
    return make


def connect(ip):
    return f"{actor('flow')} tcp {ip} 7001 10"


def expect_quiet(watch, name, ip=OTHER):
    """The connection was permitted by an answer for this name; returns that evidence."""
    assert watch.wait() == 0, watch.text()
    assert watch.alerts.list == []
    flow, = watch.flows(ip=ip, port=7001)
    assert flow["verdict"] == "expected", flow
    evidence = next(n for n in flow["names"] if n["name"] == name)
    assert evidence["source"] == "answer" and evidence["grants"]
    return evidence


def test_edns_and_what_a_client_adds_to_a_question(start, paths):
    """Cookie, buffer size, DNSSEC, client subnet, padding: the OPT record is passed over."""
    watch = start.run(LISTED, "sh", "-ec",
                      "dig +edns=0 +bufsize=1232 +dnssec +cookie +subnet=192.0.2.0/24 "
                      f"+padding=128 www.example.org; {connect(OTHER)}", net=paths())
    evidence = expect_quiet(watch, "www.example.org")
    assert evidence["asked_by"] in {r["pid"] for r in watch.of("dns-query")}
    assert evidence["ttl"] == 60 and evidence["age"] <= 1 and 58 <= evidence["expires_in"] <= 60
    assert "chain" not in evidence


@pytest.mark.parametrize("server, family", [(RESOLVER, "v4"), (RESOLVER6, "v6")])
@pytest.mark.parametrize("name, ip", [("www.example.org", OTHER), ("six.example.org", OTHER6)])
def test_resolver_of_either_family(start, paths, server, family, name, ip):
    net = paths()
    etc = net.write_etc(resolv_conf=f"nameserver {server}\n")
    watch = start.run(LISTED, "sh", "-ec", f"getent ahosts {name}; {connect(ip)}", net=net, etc=etc)
    expect_quiet(watch, name, ip)
    assert {r["remote"]["ip"] for r in watch.of("dns-answer", trusted=True)} == {server}


def test_the_first_of_several_resolvers_is_silent(start, paths):
    net = paths()
    etc = net.write_etc(resolv_conf=f"nameserver {BLACKHOLE}\nnameserver {SCRIPTED_RESOLVER}\n"
                                    f"nameserver {RESOLVER}\noptions timeout:1\n")
    watch = start.run(LISTED, "sh", "-ec", f"getent ahosts www.example.org; {connect(OTHER)}",
                      net=net, etc=etc)
    expect_quiet(watch, "www.example.org")
    assert {r["remote"]["ip"] for r in watch.of("dns-query")} >= {BLACKHOLE, RESOLVER}


def test_a_short_name_that_only_a_search_domain_completes(start, paths):
    net = paths()
    etc = net.write_etc(resolv_conf=f"nameserver {RESOLVER}\nsearch corp.local example.org\n")
    watch = start.run(policy("*.example.org 7001 TCP", dynamic=["*.corp.local"]), "sh", "-ec",
                      f"getent ahosts www; {connect(OTHER)}", net=net, etc=etc)
    expect_quiet(watch, "www.example.org")
    assert {r["query"] for r in watch.of("dns-query")} >= {"www.corp.local", "www.example.org"}


@pytest.mark.parametrize("ask", ["dig +noedns big.example.org", "dig +tcp big.example.org",
                                 "getent ahosts big.example.org"])
def test_truncated_answer_and_the_same_over_tcp(start, paths, ask):
    """Sixty addresses do not fit 512 bytes: the client asks again over TCP, or did so at once."""
    addresses = [OTHER, *(f"198.18.0.{n}" for n in range(1, 60))]
    watch = start.run(LISTED, "sh", "-ec", f"{ask}; {connect(OTHER)}",
                      net=paths(hosts={"big.example.org": addresses}))
    expect_quiet(watch, "big.example.org")
    answers = [set(r["answers"]) for r in watch.of("dns-answer", proto="TCP", trusted=True)]
    assert set(addresses) in answers
    assert bool(watch.of("dns-query", proto="UDP")) == ("+tcp" not in ask)


ASK_IN_MIXED_CASE = """
import socket, struct, sys
name, server = sys.argv[1:]
raw = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\\0"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((server, 53))
s.send(struct.pack("!6H", 4711, 0x0100, 1, 0, 0, 0) + raw + b"\\0\\1\\0\\1")
assert raw in s.recv(4096), "the server does not keep the case"
"""


def test_a_question_in_mixed_case(start, paths):
    """What a forger has to guess (0x20): the same name all the same."""
    watch = start.run(LISTED, "sh", "-ec",
                      f'{PYTHON} -c "$0" wWw.eXaMpLe.OrG {RESOLVER}; {connect(OTHER)}',
                      ASK_IN_MIXED_CASE, net=paths())
    expect_quiet(watch, "www.example.org")
    assert [r["query"] for r in watch.of("dns-query")] == ["www.example.org"]


@pytest.mark.parametrize("listen", ["127.0.0.1", "127.0.0.53", "::1"])
def test_resolver_on_loopback(start, paths, listen):
    """A stub outside of the agent's tree, as dnsmasq and systemd-resolved are, asks upstream."""
    net = paths()
    stub = start.agent("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
                       "--no-hosts", "--bind-interfaces", f"--listen-address={listen}",
                       "--user=root", "--pid-file=", "--log-facility=-", f"--server={RESOLVER}",
                       net=net, stderr=subprocess.PIPE)
    read_lines(stub.stderr.fileno(), "stub").wait(lambda line: "started, version" in line)
    etc = net.write_etc(resolv_conf=f"nameserver {listen}\n")
    watch = start.run(LISTED, "sh", "-ec", f"getent ahosts www.example.org; {connect(OTHER)}",
                      net=net, etc=etc)
    expect_quiet(watch, "www.example.org")
    assert {r["remote"]["ip"] for r in watch.flows(port=53)} == {listen}
    assert {r["verdict"] for r in watch.flows(port=53)} == {"dns"}


def test_resolver_on_an_odd_port_from_the_policy(start, paths):
    """Only that port of the address is trusted."""
    net = paths("port=5353")
    text = policy("*.example.org 7001 TCP", resolvers=[f"{RESOLVER}:5353", f"[{RESOLVER6}]:5353"])
    for server in RESOLVER, RESOLVER6:
        watch = start.run(text, "sh", "-ec",
                          f"dig -p 5353 @{server} www.example.org; {connect(OTHER)}", net=net)
        expect_quiet(watch, "www.example.org")
        assert {r["verdict"] for r in watch.flows(port=5353)} == {"dns"}
    other = policy("*.example.org 7001 TCP", resolvers=[f"{RESOLVER}:5300"])
    watch = start.run(other, "sh", "-ec",
                      f"dig -p 5353 @{RESOLVER} www.example.org; {connect(OTHER)}", net=net)
    assert watch.wait() == 0, watch.text()
    assert watch.flows(ip=OTHER)[0]["verdict"] == "unexpected"


def service(priority, target, *hints):
    """The data of an HTTPS record as dnsmasq wants it."""
    name = b"".join(bytes([len(p)]) + p.encode() for p in target.split(".") if p) + b"\0"
    data = struct.pack("!H", priority) + name
    for hint in hints:
        packed = ipaddress.ip_address(hint).packed
        data += struct.pack("!HH", 4 if len(packed) == 4 else 6, len(packed)) + packed
    return data.hex()


def test_hints_of_https_records(start, paths):
    """A browser connects to a hint without a look-up of the address; on another port than 443 its
    question has a prefix. An alias leads to the next question."""
    net = paths(f"dns-rr=www.example.org,65,{service(1, '', OTHER, OTHER6)}",
                f"dns-rr=_7001._https.port.example.org,65,{service(1, 'svc.example.net', API)}",
                f"dns-rr=apex.example.org,65,{service(0, 'sketchy.example.net')}")
    watch = start.run(LISTED, "sh", "-ec",
                      f"dig HTTPS www.example.org; {connect(OTHER)}; {connect(OTHER6)};"
                      f"dig HTTPS _7001._https.port.example.org; {connect(API)};"
                      "dig HTTPS apex.example.org; dig A sketchy.example.net;"
                      f"{connect(SKETCHY)}", net=net)
    assert watch.wait() == 0, watch.text()
    assert watch.alerts.list == []
    by_ip = {r["remote"]["ip"]: r["names"] for r in watch.flows(port=7001)}
    assert {ip: names[0]["name"] for ip, names in by_ip.items()} == {
        OTHER: "www.example.org", OTHER6: "www.example.org", API: "port.example.org",
        SKETCHY: "apex.example.org"}
    assert by_ip[API][0]["chain"] == ["svc.example.net"]
    assert by_ip[SKETCHY][0]["chain"] == ["sketchy.example.net"]


@pytest.fixture
def unbound(start, paths):
    """A resolver that tells one link of a chain in each answer, and the addresses of a pool in
    another order each time."""
    net = paths()
    path = net.folder / "unbound.conf"
    path.write_text(f"""server:
  interface: {SCRIPTED_RESOLVER}
  access-control: 0.0.0.0/0 allow
  chroot: ""
  username: ""
  pidfile: ""
  directory: "{net.folder}"
  do-daemonize: no
  use-syslog: no
  verbosity: 1
  module-config: "iterator"
  local-zone: example.org. static
  local-zone: example.net. static
  local-data: "www.example.org. 60 CNAME edge.example.net."
  local-data: "edge.example.net. 60 CNAME node.example.net."
  local-data: "node.example.net. 60 A {OTHER}"
  local-data: "pool.example.org. 60 A {OTHER}"
  local-data: "pool.example.org. 60 A {API}"
  local-data: "pool.example.org. 60 A {SKETCHY}"
remote-control:
  control-enable: no
""")
    server = net.spawn_outside(["unbound", "-d", "-c", str(path)], stderr=subprocess.PIPE)
    read_lines(server.stderr.fileno(), "unbound").wait(lambda line: "start of service" in line)
    return net, net.write_etc(resolv_conf=f"nameserver {SCRIPTED_RESOLVER}\n")


def test_chain_over_several_answers(start, unbound):
    """Each alias is asked for by itself; the address is that of the name at the beginning."""
    net, etc = unbound
    watch = start.run(LISTED, "sh", "-ec",
                      "name=www.example.org; while :; do "
                      "answer=$(dig +short A $name); echo $answer;"
                      "case $answer in *.) name=${answer%.};; *) break;; esac; done;"
                      f"{connect(OTHER)}", net=net, etc=etc)
    evidence = expect_quiet(watch, "www.example.org")
    assert watch.stdout.list[:3] == ["edge.example.net.", "node.example.net.", OTHER]
    assert evidence["chain"] == ["edge.example.net", "node.example.net"]
    assert evidence["cname"] == "node.example.net"
    assert {r["reason"] for r in watch.of("dns-query")} == {
        "the name is covered", "alias of a covered name"}


def test_round_robin(start, unbound):
    """The agent takes the first address of each answer."""
    net, etc = unbound
    watch = start.run(LISTED, "sh", "-ec",
                      "for i in 1 2 3 4 5 6 7 8; do ip=$(dig +short +qid=$i pool.example.org | "
                      f"head -n 1); {connect('$ip')}; done", net=net, etc=etc)
    assert watch.wait() == 0, watch.text()
    assert watch.alerts.list == []
    flows = watch.flows(port=7001)
    assert len(flows) == 8 and {r["verdict"] for r in flows} == {"expected"}
    assert len({r["remote"]["ip"] for r in flows}) > 1


def test_an_alert_says_what_each_name_rests_on(start, paths):
    """A reverse answer names, and permits nothing even if it says a listed name."""
    net = paths(f"ptr-record={'.'.join(reversed(SKETCHY.split('.')))}.in-addr.arpa,x.example.org")
    watch = start.run(LISTED, "sh", "-ec",
                      f"dig sketchy.example.net; dig -x {SKETCHY}; {connect(SKETCHY)}", net=net)
    assert watch.wait() == 0, watch.text()
    alert, = watch.flow_alerts()
    alert.assert_contract()
    assert alert["Destination"] == (
        f"{SKETCHY}:7001 (resolved: sketchy.example.net, x.example.org (claimed))")
    asker = watch.of("dns-answer", query="sketchy.example.net")[0]["pid"]
    first, second = [line for line in alert.lines if line.startswith("Evidence: ")]
    assert first.startswith("Evidence: sketchy.example.net: answer of a trusted resolver, asked by "
                            f"PID {asker}, TTL 60 s, ") and first.endswith(" s ago; trusted")
    assert second.startswith("Evidence: x.example.org: reverse look-up, asked by PID ")
    assert second.endswith("; only a name")


ASK_ALONG = f"""
import signal, socket, sys
sys.path.insert(0, {str(HARNESS)!r})
from dnswire import question
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(5)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
for number in range(int(sys.argv[1])):
    u.sendto(question(number, "www.example.org", "A"), ({RESOLVER!r}, 53))
    u.recv(4096)
    if number == 0:
        sys.stdin.readline()
    signal.sigwait([signal.SIGALRM])
print("asked", flush=True)
sys.stdin.readline()
"""


def test_questions_that_were_judged_do_not_wake_the_reader(start, paths):
    """What is asked again and again, with another number each time, is told with what comes next;
    the reader looks every 50 ms."""
    asked = 200
    watch = start.run(LISTED, PYTHON, "-B", "-c", ASK_ALONG, str(asked), net=paths(),
                      stdin=subprocess.PIPE)
    watch.wait_record(type="dns-answer")
    monitor, = (pid for pid in monitor_of(watch.log_path) if pid != watch.pid)

    def looks():
        return int(status_of(monitor)["voluntary_ctxt_switches"])

    before, since = looks(), time.monotonic()
    watch.process.stdin.write(b"\n")
    watch.process.stdin.flush()
    watch.stdout.wait(lambda line: line == "asked")
    woken, took = looks() - before, time.monotonic() - since
    watch.process.stdin.close()
    assert watch.wait() == 0 and watch.alerts.list == [], watch.text()
    assert len(watch.of("dns-query", query="www.example.org")) == asked
    assert woken < 10 + 4 * took / 0.05, (woken, took)
