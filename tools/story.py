"""The story of `make demo`: a day at a company that shares one Athena, shortened to two ticks of the schedule.

ETL, quick look-ups and one long job stay well within their limits. An analyst's exploratory queries do not: the first
run of the watchdog finds them past 80 % of their limit, the second past all of it. The schedule starts the runs, and
the mails are what the admins would have received.
"""

import datetime
import json
import sys
import time

import progress
import stack

GB = 1_000_000_000
# The schedule of the local stack fires once a minute, and the local AWS looks every ten seconds.
LONGEST_WAIT_SECONDS = 110
# The report is in the log before the mailbox has the last mail, or the other way round.
SETTLE_SECONDS = 2
# The longest query of the story takes a second.
QUERY_SECONDS = 30

# Who does what: the workgroup, what it is, a query, and how many gigabytes of `ProcessedBytes` go with it. The local
# Athena runs the query over made-up rows and scans next to nothing; the gigabytes are published beside it, as Athena
# would have.
MORNING = [
    ("predictable", "ETL loads the day's orders", "SELECT count(*) FROM range(2000000)", 210),
    ("predictable", "ETL refreshes the revenue tables", "SELECT sum(range * 1.19) FROM range(1000000)", 145),
    ("fast-query", "a dashboard looks something up", "SELECT max(range) FROM range(50000)", 2),
    ("fast-query", "support looks up an order", "SELECT 42 AS order_id", 1),
    ("long-query", "the yearly report joins everything", "SELECT count(*) FROM range(1500) a, range(1500) b", 2600),
    ("exploratory", "an analyst tries a join without a partition filter", "SELECT count(*) FROM range(900000)", 380),
    ("exploratory", "the analyst tries again, wider", "SELECT count(DISTINCT range % 977) FROM range(900000)", 215),
]
NOON = [
    ("predictable", "ETL loads the next orders", "SELECT count(*) FROM range(1000000)", 95),
    ("exploratory", "the analyst drops the last filter", "SELECT avg(range) FROM range(1200000)", 160),
]


class Style:
    """Emphasis, on a terminal only."""

    def __init__(self):
        on = sys.stdout.isatty()
        self.bold, self.dim, self.off = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if on else ("", "", "")


STYLE = Style()


def out(line=""):
    print(line, flush=True)


def heading(text):
    out(f"\n{STYLE.bold}{text}{STYLE.off}")


def clock():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%H:%M:%S")


def play(aws, scene):
    """Runs the queries of a scene and publishes what each scanned."""
    athena, cloudwatch = aws.client("athena"), aws.client("cloudwatch")
    for workgroup, what, query, gigabytes in scene:
        identity = athena.start_query_execution(QueryString=query, WorkGroup=workgroup)["QueryExecutionId"]
        until = time.monotonic() + QUERY_SECONDS
        while True:
            execution = athena.get_query_execution(QueryExecutionId=identity)["QueryExecution"]
            state = execution["Status"]["State"]
            if state in ("SUCCEEDED", "FAILED", "CANCELLED"):
                break
            if time.monotonic() > until:
                raise stack.LocalAwsFailed(f"the query `{query}` is still {state} after {QUERY_SECONDS} s")
            time.sleep(0.1)
        if state != "SUCCEEDED":
            reason = execution["Status"].get("StateChangeReason", "no reason given")
            raise stack.LocalAwsFailed(f"the query `{query}` ended as {state}: {reason}")
        group = {"Name": "WorkGroup", "Value": workgroup}
        detail = [{"Name": "QueryState", "Value": state}, {"Name": "QueryType", "Value": "DML"}, group]
        # Athena publishes both; whoever adds them up counts twice.
        cloudwatch.put_metric_data(
            Namespace="AWS/Athena",
            MetricData=[
                {"MetricName": "ProcessedBytes", "Dimensions": dimensions, "Unit": "Bytes", "Value": gigabytes * GB}
                for dimensions in ([group], detail)
            ],
        )
        out(f"  {clock()}  {workgroup:<12} {what}: {gigabytes} GB")


