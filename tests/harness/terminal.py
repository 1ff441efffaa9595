# SPDX-License-Identifier: Apache-2.0
"""An interactive shell on a terminal, as a user has it."""
import os
import signal

from events import read_lines


class Terminal:
    """An interactive shell on a pseudo-terminal, in the agent's namespace."""

    def __init__(self, net):
        self.pid, self.master = os.forkpty()
        if self.pid == 0:
            os.environ.update(PS1="", HISTFILE="", **net.trust)
            for name in [n for n in os.environ if n.startswith("SUDO_")]:
                del os.environ[name]
            command = net.enter(["bash", "--norc", "--noprofile", "--noediting", "-i"])
            os.execvp(command[0], command)
        self.lines = read_lines(self.master, "terminal")
        self.type("stty -echo; echo sta''rted\n")
        self.expect("started")

    def type(self, text):
        os.write(self.master, text.encode())

    def expect(self, text):
        return self.lines.wait(lambda line: text in line)

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.master)
