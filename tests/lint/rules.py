# SPDX-License-Identifier: Apache-2.0
"""The house rules as functions: text in, findings out. Each has a good and a bad sample in
test_rules.py; test_tree.py applies them to the tree."""
import re
import shlex
from pathlib import PurePath

# What each layer may include besides itself (ARCHITECTURE.md). Siblings are strangers.
LAYERS = {
    "base": set(),
    "proc": {"base"},
    "dns": {"base"},
    "payload": {"base"},
    "policy": {"base"},
    "engine": {"base", "proc", "dns", "payload", "policy"},
    "sensor": {"base", "proc", "dns", "payload", "policy", "engine"},
    "output": {"base", "proc", "dns", "payload", "policy", "engine"},
    "daemon": {"base", "proc", "dns", "payload", "policy", "engine", "sensor", "output"},
    "cli": {"base", "proc", "dns", "payload", "policy", "engine", "sensor", "output", "daemon"},
}
ABI = "event_abi.h"
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.MULTILINE)
FILE_LINES, FUNCTION_LINES, PROSE_COLUMNS = 600, 60, 120
# What documents may call besides files of the tree.
PROGRAMS = {"make", "meson", "ninja", "linnet", "python3", "bpftool", "sysctl", "rm",
            "apt-get"}
LICENCES = {"Apache-2.0", "GPL-2.0-or-later", "GPL-2.0-or-later OR Apache-2.0"}
LISTS_OF_DEBHELPER = {".docs", ".examples", ".lintian-overrides"}
NO_SPDX = {".md", ".json", ".yaml", ".yml", ".txt", ".scd", ".conf", ".bin", ""}
# Calls that would make the engine, or what is below it, do I/O, log or read a clock.
IMPURE = re.compile(r"\b(open|openat|read|write|socket|ioctl|syscall|time|clock_gettime|printf|"
                    r"fprintf|fopen|getenv|usleep|nanosleep|sleep|ln_log|ln_clock_\w+)\s*\(")
PURE = ("proc", "dns", "payload", "policy", "engine")


def layer_findings(path, text):
    """Includes that go up, sideways, or round a layer's door."""
    parts = PurePath(path).parts
    quoted = [name for mark, name in INCLUDE.findall(text) if mark == '"']
    everything = [name for _, name in INCLUDE.findall(text)]
    found = []
    if parts[0] in ("bpf", "abi"):
        found += [f"{path}: the kernel side includes {n} of src/" for n in quoted
                  if n.split("/")[0] in LAYERS]
        return found
    if parts[0] != "src" or len(parts) < 3:
        return found
    layer = parts[1]
    for name in quoted:
        head = name.split("/")[0]
        if "/" not in name:
            if name == ABI and layer != "sensor":
                found.append(f"{path}: only src/sensor/ sees {ABI}")
        elif ".." in name or head == layer:
            found.append(f'{path}: "{name}": a neighbour is included by its bare name')
        elif head not in LAYERS:
            found.append(f'{path}: "{name}" is no layer of src/')
        elif head not in LAYERS.get(layer, set()):
            found.append(f"{path}: {layer} must not include {head} ({name})")
    if layer != "sensor":
        found += [f"{path}: only src/sensor/ uses libbpf ({n})" for n in everything
                  if n.startswith("bpf/") or n == "linux/bpf.h"]
    return found


