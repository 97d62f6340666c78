"""Who may do what: the situations a person can be in, what they can try, and a rule that says what must come of it.

The rule is written down here from what the policies are for, and knows nothing of their text. `test_permissions.py` holds
it against what an IAM policy simulator says of the documents that the stack has put into IAM.
"""

from dataclasses import dataclass, field
from itertools import combinations

FIVE = ("predictable", "fast-query", "long-query", "exploratory", "ad-hoc")
# What every account has, and what some team made for itself.
OTHERS = ("primary", "reporting")
WORKGROUPS = (*FIVE, *OTHERS)

# A decision of IAM. The last two differ where one more policy is attached: `no` may become `yes`, `never` stays.
YES, NO, NEVER = "yes", "no", "never"

# What spends a workgroup's quota, meddles with what its users do, or reads what came of it: only where it was given.
SPENDING = (
    "StartQueryExecution", "StopQueryExecution", "GetQueryResults", "GetQueryResultsStream", "CreateNamedQuery",
    "UpdateNamedQuery", "DeleteNamedQuery", "CreatePreparedStatement", "UpdatePreparedStatement", "DeletePreparedStatement",
)
# The same for Spark, which none of the five workgroups is for: no policy gives it.
SPARK = (
    "StartSession", "TerminateSession", "StartCalculationExecution", "StopCalculationExecution", "CreateNotebook",
    "ImportNotebook", "UpdateNotebook", "UpdateNotebookMetadata", "DeleteNotebook", "CreatePresignedNotebookUrl",
)
# Looking costs nothing: given for the own workgroup, and not taken away from those who have it by another policy.
LOOKING = ("GetWorkGroup", "GetQueryExecution", "ListQueryExecutions", "ListTagsForResource")
# What would lift a limit, or be a way around it: for nobody whom the watchdog's policies confine.
CHANGING = ("CreateWorkGroup", "UpdateWorkGroup", "DeleteWorkGroup", "TagResource", "UntagResource")
RESERVING = (
    "CreateCapacityReservation", "UpdateCapacityReservation", "CancelCapacityReservation", "DeleteCapacityReservation",
    "PutCapacityAssignmentConfiguration",
)
ALARM = (
    "PutMetricAlarm", "PutCompositeAlarm", "DeleteAlarms", "DisableAlarmActions", "SetAlarmState", "TagResource",
    "UntagResource",
)
TABLE = (
    "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete", "UpdateTable",
    "DeleteTable",
)
PARAMETER = ("PutParameter", "DeleteParameter", "DeleteParameters")
TAGGING = ("iam:TagUser", "iam:UntagUser", "iam:CreateUser", "iam:TagRole", "iam:UntagRole", "iam:CreateRole", "sts:TagSession")
GLUE_READS = ("GetDatabase", "GetTable", "GetTables", "GetPartitions", "BatchGetPartition")
GLUE_WRITES = ("CreateTable", "UpdateTable", "DeleteTable", "CreateDatabase", "DeleteDatabase")


@dataclass(frozen=True)
class Place:
    """Where a stack is, as far as ARNs say."""

    account: str
    region: str
    stack: str
    table: str
    policy_path: str
    log_group: str
    queue: str
    bucket: str
    # What stands before the workgroup's own folder in the bucket, with a slash at its end.
    below: str

    def arn(self, service, rest):
        return f"arn:aws:{service}:{self.region}:{self.account}:{rest}"

    def workgroup(self, name):
        return self.arn("athena", f"workgroup/{name}")


@dataclass(frozen=True)
class Attempt:
    """Something that a person tries."""

    # Under which name the documentation sums it up.
    group: str
    action: str
    resource: str
    # Why it is or is not allowed; see `expected`.
    kind: str
    workgroup: str = None
    # Whether AmazonAthenaFullAccess allows it.
    in_full_access: bool = False
    context: dict = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Situation:
    """What is attached to a person."""

    # The workgroups whose policies they hold.
    given: tuple = ()
    # `AmazonAthenaFullAccess`, `everything` (`*` on `*`) or none.
    base: str = None
    # The workgroups that the principal's tags `athena-workgroup-1` and on name.
    tags: tuple = ()
    # Whether the confinement policy is attached.
    confined: bool = False

    def policies(self):
        """The names of the documents."""
        return [*self.given, *(["confinement"] if self.confined else []), *([self.base] if self.base else [])]

    def context(self):
        return {f"aws:PrincipalTag/athena-workgroup-{number}": name for number, name in enumerate(self.tags, 1)}


