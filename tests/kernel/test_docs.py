# SPDX-License-Identifier: Apache-2.0
"""What the documents show is what linnet does: a reader (tests/harness/reader.py) follows each of them
in a small internet, and compares what is said."""
import os
import re
import subprocess

import pytest
import yaml

import netlab
from policies import WEATHER_ONLY, policy
from reader import Reader, blocks, compare, fences
from watch import BUILD, LINNET, ROOT


def read(document):
    return (ROOT / document).read_text(encoding="utf-8")


DOCUMENTS = ["README.md", "SECURITY.md", *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
README, TUTORIAL = read("README.md"), read("docs/tutorial.md")
# Lines of `sh` blocks, and the first lines of others, that do not run in their document's order.
ELSEWHERE = {
    "[!] UNEXPECTED OUTBOUND CONNECTION": "test_the_alert_of_the_readme",
    'agent_name: "travel_agent_v1"': "test_the_policy_of_the_readme",
    "sudo linnet run -p policy.yaml -- python3 agent.py": "test_the_two_commands_of_the_readme",
    "sudo linnet attach -p policy.yaml 7843": "test_the_two_commands_of_the_readme",
    "sudo make": "CI",
    "sudo make test": "CI",
    "sudo make install PREFIX=/usr/local": "test_what_is_installed",
    "sudo make deb": "tests/package/test_deb.py::test_what_is_in_it",
    "sudo apt-get install ./build-deb/linnet_*.deb":
        "tests/package/test_deb.py::test_install_run_upgrade_purge",
}


@pytest.mark.parametrize("expected, said, fits", [
    (["a", "…", "d"], ["a", "b", "c", "d"], True),
    (["a", "d"], ["a", "b", "d"], False),
    (["a"], ["a", "b"], False),
    (["a", "b"], ["a"], False),
    (["a", "…"], ["a", "b"], True),
    (["x 12345 at 2023-10-26T14:32:07Z"], ["x 7 at 2026-01-02T03:04:05Z"], True),
    (["port 443"], ["port 444"], False),
    (["a … c"], ["a b c"], True),
    (["Alert: k7f2-3"], ["Alert: abcd-12"], True),
    (["Alert: k7f2-3"], ["Alert: abc-12"], False),
])
def test_the_comparison_itself(expected, said, fits):
    assert (compare(expected, said)[0] == "") == fits


# Starts what the tutorial's container runs, in namespaces of its own, and says its PID.
DOCKER = """#!/bin/sh
unshare --user --map-root-user --pid --mount-proc --fork --kill-child \\
    sh -c 'exec ./agent.sh <jobs' >/dev/null 2>&1 &
until read -r pid rest <"/proc/$!/task/$!/children"; [ -n "$pid" ]; do :; done
echo "$pid"
"""
APT = """#!/bin/sh
test -e "$3"
"""


@pytest.fixture
def reader(fresh_net):
    """Makes a reader in a small internet with the names of the documents. Programs that are not here
    have stand-ins: a container engine, and the installation of a package (tests/package does that).
    """
    made = []

    def make(**environment):
        net = fresh_net(hosts=dict(netlab.HOSTS, **{
            "example.com": [netlab.OTHER], "example.org": ["203.0.113.21"]}))
        net.serve(*({"kind": "https", "ip": ip, "port": 443}
                    for ip in (netlab.OTHER, "203.0.113.21", netlab.SKETCHY)))
        made.append(Reader(net, {"docker": DOCKER, "apt-get": APT}, **environment))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if "```console" in read(d)])
def test_what_a_document_shows(reader, document):
    reader().follow(read(document))


def test_no_block_is_left_out():
    """Each is a file, is followed, or is run by the test that is named."""
    for document in DOCUMENTS:
        for words, block in fences(read(document)):
            if len(words) == 2 or words == ["console"]:
                continue
            found = [ELSEWHERE.get(line) for line in (block.splitlines() if words == ["sh"]
                                                      else [block.splitlines()[0]])]
            assert all(found), f"{document}: who runs\n{block}"
            for name in found:
                file, _, test = name.rpartition("::")
                assert name == "CI" or f"def {test}(" in read(file or "tests/kernel/test_docs.py")


def workflow():
    """The job of the tutorial, and the commands of its steps by name."""
    text, = (block for words, block in fences(TUTORIAL) if words[-1:] == [".github/workflows/agent.yml"])
    job, = yaml.safe_load(text)["jobs"].values()
    return {step["name"]: step["run"] for step in job["steps"] if "run" in step}


