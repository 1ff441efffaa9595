# SPDX-License-Identifier: Apache-2.0
"""Limits on bytes are told while the connection is still open."""
import pytest

from netlab import OTHER
from policies import policy

PYTHON = "/usr/bin/python3"
TCP = f"""
import socket, sys
s = socket.create_connection(({OTHER!r}, 7001))
for line in sys.stdin: s.sendall(b'x' * 60000); print('sent')
"""
UDP = f"""
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for line in sys.stdin:
    for i in range(60): s.sendto(b'x' * 1000, ({OTHER!r}, 7005))
    print('sent')
"""
LIMITED = policy(f"{OTHER} any any") + 'limits:\n  - {bytes_out: "100kB", period: 1h}\n'


@pytest.mark.parametrize("script", [TCP, UDP], ids=["tcp", "udp"])
def test_an_open_flow_that_carries_too_much(start, script):
    watch = start.run(LIMITED, PYTHON, "-uc", script, stdin=-1)
    for _ in range(2):
        watch.process.stdin.write(b"\n")
        watch.process.stdin.flush()
    alert = watch.wait_alert(lambda a: a.title == "VOLUME LIMIT")
    assert "120000 bytes sent within 3600 s" in alert["Rule Matched"]
    assert f"{OTHER}:" in alert["Destination"]
    assert not watch.of("flow-close")
    assert watch.wait_record(type="limit")["verdict"] == "unexpected"
    watch.process.stdin.close()
    assert watch.wait() == 0
    assert len(watch.alerts.list) == 1
    assert watch.of("flow-close")[0]["tx_bytes"] == 120000
