#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The servers of the small internet, in one process. Reads a JSON list of services from standard
input until its end, says READY, then one JSON line for each thing that happened.

kind: tcp-sink (counts to the end, answers `rx N`), tcp-echo, tcp-reset (resets after the first
bytes), tcp-hold (never says a word), http, https, hook (takes POSTs, by TLS when it has a
certificate, and answers by a script), udp-echo, udp-sink, dns (answers by a script).
"""
import asyncio
import ipaddress
import json
import socket
import ssl
import struct
import sys


def say(**facts):
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def listener(service, kind):
    family = socket.AF_INET6 if ":" in service["ip"] else socket.AF_INET
    sock = socket.socket(family, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((service["ip"], service["port"]))
    sock.setblocking(False)
    return sock


async def sink(reader, writer, service, facts):
    while more := await reader.read(65536):
        facts["rx"] += len(more)
    answer = f"rx {facts['rx']}\n".encode()
    writer.write(answer)
    facts["tx"] += len(answer)


async def echo(reader, writer, service, facts):
    while more := await reader.read(65536):
        facts["rx"] += len(more)
        writer.write(more)
        facts["tx"] += len(more)
        await writer.drain()


async def reset(reader, writer, service, facts):
    facts["rx"] += len(await reader.read(65536))
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hold(reader, writer, service, facts):
    while more := await reader.read(65536):
        facts["rx"] += len(more)
    await asyncio.Event().wait()


async def http(reader, writer, service, facts):
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    body = await reader.readexactly(length)
    facts["request"] = head.split(b"\r\n")[0].decode()
    facts["body"] = body.decode(errors="replace")
    text = service.get("body", "ok\n").encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                 b"Content-Length: %d\r\n\r\n%b" % (len(text), text))


async def hook(reader, writer, service, facts):
    """`answers`: a status each, in turn, the last one for all that follow; 0 never answers."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        request, *lines = head.decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        answers = service["answers"]
        status = answers.pop(0) if len(answers) > 1 else answers[0]
        say(event="post", port=service["port"], request=request, headers=headers,
            body=body.decode(), status=status)
        if status == 0:
            await asyncio.Event().wait()
        writer.write(b"HTTP/1.1 %d Said\r\nLocation: https://203.0.113.99/\r\n"
                     b"Retry-After: 1\r\nContent-Length: 0\r\n\r\n" % status)


TCP = {"tcp-sink": sink, "tcp-echo": echo, "tcp-reset": reset, "tcp-hold": hold, "http": http,
       "https": http, "hook": hook}


async def serve_tcp(service):
    context = None
    if "certificate" in service:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(service["certificate"], service["key"])

    async def handle(reader, writer):
        facts = {"rx": 0, "tx": 0}
        peer = writer.get_extra_info("peername")
        say(event="open", kind=service["kind"], ip=service["ip"], port=service["port"],
            peer_ip=peer[0], peer_port=peer[1])
        try:
            await TCP[service["kind"]](reader, writer, service, facts)
            writer.close()
            await writer.wait_closed()
        except (OSError, EOFError, ssl.SSLError) as wrong:
            facts["error"] = str(wrong)
        finally:
            say(event="close", kind=service["kind"], ip=service["ip"], port=service["port"],
                peer_ip=peer[0], peer_port=peer[1], **facts)

    sock = listener(service, socket.SOCK_STREAM)
    if service.get("fastopen"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    await asyncio.start_server(handle, sock=sock, ssl=context, backlog=512)


class Datagrams(asyncio.DatagramProtocol):
    """Says each datagram, and echoes it when asked to."""

    def __init__(self, service):
        self.service = service
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        say(event="datagram", ip=self.service["ip"], port=self.service["port"], rx=len(data),
            peer_ip=addr[0], peer_port=addr[1])
        if self.service["kind"] == "udp-echo":
            self.transport.sendto(data, addr)


def dns_name(text):
    return b"".join(bytes([len(p)]) + p.encode() for p in text.rstrip(".").split(".")) + b"\0"


class Dns(asyncio.DatagramProtocol):
    """`zone`: {name: [answer, …]}, one answer a query of address type, in turn and round again. An
    answer is a list of records [owner, "A" | "AAAA" | "CNAME", value, ttl]. A name that is not in
    the zone does not exist."""

    TYPES = {"A": 1, "CNAME": 5, "AAAA": 28}

    def __init__(self, service):
        self.zone = service["zone"]
        self.turns = {}
        self.service = service
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode(errors="replace"))
            at += 1 + data[at]
        end = at + 5
        qtype = struct.unpack("!H", data[at + 1:at + 3])[0]
        name = ".".join(labels).lower()
        answers = self.zone.get(name)
        say(event="query", name=name, qtype=qtype, peer_ip=addr[0])
        records = []
        if answers:
            turn = self.turns.get((name, qtype), 0)
            self.turns[(name, qtype)] = turn + 1
            records = [r for r in answers[turn % len(answers)]
                       if self.TYPES[r[1]] in (qtype, 5)]
        body = b""
        for owner, kind, value, ttl in records:
            rdata = (dns_name(value) if kind == "CNAME"
                     else ipaddress.ip_address(value).packed)
            body += dns_name(owner) + struct.pack("!HHIH", self.TYPES[kind], 1, ttl,
                                                  len(rdata)) + rdata
        head = data[:2] + struct.pack("!HHHHH", 0x8180 if answers is not None else 0x8183, 1,
                                      len(records), 0, 0)
        self.transport.sendto(head + data[12:end] + body, addr)


async def serve(service):
    if service["kind"] in TCP:
        await serve_tcp(service)
        return
    make = Dns if service["kind"] == "dns" else Datagrams
    sock = listener(service, socket.SOCK_DGRAM)
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: make(service), sock=sock)


async def main():
    for service in json.load(sys.stdin):
        await serve(service)
    say(event="READY")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
