# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "harness"))

import leaks  # noqa: E402
import netlab  # noqa: E402
import terminal as terminals  # noqa: E402
import watch  # noqa: E402

PREFIX = f"linnet-test-{os.getpid()}-"


def pytest_configure(config):
    if os.geteuid() != 0:
        pytest.exit("the kernel tests need root", returncode=4)
    if not os.access(watch.LINNET, os.X_OK):
        pytest.exit(f"{watch.LINNET} is not there; set LINNET_BUILD to a build directory", returncode=4)


@pytest.fixture(scope="session", autouse=True)
def nothing_left():
    """When all is over there is no namespace, cgroup, BPF object, pin or process of ours."""
    before = leaks.snapshot()
    yield
    left = leaks.left_since(before, PREFIX)
    assert not left, "left behind:\n" + "\n".join(left)


@pytest.fixture(scope="session")
def net(nothing_left):
    """The small internet that most tests share; `net.said` is what its servers told."""
    lab = netlab.Net()
    try:
        https = [netlab.API, netlab.API6, netlab.WEATHER, netlab.SKETCHY, netlab.OTHER,
                 netlab.OTHER6, "203.0.113.11"]
        sinks = [netlab.API, netlab.API6, netlab.OTHER, netlab.OTHER6]
        lab.said = lab.serve(
            *({"kind": "https", "ip": ip, "port": 443} for ip in https),
            *({"kind": "http", "ip": ip, "port": 80} for ip in (netlab.OTHER, netlab.OTHER6)),
            *({"kind": "tcp-sink", "ip": ip, "port": 7001, "fastopen": True} for ip in sinks),
            *({"kind": "tcp-echo", "ip": ip, "port": 7002} for ip in sinks),
            *({"kind": "tcp-reset", "ip": ip, "port": 7003} for ip in sinks),
            *({"kind": "tcp-hold", "ip": ip, "port": 7004} for ip in sinks),
            *({"kind": "udp-sink", "ip": ip, "port": 7005} for ip in sinks),
            *({"kind": "udp-echo", "ip": ip, "port": 7006} for ip in sinks))
        yield lab
    finally:
        lab.close()


@pytest.fixture
def fresh_net():
    """Makes internets of the test's own."""
    made = []

    def make(**options):
        made.append(netlab.Net(**options))
        return made[-1]

    yield make
    for lab in made:
        lab.close()


class Starter:
    """Starts linnets and other processes in a net; all of them end with the test."""

    def __init__(self, net):
        self.net = net
        self._watches = []
        self._processes = []

    def policy(self, text, net=None):
        path = (net or self.net).folder / f"policy-{os.urandom(4).hex()}.yaml"
        path.write_text(text)
        return path

    def linnet(self, *arguments, net=None, **options):
        started = watch.Linnet(net or self.net, arguments, **options)
        self._watches.append(started)
        return started

    def run(self, policy, *command, options=(), **more):
        """`linnet run` of a command under a policy: a path, or its text."""
        if isinstance(policy, str) and "\n" in policy:
            policy = self.policy(policy, more.get("net"))
        return self.linnet("run", "-p", policy, *options, "--", *command, **more)

    def attach(self, policy, *pids, options=(), **more):
        if isinstance(policy, str) and "\n" in policy:
            policy = self.policy(policy, more.get("net"))
        return self.linnet("attach", "-p", policy, *options, *pids, **more)

    def agent(self, *command, net=None, etc=None, **options):
        """A process in the agent's namespace that linnet did not start."""
        process = subprocess.Popen((net or self.net).enter(list(map(str, command)), etc=etc),
                                   **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE,
                                      **options})
        self._processes.append(process)
        return process

    def close(self):
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for started in self._watches:
            started.close()


@pytest.fixture
def start(net):
    starter = Starter(net)
    yield starter
    starter.close()


@pytest.fixture
def terminal(net):
    shell = terminals.Terminal(net)
    yield shell
    shell.close()
