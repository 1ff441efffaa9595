# SPDX-License-Identifier: Apache-2.0
"""What resolvers, libraries and the kernel do by themselves raises no alert (and what looks alike
does)."""
import json
import subprocess

from netlab import API, API6, OTHER, SCRIPTED_RESOLVER, SKETCHY, WEATHER
from policies import WEATHER_ONLY, policy
from watch import actor

PYTHON = "/usr/bin/python3"


def scripted(net, zone):
    """A resolver that answers by a script; returns the etc folder that names it."""
    said = net.serve({"kind": "dns", "ip": SCRIPTED_RESOLVER, "port": 53, "zone": zone})
    return said, net.write_etc(resolv_conf=f"nameserver {SCRIPTED_RESOLVER}\n")


def records(name, *addresses, ttl=60):
    return [[name, "AAAA" if ":" in a else "A", a, ttl] for a in addresses]


def test_address_sorting_of_getaddrinfo_is_no_connection(start, fresh_net):
    """glibc connects a UDP socket to each answer to learn its source address, and sends nothing."""
    net = fresh_net(hosts={"many.example.org": [API, OTHER, API6, "203.0.113.30"]})
    watch = start.run(policy("many.example.org 443 any"), PYTHON, "-c",
                      "import socket; print(len(socket.getaddrinfo('many.example.org', 0)))", net=net)
    assert watch.wait() == 0, watch.text()
    assert watch.stdout.list == ["12"]
    assert [r for r in watch.flows() if r["verdict"] != "dns"] == []
    assert watch.alerts.list == []


def test_connected_udp_without_a_datagram_is_no_flow(start):
    watch = start.run(WEATHER_ONLY, actor("flow"), "udp-connect-only", OTHER, "7005")
    assert watch.wait() == 0
    assert watch.flows() == [] and watch.alerts.list == []


def test_happy_eyeballs_both_families_of_a_listed_name(start):
    """curl asks for A and AAAA at once and may try both; nothing of it is unexpected."""
    watch = start.run(policy("api.company-internal.com 443 TCP"), "sh", "-c",
                      "for i in 1 2 3 4 5; do curl -sS --happy-eyeballs-timeout-ms 1 -o /dev/null "
                      "https://api.company-internal.com; done")
    assert watch.wait() == 0, watch.text()
    assert watch.alerts.list == []
    assert {r["verdict"] for r in watch.flows(port=443)} == {"expected"}
    assert {r["qtype"] for r in watch.of("dns-query")} >= {"A", "AAAA"}


def test_happy_eyeballs_one_family_fails(start, fresh_net):
    """v6 leads nowhere, v4 answers: both are the listed name."""
    net = fresh_net(hosts={"api.company-internal.com": [API, "2001:db8:dead::1"]})
    net.serve({"kind": "https", "ip": API, "port": 443})
    watch = start.run(policy("api.company-internal.com 443 TCP"), "curl", "-sS",
                      "https://api.company-internal.com", net=net)
    assert watch.wait() == 0, watch.text()
    assert watch.stdout.list == ["ok"]
    assert watch.alerts.list == []
    assert {r["verdict"] for r in watch.flows(port=443)} == {"expected"}


def test_pool_larger_than_one_answer(start, fresh_net):
    """Each answer names two of twelve addresses; every one that was answered is the name."""
    net = fresh_net()
    pool = [f"203.0.113.{n}" for n in range(12, 24)]
    _, etc = scripted(net, {"pool.example.org": [
        records("pool.example.org", *pool[i:i + 2], ttl=1) for i in range(0, 12, 2)]})
    net.serve(*({"kind": "http", "ip": ip, "port": 80} for ip in pool))
    watch = start.run(policy("pool.example.org 80 TCP"), "sh", "-ec",
                      "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do "
                      "curl -4 -sS -o /dev/null http://pool.example.org; done", net=net, etc=etc)
    assert watch.wait() == 0, watch.text()
    assert watch.alerts.list == []
    flows = watch.flows(port=80)
    assert len(flows) == 12 and {r["verdict"] for r in flows} == {"expected"}
    assert len({r["remote"]["ip"] for r in flows}) > 2


