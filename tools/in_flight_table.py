#!/usr/bin/env python3
"""Prints the table on queries in flight of docs/forecast.md: `watchdog backtest --queries` on logs made of public series.

  tools/in_flight_table.py path/to/watchdog path/to/series

The folder is that of tools/forecast_table.py. Of each series a log of queries is made that scans the same bytes, in which giants land at
once: at a random bucket, as often as `share` says, a query begins that takes four fifths of all that the series has for the next 15 to 60
minutes (or longer) and lands with it at its end. What is left is scanned by one to three queries per bucket of up to four minutes. All is drawn
from a generator seeded by the series' name, so that the table comes out the same.
"""
import csv, json, random, subprocess, sys, tempfile
from datetime import datetime, timezone
from pathlib import Path

from forecast_table import MAIL

BUCKET = 300
# A name, how often a giant begins at a bucket, and for how many buckets it runs.
LOGS = [
    ("few giants", 0.02, (3, 12)),
    ("some", 0.08, (3, 12)),
    ("many", 0.2, (3, 12)),
    ("long ones", 0.05, (6, 30)),
]


def rows(path):
    with open(path, newline="") as file:
        found = list(csv.DictReader(file))
    use = {}
    for row in found:
        at = int(datetime.fromisoformat(row["timestamp"].replace("Z", "+00:00")).timestamp())
        use[at] = use.get(at, 0) + int(row["bytes"])
    return found[0]["workgroup"], use


def queries(workgroup, use, share, length):
    """(submitted, completed, bytes), in the order of time."""
    draw = random.Random(f"{workgroup} {share} {length}")
    left, found, at = dict(use), [], min(use)
    while at <= max(use):
        if draw.random() >= share:
            at += BUCKET
            continue
        buckets = draw.randint(*length)
        taken = 0
        for bucket in range(at, at + buckets * BUCKET, BUCKET):
            part = left.get(bucket, 0) * 8 // 10
            if part:
                left[bucket] -= part
                taken += part
        end = at + buckets * BUCKET - draw.randint(1, 250)
        if taken:
            found.append((at + draw.randint(0, 100), end, taken))
        at += buckets * BUCKET
    for bucket, rest in left.items():
        parts = draw.randint(1, 3)
        for n in range(parts):
            end, took = bucket + draw.randint(5, 294), draw.randint(20, 240)
            scanned = rest // parts + (rest % parts if n == 0 else 0)
            if scanned:
                found.append((end - took, end, scanned))
    return sorted(found)


def write_log(path, workgroup, found):
    stamp = lambda at: datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    with open(path, "w") as file:
        file.write("submitted,completed,workgroup,bytes\n")
        for submitted, completed, scanned in found:
            file.write(f"{stamp(submitted)},{stamp(completed)},{workgroup},{scanned}\n")


def score(binary, folder, log, workgroup, entry, growing):
    policy = folder / "policy.toml"
    limit = f'[[workgroup.limit]]\nwindow = "1h"\nlimit = "{entry["limits"]["1h"]} B"\n'
    policy.write_text(f'{MAIL}[[workgroup]]\nname = "{workgroup}"\n{limit}')
    command = [binary, "backtest", "--policy", policy, "--queries", log, "--score-from", entry["score_from"], "--json"]
    command += ["--growing"] if growing else []
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["windows"]


def line(parts):
    episodes, days = sum(p["episodes"] for p in parts), sum(p["days"] for p in parts)
    jumps, warned = sum(p["jumps"] for p in parts), sum(p["jumps_warned"] for p in parts)
    recall = sum((r["recall"] or 0) * p["episodes"] for p in parts for r in p["recall"] if r["minutes"] == 15)
    opened = sum((p["open_share"] or 0) * p["days"] for p in parts)
    return [episodes, jumps, f"{100 * warned / max(jumps, 1):.0f} %", f"{100 * recall / max(episodes, 1):.1f} %",
            f"{sum(p['false_alarms'] for p in parts) / days:.3f}", f"{100 * opened / days:.1f} %"]


def main():
    binary, series = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    print("| log | rule | reached | of them jumps | jumps told 10 min ahead | recall 15 min | false a day | open |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, share, length in LOGS:
            found = {}
            for path in sorted(series.glob("*.csv")):
                workgroup, use = rows(path)
                log = folder / path.name
                write_log(log, workgroup, queries(workgroup, use, share, length))
                for kind in ("p97", "p99", "max110"):
                    entry = json.loads((series / f"limits_{kind}.json").read_text()).get(workgroup, {})
                    if "1h" not in entry.get("limits", {}):
                        continue
                    for growing in (False, True):
                        for part in score(binary, folder, log, workgroup, entry, growing):
                            rule = {"policy": "policy"}.get(part["rule"], "static 80 %")
                            if rule == "policy" or not growing:
                                rule += ", with what is in flight" if growing else ""
                                found.setdefault(rule, []).append(part)
            for rule, parts in found.items():
                print(f"| {name} | {rule} | " + " | ".join(map(str, line(parts))) + " |", flush=True)


if __name__ == "__main__":
    main()
