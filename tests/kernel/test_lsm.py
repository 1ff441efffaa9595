# SPDX-License-Identifier: Apache-2.0
"""What only BPF LSM can refuse. Without it the same goes through; what it alone sees are rows of
test_escape.py, and the guard is in test_guard.py. Under tests/vm it is there."""
import pytest

from netlab import API
from test_block import blocking, outcomes
from test_guard import possible  # noqa: F401  a fixture


@pytest.mark.parametrize("family, kind, protocol, title", [
    ("AF_PACKET", "SOCK_RAW", "socket.htons(3)", "PACKET SOCKET"),
    ("AF_PACKET", "SOCK_DGRAM", "0", "PACKET SOCKET"),
    ("AF_VSOCK", "SOCK_STREAM", "0", "UNFOLLOWED SOCKET")])
def test_sockets_beside_ip_are_not_made_in_block_mode(start, possible, family, kind, protocol,
                                                      title):
    said, watch = outcomes(
        start, blocking(f"{API} any any"),
        f"outcome(lambda: socket.socket(socket.{family}, socket.{kind}, {protocol}))")
    told = [a for a in watch.alerts.list if a.title == title]
    if not possible:
        assert said != ["EPERM"]
        return
    assert said == ["EPERM"]
    assert len(told) == 1 and told[0]["Action"] == "BLOCKED", watch.text()


def test_netlink_is_left_alone_in_block_mode(start):
    """It does not leave the host, and every program asks it for addresses."""
    said, _ = outcomes(start, blocking(f"{API} any any"),
                       "outcome(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))")
    assert said == ["ok"]
