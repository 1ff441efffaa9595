#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The files of the project: what git knows or would know, without what is built."""
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def files():
    """Relative paths, sorted. Without git (a release archive): every file but build directories."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others",
         "--exclude-standard"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        names = [Path(n) for n in listed.stdout.decode().split("\0") if n]
    else:
        names = [p.relative_to(ROOT) for p in ROOT.rglob("*")]
        names = [n for n in names if not n.parts[0].startswith((".git", "build"))]
    return sorted({n for n in names if (ROOT / n).is_file()})


def c_files():
    return [n for n in files() if n.suffix in (".c", ".h")]


if __name__ == "__main__":
    for path in c_files() if "--c" in sys.argv[1:] else files():
        print(path)
