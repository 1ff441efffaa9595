# SPDX-License-Identifier: Apache-2.0
"""The agent under `linnet run` is as without it: status, signals, terminal, directory, user,
environment."""
import os
import pwd
import re
import shlex
import signal
import subprocess

import pytest

import watch as watching
from netlab import OTHER
from policies import WEATHER_ONLY
from watch import actor

PYTHON = "/usr/bin/python3"


@pytest.mark.parametrize("script, status", [
    ("exit 0", 0), ("exit 3", 3), ("exit 86", 86), ("exit 255", 255), ("kill -TERM $$", 143),
    ("kill -KILL $$", 137), ("kill -SEGV $$", 139), ("kill -INT $$", 130)])
def test_status_is_the_commands_own(start, script, status):
    watch = start.run(WEATHER_ONLY, "sh", "-c", script)
    assert watch.wait() == status, watch.text()


def test_alerts_do_not_change_the_status(start):
    watch = start.run(WEATHER_ONLY, "sh", "-c", f"{actor('flow')} tcp {OTHER} 7001 10; exit 4")
    assert watch.wait() == 4
    assert len(watch.flow_alerts()) == 1


@pytest.mark.parametrize("option, status", [("--fail-on-alert", 86), ("--fail-on-alert=7", 7)])
def test_a_violation_fails_the_run_when_asked(start, option, status):
    bad = start.run(WEATHER_ONLY, actor("flow"), "tcp", OTHER, "7001", "10", options=[option])
    assert bad.wait() == status
    good = start.run(WEATHER_ONLY, "sh", "-c", "curl -sS https://weather.service.com; exit 3",
                     options=[option])
    assert good.wait() == 3, good.text()


def test_not_found_is_127(start):
    watch = start.run(WEATHER_ONLY, "/nonexistent/agent")
    assert watch.wait() == 127
    assert "/nonexistent/agent" in watch.text()


def test_not_executable_is_126(start, net):
    plain = net.folder / "plain.txt"
    plain.write_text("not a program\n")
    for path in (plain, net.folder):
        watch = start.run(WEATHER_ONLY, path)
        assert watch.wait() == 126, watch.text()


@pytest.mark.parametrize("policy", ["agent_name: [\n", "nonsense: 1\n", "agent_name: a\nport: 1\n"])
def test_a_bad_policy_is_125_before_anything_starts(start, net, policy):
    mark = net.folder / f"started-{os.urandom(3).hex()}"
    watch = start.run(policy, "touch", mark)
    assert watch.wait() == 125, watch.text()
    assert not mark.exists()
    assert re.search(r"\.yaml:\d+:\d+: \S", watch.text())


def test_a_missing_policy_is_125(start, net):
    bad = net.folder / "missing.yaml"
    watch = start.run(bad, "true")
    assert watch.wait() == 125, watch.text()
    assert str(bad) in watch.text()


def test_a_policy_that_others_can_write_is_refused(start):
    bad = start.policy(WEATHER_ONLY)
    bad.chmod(0o666)
    watch = start.run(bad, "true")
    assert watch.wait() == 125, watch.text()
    assert str(bad) in watch.text()


def test_wrong_usage_is_125_and_helps(start):
    for arguments in (["run"], ["run", "--no-such-flag", "--", "true"], ["run", "-p"]):
        process = subprocess.run([watching.LINNET, *arguments], capture_output=True, text=True,
                                 check=False)
        assert process.returncode in (2, 125), (arguments, process)
        assert process.stderr and not process.stdout


def test_the_directory_and_the_standard_streams_are_the_callers(start, net):
    watch = start.run(WEATHER_ONLY, "sh", "-c", "pwd; cat; echo oops >&2", cwd=net.folder, stdin=-1)
    watch.process.stdin.write(b"through\n")
    watch.process.stdin.close()
    assert watch.wait() == 0
    assert watch.stdout.list == [str(net.folder), "through"]
    assert "oops" in watch.stderr.list


def test_no_descriptor_of_linnet_reaches_the_agent(start):
    watch = start.run(WEATHER_ONLY, PYTHON, "-c",
                      "import os\nfor f in os.listdir('/proc/self/fd'):\n"
                      "    try: print(f, os.readlink('/proc/self/fd/' + f))\n"
                      "    except OSError: pass\n")
    assert watch.wait() == 0
    assert {line.split()[0] for line in watch.stdout.list if "/proc/" not in line} <= {"0", "1", "2"}


