# SPDX-License-Identifier: Apache-2.0
"""docs/limits.md is about the techniques that are tested, all of them and no others."""
import re
import sys

from sources import ROOT

sys.path.insert(0, str(ROOT / "tests/harness"))

from techniques import TECHNIQUES  # noqa: E402

DOCUMENT = (ROOT / "docs/limits.md").read_text(encoding="utf-8")


def test_each_technique_is_in_the_table():
    rows = re.findall(r"^\| ([^*|][^|]*) \| [^|]+ \|$", DOCUMENT, re.MULTILINE)[1:]
    assert sorted(rows) == sorted(t.title for t in TECHNIQUES)


def test_each_channel_is_in_the_table():
    rows = re.findall(r"^\| \*\*([^*]+)\*\*", DOCUMENT, re.MULTILINE)
    assert rows == list(dict.fromkeys(t.row for t in TECHNIQUES))


def test_techniques_are_told_apart():
    for what in "id", "title":
        values = [getattr(t, what) for t in TECHNIQUES]
        assert len(values) == len(set(values)), what
