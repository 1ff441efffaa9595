# SPDX-License-Identifier: Apache-2.0
"""`linnet doctor`: what this kernel offers, what is not seen here, and a live self-test."""
import json
import os
import pwd
import subprocess

from watch import LINNET


def doctor(*options, prefix=()):
    return subprocess.run([*prefix, LINNET, "doctor", *options], capture_output=True, text=True,
                          timeout=60, check=False)


def test_the_self_test_catches_its_own_connection():
    done = doctor()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "self-test" in done.stdout


def test_json(net):
    done = doctor("--json")
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert records
    text = json.dumps(records)
    for hook in ("connect4", "connect6", "sendmsg4", "sendmsg6"):
        assert hook in text
    assert "self-test" in text


def test_it_says_what_it_cannot_see():
    text = doctor().stdout
    assert "packet" in text.lower() and "unix" in text.lower()


def test_without_root_it_says_so_and_fails_to_look():
    user = pwd.getpwnam("nobody")
    done = doctor(prefix=["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}",
                          "--clear-groups"])
    assert done.returncode != 0
    assert "root" in done.stdout + done.stderr or "sudo" in done.stdout + done.stderr


def test_it_leaves_the_network_alone():
    """The self-test has a namespace of its own, and it is gone."""
    before = set(os.listdir("/proc/net")), subprocess.run(["ip", "-o", "addr"], capture_output=True,
                                                          check=True).stdout
    doctor()
    after = set(os.listdir("/proc/net")), subprocess.run(["ip", "-o", "addr"], capture_output=True,
                                                         check=True).stdout
    assert before == after