def test_environment_is_unchanged(start, net):
    mine = {"PATH": os.environ["PATH"], "HOME": "/root", "MARK": "a b", "LC_ALL": "C"}
    watch = start.run(WEATHER_ONLY, "env", "-0", environment=mine)
    assert watch.wait() == 0
    found = dict(e.split("=", 1) for e in "\n".join(watch.stdout.list).split("\0") if "=" in e)
    expected = dict(mine, PYTHONDONTWRITEBYTECODE="1", **net.trust)
    assert {k: v for k, v in found.items() if k not in ("_", "PWD", "SHLVL", "OLDPWD")} == expected


def test_signal_mask_and_dispositions_are_clean(start):
    watch = start.run(WEATHER_ONLY, "grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status")
    assert watch.wait() == 0
    plain = subprocess.run(["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"],
                           capture_output=True, text=True, check=True).stdout.splitlines()
    assert watch.stdout.list == plain


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_to_linnet_reach_the_agent(start, number):
    watch = start.run(WEATHER_ONLY, PYTHON, "-uc",
                      "import signal, sys\n"
                      f"signal.signal({int(number)}, lambda n, f: (print('got', n), sys.exit(9)))\n"
                      "print('ready')\nwhile True: signal.pause()\n")
    watch.stdout.wait(lambda line: line == "ready")
    watch.signal(number)
    assert watch.wait() == 9, watch.text()
    assert f"got {int(number)}" in watch.stdout.list


def an_account():
    return pwd.getpwnam("nobody")


@pytest.mark.parametrize("form", ["sudo", "--user name", "--user number"])
def test_the_agent_runs_as_the_user(start, net, form):
    user = an_account()
    environment = {"PATH": os.environ["PATH"], "HOME": "/root", "USER": "root"}
    options = {"sudo": [], "--user name": ["--user", user.pw_name],
               "--user number": [f"--user={user.pw_uid}"]}[form]
    if form == "sudo":
        environment.update(SUDO_UID=str(user.pw_uid), SUDO_GID=str(user.pw_gid),
                           SUDO_USER=user.pw_name)
    watch = start.run(WEATHER_ONLY, PYTHON, "-c",
                      "import os; print(os.getresuid(), os.getresgid(), sorted(os.getgroups()), "
                      "os.environ['HOME'], os.environ['USER'], "
                      "open('/proc/self/status').read().split('CapEff:')[1].split()[0])",
                      options=options, environment=environment)
    assert watch.wait() == 0, watch.text()
    uid, gid = user.pw_uid, user.pw_gid
    groups = sorted(os.getgrouplist(user.pw_name, gid))
    assert watch.stdout.list == [f"{(uid,) * 3} {(gid,) * 3} {groups} {user.pw_dir} {user.pw_name} "
                                 f"{'0' * 16}"]


def test_root_stays_root_when_asked(start):
    environment = {"PATH": os.environ["PATH"], "SUDO_UID": "65534", "SUDO_GID": "65534"}
    watch = start.run(WEATHER_ONLY, "id", "-u", options=["--user", "root"], environment=environment)
    assert watch.wait() == 0
    assert watch.stdout.list == ["0"]


def test_an_unknown_user_is_125(start):
    watch = start.run(WEATHER_ONLY, "true", options=["--user", "no-such-user"])
    assert watch.wait() == 125
    assert "no-such-user" in watch.text()


def test_under_ip_netns_exec(start):
    """`ip netns exec` mounts a new /sys without the cgroup tree: the same must be seen."""
    watch = start.run(WEATHER_ONLY, "sh", "-c",
                      f"curl -sS https://weather.service.com; {actor('flow')} udp-echo {OTHER} 7006 2",
                      form="netns")
    assert watch.wait() == 0, watch.text()
    assert watch.stdout.list == ["ok", "tx 200 rx 200"]
    assert [a["Destination"].split()[0] for a in watch.flow_alerts()] == [f"{OTHER}:7006"]
    assert watch.flows("flow-close", ip=OTHER)[0]["tx_bytes"] == 200


def test_quiet_shows_alerts_only(start):
    watch = start.run(WEATHER_ONLY, actor("flow"), "tcp", OTHER, "7001", "10", options=["--quiet"])
    assert watch.wait() == 0
    assert len(watch.flow_alerts()) == 1
    assert "summary" not in watch.text()
    loud = start.run(WEATHER_ONLY, actor("flow"), "tcp", OTHER, "7001", "10")
    assert loud.wait() == 0
    assert "linnet: summary" in loud.stderr.list
    assert re.search(r"rules never used +weather\.service\.com", loud.text())


