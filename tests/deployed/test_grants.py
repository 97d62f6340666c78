"""Grants and silences as people ask for them: the operator's tool, the deployed function, and AWS's word for who asks."""

import json
import os
import subprocess
import unittest
from datetime import datetime, timedelta, timezone

import deployed

# Another account than the one of the other tests, on the same local AWS: nothing here is seen there.
ACCOUNT, STACK, ARTIFACTS = "310987654321", "granting", "granting-artifacts"
GB = 1_000_000_000
PARAMETERS = {
    "AdminEmails": "ann@example.com", "SenderEmail": "watchdog@example.com", "AllowedRecipientDomains": "example.com",
    "QueryResultsLocation": "s3://granting-results/athena/", "Granters": "root,role/lead", "Schedule": "rate(365 days)",
    "SubmitterFeed": "true",
}
# A limit of so few bytes that queries of the local Athena pass it, told to whose queries they are.
LAB = """
[submitters]
bytes_floor = "1 B"
[[workgroup]]
name = "lab"
audience = ["submitters"]
[[workgroup.limit]]
window = "1h"
limit = "{} B"
"""


class GrantsTest(unittest.TestCase):
    maxDiff = None
    ran_at = ""

    @classmethod
    def setUpClass(cls):
        cls.account = account = deployed.Account(ACCOUNT)
        account.client("ses").verify_email_identity(EmailAddress=PARAMETERS["SenderEmail"])
        for bucket in ("granting-results", ARTIFACTS):
            account.client("s3").create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": account.region})
        account.deploy(STACK, ARTIFACTS, PARAMETERS)
        cls.before = cls.cutoff()

    @classmethod
    def cutoff(cls):
        group = cls.account.client("athena").get_work_group(WorkGroup="ad-hoc")["WorkGroup"]
        return int(group["Configuration"]["BytesScannedCutoffPerQuery"])

    def watchdog(self, *words, credentials=None):
        """The operator's tool as it is built: its exit code and what it says."""
        program = deployed.ROOT / "target/debug/watchdog"
        self.assertTrue(program.is_file(), f"there is no {program}: run `cargo test --workspace` first")
        environment = {**self.account.environment(), "AWS_ENDPOINT_URL": os.environ["WATCHDOG_ENDPOINT"], "AWS_SECRET_ACCESS_KEY": "test",
                       **(credentials or {})}
        done = subprocess.run(
            [str(program), *words, "--stack", STACK], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def run_function(self):
        """One run as the schedule would ask for it, and its report."""
        function = self.account.resource(STACK, "Function")
        event = json.loads((deployed.ROOT / "events/schedule-scheduler.json").read_text())
        # Of whole seconds, after everything that was done before, and after the run before, of which the same second would be a repetition.
        def after():
            at = f"{datetime.now(timezone.utc) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
            return at if at > GrantsTest.ran_at else None

        event["time"] = GrantsTest.ran_at = deployed.wait_for(after)
        answer = self.account.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        report = json.loads(answer["Payload"].read())
        self.assertNotIn("FunctionError", answer, report)
        return report

    def query(self, sql):
        """Runs a query in `lab` to its end: its id, and what it scanned."""
        athena = self.account.client("athena")
        query = athena.start_query_execution(QueryString=sql, WorkGroup="lab")["QueryExecutionId"]

        def ended():
            execution = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]
            return execution if "CompletionDateTime" in execution["Status"] else None

        return query, deployed.wait_for(ended)["Statistics"]["DataScannedInBytes"]

    def publish(self, namespace, name, value, **dimensions):
        self.account.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[{
            "MetricName": name, "Value": value, "Dimensions": [{"Name": key, "Value": word} for key, word in dimensions.items()],
        }])

    def session(self, role):
        iam, sts = self.account.client("iam"), self.account.client("sts")
        anybody = {"Version": "2012-10-17",
                   "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(anybody))
        # No more than `watchdog doctor --print-iam=grant` asks for.
        iam.put_role_policy(RoleName=role, PolicyName="ask", PolicyDocument=json.dumps({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": ["cloudformation:ListStackResources", "lambda:InvokeFunction"], "Resource": "*"}],
        }))
        session = sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="bob")["Credentials"]
        return {"AWS_ACCESS_KEY_ID": session["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
                "AWS_SESSION_TOKEN": session["SessionToken"]}

    def test_a_grant_from_the_command_line_to_the_mails_and_back(self):
        grant = ["grant", "ad-hoc", "--limit", "2TB", "--per-query", "500GB", "--for", "1h", "--reason", "backfill"]
        # Without `--write` it is a rehearsal.
        code, said, noted = self.watchdog(*grant)
        self.assertEqual((code, self.cutoff()), (0, self.before), said + noted)
        self.assertIn("nothing is changed: add `--write` to do it", noted)
        code, said, noted = self.watchdog(*grant, "--write")
        self.assertEqual((code, self.cutoff()), (0, 500 * GB), said + noted)
        # Known to everybody who asks, and to the next run, which tells the admins.
        code, said, noted = self.watchdog("grants", "--json")
        listed = json.loads(said)["grants"]
        self.assertEqual((code, len(listed), listed[0]["workgroup"], listed[0]["phase"]), (0, 1, "ad-hoc", "in force"), noted)
        self.assertIn("root", listed[0]["by"])
        report = self.run_function()
        self.assertEqual(report["failed"], [])
        self.assertEqual([mail["to"] for mail in report["sent"]], ["ann@example.com"])
        # Whoever wants more than the policy's cap, or is none of the granters, is refused, and nothing changes.
        code, said, noted = self.watchdog("grant", "ad-hoc", "--per-query", "9PB", "--for", "1h", "--reason", "more", "--write")
        self.assertEqual(code, 2, said + noted)
        self.assertIn("refused: ", noted)
        code, said, noted = self.watchdog("revoke", "ad-hoc", "--write", credentials=self.session("intern"))
        self.assertEqual(code, 2, said + noted)
        self.assertIn("`role/intern/bob` is none of the policy's `granters`", noted)
        self.assertEqual(self.cutoff(), 500 * GB)
        # Somebody else of the granters takes it back, at once, and the mail says so.
        code, said, noted = self.watchdog("revoke", "ad-hoc", "--write", credentials=self.session("lead"))
        self.assertEqual((code, self.cutoff()), (0, self.before), said + noted)
        report = self.run_function()
        self.assertEqual([why["reason"] for mail in report["sent"] for why in mail["why"]], ["resolved"], report)
        self.assertEqual(json.loads(self.watchdog("grants", "--json")[1])["grants"], [])

    def test_a_silence_from_the_command_line(self):
        silence = ["silence", "exploratory/1h", "--for", "2h", "--reason", "known", "--write"]
        code, said, noted = self.watchdog(*silence)
        self.assertEqual(code, 0, said + noted)
        code, said, noted = self.watchdog("silences", "--json")
        self.assertEqual([each["alert"] for each in json.loads(said)["silences"]], ["limit/exploratory/1h"], noted)
        code, said, noted = self.watchdog("unsilence", "exploratory/1h", "--write")
        self.assertEqual(code, 0, said + noted)
        self.assertEqual(json.loads(self.watchdog("silences", "--json")[1])["silences"], [])

    def test_what_is_asked_only_where_somebody_is_to_be_told(self):
        """Whose queries they were, by the feed and by CloudTrail; the quotas of active queries, and what is reserved. After the others: it leaves alerts."""
        account = self.account
        account.client("iam").create_user(UserName="dora", Tags=[{"Key": "email", "Value": "dora@example.com"}])
        place = {"ResultConfiguration": {"OutputLocation": "s3://granting-results/lab/"}, "PublishCloudWatchMetricsEnabled": True}
        account.client("athena").create_work_group(Name="lab", Configuration=place)
        known, bytes_of_known = self.query("SELECT range FROM range(4000)")
        _, bytes_of_other = self.query("SELECT range + 1 FROM range(2000)")
        scanned = bytes_of_known + bytes_of_other
        path = account.outputs(STACK)["PolicyPath"]
        account.client("ssm").put_parameter(Name=f"{path}/10-lab", Value=LAB.format(scanned), Type="String")
        # The record of one query, as the rule brings it; of the other there is none.
        fed = json.loads((deployed.ROOT / "events/start-query-execution.json").read_text())
        fed["detail"]["userIdentity"] = {"type": "IAMUser", "userName": "dora", "arn": f"arn:aws:iam::{ACCOUNT}:user/dora"}
        fed["detail"]["responseElements"]["queryExecutionId"] = known
        reply = account.client("lambda").invoke(FunctionName=account.resource(STACK, "Function"), Payload=json.dumps(fed))
        self.assertEqual(json.loads(reply["Payload"].read()), {"remembered": known})
        self.publish("AWS/Athena", "ProcessedBytes", float(scanned), WorkGroup="lab")
        self.publish("AWS/Athena", "QueryQueueTime", 300_000.0, QueryState="SUCCEEDED", QueryType="DML", WorkGroup="predictable")
        self.publish("AWS/Usage", "ResourceCount", 150.0, Service="Athena", Resource="ActiveQueryCount", Type="Resource", Class="DML")
        report = self.run_function()
        self.assertEqual(report["failed"], [])
        told = {(mail["to"], why["alert"]) for mail in report["sent"] for why in mail["why"]}
        self.assertIn(("dora@example.com", "limit/lab/1h"), told)
