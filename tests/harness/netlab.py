# SPDX-License-Identifier: Apache-2.0
"""A small internet for one test: two network namespaces joined by a veth pair. In one the agent
lives; the other holds every address outside, a real DNS server (dnsmasq) and the servers of
services.py. Names are unique, and close() takes away all that was made."""
import itertools
import json
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from events import DEADLINE_S, read_lines

HERE = Path(__file__).resolve().parent
AGENT4, AGENT6 = "10.99.0.2", "fd99::2"
GATEWAY4, GATEWAY6 = "10.99.0.1", "fd99::1"
RESOLVER, RESOLVER6 = "10.99.0.53", "fd99::53"
SCRIPTED_RESOLVER = "10.99.0.54"  # answers by the script of a test
API, WEATHER, SKETCHY = "203.0.113.10", "203.0.113.20", "104.28.14.6"
API6 = "2001:db8:113::10"
OTHER, OTHER6 = "203.0.113.99", "2001:db8:113::99"
BLACKHOLE, UNREACHABLE = "198.51.100.77", "198.51.100.66"
ADDRESSES = [RESOLVER, RESOLVER6, SCRIPTED_RESOLVER, SKETCHY, OTHER, OTHER6, API6,
             *(f"203.0.113.{n}" for n in range(10, 31)), "2001:db8:113::20", "2001:db8:113::30"]
HOSTS = {
    "api.company-internal.com": [API, API6],
    "weather.service.com": [WEATHER],
    "flights.company-internal.com": ["203.0.113.11"],
    "sketchy-mirror.example.com": [SKETCHY],
    "other.example.org": [OTHER, OTHER6],
}
_numbers = itertools.count(1)


class LabError(Exception):
    pass


