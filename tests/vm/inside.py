#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is done in the machine, in one boot: `inside.py TEST…`. Leaves in $LINNET_VM_OUT what
`linnet doctor` says, how big the programs are in each mode, and the report of the tests."""
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = Path(os.environ["LINNET_VM_OUT"])
LINNET = Path(os.environ["LINNET_BUILD"]) / "linnet"
RULE = """agent_name: "sizes"
expected_outbound:
  - {destination: "192.0.2.1", port: 443, protocol: TCP, purpose: "none"}
"""
MODES = {"watch": "", "block": "mode: block\non_failure: closed\n"}


def doctor():
    done = subprocess.run([LINNET, "doctor", "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        print(f"linnet doctor ended with {done.returncode}\n{done.stdout}")
        return False
    (OUT / "doctor.json").write_text(done.stdout)
    return True


def sizes(mode, keys):
    """The agent looks at the programs that watch it."""
    policy = Path("/run/sizes.yaml")
    policy.write_text(RULE + keys)
    done = subprocess.run([LINNET, "run", "-v", "--deep", "--log", "/run/sizes.jsonl", "-p", policy,
                           "--", HERE / "sizes.py", OUT / f"{mode}.json"], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        print(f"linnet in mode {mode} ended with {done.returncode}\n{done.stdout[-8000:]}")
    return done.returncode == 0


def main(tests):
    ready = doctor()
    for mode, keys in MODES.items():
        ready = sizes(mode, keys) and ready
    status = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                             "--tb=short", f"--junitxml={OUT}/report.xml", *tests],
                            check=False).returncode
    return status if ready else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