def test_cname_that_moves(start, fresh_net):
    """A listed name is an alias, first of one CDN and then of another."""
    net = fresh_net()
    chains = [[["www.example.org", "CNAME", cdn, 1], [cdn, "A", ip, 1]]
              for cdn, ip in (("a.cdn.example.net", API), ("b.cdn.example.com", OTHER))]
    _, etc = scripted(net, {"www.example.org": chains})
    net.serve(*({"kind": "http", "ip": ip, "port": 80} for ip in (API, OTHER)))
    watch = start.run(policy("www.example.org 80 TCP"), "sh", "-ec",
                      "for i in 1 2 3 4; do curl -4 -sS -o /dev/null http://www.example.org; done",
                      net=net, etc=etc)
    assert watch.wait() == 0, watch.text()
    assert watch.alerts.list == []
    flows = watch.flows(port=80)
    assert {r["remote"]["ip"] for r in flows} == {API, OTHER}
    assert {n["cname"] for r in flows for n in r["names"] if n["source"] == "answer"} == {
        "a.cdn.example.net", "b.cdn.example.com"}


def test_the_last_name_does_not_win(start, fresh_net):
    """Two names lead to one address: the listed one counts, whichever was asked for last."""
    net = fresh_net(hosts={"listed.example.org": [API], "other.example.org": [API]})
    net.serve({"kind": "http", "ip": API, "port": 80})
    watch = start.run(policy("listed.example.org 80 TCP"), "sh", "-ec",
                      "getent ahosts listed.example.org; getent ahosts other.example.org; "
                      f"curl -sS http://{API}", net=net)
    assert watch.wait() == 0, watch.text()
    flow = watch.flows(ip=API, port=80)[0]
    assert flow["verdict"] == "expected"
    assert {n["name"] for n in flow["names"]} == {"listed.example.org", "other.example.org"}
    assert [a.title for a in watch.alerts.list if a.is_flow] == []


def test_answer_before_attach(start):
    """The agent knows the address already; linnet finds the listed name itself."""
    agent = start.agent(PYTHON, "-uc",
                        "import socket\n"
                        "a = socket.getaddrinfo('weather.service.com', 443, socket.AF_INET)[0][4]\n"
                        "print('known'); input()\n"
                        "socket.create_connection(a).close()\n")
    assert agent.stdout.readline() == b"known\n"
    watch = start.attach(WEATHER_ONLY, agent.pid)
    watch.wait_record(type="name", ip=WEATHER)
    agent.stdin.write(b"\n")
    agent.stdin.flush()
    assert watch.wait() == 0
    assert watch.alerts.list == []
    assert watch.flows(ip=WEATHER)[0]["verdict"] == "expected"


def test_time_and_multicast_chatter(start):
    """An mDNS question of a listed name is quiet; NTP to a place that is not listed is told once."""
    question = b"\0\0\0\0\0\1\0\0\0\0\0\0\7weather\7service\3com\0\0\1\0\1"
    watch = start.run(WEATHER_ONLY, PYTHON, "-c",
                      "import socket\n"
                      "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                      f"s.sendto({question!r}, ('224.0.0.251', 5353))\n"
                      f"for i in range(5): s.sendto(b'\\x23' + bytes(47), ('{OTHER}', 123))\n")
    assert watch.wait() == 0, watch.text()
    alerts = watch.flow_alerts()
    assert [a["Destination"].split(" ")[0] for a in alerts] == [f"{OTHER}:123"]
    assert "NTP" in alerts[0]["Hint"]
    assert [r["verdict"] for r in watch.flows(ip="224.0.0.251")] == ["dns"]


