# SPDX-License-Identifier: Apache-2.0
"""Somebody who reads a document and does what stands there: writes its files, types its commands, and
compares what is said. In an expected line … stands for anything; a line of … alone stands for any
lines. Times, and numbers of four digits and more, are only compared as such."""
import contextlib
import os
import re
import signal
import subprocess

import watch
from events import DEADLINE_S, read_lines

NOBODY = 65534
SUDO = f"""#!/bin/sh
exec env SUDO_UID={NOBODY} SUDO_GID={NOBODY} SUDO_USER=nobody "$@"
"""


def fences(text):
    """(words after the fence, block) of each fenced block."""
    return [(words.split(), block) for words, block in re.findall(
        r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def blocks(text, kind):
    """The fenced blocks of one kind that are not files."""
    return [block for words, block in fences(text) if words == ([kind] if kind else [])]


def steps(block):
    """(command, [expected line]) of each `$ ` line."""
    result = []
    for line in block.splitlines():
        if line.startswith("$ "):
            result.append((line[2:], []))
        else:
            result[-1][1].append(line)
    return result


def pattern(line):
    """An expected line as an expression."""
    line = re.escape(line).replace("…", ".*")
    line = re.sub(r"^Alert:\\ [a-z2-9]{4}\\-\d+$", r"Alert: [a-z2-9]{4}-\\d+", line)
    line = re.sub(r"\d{4}\\-\d\d\\-\d\dT\d\d:\d\d:\d\dZ", r"\\d{4}-\\d\\d-\\d\\dT[0-9:]{8}Z", line)
    return re.sub(r"(?<![\d{}])\d{4,}(?!\d)", r"\\d+", line)


def compare(expected, said):
    """("" when it fits, else what does not; [(expected line, its line of `said`)])."""
    at, anywhere, pairs = 0, False, []
    for line in expected:
        if line == "…":
            anywhere = True
            continue
        fits = [n for n, other in enumerate(said[at:], at) if re.fullmatch(pattern(line), other)]
        if not fits or (fits[0] != at and not anywhere):
            return f"expected {line!r}, after {said[:at]}; there is {said[at:]}", pairs
        pairs.append((line, said[fits[0]]))
        at, anywhere = fits[0] + 1, False
    return "" if anywhere or at == len(said) else f"nobody expected {said[at:]}", pairs


class Reader:
    """One bash, as root, with the agent's names and network around it, and with no logs of this host
    in reach. stand_ins: programs of the document that are not there, by name, as scripts."""

    def __init__(self, net, stand_ins=None, **environment):
        self.folder = net.folder / "reader"
        self.folder.mkdir()
        self.folder.chmod(0o1777)  # files of root and of the reader, who calls sudo
        (self.folder / "examples").symlink_to(watch.ROOT / "examples")
        tools = net.folder / "tools"
        tools.mkdir()
        (tools / "linnet").symlink_to(watch.LINNET)
        for name, script in {"sudo": SUDO, **(stand_ins or {})}.items():
            (tools / name).write_text(script)
            (tools / name).chmod(0o755)
        kept = {k: v for k, v in os.environ.items()
                if not k.startswith("SUDO_") and k != "GITHUB_STEP_SUMMARY"}
        environment = dict(kept, **net.trust, **environment, PATH=f"{tools}:{os.environ['PATH']}")
        start = ["sh", "-ec", "mount -t tmpfs -o mode=755 none /var/log; exec bash"]
        self._bash = subprocess.Popen(net.enter(start), cwd=self.folder, env=environment,
                                      start_new_session=True, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._lines = read_lines(self._bash.stdout.fileno(), "the reader's shell")
        self._marks = set()
        self._taken = 0  # how many lines have been compared
        self._ids = {}   # of alerts: as the document has them, and as they are

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755 if text.startswith("#!") else 0o644)

    def _fits(self, expected):
        """Takes the lines that are there when they fit."""
        there = len(self._lines.list)
        said = [line for line in self._lines.list[self._taken:there] if line not in self._marks]
        wrong, pairs = compare(expected, said)
        if not wrong:
            self._taken = there
            self._ids.update((a.removeprefix("Alert: "), b.removeprefix("Alert: "))
                             for a, b in pairs if a.startswith("Alert: "))
        return wrong

    def _real(self, line):
        """With the ids that alerts have here."""
        for shown, real in self._ids.items():
            line = line.replace(shown, real)
        return line

    def type(self, command, expected):
        """Returns "", or what is not as expected. The command has ended then, and what stays in the
        background has said what is expected of it."""
        command, *expected = map(self._real, [command, *expected])
        mark = f"the end of command {len(self._marks)}"
        self._marks.add(mark)
        self._bash.stdin.write(f"{{ {command}\n}} </dev/null\nstatus=$?; echo '{mark}'\n"
                               "(exit $status)\n".encode())
        self._bash.stdin.flush()
        self._lines.wait(lambda line: line == mark, DEADLINE_S)
        try:
            self._lines.wait(lambda _: not self._fits(expected), DEADLINE_S)
        except AssertionError:
            return self._fits(expected)
        return ""

    def follow(self, text):
        """Does what a document says, in its order."""
        for words, block in fences(text):
            if len(words) == 2:
                self.write(words[1], block)
            for command, expected in steps(block) if words == ["console"] else []:
                wrong = self.type(command, expected)
                assert not wrong, f"$ {command}\n{wrong}"

    def close(self):
        self._bash.stdin.close()
        try:
            self._lines.wait_closed()
        finally:  # what a document that went wrong has left
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._bash.pid, signal.SIGTERM)
            self._bash.wait()