def expected(who, attempt):
    """What must come of it.

    A policy of the watchdog lets be its own workgroup and those that the tags name, and denies every other; several of
    them leave what all of them let be. Changing workgroups, limits and tags is denied by any of them. What is not denied
    has to be given: by a policy for its own workgroup, or by whatever else is attached.
    """
    left = [{name, *who.tags} for name in who.given] + ([set(who.tags)] if who.confined else [])
    if left:
        if attempt.kind in ("spend", "spark") and not all(attempt.workgroup in each for each in left):
            return NEVER
        if attempt.kind == "change":
            return NEVER
    if who.base == "everything" or (who.base == "AmazonAthenaFullAccess" and attempt.in_full_access):
        return YES
    if attempt.kind in ("spend", "look", "results"):
        return YES if attempt.workgroup in who.given else NO
    return YES if attempt.kind == "read" and who.given else NO


def attempts(at, connector=None, spill=None):
    """Everything that is tried, in the order of the documentation.

    `connector` is the ARN of a connector that the stack switches on, `spill` that of an object below its spill location.
    """
    found = []
    for name in WORKGROUPS:
        for group, kind, actions in (
            ("use it", "spend", SPENDING), ("use Spark in it", "spark", SPARK), ("look at it", "look", LOOKING),
            ("change it", "change", CHANGING),
        ):
            found += [Attempt(group, f"athena:{each}", at.workgroup(name), kind, name, True) for each in actions]
        bucket, folder = f"arn:aws:s3:::{at.bucket}", f"{at.below}{name}/"
        group = "read and write its results"
        found += [
            Attempt(group, "s3:PutObject", f"{bucket}/{folder}0a1b.csv", "results", name),
            Attempt(group, "s3:GetObject", f"{bucket}/{folder}0a1b.csv", "results", name),
            # FullAccess lists every bucket, but reads and writes only those that are named after Athena.
            Attempt(group, "s3:ListBucket", bucket, "results", name, True, {"s3:prefix": folder}),
        ]
    return found + apart(at, connector, spill)


def apart(at, connector, spill):
    """What is tried that is not about one workgroup."""
    found = []

    def add(group, action, resource, kind, in_full_access=False, context=None):
        found.append(Attempt(group, action, resource, kind, None, in_full_access, context or {}))

    group = "find workgroups and catalogs"
    add(group, "athena:ListWorkGroups", "*", "read", True)
    add(group, "athena:GetTableMetadata", at.arn("athena", "datacatalog/AwsDataCatalog"), "read", True)
    add(group, "lakeformation:GetDataAccess", "*", "read", True)
    for group, kind, actions in (
        ("read table definitions", "read", GLUE_READS), ("write table definitions", "none", GLUE_WRITES),
    ):
        for action in actions:
            what = "database/sales" if "Database" in action else "table/sales/orders"
            add(group, f"glue:{action}", at.arn("glue", what), kind, True)
    add("list the whole bucket of results", "s3:ListBucket", f"arn:aws:s3:::{at.bucket}", "none", True, {"s3:prefix": ""})
    add("list the whole bucket of results", "s3:ListBucket", f"arn:aws:s3:::{at.bucket}", "none", True, {"s3:prefix": at.below})
    for name in FIVE:
        context = {"s3:prefix": f"{at.below}{name}/"}
        add("list another bucket", "s3:ListBucket", "arn:aws:s3:::payments", "none", True, context)
    elsewhere = at.arn("glue", "table/sales/orders").replace(at.region, "us-gov-west-1")
    add("read table definitions of another Region", "glue:GetTable", elsewhere, "none", True)
    group, switched_on = "run federated connectors", "read" if connector else "none"
    add(group, "lambda:InvokeFunction", connector or at.arn("lambda", "function:athena-dynamodb"), switched_on)
    add(group, "athena:GetDataCatalog", at.arn("athena", "datacatalog/orders"), switched_on, True)
    for action in ("s3:PutObject", "s3:GetObject"):
        add(group, action, spill or "arn:aws:s3:::spill/athena/0a1b", "read" if spill else "none")
    add("run other Lambda functions", "lambda:InvokeFunction", at.arn("lambda", "function:payments"), "none")
    for action in RESERVING:
        add("change capacity reservations", f"athena:{action}", at.arn("athena", "capacity-reservation/more"), "change", True)
    for action in ALARM:
        alarm = at.arn("cloudwatch", f"alarm:{at.stack}-ExploratoryLimitAlarm-1A2B3C")
        add("change the stack's alarms", f"cloudwatch:{action}", alarm, "change", action in ("PutMetricAlarm", "DeleteAlarms"))
    add("delete other alarms", "cloudwatch:DeleteAlarms", at.arn("cloudwatch", "alarm:other"), "none", True)
    for action in PARAMETER:
        add("change the watchdog's policy", f"ssm:{action}", at.arn("ssm", f"parameter{at.policy_path}/10-mine"), "change")
    add("change other parameters", "ssm:PutParameter", at.arn("ssm", "parameter/other"), "none")
    for action in TABLE:
        add("write to the state table", f"dynamodb:{action}", at.arn("dynamodb", f"table/{at.table}"), "change")
    for action in TAGGING:
        resource = f"arn:aws:iam::{at.account}:{'user/ann' if action.endswith('User') else 'role/analyst'}"
        # IAM takes the keys of tags in any case.
        for keys in (["athena-workgroup-1"], ["team", "Athena-Workgroup-5"]):
            add("give workgroups by tags", action, resource, "change", context={"aws:TagKeys": keys})
        add("set other tags", action, resource, "none", context={"aws:TagKeys": ["team"]})
    return found


