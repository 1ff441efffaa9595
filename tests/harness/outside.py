#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Processes on the agent's host that do not belong to the agent, and by which it gets out:
`outside.py MODE …`. Each says `ready …` when it can be used, and ends when it has served or is
killed. What they send goes to IP PORT by TCP."""
import ctypes
import os
import signal
import socket
import sys

LIMIT = 4096


def ready(*facts):
    print("ready", *facts, flush=True)


def send(data, ip, port):
    with socket.create_connection((ip, int(port))) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        s.recv(1)


def listening(path, kind=socket.SOCK_STREAM):
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind("\0" + path[1:] if path.startswith("@") else path)
    if not path.startswith("@"):
        os.chmod(path, 0o777)
    if kind != socket.SOCK_DGRAM:
        s.listen(8)
    return s


def relay(kind, path, ip, port):
    """Sends what comes by a UNIX socket."""
    kinds = {"stream": socket.SOCK_STREAM, "datagram": socket.SOCK_DGRAM,
             "packets": socket.SOCK_SEQPACKET}
    s = listening(path, kinds[kind])
    ready()
    peer = s if kind == "datagram" else s.accept()[0]
    send(peer.recv(LIMIT), ip, port)


def vsock(cid, own_port, ip, port):
    with socket.socket(socket.AF_VSOCK) as s:
        s.bind((int(cid), int(own_port)))
        s.listen(1)
        ready()
        send(s.accept()[0].recv(LIMIT), ip, port)


def made(kind, ip, port):
    if kind == "connected":
        return socket.create_connection((ip, int(port)))
    if kind == "packet":  # it sends to where it is bound
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        s.bind(("eth0", 0x88b5))
        return s
    return socket.socket(socket.AF_INET,
                         socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM)


def give(kind, path, ip, port):
    """Hands a socket over."""
    s = listening(path)
    handed = made(kind, ip, port)
    ready()
    peer, _ = s.accept()
    socket.send_fds(peer, [b"."], [handed.fileno()])
    peer.recv(1)


def take(path, ip, port):
    """Sends the token by a socket that the agent hands over."""
    s = listening(path)
    ready()
    peer, _ = s.accept()
    data, descriptors, _, _ = socket.recv_fds(peer, LIMIT, 1)
    with socket.socket(fileno=descriptors[0]) as handed:
        try:
            handed.getpeername()
        except OSError:
            handed.connect((ip, int(port)))
        handed.sendall(data)
        handed.shutdown(socket.SHUT_WR)
        handed.recv(1)
    peer.send(b".")


def hold(kind, ip, port):
    """Has a socket, and lets nobody have it."""
    s = made(kind, ip, port)
    ready(os.getpid(), s.fileno())
    signal.pause()


def victim(ip, port):
    """Sends what stands in its memory when SIGUSR1 comes."""
    memory = ctypes.create_string_buffer(LIMIT)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    ready(os.getpid(), hex(ctypes.addressof(memory)))
    signal.sigwait([signal.SIGUSR1])
    send(memory.value, ip, port)


def read_file(path, ip, port):
    """A FIFO is read at once, a file when a line comes."""
    ready()
    if os.path.exists(path + ".wait"):
        sys.stdin.readline()
    with open(path, "rb") as f:
        send(f.read(LIMIT), ip, port)


def read_input(ip, port, begin=""):
    """Sends all that comes on standard input, as it comes; it can be used when `begin` has come."""
    with socket.create_connection((ip, int(port))) as s:
        if not begin:
            ready()
        while data := os.read(0, LIMIT):
            if begin and begin.encode() in data:
                ready()
            s.sendall(data)


def read_queue(key, ip, port):
    libc = ctypes.CDLL(None, use_errno=True)
    number = libc.msgget(int(key), 0o1666)
    message = ctypes.create_string_buffer(LIMIT)
    ready()
    size = libc.msgrcv(number, message, LIMIT - 8, 0, 0)
    libc.msgctl(number, 0, None)
    send(message.raw[8:8 + size], ip, port)


def start(ip, port, *command):
    """Becomes another program whose standard input is a connected socket."""
    s = socket.create_connection((ip, int(port)))
    os.dup2(s.fileno(), 0)
    os.execv(command[0], command)


MODES = {"relay": relay, "vsock": vsock, "give": give, "take": take, "hold": hold,
         "victim": victim, "file": read_file, "input": read_input, "queue": read_queue,
         "start": start}
if __name__ == "__main__":
    MODES[sys.argv[1]](*sys.argv[2:])
