# SPDX-License-Identifier: Apache-2.0
"""`linnet learn` writes a policy under which the same run raises no alert; with an existing policy it
proposes a diff that patch(1) takes; and what a run leaves for CI."""
import json
import os
import pwd
import re
import subprocess

import pytest

import watch as watching
from netlab import OTHER, RESOLVER
from policies import WEATHER_ONLY
from watch import LINNET, actor

PYTHON = "/usr/bin/python3"
CURL = ["curl", "-sS", "-o", "/dev/null"]
TWO_SITES = ["sh", "-c", "curl -sS -o /dev/null https://api.company-internal.com &&"
                         " curl -sS -o /dev/null https://weather.service.com"]


def check(path):
    done = subprocess.run([LINNET, "check", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + path.read_text()


def rules_of(text):
    """(destination, port, protocol) of each rule, as written."""
    return re.findall(r'- destination: "([^"]+)"\n +port: (.+)\n +protocol: "(\w+)"', text)


@pytest.fixture
def learn(start, net):
    """Learns from a command; returns the watch and the path of what it wrote."""
    def run(*command, options=(), status=0, **more):
        path = net.folder / f"learned-{os.urandom(4).hex()}.yaml"
        watch = start.linnet("learn", "-o", path, *options, "--", *command, **more)
        assert watch.wait() == status, watch.text()
        return watch, path
    return run


def run_clean(start, policy, *command):
    watch = start.run(policy, *command, options=["--fail-on-alert"])
    assert watch.wait() == 0, watch.text() + policy.read_text()
    assert watch.alerts.list == []


def test_what_is_learned_permits_the_same_run(start, learn):
    watch, path = learn(*TWO_SITES)
    text = path.read_text()
    check(path)
    assert watch.alerts.list == []
    assert rules_of(text) == [("api.company-internal.com", "443", "TCP"),
                              ("weather.service.com", "443", "TCP")]
    assert text.count('purpose: "TODO: what for? seen 1 time, first 20') == 2
    assert "bytes out" in text and "by /usr/bin/curl" in text
    assert 'agent_name: "sh"\n' in text
    assert path.stat().st_mode & 0o7777 == 0o600
    seen = [line for line in watch.stderr.list if line.startswith("linnet: seen: ")]
    assert any("api.company-internal.com 443/TCP" in line for line in seen), watch.text()
    assert len(seen) == len(set(seen))
    run_clean(start, path, *TWO_SITES)


def test_the_log_of_a_run_gives_what_the_run_gives(start, learn, net):
    _, path = learn(*TWO_SITES)
    watch = start.run(WEATHER_ONLY, *TWO_SITES)
    assert watch.wait() == 0
    out = net.folder / "from-log.yaml"
    done = subprocess.run([LINNET, "learn", "-q", "-o", out, "--from-log", watch.log_path],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    check(out)
    assert rules_of(out.read_text()) == rules_of(path.read_text())
    assert 'agent_name: "test_agent"\n' in out.read_text()
    run_clean(start, out, *TWO_SITES)


def test_what_is_no_log_is_an_error(net):
    for words in ["/etc/hostname"], [], ["/etc/hostname", "--user", "nobody"]:
        done = subprocess.run([LINNET, "learn", "-o", net.folder / "none.yaml", "--from-log",
                               *words], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "linnet: error: " in done.stderr
    assert not (net.folder / "none.yaml").exists()


def test_two_runs_write_the_same_rules(learn):
    one, two = (learn(*TWO_SITES)[1].read_text() for _ in range(2))
    assert rules_of(one) == rules_of(two)


def test_an_address_stands_apart_with_its_reason(start, learn):
    command = ["sh", "-c", f"{actor('flow')} tcp {OTHER} 7001 10; curl -sS -o /dev/null "
                           "https://weather.service.com"]
    _, path = learn(*command, options=["--name", "named by hand"])
    text = path.read_text()
    check(path)
    assert 'agent_name: "named by hand"\n' in text
    names, addresses = text.split("# By address: no name that can be trusted led there.\n")
    assert rules_of(names) == [("weather.service.com", "443", "TCP")]
    assert rules_of(addresses) == [(OTHER, "7001", "TCP")]
    assert f"# {OTHER}: no name was seen for it\n" in addresses
    run_clean(start, path, *command)


def test_a_name_that_is_only_asked_for(start, learn):
    command = ["sh", "-c", f"{' '.join(CURL)} https://weather.service.com; getent hosts "
                           "sketchy-mirror.example.com"]
    _, path = learn(*command)
    text = path.read_text()
    check(path)
    dynamic = text.split("allowed_dynamic_resolution:\n")[1]
    assert "# Only asked for, and not connected to.\n" in dynamic
    assert '- "sketchy-mirror.example.com" # TODO: what for? ' in dynamic
    run_clean(start, path, *command)


def test_folding_is_only_on_request_and_below_one_domain(start, fresh_net):
    names = [f"{n}.cdn.example.com" for n in "abc"] + ["example.com"]
    shop = [f"{n}.co.uk" for n in ("one", "two", "three")]
    net = fresh_net(hosts={name: [OTHER] for name in names + shop})
    net.serve({"kind": "https", "ip": OTHER, "port": 443})
    script = ";".join(f"curl -sS -o /dev/null https://{n}" for n in names + shop)
    told = {}
    for option in ([], ["--fold"], ["--fold=4"]):
        path = net.folder / f"fold{len(told)}.yaml"
        watch = start.linnet("learn", "-o", path, *option, "--", "sh", "-c", script, net=net)
        assert watch.wait() == 0, watch.text()
        check(path)
        told[tuple(option)] = [r[0] for r in rules_of(path.read_text())]
        again = start.run(path, "sh", "-c", script, options=["--fail-on-alert"], net=net)
        assert again.wait() == 0, again.text() + path.read_text()
    assert told[()] == told[("--fold=4",)] == sorted(names + shop)
    assert told[("--fold",)] == sorted(["*.cdn.example.com", "example.com"] + shop)


def test_of_several_names_of_one_address_the_one_that_was_used(start, learn, fresh_net):
    net = fresh_net(hosts={"one.example.com": [OTHER], "two.example.com": [OTHER]})
    net.serve({"kind": "https", "ip": OTHER, "port": 443})
    script = ("getent hosts one.example.com; getent hosts two.example.com;"
              f"curl -sS -o /dev/null --resolve one.example.com:443:{OTHER} https://one.example.com")
    path = net.folder / "names.yaml"
    watch = start.linnet("learn", "-o", path, "--", "sh", "-c", script, net=net)
    assert watch.wait() == 0, watch.text()
    text = path.read_text()
    assert rules_of(text) == [("one.example.com", "443", "TCP")]
    assert '- "two.example.com"' in text
    check(path)
    again = start.run(path, "sh", "-c", script, options=["--fail-on-alert"], net=net)
    assert again.wait() == 0, again.text()


def test_an_existing_policy_gets_a_diff_that_applies(start, net, learn):
    policy = start.policy("# kept, with its words\nagent_name: 'mine' # short\n\n"
                          "expected_outbound:\n"
                          "- destination: 'weather.service.com'   # the weather\n"
                          "  port: 443\n  protocol: 'TCP'\n  purpose: 'know the weather'\n\n"
                          "- destination: 'unused.example.com'\n"
                          "  port: 443\n  protocol: 'TCP'\n  purpose: 'who knows'\n")
    before = policy.read_text()
    patch = net.folder / "policy.patch"
    watch = start.linnet("learn", "-p", policy, "-o", patch, "--", *TWO_SITES)
    assert watch.wait() == 1, watch.text()
    assert policy.read_text() == before and watch.alerts.list == []
    done = subprocess.run(["patch", "--fuzz=0", str(policy), str(patch)], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + patch.read_text()
    text = policy.read_text()
    assert re.search(r"\n\n# not used in this run \(20\d\d-\d\d-\d\d\)\n- destination: 'unused", text)
    assert ("\n\n- destination: 'api.company-internal.com'\n  port: 443\n  protocol: 'TCP'\n"
            "  purpose: 'TODO: what for? seen 1 time") in text
    assert [line for line in before.splitlines() if line not in text.splitlines()] == []
    check(policy)
    run_clean(start, policy, *TWO_SITES)
    # And then there is nothing to change.
    again = start.linnet("learn", "-p", policy, "--", *TWO_SITES)
    assert again.wait() == 0, again.text()
    assert again.stdout.list == []


def test_what_is_denied_is_not_proposed(start, net):
    policy = start.policy(WEATHER_ONLY + 'deny:\n  - "*.company-internal.com"\n')
    watch = start.linnet("learn", "-p", policy, "--summary", net.folder / "s.md", "--", *TWO_SITES)
    assert watch.wait() == 0, watch.text()
    assert watch.stdout.list == []
    summary = (net.folder / "s.md").read_text()
    assert "a rule of the policy denies it" in summary and "**denied**" in summary


def test_of_a_process_that_runs_already(start, net):
    agent = start.agent("sh", "-c", "read x; curl -sS -o /dev/null https://weather.service.com")
    path = net.folder / "attached.yaml"
    watch = start.linnet("learn", "-o", path, "--pid", agent.pid)
    watch.wait_record(type="header")
    agent.stdin.write(b"go\n")
    agent.stdin.close()
    assert watch.wait() == 0, watch.text()
    assert rules_of(path.read_text()) == [("weather.service.com", "443", "TCP")]
    check(path)


def test_unix_sockets_and_what_comes_in_have_their_lists(start, net, learn):
    server = start.agent(PYTHON, "-uc", "import socket, sys\ns = socket.socket(socket.AF_UNIX)\n"
                         f"s.bind({str(net.folder / 'outside')!r}); s.listen(); print('ready')\n"
                         "sys.stdin.read()\n")
    assert server.stdout.readline() == b"ready\n"
    script = ("import socket\n"
              "l = socket.create_server(('', 8085))\n"
              f"socket.socket(socket.AF_UNIX).connect({str(net.folder / 'outside')!r})\n"
              "socket.create_connection(('weather.service.com', 443)).close()\n")
    _, path = learn(PYTHON, "-c", script)
    text = path.read_text()
    check(path)
    assert f'  - path: "{net.folder}/outside"\n' in text.split("expected_unix:\n")[1]
    assert '  - port: 8085\n    protocol: "TCP"\n' in text.split("expected_inbound:\n")[1]
    run_clean(start, path, PYTHON, "-c", script)


def test_a_file_that_is_there_stays(start, net, learn):
    path = net.folder / "there.yaml"
    path.write_text("mine\n")
    mark = net.folder / "started"
    watch = start.linnet("learn", "-o", path, "--", "touch", mark)
    assert watch.wait() == 125, watch.text()
    assert "is there already" in watch.text() and "--force" in watch.text()
    assert not mark.exists() and path.read_text() == "mine\n"
    watch = start.linnet("learn", "--force", "-o", path, "--", *CURL, "https://weather.service.com")
    assert watch.wait() == 0, watch.text()
    assert rules_of(path.read_text()) == [("weather.service.com", "443", "TCP")]


def test_a_link_is_not_followed(start, net):
    victim = net.folder / "victim"
    victim.write_text("precious\n")
    for name, options in (("link.yaml", ["-o"]), ("link.md", ["-p", start.policy(WEATHER_ONLY),
                                                              "--summary"])):
        link = net.folder / name
        link.symlink_to(victim)
        watch = start.linnet("learn", *options, link, "--", "true")
        assert watch.wait() == 125, watch.text()
    watch = start.linnet("learn", "--force", "-o", net.folder / "link.yaml", "--", *CURL,
                         "https://weather.service.com")
    assert watch.wait() == 0, watch.text()
    assert victim.read_text() == "precious\n"
    assert not (net.folder / "link.yaml").is_symlink()


def test_files_are_the_users_who_called_sudo(start, net):
    """And only what that user may write can be written, though linnet is root."""
    user = pwd.getpwnam("nobody")
    home = net.folder / "home"
    home.mkdir()
    os.chown(home, user.pw_uid, user.pw_gid)
    environment = {"PATH": os.environ["PATH"], "SUDO_UID": str(user.pw_uid),
                   "SUDO_GID": str(user.pw_gid), "SUDO_USER": user.pw_name, **net.trust}
    policy, summary = home / "policy.yaml", home / "summary.md"
    watch = start.linnet("learn", "-o", policy, "--summary", summary, "--", *CURL,
                         "https://weather.service.com", environment=environment)
    assert watch.wait() == 0, watch.text()
    assert {p.stat().st_uid for p in (policy, summary)} == {user.pw_uid}
    assert sorted(p.name for p in home.iterdir()) == ["policy.yaml", "summary.md"]
    watch = start.linnet("learn", "-o", net.folder / "roots.yaml", "--", "true",
                         environment=environment)
    assert watch.wait() == 125 and "Permission denied" in watch.text()


def test_an_agent_cannot_end_what_writes_for_its_user(start, net):
    user = pwd.getpwnam("nobody")
    home = net.folder / "home2"
    home.mkdir()
    os.chown(home, user.pw_uid, user.pw_gid)
    environment = {"PATH": os.environ["PATH"], "SUDO_UID": str(user.pw_uid),
                   "SUDO_GID": str(user.pw_gid), "SUDO_USER": user.pw_name, **net.trust}
    script = ("import os, signal, socket\n"
              "for p in filter(str.isdigit, os.listdir('/proc')):\n"
              "    try:\n"
              "        if open(f'/proc/{p}/comm').read() == 'linnet-scribe\\n':\n"
              "            print('there'); os.kill(int(p), signal.SIGKILL); print('killed')\n"
              "    except OSError: pass\n"
              "socket.create_connection(('weather.service.com', 443)).close()\n")
    watch = start.linnet("learn", "-o", home / "policy.yaml", "--", PYTHON, "-uc", script,
                         environment=environment)
    assert watch.wait() == 0, watch.text()
    assert "there" in watch.stdout.list and "killed" not in watch.stdout.list
    assert (home / "policy.yaml").exists()


def test_usage(start):
    for arguments in (["learn", "-o", "/tmp/x"], ["learn", "--", "true"],
                      ["learn", "-o", "/tmp/x", "--pid", "0"],
                      ["learn", "-o", "/tmp/x", "--pid", "1", "--", "true"],
                      ["learn", "-o", "/tmp/x", "--fold=1", "--", "true"],
                      ["learn", "-o", "/tmp/x", "--fail-on-alert", "--", "true"]):
        done = subprocess.run([watching.LINNET, *arguments], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 2, (arguments, done)


def test_nothing_seen_is_no_policy(start, net):
    path = net.folder / "nothing.yaml"
    watch = start.linnet("learn", "-o", path, "--", "true")
    assert watch.wait() == 125, watch.text()
    assert "connected to nothing" in watch.text() and not path.exists()


def test_a_ci_job_gets_its_summary(start, net):
    """By the variable, appended to what other steps said, with the status that fails the job."""
    summary = net.folder / "step.md"
    summary.write_text("# before\n")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_")}
    watch = start.run(WEATHER_ONLY, *TWO_SITES[:2], TWO_SITES[2] + "; exit 3",
                      options=["-q", "--fail-on-alert=9"],
                      environment=dict(kept, GITHUB_STEP_SUMMARY=str(summary), **net.trust))
    assert watch.wait() == 9, watch.text()
    text = summary.read_text()
    assert text.startswith("# before\n# linnet: `test_agent`\n\n**3 violations**, ")
    violations, rest = text.split("\n## As expected\n")
    assert "| connection | `api.company-internal.com` | 443/TCP | **unexpected** | 1 | " in violations
    assert '  - destination: "api.company-internal.com"\n    port: 443\n' in violations
    assert "| connection | `weather.service.com` | 443/TCP | expected | 1 | " in rest
    assert "`line 3: weather.service.com 443/TCP`" in rest
    assert f"| resolver | `{RESOLVER}` | 53/UDP |" in rest
    assert "\n## Losses\n\nNone.\n" in rest


def test_no_summary_by_the_variable_is_no_failure(start, net):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_")}
    bad = "/nonexistent/step.md"
    watch = start.run(WEATHER_ONLY, "true",
                      environment=dict(kept, GITHUB_STEP_SUMMARY=bad, **net.trust))
    assert watch.wait() == 0 and "there will be no summary" in watch.text()
    watch = start.run(WEATHER_ONLY, "true", options=["--summary", bad])
    assert watch.wait() == 125, watch.text()


def test_a_summary_of_an_attached_agent(start, net):
    agent = start.agent("sh", "-c", "read x; curl -sS -o /dev/null https://weather.service.com")
    summary = net.folder / "attached.md"
    watch = start.attach(WEATHER_ONLY, agent.pid, options=["--summary", summary])
    watch.wait_record(type="header")
    agent.stdin.write(b"go\n")
    agent.stdin.close()
    assert watch.wait() == 0, watch.text()
    assert "| connection | `weather.service.com` | 443/TCP | expected | 1 | " in summary.read_text()


def test_hostile_arguments_stay_inside_their_cells(start, net, learn):
    hostile = "x|y`<img src=x>\n# owned\n| a | b |\n- destination: \"evil\"\u202e"
    summary = net.folder / "hostile.md"
    watch, path = learn("sh", "-c", f"{actor('flow')} tcp {OTHER} 7001 10; true", hostile,
                        options=["--summary", summary, "--name", "a\"b\\c"])
    check(path)
    assert json.loads(re.search(r"^agent_name: (.*)$", path.read_text(), re.M).group(1)) == 'a"b\\c'
    for text in (summary.read_text(), path.read_text()):
        assert not re.search(r"^(# owned|\| a \| b|- destination)", text, re.MULTILINE)
        assert "\u202e" not in text
    assert "<img" not in summary.read_text()