def test_the_default_log_is_found_and_private(start, net):
    state = net.folder / f"state-{os.urandom(3).hex()}"
    environment = {"PATH": os.environ["PATH"], "HOME": "/root", "XDG_STATE_HOME": str(state)}
    watch = start.run(WEATHER_ONLY, actor("flow"), "tcp", OTHER, "7001", "10", log=False,
                      environment=environment)
    assert watch.wait() == 0, watch.text()
    named = re.search(r"log: (/\S+)", watch.text()).group(1)
    assert os.stat(named).st_mode & 0o077 == 0
    assert b'"type":"flow-open"' in open(named, "rb").read()
    os.unlink(named)


def test_a_closed_standard_error_does_not_end_the_watch(start, net):
    log = net.folder / f"closed-{os.urandom(3).hex()}.jsonl"
    command = net.enter([watching.LINNET, "run", "-p", str(start.policy(WEATHER_ONLY)), "--log",
                         str(log), "--", "sh", "-c",
                         f"read x; {actor('flow')} tcp {OTHER} 7001 10; exit 6"])
    read_end, write_end = os.pipe()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=write_end)
    os.close(write_end)
    os.close(read_end)
    process.communicate(b"\n", timeout=20)
    assert process.returncode == 6
    assert b'"verdict":"unexpected"' in log.read_bytes()


def linnet_line(start, net, *command):
    log = net.folder / f"tty-{os.urandom(3).hex()}.jsonl"
    return shlex.join(map(str, [watching.LINNET, "run", "-p", start.policy(WEATHER_ONLY), "--log",
                                log, "--", *command])), log


def test_ctrl_c_ends_the_agent(start, net, terminal):
    line, _ = linnet_line(start, net, "sh", "-c", "echo rea''dy; exec cat")
    terminal.type(f"{line}; echo status=$?\n")
    terminal.expect("ready")
    terminal.type("\x03")
    terminal.expect("status=130")


def test_an_agent_that_handles_ctrl_c_gets_it_once(start, net, terminal):
    line, _ = linnet_line(start, net, PYTHON, "-uc",
                          "import signal, sys\nn = 0\ndef h(*a):\n    global n\n    n += 1\n"
                          "    print('interrupts', n)\n"
                          "signal.signal(2, h)\nprint('rea' + 'dy')\n"
                          "for line in sys.stdin: print('line', n); sys.exit(n)\n")
    terminal.type(f"{line}; echo status=$?\n")
    terminal.expect("ready")
    terminal.type("\x03")
    terminal.expect("interrupts 1")
    terminal.type("go\n")
    terminal.expect("status=1")


def test_ctrl_z_stops_and_fg_goes_on(start, net, terminal):
    line, log = linnet_line(start, net, PYTHON, "-uc",
                            "import sys, socket\nprint('rea' + 'dy')\nsys.stdin.readline()\n"
                            f"socket.create_connection(('{OTHER}', 7001)).close()\nsys.exit(3)\n")
    terminal.type(f"{line}; echo status=$?\n")
    terminal.expect("ready")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.type("jobs; fg; echo after=$?\n")
    terminal.type("go\n")
    terminal.expect("after=3")
    assert b'"verdict":"unexpected"' in log.read_bytes()


def test_the_agent_has_the_terminal(start, net, terminal):
    """It may read from it, knows its size, and is in the foreground."""
    line, _ = linnet_line(start, net, PYTHON, "-uc",
                          "import os, sys\n"
                          "print('tty', os.isatty(0), os.isatty(1), "
                          "os.tcgetpgrp(0) == os.getpgrp())\n"
                          "print('read', sys.stdin.readline().strip())\n")
    terminal.type(f"{line}; echo status=$?\n")
    terminal.expect("tty True True True")
    terminal.type("typed\n")
    terminal.expect("read typed")
    terminal.expect("status=0")


def test_in_a_pipeline(start, net, terminal):
    line, _ = linnet_line(start, net, "sh", "-c", "cat; echo end")
    terminal.type(f"echo first | {line} 2>/dev/null | tr a-z A-Z; echo sta''tus=${{PIPESTATUS[1]}}\n")
    terminal.expect("FIRST")
    terminal.expect("END")
    terminal.expect("status=0")
