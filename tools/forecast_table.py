#!/usr/bin/env python3
"""Prints the table of docs/forecast.md: `watchdog backtest` on public series, pooled by window, rule by rule.

  tools/forecast_table.py path/to/watchdog path/to/series [--each]      (with --each, also series by series)

The folder holds series as `NAME.csv` (timestamp,workgroup,bytes) and `limits_*.json` with the limits of each.
"""
import json, subprocess, sys, tempfile
from pathlib import Path

MAIL = '[mail]\nsender = "w@example.com"\nadmins = ["ops@example.com"]\nallowed_domains = ["example.com"]\n'
RULES = {
    "policy (defaults)": "",
    "forecast off": 'forecast = "off"',
    "static 80 %, resolves < 75 %": 'forecast = "off"\nwarn = "80 %"\nhysteresis = "5 %"\nhold = "0 min"',
    "static 75 %, resolves < 60 %, no hold": 'forecast = "off"\nwarn = "75 %"\nhysteresis = "15 %"\nhold = "0 min"',
    "static 85 %, resolves < 80 %, no hold": 'forecast = "off"\nwarn = "85 %"\nhysteresis = "5 %"\nhold = "0 min"',
}


def score(binary, series, folder, workgroup, entry, rule):
    policy = folder / "policy.toml"
    limits = "".join(f'[[workgroup.limit]]\nwindow = "{w}"\nlimit = "{b} B"\n' for w, b in entry["limits"].items())
    policy.write_text(f'{MAIL}[defaults]\n{rule}\n[[workgroup]]\nname = "{workgroup}"\n{limits}')
    usage = series / f"{workgroup}.csv"
    command = [binary, "backtest", "--policy", policy, "--usage", usage, "--score-from", entry["score_from"], "--json"]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return [w for w in answer["windows"] if w["rule"] == "policy"]


def pooled(parts):
    """Shares are weighed by what they are shares of; days add up."""
    episodes, days = sum(p["episodes"] for p in parts), sum(p["days"] for p in parts)
    recall = lambda minutes, key: sum(
        (r[key] or 0) * p["episodes"] for p in parts for r in p["recall"] if r["minutes"] == minutes) / max(episodes, 1)
    by_day = lambda key: sum((p[key] or 0) * p["days"] for p in parts) / days
    return [episodes] + [f"{100 * recall(m, 'recall'):.1f} %" for m in (5, 15, 30, 60)] + [
        f"{100 * recall(15, 'fresh'):.1f} %", f"{sum(p['false_alarms'] for p in parts) / days:.3f}",
        f"{100 * by_day('open_share'):.1f} %", f"{by_day('needless_hours_per_day'):.2f}"]


def main():
    binary, series, each = Path(sys.argv[1]).resolve(), Path(sys.argv[2]), "--each" in sys.argv
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("p97", "p99", "max110"):
            for workgroup, entry in json.loads((series / f"limits_{kind}.json").read_text()).items():
                for name, rule in RULES.items():
                    for part in score(binary, series, Path(folder), workgroup, entry, rule):
                        found.setdefault((part["window"], name), []).append(part)
                        if each:
                            found.setdefault((part["window"] + " " + workgroup, name), []).append(part)
    print("| window | rule | reached | recall 5 min | 15 | 30 | 60 | fresh 15 | false a day | open | needless h a day |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for (window, name), parts in sorted(found.items(), key=lambda item: item[0][0]):
        print(f"| {window} | {name} | " + " | ".join(map(str, pooled(parts))) + " |")


if __name__ == "__main__":
    main()