def test_search_domains_of_a_listed_name_are_no_violation(start, net):
    etc = net.write_etc(resolv_conf=f"nameserver 10.99.0.53\nsearch corp.local example.net\n"
                                    "options ndots:5\n")
    watch = start.run(WEATHER_ONLY, "curl", "-sS", "https://weather.service.com", etc=etc)
    assert watch.wait() == 0, watch.text()
    assert {r["query"] for r in watch.of("dns-query")} >= {
        "weather.service.com.corp.local", "weather.service.com"}
    assert watch.alerts.list == []


def test_query_for_an_unlisted_name_is_told_once(start):
    watch = start.run(WEATHER_ONLY, "sh", "-c",
                      "for i in 1 2 3; do getent ahosts secret.evil.example; done; true")
    assert watch.wait() == 0
    titles = [a.title for a in watch.alerts.list if not a.title.startswith("REPEATED")]
    assert titles == ["UNEXPECTED DNS QUERY"]
    assert "secret.evil.example" in watch.alerts.list[0]["Destination"]
    assert watch.flow_alerts() == []


def test_untrusted_answer_names_and_does_not_grant(start, fresh_net):
    """The agent asks a server of its own for a listed name, and goes where that one says."""
    net = fresh_net()
    scripted(net, {"weather.service.com": [records("weather.service.com", SKETCHY)]})
    net.serve({"kind": "tcp-sink", "ip": SKETCHY, "port": 443})
    watch = start.run(WEATHER_ONLY, "sh", "-ec",
                      f"dig +short @{SCRIPTED_RESOLVER} weather.service.com;"
                      f"{actor('flow')} tcp {SKETCHY} 443 10", net=net)
    assert watch.wait() == 0, watch.text()
    destinations = [a["Destination"] for a in watch.flow_alerts()]
    assert any(d.startswith(f"{SKETCHY}:443 (resolved: weather.service.com") for d in destinations)
    assert any(d.startswith(f"{SCRIPTED_RESOLVER}:53 ") for d in destinations)


def test_arguments_of_children_that_live_a_millisecond(start):
    n = 200
    watch = start.run(WEATHER_ONLY, actor("brood"), n, actor("blip"), OTHER, "7001")
    assert watch.wait(60) == 0, watch.text()
    flows = watch.flows(ip=OTHER, port=7001)
    assert len(flows) == n
    assert {tuple(r["args"]) for r in flows} == {
        (actor("blip"), OTHER, "7001", str(i)) for i in range(n)}
    assert len({r["pid"] for r in flows}) == n
    by_exec = {r["pid"]: r["args"] for r in watch.of("process", event="exec")}
    assert all(by_exec[r["pid"]] == r["args"] for r in flows)


def test_packets_of_the_kernel_after_exit_are_nobodys_connection(start):
    """The agent dies with data unread and connections open: resets and retransmissions follow."""
    watch = start.run(policy(f"{OTHER} 7001-7004 TCP"), PYTHON, "-c",
                      "import os, socket\n"
                      f"held = [socket.create_connection(('{OTHER}', p)) for p in (7001, 7002, 7004)]\n"
                      "held[1].sendall(b'x' * 100000)\n"
                      "os.kill(os.getpid(), 9)\n")
    assert watch.wait() == 137
    assert len(watch.flows()) == 3
    assert len(watch.flows("flow-close")) == 3
    assert watch.alerts.list == []


def test_inbound_connections_are_no_egress(start, net):
    """What the agent answers to a client from outside is not reported as its own connection."""
    watch = start.run(WEATHER_ONLY, PYTHON, "-uc",
                      "import socket\n"
                      "s = socket.create_server(('10.99.0.2', 0)); print(s.getsockname()[1])\n"
                      "c, _ = s.accept(); c.sendall(b'hello'); c.recv(1); c.close()\n")
    port = int(watch.stdout.wait(lambda line: line.strip()))
    done = subprocess.run(["nsenter", f"--net=/run/netns/{net.outside}", PYTHON, "-c",
                           f"import socket; c = socket.create_connection(('10.99.0.2', {port}));"
                           "print(c.recv(5)); c.close()"], capture_output=True, text=True,
                          check=False)
    assert "hello" in done.stdout, done.stderr
    assert watch.wait() == 0
    assert watch.flow_alerts() == []


