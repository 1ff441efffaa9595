# SPDX-License-Identifier: Apache-2.0
"""The name that a QUIC client asks for is read from what it really sends: a client and a server of
HTTP/3, and what a browser sent once."""
import subprocess

import pytest

from events import read_lines
from netlab import API
from policies import policy
from watch import ROOT

LISTED, UNLISTED = "api.company-internal.com", "sketchy-mirror.example.com"
CHROMIUM = "www.example.org"  # what it was asked for when its datagrams were kept
PORT, RETRY_PORT = 443, 8443
POLICY = policy(f"{LISTED} {PORT} UDP", f"{LISTED} {RETRY_PORT} UDP")
# Says again what a client said: a letter, then datagrams behind their lengths.
SAY_AGAIN = """
import socket, sys
path, host, port, times = sys.argv[1:]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((host, int(port)))
said = open(path, "rb").read()[1:] * int(times)
while said:
    end = 2 + int.from_bytes(said[:2], "big")
    s.send(said[2:end])
    said = said[end:]
"""


@pytest.fixture(scope="module")
def server(net):
    """HTTP/3 on all addresses outside; on RETRY_PORT the client's address is validated first."""
    (net.folder / "www").mkdir()
    (net.folder / "www" / "page").write_text("by QUIC\n")
    for port, options in ((PORT, []), (RETRY_PORT, ["-V"])):
        process = net.spawn_outside(
            ["gtlsserver", "-q", *options, "-d", str(net.folder / "www"), "*", str(port),
             str(net.folder / "server.key"), str(net.folder / "server.pem")],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        read_lines(process.stderr.fileno(), "gtlsserver").wait(
            lambda line: line.startswith("Using document root"))


def fetch(start, tmp_path, host, port):
    """linnet over a client that fetched the page."""
    watch = start.run(POLICY, "gtlsclient", "-q", "--exit-on-all-streams-close",
                      f"--download={tmp_path}", host, port, f"https://{host}/page")
    assert watch.wait() == 0, watch.text()
    assert (tmp_path / "page").read_text() == "by QUIC\n"
    return watch


def say_again(start, said, host, times=1):
    watch = start.run(POLICY, "/usr/bin/python3", "-c", SAY_AGAIN,
                      ROOT / "tests/fuzz/corpus/quic" / said, host, PORT, times)
    assert watch.wait() == 0, watch.text()
    return watch


def one_claim(watch):
    claim, = watch.of("claim")
    assert claim["layer"] == "quic"
    assert claim["alpn"] == "h3"
    assert claim["depth"] == 0
    return claim


@pytest.mark.parametrize("port", [PORT, RETRY_PORT])
def test_a_listed_site_is_quiet(start, server, tmp_path, port):
    watch = fetch(start, tmp_path, LISTED, port)
    assert watch.alerts.list == []
    claim = one_claim(watch)
    assert claim["claimed"]["name"] == LISTED
    assert claim["verdict"] == "expected"
    assert claim["remote"]["port"] == port


def test_an_unlisted_site_is_told_once(start, server, tmp_path):
    watch = fetch(start, tmp_path, UNLISTED, PORT)
    alert, = watch.flow_alerts()
    alert.assert_contract()
    assert alert["Destination"].endswith(f"(resolved: {UNLISTED})")
    assert [a.title for a in watch.alerts.list] == ["UNEXPECTED DNS QUERY", alert.title]
    assert one_claim(watch)["claimed"]["name"] == UNLISTED


@pytest.mark.parametrize("said", ["client-chromium-v1", "client-chromium-v2"])
def test_another_name_at_a_listed_address_is_told(start, net, said):
    """A hello of two datagrams, in shuffled pieces, in either version of QUIC."""
    watch = say_again(start, said, LISTED)
    claim = one_claim(watch)
    assert claim["claimed"]["name"] == CHROMIUM
    assert claim["remote"] == {"ip": API, "port": PORT}
    assert claim["verdict"] == "unexpected"
    alert, = watch.alerts.list
    assert alert.title == "NAME MISMATCH"
    assert CHROMIUM in str(alert) and API in str(alert)


def test_what_is_said_once_more_is_no_loss(start, net):
    """Where nobody answers, a client repeats its first packets; they say nothing new."""
    watch = say_again(start, "client-chromium-v1", LISTED, times=4)
    one_claim(watch)
    assert [a.title for a in watch.alerts.list] == ["NAME MISMATCH"]
    assert watch.of("lost") == []
