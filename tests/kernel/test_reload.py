# SPDX-License-Identifier: Apache-2.0
"""Another policy while the watch runs: by a changed file, and by SIGHUP."""
import os
import pwd
import shutil
import signal
import stat
from pathlib import Path

import pytest

import watch as watching
from netlab import API, OTHER
from policies import WEATHER_ONLY, policy
from speaker import under as speaker_under

PYTHON = "/usr/bin/python3"
# Holds a connection; another one for each line that it is given.
AGENT = f"""
import socket, sys
held = [socket.create_connection(({OTHER!r}, 7004))]
print('ready')
for line in sys.stdin:
    held.append(socket.create_connection(({OTHER!r}, 7004)))
    print('connected')
"""
BOTH = policy("weather.service.com 443 TCP", f"{OTHER} 7004 TCP")
BROKEN = "agent_name: test_agent\nexpected_outbound: [\n"


class Agent:
    def __init__(self, start, user="nobody"):
        self.process = start.agent("setpriv", f"--reuid={user}", "--clear-groups",
                                   PYTHON, "-uc", AGENT)
        assert self.process.stdout.readline() == b"ready\n"
        self.pid = self.process.pid

    def connect(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"connected\n"


def put(path, text):
    """As editors do: another file in its place."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.chmod(0o600)
    beside.rename(path)


def write(path, text):
    path.write_text(text)


def hang_up(watch):
    watch.signal(signal.SIGHUP)


def monitor_of(watch):
    monitor, = (p for p in watching.monitor_of(watch.log_path) if p != watch.pid)
    return monitor


@pytest.fixture
def attached(start):
    agent = Agent(start)
    path = start.policy(WEATHER_ONLY)
    watch = start.attach(path, agent.pid)
    assert watch.wait_record(type="flow-open")["verdict"] == "unexpected"
    return watch, agent, path


@pytest.mark.parametrize("change", [put, write])
def test_a_changed_file_is_taken(attached, change):
    """No flow is lost: the open one is judged anew, the next one by the new policy."""
    watch, agent, path = attached
    change(path, BOTH)
    taken = watch.wait_record(type="policy", taken=True)
    assert (taken["rules"], taken["no_longer_unexpected"], taken["now_unexpected"]) == (2, 1, 0)
    judged, = watch.of("flow-verdict")
    assert (judged["verdict_before"], judged["verdict"]) == ("unexpected", "expected")
    agent.connect()
    watch.tail.records.wait(lambda r: r["type"] == "flow-open" and r["verdict"] == "expected")
    agent.process.stdin.close()
    assert watch.wait() == 0, watch.text()
    closed = watch.of("flow-close")
    assert len(closed) == 2 and all(r["verdict"] == "expected" for r in closed)
    assert len(watch.alerts.list) == 1
    assert watch.of("summary")[0]["lost"] == 0


def test_an_open_connection_that_is_not_permitted_any_more(start):
    agent = Agent(start)
    path = start.policy(BOTH)
    watch = start.attach(path, agent.pid)
    watch.wait_record(type="flow-open", verdict="expected")
    put(path, WEATHER_ONLY)
    alert = watch.wait_alert(lambda a: a.is_flow)
    assert f"{OTHER}:7004" in alert["Destination"]
    assert "since it was reloaded" in alert["Rule Matched"]
    assert watch.wait_record(type="policy")["now_unexpected"] == 1


def test_a_broken_file_is_refused_and_the_old_policy_stays(attached):
    watch, agent, path = attached
    put(path, BROKEN)
    refused = watch.wait_record(type="policy", taken=False)
    assert "error" in refused["reason"] and refused["rules"] == 1
    watch.stderr.wait(lambda line: f"{path}:3:1: " in line)
    watch.stderr.wait(lambda line: "the old policy stays" in line)
    agent.connect()
    watch.tail.records.wait(lambda r: r["type"] == "flow-open" and not r["existing"]
                            and r["verdict"] == "unexpected")
    # And it is not the end: a good one is taken.
    put(path, BOTH)
    watch.wait_record(type="policy", taken=True)


def test_another_agents_policy_is_refused(attached):
    watch, _, path = attached
    put(path, policy("weather.service.com 443 TCP", name="somebody_else"))
    assert "agent_name" in watch.wait_record(type="policy", taken=False)["reason"]


def test_a_hangup_of_an_attach_reads_the_policy_again(attached):
    watch, _, path = attached
    hang_up(watch)
    assert watch.wait_record(type="policy")["taken"] is True
    assert watch.process.poll() is None


def test_what_a_root_agent_could_have_written_is_only_taken_by_hand(start):
    agent = Agent(start, user="root")
    path = start.policy(WEATHER_ONLY)
    os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)  # root can write anybody's
    watch = start.attach(path, agent.pid)
    watch.wait_record(type="flow-open")
    path.write_text(BOTH)
    assert "could have written it" in watch.wait_record(type="policy", taken=False)["reason"]
    hang_up(watch)
    assert watch.wait_record(type="policy", taken=True)["rules"] == 2


def test_a_policy_that_is_gone_is_told(attached):
    watch, _, path = attached
    path.unlink()
    hang_up(watch)
    watch.wait_record(type="policy", taken=False)
    watch.stderr.wait(lambda line: f"cannot open the policy {path}" in line)


def test_a_link_that_leads_elsewhere_is_a_change(start):
    agent = Agent(start)
    path = start.policy(WEATHER_ONLY)
    other = start.policy(BOTH)
    link = path.with_name(path.name + "-link")
    link.symlink_to(path)
    watch = start.attach(link, agent.pid)
    watch.wait_record(type="flow-open")
    beside = path.with_name(path.name + "-beside")
    beside.symlink_to(other)
    beside.rename(link)
    assert watch.wait_record(type="policy")["rules"] == 2


@pytest.fixture
def users_folder(net):
    user = pwd.getpwnam("nobody")
    folder = Path(f"/tmp/{net.folder.name}-users")
    folder.mkdir()
    os.chown(folder, user.pw_uid, user.pw_gid)
    yield folder
    shutil.rmtree(folder)


def test_attach_refuses_a_policy_that_the_agent_can_change(start, users_folder):
    agent = start.agent("setpriv", "--reuid=nobody", "--clear-groups", "sleep", "60")
    path = users_folder / "policy.yaml"
    path.write_text(WEATHER_ONLY)
    path.chmod(0o600)
    watch = start.attach(path, agent.pid)
    assert watch.wait() == 125
    assert f"the agent's user can replace the policy {path}" in watch.text()


def test_run_warns_and_takes_no_change_unasked(start, users_folder):
    """The agent writes itself a permit: it stays an alert."""
    path = users_folder / "policy.yaml"
    path.write_text(WEATHER_ONLY)
    user = pwd.getpwnam("nobody")
    os.chown(path, user.pw_uid, user.pw_gid)
    permit = users_folder / "permit"
    permit.write_text(BOTH)
    watch = start.run(path, "sh", "-c", f"cat {permit} >{path}; read line", stdin=-1,
                      options=["--user", "nobody"])
    watch.stderr.wait(lambda line: "the agent's user can change the policy" in line)
    refused = watch.wait_record(type="policy", taken=False)
    assert "the agent could have written it" in refused["reason"]
    # Somebody who may signal the monitor wants it all the same.
    os.kill(monitor_of(watch), signal.SIGHUP)
    assert watch.wait_record(type="policy", taken=True)["rules"] == 2
    watch.process.stdin.close()
    assert watch.wait() == 1


def test_a_run_takes_a_change_of_a_file_that_is_out_of_reach(start):
    path = start.policy(WEATHER_ONLY)
    path.chmod(0o600)
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o022 == 0
    watch = start.run(path, "sh", "-c", "echo up; read line", stdin=-1,
                      options=["--user", "nobody"])
    watch.stdout.wait(lambda line: line == "up")
    put(path, BOTH)
    assert watch.wait_record(type="policy")["taken"] is True
    watch.process.stdin.close()
    assert watch.wait() == 1, watch.text()


BLOCK = "mode: block\n"


def test_in_block_mode_the_kernel_gets_the_new_policy(start):
    path = start.policy(WEATHER_ONLY + BLOCK)
    path.chmod(0o600)
    watch, speaker = speaker_under(start, path, options=["--user", "nobody"])
    assert speaker.say("connect", OTHER, 7002) == "EPERM"
    assert speaker.say("ask", "weather.service.com", 443) == "ok"
    put(path, policy("api.company-internal.com 443 TCP", f"{OTHER} 7002 TCP") + BLOCK)
    watch.wait_record(type="policy", taken=True)
    assert speaker.say("connect", OTHER, 7002) == "ok"
    assert speaker.say("connect", API, 7002) == "EPERM"
    assert speaker.say("ask", "api.company-internal.com", 443) == "ok"
    assert speaker.say("ask", "weather.service.com", 443) == "EPERM"
    # And back again: the tables have two halves.
    put(path, WEATHER_ONLY + BLOCK)
    watch.tail.records.wait(lambda r: r["type"] == "policy" and r["rules"] == 1)
    assert speaker.say("connect", OTHER, 7002) == "EPERM"
    assert speaker.say("ask", "weather.service.com", 443) == "ok"


def test_in_block_mode_a_connection_that_is_not_permitted_any_more_is_cut(start):
    path = start.policy(policy(f"{OTHER} 7002 TCP", f"{API} 7002 TCP") + BLOCK)
    path.chmod(0o600)
    watch, speaker = speaker_under(start, path, options=["--user", "nobody"])
    assert speaker.say("connect", OTHER, 7002) == "ok"
    assert speaker.say("send") == "ok"
    put(path, policy(f"{API} 7002 TCP") + BLOCK)
    alert = watch.wait_alert(lambda a: a.is_flow)
    assert alert["Action"] == "BLOCKED" and f"{OTHER}:7002" in alert["Destination"]
    watch.wait_record(type="policy", taken=True)
    assert speaker.say("send") != "ok"
    assert speaker.say("connect", API, 7002) == "ok"
    assert speaker.say("send") == "ok"
