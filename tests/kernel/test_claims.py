# SPDX-License-Identifier: Apache-2.0
"""What the first bytes of a flow say: another site behind a permitted address, a name that is only
claimed, a protocol in the wrong place, and what is asked of relays. With real clients, servers and
relays."""
import subprocess

import pytest

import sites
from events import DEADLINE_S, read_lines
from netlab import AGENT4
from policies import policy
from relays import SOCKS
from sites import BLOG, LISTED, LISTED4, PARKED, SHARED4, SHOP, UNLISTED, UNLISTED4

PYTHON = "/usr/bin/python3"
HTTP_PROXY, SOCKS_PROXY = "127.0.0.1:8888", "127.0.0.1:1080"
SITES = [f"{name} {port} any" for name in (LISTED, SHOP, BLOG) for port in (80, 443)]
POLICY = policy(*SITES)
RELAYED = policy(*SITES, "127.0.0.1 8888 TCP", "127.0.0.1 1080 TCP")
# HTTP/1 and one connection for each URL that is given.
CURL = ("curl", "-s", "--http1.1", "-o", "/dev/null", "-w", "%{http_code}\\n")
TINYPROXY = """
Port 8888
Listen 127.0.0.1
Timeout 30
LogLevel Info
"""


@pytest.fixture(scope="module")
def net(nothing_left):
    lab = sites.lab()
    yield lab
    lab.close()


def curl(start, *arguments, given=POLICY, **options):
    """Runs curl, which must get its pages, under linnet; what came of it when it was over."""
    watch = start.run(given, *CURL, *arguments, **options)
    watch.wait()
    return watch


def fronted(start, front, name, *more, **options):
    """The address of one site is looked up and connected, and another one is asked for there."""
    return curl(start, "--connect-to", f"{name}:443:{front}:443", *more, f"https://{name}/",
                **options)


def titles(watch):
    return [a.title for a in watch.alerts.list]


def claims(watch, **facts):
    return [(r["layer"], r["depth"], r["claimed"]["name"], r["verdict"])
            for r in watch.of("claim", **facts)]


def notices(watch):
    return [line for line in watch.stderr.list if line.startswith("linnet: ")
            and " by the agent " in line or " is spoken to in " in line]


def test_another_site_behind_a_permitted_address(start):
    watch = fronted(start, SHOP, PARKED)
    assert watch.stdout.list == ["200"], watch.text()
    alert, = watch.alerts.list
    assert alert.title == "NAME MISMATCH"
    assert [line.split(": ")[0] for line in alert.lines[1:7]] == [
        "Timestamp", "PID", "Command", "Destination", "Action", "Rule Matched"]
    assert alert["Command"].startswith("/usr/bin/curl "), alert
    assert alert["Destination"].startswith(f"{SHARED4}:443 (resolved: {SHOP}, "), alert
    assert alert["Destination"].endswith(f", {PARKED} (claimed))"), alert
    assert alert["Rule Matched"] == "NONE - The bytes name a site that is not in the allow-list."
    assert alert["Claimed"] == f"{PARKED} (TLS SNI)"
    assert alert["Permitted as"].startswith(f"{SHOP} (policy line ")
    record, = watch.of("claim")
    assert (record["verdict"], record["title"], record["alert"]) == (
        "unexpected", "NAME MISMATCH", True)
    assert record["claimed"] == {"name": PARKED, "ip": None, "port": 0}
    assert record["target"]["rule"]["name"] == SHOP and record["alpn"] == "http/1.1"
    opened, = watch.flows(port=443)
    assert (opened["verdict"], opened["id"]) == ("expected", record["id"])
    summary, = watch.of("summary")
    assert (summary["violations"], summary["claims"], summary["claims_unexpected"]) == (1, 1, 1)


def test_it_is_told_once_and_fails_a_job(start):
    script = f"for i in 1 2 3; do {' '.join(CURL[:-2])} --connect-to {PARKED}:443:{SHOP}:443 " \
             f"https://{PARKED}/ || exit 1; done"
    watch = start.run(POLICY, "sh", "-c", script, options=["--fail-on-alert"])
    assert watch.wait() == 86, watch.text()
    assert titles(watch) == ["NAME MISMATCH",
                             f"REPEATED 2 times: NAME MISMATCH, {PARKED} at {SHARED4}:443, last by "
                             f"PID {watch.of('claim')[-1]['pid']}, agent test_agent"]


