# SPDX-License-Identifier: Apache-2.0
"""What each kernel came to: read from what inside.py left, compared with what was kept of the last
time (measured.json), and written as docs/kernels.md."""
import itertools
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from kernels import KERNELS, ROOT, STORE
from marked import json_text, with_table

OUT = STORE / "out"
REPORT = OUT / "report.xml"
KEPT = Path(__file__).resolve().parent / "measured.json"
DOCUMENT = ROOT / "docs/kernels.md"
CHANNELS = ("<!-- channels: written by tests/vm -->", "<!-- end of channels -->")
TESTS = ("<!-- tests: written by tests/vm -->", "<!-- end of tests -->")
PROGRAMS = ("<!-- programs: written by tests/vm -->", "<!-- end of programs -->")
MODES = ("watch", "block")
GROWTH, GROWTH_LEAST = 1.10, 500  # instructions and bytes beyond which a program has grown
SIGHTS = ("BLIND", "alert on preparation", "seen")


def version_of(package):
    """"6.12" of linux-image-6.12.117+deb12-cloud-amd64."""
    return ".".join(package.removeprefix("linux-image-").split(".")[:2])


def read(kernel):
    """What the machine left."""
    records = [json.loads(line) for line in (OUT / "doctor.json").read_text().splitlines()]
    return {
        "package": (STORE / kernel / "package").read_text(),
        "channels": {r["name"]: [r["sight"], r["refusable"], r["by"]]
                     for r in records if r["section"] == "channel"},
        "programs": {m: dict(sorted(json.loads((OUT / f"{m}.json").read_text()).items()))
                     for m in MODES},
    }


def tests_of(report):
    """{module: [tests that passed, {test that was skipped: why}]} of a run in which none failed."""
    found = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        module = found.setdefault(case.get("classname").split(".")[-1], [0, {}])
        skipped = case.find("skipped")
        if skipped is None:
            module[0] += 1
        else:
            module[1][case.get("name")] = skipped.get("message", "")
    return dict(sorted(found.items()))


def kept():
    return json.loads(KEPT.read_text()) if KEPT.exists() else {}


def faults(kernel, found):
    """What has become worse since the last time."""
    before, said = kept().get(kernel, {}), []
    if found["package"] == before.get("package"):
        said += [f"{name}: it was {was[0]}, and is {found['channels'][name][0]}"
                 for name, was in before["channels"].items() if name in found["channels"]
                 and SIGHTS.index(found["channels"][name][0]) < SIGHTS.index(was[0])]
    for mode, programs in found["programs"].items():
        for name, numbers in programs.items():
            for what, now, was in zip(("bytes", "instructions of the verifier"), numbers,
                                      before.get("programs", {}).get(mode, {}).get(name, (0, 0))):
                if was and now > max(was * GROWTH, was + GROWTH_LEAST):
                    said.append(f"{name}, mode {mode}: {now} {what}, it had {was}; when that has "
                                f"to be, take {kernel!r} out of {KEPT.relative_to(ROOT)}")
    return said


def channel_rows(measured):
    """A row for each way out and what kernels say alike."""
    kernels = [k for k in KERNELS if k in measured]
    names = list(dict.fromkeys(n for k in kernels for n in measured[k]["channels"]))
    lines = [*(f"- `{measured[k]['package']}`" for k in kernels), "",
             "| way out | Linux | | by |", "|---|---|---|---|"]
    for name in names:
        def answer(kernel, name=name):
            return measured[kernel]["channels"].get(name, ["not known", False, ""])
        for said, group in itertools.groupby(kernels, answer):
            sight, refusable, by = said
            which = [version_of(measured[k]["package"]) for k in group]
            span = "all" if len(which) == len(kernels) else ", ".join(which)
            lines.append(f"| {name} | {span} | {sight}{', refused in block mode' * refusable} "
                         f"| {by or '–'} |")
            name = ""
    return lines


def test_rows(measured):
    """How many tests of each file passed under which kernel, and what could not be done there."""
    kernels = [k for k in KERNELS if "tests" in measured.get(k, {})]
    versions = {k: version_of(measured[k]["package"]) for k in kernels}
    lines = [f"| tests | {' | '.join(versions.values())} |", "|---|" + "--:|" * len(kernels)]
    for name in sorted({name for k in kernels for name in measured[k]["tests"]}):
        passed = (measured[k]["tests"].get(name, [0])[0] for k in kernels)
        lines.append(f"| `{name}` | {' | '.join(str(n or '–') for n in passed)} |")
    left = [f"- {versions[k]}, `{test}`: {why}" for k in kernels
            for _, skipped in measured[k]["tests"].values() for test, why in skipped.items()]
    return lines + (["", "Skipped:", "", *left] if left else [])


def program_rows(measured):
    kernels = [k for k in KERNELS if k in measured]
    names = sorted({n for k in kernels for m in MODES for n in measured[k]["programs"][m]})
    lines = ["| program | mode | " + " | ".join(version_of(measured[k]["package"]) for k in kernels)
             + " |", "|---|---|" + "--:|" * len(kernels)]
    for name, mode in itertools.product(names, MODES):
        cells = []
        for kernel in kernels:
            size, verified = measured[kernel]["programs"][mode].get(name, (0, 0))
            told = f"{verified:,}, " if verified else ""
            cells.append(f"{told}{size:,} B" if size else "–")
        if any(c != "–" for c in cells):
            lines.append(f"| {name} | {mode} | {' | '.join(cells)} |")
    return lines


def document(text, measured):
    """The document with the tables of this."""
    for (begin, end), lines in ((CHANNELS, channel_rows(measured)), (TESTS, test_rows(measured)),
                                (PROGRAMS, program_rows(measured))):
        text = with_table(text, begin, end, "\n".join(lines))
    return text


def keep(kernel, found):
    """What is not in `found` stays as it was, if it was this package."""
    measured = kept()
    before = measured.get(kernel, {})
    same = before.get("package") == found["package"]
    measured[kernel] = (before if same else {}) | found
    measured = {k: measured[k] for k in KERNELS if k in measured}
    KEPT.write_text(json_text(measured), encoding="utf-8")
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(document(text, measured), encoding="utf-8")
