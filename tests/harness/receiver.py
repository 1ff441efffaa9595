#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What stands at the other end of every way out, in the namespace outside: `receiver.py PORT`. Says
READY, then one JSON line for each token that came, with how and where: `tcp`, `udp`, `udplite`,
`sctp`, `dccp` and `raw` by a socket; `wire` as seen on the link. A line {"connect": [IP, PORT]} or
{"datagram": [IP, PORT]} on standard input makes it begin a conversation with the agent."""
import contextlib
import json
import re
import selectors
import socket
import struct
import sys

from netlab import OTHER

TOKEN = re.compile(rb"esc-[0-9a-f]{16}")
KEEP = 32  # a token may come in two parts
MPTCP, SCTP, DCCP = (socket.SOCK_STREAM, 262), (socket.SOCK_STREAM, 132), (6, 33)
UDPLITE, EXPERIMENT = 136, 253
IP_PKTINFO = 8
MULTICAST4, MULTICAST6 = "239.7.7.7", "ff15::777"
ETH_P_ALL, SO_RCVBUFFORCE = 3, 33
SUBFLOWS_PORT = 1  # above PORT: says a byte first, see escape/tcp.c
selector = selectors.DefaultSelector()
told = set()


def say(**facts):
    print(json.dumps(facts), flush=True)


def tell(data, via, ip, port, **more):
    for token in set(TOKEN.findall(data)):
        key = token, via, ip, port
        if key not in told:
            told.add(key)
            say(event="token", token=token.decode(), via=via, ip=ip, port=port, **more)


def plain(ip):
    return ip.removeprefix("::ffff:").split("%")[0]


def on(sock, handler):
    sock.setblocking(False)
    selector.register(sock, selectors.EVENT_READ, handler)


def read_stream(sock, via="tcp"):
    """Reads to the end, and closes: so the peer knows that all has come."""
    name, before = sock.getsockname(), b""

    def more(_):
        nonlocal before
        try:
            data = sock.recv(1 << 18)
        except OSError:
            data = b""
        tell(before + data, via, plain(name[0]), name[1])
        before = (before + data)[-KEEP:]
        if not data:
            selector.unregister(sock)
            sock.close()

    on(sock, more)


def serve_streams(family, port, via="tcp", kind=socket.SOCK_STREAM, protocol=0, greets=False,
                  at=""):
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if not protocol:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    sock.bind((at, port))
    sock.listen(64)

    def accepted(_):
        peer, _ = sock.accept()
        if greets:
            peer.send(b".")
        read_stream(peer, via)

    on(sock, accepted)


def serve_datagrams(family, port, via, protocol=0):
    sock = socket.socket(family, socket.SOCK_DGRAM, protocol)
    if family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    if via == "udp" and family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(MULTICAST4)
                        + struct.pack("ii", 0, socket.if_nametoindex("eth0")))
    elif via == "udp":
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(
            family, MULTICAST6) + struct.pack("i", socket.if_nametoindex("eth0")))
    sock.bind(("", port))

    def datagram(_):
        data, control, _, _ = sock.recvmsg(65536, 256)
        info = control[0][2]
        ip = (socket.inet_ntop(family, info[8:12]) if family == socket.AF_INET
              else socket.inet_ntop(family, info[:16]))
        tell(data, via, ip, port)

    on(sock, datagram)


def serve_raw(family, protocol):
    sock = socket.socket(family, socket.SOCK_RAW, protocol)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)

    def packet(_):
        data, control, _, _ = sock.recvmsg(65536, 256)
        ip = (socket.inet_ntop(family, data[16:20]) if family == socket.AF_INET
              else socket.inet_ntop(family, control[0][2][:16]))
        tell(data, "raw", ip, 0, protocol=protocol)

    on(sock, packet)


def watch_wire():
    """All frames. The address of a neighbour that is asked for counts as a token too."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
    sock.bind(("eth0", ETH_P_ALL))

    def frame(_):
        data, (_, _, kind, _, _) = sock.recvfrom(2048)
        if kind == socket.PACKET_OUTGOING:
            return
        ip, port, proto = "", 0, 0
        if data[12:14] == b"\x08\x00":
            ip, proto = socket.inet_ntop(socket.AF_INET, data[30:34]), data[23]
            head = 14 + 4 * (data[14] & 15)
        elif data[12:14] == b"\x86\xdd":
            ip, proto, head = socket.inet_ntop(socket.AF_INET6, data[38:54]), data[20], 54
            if proto == socket.IPPROTO_ICMPV6 and data[54] == 135:
                data += b"esc-" + data[70:78].hex().encode()
        if proto in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
            port = struct.unpack("!H", data[head + 2:head + 4])[0]
        tell(data, "wire", ip, port, protocol=proto)

    on(sock, frame)


def obey(_):
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    for kind, (ip, port) in json.loads(line).items():
        if kind == "connect":
            peer = socket.create_connection((ip, port))
            read_stream(peer)
        else:
            peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
            peer.connect((ip, port))
            peer.send(b"hello")
            on(peer, lambda s: tell(s.recv(65536), "udp", *s.getsockname()))


def main(port):
    for family in socket.AF_INET, socket.AF_INET6:
        serve_streams(family, port)
        serve_datagrams(family, port, "udp")
        serve_raw(family, EXPERIMENT)
        for serve, *how in ((serve_streams, port + SUBFLOWS_PORT, "tcp", *MPTCP, True),
                            # Bound to all it answers from an address that nobody has asked.
                            (serve_streams, port, "sctp", *SCTP, False, OTHER),
                            (serve_streams, port, "dccp", *DCCP),
                            (serve_datagrams, port, "udplite", UDPLITE)):
            with contextlib.suppress(OSError):  # then the way out is not there either
                serve(family, *how)
    serve_raw(socket.AF_INET, socket.IPPROTO_ICMP)
    serve_raw(socket.AF_INET6, socket.IPPROTO_ICMPV6)
    watch_wire()
    selector.register(sys.stdin, selectors.EVENT_READ, obey)
    print(json.dumps({"event": "READY"}), flush=True)
    while True:
        for key, _ in selector.select():
            key.data(key.fileobj)


if __name__ == "__main__":
    main(int(sys.argv[1]))
