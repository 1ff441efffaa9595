# SPDX-License-Identifier: Apache-2.0
"""What a technique needs of this kernel and host: each probe returns "", or why it is not there."""
import ctypes
import os
import shutil
import socket
import subprocess
from pathlib import Path

from watch import ACTORS

_libc = ctypes.CDLL(None, use_errno=True)
SYS_IO_URING_SETUP, SYS_IO_SETUP = 425, 206
TCP_REPAIR, VMADDR_CID_LOCAL = 19, 1


def _can_make(what, *arguments):
    try:
        socket.socket(*arguments).close()
        return ""
    except OSError as wrong:
        return f"{what}: {wrong.strerror}"


def _result(what, call):
    try:
        call()
        return ""
    except OSError as wrong:
        return f"{what}: {wrong.strerror}"


def _program(name):
    return "" if shutil.which(name) else f"{name} is not installed"


def _filesystem(name):
    kinds = {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()}
    return "" if name in kinds else f"the kernel has no {name} file system"


def udplite():
    return _can_make("UDP-Lite socket", socket.AF_INET, socket.SOCK_DGRAM, 136)


def sctp():
    return _can_make("SCTP socket", socket.AF_INET, socket.SOCK_STREAM, 132)


def dccp():
    return _can_make("DCCP socket", socket.AF_INET, 6, 33)


def mptcp():
    return _can_make("MPTCP socket", socket.AF_INET, socket.SOCK_STREAM, 262)


def xdp():
    return _can_make("AF_XDP socket", 44, socket.SOCK_RAW, 0)


def vsock():
    """Between two processes of one machine; to another machine there is nothing to test with."""
    def connect():
        with socket.socket(socket.AF_VSOCK) as listener, socket.socket(socket.AF_VSOCK) as s:
            listener.bind((VMADDR_CID_LOCAL, 7100))
            listener.listen(1)
            s.connect((VMADDR_CID_LOCAL, 7100))

    return _result("loopback of AF_VSOCK", connect)


def repair():
    with socket.socket() as s:
        return _result("TCP_REPAIR", lambda: s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1))


def _system_call(what, *arguments):
    result = _libc.syscall(*arguments)
    if result < 0:
        wrong = os.strerror(ctypes.get_errno())
        return "" if wrong == os.strerror(14) else f"{what}: {wrong}"
    return ""


def aio():
    """With a bad pointer: EFAULT says that the call is there."""
    return _system_call("io_setup", SYS_IO_SETUP, 1, None)


def io_uring():
    return _system_call("io_uring_setup", SYS_IO_URING_SETUP, 1, None)


def compat():
    """Without them the call is a fault."""
    done = subprocess.run([ACTORS / "escape" / "escape-compat", "probe", "token"], check=False)
    return "" if done.returncode == 0 else "the kernel has no 32-bit system calls"


def tun():
    return _result("/dev/net/tun", lambda: os.close(os.open("/dev/net/tun", os.O_RDWR)))


def nft():
    return _program("nft")


def tmux():
    return _program("tmux")


def dbus():
    return _program("dbus-daemon") or _program("dbus-send")


def mirred():
    return _program("tc")


def queue():
    number = _libc.msgget(0, 0o1600)
    if number < 0:
        return f"msgget: {os.strerror(ctypes.get_errno())}"
    _libc.msgctl(number, 0, None)
    return ""


def cgroup1():
    return _filesystem("cgroup")


def cgroup2():
    return "" if cgroup2_mount() else "cgroup2 is not mounted"


def cgroup2_mount():
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        return next((line.split()[4] for line in table if " - cgroup2 " in line), "")


def missing(needs):
    """Why this cannot be done here; "": it can."""
    return next(filter(None, (globals()[name]() for name in needs)), "")
