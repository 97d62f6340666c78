#!/usr/bin/env python3
"""Counts the instructions of the core's decisions, and compares them with the table that is checked in.

    python3 tools/counts.py            fails where one takes a tenth more than the table says
    python3 tools/counts.py --update   writes the table anew

Time is too noisy on a machine that does other things; instructions are not. Valgrind counts them (`callgrind`), and only those below one
function, so that what is set up for a subject is not in its count. Where there is no valgrind nothing is checked, and that is said. The
compiler is pinned by `rust-toolchain.toml`; the core is built alone, as it ships, in a folder of its own.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "crates/watchdog-core/benches/counts.json"
BUILD = ["cargo", "bench", "--locked", "--quiet", "--package", "watchdog-core", "--bench", "counts", "--no-run", "--message-format=json"]
COUNTED = re.compile(r"Collected : (\d+)")

# How much more a subject may take than the table says, in percent. Hash seeds and addresses move a count by less than one.
TOLERANCE = 10

# Subjects that must cost the same whatever the length of the window or of the past, within the same tolerance and a few instructions.
FLAT = [
    ["sum 1h", "sum 24h", "sum 28d"],
    ["add 12 buckets, 1h kept", "add 12 buckets, 24h kept", "add 12 buckets, 28d kept"],
    ["decision 1h, a day known", "decision 1h, 28d known", "decision 24h, 28d known", "decision 7d, 28d known"],
]
FEW = 60


def why_not():
    """Why nothing can be counted here; None where it can."""
    if shutil.which("valgrind") is None:
        return "valgrind is not on this machine"
    if platform.machine() not in ("x86_64", "AMD64"):
        return f"the table is about x86-64, and this is {platform.machine()}"
    return None


def built():
    """The bench's executable."""
    environment = dict(os.environ, CARGO_TARGET_DIR=str(ROOT / "target/core-bench"))
    done = subprocess.run(BUILD, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit("counts: the core could not be built")
    messages = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    return [message["executable"] for message in messages if message.get("executable")][-1]


def count(executable, subject):
    command = ["valgrind", "--tool=callgrind", "--toggle-collect=*counts*measured*", "--callgrind-out-file=/dev/null", executable, subject]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    found = COUNTED.search(done.stderr)
    if done.returncode != 0 or not found or found[1] == "0":
        sys.exit(f"counts: `{subject}` could not be counted:\n{done.stderr[-2000:]}")
    return int(found[1])


def problems(found, known):
    """What is wrong with the counts that were found, each in a line; `known` is the table's."""
    wrong = []
    for subject, n in found.items():
        if subject not in known:
            wrong.append(f"`{subject}` is not in the table")
        elif n * 100 > known[subject] * (100 + TOLERANCE):
            wrong.append(f"`{subject}` takes {n:,} instructions, {100 * n / known[subject] - 100:.1f} % more than the {known[subject]:,} of the table")
    wrong += [f"`{subject}` is in the table, and there is no such subject" for subject in known if subject not in found]
    for group in FLAT:
        counts = [found[subject] for subject in group if subject in found]
        if counts and (max(counts) - FEW) * 100 > min(counts) * (100 + TOLERANCE):
            wrong.append("not flat: " + ", ".join(f"`{subject}` {found[subject]:,}" for subject in group if subject in found))
    return wrong


def main(arguments):
    reason = why_not()
    if reason:
        print(f"counts: SKIPPED, {reason}")
        return 0
    executable = built()
    subjects = subprocess.run([executable], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = {}
    known = json.loads(TABLE.read_text())["instructions"] if TABLE.exists() else {}
    print(f"{'subject':28} {'instructions':>14} {'table':>14}")
    for subject in subjects:
        found[subject] = count(executable, subject)
        before = f"{known[subject]:,}" if subject in known else "-"
        print(f"{subject:28} {found[subject]:>14,} {before:>14}", flush=True)
    if "--update" in arguments:
        compiler = subprocess.run(["rustc", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        TABLE.write_text(json.dumps({"compiler": compiler, "instructions": found}, indent=1) + "\n")
        known = found
    wrong = problems(found, known)
    for line in wrong:
        print(f"counts: {line}")
    if any("table" in line for line in wrong):
        print("counts: where that is as it should be, `make counts UPDATE=1` writes the table anew")
    print("counts: FAILED" if wrong else f"counts: {len(found)} subjects, none more than {TOLERANCE} % above the table")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
