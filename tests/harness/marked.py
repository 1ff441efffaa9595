# SPDX-License-Identifier: Apache-2.0
"""What a run writes into the tree: what stands between two marks of a document, and JSON."""
import json
import re


def with_table(text, begin, end, table):
    """The text with this table between the marks, which are there already."""
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    assert found, f"{begin} … {end}: not in the document"
    return f"{before}{begin}\n{table.strip()}\n{end}{after}"


def write_table(document, begin, end, table):
    before = document.read_text(encoding="utf-8")
    after = with_table(before, begin, end, table)
    if after != before:
        document.write_text(after, encoding="utf-8")


def json_text(value):
    """An item a line, but a list of plain values is one line."""
    text = json.dumps(value, indent=1)
    return re.sub(r"\[\s+([^][]*?)\s+\]", lambda m: "[" + re.sub(r"\n\s*", " ", m[1]) + "]", text) + "\n"