def sh(*command, text_in=None):
    """Runs a command that must succeed; returns what it said."""
    done = subprocess.run(command, input=text_in, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{shlex.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def make_certificates(folder, names):
    """An authority and one certificate for all the names: ca.pem, server.pem, server.key."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    sh("openssl", "req", "-x509", *curve, "-subj", "/CN=linnet test authority",
       "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem")
    sh("openssl", "req", *curve, "-subj", "/CN=linnet test server",
       "-keyout", f"{folder}/server.key", "-out", f"{folder}/server.csr")
    (folder / "names").write_text("subjectAltName=" + ",".join(f"DNS:{n}" for n in names) + "\n")
    sh("openssl", "x509", "-req", "-in", f"{folder}/server.csr", "-CA", f"{folder}/ca.pem",
       "-CAkey", f"{folder}/ca.key", "-CAcreateserial", "-days", "2", "-extfile",
       f"{folder}/names", "-out", f"{folder}/server.pem")


class Net:
    """hosts: name → addresses for dnsmasq; dns_options: further lines of its configuration."""

    def __init__(self, hosts=None, dns_options=(), prefix="linnet-test"):
        self.name = f"{prefix}-{os.getpid()}-{next(_numbers)}"
        self.outside = f"{self.name}-net"
        self.hosts = dict(HOSTS if hosts is None else hosts)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self.folder.chmod(0o755)  # the agent may be any user
        self.dns_log = None
        # With this in its environment a client trusts the servers: OpenSSL, curl and others read it.
        self.trust = dict.fromkeys(
            ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO",
             "NODE_EXTRA_CA_CERTS"], str(self.folder / "ca.pem"))
        self._processes = []
        self._etc_number = itertools.count(1)
        self._dns_options = list(dns_options)
        self._dnsmasq = None
        try:
            self._make_links()
            self.etc = self.write_etc(self.folder / "etc")
            shutil.copytree(self.etc, f"/etc/netns/{self.name}")
            make_certificates(self.folder, [*self.hosts, "*.company-internal.com"])
            self.start_dns()
        except BaseException:
            self.close()
            raise

    def _make_links(self):
        for name in self.name, self.outside:
            sh("ip", "netns", "add", name)
            sh("nsenter", f"--net=/run/netns/{name}", "sh", "-ec",
               "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad;"
               "echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad;"
               "echo 1 >/proc/sys/net/ipv4/ip_forward;"
               "echo 1 >/proc/sys/net/ipv4/tcp_syn_retries;"
               "echo 3 >/proc/sys/net/ipv4/tcp_fastopen;"
               "echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range")
        sh("ip", "link", "add", "eth0", "netns", self.name, "type", "veth", "peer", "name", "eth0",
           "netns", self.outside)
        # An IPv6 neighbour answers only for addresses of the link itself; and none but GATEWAY6 may
        # become the source of what goes out.
        extra = "".join(f"addr add {a}/{128 if ':' in a else 32} dev "
                        f"{'eth0 nodad preferred_lft 0' if a == RESOLVER6 else 'lo'}\n"
                        for a in ADDRESSES)
        sh("ip", "-n", self.outside, "-batch", "-", text_in=(
            f"link set lo up\naddr add {GATEWAY4}/24 dev eth0\n"
            f"addr add {GATEWAY6}/64 dev eth0 nodad\nlink set eth0 up\n{extra}"
            f"route add blackhole {BLACKHOLE}\nroute add unreachable {UNREACHABLE}\n"))
        sh("ip", "-n", self.name, "-batch", "-", text_in=(
            f"link set lo up\naddr add {AGENT4}/24 dev eth0\naddr add {AGENT6}/64 dev eth0 nodad\n"
            f"link set eth0 up\nroute add default via {GATEWAY4}\n"
            f"route add default via {GATEWAY6}\nroute add {RESOLVER6} via {GATEWAY6}\n"))

    def write_etc(self, folder=None, resolv_conf=None, hosts=None):
        """Makes resolv.conf, hosts and nsswitch.conf for one agent; returns their folder."""
        folder = folder or self.folder / f"etc-{next(self._etc_number)}"
        folder.mkdir()
        (folder / "resolv.conf").write_text(resolv_conf or f"nameserver {RESOLVER}\n")
        (folder / "hosts").write_text(hosts or "127.0.0.1 localhost\n::1 localhost\n")
        (folder / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
        return folder

    def start_dns(self):
        """dnsmasq with the present self.hosts; called again, it replaces the one that runs."""
        if self._dnsmasq:
            self._end(self._dnsmasq)
        options = ["no-resolv", "no-hosts", "bind-interfaces", "keep-in-foreground", "user=root",
                   "group=root", "pid-file=", "log-facility=-", "log-queries", "local-ttl=60",
                   "address=/#/",
                   f"listen-address={RESOLVER}", f"listen-address={RESOLVER6}",
                   f"addn-hosts={self.folder / 'hosts.dns'}", *self._dns_options]
        (self.folder / "hosts.dns").write_text("".join(
            f"{address} {name}\n" for name, addresses in self.hosts.items()
            for address in addresses))
        path = self.folder / "dnsmasq.conf"
        path.write_text("".join(f"{o}\n" for o in options))
        self._dnsmasq = self.spawn_outside(["dnsmasq", f"--conf-file={path}"],
                                           stderr=subprocess.PIPE)
        self.dns_log = read_lines(self._dnsmasq.stderr.fileno(), "dnsmasq")
        self.dns_log.wait(lambda line: "started, version" in line)

    def spawn_outside(self, command, **options):
        """A process on the far side that lives until close()."""
        process = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.outside}", "--", *command],
                                   **options)
        self._processes.append(process)
        return process

    def serve(self, *services):
        """Starts services (see services.py) and returns what they say, as Items of dicts."""
        for service in services:
            if service["kind"] == "https":
                service.setdefault("certificate", str(self.folder / "server.pem"))
                service.setdefault("key", str(self.folder / "server.key"))
        process = self.spawn_outside(["/usr/bin/python3", str(HERE / "services.py")],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdin.write(json.dumps(services).encode())
        process.stdin.close()
        lines = read_lines(process.stdout.fileno(), "services")
        lines.wait(lambda line: "READY" in line)
        return Said(lines)

    def enter(self, command, etc=None, form="nsenter", outside=False):
        """The command line that runs `command` where the agent lives, or on the far side with the
        agent's files, as the same process.

        nsenter: the host's mounts, with the namespace's /etc files over them. netns: what
        `ip netns exec` does, which also mounts a new /sys without the cgroup tree in it.
        """
        if form == "netns":
            return ["ip", "netns", "exec", self.name, *command]
        files = etc or self.etc
        script = ('for f in resolv.conf hosts nsswitch.conf; do '
                  'mount --bind "$0/$f" "$(readlink -f /etc/$f)"; done; exec "$@"')
        return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, str(files),
                "nsenter", f"--net=/run/netns/{self.outside if outside else self.name}", "--",
                *command]

    def _end(self, process):
        process.kill()
        process.wait()
        self._processes.remove(process)

    def close(self):
        for process in list(self._processes):
            self._end(process)
        for name in self.name, self.outside:
            if os.path.exists(f"/run/netns/{name}"):
                sh("ip", "netns", "delete", name)
        for folder in (f"/etc/netns/{self.name}", self.folder):
            shutil.rmtree(folder, ignore_errors=True)


class Said:
    """What the services told, as dicts."""

    def __init__(self, lines):
        self.lines = lines

    def all(self):
        return [json.loads(line) for line in self.lines.list]

    def wait(self, timeout=DEADLINE_S, **facts):
        """The first thing said with these facts."""
        line = self.lines.wait(
            lambda text: facts.items() <= json.loads(text).items(), timeout)
        return json.loads(line)
