# SPDX-License-Identifier: Apache-2.0
"""Where alerts go besides standard error and log: programs, webhooks, the journal, syslog; that they
get what they are promised, and that none of them can hold the watch up."""
import json
import os
import socket
import subprocess

import netlab
import pytest
from events import DEADLINE_S, read_lines
from watch import LINNET

HOOK_HOST = "weather.service.com"
BASE = """agent_name: "sink_test"
expected_outbound:
  - {destination: "192.0.2.9", port: 9, protocol: TCP, purpose: test}
"""
# Connects to each port of OTHER that it is told; lives until its standard input ends.
AGENT = ["/usr/bin/python3", "-c", """
import socket, sys
for port in map(int, iter(sys.stdin.readline, "")):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect_ex(("203.0.113.99", port))
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("203.0.113.99", port))
"""]


class Scene:
    """One watch with sinks, its agent, and a folder that the monitor's user can write to."""

    def __init__(self, start, net):
        self.start, self.net = start, net
        self.folder = net.folder / f"sinks-{os.urandom(4).hex()}"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.watch = None
        self._open, self._sockets = [], []

    def script(self, name, text, mode=0o755):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    def fifo(self, name):
        """The lines that anybody writes to it."""
        path = self.folder / name
        os.mkfifo(path)
        path.chmod(0o666)
        descriptor = os.open(path, os.O_RDWR)
        self._open.append(descriptor)
        return str(path), read_lines(descriptor, name)

    def receiver(self, name):
        """A daemon's datagram socket, that nobody reads unless the test does."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(str(self.folder / name))
        (self.folder / name).chmod(0o666)
        sock.settimeout(DEADLINE_S)
        self._sockets.append(sock)
        return str(self.folder / name), sock

    def run(self, *alert, trusted=True, journal="/nonexistent", etc=None):
        """`linnet run` of the agent, with these items of `alert:` as JSON. trusted: the system of
        this watch takes the authority of the test for one of its own."""
        lines = "".join(f"  - {json.dumps(item)}\n" for item in alert)
        program = self.script("linnet", f"""#!/bin/sh
set -e
if {"true" if trusted else "false"}; then
    mount --bind {self.net.folder}/ca.pem "$(readlink -f /etc/ssl/certs/ca-certificates.crt)"
fi
mount -t tmpfs none /run
mkdir -p /run/systemd/journal
ln -s {journal} /run/systemd/journal/socket
exec {LINNET} "$@"
""")
        self.watch = self.start.run(f"{BASE}alert:\n{lines}", *AGENT, stdin=subprocess.PIPE,
                                    program=program, etc=etc)
        return self.watch

    def violate(self, *ports):
        stdin = self.watch.process.stdin
        for port in ports:
            stdin.write(b"%d\n" % port)
            stdin.flush()

    def end(self):
        """Ends the agent; returns what the summary says of each sink."""
        self.watch.process.stdin.close()
        self.watch.wait()
        [summary] = self.watch.of("summary")
        return {s["sink"]: s for s in summary["sinks"]}

    def close(self):
        for descriptor in self._open:
            os.close(descriptor)
        for sock in self._sockets:
            sock.close()


@pytest.fixture
def scene(start, net):
    made = Scene(start, net)
    yield made
    made.close()


def hook(net, port, *answers, tls=True):
    keys = {"certificate": str(net.folder / "server.pem"), "key": str(net.folder / "server.key")}
    return net.serve({"kind": "hook", "ip": netlab.WEATHER, "port": port,
                      "answers": list(answers), **(keys if tls else {})})


def posts(said):
    return [s for s in said.all() if s["event"] == "post"]


def alert_at(port):
    return lambda a: a.is_flow and a["Destination"].startswith(f"203.0.113.99:{port} ")


def test_program_gets_the_record_and_nothing_else(scene):
    """As the monitor's user, which can gain nothing, and outside of the watched tree."""
    path, lines = scene.fifo("told")
    program = scene.script("notify", f"""#!/bin/sh
{{ cat; grep -E "^(Uid|CapEff|NoNewPrivs)" /proc/self/status; env; ls /proc/self/fd | tr "\\n" " "
echo; cat /etc/shadow; echo "argument $1"; echo done; }} >{path} 2>/dev/null
""")
    scene.run("stderr", {"exec": [program, "a b;$(id)"]})
    scene.violate(7801)
    lines.wait(lambda line: line == "done")
    record = json.loads(lines.list[0])
    assert record["type"] == "flow-open" and record["remote"]["port"] == 7801
    assert record == scene.watch.wait_record(type="flow-open", alert=True)
    facts = dict(line.split(":\t", 1) for line in lines.list if ":\t" in line)
    assert "0" not in facts["Uid"].split()
    assert facts["CapEff"] == "0000000000000000" and facts["NoNewPrivs"] == "1"
    assert {line.split("=")[0] for line in lines.list if "=" in line} <= {
        "PATH", "LANG", "PWD", "OLDPWD", "SHLVL", "_"}
    assert "0 1 2 3 " in lines.list, lines.list  # the last one is the folder that ls reads
    assert not any("root:" in line for line in lines.list)
    assert "argument a b;$(id)" in lines.list
    assert scene.end()["exec"] == {"sink": "exec", "target": program, "written": 1, "dropped": 0}
    assert not [r for r in scene.watch.records if (r.get("exe") or "").endswith("notify")]


