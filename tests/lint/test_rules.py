# SPDX-License-Identifier: Apache-2.0
"""Each house rule accepts its good sample and refuses its bad one."""
import pytest

import rules


def long_function(lines):
    return "static int f(void)\n{\n" + "\treturn 0;\n" * lines + "}\n"


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
    (rules.spdx_findings, "tests/run", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n", "#!/bin/sh\n"),
    (rules.length_findings, "src/a/a.c", long_function(60), long_function(61)),
    (rules.length_findings, "src/a/a.c", "/* length: one table */\n" + long_function(61),
     "int a;\n" * 601),
    (rules.banned_findings, "src/a/a.c", "snprintf(a, 1, b);\n", "sprintf(a, b);\n"),
    (rules.banned_findings, "src/a/a.c", "return 1;\n", "exit(1);\n"),
    (rules.banned_findings, "src/a/a.c", "return 1;\n", "return 1; \n"),
    (rules.banned_findings, "README.md", "done\n", "later: TO" "DO\n"),
    (rules.sleep_findings, "tests/kernel/a.py", "wait_for(x)\n", "time.sleep(1)\n"),
    (lambda p, t: rules.command_findings(p, t, {"run"}, {"--log"}), "README.md",
     "use `linnet run --log f -- cmd --other`\n", "use `linnet walk`\n"),
    (lambda p, t: rules.command_findings(p, t, {"run"}, {"--log"}), "README.md",
     "linnet watches an agent\n", "    sudo linnet run --lgo f\n"),
    (lambda p, t: rules.link_findings(p, t, {"a.md"}.__contains__), "README.md",
     "[a](a.md#x) [b](https://b)\n", "[c](c.md)\n"),
    (lambda p, t: rules.make_target_findings(p, t, {"test"}), "README.md",
     "`sudo make test`; we make things\n", "    sudo make tests\n"),
]


@pytest.mark.parametrize("rule, path, good, bad", SAMPLES)
def test_samples(rule, path, good, bad):
    assert rule(path, good) == []
    assert rule(path, bad) != []