@pytest.mark.parametrize("fetched, status", [("https://example.com/", 0), ("https://example.org/", 86)])
def test_the_job_of_the_tutorial(reader, fetched, status):
    """Each `run:` as a runner does it; the step that watches fails when the agent leaves its policy."""
    here = reader(GITHUB_STEP_SUMMARY="summary.md")
    here.write("linnet_0.1.0_amd64.deb", "")
    here.write("policy.yaml", policy("example.com 443 TCP"))
    here.write("agent.sh", *(block for words, block in fences(TUTORIAL) if words[-1:] == ["agent.sh"]))
    for name, script in workflow().items():
        here.write("step.sh", script.replace("https://example.com/", fetched))
        want = status if "under watch" in name else 0
        wrong = here.type("bash -e step.sh; echo status=$?", ["…", f"status={want}"])
        assert not wrong, f"{name}: {wrong}"
    assert fetched.split("/")[2] in (here.folder / "summary.md").read_text()
    assert (here.folder / "connections.jsonl").stat().st_mode & 0o004


def test_the_examples_of_the_manual(reader):
    here = reader()
    here.write("policy.yaml", policy("example.com 443 TCP"))
    here.write("agent.py", "import urllib.request\nurllib.request.urlopen('https://example.org/')\n")
    here.write("agent", "#!/bin/sh\n")
    examples = re.findall(r"^\t(sudo linnet .*?)(?:\+\+)?$", read("man/linnet.1.scd"), re.MULTILINE)
    assert len(examples) == 4
    for command in examples:
        if " attach " in command:
            assert not here.type("mkfifo go; cat go & sudo linnet attach -p policy.yaml $! &",
                                 ["…", "linnet: watching test_agent …", "…"])
            command = "echo >go; wait"
        status = 1 if " learn " in command else 0  # of changes that are proposed
        wrong = here.type(f"{command}; echo status=$?", ["…", f"status={status}"])
        assert not wrong, f"$ {command}\n{wrong}"
    wrong = here.type("patch policy.yaml policy.patch", ["patching file policy.yaml"])
    assert not wrong, wrong
    here.write("policy.yaml", policy("example.com 443 TCP"))
    query, = re.findall(r"^\t(jq .*?)\n\n", read("man/linnet-events.5.scd"), re.MULTILINE | re.DOTALL)
    query = query.replace("\\\\(", "\\(")  # scdoc's
    wrong = here.type("sudo linnet run -q -p policy.yaml --log connections.jsonl -- python3 agent.py; "
                      f"{query}", ["…", "203.0.113.21:443 example.org"])
    assert not wrong, wrong


def test_the_alert_of_the_readme(start):
    shown, = (b for b in blocks(README, "") if b.startswith("[!] "))
    command = re.search(r"^Command: /usr/bin/(.*)$", shown, re.MULTILINE).group(1)
    watch = start.run(ROOT / "examples/policy.yaml", *command.split())
    assert watch.wait() == 0, watch.text()
    alert, = watch.flow_alerts()
    alert.assert_contract()
    wrong, _ = compare(shown.splitlines(), alert.lines)
    assert not wrong, wrong


def test_the_policy_of_the_readme():
    shown, = blocks(README, "yaml")
    assert (ROOT / "examples/policy.yaml").read_text(encoding="utf-8").endswith(shown)


def test_the_two_commands_of_the_readme(start, net):
    """`run` and `attach` as they are written, with a process of ours as the agent."""
    commands = [line.removeprefix("sudo linnet ").split() for block in blocks(README, "sh")
                for line in block.splitlines() if line.startswith("sudo linnet ")]
    assert sorted(c[0] for c in commands) == ["attach", "run"]
    policy = start.policy(WEATHER_ONLY)
    agent = start.agent("cat")
    for words in commands:
        words = [str(policy) if w == "policy.yaml" else w for w in words]
        if words[0] == "run":
            words[words.index("--") + 1:] = ["true"]
        else:
            words[-1] = str(agent.pid)
        watch = start.linnet(*words)
        if words[0] == "attach":
            watch.wait_record(type="header")
            agent.stdin.close()
        assert watch.wait() == 0, watch.text()


def test_the_demo():
    """It checks itself that exactly the alerts of its story came."""
    done = subprocess.run([ROOT / "demo/run", LINNET], cwd=ROOT, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_installed(tmp_path):
    """The program and the manual pages that README names, where `make install` puts them."""
    done = subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild"], capture_output=True,
                          text=True, timeout=60, check=False,
                          env=dict(os.environ, DESTDIR=str(tmp_path)))
    assert done.returncode == 0, done.stdout + done.stderr
    there = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert "linnet" in there
    for name, section in re.findall(r"\[(linnet[a-z.-]*)\((\d)\)\]", README):
        assert {f"{name}.{section}", f"{name}.{section}.gz"} & there, there
