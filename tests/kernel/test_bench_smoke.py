# SPDX-License-Identifier: Apache-2.0
"""The benchmark itself works: every subject yields its rows. How fast is not asked here."""
import json
import subprocess

from watch import BUILD, ROOT

SUBJECTS = ["connect+close", "UDP round trip", "request by name", "HTTPS request by name", "getppid",
            "fork+exec", "in-kernel time", "alert latency", "first connection", "short children", "events lost", "CPU when",
            "RSS idle", "RSS after"]


def test_benchmark_runs_and_tells_json(tmp_path):
    output = tmp_path / "bench.json"
    done = subprocess.run([ROOT / "tests/bench/run", BUILD, "--quick", "--pairs", "1",
                           "--output", output], capture_output=True, text=True, check=False)
    # 1: a bar was missed, which means nothing on a machine that runs tests
    assert done.returncode in (0, 1), done.stderr
    told = json.loads(output.read_text())
    assert told["environment"]["pairs"] == 1
    for subject in SUBJECTS:
        assert any(r["name"].startswith(subject) for r in told["results"]), subject
    for result in told["results"]:
        assert isinstance(result["value"], (int, float)) and result["unit"], result
        assert ("limit" in result) == ("passed" in result), result
    # What is a count and not a time holds anywhere.
    for result in told["results"]:
        if result["name"].startswith(("short children", "alerts shown")):
            assert result["passed"], result
