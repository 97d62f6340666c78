#!/usr/bin/env python3
"""Every test there is, and one line at the end that adds them all up.

The unit and integration tests, the tests of these tools, and the end-to-end tests on the artefact that ships, deployed
on the local AWS. A part that fails does not keep the others from running.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import end_to_end
import progress

ROOT = Path(__file__).resolve().parent.parent

CARGO_RESULT = re.compile(r"^test result: \S+ (\d+) passed; (\d+) failed; (\d+) ignored;")
UNITTEST_COUNT = re.compile(r"^Ran (\d+) tests? in ")
UNITTEST_RESULT = re.compile(r"^(?:OK|FAILED)(?: \((.*)\))?$")

# What is compiled beforehand, so that the local AWS is not kept waiting for the compiler.
COMPILE = [[*end_to_end.RUST, "--no-run"]]
PARTS = [
    ("the tools' own tests", [sys.executable, "-m", "unittest", "discover", "--start-directory", "tools/tests"]),
    ("unit and integration tests", ["cargo", "test", "--workspace", "--locked", "--no-fail-fast"]),
    ("every page is valid HTML", [sys.executable, "-m", "unittest", "discover", "--start-directory", "tests/html"]),
    ("end-to-end tests on the local AWS", [sys.executable, "tools/localaws.py", "run", "--", "python", "tools/end_to_end.py"]),
]


class Tally:
    """What the parts' own closing lines add up to."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def total(self):
        return self.passed + self.failed + self.skipped

    def read(self, line):
        """Counts a line, if it is one that counts."""
        found = CARGO_RESULT.match(line)
        if found:
            passed, failed, skipped = map(int, found.groups())
            self.passed += passed
            self.failed += failed
            self.skipped += skipped
            return
        found = UNITTEST_COUNT.match(line)
        if found:
            # What of them did not pass, the next line says.
            self.passed += int(found.group(1))
            return
        found = UNITTEST_RESULT.match(line)
        if found:
            counts = dict(re.findall(r"(\w+)=(\d+)", found.group(1) or ""))
            failed = int(counts.get("failures", 0)) + int(counts.get("errors", 0))
            skipped = int(counts.get("skipped", 0))
            self.passed -= failed + skipped
            self.failed += failed
            self.skipped += skipped

    def line(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def run(command, tally):
    """Runs a command with its output passed on and read; returns its exit code."""
    environment = dict(os.environ, PYTHONUNBUFFERED="1")
    # Colours survive the pipe where this runs on a terminal.
    environment.setdefault("CARGO_TERM_COLOR", "always" if sys.stdout.isatty() else "never")
    process = progress.start(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )
    try:
        with process.stdout as output:
            for line in output:
                sys.stdout.write(line)
                sys.stdout.flush()
                tally.read(re.sub(r"\x1b\[[0-9;]*m", "", line).strip())
        return process.wait()
    finally:
        progress.stop(process)


def main():
    progress.end_on_signals()
    tally, broken = Tally(), []
    try:
        for name, command in PARTS:
            print(f"\n== {name}", flush=True)
            before = Tally()
            before.__dict__.update(tally.__dict__)
            if "localaws.py" in " ".join(command) and any(run(each, Tally()) != 0 for each in COMPILE):
                code = 1
            else:
                code = run(command, tally)
            if tally.total() == before.total():
                broken.append(f"{name}: ran no test (ended with {code})")
            elif code != 0 and tally.failed == before.failed:
                broken.append(f"{name}: ended with {code}, though no test failed")
    except KeyboardInterrupt:
        broken.append("interrupted")
    # A part that could not run is a failure like any other: the sum must show it.
    tally.failed += len(broken)
    print()
    for each in broken:
        print(f"FAILED {each}")
    print(tally.line(), flush=True)
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
