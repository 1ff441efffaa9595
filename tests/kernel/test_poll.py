# SPDX-License-Identifier: Apache-2.0
"""The simple mode: no eBPF, no root for one's own processes; the same policy and alert, and its
blind spots said at start."""
import os
import pwd
import subprocess

import leaks
import watch as watching
from netlab import OTHER, OTHER6, WEATHER
from policies import WEATHER_ONLY, policy


PYTHON = "/usr/bin/python3"
HOLD = ("import socket, sys\nc = socket.create_connection(('{ip}', {port}))\nc.sendall(b'x' * 10)\n"
        "print('open', flush=True)\nsys.stdin.readline()\n")
POLL = ["--sensor=poll"]


def held(start, ip, port, policy_text=WEATHER_ONLY, **options):
    return start.run(policy_text, PYTHON, "-c", HOLD.format(ip=ip, port=port), stdin=subprocess.PIPE,
                     options=POLL, **options)


def end(watch):
    watch.process.stdin.write(b"\n")
    watch.process.stdin.close()
    return watch.wait()


def test_a_connection_that_lasts_is_seen(start):
    for ip in (OTHER, OTHER6):
        watch = held(start, ip, 7004)
        alert = watch.wait_alert(lambda a: a.is_flow)
        alert.assert_contract()
        assert alert["Command"].startswith(os.path.realpath(PYTHON))
        assert end(watch) == 0, watch.text()
        assert [r["remote"]["ip"] for r in watch.flows()] == [ip]
        assert len(watch.flows("flow-close")) == 1


def test_blind_spots_are_said_at_start(start):
    watch = held(start, OTHER, 7004)
    header = watch.wait_record(type="header")
    assert header["sensor"] == "poll"
    assert any("short" in spot or "between" in spot for spot in header["blind"]), header["blind"]
    watch.stderr.wait(lambda line: "BLIND here: short TCP connections" in line)
    end(watch)


def test_expected_by_name_through_own_look_up(start):
    watch = held(start, WEATHER, 443)
    assert watch.wait_record(type="flow-open", remote={"ip": WEATHER, "port": 443})[
        "verdict"] == "expected"
    assert end(watch) == 0
    assert watch.flow_alerts() == []


def test_connection_of_a_grandchild(start):
    watch = start.run(WEATHER_ONLY, "sh", "-c",
                      f"sh -c '{PYTHON} -c \"$0\"; :' \"$1\"; :", HOLD.format(ip=OTHER, port=7004),
                      HOLD.format(ip=OTHER, port=7004), stdin=subprocess.PIPE, options=POLL)
    alert = watch.wait_alert(lambda a: a.is_flow)
    assert alert["PID"] != str(watch.of("header")[0]["pid"])
    assert end(watch) == 0


def test_connected_udp(start):
    watch = start.run(policy(f"{OTHER} 7006 UDP"), PYTHON, "-c",
                      "import socket, sys\n"
                      "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                      f"s.connect(('{OTHER}', 7005)); s.send(b'x'); sys.stdin.readline()\n",
                      stdin=subprocess.PIPE, options=POLL)
    alert = watch.wait_alert(lambda a: a.is_flow)
    assert alert["Protocol"] == "UDP"
    assert end(watch) == 0


def test_status_of_the_command(start):
    watch = start.run(WEATHER_ONLY, "sh", "-c", "exit 9", options=POLL)
    assert watch.wait() == 9


def test_without_root_for_ones_own_processes(start, net):
    """An ordinary user watches a command of his own; nothing of eBPF is used."""
    user = pwd.getpwnam("nobody")
    folder = net.folder / f"own-{os.urandom(3).hex()}"
    folder.mkdir()
    os.chown(folder, user.pw_uid, user.pw_gid)
    log = folder / "log.jsonl"
    policy_file = folder / "policy.yaml"
    policy_file.write_text(WEATHER_ONLY)
    before = leaks.bpf_objects()
    process = subprocess.Popen(
        net.enter(["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
                   watching.LINNET, "run", "-p", str(policy_file), "--log", str(log), *POLL, "--",
                   PYTHON, "-c", HOLD.format(ip=OTHER, port=7004)]),
        stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = watching.AlertLines()
    watching.read_lines(process.stderr.fileno(), lines)
    lines.alerts.wait(lambda a: a.is_flow).assert_contract()
    assert leaks.bpf_objects() <= before
    process.stdin.write(b"\n")
    process.stdin.close()
    assert process.wait(20) == 0
    assert b'"verdict":"unexpected"' in log.read_bytes()


def test_bpf_without_root_says_what_to_do(net, start):
    user = pwd.getpwnam("nobody")
    path = start.policy(WEATHER_ONLY)
    done = subprocess.run(
        net.enter(["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
                   watching.LINNET, "run", "-p", str(path), "--", "true"]),
        capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 125
    assert "sudo" in done.stderr and "--sensor=poll" in done.stderr


def test_attach_takes_open_connections(start):
    agent = start.agent(PYTHON, "-c", HOLD.format(ip=OTHER, port=7004))
    assert agent.stdout.readline() == b"open\n"
    watch = start.attach(WEATHER_ONLY, agent.pid, options=POLL)
    opened = watch.wait_record(type="flow-open")
    assert opened["existing"] is True and opened["pid"] == agent.pid
    agent.communicate(b"\n", timeout=20)
    assert watch.wait() == 0, watch.text()
