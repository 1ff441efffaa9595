# SPDX-License-Identifier: Apache-2.0
"""docs/kernels.md says what was measured, under each kernel."""
import re
import sys

from sources import ROOT

sys.path[:0] = [str(ROOT / "tests/vm"), str(ROOT / "tests/harness")]

import chosen  # noqa: E402
import kernels  # noqa: E402
import matrix  # noqa: E402
import techniques  # noqa: E402


def test_the_tables_are_those_of_the_last_run():
    text = matrix.DOCUMENT.read_text(encoding="utf-8")
    assert text == matrix.document(text, matrix.kept())


def test_each_kernel_was_measured():
    assert set(matrix.kept()) == set(kernels.KERNELS)


def test_each_chosen_test_is_there():
    """make test-kernels would say so too, after minutes."""
    ways = {f"test_escape[{t.id}]" for t in techniques.TECHNIQUES}
    for name in {n for tests in (*chosen.KERNEL_TESTS.values(), *chosen.VM_TESTS.values())
                 for n in tests}:
        path, _, test = name.partition("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not test or re.search(rf"^def {re.escape(test.split('[')[0])}\(", text, re.M), name
        assert not test.startswith("test_escape[") or test in ways, name


def test_which_tests_passed_is_read(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testsuite><testcase classname="tests.kernel.test_b" name="x"/>'
                      '<testcase classname="tests.kernel.test_b" name="y[1]">'
                      '<skipped message="no such socket"/></testcase></testsuite></testsuites>')
    assert matrix.tests_of(report) == {"test_b": [1, {"y[1]": "no such socket"}]}


def test_the_newest_image_is_chosen():
    names = ["linux-image-cloud-amd64", "linux-image-6.1-cloud-amd64", "linux-image-6.12.9-cloud-amd64",
             "linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-10-cloud-amd64-unsigned",
             "linux-image-6.1.0-10-cloud-amd64", "linux-image-6.1.0-10-amd64",
             "linux-image-7.2.13+deb14-cloud-amd64"]
    assert kernels.images(names, "6.1") == [
        "linux-image-6.1.0-10-cloud-amd64", "linux-image-6.1.0-10-cloud-amd64-unsigned",
        "linux-image-6.1.0-9-cloud-amd64"]
    assert kernels.images(names, "newest")[0] == "linux-image-7.2.13+deb14-cloud-amd64"


def measured(sight="seen", package="linux-image-6.1.0-9-cloud-amd64", size=1000):
    return {"package": package, "channels": {"TCP connect": [sight, True, "cgroup/connect4"]},
            "programs": {"watch": {"on_connect4": [size, 20000]}, "block": {}}}


def test_what_became_worse_is_a_fault(monkeypatch):
    monkeypatch.setattr(matrix, "kept", lambda: {"6.1": measured()})
    assert not matrix.faults("6.1", measured())
    assert not matrix.faults("6.1", measured(size=1400))
    assert not matrix.faults("6.12", measured(sight="BLIND", size=9999))
    assert "1501 bytes, it had 1000" in matrix.faults("6.1", measured(size=1501))[0]
    assert "it was seen, and is BLIND" in matrix.faults("6.1", measured(sight="BLIND"))[0]
    # Another kernel may have lost what this one had.
    assert not matrix.faults("6.1", measured("BLIND", "linux-image-6.1.0-10-cloud-amd64"))
