#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The agent changes its network: `network.py MODE TOKEN …`. What it then sends names a place that the
policy allows, and goes elsewhere."""
import ctypes
import os
import socket
import subprocess

import lib

CLONE_NEWNET = 0x40000000


def sh(command):
    subprocess.run(command.split(), check=True)


def send(token, ip, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(token, (ip, int(port)))


def dnat(token, ip, port, real):
    lib.go()
    subprocess.run(["nft", "-f", "-"], check=True, text=True, input=(
        "table ip escape {\nchain out {\ntype nat hook output priority -100;\n"
        f"ip daddr {ip} dnat to {real}\n}}\n}}\n"))
    send(token, ip, port)


def vxlan(token, ip, port, remote, mac):
    lib.go()
    sh(f"ip link add escape0 type vxlan id 7 remote {remote} dstport 4789 dev eth0")
    sh("ip addr add 10.89.0.1/24 dev escape0")
    sh("ip link set escape0 up")
    sh(f"ip neigh replace {ip} lladdr {mac} dev escape0")
    send(token, ip, port)


def mirred(token, ip, port, mac):
    """What goes into a bridge that leads nowhere is copied to eth0."""
    lib.go()
    sh("ip link add escape0 type bridge")
    sh("ip addr add 10.88.0.1/24 dev escape0")
    sh("ip link set escape0 up")
    sh(f"ip neigh replace {ip} lladdr {mac} dev escape0")
    sh("tc qdisc add dev escape0 clsact")
    sh("tc filter add dev escape0 egress protocol ip u32 match u32 0 0 "
       "action mirred egress mirror dev eth0")
    send(token, ip, port)


def neighbour(token, ip, port, mac):
    """An address of this link, at the MAC of another host."""
    lib.go()
    sh(f"ip neigh replace {ip} lladdr {mac} dev eth0")
    send(token, ip, port)


def resolve(token, prefix):
    """Nothing is sent by a socket: the kernel looks for a neighbour whose address is the token."""
    digits = token.decode().removeprefix("esc-")
    groups = ":".join(digits[at:at + 4] for at in range(0, 16, 4))
    lib.go()
    sh(f"ip neigh add {prefix}{groups} dev eth0 use nud none")


def namespace(token, ip, port):
    """A network namespace of the agent's own, joined to the one it came from."""
    inside, outside = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), "unshare")
        os.write(inside[1], b".")
        os.read(outside[0], 1)
        for command in ("link set lo up", "link set escape1 up",
                        "addr add 10.78.0.2/24 dev escape1", "route add default via 10.78.0.1"):
            sh(f"ip {command}")
        lib.go()
        send(token, ip, port)
        os._exit(0)
    os.read(inside[0], 1)
    sh(f"ip link add escape0 type veth peer name escape1 netns {child}")
    sh("ip addr add 10.78.0.1/24 dev escape0")
    sh("ip link set escape0 up")
    os.write(outside[1], b".")
    os.waitpid(child, 0)


lib.run({"dnat": dnat, "vxlan": vxlan, "mirred": mirred, "neighbour": neighbour,
         "resolve": resolve, "namespace": namespace})
