# SPDX-License-Identifier: Apache-2.0
"""Proxies that people use, each in the network of the servers and on the agent's own loopback, and
the ways to ask them for something."""
import dataclasses
import subprocess

from events import DEADLINE_S, read_lines
from netlab import AGENT4

LAN, LOOPBACK = "203.0.113.12", "127.0.0.1"


@dataclasses.dataclass(frozen=True)
class Relay:
    """`ready` is in the line by which it says that it listens."""
    program: str
    options: tuple
    port: int
    ready: str
    configuration: str


HTTP = Relay("tinyproxy", ("-d", "-c"), 3128, "Accepting connections", """
Listen {ip}
Port {port}
Timeout 20
LogLevel Info
""")
SOCKS = Relay("danted", ("-f",), 1080, "running", """
logoutput: stderr
internal: {ip} port = {port}
external: {leaves_by}
clientmethod: none
socksmethod: none
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 command: connect }}
""")


@dataclasses.dataclass(frozen=True)
class Way:
    """How curl asks a relay for something; {relay} is its IP and port. `by_name`: the relay looks
    the name up, not curl."""
    name: str
    relay: Relay
    options: tuple
    layer: str
    scheme: str = "https"
    by_name: bool = True

    @property
    def port(self):
        return 443 if self.scheme == "https" else 80

    def fetch(self, ip, host, *more):
        relay = f"{ip}:{self.relay.port}"
        return ["curl", "-sS", "--max-time", str(DEADLINE_S),
                *(option.format(relay=relay) for option in self.options), *more,
                f"{self.scheme}://{host}/"]


WAYS = [
    Way("connect", HTTP, ("--proxy", "http://{relay}"), "http-proxy"),
    Way("absolute", HTTP, ("--proxy", "http://{relay}"), "http-proxy", scheme="http"),
    Way("socks5", SOCKS, ("--socks5-hostname", "{relay}"), "socks5"),
    Way("socks5-address", SOCKS, ("--socks5", "{relay}"), "socks5", by_name=False),
    Way("socks4-address", SOCKS, ("--socks4", "{relay}"), "socks4", by_name=False),
]


class Relays:
    """One of each at both places; `pids` is by place and program."""

    def __init__(self, net):
        self.pids = {}
        self._processes = []
        for ip, leaves_by in ((LAN, LAN), (LOOPBACK, AGENT4)):
            for relay in HTTP, SOCKS:
                self._start(net, relay, ip, leaves_by)

    def _start(self, net, relay, ip, leaves_by):
        path = net.folder / f"{relay.program}-{ip}.conf"
        path.write_text(relay.configuration.format(ip=ip, port=relay.port, leaves_by=leaves_by))
        command = net.enter([relay.program, *relay.options, str(path)], outside=ip == LAN)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._processes.append(process)
        self.pids[ip, relay.program] = process.pid
        read_lines(process.stdout.fileno(), relay.program).wait(lambda line: relay.ready in line)

    def close(self):
        """They have children, and only they end them."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(DEADLINE_S)
