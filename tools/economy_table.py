#!/usr/bin/env python3
"""Prints the table of docs/economy.md: `watchdog backtest` with an economy on public series, series by series and together.

  tools/economy_table.py path/to/watchdog path/to/series [--every 5min]

The folder holds series as `NAME.csv` (timestamp,workgroup,bytes) and `limits_*.json` with the limits of each.
"""
import json, subprocess, sys, tempfile
from pathlib import Path

MAIL = '[mail]\nsender = "w@example.com"\nadmins = ["ops@example.com"]\nallowed_domains = ["example.com"]\n'
AT_MOST = ["15 min", "30 min", "1h"]
# Which of a series' limits a workgroup has.
WINDOWS = {"1h": ["1h"], "24h": ["24h"], "both": ["1h", "24h"]}


def backtest(binary, series, folder, workgroup, limits, at_most, every):
    policy = folder / "policy.toml"
    text = "".join(f'[[workgroup.limit]]\nwindow = "{w}"\nlimit = "{b} B"\n' for w, b in limits.items())
    policy.write_text(f'{MAIL}[economy]\nat_most = "{at_most}"\n[[workgroup]]\nname = "{workgroup}"\n{text}')
    command = [binary, "backtest", "--policy", policy, "--usage", series / f"{workgroup}.csv", "--every", every, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["economy"]


def row(cells):
    print("| " + " | ".join(map(str, cells)) + " |")


def main():
    binary, series = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    every = sys.argv[sys.argv.index("--every") + 1] if "--every" in sys.argv else "5min"
    kinds = {"p97": "97 of 100 looks", "p99": "99 of 100 looks", "max110": "most + 10 %", "max220": "twice that"}
    row(["limits", "windows", "at most", "asked", "told", "at once", "later", "by at most", "passed", "never"])
    row(["---"] * 10)
    with tempfile.TemporaryDirectory() as folder:
        for kind, words in kinds.items():
            known = json.loads((series / f"limits_{'max110' if kind == 'max220' else kind}.json").read_text())
            for windows, wanted in WINDOWS.items():
                for at_most in AT_MOST:
                    metrics = without = 0
                    sums = dict.fromkeys(("told", "at_once", "later", "passed", "never"), 0)
                    longest = 0
                    for workgroup, entry in known.items():
                        limits = {w: int(b) * (2 if kind == "max220" else 1) for w, b in entry["limits"].items() if w in wanted}
                        if not limits:
                            continue
                        found = backtest(binary, series, Path(folder), workgroup, limits, at_most, every)
                        metrics, without = metrics + found["metrics"], without + found["metrics_without"]
                        sums = {key: value + found["delays"][key] for key, value in sums.items()}
                        longest = max(longest, found["delays"]["longest_seconds"])
                    share = f"{100 * metrics / without:.0f} %"
                    row([words, windows, at_most, share, *list(sums.values())[:3], f"{longest // 60} min", sums["passed"], sums["never"]])


if __name__ == "__main__":
    main()
