# SPDX-License-Identifier: Apache-2.0
"""`linnet doctor`: what this kernel offers, what is not seen here, and a live self-test."""
import json
import os
import pwd
import subprocess

from policies import WEATHER_ONLY
from watch import LINNET


def doctor(*options, prefix=()):
    return subprocess.run([*prefix, LINNET, "doctor", *options], capture_output=True, text=True,
                          timeout=60, check=False)


def test_the_self_test_catches_its_own_connection():
    done = doctor()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "self-test" in done.stdout


def test_json(net):
    done = doctor("--json")
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert records
    text = json.dumps(records)
    for hook in ("connect4", "connect6", "sendmsg4", "sendmsg6"):
        assert hook in text
    assert "self-test" in text


# Each way out that this version knows: a row is never left out, whatever the kernel offers.
CHANNELS = """TCP connect
MPTCP, further paths
UDP connect
UDP sendto, sendmsg
io_uring connect and send
UDP-Lite, SCTP, DCCP, ping
raw IP sockets
source routes, NAT, rewriting
packet sockets, AF_XDP
tunnel devices (TUN, TAP)
AF_VSOCK and other families
UNIX sockets to outside
sockets received from outside
sockets received, used at once
sockets passed to outside
io_uring taken from outside
io_uring taken, used at once
ptrace, writing foreign memory
foreign memory, by its own user
inbound connections, answered
redirection (NAT, VXLAN, tc)
BPF programs of the agent
kernel modules
release_agent, usermode helpers
files, pipes, shared memory
inside expected connections
names asked by TLS, QUIC, HTTPS""".splitlines()
SIGHTS = {"seen", "alert on preparation", "BLIND"}
NAME_WIDTH = 31


def json_records(*options):
    return [json.loads(line) for line in doctor("--json", *options).stdout.splitlines()]


def channels_of(records):
    return {r["name"]: r for r in records if r["section"] == "channel"}


def test_each_channel_has_a_row():
    records = json_records()
    channels = channels_of(records)
    assert list(channels) == CHANNELS
    hooks = {r["name"]: r["state"] for r in records if r["section"] == "bpf"}
    for row in channels.values():
        assert row["sight"] in SIGHTS
        assert row["state"] == ("ok" if row["sight"] == "seen" else "missing")
        by = row["by"].split(", ") if row["by"] else []
        assert bool(by) == (row["sight"] != "BLIND"), row
        assert row["note"] or by
        assert not (row["refusable"] and row["sight"] == "BLIND")
        for hook in by:
            assert hooks[hook] == "ok", row
    assert channels["TCP connect"]["sight"] == "seen"
    assert channels["files, pipes, shared memory"]["sight"] == "BLIND"


def test_the_table_for_people_says_the_same():
    channels = channels_of(json_records())
    lines = doctor().stdout.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("channels "))
    table = [line for line in lines[first + 1:] if line.startswith("  ")]
    assert all(len(line) <= 100 for line in lines[first:first + 1] + table)
    rows = {}
    for line in table:
        name, rest = line[2:2 + NAME_WIDTH].rstrip(), line[2 + NAME_WIDTH:].strip()
        if name:
            rows[name] = last = [rest]
        else:
            last.append(rest)
    assert list(rows) == list(channels)
    for name, said in rows.items():
        words = " ".join(said)
        assert words.startswith(channels[name]["sight"])
        assert channels[name]["by"] in words and channels[name]["note"] in words
        assert ("refusable" in words) == channels[name]["refusable"]


# What the self-test does, and the way out that it proves.
PROBES = {
    "TCP connection, IPv4": "TCP connect",
    "TCP connection, IPv6": "TCP connect",
    "UDP datagram, connected": "UDP connect",
    "UDP datagram, sendto": "UDP sendto, sendmsg",
    "UDP-Lite datagram": "UDP-Lite, SCTP, DCCP, ping",
    "ping socket": "UDP-Lite, SCTP, DCCP, ping",
    "raw socket": "raw IP sockets",
    "packet socket": "packet sockets, AF_XDP",
    "UNIX socket": "UNIX sockets to outside",
    "tunnel device": "tunnel devices (TUN, TAP)",
    "privilege": "redirection (NAT, VXLAN, tc)",
    "listening socket": "inbound connections, answered",
    "inbound connection": "inbound connections, answered",
    "injection by ptrace": "ptrace, writing foreign memory",
}


def test_whatever_is_not_blind_is_proved():
    records = json_records()
    channels = channels_of(records)
    tried = {r["name"]: r for r in records if r["section"] == "self-test"}
    assert tried.pop("PASS")["state"] == "ok"
    assert list(tried) == list(PROBES)
    for name, result in tried.items():
        if channels[PROBES[name]]["sight"] == "BLIND":
            assert result["note"] == "not tried: BLIND here", result
        elif result["note"].startswith("cannot be tried here: "):
            assert name in ("UDP-Lite datagram", "tunnel device"), result
        else:
            assert result["state"] == "ok" and result["note"].startswith("caught after "), result
            refused = result["note"].endswith(", refused in block mode")
            assert refused == channels[PROBES[name]]["refusable"], result
    for name in list(PROBES)[:4]:
        assert tried[name]["state"] == "ok"


def test_polling_has_a_table_of_its_own():
    channels = channels_of(json_records("--sensor=poll"))
    assert {n for n, row in channels.items() if row["sight"] != "BLIND"} == {
        "TCP connections that last", "connected UDP that lasts"}
    assert not any(row["refusable"] for row in channels.values())


def test_polling_passes_on_a_busy_machine(start):
    """The listeners of the self-test are not its agent's, however late that lets go of them."""
    for _ in range(4):
        start.agent("sh", "-c", "while :; do :; done")
    for _ in range(6):
        done = doctor("--sensor=poll")
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_blind_is_said_at_the_start(start):
    blind = [name for name, row in channels_of(json_records()).items() if row["sight"] == "BLIND"]
    watch = start.run(WEATHER_ONLY, "true")
    assert watch.wait() == 0, watch.text()
    said, = (line for line in watch.stderr.list if "BLIND here: " in line)
    names = said.split("BLIND here: ")[1].split(". Missing: ")[0].split(" (see")[0]
    assert names.split("; ") == blind
    header, = watch.of("header")
    assert [spot.split(": ")[0] for spot in header["blind"]][:len(blind)] == blind
    assert all(": " in spot for spot in header["blind"])


def test_without_root_it_says_so_and_fails_to_look():
    user = pwd.getpwnam("nobody")
    done = doctor(prefix=["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}",
                          "--clear-groups"])
    assert done.returncode != 0
    assert "root" in done.stdout + done.stderr or "sudo" in done.stdout + done.stderr


def test_it_leaves_the_network_alone():
    """The self-test has a namespace of its own, and it is gone."""
    before = set(os.listdir("/proc/net")), subprocess.run(["ip", "-o", "addr"], capture_output=True,
                                                          check=True).stdout
    doctor()
    after = set(os.listdir("/proc/net")), subprocess.run(["ip", "-o", "addr"], capture_output=True,
                                                         check=True).stdout
    assert before == after
