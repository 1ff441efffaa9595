# SPDX-License-Identifier: Apache-2.0
"""The Debian package: built offline and twice the same, clean for lintian, and installed, run,
upgraded and purged in a Debian that has nothing but what the package depends on."""
import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build-package"
LIMIT_S = 300
# What dpkg-buildpackage takes for granted.
ESSENTIAL_FOR_BUILDS = {"gcc", "libc6-dev", "linux-libc-dev"}

sys.path.insert(0, str(ROOT / "tests/lint"))
import sources  # noqa: E402

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def call(*command, **options):
    done = subprocess.run([str(c) for c in command], cwd=ROOT, text=True, errors="replace",
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=LIMIT_S, check=False, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
    return done.stdout


def only(folder, pattern):
    found = list(folder.glob(pattern))
    assert len(found) == 1, (pattern, found)
    return found[0]


@pytest.fixture(scope="module")
def built():
    """The package, built without a network."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    before = sources.files()
    call("unshare", "--net", "tools/deb", WORK / "first")
    assert sources.files() == before, "the build left files in the tree"
    return WORK / "first"


@pytest.fixture(scope="module")
def deb(built):
    return only(built, "linnet_*.deb")


def field(deb, name):
    return call("dpkg-deb", "-f", deb, name).strip()


def contents(deb):
    return {row.split()[5].removeprefix("."): row.split()[:2]
            for row in call("dpkg-deb", "-c", deb).splitlines() if not row.startswith("d")}


def test_versions_agree():
    version = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text()).group(1)
    assert call("dpkg-parsechangelog", "-S", "Version").strip() == version


def test_build_dependencies_are_those_of_setup():
    setup = re.search(r"^build=\((.*?)\)", (ROOT / "tools/setup").read_text(),
                      re.MULTILINE | re.DOTALL).group(1).split()
    control = re.search(r"^Build-Depends: (.*?)\n(?=\S)", (ROOT / "debian/control").read_text(),
                        re.MULTILINE | re.DOTALL).group(1)
    names = {entry.split()[0] for entry in control.split(",")}
    assert {n for n in names if not n.startswith(("debhelper", "dh-"))} == (
        set(setup) - ESSENTIAL_FOR_BUILDS)


def test_what_is_in_it(deb):
    files = contents(deb)
    assert {p for p in files if "/doc/" not in p} == {
        "/etc/logrotate.d/linnet",
        "/usr/lib/sysusers.d/linnet.conf",
        "/usr/sbin/linnet",
        "/usr/share/bash-completion/completions/linnet",
        "/usr/share/fish/vendor_completions.d/linnet.fish",
        "/usr/share/zsh/vendor-completions/_linnet",
        "/usr/share/linnet/linnet-policy.schema.json",
        "/usr/share/lintian/overrides/linnet",
        *(f"/usr/share/man/man{p[-4]}/{p}" for p in ("linnet.1.gz", "linnet.yaml.5.gz",
                                                     "linnet-events.5.gz"))}
    assert "/usr/share/doc/linnet/examples/policy.yaml" in files
    assert {owner for _, owner in files.values()} == {"root/root"}
    assert not [p for p, (mode, _) in files.items() if "s" in mode or mode[5] == "w" or mode[8] == "w"]


def test_the_symbols_are_apart(built, deb):
    symbols = contents(only(built, "linnet-dbgsym_*.deb"))
    assert [p for p in symbols if p.startswith("/usr/lib/debug/.build-id/")]
    assert only(built, "linnet_*.deb").stat().st_size < 1 << 20


def test_lintian(built):
    """Nothing is left, not even what is only pedantic; overrides have their reason beside them."""
    assert call("lintian", "--allow-root", "--pedantic", "--display-info",
                "--display-experimental", only(built, "*.changes")) == ""
    overrides = (ROOT / "debian/linnet.lintian-overrides").read_text().splitlines()
    assert all(overrides[i - 1].startswith("#") for i, row in enumerate(overrides)
               if not row.startswith("#"))


def test_two_builds_are_the_same(built, tmp_path):
    """Another folder, time zone, language, umask and home."""
    again = tmp_path / "another" / "folder"
    call("sh", "-c", f"umask 077; exec tools/deb {again}",
         env=dict(os.environ, TZ="Pacific/Auckland", LC_ALL="C", HOME="/nonexistent"))
    for pattern in "linnet_*.deb", "linnet-dbgsym_*.deb":
        first, second = (hashlib.sha256(only(f, pattern).read_bytes()).hexdigest()
                         for f in (built, again))
        assert first == second, pattern


@pytest.fixture
def system(deb, tmp_path):
    """A minimal Debian with the dependencies. It is fetched once for one set of them."""
    wanted = [entry.split("|")[0].split("(")[0].strip() for entry in field(deb, "Depends").split(",")]
    # systemd stands first, and its part that is needed does.
    wanted = ["systemd-standalone-sysusers" if w == "systemd" else w for w in wanted]
    archive = WORK / f"root-{hashlib.sha256(' '.join(wanted).encode()).hexdigest()[:12]}.tar"
    if not archive.exists():
        for old in WORK.glob("root-*.tar*"):
            old.unlink()
        half = archive.with_suffix(".half.tar")
        call("mmdebstrap", "--mode=root", "--variant=essential", "--dpkgopt=force-unsafe-io",
             "--include=" + ",".join(wanted), "bookworm", half)
        half.rename(archive)
    root = tmp_path / "root"
    root.mkdir()
    call("tar", "-x", "-C", root, "--exclude=./dev/*", "-f", archive)
    yield root
    call("rm", "-r", "--one-file-system", root)


def inside(root, script):
    """Runs a script in it, with the host's kernel; the mounts go with the script."""
    mounts = 'for d in proc sys dev; do mount --rbind /$d "$1/$d"; done; '
    return call("unshare", "--mount", "--propagation", "private", "sh", "-ec",
                mounts + 'exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$1" '
                'sh -ec "$2"', "sh", root, script)


def tree_of(root):
    """Path → content's hash of each file; dpkg's own records do not count."""
    own = ("var/lib/dpkg/", "var/log/", "var/cache/")
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file()
            and not p.is_symlink() else None for p in root.rglob("*")
            if not str(p.relative_to(root)).startswith(own)}


