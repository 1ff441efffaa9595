# SPDX-License-Identifier: Apache-2.0
"""docs/faults.md is about the faults that are tested, all of them and no others."""
import re
import sys

from sources import ROOT

sys.path.insert(0, str(ROOT / "tests/harness"))

from faults import DOCUMENT, FAULTS  # noqa: E402


def test_each_fault_is_in_the_table():
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]*) \|(?: [^|]* \|){4}$", text, re.MULTILINE)
    assert rows == ["fault", *FAULTS.values()]
