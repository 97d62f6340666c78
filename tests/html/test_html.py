"""Every page that is made for somebody to read is valid HTML: all mails there are, the report, the back-test and the plan.

By a validator that knows what may stand in what, and what a screen reader needs (html-validate). Mails are made for mail programs, which know no style sheet: there, and only
there, the attributes that HTML has given up for looks are allowed.
"""

import subprocess
import sys
import tempfile
import unittest
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import install

WATCHDOG = ROOT / "target/debug/watchdog"
# Pages carry their style with them, as mails do.
RULES = ("no-inline-style:off", "long-title:off")
MAIL = ("no-deprecated-attr:off",)


def complaints(paths, rules=RULES):
    """What the validator has to say of these pages; empty where they are valid."""
    node, _ = install.find_node()
    program = install.environment("html") / "node_modules/html-validate/bin/html-validate.mjs"
    command = [node, str(program), "--preset", "standard,a11y", "--formatter", "text"]
    for rule in rules:
        command += ["--rule", rule]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    if done.returncode not in (0, 1) or (done.returncode == 1 and not said):
        raise AssertionError(f"the validator ended with {done.returncode}: {said}")
    return said


def watchdog(*arguments):
    done = subprocess.run([str(WATCHDOG), *map(str, arguments)], capture_output=True, text=True, timeout=120)
    # Of a limit that differs the exit code is 1: the page is written all the same.
    if done.returncode not in (0, 1):
        raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stderr}")


def write_use(path):
    """Three weeks of a workgroup that is busy by day, with one heavy hour."""
    start = datetime(2026, 3, 1)
    lines = ["timestamp,workgroup,bytes"]
    for hour in range(21 * 24):
        bytes_ = 60_000_000_000 if 8 <= hour % 24 < 18 else 2_000_000_000
        bytes_ += 150_000_000_000 if hour == 300 else 0
        lines.append(f"{(start + timedelta(hours=hour)).isoformat()}Z,etl & <co>,{bytes_}")
        lines.append(f"{(start + timedelta(hours=hour)).isoformat()}Z,etl,{bytes_}")
    path.write_text("\n".join(lines) + "\n")


POLICY = """[mail]
sender = "watchdog@example.com"
admins = ["ops@example.com"]
allowed_domains = ["example.com"]
[[workgroup]]
name = "etl"
[[workgroup.limit]]
window = "1h"
limit = "150 GB"
"""


class HtmlTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        install.ensure(["html"])
        cls.place = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.place.cleanup)
        cls.pages = Path(cls.place.name)

    def check(self, paths, rules=RULES):
        paths = list(paths)
        self.assertTrue(paths, "there is nothing to look at")
        self.assertEqual(complaints(paths, rules), "")

    def test_every_mail(self):
        watchdog("preview", "--sample", "--all", "--at", "2026-03-01T14:05:00Z", "--out", self.pages / "mails")
        mails = sorted((self.pages / "mails").glob("*.html"))
        self.assertGreater(len(mails), 20)
        self.check(mails, RULES + MAIL)

    def test_the_report(self):
        watchdog("report", "--sample", "--html", self.pages / "report.html")
        self.check([self.pages / "report.html"])

    def test_the_back_test_and_the_plan(self):
        use, policy = self.pages / "use.csv", self.pages / "policy.toml"
        write_use(use)
        policy.write_text(POLICY)
        watchdog("backtest", "--policy", policy, "--usage", use, "--html", self.pages / "backtest.html")
        watchdog("plan", "--usage", use, "--rule", "etl=1h + 10 %", "--html", self.pages / "plan.html")
        self.check([self.pages / "backtest.html", self.pages / "plan.html"])

    def test_what_is_wrong_is_found(self):
        page = self.pages / "wrong.html"
        head = '<!doctype html>\n<html lang="en"><head><title>t</title></head><body>'
        for body, said in {
            "<p>a<p>b</div></body></html>\n": "close",
            '<img src="a.png"></body></html>\n': "alt",
            "<ul><p>a</p></ul></body></html>\n": "content",
            '<p align="right">a</p></body></html>\n': "deprecated",
        }.items():
            page.write_text(head + body)
            self.assertIn(said, complaints([page]), body)


if __name__ == "__main__":
    unittest.main()
