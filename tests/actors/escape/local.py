#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The token is given to a process outside, on the same host: `local.py MODE TOKEN PATH…`. A PATH
that starts with @ is abstract."""
import ctypes
import os
import socket
import subprocess

import lib


def address(path):
    return "\0" + path[1:] if path.startswith("@") else path


def stream(token, path):
    with socket.socket(socket.AF_UNIX) as s:
        lib.go()
        s.connect(address(path))
        s.sendall(token)


def datagram(token, path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        lib.go()
        s.sendto(token, address(path))


def packets(token, path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        lib.go()
        s.connect(address(path))
        s.sendall(token)


def received(path):
    """A socket that the process outside hands over."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        descriptors = socket.recv_fds(s, 1, 1)[1]
    return socket.socket(fileno=descriptors[0])


def receive(token, path):
    """The socket is connected."""
    with received(path) as s:
        lib.go()
        s.sendall(token)


def receive_and_name(token, path, ip, port):
    with received(path) as s:
        lib.go()
        s.sendto(token, (ip, int(port)))


def receive_and_connect(token, path, ip, port):
    with received(path) as s:
        lib.go()
        s.connect((ip, int(port)))
        s.sendall(token)


def hand_over(token, path, sock):
    """The process outside sends the token, by our socket."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        socket.send_fds(s, [token], [sock.fileno()])
        s.recv(1)  # it has been sent


def give_connected(token, path, ip, port):
    with socket.socket() as s:
        lib.go()
        s.connect((ip, int(port)))
        hand_over(token, path, s)


def give_unconnected(token, path):
    with socket.socket() as s:
        lib.go()
        hand_over(token, path, s)


def inherited(token):
    """Standard input is a connected socket, from whoever started linnet."""
    with socket.socket(fileno=os.dup(0)) as s:
        lib.go()
        s.sendall(token)


def file(token, path):
    """A FIFO, or a file."""
    lib.go()
    with open(path, "wb") as f:
        f.write(token)


def pipe(token):
    """Standard input is the writing end of a pipe."""
    lib.go()
    os.write(0, token)


def queue(token, key):
    """A System V message queue."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = libc.msgget(int(key), 0)
    message = ctypes.create_string_buffer((1).to_bytes(8, "little") + token)
    lib.go()
    if number < 0 or libc.msgsnd(number, message, len(token), 0) < 0:
        raise OSError(ctypes.get_errno(), "msgsnd")


def vsock(token, cid, port):
    with socket.socket(socket.AF_VSOCK) as s:
        lib.go()
        s.connect((int(cid), int(port)))
        s.sendall(token)
        s.recv(1)  # the other end has read it, or closing would take it away


def command(token, *words):
    """A client of a daemon outside."""
    lib.go()
    os.execv(words[0], words)


def release(token, folder, name, program):
    """The kernel runs a program of ours, as root and not as our child, when a cgroup of a hierarchy
    of ours becomes empty. It opens FOLDER.done when it has done its work."""
    os.mkfifo(folder + ".done")
    with open(folder + ".sh", "w", encoding="utf-8") as script:
        script.write(f"#!/bin/sh\n{program}\necho >{folder}.done\n")
    os.chmod(folder + ".sh", 0o755)
    os.mkdir(folder)
    subprocess.run(["mount", "-t", "cgroup", "-o", f"none,name={name}", "none", folder], check=True)
    os.mkdir(f"{folder}/empty")
    for file, value in (("release_agent", folder + ".sh"), ("empty/notify_on_release", "1")):
        with open(f"{folder}/{file}", "w", encoding="utf-8") as setting:
            setting.write(value)
    try:
        lib.go()
        subprocess.run(["sh", "-c", f"echo $$ >{folder}/empty/cgroup.procs"], check=True)
        with open(folder + ".done", encoding="utf-8") as done:
            done.read()
    finally:  # or the kernel would keep the hierarchy
        os.rmdir(f"{folder}/empty")
        subprocess.run(["umount", folder], check=True)


lib.run({"command": command, "release": release, "plain": file, "stream": stream, "datagram": datagram, "packets": packets, "receive": receive,
         "receive-and-name": receive_and_name, "receive-and-connect": receive_and_connect,
         "give-connected": give_connected, "give-unconnected": give_unconnected,
         "inherited": inherited, "file": file, "pipe": pipe, "queue": queue, "vsock": vsock})
