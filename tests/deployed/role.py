"""What the function's role must allow, and what it must not: the second half of the table of permissions."""

from dataclasses import dataclass, field

from permissions import NO, WORKGROUPS, YES


@dataclass(frozen=True)
class Call:
    """A call that the function could make."""

    action: str
    # What it is about, in words.
    on: str
    resource: str
    expected: str
    context: dict = field(default_factory=dict, hash=False)


def calls(at, sender, domain):
    """Every call that the function makes, and those that somebody who takes it over would like to make."""
    found = []

    def may(action, on, resource, context=None):
        found.append(Call(action, on, resource, YES, context or {}))

    def must_not(action, on, resource, context=None):
        found.append(Call(action, on, resource, NO, context or {}))

    table, queue = at.arn("dynamodb", f"table/{at.table}"), at.arn("sqs", at.queue)
    log = at.arn("logs", f"log-group:{at.log_group}")
    stream = f"{log}:log-stream:2026/11/25/[$LATEST]1"
    policy = at.arn("ssm", f"parameter{at.policy_path}")
    identity = at.arn("ses", f"identity/{sender.partition('@')[2]}")

    may("cloudwatch:GetMetricData", "any metric", "*")
    may("cloudwatch:ListMetrics", "any metric", "*")
    may("athena:ListWorkGroups", "the account", "*")
    for name in WORKGROUPS:
        may("athena:GetWorkGroup", f"`{name}`", at.workgroup(name))
        for action in ("BatchGetQueryExecution", "ListQueryExecutions"):
            may(f"athena:{action}", f"`{name}`", at.workgroup(name))
    must_not("athena:GetWorkGroup", "another Region", at.workgroup("primary").replace(at.region, "us-gov-west-1"))
    for action in ("BatchGetQueryExecution", "ListQueryExecutions"):
        must_not(f"athena:{action}", "another Region", at.workgroup("primary").replace(at.region, "us-gov-west-1"))
    may("servicequotas:GetServiceQuota", "any quota", "*")
    may("servicequotas:GetAWSDefaultServiceQuota", "any default quota", "*")
    must_not("servicequotas:RequestServiceQuotaIncrease", "a quota it reads", at.arn("servicequotas", "athena/L-FC5F6546"))
    reservation = at.arn("athena", "capacity-reservation/etl")
    may("athena:ListCapacityReservations", "the account", "*")
    may("athena:GetCapacityAssignmentConfiguration", "a capacity reservation", reservation)
    for action in ("CancelCapacityReservation", "UpdateCapacityReservation", "PutCapacityAssignmentConfiguration"):
        must_not(f"athena:{action}", "a capacity reservation", reservation)
    may("ssm:GetParametersByPath", "the policy", policy)
    may("cloudtrail:LookupEvents", "the account", "*")
    may("iam:ListUserTags", "a user", f"arn:aws:iam::{at.account}:user/ann")
    must_not("iam:ListUserTags", "a user of another partition", f"arn:aws-cn:iam::{at.account}:user/ann")
    for action in ("BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem"):
        may(f"dynamodb:{action}", "the state table", table)
    for to, whom in ((f"ann@{domain}", "an allowed domain"), (f"Ann.O@{domain}", "an allowed domain, capitals before the @")):
        may("ses:SendRawEmail", f"from the sender to {whom}", identity, {"ses:FromAddress": sender, "ses:Recipients": [to]})
    may("logs:CreateLogStream", "its own log", stream)
    may("logs:PutLogEvents", "its own log", stream)
    may("sqs:SendMessage", "its dead-letter queue", queue)

    def mail(on, sender, *to):
        must_not("ses:SendRawEmail", on, identity, {"ses:FromAddress": sender, "ses:Recipients": list(to)})

    mail("from the sender to another domain", sender, "ann@elsewhere.example")
    mail("from the sender to a domain below an allowed one", sender, f"ann@mail.{domain}")
    mail("from the sender to a domain that ends like an allowed one", sender, f"ann@evil{domain}")
    mail("from the sender to an allowed and another domain", sender, f"ann@{domain}", "ann@elsewhere.example")
    mail("from another address", f"ceo@{domain}", f"ann@{domain}")
    must_not("ses:SendRawEmail", "from the sender to an allowed domain, in another Region",
             identity.replace(at.region, "us-gov-west-1"), {"ses:FromAddress": sender, "ses:Recipients": [f"ann@{domain}"]})
    must_not("ses:SendEmail", "from the sender to an allowed domain", identity,
             {"ses:FromAddress": sender, "ses:Recipients": [f"ann@{domain}"]})
    must_not("ses:VerifyEmailIdentity", "any address", "*")
    for action in ("StartQueryExecution", "StopQueryExecution", "GetQueryResults", "UpdateWorkGroup", "DeleteWorkGroup"):
        must_not(f"athena:{action}", "any workgroup", at.workgroup("exploratory"))
    for action in ("GetParametersByPath", "GetParameter"):
        must_not(f"ssm:{action}", "other parameters", at.arn("ssm", "parameter/prod/password"))
    must_not("ssm:GetParametersByPath", "another stack's policy", at.arn("ssm", "parameter/athena-quota-watchdog/other/policy"))
    must_not("ssm:PutParameter", "the policy", f"{policy}/10-mine")
    for action in ("BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem"):
        must_not(f"dynamodb:{action}", "another table", at.arn("dynamodb", "table/orders"))
    must_not("dynamodb:DeleteTable", "the state table", table)
    for action in ("PutMetricAlarm", "DeleteAlarms"):
        must_not(f"cloudwatch:{action}", "the stack's alarms", at.arn("cloudwatch", f"alarm:{at.stack}-SilenceAlarm-1A2B3C"))
    must_not("logs:PutLogEvents", "another log", at.arn("logs", "log-group:/aws/lambda/payments:log-stream:1"))
    must_not("sqs:SendMessage", "another queue", at.arn("sqs", "payments"))
    must_not("sqs:ReceiveMessage", "its dead-letter queue", queue)
    bucket = f"arn:aws:s3:::{at.bucket}"
    for action in ("GetObject", "PutObject"):
        must_not(f"s3:{action}", "results of queries", f"{bucket}/{at.below}x")
    must_not("s3:ListBucket", "results of queries", bucket)
    must_not("glue:GetTable", "any table", at.arn("glue", "table/sales/orders"))
    user, role = f"arn:aws:iam::{at.account}:user/ann", f"arn:aws:iam::{at.account}:role/admin"
    for action, resource in (
        ("AttachUserPolicy", user), ("PutRolePolicy", role), ("TagUser", user), ("PassRole", role), ("CreateAccessKey", user),
    ):
        must_not(f"iam:{action}", "anyone", resource)
    must_not("sts:AssumeRole", "another role", role)
    must_not("lambda:InvokeFunction", "any function", at.arn("lambda", "function:payments"))
    must_not("lambda:UpdateFunctionCode", "any function", at.arn("lambda", "function:payments"))
    return found


def merged(documents):
    """The role's documents as one."""
    return {"Version": "2012-10-17", "Statement": [each for one in documents.values() for each in one["Statement"]]}


def requests(at, found):
    """What the simulator is asked about the document `role`."""
    return [
        {
            "principal": f"arn:aws:iam::{at.account}:role/watchdog", "account": at.account, "action": each.action,
            "resource": each.resource, "context": each.context, "policies": ["role"],
        }
        for each in found
    ]
