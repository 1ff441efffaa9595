#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The token leaves as an answer: `inbound.py tcp|udp TOKEN IP PORT` listens there."""
import socket

import lib


def tcp(token, ip, port):
    with socket.create_server((ip, int(port))) as listener:
        lib.ready()
        s, _ = listener.accept()
        with s:
            lib.go()
            s.sendall(token)
            s.shutdown(socket.SHUT_WR)
            s.recv(1)


def udp(token, ip, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((ip, int(port)))
        lib.ready()
        _, peer = s.recvfrom(64)
        lib.go()
        s.sendto(token, peer)


lib.run({"tcp": tcp, "udp": udp})
