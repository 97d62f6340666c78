"""The local AWS as it is found in the environment, and stacks on it. `tools/localaws.py run` sets both up."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import install
import permissions
import stack as stack_tools


class Account:
    """An AWS account on the local AWS: by default the one that the stack under test is deployed in."""

    def __init__(self, number=None):
        if "WATCHDOG_STACK" not in os.environ:
            raise RuntimeError("`WATCHDOG_STACK` is not set: these tests are run by `make test`")
        self.number = number or os.environ["AWS_ACCESS_KEY_ID"]
        self.region = os.environ["AWS_REGION"]

    def client(self, service):
        # Twelve digits as an access key are the account. `proxies={}`: the endpoint is on this machine.
        return boto3.client(
            service, endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name=self.region, aws_access_key_id=self.number,
            aws_secret_access_key="test", config=Config(proxies={}, retries={"max_attempts": 3}),
        )

    def environment(self):
        """The environment for a program that is to work in this account."""
        return {**os.environ, "AWS_ACCESS_KEY_ID": self.number}

    def stack(self, name):
        """What CloudFormation says of a stack."""
        return self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]

    def deploy(self, stack, artifacts, parameters):
        """`sam deploy`, as for a real account."""
        overrides = [f"{name}={json.dumps(value)}" for name, value in parameters.items()]
        done = subprocess.run(
            [str(install.program("sam", "sam")), "deploy", "--config-env", "local", "--no-progressbar",
             "--stack-name", stack, "--s3-bucket", artifacts, "--parameter-overrides", *overrides],
            cwd=ROOT, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        if done.returncode != 0:
            raise AssertionError(f"`sam deploy` of {stack}:\n{done.stdout}")
        stack_tools.mend(self.client, stack)

    def outputs(self, name):
        return {each["OutputKey"]: each["OutputValue"] for each in self.stack(name)["Outputs"]}

    def parameters(self, name):
        return {each["ParameterKey"]: each["ParameterValue"] for each in self.stack(name)["Parameters"]}

    def resource(self, stack, logical_id):
        """The physical id of a stack's resource."""
        detail = self.client("cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
        return detail["StackResourceDetail"]["PhysicalResourceId"]

    def place(self, stack):
        """What the ARNs in a stack's policies are made of."""
        outputs = self.outputs(stack)
        bucket, _, below = self.parameters(stack)["QueryResultsLocation"].removeprefix("s3://").partition("/")
        return permissions.Place(
            account=self.number, region=self.region, stack=stack, table=outputs["StateTableName"],
            policy_path=outputs["PolicyPath"], log_group=outputs["LogGroupName"],
            queue=outputs["DeadLetterQueueUrl"].rpartition("/")[2], bucket=bucket, below=below.rstrip("/") + "/" if below else "",
        )

    def policies(self, stack):
        """The text of the stack's managed policies as IAM has it, by the name that `permissions` calls it."""
        outputs, iam, found = self.outputs(stack), self.client("iam"), {}
        for name in (*permissions.FIVE, "confinement"):
            arn = outputs["".join(word.capitalize() for word in name.split("-")) + "PolicyArn"]
            version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
            document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
            found[name] = json.loads(document) if isinstance(document, str) else document
        return found

    def role(self, stack):
        """The documents of the function's role, by name, and whether anything else is attached to it."""
        iam, role = self.client("iam"), self.resource(stack, "FunctionRole")
        names = [name for name in iam.list_role_policies(RoleName=role)["PolicyNames"] if name != stack_tools.MENDED]
        documents = {name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names}
        return documents, iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]


def wait_for(ask, seconds=60):
    """Asks again and again until there is an answer."""
    until = time.monotonic() + seconds
    while (found := ask()) is None:
        if time.monotonic() > until:
            raise TimeoutError(f"no answer after {seconds} s")
        time.sleep(0.2)
    return found


def simulate(documents, requests):
    """What the simulator decides: `yes`, `no` or `never` for each request, whose policies are names of documents."""
    words = {"Allowed": permissions.YES, "ImplicitlyDenied": permissions.NO, "ExplicitlyDenied": permissions.NEVER}

    def run(part):
        done = subprocess.run(
            install.simulator(), input=json.dumps({"documents": documents, "requests": part}), capture_output=True, text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"the IAM simulator:\n{done.stderr}")
        return [words[answer] for answer in json.loads(done.stdout)]

    # A decision takes it milliseconds, so every processor has its share.
    size = -(-len(requests) // (os.cpu_count() or 1)) or 1
    parts = [requests[at:at + size] for at in range(0, len(requests), size)]
    with ThreadPoolExecutor() as pool:
        return [each for part in pool.map(run, parts) for each in part]
