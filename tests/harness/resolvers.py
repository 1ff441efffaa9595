# SPDX-License-Identifier: Apache-2.0
"""Name services with sockets of their own, nscd and systemd-resolved, where the agent of a Net
lives: in a mount namespace whose /run is its own, so that nothing of the machine is touched. The
programs are those that `tools/setup test` unpacked."""
import os
import signal
import subprocess
from pathlib import Path

from events import read_lines
from netlab import LabError
from watch import ROOT

UNPACKED = ROOT / "build-unpacked"
LIBRARIES = f"{UNPACKED}/usr/lib/x86_64-linux-gnu:{UNPACKED}/usr/lib/x86_64-linux-gnu/systemd"
RESOLVE_USER = 65533  # resolved gives root up for this one

PREPARE = """
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/nscd /run/dbus /run/systemd/resolve /run/systemd/resolved.conf.d
for f in passwd group; do cp /etc/$f /run/$f; done
echo "systemd-resolve:x:{user}:{user}::/:/bin/false" >>/run/passwd
echo "systemd-resolve:x:{user}:" >>/run/group
for f in passwd group; do mount --bind /run/$f /etc/$f; done
chown {user}:{user} /run/systemd/resolve
echo ready
exec cat
"""

NSCD = """
server-user root
paranoia no
enable-cache passwd no
enable-cache group no
enable-cache services no
enable-cache netgroup no
enable-cache hosts yes
positive-time-to-live hosts 600
negative-time-to-live hosts 1
persistent hosts no
shared hosts {shared}
"""

RESOLVED = """[Resolve]
DNS={dns}
FallbackDNS=
LLMNR=no
MulticastDNS=no
DNSSEC=no
DNSStubListener=no
"""


# Subscribed before it looks, so that no change is missed.
LINK_IS_UP = """
import socket, subprocess
changes = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
changes.bind((0, 1))
while "state UP" not in subprocess.run(["ip", "link", "show", "eth0"], check=True, text=True,
                                       stdout=subprocess.PIPE).stdout:
    changes.recv(65536)
"""


class Host:
    """Where the agent lives, with a /run of its own. It stands in for the Net that it wraps: what is
    started in it finds the services that were started in it."""

    def __init__(self, net, hosts="files dns"):
        self.net = net
        self.folder, self.trust = net.folder, dict(net.trust, LD_LIBRARY_PATH=LIBRARIES)
        self.etc = net.write_etc()
        (self.etc / "nsswitch.conf").write_text(f"passwd: files\ngroup: files\nhosts: {hosts}\n")
        self._processes, self._daemons = [], []
        if not (UNPACKED / "complete").exists():
            raise LabError("the name services are not there: run `tools/setup test`")
        self._holder = self._spawn(
            net.enter(["sh", "-ec", PREPARE.format(user=RESOLVE_USER)], etc=self.etc),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        said = read_lines(self._holder.stdout.fileno(), "mount namespace")
        said.wait(lambda line: line == "ready")

    def _spawn(self, command, **options):
        process = subprocess.Popen(command, env=dict(os.environ, LD_LIBRARY_PATH=LIBRARIES),
                                   **options)
        self._processes.append(process)
        return process

    def enter(self, command, etc=None, form="nsenter"):
        return ["nsenter", "--target", str(self._holder.pid), "--mount", "--net", "--", *command]

    def run_path(self, path):
        """A path below /run, as this process sees it."""
        return Path(f"/proc/{self._holder.pid}/root{path}")

    def nscd(self, shared=False):
        """Starts nscd, which answers when this returns."""
        conf = self.folder / f"nscd-{os.urandom(4).hex()}.conf"
        conf.write_text(NSCD.format(shared="yes" if shared else "no"))
        done = subprocess.run(self.enter([f"{UNPACKED}/usr/sbin/nscd", "-f", str(conf)]),
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"nscd: {done.stdout}{done.stderr}")
        self._daemons.append(int(self.run_path("/run/nscd/nscd.pid").read_text()))

    def _wait_for_link(self):
        """resolved asks nobody while the link is not up, which takes the kernel up to a second."""
        subprocess.run(["nsenter", f"--net=/run/netns/{self.net.name}", "/usr/bin/python3", "-c",
                        LINK_IS_UP], check=True, timeout=10)

    def resolved(self, dns):
        """Starts systemd-resolved, which answers when this returns."""
        self._wait_for_link()
        self.run_path("/run/systemd/resolved.conf.d/test.conf").write_text(RESOLVED.format(dns=dns))
        ours, theirs = os.pipe()
        process = self._spawn(
            self.enter(["sh", "-ec",
                        "export NOTIFY_SOCKET=/run/notify; exec /usr/bin/python3 -c \"$0\" \"$@\"",
                        NOTIFIED, str(theirs), f"{UNPACKED}/lib/systemd/systemd-resolved"]),
            pass_fds=[theirs], stderr=subprocess.PIPE)
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            if pipe.read(5) != b"READY":
                raise LabError(f"systemd-resolved did not start: {process.stderr.read()}")
        return process

    def stop(self, process):
        process.kill()
        process.wait()
        self._processes.remove(process)

    def close(self):
        for pid in self._daemons:
            os.kill(pid, signal.SIGKILL)
        for process in list(self._processes):
            self.stop(process)


# Runs a service as systemd does, and says READY into a pipe when the service has said so.
NOTIFIED = """
import ctypes, os, socket, sys
pipe, command = int(sys.argv[1]), sys.argv[2:]
path = os.environ['NOTIFY_SOCKET']
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
if os.path.exists(path): os.unlink(path)
s.bind(path)
os.chmod(path, 0o777)
if os.fork() == 0:
    ctypes.CDLL(None).prctl(1, 9)  # it ends with the service
    while b'READY=1' not in s.recv(4096): pass
    os.write(pipe, b'READY')
    os._exit(0)
os.close(pipe)
os.execv(command[0], command)
"""
