#!/usr/bin/env python3
"""`watchdog backtest` beside DuckDB, over the same file: 30 days of 1,000 workgroups in five-minute rows, 8.6 million.

    rolling.py WATCHDOG OUT.json [ROUNDS]

DuckDB adds up the same rolling hours and days of every row, and no more; the back-test beside that forecasts, judges and tells a story. Both
read the file anew in every round, in turn, as processes of their own; the figures are medians of time and of the most memory held.
The file is made once, in the folder of OUT.json: some 360 MB.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

WORKGROUPS, DAYS = 1000, 30

POLICY = """
[mail]
sender = "watchdog@example.com"
admins = ["ann@example.com"]
allowed_domains = ["example.com"]
[[workgroup]]
name = "*"
[[workgroup.limit]]
window = "1h"
limit = "80 GB"
[[workgroup.limit]]
window = "24h"
limit = "1 TB"
"""

# Ordered by time, as an export of all workgroups is. Uneven: quiet by night, and every workgroup of a size of its own.
MAKE = """
COPY (
    SELECT strftime(moment, '%Y-%m-%dT%H:%M:%SZ') AS timestamp,
           'team-' || lpad(team::VARCHAR, 4, '0') AS workgroup,
           (hash(team * 1000003 + epoch(moment)::BIGINT) % 100000) * (1 + team % 7) * 10000
               * (CASE WHEN hour(moment) BETWEEN 7 AND 19 THEN 4 ELSE 1 END) AS bytes
    FROM generate_series(TIMESTAMP '2026-01-01', TIMESTAMP '2026-01-01' + INTERVAL {days} DAY - INTERVAL 5 MINUTE,
                         INTERVAL 5 MINUTE) AS times(moment),
         generate_series(1, {workgroups}) AS teams(team)
    ORDER BY moment, team
) TO '{path}' (HEADER)
"""

# Reads the largest of each, so that every sum is made and none is written.
ROLL = """
SELECT count(*), max(hour), max(day) FROM (
    SELECT sum(bytes) OVER (PARTITION BY workgroup ORDER BY timestamp
                            RANGE BETWEEN INTERVAL 55 MINUTE PRECEDING AND CURRENT ROW) AS hour,
           sum(bytes) OVER (PARTITION BY workgroup ORDER BY timestamp
                            RANGE BETWEEN INTERVAL 1435 MINUTE PRECEDING AND CURRENT ROW) AS day
    FROM read_csv('{path}', header = true,
                  columns = {{'timestamp': 'TIMESTAMP', 'workgroup': 'VARCHAR', 'bytes': 'BIGINT'}})
)
"""


def measured(command, fine=(0,)):
    """Seconds, and the most megabytes held, of a command that must end with one of the codes in `fine`."""
    start = time.monotonic()
    process = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(process, 0)
    seconds = time.monotonic() - start
    code = os.waitstatus_to_exitcode(status)
    if code not in fine:
        sys.exit(f"error: `{' '.join(command[:2])}` ended with {code}")
    return seconds, usage.ru_maxrss / 1000


def main(arguments):
    if len(arguments) not in (2, 3):
        sys.exit(__doc__)
    watchdog, out = str(Path(arguments[0]).resolve()), Path(arguments[1])
    rounds = int(arguments[2]) if len(arguments) == 3 else 3
    rows, policy, told = (out.parent / name for name in ("bench-rows.csv", "bench-policy.toml", "bench-told.jsonl"))
    policy.write_text(POLICY)
    # In a process of its own: what this one holds would be counted to those it starts.
    if not rows.exists():
        part = rows.with_suffix(".part")
        measured([sys.executable, "-c", "import duckdb, sys; duckdb.sql(sys.argv[1])",
                  MAKE.format(path=part, workgroups=WORKGROUPS, days=DAYS)])
        part.rename(rows)
    ours = [watchdog, "backtest", "--policy", str(policy), "--usage", str(rows), "--out", str(told)]
    duckdb = [sys.executable, "-c", "import duckdb, sys; print(duckdb.sql(sys.argv[1]).fetchall(), file=sys.stderr)",
              ROLL.format(path=rows)]
    figures = {"ours": [], "duckdb": []}
    for _ in range(rounds):
        # 1: something was over a threshold, which is what the limits are for.
        figures["ours"].append(measured(ours, fine=(0, 1)))
        figures["duckdb"].append(measured(duckdb))
    table = {
        name: {
            "seconds": round(statistics.median(seconds for seconds, _ in runs), 2),
            "peak_mb": round(statistics.median(peak for _, peak in runs)),
        }
        for name, runs in figures.items()
    }
    table["rows"] = WORKGROUPS * DAYS * 288
    table["file_mb"] = round(rows.stat().st_size / 1e6)
    table["processors"] = os.cpu_count()
    table["rounds"] = rounds
    out.write_text(json.dumps(table, indent=2) + "\n")
    print(f"{table['rows']:,} rows, {table['file_mb']} MB; medians of {rounds} rounds on {table['processors']} processors\n")
    print("|                     | seconds | peak, MB |\n|---------------------|--------:|---------:|")
    for name, words in (("ours", "watchdog backtest"), ("duckdb", "DuckDB, the sums")):
        print(f"| {words:<19} | {table[name]['seconds']:>7} | {table[name]['peak_mb']:>8} |")


if __name__ == "__main__":
    main(sys.argv[1:])
