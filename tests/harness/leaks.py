# SPDX-License-Identifier: Apache-2.0
"""What linnet could leave behind on the host, as a value that can be compared."""
import json
import os
import re
import select
import subprocess
from pathlib import Path

SETTLE_TRIES, SETTLE_S = 30, 0.1


def _held():
    """(kind, id) of each BPF program and link that a living process holds by a descriptor."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                if "bpf" in os.readlink(f"/proc/{pid}/fd/{descriptor}"):
                    text = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text()
                    found |= set(re.findall(r"^(prog|link)_id:\s*(\d+)", text, re.MULTILINE))
        except OSError:
            continue
    return found


def bpf_objects():
    """Programs and links that no process holds: another linnet on the host is not a leak."""
    path = dict(os.environ, PATH="/usr/sbin:/sbin:/usr/bin:/bin")
    found, held = set(), _held()
    for kind in "prog", "link":
        done = subprocess.run(["bpftool", "-j", kind, "show"], capture_output=True, text=True,
                              check=False, env=path)
        found |= {f"{kind} {o['id']} {o.get('name', o.get('type'))}"
                  for o in json.loads(done.stdout or "[]")
                  if "id" in o and (kind, str(o["id"])) not in held}
    return found


def cgroups():
    """cgroups of linnets that are dead."""
    found = set()
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()
              if " - cgroup2 " in line]
    for mount in mounts:
        for folder, names, _ in os.walk(mount):
            found |= {os.path.join(folder, n) for n in names if n.startswith("linnet-")
                      and not os.path.exists("/proc/" + n.removeprefix("linnet-"))}
    return found


def namespaces(prefix):
    folder = Path("/run/netns")
    return {n.name for n in folder.iterdir() if n.name.startswith(prefix)} if folder.is_dir() else set()


def hierarchies(prefix):
    """Named cgroup v1 hierarchies."""
    names = (line.split(":")[1] for line in Path("/proc/self/cgroup").read_text().splitlines())
    return {n for n in names if n.startswith(f"name={prefix}")}


def end_hierarchy(name, mount_point):
    """The kernel keeps an unmounted hierarchy when it has not yet freed its last cgroup, and tells
    nobody when it has. So it is mounted and unmounted until it is gone."""
    for _ in range(SETTLE_TRIES):
        if f"name={name}" not in hierarchies(name):
            break
        subprocess.run(["mount", "-t", "cgroup", "-o", f"none,name={name}", "none", mount_point],
                       check=True)
        subprocess.run(["umount", mount_point], check=True)
        select.select([], [], [], SETTLE_S)


def pins():
    found = set()
    for folder, names, files in os.walk("/sys/fs/bpf"):
        found |= {os.path.join(folder, n) for n in names + files if "linnet" in n}
    return found


def processes(prefix):
    """Processes whose arguments carry our prefix."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if prefix.encode() in words and int(pid) != os.getpid():
            found.add(f"{pid} {words.replace(bytes(1), b' ')[:120].decode(errors='replace')}")
    return found


def snapshot():
    return bpf_objects() | cgroups() | pins()


def left_since(before, prefix=None):
    """What is there now and was not in `before`, and what carries our prefix. The kernel frees BPF
    objects a little after their last owner, and tells nobody: so it gets some time."""
    for _ in range(SETTLE_TRIES):
        left = snapshot() - before
        if prefix:
            left |= namespaces(prefix) | processes(prefix) | hierarchies(prefix)
        if not left:
            break
        select.select([], [], [], SETTLE_S)
    return sorted(left)
