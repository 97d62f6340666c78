"""Least privilege of what is deployed: what the functions of these tests have called, against what their role may.

It is run after all the others. `tools/recorder.py` has seen every call of a deployed function on its way, whatever the local AWS made of it; the role is
read back from IAM. Of the same in process, `tests/all/faults/permitted.rs`; whether a permission reaches what is meant and no more is decided by a simulator
in `test_permissions.py`.
"""

import json
import os
import re
import unittest
from pathlib import Path

import deployed

# Is signed by whoever asks for a grant, and only handed on by the function; AWS permits it to everybody.
OF_WHO_ASKS = "sts:GetCallerIdentity"
# Actions of the role that no call here can show, each with the reason. One that is called after all must go.
NOT_SHOWN = {
    "athena:GetCapacityAssignmentConfiguration": "is asked about each capacity reservation, and the local AWS has none",
    "servicequotas:GetAWSDefaultServiceQuota": "is asked where Service Quotas says that the account has no value of its own, and the local AWS has no Service Quotas",
    "logs:CreateLogStream": "is Lambda's own call in the name of the role; the local AWS writes logs without asking",
    "logs:PutLogEvents": "is Lambda's own call in the name of the role; the local AWS writes logs without asking",
    "sqs:SendMessage": "is Lambda's own call in the name of the role; the local AWS sends to queues without asking",
}
# What AWS's service authorization reference lets each action be narrowed to, as an ARN after the account; `None` where it knows no resource, so that
# anything but `*` would permit nothing.
NARROWS_TO = {
    "athena:BatchGetQueryExecution": "workgroup/",
    "athena:GetCapacityAssignmentConfiguration": "capacity-reservation/",
    "athena:GetWorkGroup": "workgroup/",
    "athena:ListCapacityReservations": None,
    "athena:ListQueryExecutions": "workgroup/",
    "athena:ListWorkGroups": None,
    "athena:UpdateWorkGroup": "workgroup/",
    "cloudtrail:LookupEvents": None,
    "cloudwatch:GetMetricData": None,
    "cloudwatch:ListMetrics": None,
    "dynamodb:BatchGetItem": "table/",
    "dynamodb:DeleteItem": "table/",
    "dynamodb:PutItem": "table/",
    "dynamodb:Query": "table/",
    "dynamodb:UpdateItem": "table/",
    "iam:ListUserTags": "user/",
    "logs:CreateLogStream": "log-group:",
    "logs:PutLogEvents": "log-group:",
    "servicequotas:GetAWSDefaultServiceQuota": None,
    "servicequotas:GetServiceQuota": None,
    "ses:SendRawEmail": "(identity|configuration-set)/",
    "sqs:SendMessage": "",
    "ssm:GetParametersByPath": "parameter/",
}


def listed(value):
    return [value] if isinstance(value, str) else value


class LeastPrivilegeTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        account, stack = deployed.Account(), os.environ["WATCHDOG_STACK"]
        documents, cls.attached = account.role(stack)
        cls.at = account.place(stack)
        cls.statements = [each for document in documents.values() for each in document["Statement"]]
        cls.allowed = {action for each in cls.statements if each["Effect"] == "Allow" for action in listed(each["Action"])}
        lines = Path(os.environ["WATCHDOG_CALLS"]).read_text().splitlines()
        cls.calls = [call for call in map(json.loads, lines) if call["action"] != OF_WHO_ASKS]
        cls.called = {call["action"] for call in cls.calls}

    def test_every_call_has_its_permission(self):
        print(f"{len(self.calls)} calls of deployed functions, {len(self.called)} kinds")
        self.assertEqual(self.called - self.allowed, set(), "called, and not in FunctionRole of template.yaml")

    def test_every_permission_has_its_call_or_its_reason(self):
        self.assertEqual(self.attached, [], "managed policies on the function's role")
        self.assertEqual(
            self.allowed - self.called, set(NOT_SHOWN), "permitted, and never called: take it out of FunctionRole, or let a test here make the call"
        )

    def test_no_call_was_refused(self):
        self.assertEqual({call["action"] for call in self.calls if call["refused"]}, set(), "refused by the local AWS's IAM")

    def test_every_call_was_made_in_the_name_of_a_role(self):
        # Keys of a session begin so; the account's own is its number.
        self.assertEqual({call["key"] for call in self.calls if not call["key"].startswith("ASIA")}, set())

    def test_every_permission_is_as_narrow_as_aws_lets_it_be(self):
        self.assertEqual(self.allowed, set(NARROWS_TO), "an action of which it is not written here what it can be narrowed to")
        for statement in self.statements:
            for action in listed(statement["Action"]):
                service, narrows_to = action.partition(":")[0], NARROWS_TO[action]
                region = "" if service == "iam" else re.escape(self.at.region)
                pattern = r"\*" if narrows_to is None else rf"arn:aws:{service}:{region}:{self.at.account}:{narrows_to}.+"
                for resource in listed(statement["Resource"]):
                    self.assertRegex(resource, rf"\A{pattern}\Z", f"{statement['Sid']}: {action}")


if __name__ == "__main__":
    unittest.main()
