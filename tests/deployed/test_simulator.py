"""Whether the IAM simulator can do what the table of permissions takes for granted. Each is IAM's documented behaviour."""

import unittest

import deployed
from permissions import NEVER, NO, YES

BELOW = "arn:aws:athena:eu-central-1:123456789012:workgroup/"


class SimulatorTest(unittest.TestCase):
    def check(self, statement, action, resource, context, decision):
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        statements = [statement, everything] if statement["Effect"] == "Deny" else [statement]
        document = {"Version": "2012-10-17", "Statement": statements}
        request = {"principal": "arn:aws:iam::123456789012:user/ann", "account": "123456789012", "action": action,
                   "resource": resource, "context": context, "policies": ["one"]}
        self.assertEqual(deployed.simulate({"one": document}, [request]), [decision], (resource, context))

    def test_a_variable_has_its_default_where_the_tag_is_absent(self):
        deny = {"Effect": "Deny", "Action": "athena:StartQueryExecution",
                "NotResource": [BELOW + "${aws:PrincipalTag/athena-workgroup-1, 'own'}"]}
        tagged = {"aws:PrincipalTag/athena-workgroup-1": "given"}
        for name, context, decision in (
            ("own", {}, YES), ("other", {}, NEVER), ("given", tagged, YES), ("own", tagged, NEVER), ("given2", tagged, NEVER),
            # The keys of conditions, and with them those of tags, are the same in any case.
            ("given", {"aws:principaltag/Athena-Workgroup-1": "given"}, YES),
            # What a tag holds is text, not a pattern.
            ("other", {"aws:PrincipalTag/athena-workgroup-1": "*"}, NEVER),
        ):
            self.check(deny, "athena:StartQueryExecution", BELOW + name, context, decision)

    def test_conditions_on_several_values(self):
        user = "arn:aws:iam::123456789012:user/ann"
        deny = {"Effect": "Deny", "Action": "iam:TagUser", "Resource": "*",
                "Condition": {"ForAnyValue:StringEqualsIgnoreCase": {"aws:TagKeys": ["one", "two"]}}}
        for keys, decision in ((["two"], NEVER), (["three", "ONE"], NEVER), (["three"], YES)):
            self.check(deny, "iam:TagUser", user, {"aws:TagKeys": keys}, decision)
        allow = {"Effect": "Allow", "Action": "ses:SendRawEmail", "Resource": "*",
                 "Condition": {"ForAllValues:StringLike": {"ses:Recipients": ["*@example.com"]}}}
        identity = "arn:aws:ses:eu-central-1:123456789012:identity/example.com"
        for to, decision in ((["a@example.com"], YES), (["a@example.com", "a@example.org"], NO)):
            self.check(allow, "ses:SendRawEmail", identity, {"ses:Recipients": to}, decision)

    def test_what_it_cannot_judge_is_no_decision(self):
        allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        for action, resource, context, said in (
            ("athena:StartAQuery", BELOW + "own", {}, "invalid.action"),
            ("athena:StartQueryExecution", "arn:aws:s3:::bucket", {}, "resource"),
            ("athena:StartQueryExecution", BELOW + "own", {"s3:prefix": "x"}, "knows no s3:prefix"),
        ):
            with self.assertRaisesRegex(RuntimeError, said):
                self.check(allow, action, resource, context, YES)
        with self.assertRaisesRegex(RuntimeError, "policies? ?errors?|identityPolicyErrors"):
            self.check({"Effect": "Allow", "Actions": "*", "Resource": "*"}, "athena:ListWorkGroups", "*", {}, YES)


if __name__ == "__main__":
    unittest.main()