def strip_c(text):
    """Comments and literals become blanks; line breaks stay."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def purity_findings(path, text):
    parts = PurePath(path).parts
    if parts[0] != "src" or len(parts) < 3 or parts[1] not in PURE or not path.endswith(".c"):
        return []
    return [f"{path}:{line}: {hit.group(1)}() in a pure layer"
            for line, code in enumerate(strip_c(text).splitlines(), 1)
            for hit in IMPURE.finditer(code)]


def spdx_findings(path, text):
    """One SPDX line in the first two lines; the licence fits the folder."""
    name = PurePath(path)
    if name.parts[0] == "debian" and name.suffix in LISTS_OF_DEBHELPER:
        return []
    if name.suffix in NO_SPDX and not text.startswith("#!") and name.name != "Makefile":
        return []
    head = "\n".join(text.splitlines()[:2])
    found = re.findall(r"SPDX-License-Identifier: ([^*\n]+?)\s*(?:\*/)?(?:\n|$)", head)
    if len(found) != 1:
        return [f"{path}:1: one SPDX-License-Identifier line is missing at the top"]
    if found[0] not in LICENCES:
        return [f"{path}:1: licence {found[0]!r} is not one of the project's"]
    if (name.parts[0] == "bpf" and name.suffix in (".c", ".h")) != (found[0] == "GPL-2.0-or-later"):
        return [f"{path}:1: GPL-2.0-or-later is for the kernel side, and only for it"]
    return []


def function_lengths(text):
    """(name, first line, lines) of each function: kernel braces, so a body is { … } at column 0."""
    start, header, result = None, "", []
    for number, line in enumerate(text.splitlines(), 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            result.append((header, start, number - start - 1))
            start, header = None, ""
        elif start is None:
            match = re.match(r"[A-Za-z].*?\b(\w+)\(", line)
            header = match.group(1) if match else header
    return result


def length_findings(path, text):
    """Over the bounds, unless the line before the function, or the head of the file, gives a reason
    after `length:`."""
    lines = text.splitlines()
    found = []
    if len(lines) > FILE_LINES and not any("length:" in line for line in lines[:15]):
        found.append(f"{path}: {len(lines)} lines; split it along a seam, or say why not "
                     f"(`length: reason`)")
    for name, first, count in function_lengths(text):
        near = lines[max(0, first - 8):first]
        if count > FUNCTION_LINES and not any("length:" in line for line in near):
            found.append(f"{path}:{first}: {name}() has {count} lines")
    return found


def banned_findings(path, text):
    """Marks of unfinished work, and functions that have no bound. What `linnet learn` leaves for a
    person to fill in is none."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\b(TODO(?!: what for\?)|FIXME|XXX|HACK)\b", line):
            found.append(f"{path}:{number}: unfinished work")
        if line != line.rstrip():
            found.append(f"{path}:{number}: blanks at the end of the line")
    if path.endswith((".c", ".h")) and PurePath(path).parts[0] in ("src", "bpf"):
        for number, code in enumerate(strip_c(text).splitlines(), 1):
            hit = re.search(r"\b(strcpy|strcat|sprintf|vsprintf|gets|alloca|atoi|strtok)\s*\(", code)
            if hit:
                found.append(f"{path}:{number}: {hit.group(1)}() has no bound")
            if re.search(r"\bexit\s*\(", code) and path != "src/cli/main.c":
                found.append(f"{path}:{number}: exit() is for main.c only")
    if text and not text.endswith("\n"):
        found.append(f"{path}: the last line has no end")
    return found


def sleep_findings(path, text):
    """Kernel tests wait on events."""
    if not path.startswith(("tests/kernel/", "tests/harness/", "demo/")) or not path.endswith(
            (".py", ".sh")):
        return []
    return [f"{path}:{number}: wait on an event, not on the clock"
            for number, line in enumerate(text.splitlines(), 1)
            if re.search(r"\btime\.sleep\(|^\s*sleep\s+[0-9.]", line)
            and "agent under test" not in line]


def command_findings(path, text, names, options):
    """`linnet SUBCOMMAND` and its --options in documents exist, in back quotes, fences and indented
    blocks. names: subcommands; options: every long option that a command has."""
    found, fenced = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        spans = re.findall(r"`([^`]+)`", line)
        if fenced or (line.startswith(("    ", "\t")) and not path.endswith(".scd")):
            spans.append(line)
        for span in spans:
            command = re.match(r"\s*(?:[$#] )?(?:sudo )?linnet +(\S.*)", span)
            if not command:
                continue
            words = re.split(r"\s+", command.group(1).split(" -- ")[0])
            if re.fullmatch(r"[a-z]+", words[0]) and words[0] not in names:
                found.append(f"{path}:{number}: there is no `linnet {words[0]}`")
            for word in words:
                option = re.match(r"\[?(--[a-z][a-z-]*)", word)
                if option and option.group(1) not in options:
                    found.append(f"{path}:{number}: no command has {option.group(1)}")
    return found


