# SPDX-License-Identifier: Apache-2.0
"""The house rules, applied to every file of the project."""
import os
import re
import subprocess
import sys

import pytest

import rules
import sources

ROOT = sources.ROOT


def read(path):
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def is_data(path):
    """Recorded inputs and licences are kept byte for byte."""
    return (path.parts[0] == "LICENSES" or path.parts[:3] == ("tests", "fuzz", "corpus")
            or path.parts[:2] == ("tests", "data"))


def apply(rule, paths):
    found = [finding for path in paths for finding in rule(str(path), read(path))]
    assert not found, "\n" + "\n".join(found)


def all_files():
    return [p for p in sources.files() if not is_data(p)]


def documents():
    return [p for p in all_files() if p.suffix in (".md", ".scd")]


def test_includes_go_down():
    apply(rules.layer_findings, sources.c_files())


def test_each_layer_is_its_own_library():
    for layer in rules.LAYERS:
        text = read(f"src/{layer}/meson.build")
        assert f"static_library('{layer}'" in text or layer == "cli", layer


def test_pure_layers_do_no_io():
    apply(rules.purity_findings, sources.c_files())


def test_spdx():
    apply(rules.spdx_findings, all_files())


def test_lengths():
    apply(rules.length_findings, [p for p in sources.c_files() if p.parts[0] in ("src", "bpf")])


def test_nothing_banned():
    apply(rules.banned_findings, [p for p in all_files() if p.parts[:2] != ("tests", "lint")])


def test_no_sleeps():
    apply(rules.sleep_findings, all_files())


def test_format():
    done = subprocess.run(["clang-format", "--dry-run", "--Werror", *map(str, sources.c_files())],
                          cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_documents_name_commands_that_exist():
    code = "".join(read(p) for p in sources.c_files() if p.parts[:2] == ("src", "cli"))
    commands = {p.stem[4:] for p in sources.c_files()
                if p.parts[:2] == ("src", "cli") and p.stem.startswith("cmd_")}
    options = {"--" + name for name in re.findall(r'"([a-z][a-z-]+)"', code)}
    options |= set(re.findall(r"--[a-z][a-z-]+", code))
    apply(lambda p, t: rules.command_findings(p, t, commands | {"help"}, options), documents())


def test_links_of_documents():
    def leads_somewhere(path, target):
        name, _, anchor = target.partition("#")
        to = ROOT / path.parent / name if name else ROOT / path
        return to.exists() and (not anchor or anchor in rules.anchors(read(to)))

    for path in documents():
        found = rules.link_findings(str(path), read(path), lambda t: leads_somewhere(path, t))
        assert not found, found


@pytest.fixture(scope="module")
def all_tests():
    """`file::test` of all tests, with their parameters and without."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "--noconftest", "-p",
         "no:cacheprovider", "tests/kernel", "tests/package"], cwd=ROOT,
        capture_output=True, text=True, check=False,
        env=dict(os.environ, PYTHONPATH="tests/harness", PYTHONDONTWRITEBYTECODE="1"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    found = {line for line in done.stdout.splitlines() if "::" in line}
    for path in sources.c_files():
        if path.parts[:2] == ("tests", "unit"):
            found |= {f"{path}::{name}" for name in re.findall(
                r"cmocka_unit_test\w*\(\s*(\w+)", read(path))}
    return found | {name.partition("[")[0] for name in found}


def test_documents_name_tests_that_exist(all_tests):
    apply(lambda p, t: rules.named_test_findings(p, t, all_tests.__contains__), documents())


def test_each_claim_names_its_test():
    apply(rules.claim_findings, ["docs/threat-model.md"])


def test_documents_name_make_targets_that_exist():
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    apply(lambda p, t: rules.make_target_findings(p, t, targets), documents())


def test_shell_blocks_of_documents():
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    groups = set(re.findall(r'[ {]"([a-z-]+)": group_', read("tests/run"), re.MULTILINE))
    assert groups
    apply(lambda p, t: rules.shell_findings(p, t, lambda name: (ROOT / name).exists(), targets,
                                            groups), documents())


def test_width_of_prose():
    apply(rules.column_findings, [p for p in documents() if p.suffix == ".md"])


def test_ci_runs_the_test_command():
    assert re.search(r"make test$", read(".ci/run"), re.MULTILINE)
    assert "make test" in read("README.md")


def test_scripts_are_well_formed():
    for path in all_files():
        first = read(path).split("\n", 1)[0]
        if first.startswith("#!"):
            assert (ROOT / path).stat().st_mode & 0o111, f"{path} is not executable"
        if first.endswith(("/bash", "/sh")):
            done = subprocess.run([first[2:], "-n", path], cwd=ROOT, capture_output=True, text=True,
                                  check=False)
            assert done.returncode == 0, done.stderr
        elif first.endswith("python3") or path.suffix == ".py":
            compile(read(path), str(path), "exec")
