# SPDX-License-Identifier: Apache-2.0
"""Completions, in the shells that they are for."""
import os
import pty
import re
import select
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LINNET_BUILD", ROOT / "build"))
LINNET = BUILD / "linnet"
BASH, ZSH, FISH = (BUILD / "completions" / n for n in ("linnet", "_linnet", "linnet.fish"))
LIMIT_S = 30


def output_of(*command):
    done = subprocess.run([str(c) for c in command], cwd=ROOT, capture_output=True, text=True,
                          timeout=LIMIT_S, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0 and done.stderr == "", (command, done.stderr)
    return done.stdout


def commands():
    return re.findall(r"^  ([a-z]+) ", output_of(LINNET, "-h").split("Commands:")[1]
                      .split("\n\n")[0], re.MULTILINE)


def options_of(command):
    return set(re.findall(r"^  (?:-., )? *(--[a-z-]+)", output_of(LINNET, command, "-h"),
                          re.MULTILINE))


def in_bash(*words):
    """What bash offers for the last word."""
    script = ("source $1; shift; compopt() { :; }; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); "
              "_linnet; printf '%s\\n' \"${COMPREPLY[@]}\"")
    return output_of("bash", "--norc", "-c", script, "bash", BASH, "linnet", *words).split()


def in_fish(line):
    told = output_of("fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", FISH,
                     line)
    return [row.split("\t")[0] for row in told.splitlines()]


def typed(shell, setup, keys, answer="echo"):
    """The line that comes of `keys` at a terminal, told by the shell itself."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(shell, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT,
                               env=dict(os.environ, TERM="dumb", PS1="> "), start_new_session=True)
    os.close(theirs)
    try:
        os.write(ours, f"{setup}\necho ready-$((40 + 2))\n".encode())
        read_until(ours, rb"ready-42")
        os.write(ours, keys.encode() + f"\x01{answer} is-$((40 + 2)) \x05\n".encode())
        return read_until(ours, rb"is-42 ([^\r\n]*?) *\r?\n").group(1).decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal, pattern):
    seen = b""
    while not re.search(pattern, seen):
        assert select.select([terminal], [], [], LIMIT_S)[0], seen
        seen += os.read(terminal, 4096)
    return re.search(pattern, seen)


@pytest.mark.parametrize("shell, path", [("bash", BASH), ("zsh", ZSH), ("fish", FISH)])
def test_the_file_is_what_the_command_writes(shell, path):
    output_of(shell, "-n", path)
    assert path.read_text() == output_of(LINNET, "completion", shell)


def test_every_command_and_option_of_the_help():
    assert set(in_bash("")) == {*commands(), "help", "--help", "--version"}
    assert set(in_fish("linnet ")) == {*commands(), "help"}
    zsh = ZSH.read_text()
    for command in commands():
        want = options_of(command)
        assert want
        assert {o.rstrip("=") for o in in_bash(command, "--")} == want
        assert {o for o in in_fish(f"linnet {command} --")} == want
        part = re.search(rf"^\t{command}\)\n(.*?)\n\t\t;;", zsh, re.MULTILINE | re.DOTALL).group(1)
        assert set(re.findall(r"['{,](--[a-z-]+)(?=[}=']|=-)", part)) == want


@pytest.mark.parametrize("words, want", [
    (["att"], ["attach"]),
    (["run", "--se"], ["--sensor="]),
    (["run", "--sensor", "="], ["bpf", "poll"]),
    (["run", "--sensor", "=", "p"], ["poll"]),
    (["run", "--sensor", "p"], ["poll"]),
    (["run", "--sensor", "=", "bpf", "--sh"], ["--show-args"]),
    (["run", "-q", "-p", "examples/pol"], ["examples/policy.yaml"]),
    (["run", "--log", "=", "examples/"], ["examples/policy.yaml"]),
    (["run", "--user", "roo"], ["root"]),
    (["run", "-p", "policy.yaml", "--", "clang-form"], None),
    (["run", "-p", "policy.yaml", "cat", "examples/"], ["examples/policy.yaml"]),
    (["run", "cat", "--se"], []),
    (["check", "--strict", "examples/"], ["examples/policy.yaml"]),
    (["check", "examples/policy.yaml", "--st"], []),
    (["replay", "run.jsonl", "--al"], ["--all"]),
    (["attach", str(os.getpid())], [str(os.getpid())]),
    (["help", "doc"], ["doctor"]),
    (["nonsense", ""], []),
])
def test_bash(words, want):
    if want is None:
        assert "clang-format" in in_bash(*words)
    else:
        assert in_bash(*words) == want


@pytest.mark.parametrize("line, want", [
    ("linnet att", ["attach"]),
    ("linnet run --sensor ", ["bpf", "poll"]),
    ("linnet run --sensor=p", ["--sensor=poll"]),
    ("linnet run -p examples/pol", ["examples/policy.yaml"]),
    ("linnet run --sensor poll -- cat examples/", ["examples/policy.yaml"]),
    ("linnet check examples/", ["examples/policy.yaml"]),
    ("linnet explain api.example.com --res", ["--resolve"]),
    ("linnet help doc", ["doctor"]),
])
def test_fish(line, want):
    assert in_fish(line) == want


TYPED = [
    ("linnet att\t", "linnet attach"),
    ("linnet run --sen\tpo\t", "linnet run --sensor=poll"),
    ("linnet run -p examples/pol\t", "linnet run -p examples/policy.yaml"),
    ("linnet run --log=examples/pol\t", "linnet run --log=examples/policy.yaml"),
    ("linnet run --sensor=poll -- cat examples/pol\t",
     "linnet run --sensor=poll -- cat examples/policy.yaml"),
    ("linnet check examples/pol\t", "linnet check examples/policy.yaml"),
    ("linnet help doc\t", "linnet help doctor"),
]


@pytest.mark.parametrize("keys, want", TYPED)
def test_bash_at_a_terminal(keys, want):
    assert typed(["bash", "--norc", "--noprofile", "-i"], f"source {BASH}", keys) == want


@pytest.mark.parametrize("keys, want", TYPED)
def test_bash_with_the_completions_of_the_system(keys, want):
    library = Path("/usr/share/bash-completion/bash_completion")
    assert library.exists(), "bash-completion is missing"
    assert typed(["bash", "--norc", "--noprofile", "-i"], f"source {library}; source {BASH}",
                 keys) == want


@pytest.mark.parametrize("keys, want", TYPED)
def test_zsh_at_a_terminal(keys, want):
    setup = f"bindkey -e; fpath=({ZSH.parent} $fpath); autoload -Uz compinit; compinit -u -D"
    assert typed(["zsh", "-f", "-i"], setup, keys, "print -r --") == want


def test_unknown_shells():
    for arguments in ([], ["tcsh"], ["bash", "zsh"]):
        done = subprocess.run([LINNET, "completion", *arguments], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 2 and "bash, zsh or fish" in done.stderr and not done.stdout


def test_the_hidden_command_is_not_offered():
    assert "completion" not in commands()
    assert "completion" not in in_bash("")
    assert "Usage: linnet completion" in output_of(LINNET, "completion", "-h")
