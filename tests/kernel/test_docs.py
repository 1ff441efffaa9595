# SPDX-License-Identifier: Apache-2.0
"""What README.md shows is what linnet does: its `console` blocks run in a small internet, and their
output is compared; so is the alert. In an expected line … stands for anything; a line of … alone
stands for any lines. Times, and numbers of four digits and more, are only compared as such."""
import os
import re
import subprocess

import pytest

import netlab
from policies import WEATHER_ONLY
from watch import BUILD, LINNET, ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
LIMIT_S = 30
NOBODY = 65534
SUDO = f"""#!/bin/sh
exec env SUDO_UID={NOBODY} SUDO_GID={NOBODY} SUDO_USER=nobody "$@"
"""


def blocks(text, kind):
    """The fenced blocks of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def steps(block):
    """(command, [expected line]) of each `$ ` line."""
    result = []
    for line in block.splitlines():
        if line.startswith("$ "):
            result.append((line[2:], []))
        else:
            result[-1][1].append(line)
    return result


def pattern(line):
    """An expected line as an expression."""
    line = re.escape(line).replace("…", ".*")
    line = re.sub(r"^Alert:\\ [a-z2-9]{4}\\-\d+$", r"Alert: [a-z2-9]{4}-\\d+", line)
    line = re.sub(r"\d{4}\\-\d\d\\-\d\dT\d\d:\d\d:\d\dZ", r"\\d{4}-\\d\\d-\\d\\dT[0-9:]{8}Z", line)
    return re.sub(r"(?<![\d{}])\d{4,}(?!\d)", r"\\d+", line)


def difference(expected, said):
    """"" when it fits; else what does not."""
    at, anywhere = 0, False
    for line in expected:
        if line == "…":
            anywhere = True
            continue
        fits = [n for n, other in enumerate(said[at:], at) if re.fullmatch(pattern(line), other)]
        if not fits or (fits[0] != at and not anywhere):
            return f"expected {line!r}, after {said[:at]}; there is {said[at:]}"
        at, anywhere = fits[0] + 1, False
    return "" if anywhere or at == len(said) else f"nobody expected {said[at:]}"


@pytest.mark.parametrize("expected, said, fits", [
    (["a", "…", "d"], ["a", "b", "c", "d"], True),
    (["a", "d"], ["a", "b", "d"], False),
    (["a"], ["a", "b"], False),
    (["a", "b"], ["a"], False),
    (["a", "…"], ["a", "b"], True),
    (["x 12345 at 2023-10-26T14:32:07Z"], ["x 7 at 2026-01-02T03:04:05Z"], True),
    (["port 443"], ["port 444"], False),
    (["a … c"], ["a b c"], True),
    (["Alert: k7f2-3"], ["Alert: abcd-12"], True),
    (["Alert: k7f2-3"], ["Alert: abc-12"], False),
])
def test_the_comparison_itself(expected, said, fits):
    assert (difference(expected, said) == "") == fits


class Shell:
    """Runs commands one after the other, as root, with the agent's names and network around them."""

    def __init__(self, net):
        self.folder = net.folder / "reader"
        self.folder.mkdir()
        self.folder.chmod(0o1777)  # files of root and of the reader, who calls sudo
        (self.folder / "examples").symlink_to(ROOT / "examples")
        tools = net.folder / "tools"
        tools.mkdir()
        (tools / "linnet").symlink_to(LINNET)
        (tools / "sudo").write_text(SUDO)
        (tools / "sudo").chmod(0o755)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_")}
        self.environment = dict(kept, **net.trust, PATH=f"{tools}:{os.environ['PATH']}")
        self.net = net
        self.status = 0

    def run(self, command):
        """The lines that it says, on both streams; `$?` is that of the command before."""
        script = f"(exit {self.status}); {command}"
        done = subprocess.run(self.net.enter(["sh", "-c", script]), cwd=self.folder, text=True,
                              env=self.environment, stdin=subprocess.DEVNULL, timeout=LIMIT_S,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.status = done.returncode
        return done.stdout.splitlines()


def test_the_tour_of_the_readme(fresh_net):
    tour = [step for block in blocks(README, "console") for step in steps(block)]
    assert len(tour) >= 5
    net = fresh_net(hosts=dict(netlab.HOSTS, **{"example.com": [netlab.OTHER]}))
    net.serve({"kind": "https", "ip": netlab.OTHER, "port": 443})
    shell = Shell(net)
    for command, expected in tour:
        wrong = difference(expected, shell.run(command))
        assert not wrong, f"$ {command}\n{wrong}"


def test_the_alert_of_the_readme(start):
    shown, = (b for b in blocks(README, "") if b.startswith("[!] "))
    command = re.search(r"^Command: /usr/bin/(.*)$", shown, re.MULTILINE).group(1)
    watch = start.run(ROOT / "examples/policy.yaml", *command.split())
    assert watch.wait() == 0, watch.text()
    alert, = watch.flow_alerts()
    alert.assert_contract()
    wrong = difference(shown.splitlines(), alert.lines)
    assert not wrong, wrong


def test_the_policy_of_the_readme():
    shown, = blocks(README, "yaml")
    assert (ROOT / "examples/policy.yaml").read_text(encoding="utf-8").endswith(shown)


def test_the_two_commands_of_the_readme(start, net):
    """`run` and `attach` as they are written, with a process of ours as the agent."""
    commands = [line.removeprefix("sudo linnet ").split() for block in blocks(README, "sh")
                for line in block.splitlines() if line.startswith("sudo linnet ")]
    assert sorted(c[0] for c in commands) == ["attach", "run"]
    policy = start.policy(WEATHER_ONLY)
    agent = start.agent("cat")
    for words in commands:
        words = [str(policy) if w == "policy.yaml" else w for w in words]
        if words[0] == "run":
            words[words.index("--") + 1:] = ["true"]
        else:
            words[-1] = str(agent.pid)
        watch = start.linnet(*words)
        if words[0] == "attach":
            watch.wait_record(type="header")
            agent.stdin.close()
        assert watch.wait() == 0, watch.text()


def test_the_demo():
    """It checks itself that exactly the alerts of its story came."""
    done = subprocess.run([ROOT / "demo/run", LINNET], cwd=ROOT, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_installed(tmp_path):
    """The program and the manual pages that README names, where `make install` puts them."""
    done = subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild"], capture_output=True,
                          text=True, timeout=60, check=False,
                          env=dict(os.environ, DESTDIR=str(tmp_path)))
    assert done.returncode == 0, done.stdout + done.stderr
    there = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert "linnet" in there
    for name, section in re.findall(r"\[(linnet[a-z.-]*)\((\d)\)\]", README):
        assert {f"{name}.{section}", f"{name}.{section}.gz"} & there, there