# One or more of each kind: what is tried where the whole list would only repeat itself.
TELLING = {
    "athena:StartQueryExecution", "athena:StopQueryExecution", "athena:CreateNamedQuery", "athena:CreatePreparedStatement",
    "athena:StartSession", "athena:GetQueryResults", "athena:GetWorkGroup", "athena:CreateWorkGroup", "athena:UpdateWorkGroup",
    "athena:DeleteWorkGroup", "athena:TagResource", "athena:UntagResource", "s3:PutObject", "s3:GetObject", "s3:ListBucket",
    "athena:ListWorkGroups", "glue:GetTable", "glue:CreateTable", "lambda:InvokeFunction", "cloudwatch:PutMetricAlarm",
    "cloudwatch:DeleteAlarms", "ssm:PutParameter", "dynamodb:PutItem", "iam:TagUser", "sts:TagSession",
}


def telling(found):
    return [each for each in found if each.action in TELLING]


FULL = "AmazonAthenaFullAccess"
PAIRS = tuple(combinations(FIVE, 2))
# Each of the five with the next workgroup.
NEIGHBOURS = tuple(zip(FIVE, WORKGROUPS[1:]))


def situations():
    """`(title, what to know, situations)`: each is a table of the documentation, whose situations must agree."""
    return [
        ("None of the policies", "", [Situation()]),
        (f"None of the policies, beside `{FULL}`", "The default right, which the policies take away.", [Situation(base=FULL)]),
        ("One policy", "", [Situation((name,)) for name in FIVE]),
        (f"One policy, beside `{FULL}`", "", [Situation((name,), FULL) for name in FIVE]),
        ("One policy, beside one that allows everything", "`*` on `*`: what is `never` here, no policy gives.",
         [Situation((name,), "everything") for name in FIVE]),
        ("Two policies, and the tags that name both workgroups", "", [Situation(pair, None, pair) for pair in PAIRS]),
        ("Two policies without the tags", "They deny each other's workgroup: nothing is left, rather than too much.",
         [Situation(pair) for pair in PAIRS]),
        (f"Two policies and the tags, beside `{FULL}`", "", [Situation(pair, FULL, pair) for pair in PAIRS]),
        (f"Two policies without the tags, beside `{FULL}`", "", [Situation(pair, FULL) for pair in PAIRS]),
        ("All five policies and their tags", "", [Situation(FIVE, None, FIVE)]),
        (f"The confinement policy, beside `{FULL}`", "", [Situation((), FULL, (), True)]),
        (f"The confinement policy and a tag, beside `{FULL}`", "The tag names one workgroup.",
         [Situation((), FULL, (name,), True) for name in WORKGROUPS]),
        ("The confinement policy, beside one that allows everything", "", [Situation((), "everything", (), True)]),
        ("The confinement policy and a tag, and nothing else", "A tag gives no right; it takes the denial away.",
         [Situation((), None, (name,), True) for name in FIVE]),
        ("One policy, and a tag that names another workgroup", "The same: the other workgroup is not denied, and not given.",
         [Situation((one,), None, (other,)) for one, other in NEIGHBOURS]),
        ("One policy and a tag that names another workgroup, beside `" + FULL + "`", "",
         [Situation((one,), FULL, (other,)) for one, other in NEIGHBOURS]),
    ]


# The tables in which everything is tried.
IN_FULL = ("None of the policies", "One policy", "One policy, beside one that allows everything",
           "The confinement policy, beside one that allows everything")


def requests(at, cells):
    """What the simulator is asked for `(situation, attempt)`."""
    return [
        {
            "principal": f"arn:aws:iam::{at.account}:user/ann", "account": at.account, "action": tried.action,
            "resource": tried.resource, "context": {**who.context(), **tried.context}, "policies": who.policies(),
        }
        for who, tried in cells
    ]