@pytest.mark.parametrize("arguments", [
    ["--connect-to", f"{BLOG}:443:{SHOP}:443", f"https://{BLOG}/"],
    [f"https://{SHOP.upper()}./", "-k"],
    ["-H", f"Host: {SHOP}:80", f"http://{SHOP}/"],
    ["-H", f"Host: {SHARED4}", f"http://{SHOP}/"],
    ["-H", "Host:", "--http1.0", f"http://{SHOP}/"],
    ["--http2", f"https://{SHOP}/"],
], ids=["another listed site", "case and dot", "port", "address", "no host", "HTTP/2"])
def test_names_that_are_as_they_should_be(start, arguments):
    watch = curl(start, *arguments)
    assert watch.stdout.list == ["200"], watch.text()
    assert titles(watch) == [] and notices(watch) == []
    assert [c[3] for c in claims(watch)] == ["expected"], watch.records


def test_tls_without_a_name(start):
    watch = start.run(POLICY, "sh", "-c", r"printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client "
                                          f"-quiet -noservername -connect {SHOP}:443")
    assert watch.wait() == 0, watch.text()
    assert titles(watch) == []
    assert claims(watch) == [("tls", 0, None, "expected")], watch.text()


def test_host_of_another_site(start):
    watch = curl(start, "-H", f"Host: {PARKED}", f"http://{SHOP}/")
    alert, = watch.alerts.list
    assert alert.title == "NAME MISMATCH" and alert["Claimed"] == f"{PARKED} (HTTP Host)"


def test_host_of_another_site_in_a_later_request(start):
    watch = start.run(POLICY, PYTHON, "-c", (
        "import http.client\n"
        f"c = http.client.HTTPConnection('{SHOP}')\n"
        f"for host in '{SHOP}', '{PARKED}':\n"
        "    c.request('GET', '/', headers={'Host': host})\n"
        "    print(c.getresponse().read())\n"))
    assert watch.wait() == 0, watch.text()
    assert titles(watch) == ["NAME MISMATCH"]
    assert claims(watch) == [("http", 0, SHOP, "expected"), ("http", 0, PARKED, "unexpected")]


ONE_BYTE = """
import socket, ssl, sys
front, name = sys.argv[1:]
context = ssl.create_default_context()
s = socket.create_connection((front, 443))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(came, goes, server_hostname=name)
while True:
    try:
        tls.do_handshake()
        break
    except ssl.SSLWantReadError:
        for byte in goes.read():
            s.send(bytes([byte]))
        came.write(s.recv(65536))
"""


def test_hello_in_writes_of_one_byte(start):
    watch = start.run(POLICY, PYTHON, "-c", ONE_BYTE, SHOP, PARKED)
    assert watch.wait() == 0, watch.text()
    assert titles(watch) == ["NAME MISMATCH"]
    assert claims(watch) == [("tls", 0, PARKED, "unexpected")]


def test_a_listed_name_at_an_unlisted_address(start):
    """It stays the alert that it was, and what the agent says of it is a claim."""
    watch = curl(start, "--resolve", f"{LISTED}:443:{UNLISTED4}", f"https://{LISTED}/")
    assert watch.stdout.list == ["200"], watch.text()
    assert titles(watch) == ["UNEXPECTED OUTBOUND CONNECTION"]
    assert watch.alerts.list[0]["Destination"] == f"{UNLISTED4}:443 (resolved: unknown)"
    assert notices(watch) == [
        f"linnet: {UNLISTED4}:443 is called {LISTED} by the agent (TLS SNI): a claim, it permits "
        "nothing; the name is listed, but nothing that grants says that it leads there"]
    assert claims(watch) == [("tls", 0, LISTED, "unexpected")]
    closed, = watch.flows("flow-close")
    assert closed["verdict"] == "unexpected"
    assert [(n["name"], n["source"], n["grants"]) for n in closed["names"]] == [
        (LISTED, "sni", False)]


