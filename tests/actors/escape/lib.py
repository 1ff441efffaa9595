# SPDX-License-Identifier: Apache-2.0
"""What the ways out in Python share: `PROGRAM MODE TOKEN …`, see escape.h."""
import os
import sys
import time


def go():
    """Tells the test who lets the token go, and when. With ESCAPE_KEEP set, what was taken is kept
    until the test says a line."""
    if os.environ.get("ESCAPE_KEEP"):
        os.read(0, 1)
    print("go", os.readlink("/proc/self"), time.monotonic_ns(), flush=True)


def ready(*facts):
    """Tells the test that it is its turn."""
    print("ready", *facts, flush=True)


def run(ways):
    mode, token, *arguments = sys.argv[1:]
    ways[mode](token.encode(), *arguments)
