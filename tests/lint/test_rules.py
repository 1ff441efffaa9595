# SPDX-License-Identifier: Apache-2.0
"""Each house rule accepts its good sample and refuses its bad one."""
import pytest

import rules


def long_function(lines):
    return "static int f(void)\n{\n" + "\treturn 0;\n" * lines + "}\n"


def shell(path, text):
    return rules.shell_findings(path, text, {"tests", "tests/run", "tests/a.c"}.__contains__,
                                {"test"}, {"unit"})


SAMPLES = [
    (rules.layer_findings, "src/engine/a.c", '#include "policy/policy.h"\n', '#include "sensor/sensor.h"\n'),
    (rules.layer_findings, "src/dns/a.c", '#include "base/addr.h"\n', '#include "proc/tree.h"\n'),
    (rules.layer_findings, "src/dns/a.c", '#include "names.h"\n', '#include "dns/names.h"\n'),
    (rules.layer_findings, "src/dns/a.c", '#include "names.h"\n', '#include "../proc/tree.h"\n'),
    (rules.layer_findings, "src/daemon/a.c", '#include "sensor/sensor.h"\n', '#include <bpf/libbpf.h>\n'),
    (rules.layer_findings, "src/output/a.c", '#include "sink.h"\n', '#include "event_abi.h"\n'),
    (rules.layer_findings, "bpf/a.bpf.c", '#include "event_abi.h"\n', '#include "base/addr.h"\n'),
    (rules.purity_findings, "src/engine/a.c", "/* time(NULL) */ x = now_ns;\n", "x = time(NULL);\n"),
    (rules.purity_findings, "src/policy/a.c", "parse(text);\n", "f = fopen(path);\n"),
    (rules.spdx_findings, "src/a/a.c", "/* SPDX-License-Identifier: Apache-2.0 */\n", "int a;\n"),
    (rules.spdx_findings, "bpf/a.bpf.c", "/* SPDX-License-Identifier: GPL-2.0-or-later */\n",
     "/* SPDX-License-Identifier: Apache-2.0 */\n"),
    (rules.spdx_findings, "debian/linnet.sysusers", "# SPDX-License-Identifier: Apache-2.0\n", "u a\n"),
    (rules.spdx_findings, "tests/run", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n", "#!/bin/sh\n"),
    (rules.length_findings, "src/a/a.c", long_function(60), long_function(61)),
    (rules.length_findings, "src/a/a.c", "/* length: one table */\n" + long_function(61),
     "int a;\n" * 601),
    (rules.banned_findings, "src/a/a.c", "snprintf(a, 1, b);\n", "sprintf(a, b);\n"),
    (rules.banned_findings, "src/a/a.c", "return 1;\n", "exit(1);\n"),
    (rules.banned_findings, "src/a/a.c", "return 1;\n", "return 1; \n"),
    (rules.banned_findings, "README.md", "done\n", "later: TO" "DO\n"),
    (rules.banned_findings, "a.py", "purpose: TO" "DO: what for? seen\n", "TO" "DO: what\n"),
    (rules.sleep_findings, "tests/kernel/a.py", "wait_for(x)\n", "time.sleep(1)\n"),
    (lambda p, t: rules.command_findings(p, t, {"run"}, {"--log"}), "README.md",
     "use `linnet run --log f -- cmd --other`\n", "use `linnet walk`\n"),
    (lambda p, t: rules.command_findings(p, t, {"run"}, {"--log"}), "README.md",
     "linnet watches an agent\n", "    sudo linnet run --lgo f\n"),
    (lambda p, t: rules.link_findings(p, t, {"a.md#x"}.__contains__), "README.md",
     "[a](a.md#x) [b](https://b)\n", "[c](c.md)\n"),
    (lambda p, t: rules.make_target_findings(p, t, {"test"}), "README.md",
     "`sudo make test`; we make things\n", "    sudo make tests\n"),
    (shell, "README.md", "```sh\nsudo make test ONLY=unit # c\n```\n",
     "```sh\nmake tests\n```\n"),
    (shell, "README.md", "```sh\ntests/run unit\n```\n",
     "```sh\ntests/run unity\n```\n"),
    (shell, "README.md", "```sh\nA=b build-x/tests/a tests/run\n```\n",
     "```sh\nbuild/tests/b\n```\n"),
    (shell, "README.md", "```console\nfoo\n```\n",
     "```sh\nfoo\n```\n"),
    (shell, "README.md", "```sh\nmeson setup build-x\n```\n",
     "```sh\nninja src/b/c.a\n```\n"),
    (lambda p, t: rules.named_test_findings(p, t, {"tests/a.py::test_b"}.__contains__), "README.md",
     "see `tests/a.py::test_b`, `tests/a.py`\n", "see `tests/a.py::test_c`\n"),
    (rules.claim_findings, "README.md", "| it | test |\n|---|---|\n| holds | `tests/a.py::test_b` |\n",
     "| it | test |\n|---|---|\n| holds | by `tests/a.py` |\n"),
    (rules.claim_findings, "README.md", "no table\n", "| it |\n|---|\n| `tests/a.py::test_b` |\n"),
    (rules.column_findings, "README.md", "| " + "a " * 70 + "|\n", "a " * 61 + "\n"),
]


@pytest.mark.parametrize("rule, path, good, bad", SAMPLES)
def test_samples(rule, path, good, bad):
    assert rule(path, good) == []
    assert rule(path, bad) != []
