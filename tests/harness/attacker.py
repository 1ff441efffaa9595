# SPDX-License-Identifier: Apache-2.0
"""Root who turns against linnet: tests/actors/tamper.py, one order a line."""
from watch import ROOT, read_lines

TAMPER = str(ROOT / "tests/actors/tamper.py")
CONNECT4 = 10  # enum bpf_attach_type


class Attacker:
    """pipe: its standard input; lines: its standard output, as Items."""

    def __init__(self, pipe, lines):
        self._pipe, self._lines, self._said = pipe, lines, 0

    def order(self, pid, *words):
        """Says "ok" or the error's name."""
        self._pipe.write((" ".join(map(str, (pid, *words))) + "\n").encode())
        self._pipe.flush()
        self._said += 1
        return self._lines.wait(lambda _: len(self._lines.list) >= self._said) and \
            self._lines.list[self._said - 1]


def outsider(start):
    """One outside of the tree, ready for orders."""
    process = start.agent("/usr/bin/python3", TAMPER)
    attacker = Attacker(process.stdin, read_lines(process.stdout.fileno(), "the outsider"))
    assert attacker.order(process.pid, "signal", 0) == "ok"
    return attacker
