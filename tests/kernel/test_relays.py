# SPDX-License-Identifier: Apache-2.0
"""A proxy that the policy allows is judged by what is asked of it, too: real proxies, beside the
servers and on loopback, and curl through them."""
import os

import pytest

from netlab import API, OTHER, SKETCHY
from policies import policy
from relays import LAN, LOOPBACK, WAYS, Relays

BEHIND = "UNEXPECTED DESTINATION BEHIND RELAY"
# Who serves HTTP and HTTPS outside.
SITE = {80: "other.example.org", 443: "api.company-internal.com"}
ADDRESS = {80: OTHER, 443: API}
UNLISTED = "sketchy-mirror.example.com"
CONNECT, ABSOLUTE, SOCKS5, SOCKS5_ADDRESS, SOCKS4_ADDRESS = WAYS
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
every_place = pytest.mark.parametrize("place", [LAN, LOOPBACK])


@pytest.fixture(scope="module")
def relays(net):
    started = Relays(net)
    yield started
    started.close()


def rule(place, way):
    return f"{place} {way.relay.port} TCP"


def run(start, command, *rules, **more):
    watch = start.run(policy(*rules), *command, **more)
    assert watch.wait() == 0, watch.text()
    assert watch.stdout.list == ["ok"]
    return watch


def asked(watch, layer):
    """What the relay was asked for, once."""
    claim, = watch.of("claim", depth=0)
    assert claim["layer"] == layer
    return claim


def assert_told_behind(watch, destination, place, way, relays):
    """Exactly one alert for the flow and all that was said in it."""
    alerts = [a for a in watch.alerts.list if a.title != "UNEXPECTED DNS QUERY"]
    assert [a.title for a in alerts] == [BEHIND], watch.text()
    alert, = alerts
    assert alert["Destination"] == destination
    assert alert["Action"] == "LOGGED (Block policy not enabled)"
    via = f"{place}:{way.relay.port}"
    if place == LOOPBACK:
        program = way.relay.program
        via += f", PID {relays.pids[place, program]} {program}"
    assert alert["Via"].startswith(f"{via}, ")


@every_place
@every_way
def test_a_listed_target_is_quiet(start, relays, way, place):
    host = SITE[way.port]
    watch = run(start, way.fetch(place, host), rule(place, way), f"{host} {way.port} TCP")
    assert watch.alerts.list == []
    claim = asked(watch, way.layer)
    wanted = {"name": host, "ip": None} if way.by_name else {"name": None, "ip": ADDRESS[way.port]}
    assert claim["claimed"] == dict(wanted, port=way.port)
    assert claim["verdict"] == "expected"
    inner = watch.of("claim", depth=1)
    assert [(c["layer"], c["claimed"]["name"], c["verdict"]) for c in inner] == (
        [("tls", host, "expected")] if way.scheme == "https" else [])


@every_place
@every_way
def test_an_unlisted_target_is_told_once(start, relays, way, place):
    host = UNLISTED if way.port == 443 else SITE[80]
    watch = run(start, way.fetch(place, host), rule(place, way))
    assert_told_behind(watch, f"{host}:{way.port} (resolved: by the relay)" if way.by_name
                       else f"{SKETCHY}:{way.port} (resolved: {host})", place, way, relays)
    assert asked(watch, way.layer)["verdict"] == "unexpected"


@pytest.mark.parametrize("way", [SOCKS5_ADDRESS, SOCKS4_ADDRESS], ids=lambda way: way.name)
def test_an_address_that_nobody_looked_up(start, relays, way):
    watch = run(start, way.fetch(LAN, SKETCHY, "--insecure"), rule(LAN, way))
    assert_told_behind(watch, f"{SKETCHY}:443 (resolved: unknown)", LAN, way, relays)


def test_a_proxy_from_the_environment(start, relays):
    environment = dict(os.environ, https_proxy=f"http://{LAN}:{CONNECT.relay.port}")
    rules = rule(LAN, CONNECT), f"{SITE[443]} 443 TCP"
    curl = ["curl", "-sS", f"https://{SITE[443]}/"]
    assert run(start, curl, *rules, environment=environment).alerts.list == []
    curl = ["curl", "-sS", f"https://{UNLISTED}/"]
    watch = run(start, curl, *rules, environment=environment)
    assert_told_behind(watch, f"{UNLISTED}:443 (resolved: by the relay)", LAN, CONNECT, relays)


@every_place
@pytest.mark.parametrize("way", [CONNECT, SOCKS5], ids=lambda way: way.name)
def test_another_name_inside_of_a_permitted_tunnel(start, relays, way, place):
    """Domain fronting: the relay is asked for a listed site, and the site for another."""
    watch = run(start, way.fetch(place, UNLISTED, "--insecure",
                                 "--connect-to", f"{UNLISTED}:443:{SITE[443]}:443"),
                rule(place, way), f"{SITE[443]} 443 TCP")
    assert [a.title for a in watch.alerts.list] == ["NAME MISMATCH"], watch.text()
    alert, = watch.alerts.list
    assert alert["Destination"] == f"{SITE[443]}:443 (resolved: by the relay)"
    assert alert["Claimed"].startswith(f"{UNLISTED} (")
    assert alert["Via"].startswith(f"{place}:{way.relay.port}")
    assert asked(watch, way.layer)["verdict"] == "expected"


@every_place
def test_a_relay_that_is_not_listed(start, relays, place):
    """The flow to it is the alert, and says who listens; what is asked of it is in the log."""
    watch = run(start, CONNECT.fetch(place, SITE[443]), f"{SITE[443]} 443 TCP")
    alert, = watch.alerts.list
    alert.assert_contract()
    assert alert["Destination"].startswith(f"{place}:{CONNECT.relay.port} (")
    if place == LOOPBACK:
        pid = relays.pids[place, CONNECT.relay.program]
        assert alert["Listener"] == f"PID {pid} {CONNECT.relay.program}"
    claim = asked(watch, CONNECT.layer)
    assert claim["claimed"]["name"] == SITE[443]
    assert claim["verdict"] == "unexpected"