def test_program_that_hangs_is_killed_at_the_end(scene):
    program = scene.script("hang", "#!/bin/sh\nexec sleep 1000\n")
    watch = scene.run("stderr", {"exec": [program]})
    scene.violate(7801, 7802, 7803)
    watch.wait_alert(alert_at(7803))
    assert scene.end()["exec"] == {"sink": "exec", "target": program, "written": 0, "dropped": 3}
    assert sum("alerts do not arrive at exec" in line for line in watch.stderr.list) == 1


def test_webhook_tries_again_after_503(scene, net):
    said = hook(net, 8801, 503, 200)
    token = scene.script("token", "s3cret-token\n", mode=0o600)
    watch = scene.run("stderr", {"webhook": f"https://{HOOK_HOST}:8801/a?k=s3cret-key",
                                 "token_file": token})
    scene.violate(7801)
    said.wait(event="post", status=200)
    first, second = posts(said)
    assert first["body"] == second["body"]
    assert json.loads(first["body"])["remote"]["port"] == 7801
    assert first["headers"]["content-type"] == "application/json"
    assert first["headers"]["authorization"] == "bearer s3cret-token"
    assert first["request"] == "POST /a?k=s3cret-key HTTP/1.1"
    assert scene.end()["webhook"] == {
        "sink": "webhook", "target": f"https://{HOOK_HOST}:8801", "written": 1, "dropped": 0}
    # It is no traffic of the agent's, and its secrets are in no log.
    assert not watch.flows(ip=netlab.WEATHER)
    assert "s3cret" not in watch.text() + watch.log_path.read_text()


def test_webhook_trusts_the_system_alone(scene, net):
    """The environment names an authority that would do, for the agent's clients."""
    said = hook(net, 8802, 200)
    assert net.trust["SSL_CERT_FILE"]
    watch = scene.run("stderr", {"webhook": f"https://{HOOK_HOST}:8802/"}, trusted=False)
    scene.violate(7801)
    watch.wait_alert(alert_at(7801))
    assert scene.end()["webhook"]["dropped"] == 1
    assert not posts(said)
    assert "SSL peer certificate" in watch.text()


@pytest.mark.parametrize("port, status, words", [(8803, 302, "redirects are not followed"),
                                                 (8804, 403, "it answered 403")])
def test_webhook_that_refuses_is_not_asked_again(scene, net, port, status, words):
    said = hook(net, port, status)
    watch = scene.run("stderr", {"webhook": f"https://{HOOK_HOST}:{port}/"})
    scene.violate(7801, 7802)
    watch.wait_alert(alert_at(7802))
    said.wait(event="post", port=port)
    assert scene.end()["webhook"]["dropped"] == 2
    assert [json.loads(p["body"])["remote"]["port"] for p in posts(said)] == [7801, 7802]
    assert words in watch.text()


