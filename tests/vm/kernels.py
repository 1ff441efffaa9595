# SPDX-License-Identifier: Apache-2.0
"""Debian's kernels, from whichever suite serves them: fetched with apt's own checks by lists and
keyring of our own (what the host's apt is told is left alone), unpacked into build/vm, and not
installed. What is there is not fetched again."""
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
STORE = ROOT / "build" / "vm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ARCHIVES = {"Debian": "http://deb.debian.org/debian",
            "Debian-Security": "http://deb.debian.org/debian-security"}
# By how its version begins, the suites that have it.
KERNELS = {
    "5.10": ("bullseye-security",),
    "6.1": ("bookworm-security",),
    "6.12": ("bookworm-security",),
    "6.18": ("trixie-backports",),
    "newest": ("trixie-backports", "sid"),
}


TRIES = 4


class NotServed(Exception):
    """The kernel cannot be had; why."""


class Apt:
    """apt with nothing but these suites in its lists."""

    def __init__(self, folder, suites):
        for name in "lists/partial", "cache/archives/partial":
            (folder / name).mkdir(parents=True, exist_ok=True)
        archives = self._archives()
        sources = folder / "sources.list"
        sources.write_text("".join(
            f"deb [signed-by={KEYRING}] {archives[self._label(s)]} {s} main\n" for s in suites))
        self._options = [f"-oDir::Etc::sourcelist={sources}", "-oDir::Etc::sourceparts=/dev/null",
                         f"-oDir::State::lists={folder}/lists", f"-oDir::Cache={folder}/cache",
                         "-oAPT::Sandbox::User=root", "-oAcquire::Languages=none"]

    @staticmethod
    def _label(suite):
        return "Debian-Security" if suite.endswith("-security") else "Debian"

    @staticmethod
    def _archives():
        """The mirrors that this host uses; else Debian's own."""
        said = subprocess.run(["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)"],
                              text=True, capture_output=True, check=False).stdout
        used = dict(line.split(" ", 1) for line in said.splitlines() if " " in line)
        return {label: used.get(label, uri) for label, uri in ARCHIVES.items()}

    def call(self, program, *arguments, cwd=None):
        done = subprocess.run([program, *self._options, *arguments], text=True, cwd=cwd,
                              capture_output=True, check=False)
        if done.returncode != 0:
            raise NotServed(done.stderr.strip() or f"{program} ended with {done.returncode}")
        return done.stdout


def images(names, kernel):
    """The packages of this kernel's image, newest first. The cloud flavour boots fastest and has
    what a server has; the unsigned one is the same without its signature."""
    found = []
    for name in names:
        match = re.fullmatch(r"linux-image-(\d+(\.\d+){2,})[-+.\w]*-cloud-amd64(-unsigned)?", name)
        if match and (kernel == "newest" or match.group(1).startswith(kernel + ".")):
            numbers = [int(n) for n in re.findall(r"\d+", name)]
            found.append((numbers, not match.group(3), name))
    return [name for _, _, name in sorted(found, reverse=True)]


def packages_of(image, names):
    """Since Linux 6.19 the image's package is empty, and what was in it is in others."""
    rest = image.removeprefix("linux-image-")
    return [n for n in (f"linux-binary-{rest}", f"linux-modules-{rest}") if n in names] or [image]


def unpack(apt, packages, scratch, part):
    for package in packages:
        apt.call("apt-get", "download", "-q", package, cwd=scratch)
    for archive in Path(scratch).glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", archive, part], check=True)
    modules = next(m for m in (part / "usr/lib/modules", part / "lib/modules") if m.is_dir())
    if modules.parent.parent != part:
        (part / "lib").symlink_to("usr/lib")
    subprocess.run(["depmod", "-b", part, next(modules.iterdir()).name], check=True)


def fetch(kernel):
    suites = KERNELS.get(kernel)
    if not suites:
        raise NotServed(f"no kernel {kernel!r}; there are: {' '.join(KERNELS)}")
    STORE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STORE) as scratch:
        apt = Apt(Path(scratch) / "apt", suites)
        apt.call("apt-get", "update", "-q")
        names = set(apt.call("apt-cache", "pkgnames", "linux-").split())
        why = f"no linux-image-{kernel}.*-cloud-amd64 in {', '.join(suites)}"
        # A list may name what the mirror has not, or no longer.
        for image in images(names, kernel)[:TRIES]:
            part = Path(scratch) / image
            try:
                unpack(apt, packages_of(image, names), scratch, part)
            except NotServed as wrong:
                why = str(wrong)
                continue
            (part / "package").write_text(image)
            shutil.rmtree(STORE / kernel, ignore_errors=True)
            part.rename(STORE / kernel)
            return
        raise NotServed(why)


def kernel_of(kernel):
    """(image, folder of modules) of the kernel, fetched when it is not there yet."""
    if not (STORE / kernel / "package").exists():
        fetch(kernel)
    modules = STORE / kernel / "lib/modules"
    found = [*(STORE / kernel).glob("boot/vmlinuz-*"), *modules.glob("*/vmlinuz")]
    return found[0], modules
