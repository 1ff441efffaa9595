# SPDX-License-Identifier: Apache-2.0
"""An agent that does one thing to the network for each line that it is told, and answers."""
from watch import read_lines

PYTHON = "/usr/bin/python3"
SCRIPT = """
import errno, socket, subprocess, sys
held = None
print('up')
for line in sys.stdin:
    word, *rest = line.split()
    try:
        if word == 'connect':
            held = socket.create_connection((rest[0], int(rest[1])), timeout=5)
        elif word == 'ask':
            held = socket.create_connection((socket.gethostbyname(rest[0]), int(rest[1])), timeout=5)
        elif word == 'run':
            assert subprocess.run(rest, stdout=subprocess.DEVNULL).returncode == 0
        else:
            held.sendall(b'x' * 10); assert held.recv(10), 'closed'
        print('ok')
    except OSError as e:
        print(errno.errorcode.get(e.errno, 'timeout'))
"""
COMMAND = (PYTHON, "-uc", SCRIPT)


class Speaker:
    """lines: its standard output, as Items; pipe: its standard input."""

    def __init__(self, lines, pipe):
        self._lines, self._pipe, self._answers = lines, pipe, 0
        assert self._next() == "up"

    def _next(self):
        at = self._answers
        self._lines.wait(lambda line: len(self._lines.list) > at)
        self._answers += 1
        return self._lines.list[at]

    def say(self, *words):
        self._pipe.write(" ".join(map(str, words)).encode() + b"\n")
        self._pipe.flush()
        return self._next()

    def end(self):
        self._pipe.close()


def under(start, policy, **options):
    """(watch, speaker) of a `linnet run`."""
    watch = start.run(policy, *COMMAND, stdin=-1, **options)
    return watch, Speaker(watch.stdout, watch.process.stdin)


def alone(start):
    """(process, speaker) of one that linnet did not start."""
    process = start.agent(*COMMAND)
    return process, Speaker(read_lines(process.stdout.fileno(), "speaker"), process.stdin)