def anchors(text):
    """Of the headings of a document, as GitHub and others make them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def link_findings(path, text, exists):
    """Relative links of a document lead somewhere."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", line):
            if not re.match(r"[a-z]+:", target) and not exists(target):
                found.append(f"{path}:{number}: {target} is not there")
    return found


def make_target_findings(path, text, targets):
    """`make X` in documents is a target of the Makefile."""
    return [f"{path}:{number}: there is no `make {name}`"
            for number, line in enumerate(text.splitlines(), 1)
            for name in re.findall(r"`(?:sudo )?make ([a-z-]+)", line)
            + re.findall(r"^\s+(?:\$ )?(?:sudo )?make ([a-z-]+)", line)
            if name not in targets]


def named_tests(text):
    """(number, `file::test`) of what a document names."""
    return [(number, name) for number, line in enumerate(text.splitlines(), 1)
            for name in re.findall(r"`(tests/[^`]+::[^`]+)`", line)]


def named_test_findings(path, text, exists):
    """Tests that a document names are there. A name without its parameters stands for all of them."""
    return [f"{path}:{number}: there is no test {name}" for number, name in named_tests(text)
            if not exists(name)]


def claim_findings(path, text):
    """Each table of a document about promises ends with a column `test`, and each row names one."""
    found, in_table = [], False
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            in_table = False
        elif not in_table:
            in_table = True
            if cells[-1] != "test":
                found.append(f"{path}:{number}: the last column of a table of claims is `test`")
        elif not set(line) <= set("|-") and not named_tests(cells[-1]):
            found.append(f"{path}:{number}: no test shows this")
    return found


def fenced_lines(text, kind):
    """(number, line) of what stands in the fenced blocks of one kind."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            inside = not inside and line == "```" + kind
        elif inside:
            yield number, line


def shell_findings(path, text, exists, targets, groups):
    """Commands in `sh` blocks: their programs, make targets, test groups and files are there.
    exists: whether a path of the tree is; what is built is where its source or its folder is."""
    found = []
    for number, line in fenced_lines(text, "sh"):
        words = shlex.split(line, comments=True)
        while words and (words[0] == "sudo" or re.match(r"[A-Z_]+=", words[0])):
            words.pop(0)
        if not words:
            continue
        program, arguments = words[0], words[1:]
        built = re.sub(r"^build[a-z-]*/", "", program)
        if "/" not in program and program not in PROGRAMS:
            found.append(f"{path}:{number}: what is {program}?")
        elif built != program and built != "linnet" and not exists(built + ".c"):
            found.append(f"{path}:{number}: nothing builds {program}")
        elif built == program and "/" in program and not exists(program):
            found.append(f"{path}:{number}: {program} is not there")
        if program == "make":
            only = [a.removeprefix("ONLY=") for a in arguments if a.startswith("ONLY=")]
            asked = " ".join(only).split()
            found += [f"{path}:{number}: there is no `make {a}`" for a in arguments
                      if "=" not in a and a not in targets]
        else:
            asked = arguments if program == "tests/run" else []
            found += [f"{path}:{number}: {a} is not there" for a in arguments
                      if "/" in a and not a.removeprefix("./").startswith(("/", "-", "build"))
                      and not exists(a) and not exists(str(PurePath(a).parent))]
        found += [f"{path}:{number}: there is no test group {a}" for a in asked
                  if not a.startswith("-") and a not in groups]
    return found


def column_findings(path, text):
    """Prose is at most 120 columns wide; tables and blocks are as wide as they must be."""
    found, fenced = [], False
    for number, line in enumerate(text.splitlines(), 1):
        fenced ^= line.startswith("```")
        if len(line) > PROSE_COLUMNS and not fenced and not line.startswith("|"):
            found.append(f"{path}:{number}: {len(line)} columns; prose has {PROSE_COLUMNS}")
    return found
