"""The life of a stack: deployed, deployed twice, updated, an update that fails, deleted. In an account of its own."""

import json
import unittest

import deployed
import permissions
import test_permissions
from permissions import FIVE

# Another account than the one of the other tests, on the same local AWS: nothing here is seen there.
ACCOUNT = "210987654321"
BUCKET, ARTIFACTS = "life-results", "life-artifacts"
GB = 1_000_000_000
COMMON = {
    "AdminEmails": "ann@example.com,bob@example.com", "SenderEmail": "watchdog@example.com",
    "AllowedRecipientDomains": "example.com", "QueryResultsLocation": f"s3://{BUCKET}/athena/",
    # Once a year: nothing here waits for the schedule.
    "Schedule": "rate(365 days)",
}
LAMBDA = f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:"
FEDERATED = {
    "FederatedConnectors": f"{LAMBDA}athena-dynamodb,{LAMBDA}athena-jdbc-*,{LAMBDA}athena-cloudwatch",
    "FederatedSpillLocation": "s3://spill/athena",
}


class LifeTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.account = account = deployed.Account(ACCOUNT)
        account.client("ses").verify_email_identity(EmailAddress=COMMON["SenderEmail"])
        cls.s3, cls.athena, cls.cloudformation = (account.client(name) for name in ("s3", "athena", "cloudformation"))
        for bucket in (BUCKET, ARTIFACTS):
            cls.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": account.region})
        # What the account had before: a workgroup and an alarm of somebody else's.
        cls.athena.create_work_group(
            Name="reporting", Description="Ours since 2019.", Tags=[{"Key": "team", "Value": "reporting"}],
            Configuration={"ResultConfiguration": {"OutputLocation": "s3://reporting/"},
                           "BytesScannedCutoffPerQuery": 7 * GB, "PublishCloudWatchMetricsEnabled": True},
        )
        account.client("cloudwatch").put_metric_alarm(
            AlarmName="reporting", Namespace="AWS/Athena", MetricName="ProcessedBytes", Period=3600, EvaluationPeriods=1,
            Statistic="Sum", Threshold=1.0, ComparisonOperator="GreaterThanThreshold",
            Dimensions=[{"Name": "WorkGroup", "Value": "reporting"}],
        )

    def deploy(self, stack, **parameters):
        """`sam deploy`, as for a real account."""
        self.account.deploy(stack, ARTIFACTS, {**COMMON, **parameters})

    def update(self, stack, **parameters):
        """An update with other parameters and the same template, as the console offers it; returns the stack's status."""
        known = self.account.parameters(stack)
        self.cloudformation.update_stack(
            StackName=stack, UsePreviousTemplate=True, Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[
                {"ParameterKey": name, "ParameterValue": parameters[name]} if name in parameters
                else {"ParameterKey": name, "UsePreviousValue": True} for name in known
            ],
        )
        return self.settled(stack)

    def settled(self, stack):
        """The stack's status once it rests."""
        return deployed.wait_for(
            lambda: None if (status := self.account.stack(stack)["StackStatus"]).endswith("_IN_PROGRESS") else status
        )

    def delete(self, stack):
        arn = self.account.stack(stack)["StackId"]
        self.cloudformation.delete_stack(StackName=stack)
        # A deleted stack is found by its ARN only.
        self.assertEqual(self.settled(arn), "DELETE_COMPLETE")

    def workgroups(self):
        """Every workgroup as it is, but for the time of its making."""
        found = {}
        for name in (each["Name"] for each in self.athena.list_work_groups()["WorkGroups"]):
            group = self.athena.get_work_group(WorkGroup=name)["WorkGroup"]
            configuration = group["Configuration"]
            if "BytesScannedCutoffPerQuery" in configuration:
                # The local AWS keeps as text what the template writes as text.
                configuration["BytesScannedCutoffPerQuery"] = int(configuration["BytesScannedCutoffPerQuery"])
            found[name] = (configuration, group.get("Description"), group.get("State"))
        return found

    def alarms(self):
        """Every alarm by name, but for its state."""
        pages = self.account.client("cloudwatch").get_paginator("describe_alarms").paginate()
        kept = ("Threshold", "Period", "MetricName", "Dimensions", "ComparisonOperator", "AlarmActions", "TreatMissingData")
        return {each["AlarmName"]: {key: each.get(key) for key in kept} for page in pages for each in page["MetricAlarms"]}

    def results(self):
        return sorted(each["Key"] for each in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", []))

    def policy(self, stack):
        name = self.account.outputs(stack)["PolicyPath"] + "/00-stack"
        return self.account.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]

    def all_of(self, stack):
        """Everything of a stack that an update can change."""
        account = self.account
        return {
            "outputs": account.outputs(stack), "parameters": account.parameters(stack), "policy": self.policy(stack),
            "permissions": account.policies(stack), "role": account.role(stack)[0],
            "alarms": {name: each for name, each in self.alarms().items() if name.startswith(f"{stack}-")},
        }

    def limits(self, stack):
        """What the deployed function judges by: `{(workgroup, window): bytes}`."""
        name = self.account.outputs(stack)["WatchdogFunctionName"]
        reply = self.account.client("lambda").invoke(FunctionName=name, Payload=json.dumps({"dry_run": True}))
        report = json.loads(reply["Payload"].read())
        self.assertIn("limits", report)
        return {(each["workgroup"], each["window"]): each["limit_bytes"] for each in report["limits"]}

    def check_agreement(self, stack, predictable, fast, long, exploratory, ad_hoc):
        """The quotas, in GB, are what the policy, the function, the alarms and Athena go by."""
        should = {
            ("predictable", "1h"): predictable * GB * 11 // 10, ("long-query", "24h"): long * GB * 2,
            ("exploratory", "1h"): exploratory * GB * 7 // 10, ("ad-hoc", "1h"): ad_hoc * GB,
        }
        self.assertEqual(self.limits(stack), should)
        windows = {3600: "1h", 86400: "24h"}
        alarms = {
            (alarm["Dimensions"][0]["Value"], windows[alarm["Period"]]): alarm["Threshold"]
            for name, alarm in self.alarms().items() if name.startswith(f"{stack}-") and alarm["MetricName"] == "ProcessedBytes"
        }
        self.assertEqual(alarms, should)
        cutoffs = {name: each[0].get("BytesScannedCutoffPerQuery") for name, each in self.workgroups().items() if name in FIVE}
        self.assertEqual(cutoffs, {**dict.fromkeys(FIVE), "fast-query": fast * GB, "ad-hoc": ad_hoc * GB})
        self.assertIn(f'per_query_cutoff = "{fast} GB"', self.policy(stack))

    def test_a_stacks_life(self):
        before = self.workgroups()
        self.assertEqual(sorted(before), ["primary", "reporting"])

        # Deployed.
        self.deploy("first")
        self.check_agreement("first", predictable=1000, fast=50, long=5000, exploratory=1000, ad_hoc=10)
        made = self.workgroups()
        self.assertEqual(sorted(made), sorted([*FIVE, *before]))
        for name in FIVE:
            configuration = made[name][0]
            self.assertTrue(configuration["PublishCloudWatchMetricsEnabled"], name)
            self.assertTrue(configuration["EnforceWorkGroupConfiguration"], name)
            # The location was given with a slash at its end, and has just one all the same.
            location = configuration["ResultConfiguration"]["OutputLocation"]
            self.assertEqual(location, f"s3://{BUCKET}/athena/{name}/")
        first, alarms = self.all_of("first"), self.alarms()

        # Deployed a second time beside it, in an account that now has workgroups of its own: they are watched, and left alone.
        self.deploy("second", CreateWorkgroups="false", **FEDERATED)
        watched = {(name, "24h"): 5000 * GB for name in made if made[name][0].get("PublishCloudWatchMetricsEnabled")}
        self.assertIn(("reporting", "24h"), watched)
        self.assertLessEqual(watched.items(), self.limits("second").items())
        self.assertEqual(self.workgroups(), made)
        self.assertEqual(self.all_of("first"), first)
        self.assertEqual({name: each for name, each in self.alarms().items() if not name.startswith("second-")}, alarms)
        self.assertEqual([name for name, each in self.alarms().items()
                          if name.startswith("second-") and each["MetricName"] == "ProcessedBytes"], [])
        self.check_permissions("second")
        second = self.all_of("second")

        # Updated with other quotas: everything follows.
        quotas = {"PredictableQuotaGB": "1500", "FastQueryQuotaGB": "75", "LongQueryQuotaGB": "7001",
                  "ExploratoryQuotaGB": "2001", "AdHocQuotaGB": "20"}
        self.assertEqual(self.update("first", **quotas), "UPDATE_COMPLETE")
        deployed.stack_tools.mend(self.account.client, "first")
        self.check_agreement("first", predictable=1500, fast=75, long=7001, exploratory=2001, ad_hoc=20)
        changed, first = self.workgroups(), self.all_of("first")
        others = [name for name in changed if name not in ("fast-query", "ad-hoc")]
        self.assertEqual({name: changed[name] for name in others}, {name: made[name] for name in others})
        self.assertEqual(self.all_of("second"), second)

        # An update that makes a policy which is none fails, and leaves everything as it was.
        status = self.update("first", TimeZone="Europe/Atlantis", FastQueryQuotaGB="1", ExploratoryQuotaGB="1")
        self.assertEqual(status, "UPDATE_ROLLBACK_COMPLETE")
        reasons = [each.get("ResourceStatusReason", "") for each in
                   self.cloudformation.describe_stack_events(StackName="first")["StackEvents"]]
        self.assertTrue(any("`Europe/Atlantis`" in reason for reason in reasons), reasons)
        deployed.stack_tools.mend(self.account.client, "first")
        self.assertEqual(self.all_of("first"), first)
        self.assertEqual(self.workgroups(), changed)
        self.check_agreement("first", predictable=1500, fast=75, long=7001, exploratory=2001, ad_hoc=20)

        # Deleted: what people have stays, what was the watchdog's goes.
        for name in ("predictable", "ad-hoc", "reporting"):
            self.s3.put_object(Bucket=BUCKET, Key=f"athena/{name}/0a1b.csv", Body=b"1\n")
        results, resources = self.results(), self.resources("first", "second")
        self.assertGreater(len(resources), 40)
        self.assertEqual(self.left(resources), resources)
        self.delete("second")
        self.assertEqual(self.all_of("first"), first)
        self.delete("first")
        self.assertEqual(self.workgroups(), changed)
        self.assertEqual((self.results(), len(results)), (results, 3))
        self.assertEqual(list(self.alarms()), ["reporting"])
        self.assertEqual(self.left(resources), [])

        # Deployed again into what it left behind: refused, and what is there is not touched by the rollback.
        with self.assertRaisesRegex(AssertionError, "(?is)already.*ROLLBACK_COMPLETE"):
            self.deploy("again")
        self.assertEqual(self.workgroups(), changed)
        self.assertEqual(list(self.alarms()), ["reporting"])

    def check_permissions(self, stack):
        """The table of permissions for a stack with federated queries switched on."""
        at, policies = self.account.place(stack), self.account.policies(stack)
        people = [
            permissions.Situation(), permissions.Situation(("exploratory",)),
            permissions.Situation(("ad-hoc",), permissions.FULL),
        ]
        for connector in ("athena-dynamodb", "athena-jdbc-oracle"):
            tried = permissions.attempts(at, LAMBDA + connector, "arn:aws:s3:::spill/athena/0a1b")
            cells = [(who, each) for who in people for each in tried if each.workgroup in (None, "exploratory", "primary")]
            self.assertEqual(test_permissions.wrong(test_permissions.decide(at, policies, cells)), [])
        for name, document in policies.items():
            size = test_permissions.size(test_permissions.longest(at, document))
            self.assertLessEqual(size, test_permissions.LARGEST_POLICY, name)

    def resources(self, *stacks):
        """`(type, physical id)` of everything that is in them and is to go with them."""
        # What stays; what is a setting of the function; what is nothing outside of CloudFormation.
        others = ("AWS::Athena::WorkGroup", "AWS::Lambda::EventInvokeConfig", "Custom::PolicyLimits")
        found = []
        for stack in stacks:
            for page in self.cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
                found += [(each["ResourceType"], each["PhysicalResourceId"]) for each in page["StackResourceSummaries"]
                          if each["ResourceType"] not in others]
        return found

    def left(self, resources):
        """What of them is still there. A type that is not looked for here is a failure, so that none is forgotten."""
        client = self.account.client

        def names(service, operation, key, name=None):
            pages = client(service).get_paginator(operation).paginate()
            return {each[name] if name else each for page in pages for each in page[key]}

        there = {
            "AWS::Lambda::Function": names("lambda", "list_functions", "Functions", "FunctionName"),
            "AWS::IAM::Role": names("iam", "list_roles", "Roles", "RoleName"),
            "AWS::IAM::ManagedPolicy": names("iam", "list_policies", "Policies", "Arn"),
            "AWS::Logs::LogGroup": names("logs", "describe_log_groups", "logGroups", "logGroupName"),
            "AWS::DynamoDB::Table": names("dynamodb", "list_tables", "TableNames"),
            "AWS::SSM::Parameter": names("ssm", "describe_parameters", "Parameters", "Name"),
            # The local AWS names itself differently in the two.
            "AWS::SQS::Queue": {url.rpartition("/")[2] for url in client("sqs").list_queues().get("QueueUrls", [])},
            "AWS::SNS::Topic": names("sns", "list_topics", "Topics", "TopicArn"),
            "AWS::SNS::Subscription": names("sns", "list_subscriptions", "Subscriptions", "SubscriptionArn"),
            "AWS::CloudWatch::Alarm": set(self.alarms()),
            "AWS::CloudWatch::Dashboard": {
                each["DashboardName"] for each in self.account.client("cloudwatch").list_dashboards()["DashboardEntries"]
            },
            "AWS::Scheduler::Schedule": names("scheduler", "list_schedules", "Schedules", "Name"),
        }
        return [(kind, name) for kind, name in resources if name in there[kind] or name.rpartition("/")[2] in there[kind]]


if __name__ == "__main__":
    unittest.main()
