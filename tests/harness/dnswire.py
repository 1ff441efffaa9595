#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""DNS messages, and a resolver that answers as a test says: `dnswire.py JSON` listens on UDP at
`at` and, for each question, sends each of `answers` in turn, then says READY once at the start.

An answer: `by` (an address to send from), `id` (added to the question's), `name`, `addresses`,
`extra` (a record's owner and address) and `section` of it, `upper` (the name in capitals), `after`
(only from that question on, which it then answers for all before too).
"""
import json
import socket
import struct
import sys

TYPES = {"A": 1, "NULL": 10, "TXT": 16, "AAAA": 28}


def name_of(text):
    return b"".join(bytes([len(p)]) + p.encode() for p in text.rstrip(".").split(".")) + b"\0"


def question(number, name, qtype="A"):
    return (struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + name_of(name)
            + struct.pack("!2H", TYPES[qtype], 1))


def record(owner, address):
    return name_of(owner) + struct.pack("!2HIH", 1, 1, 60, 4) + socket.inet_aton(address)


def read_question(data):
    """Its id, name and type."""
    labels, at = [], 12
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode())
        at += 1 + data[at]
    return (struct.unpack("!H", data[:2])[0], ".".join(labels),
            struct.unpack("!H", data[at + 1:at + 3])[0])


def answer(asked, what):
    """The answer to a question as read, changed by what the test wants."""
    number, name, qtype = asked
    name = what.get("name", name.upper() if what.get("upper") else name)
    records = [record(name, a) for a in what.get("addresses", ())]
    extra = [record(*what["extra"])] if "extra" in what else []
    additional = what.get("section") == "additional"
    if not additional:
        records += extra
    return (struct.pack("!6H", (number + what.get("id", 0)) % 65536, 0x8180, 1, len(records), 0,
                        len(extra) if additional else 0)
            + name_of(name) + struct.pack("!2H", qtype, 1) + b"".join(records)
            + (b"".join(extra) if additional else b""))


def serve(script):
    sockets = {}
    for address in {script["at"], *(a.get("by", script["at"]) for a in script["answers"])}:
        sockets[address] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sockets[address].bind((address, 53))
    print("READY", flush=True)
    asked = []
    while True:
        data, peer = sockets[script["at"]].recvfrom(4096)
        asked.append((read_question(data), peer))
        for what in script["answers"]:
            if len(asked) < what.get("after", 1):
                continue
            for one, to in asked if "after" in what else asked[-1:]:
                sockets[what.get("by", script["at"])].sendto(answer(one, what), to)


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