def test_token_file_that_others_read_is_refused(scene, net):
    token = scene.script("token", "s3cret\n", mode=0o640)
    watch = scene.run("stderr", {"webhook": f"https://{HOOK_HOST}:8801/", "token_file": token})
    assert watch.wait() == 125
    assert "is open to others than its owner (mode 0640)" in watch.text()
    assert "s3cret" not in watch.text()


def test_journal_and_syslog(scene):
    journal, from_journal = scene.receiver("journal")
    log, from_log = scene.receiver("log")
    scene.run("journal", {"syslog": f"unix:{log}"}, journal=journal)
    scene.violate(7801)
    entry = dict(line.split("=", 1) for line in from_journal.recv(1 << 18).decode().splitlines())
    assert entry["MESSAGE"] == ("UNEXPECTED OUTBOUND CONNECTION: 203.0.113.99:7801 "
                                "(resolved: unknown)")
    assert entry["PRIORITY"] == "4" and len(entry["MESSAGE_ID"]) == 32
    assert entry["LINNET_AGENT"] == "sink_test" and entry["LINNET_VERDICT"] == "unexpected"
    assert json.loads(entry["LINNET_RECORD"])["remote"]["port"] == 7801
    message = from_log.recv(1 << 18).decode()
    assert message.startswith("<84>1 20") and '[linnet@32473 agent="sink_test" pid="' in message
    sinks = scene.end()
    assert sinks["journal"]["written"] == sinks["syslog"]["written"] == 1
    # Nothing was asked for standard error.
    assert not scene.watch.alerts.list
    assert "alerts are not shown here" in scene.watch.text()


def test_no_sink_holds_the_watch_up(scene, net):
    """Each of them hangs: a program, a webhook, one that swallows packets, one whose name server
    does, a journald and a syslogd that are stopped. The alerts come all the same, while nothing of
    it has moved."""
    said = hook(net, 8805, 0)
    etc = net.write_etc(resolv_conf=f"nameserver {netlab.BLACKHOLE}\n",
                        hosts=f"127.0.0.1 localhost\n{netlab.WEATHER} {HOOK_HOST}\n")
    journal, _ = scene.receiver("journal")
    log, _ = scene.receiver("log")
    started, lines = scene.fifo("started")
    hang = scene.script("hang", f"#!/bin/sh\necho started >{started}\nexec sleep 1000\n")
    watch = scene.run("stderr", "journal", {"syslog": f"unix:{log}"}, {"exec": [hang]},
                      {"webhook": f"https://{HOOK_HOST}:8805/"},
                      {"webhook": f"https://{netlab.BLACKHOLE}/"},
                      {"webhook": "https://unanswered.example.org/"}, journal=journal, etc=etc)
    scene.violate(7801)
    lines.wait(lambda line: line == "started")
    said.wait(event="post", port=8805)
    for port in range(7802, 7850):
        scene.violate(port)
        watch.wait_alert(alert_at(port))
        watch.wait_record(type="flow-open", remote={"ip": netlab.OTHER, "port": port})
    sinks = scene.end()
    assert sinks["stderr"]["dropped"] == sinks["log"]["dropped"] == 0
    stuck = [s for s in watch.of("summary")[0]["sinks"] if s["sink"] in ("exec", "webhook")]
    assert len(stuck) == 4
    for sink in stuck:
        assert sink["written"] == 0 and sink["dropped"] >= 49, sinks
    for kind in "journal", "syslog":
        assert sinks[kind]["written"] + sinks[kind]["dropped"] >= 49, sinks
        assert sinks[kind]["dropped"] > 0, sinks
    for kind in "exec", "webhook", "journal", "syslog":
        assert f"alerts do not arrive at {kind}" in watch.text()