def test_the_claim_permits_nothing_afterwards(start):
    script = " ".join([*CURL[:-2], "--resolve", f"{LISTED}:443:{UNLISTED4}", f"https://{LISTED}/",
                       "--next", *CURL[1:-2], "--resolve", f"{LISTED}:80:{UNLISTED4}",
                       f"http://{LISTED}/"])
    watch = start.run(POLICY, "sh", "-c", script)
    watch.wait()
    assert titles(watch) == ["UNEXPECTED OUTBOUND CONNECTION"] * 2
    second = watch.alerts.list[1]
    assert second["Destination"] == f"{UNLISTED4}:80 (resolved: {LISTED} (claimed))"
    assert second["Hint"] == f"{LISTED} is listed, but only the agent itself says that it is this " \
                             "address"


def test_ssh_on_the_port_of_tls(start):
    watch = start.run(POLICY, PYTHON, "-c", (
        "import socket\n"
        f"s = socket.create_connection(('{SHOP}', 443))\n"
        "s.send(b'SSH-2.0-canary\\r\\n'); s.recv(99)\n"))
    assert watch.wait() == 0, watch.text()
    assert titles(watch) == []
    assert notices(watch) == [f"linnet: {SHARED4}:443 ({SHOP}) is spoken to in SSH, not in TLS: "
                              "SSH-2.0-canary"]
    record, = watch.of("claim")
    assert (record["layer"], record["detail"], record["notice"]) == ("ssh", "SSH-2.0-canary", True)


def test_a_quiet_watch_tells_no_notices(start):
    watch = curl(start, f"http://{SHOP}:443/", options=["-q"])
    assert claims(watch) == [("http", 0, SHOP, "expected")]
    assert watch.stderr.list == []


@pytest.fixture
def http_proxy(start, net):
    """A real one on the agent's loopback, outside of its tree."""
    configuration = net.folder / "tinyproxy.conf"
    configuration.write_text(TINYPROXY)
    process = start.agent("tinyproxy", "-d", "-c", configuration, stderr=subprocess.STDOUT)
    for line in process.stdout:
        if b"Accepting connections" in line:
            return process
    raise AssertionError("tinyproxy does not start")


@pytest.fixture
def socks_proxy(start):
    configuration = start.net.folder / "danted.conf"
    configuration.write_text(SOCKS.configuration.format(ip="127.0.0.1", port=SOCKS.port,
                                                        leaves_by=AGENT4))
    process = start.agent(SOCKS.program, *SOCKS.options, configuration, stderr=subprocess.STDOUT)
    read_lines(process.stdout.fileno(), SOCKS.program).wait(lambda line: SOCKS.ready in line)
    yield process
    process.terminate()  # it has children, and only it ends them
    process.wait(DEADLINE_S)


def relayed(start, proxy, *arguments):
    return curl(start, "-x", proxy, *arguments, given=RELAYED)


def test_a_listed_site_behind_an_http_proxy(start, http_proxy):
    watch = relayed(start, f"http://{HTTP_PROXY}", f"https://{LISTED}/")
    assert watch.stdout.list == ["200"], watch.text()
    assert titles(watch) == [] and notices(watch) == []
    assert claims(watch) == [("http-proxy", 0, LISTED, "expected"), ("tls", 1, LISTED, "expected")]
    summary, = watch.of("summary")
    assert not any(LISTED + " 443" in rule for rule in summary["unused_rules"])


@pytest.mark.parametrize("scheme, layers", [
    ("https", [("http-proxy", 0), ("tls", 1)]), ("http", [("http-proxy", 0)])])
