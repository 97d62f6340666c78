#!/usr/bin/env python3
"""Prints the table of docs/plan.md: `watchdog plan` on the first 40 % of public series, and what the rest made of its limits.

  tools/plan_table.py path/to/watchdog path/to/series... [--share 0.4]

Each argument is a series, or a folder of them: `NAME.csv` with the columns timestamp,workgroup,bytes, one workgroup each.
"""
import csv, json, subprocess, sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

DAY, BUCKET = timedelta(days=1), timedelta(minutes=5)
RULES = ("1h + 10 %", "24h + 100 %", "24h + 10 %")


def read(path):
    with path.open() as file:
        rows = [(datetime.fromisoformat(row["timestamp"].replace("Z", "+00:00")), int(row["bytes"])) for row in csv.DictReader(file)]
    return sorted(rows)


def peaks(rows, hours, since):
    """The largest window of each day, of windows that end after `since`, and each window, for how often a limit was risen to.
    The plan's own arithmetic is not used: this is the other pair of eyes."""
    used = {}
    for at, size in rows:
        used[at] = used.get(at, 0) + size
    at, last, window, total, days, looks = rows[0][0], rows[-1][0], [], 0, {}, []
    length = hours * 12
    while at <= last:
        window.append(used.get(at, 0))
        total += window[-1]
        if len(window) > length:
            total -= window[len(window) - length - 1]
        if len(window) >= length and at >= since:
            days.setdefault(at.date(), []).append(total)
            looks.append(total)
        at += BUCKET
    # The day of the cut and the last one are parts of days, and count like others: what is passed there is passed.
    return [max(day) for day in days.values()], looks


def episodes(looks, limit):
    over = [look >= limit for look in looks]
    return sum(now and not before for before, now in zip([False] + over, over))


def main():
    arguments = sys.argv[1:]
    share = float(arguments[arguments.index("--share") + 1]) if "--share" in arguments else 0.4
    arguments = arguments[:arguments.index("--share")] if "--share" in arguments else arguments
    binary, series = arguments[0], [Path(name) for name in arguments[1:]]
    series = [file for path in series for file in (sorted(path.glob("*.csv")) if path.is_dir() else [path])]
    print("| series | rule | days | limit | said: days passed of the rest | were | in the range | times passed |")
    print("|---|---|---|---|---|---|---|---|")
    inside, told, said, were, of = 0, 0, 0.0, 0, 0
    for path in series:
        rows = read(path)
        since = rows[int(len(rows) * share)][0]
        for rule in RULES:
            days, looks = peaks(rows, 1 if rule.startswith("1h") else 24, since)
            command = [binary, "plan", "--usage", path, "--rule", f"*={rule}", "--json", "--next-days", str(max(len(days), 1)),
                       "--until", since.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")]
            answer = subprocess.run(command, capture_output=True, text=True)
            if answer.returncode == 2:
                sys.exit(answer.stderr)
            plan = json.loads(answer.stdout)["proposals"][0]
            if plan["limit_bytes"] is None:
                print(f"| {path.stem} | {rule} | | none: {plan['why'][0].split(':')[0]} | | | | |")
                continue
            passed, found = plan["passed"], sum(day >= plan["limit_bytes"] for day in days)
            fits = passed["likely_from"] <= found <= passed["likely_to"]
            inside, told, said, were, of = inside + fits, told + 1, said + passed["expected"], were + found, of + len(days)
            print(f"| {path.stem} | {rule} | {passed['of']} | {plan['limit_bytes']:,} | {passed['expected']:.1f} "
                  f"({passed['likely_from']} to {passed['likely_to']}) of {len(days)} | {found} | {'yes' if fits else '**no**'} "
                  f"| {episodes(looks, plan['limit_bytes'])} |")
    print(f"\n{inside} of {told} in the range (8 of 10 are meant to be); {said:.1f} days were said and {were} came, of {of}.")


if __name__ == "__main__":
    main()
