# SPDX-License-Identifier: Apache-2.0
"""Real clients against real servers: no alert on a listed site, and one on a site that is not, with
its name."""
import os
import re
import tempfile
from pathlib import Path

import pytest

import sites
from clients import CLIENTS
from policies import policy
from sites import (BLOG, EYES, EYES4, EYES_UNLISTED, EYES_UNLISTED4, LISTED, LISTED4, LISTED6,
                   NOWHERE6, PARKED, SHARED4, SHOP, UNLISTED, UNLISTED4)

POLICY = policy(*(f"{name} {port} TCP" for name in (LISTED, SHOP, BLOG, EYES)
                  for port in (80, 443)))
every_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)


@pytest.fixture(scope="module")
def net(nothing_left):
    """The internet of this file: `start` runs linnet in it."""
    for client in CLIENTS:
        client.make()
    lab = sites.lab()
    yield lab
    lab.close()


@pytest.fixture
def fetch(start, net):
    """Runs linnet over a client that fetches from each host; what came of it when it was over."""
    def run(client, *hosts):
        done = []
        for host in hosts:
            folder = Path(tempfile.mkdtemp(dir=net.folder))
            folder.chmod(0o777)
            watch = start.run(POLICY, *client.fetch(host, net, folder), cwd=folder,
                              options=["--user", client.user] if client.user else [],
                              environment={**os.environ, "HOME": str(folder),
                                           **client.environment})
            assert watch.wait() == 0, watch.text()
            assert client.says in "\n".join(watch.stdout.list), watch.text()
            done.append(watch)
        return done
    return run


def site_flows(watch):
    """What went to the web sites: all but questions to the resolver."""
    return [r for r in watch.flows() if r["verdict"] != "dns"]


@every_client
def test_a_listed_site_is_quiet(fetch, client):
    watch, = fetch(client, LISTED)
    assert watch.alerts.list == []
    flows = site_flows(watch)
    assert {(r["verdict"], r["remote"]["port"]) for r in flows} == {("expected", client.port)}
    assert {r["remote"]["ip"] for r in flows} <= {LISTED4, LISTED6}
    assert all("answer" in {n["source"] for n in r["names"] if n["name"] == LISTED} for r in flows)


@every_client
def test_an_unlisted_site_is_told_once_by_its_name(fetch, client):
    watch, = fetch(client, UNLISTED)
    assert [a.title for a in watch.alerts.list] == [
        "UNEXPECTED DNS QUERY", "UNEXPECTED OUTBOUND CONNECTION"], watch.text()
    query, alert = watch.alerts.list
    assert f"(query: {UNLISTED} " in query["Destination"]
    alert.assert_contract()
    assert alert["Destination"] == f"{UNLISTED4}:{client.port} (resolved: {UNLISTED})"
    told = [r for r in site_flows(watch) if r["alert"]]
    assert [(r["remote"]["ip"], r["title"]) for r in told] == [(UNLISTED4, alert.title)]
    assert {n["name"] for n in told[0]["names"]} == {UNLISTED}
    assert {r["verdict"] for r in site_flows(watch)} == {"unexpected"}


@every_client
def test_listed_sites_that_share_an_address_are_quiet(fetch, client):
    for watch, name in zip(fetch(client, SHOP, BLOG), (SHOP, BLOG)):
        assert watch.alerts.list == []
        assert {(r["verdict"], r["remote"]["ip"]) for r in site_flows(watch)} == {
            ("expected", SHARED4)}
        assert {n["name"] for r in site_flows(watch) for n in r["names"]} >= {name}


@every_client
def test_an_unlisted_site_at_the_address_of_listed_ones_is_told_once(fetch, client):
    """The address is permitted, because listed names lead to it; what the bytes say is not."""
    watch, = fetch(client, PARKED)
    assert [a.title for a in watch.alerts.list if not a.title.startswith("REPEATED ")] == [
        "UNEXPECTED DNS QUERY", "NAME MISMATCH"], watch.text()
    alert, = [a for a in watch.alerts.list if a.title == "NAME MISMATCH"]
    said = "TLS SNI" if client.scheme == "https" else "HTTP Host"
    # Browsers send what looks like ECH to every site: they claim an outer name.
    assert re.fullmatch(rf"{PARKED} \({said}(, outer name \(ECH\))?\)", alert["Claimed"]), alert
    assert {(r["verdict"], r["remote"]["ip"]) for r in site_flows(watch)} == {
        ("expected", SHARED4)}
    assert {r["claimed"]["name"] for r in watch.of("claim", verdict="unexpected")} == {PARKED}


@every_client
def test_a_listed_site_without_its_other_family_is_quiet(fetch, client):
    """Happy eyeballs, or one address after the other: both are the listed name."""
    watch, = fetch(client, EYES)
    assert watch.alerts.list == []
    flows = site_flows(watch)
    assert {r["verdict"] for r in flows} == {"expected"}
    assert {EYES4} <= {r["remote"]["ip"] for r in flows} <= {EYES4, NOWHERE6[0]}


@every_client
def test_each_address_of_an_unlisted_site_is_told_once(fetch, client):
    watch, = fetch(client, EYES_UNLISTED)
    told = [a["Destination"] for a in watch.flow_alerts()]
    reached = {r["remote"]["ip"] for r in site_flows(watch)}
    assert {EYES_UNLISTED4} <= reached <= {EYES_UNLISTED4, NOWHERE6[1]}
    assert sorted(told) == sorted(
        f"{f'[{ip}]' if ':' in ip else ip}:{client.port} (resolved: {EYES_UNLISTED})"
        for ip in reached), watch.text()