LISTEN_AND_CONNECT = """
import socket
s = socket.create_server(('{ip}', 0), family=socket.{family})
c = socket.create_connection(s.getsockname()[:2])
a, _ = s.accept()
c.sendall(b'x' * 10); c.close(); print(len(a.recv(100)))
"""


def test_loopback_to_the_same_tree_is_internal(start):
    for ip, family in (("127.0.0.1", "AF_INET"), ("::1", "AF_INET6")):
        watch = start.run(WEATHER_ONLY, PYTHON, "-c",
                          LISTEN_AND_CONNECT.format(ip=ip, family=family))
        assert watch.wait() == 0, watch.text()
        assert [(r["verdict"], r["inbound"]) for r in watch.flows(ip=ip)] == [
            ("internal", False), ("internal", True)]
        assert watch.alerts.list == []


def test_loopback_to_another_process_is_policed(start):
    relay = start.agent(PYTHON, "-uc",
                        "import socket\n"
                        "s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1])\n"
                        "c, _ = s.accept(); c.recv(1)\n")
    port = int(relay.stdout.readline())
    watch = start.run(WEATHER_ONLY, PYTHON, "-c",
                      f"import socket; socket.create_connection(('127.0.0.1', {port})).close()")
    assert watch.wait() == 0
    alert = watch.flow_alerts()[0]
    assert alert["Destination"].startswith(f"127.0.0.1:{port} ")
    assert watch.flows(port=port)[0]["verdict"] == "unexpected"


def test_hosts_file_names_and_grants_to_an_agent_that_cannot_write_it(start, net):
    etc = net.write_etc(hosts=f"127.0.0.1 localhost\n{OTHER} weather.service.com\n")
    watch = start.run(WEATHER_ONLY, "curl", "-sSk", "https://weather.service.com", etc=etc,
                      options=["--user", "nobody"])
    assert watch.wait() == 0, watch.text()
    flow = watch.flows(ip=OTHER, port=443)[0]
    assert flow["verdict"] == "expected"
    assert "hosts" in {n["source"] for n in flow["names"]}
    as_root = start.run(WEATHER_ONLY, "curl", "-sSk", "https://weather.service.com", etc=etc)
    assert as_root.wait() == 0
    assert as_root.flows(ip=OTHER, port=443)[0]["verdict"] == "unexpected"


def test_hostile_bytes_never_reach_the_terminal_or_the_log_raw(start):
    """Arguments and names with control bytes, line breaks and invalid UTF-8."""
    hostile = b"\x1b[31mred\x1b[0m\n[!] FAKE ALERT\xff\xfe\xe2\x80\xae\x07"
    watch = start.run(WEATHER_ONLY, PYTHON, "-c",
                      "import os, sys\n"
                      f"os.execv({actor('blip')!r}.encode(), "
                      f"[b'blip', b'{OTHER}', b'7001', {hostile!r}])\n")
    assert watch.wait() == 0
    text = watch.text()
    assert not any(c in text for c in "\x1b\x07\u202e\udcff")
    assert "[!] FAKE ALERT" not in watch.stderr.list
    alert = watch.flow_alerts()[0]
    alert.assert_contract()
    assert "\\x1b[31mred" in alert["Command"] and "\\n[!] FAKE" in alert["Command"]
    raw = watch.log_path.read_bytes()
    assert not any(b in raw for b in (b"\x1b", b"\x07", b"\xff", "\u202e".encode()))
    assert all(json.loads(line) for line in raw.splitlines())