def test_an_unlisted_site_behind_an_http_proxy(start, http_proxy, scheme, layers):
    watch = relayed(start, f"http://{HTTP_PROXY}", f"{scheme}://{UNLISTED}/")
    assert watch.stdout.list == ["200"], watch.text()
    alert, = watch.alerts.list
    port, method = (443, "CONNECT") if scheme == "https" else (80, "GET")
    assert alert.title == "UNEXPECTED DESTINATION BEHIND RELAY"
    assert alert["Destination"] == f"{UNLISTED}:{port} (resolved: by the relay)"
    assert alert["Rule Matched"] == "NONE - Destination asked of a relay is not in the allow-list."
    assert alert["Via"] == (f"{HTTP_PROXY}, PID {http_proxy.pid} tinyproxy, HTTP proxy request: "
                            f"{method}")
    assert [c[:2] for c in claims(watch)] == layers
    assert {c[3] for c in claims(watch)} == {"unexpected"}
    assert watch.of("claim")[0]["listener"] == {"pid": http_proxy.pid, "comm": "tinyproxy"}


def test_another_site_inside_of_the_tunnel(start, http_proxy):
    watch = relayed(start, f"http://{HTTP_PROXY}", "--connect-to", f"{PARKED}:443:{SHOP}:443",
                    f"https://{PARKED}/")
    assert watch.stdout.list == ["200"], watch.text()
    alert, = watch.alerts.list
    assert alert.title == "NAME MISMATCH"
    assert alert["Destination"] == f"{SHOP}:443 (resolved: by the relay)"
    assert alert["Claimed"] == f"{PARKED} (TLS SNI)"
    assert alert["Via"] == f"{HTTP_PROXY}, PID {http_proxy.pid} tinyproxy"


@pytest.mark.parametrize("name, told", [(LISTED, []),
                                        (UNLISTED, ["UNEXPECTED DESTINATION BEHIND RELAY"])])
@pytest.mark.parametrize("version", ["socks5h", "socks5"])
def test_socks(start, socks_proxy, version, name, told):
    """By name, and by an address that the agent has looked up itself."""
    watch = relayed(start, f"{version}://{SOCKS_PROXY}", f"https://{name}/")
    assert watch.stdout.list == ["200"], watch.text()
    assert [t for t in titles(watch) if t != "UNEXPECTED DNS QUERY"] == told
    first = watch.of("claim")[0]
    assert (first["layer"], first["target"]["port"]) == ("socks5", 443)
    if version == "socks5":
        assert first["claimed"]["ip"] == (LISTED4 if name == LISTED else UNLISTED4)
        assert {n["name"] for n in first["names"]} >= {name}
    else:
        assert first["claimed"]["name"] == name


def test_a_relay_of_the_same_tree_is_judged_by_what_it_does(start, net):
    """What the agent says to its own process is nobody's business; that one's connections are."""
    configuration = net.folder / "own-tinyproxy.conf"
    configuration.write_text(TINYPROXY)
    script = (f"tinyproxy -d -c {configuration} >proxy.log 2>&1 & "
              "until grep -q 'Accepting connections' proxy.log; do :; done; "
              f"{' '.join(CURL[:-2])} -x http://{HTTP_PROXY} https://{UNLISTED}/; kill %1")
    watch = start.run(POLICY, "bash", "-c", script, cwd=net.folder)
    watch.wait()
    assert titles(watch) == ["UNEXPECTED DNS QUERY", "UNEXPECTED OUTBOUND CONNECTION"], watch.text()
    assert watch.alerts.list[1]["Destination"] == f"{UNLISTED4}:443 (resolved: {UNLISTED})"
    assert claims(watch) == [("tls", 0, UNLISTED, "unexpected")]
    assert notices(watch) == []


def test_what_comes_in_claims_nothing(start, net):
    """An HTTP server of the agent, asked by somebody outside."""
    given = POLICY + "expected_inbound:\n  - port: 8000\n    protocol: TCP\n    purpose: test\n"
    watch = start.run(given, PYTHON, "-uc", (
        "import http.server\n"
        "s = http.server.HTTPServer(('', 8000), http.server.SimpleHTTPRequestHandler)\n"
        "print('ready'); s.handle_request()\n"), cwd=net.folder)
    watch.stdout.wait(lambda line: line == "ready")
    subprocess.run(["nsenter", f"--net=/run/netns/{net.outside}", "curl", "-s", "-o", "/dev/null",
                    f"http://{AGENT4}:8000/"], check=True, timeout=20)
    assert watch.wait() == 0, watch.text()
    assert watch.of("claim") == [] and titles(watch) == []
