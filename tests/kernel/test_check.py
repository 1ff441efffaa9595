# SPDX-License-Identifier: Apache-2.0
"""`linnet check` from the outside: no root, no namespace; all errors in one run."""
import json
import os
import re
import subprocess

import pytest

from policies import WEATHER_ONLY
from watch import LINNET, ROOT, SEED_POLICY


def check(tmp_path, *texts, options=()):
    paths = []
    for number, text in enumerate(texts):
        path = tmp_path / f"policy-{number}.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        paths.append(str(path))
    return subprocess.run([LINNET, "check", *options, *paths], capture_output=True, text=True,
                          timeout=20, check=False)


def test_the_seed_policy_and_the_example_are_clean():
    for path in (SEED_POLICY, ROOT / "examples/policy.yaml"):
        done = subprocess.run([LINNET, "check", "--strict", str(path)], capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0, done


def test_all_errors_in_one_run_with_file_line_and_column(tmp_path):
    done = check(tmp_path, 'agent_name: "a"\nexpected_outbound:\n'
                 '  - destination: "a.example.com"\n    port: https\n    protocol: "TCP"\n'
                 '    purpose: "x"\n'
                 '  - destination: "b.example.com"\n    port: 443\n    protocol: "SMTP"\n'
                 '    colour: "red"\n')
    assert done.returncode == 1
    found = re.findall(r"^(\S+policy-0\.yaml):(\d+):(\d+): (.+)$", done.stdout + done.stderr,
                       re.MULTILINE)
    assert [f[1] for f in found][:1] == ["4"] and {f[1] for f in found} >= {"4", "9", "10"}
    assert found[0][2] == "11"
    assert found[0][3] == 'port must be 1..65535, a range, a list or "any" (found "https")'
    assert all(len(f[3]) > 20 for f in found)


@pytest.mark.parametrize("destination", ["*.com", "*.co.uk", "*"])
def test_a_wildcard_over_a_public_suffix_is_refused(tmp_path, destination):
    done = check(tmp_path, WEATHER_ONLY.replace("weather.service.com", destination))
    assert done.returncode == 1
    assert "policy-0.yaml:3:" in done.stdout + done.stderr


def test_lost_indentation_is_named(tmp_path):
    flat = "\n".join(line.strip() for line in SEED_POLICY.read_text().splitlines())
    done = check(tmp_path, flat)
    assert done.returncode == 1
    assert "indentation" in done.stdout + done.stderr


def test_several_files(tmp_path):
    done = check(tmp_path, WEATHER_ONLY, "agent_name: 1\n", "expected_outbound: []\n")
    assert done.returncode == 1
    text = done.stdout + done.stderr
    assert "policy-1.yaml:" in text and "policy-2.yaml:" in text
    assert not re.search(r"policy-0\.yaml:\d", text)


def test_strict_wants_purposes(tmp_path):
    text = WEATHER_ONLY.replace("    purpose: test\n", "")
    assert check(tmp_path, text).returncode == 0
    strict = check(tmp_path, text, options=["--strict"])
    assert strict.returncode == 1
    assert "purpose" in strict.stdout + strict.stderr


def test_strict_wants_more_than_the_mark_of_learn(tmp_path):
    text = WEATHER_ONLY.replace("purpose: test", 'purpose: "TODO: what for? seen 1 time"')
    assert check(tmp_path, text).returncode == 0
    strict = check(tmp_path, text, options=["--strict"])
    assert strict.returncode == 1
    assert 'policy-0.yaml:6:14: "purpose" is still "TODO: what for?"' in strict.stdout


def test_json_is_one_object_a_line(tmp_path):
    done = check(tmp_path, "nonsense: 1\n", options=["--json"])
    assert done.returncode == 1
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found and all(f["line"] >= 0 and f["file"].endswith("policy-0.yaml") for f in found)


def test_usage_and_missing_files_are_2(tmp_path):
    for arguments in ([], [str(tmp_path / "none.yaml")], ["--no-such-flag"]):
        done = subprocess.run([LINNET, "check", *arguments], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 2, (arguments, done)
        assert done.stderr


@pytest.mark.parametrize("hostile", [
    b"", b"\0", b"\xff\xfe\xff", b"[" * 5000, b"a: &a [*a,*a]\n", b"--- a\n--- b\n", b"x" * 20000000,
    b"a: " + b"9" * 100000, b"\xef\xbb\xbfagent_name: a\n"],
    ids=["empty", "nul", "not-utf8", "deep", "alias-bomb", "two-documents", "huge", "long-number",
         "bom"])
def test_hostile_files_end_quickly_and_cleanly(tmp_path, hostile):
    done = check(tmp_path, hostile)
    assert done.returncode in (1, 2), done.stderr[:2000]
    assert done.stdout or done.stderr


@pytest.mark.parametrize("arguments, status", [
    (["-h"], 0), (["--help"], 0), (["--version"], 0), (["run", "-h"], 0), (["check", "--help"], 0),
    (["attach", "-h"], 0), (["doctor", "-h"], 0),
    (["explain", "-h"], 0), (["replay", "-h"], 0), (["exlpain"], 2), ([], 2), (["rnu"], 2), (["--verison"], 2)])
def test_help_that_a_newcomer_can_act_on(arguments, status):
    done = subprocess.run([LINNET, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == status, done
    if status == 0:
        assert done.stdout and not done.stderr
    else:
        assert done.stderr and not done.stdout
    if arguments == ["rnu"]:
        assert "run" in re.split(r"\W+", done.stderr)
    if "-h" in arguments and len(arguments) == 2:
        assert re.search(r"(?im)^example", done.stdout)


def test_flags_of_the_help_exist():
    """Each flag that a help text names is one that its command takes."""
    for command in "run", "attach", "check", "explain", "replay", "doctor":
        done = subprocess.run([LINNET, command, "-h"], capture_output=True, text=True, check=True)
        own = re.sub(r" -- .*", "", done.stdout)  # what follows is the agent's
        for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", own)):
            if option == "--sensor":
                option = "--sensor=poll"
            tried = subprocess.run([LINNET, command, option], capture_output=True, text=True,
                                   check=False, timeout=20, env=dict(os.environ, HOME="/nonexistent"))
            assert "no option" not in tried.stderr and "unknown option" not in tried.stderr, option
