"""Runs commands whose output is of interest only when they fail, and says meanwhile that they are alive.

On a terminal one line is rewritten each second; elsewhere (a CI log) a line is written only now and then.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

# A command this quick needs no announcement.
QUIET_SECONDS = 3
# How often a log that is not a terminal hears that a command is still at work.
LOG_SECONDS = 60
# How much of a failed command's output is shown.
TAIL_LINES = 40
# How long a process is given to end by itself before it is killed.
GRACE_SECONDS = 10


class Failed(Exception):
    """A command that ended badly, with the end of what it printed."""

    def __init__(self, what, how, log, tail):
        super().__init__(f"{what}: {how}\n{tail}\nThe whole output: {log}")
        self.tail = tail


def terminal():
    """Whether progress may rewrite its line. Progress goes to standard error: standard output is for results."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


def say(text):
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


class Waiting:
    """Says how long something has been going on, in a way that suits where it is read."""

    def __init__(self, what, log_seconds=LOG_SECONDS):
        self.what = what
        self.began = time.monotonic()
        self.log_seconds = log_seconds
        self.written = False
        self.next_line = log_seconds

    def elapsed(self):
        return time.monotonic() - self.began

    def tick(self, detail=""):
        """To be called often, at least once a second."""
        seconds = self.elapsed()
        if terminal():
            if seconds >= QUIET_SECONDS:
                print(f"\r\x1b[K… {self.what}: {seconds:.0f} s{detail}", end="", file=sys.stderr, flush=True)
                self.written = True
        elif seconds >= self.next_line:
            say(f"... {self.what}: {seconds:.0f} s{detail}")
            self.next_line += self.log_seconds

    def clear(self):
        """Takes the rewritten line away, so that something else can be printed."""
        if self.written:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self.written = False


def end_on_signals():
    """Makes every way of being ended a KeyboardInterrupt, so that `finally` runs."""

    def end(number, _frame):
        # Once is enough: an impatient second Ctrl-C must not break off the tidying up.
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(number)

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, end)


def die_with_parent():
    """Linux: asks for SIGTERM when the parent goes, even by SIGKILL. Elsewhere nothing."""
    try:
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    except (OSError, AttributeError):
        pass


def start(command, **options):
    """Starts a command as the leader of its own process group, so that all it starts can be ended with it."""
    return subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent, **options)


def members(group):
    """The living processes of a process group; the dead that nobody has collected yet do not count."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # pid (name, which may hold anything) state parent group ...
            state, _parent, its_group = entry.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(its_group) == group and state not in "ZX":
            found.append(int(entry.parent.name))
    return found


def stop(process):
    """Ends a process started by `start` and everything in its group; returns once none is left."""
    group = process.pid
    for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            pass
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            process.poll()
            if process.returncode is not None and not members(group):
                return
            time.sleep(0.05)


def run(command, what, log, environment=None, directory=None):
    """Runs a command with its output in the file `log`; on failure the end of it is in the error."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if not terminal():
        say(f"{what} ...")
    waiting = Waiting(what)
    with open(log, "wb") as output:
        try:
            process = start(command, env=environment, cwd=directory, stdin=subprocess.DEVNULL,
                            stdout=output, stderr=subprocess.STDOUT)
        except OSError as error:
            raise Failed(what, f"cannot start `{command[0]}`: {error.strerror}", log, "") from error
        try:
            while process.poll() is None:
                time.sleep(0.1)
                waiting.tick()
        finally:
            waiting.clear()
            stop(process)
    if process.returncode != 0:
        raise Failed(what, f"ended with {process.returncode}", log, tail_of(log))
    if terminal() and waiting.elapsed() >= QUIET_SECONDS:
        say(f"{what}: {waiting.elapsed():.0f} s")


def tail_of(log):
    """The last lines of a log, without the colours it was written with."""
    text = log.read_text(errors="replace")
    lines = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).replace("\r", "\n").splitlines()
    return "\n".join(line for line in lines[-TAIL_LINES:] if line.strip())
