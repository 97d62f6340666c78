"""The end-to-end tests, one after the other, on the local AWS that the environment names.

`tools/localaws.py run -- python tools/end_to_end.py` starts one for them; `python` is then the one that has boto3.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The whole workspace and one target, rather than one package: with other features of the dependencies Cargo would
# build everything once more.
RUST = ["cargo", "test", "--workspace", "--features", "watchdog-tests/local-aws", "--test", "all", "--locked"]
# What is about the stack rather than the program.
DEPLOYED = [sys.executable, "-m", "unittest", "discover", "--start-directory", "tests/deployed"]
# What all of these have made the deployed functions call, against what their role may.
AFTER_ALL = [*DEPLOYED, "--pattern", "after_*.py"]
PARTS = [[*RUST, "--no-fail-fast"], DEPLOYED, AFTER_ALL]


def main():
    """The worst exit code; a part that fails does not keep the next from running."""
    sys.stdout.flush()
    return max(1 if subprocess.run(part, cwd=ROOT).returncode else 0 for part in PARTS)


if __name__ == "__main__":
    sys.exit(main())
