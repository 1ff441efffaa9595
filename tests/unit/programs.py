#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each subcommand that reads files, on files good and bad: `programs.py LINNET`. None of them dies,
and under sanitizers none of them has something to report; what they say is for other tests."""
import concurrent.futures
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
POLICIES = [*ROOT.glob("data/*/*.yaml"), *ROOT.glob("fuzz/corpus/policy/*"),
            *ROOT.glob("fuzz/corpus/edit/*")]
WHOLE_LOGS = [*ROOT.glob("data/logs/*"), *ROOT.glob("fuzz/corpus/replay/*")]
LOGS = [*WHOLE_LOGS, *ROOT.glob("fuzz/corpus/log/*")]
PLACES = ["api.example.com:443/TCP", "[2001:db8::1]:443", "192.0.2.1", "bücher.example:80",
          "no/such:thing", "*.example.com", ""]
WIDE = str(ROOT / "data/stories/wide.yaml")
BANS = str(ROOT / "data/stories/bans.yaml")
STATUSES = (0, 1, 2, 125)
SAID_BY_SANITIZERS = 99


def commands(scratch):
    policies, logs, whole = (sorted(map(str, files)) for files in (POLICIES, LOGS, WHOLE_LOGS))
    yield from (["check", *options, *policies] for options in ([], ["--strict"], ["--json"]))
    yield from (["explain", "-p", WIDE, "--", place] for place in PLACES)
    yield ["explain", "--json", "-p", BANS, "--", "api.example.com"]
    yield from (["replay", "--all", "-p", BANS, log] for log in logs)
    for i, log in enumerate(whole):
        yield ["explain", "-p", WIDE, "--log", log, "k7f2-1"]
        yield ["learn", "--from-log", "-o", f"{scratch}/{i}.yaml", log]
    yield ["replay", "--json", "-p", WIDE, *logs]
    yield ["learn", "--from-log", "-p", WIDE, "--fold", "-o", f"{scratch}/all.diff", *logs]
    yield from (["completion", shell] for shell in ("bash", "zsh", "fish", "ksh"))


def run(linnet, arguments):
    """Returns "" or what is wrong."""
    told = {name: f"{os.environ.get(name, '')}:exitcode={SAID_BY_SANITIZERS}"
            for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")}
    done = subprocess.run([linnet, *arguments], env=dict(os.environ, **told), timeout=60,
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    said = done.stderr.decode(errors="replace")
    if done.returncode in STATUSES and "runtime error:" not in said:
        return ""
    return f"{' '.join(arguments)}: exit status {done.returncode}\n{said[-4000:]}"


def main(linnet):
    print("1..1")
    with tempfile.TemporaryDirectory(prefix="linnet-programs-") as scratch, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = list(pool.map(lambda arguments: run(linnet, arguments), commands(scratch)))
    wrong = [text for text in runs if text]
    for line in "\n".join(wrong).splitlines():
        print(f"# {line}")
    print(f"{'not ok' if wrong or not runs else 'ok'} 1 - {len(runs)} runs of subcommands")


if __name__ == "__main__":
    main(sys.argv[1])
