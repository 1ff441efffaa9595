#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what the kernel says of each BPF program that is loaded: `sizes.py FILE`, as root."""
import ctypes
import json
import os
import struct
import sys

NR_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
PROG_GET_NEXT_ID, PROG_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD = 11, 13, 15
INFO_BYTES, NAME_AT, SIZE_AT, VERIFIED_AT = 256, 64, 20, 216  # struct bpf_prog_info
_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    """The result and the attributes as the kernel left them; None when it refuses."""
    room = ctypes.create_string_buffer(attributes, 128)
    result = _libc.syscall(NR_BPF, command, room, 128)
    return None if result < 0 else (result, room.raw)


def programs():
    """{name: [bytes, instructions that the verifier went through]}; 0: not told before 5.16."""
    found, last = {}, 0
    while said := bpf(PROG_GET_NEXT_ID, struct.pack("=I", last)):
        last = struct.unpack_from("=I", said[1], 4)[0]
        descriptor = bpf(PROG_GET_FD_BY_ID, struct.pack("=I", last))
        if not descriptor:
            continue
        info = ctypes.create_string_buffer(INFO_BYTES)
        bpf(OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", descriptor[0], INFO_BYTES,
                                            ctypes.addressof(info)))
        os.close(descriptor[0])
        name = info.raw[NAME_AT:NAME_AT + 16].rstrip(b"\0").decode()
        found[name] = [struct.unpack_from("=I", info.raw, at)[0] for at in (SIZE_AT, VERIFIED_AT)]
    return found


if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        json.dump(programs(), out)