def size(count):
    """Bytes for people, as the mails write them: decimal, for that is how the limits were given."""
    for unit, factor in (("PB", 10**15), ("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if count >= factor:
            return f"{count / factor:.4g} {unit}"
    return f"{count} bytes"


def reports(aws, seen):
    """The run reports in the function's log that are not yet in `seen`, oldest first, and its other lines of trouble."""
    found = []
    for event in aws.log_events():
        key = (event.get("logStreamName"), event["timestamp"], event["message"])
        if key in seen:
            continue
        seen.add(key)
        try:
            line = json.loads(event["message"])
        except ValueError:
            # START, END and REPORT of Lambda itself.
            continue
        if isinstance(line, dict):
            found.append(line)
    return found


def show_report(line):
    """One run as a table."""
    report = line.get("report") or {}
    error = f", failed: {line['error']}" if line.get("error") else ""
    skipped = f", skipped: {report['skipped']}" if report.get("skipped") else ""
    out(f"  {clock()}  run by the {report.get('source', 'schedule')}, as of {report.get('as_of', '?')}{error}{skipped}")
    for warning in report.get("warnings", []):
        out(f"    {warning}")
    for limit in report.get("limits", []):
        used, of = limit.get("used_bytes"), limit.get("limit_bytes")
        share = f"{100 * used // of:>4} %" if isinstance(used, int) and of else "   ? %"
        amount = f"{size(used)} of {size(of)}" if isinstance(used, int) and isinstance(of, int) else "not known"
        out(f"    {limit.get('workgroup', '?'):<14}{limit.get('window', ''):<6}{limit.get('level', '?'):<11}{share}  {amount}")


def show_mail(mail, earlier):
    """A mail with its text; with a word instead, where one of `earlier` was the same to somebody else."""
    out(f"  {clock()}  mail to {', '.join(mail.recipients)}: {STYLE.bold}{mail.subject}{STYLE.off}")
    if any(other.subject == mail.subject for other in earlier):
        out("    (the same to this admin)")
    else:
        for line in (mail.part("plain") or "").strip().splitlines():
            out(f"    {STYLE.dim}| {line}{STYLE.off}")
    for path in mail.paths:
        out(f"    {path.relative_to(stack.ROOT)}")


def wait_for_run(aws, seen, mails, expected):
    """Waits until a run finds exploratory at one of the levels `expected` and has sent mails; prints all that arrives.

    `mails` is how many had arrived before; returns how many there are now. A run that finds anything else is shown,
    too, and the next one waited for: the story must not claim what did not happen.
    """
    waiting = progress.Waiting("wait for the schedule", log_seconds=20)
    ran, settled = None, None
    shown = mails
    try:
        while settled is None or time.monotonic() < settled:
            for line in reports(aws, seen):
                message = str(line.get("message", ""))
                is_run = message == "run"
                if not is_run and str(line.get("level", "")).upper() not in ("ERROR", "WARN"):
                    continue
                waiting.clear()
                if is_run:
                    show_report(line)
                    limits = (line.get("report") or {}).get("limits", [])
                    ran = [each.get("level") for each in limits if each.get("workgroup") == "exploratory"]
                else:
                    out(f"  {clock()}  {line.get('level')}: {message or json.dumps(line)}")
            for mail in aws.mailbox.since(shown):
                waiting.clear()
                shown += 1
                show_mail(mail, aws.mailbox.since(mails)[: shown - mails - 1])
            if settled is None and ran and set(ran) & expected and shown > mails:
                settled = time.monotonic() + SETTLE_SECONDS
            if aws.process.poll() is not None:
                raise stack.LocalAwsFailed(f"the local AWS ended by itself:\n{progress.tail_of(aws.log)}")
            if waiting.elapsed() > LONGEST_WAIT_SECONDS:
                found = "no run has reported" if ran is None else f"exploratory is at {ran}, with {shown - mails} new mails"
                raise stack.LocalAwsFailed(
                    f"after {LONGEST_WAIT_SECONDS} s {found}, where one of {sorted(expected)} and a mail belong; "
                    "the function's log is .local/logs/function.log"
                )
            waiting.tick()
            time.sleep(0.25)
    finally:
        waiting.clear()
    return shown


def tell(aws):
    """The whole story; returns the exit code."""
    began = time.monotonic()
    seen = set()
    heading("The stack is deployed. Morning: everyone works, and an analyst is careless.")
    play(aws, MORNING)

    heading("The schedule starts the watchdog (once a minute).")
    mails = wait_for_run(aws, seen, 0, {"warn", "critical"})

    heading("Noon: the analyst goes on.")
    play(aws, NOON)

    heading("The next run.")
    mails = wait_for_run(aws, seen, mails, {"exhausted"})

    out()
    out(f"Shown: the schedule ran the function that ships, and {mails} mails said that exploratory had used most of its "
        f"limit, then all of it ({time.monotonic() - began:.0f} s).")
    out("Next: open the mails in .local/mails/, or `make local` to play with the same stack; README.md says the rest.")
    return 0