def next_version(deb, folder):
    call("dpkg-deb", "-R", deb, folder / "next")
    control = folder / "next/DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", r"\g<0>+1", control.read_text(), flags=re.MULTILINE))
    return call("dpkg-deb", "--root-owner-group", "-b", folder / "next",
                folder / "next.deb") and folder / "next.deb"


AGENT = ("cat $(grep -l '^Name:.linnet-monitor$' /proc/[0-9]*/status) 2>/dev/null | "
         "sed -n 's/^Uid:.\\([0-9]*\\).*/monitor \\1/p'")


@needs_root
def test_install_run_upgrade_purge(system, deb, tmp_path):
    before = tree_of(system)
    (system / "linnet.deb").write_bytes(deb.read_bytes())
    (system / "next.deb").write_bytes(next_version(deb, tmp_path).read_bytes())

    inside(system, "dpkg -i /linnet.deb")
    user = inside(system, "getent passwd linnet").strip().split(":")
    assert 0 < int(user[2]) < 1000 and user[5:] == ["/", "/usr/sbin/nologin"]
    assert field(deb, "Version") in inside(system, "linnet --version")
    inside(system, "linnet check --strict /usr/share/doc/linnet/examples/policy.yaml")

    # It watches, its monitor is the user linnet, and its log is where the manual says.
    told = inside(system, "linnet run -p /usr/share/doc/linnet/examples/policy.yaml -- "
                          f"sh -c \"{AGENT.replace('$', chr(92) + '$')}\"")
    assert f"monitor {user[2]}\n" in told, told
    log = only(system / "var/log/linnet", "*.jsonl")
    assert log.stat().st_mode & 0o777 == 0o600 and log.stat().st_uid == 0

    rule = system / "etc/logrotate.d/linnet"
    rule.write_text(rule.read_text() + "# of the administrator\n")
    recorded = log.read_bytes()
    inside(system, "dpkg -i /next.deb")
    assert inside(system, "dpkg-query -W -f '${Version}' linnet").endswith("+1")
    assert rule.read_text().endswith("# of the administrator\n")
    assert log.read_bytes() == recorded
    assert inside(system, "getent passwd linnet").strip().split(":") == user

    inside(system, "dpkg -r linnet")
    assert not (system / "usr/sbin/linnet").exists()
    assert rule.exists() and log.exists()

    (log.parent / "mine.txt").write_text("of the administrator\n")
    (log.parent / f"{log.name}.1.gz").write_bytes(b"")
    inside(system, "dpkg -P linnet")
    assert [p.name for p in log.parent.iterdir()] == ["mine.txt"]
    (log.parent / "mine.txt").unlink()
    for name in "linnet.deb", "next.deb":
        (system / name).unlink()
    after = tree_of(system)
    accounts = {f"etc/{n}{old}" for n in ("passwd", "group", "shadow", "gshadow")
                for old in ("", "-")} | {"etc/.pwd.lock"}
    assert {p for p in before.keys() | after.keys()
            if before.get(p, "none") != after.get(p, "none")} <= accounts


@needs_root
def test_purge_takes_an_empty_log_folder_away(system, deb):
    (system / "linnet.deb").write_bytes(deb.read_bytes())
    inside(system, "dpkg -i /linnet.deb; mkdir -m 700 /var/log/linnet; "
                   ": >/var/log/linnet/a-1.jsonl; dpkg -P linnet")
    assert not (system / "var/log/linnet").exists()


@needs_root
def test_logs_are_rotated_when_nobody_uses_them(tmp_path):
    """Old and closed: compressed. Old and open: left alone, and told. New: left alone."""
    folder = tmp_path / "linnet"
    folder.mkdir(mode=0o700)
    rule, state = tmp_path / "rule", tmp_path / "state"
    rule.write_text((ROOT / "debian/linnet.logrotate").read_text()
                    .replace("/var/log/linnet", str(folder)))
    days = 86400
    names = {"closed.jsonl": 8, "open.jsonl": 8, "new.jsonl": 6,
             "ancient.jsonl.1.gz": 400, "year.jsonl.1.gz": 300}
    for name, age in names.items():
        (folder / name).write_text("{}\n")
        os.utime(folder / name, (time.time() - age * days,) * 2)
    rule.chmod(0o644)
    seen = "".join(f'"{folder}/{n}" 2026-1-1-0:0:0\n' for n in names)
    state.write_text("logrotate state -- version 2\n" + seen)
    with open(folder / "open.jsonl", "a", encoding="ascii"):
        done = subprocess.run(["/usr/sbin/logrotate", "-s", state, rule], capture_output=True,
                              text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 1
    assert "prerotate script" in done.stderr and f"{folder}/open.jsonl" in done.stderr
    assert "closed.jsonl" not in done.stderr
    assert {p.name for p in folder.iterdir()} == {
        "closed.jsonl.1.gz", "open.jsonl", "new.jsonl", "year.jsonl.1.gz"}
