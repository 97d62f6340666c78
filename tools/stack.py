"""The local AWS with the deployed stack, for the length of a `with` block; and what it takes to get there."""

import json
import os
import platform
import re
import shutil
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import install
import mailbox
import progress
import recorder

ROOT = install.ROOT
LOCAL = ROOT / ".local"
LOGS = LOCAL / "logs"
MAILS = LOCAL / "mails"
CALLS = LOCAL / "calls.jsonl"

# The port that tools expect a local AWS on; another one is taken where it is busy.
USUAL_PORT = 4566
# The local AWS starts in under a second; this is for a machine under load.
START_SECONDS = 60
# AWS's documentation account. As an access key id, twelve digits are the account for the local AWS.
ACCOUNT = "123456789012"
# What `mend` adds to the function's role is under this name.
MENDED = "local-aws-only"


class LocalAwsFailed(Exception):
    """The local AWS did not come up, or does not hold what it should."""


def settings():
    """What samconfig.toml says of the local deployment: one home for region, stack and addresses."""
    text = (ROOT / "samconfig.toml").read_text().partition("[local.deploy.parameters]")[2]

    def value(pattern):
        found = re.search(pattern, text, re.MULTILINE)
        if not found:
            raise LocalAwsFailed(f"samconfig.toml, [local.deploy.parameters]: nothing matches `{pattern}`")
        return found.group(1)

    return {
        "region": value(r'^region = "(.+)"'),
        "stack": value(r'^stack_name = "(.+)"'),
        "artifacts": value(r'^s3_bucket = "(.+)"'),
        "sender": value(r'"SenderEmail=(.+)"'),
        "results": value(r'"QueryResultsLocation=s3://([^/"]+)'),
    }


def clean_environment():
    """The caller's environment without anything that could lead to a real AWS account or around to a proxy."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_"))}
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        environment[name] = os.devnull
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = f"127.0.0.1,{recorder.HOST},localhost"
    environment["AWS_EC2_METADATA_DISABLED"] = "true"
    environment["SAM_CLI_TELEMETRY"] = "0"
    # The SAM CLI finds cargo-lambda, and cargo-lambda its zig, on the PATH.
    environment["PATH"] = os.pathsep.join([str(install.environment("sam") / "bin"), environment.get("PATH", os.defpath)])
    return environment


def check_machine():
    """The function that ships is a Linux program for x86-64, and the local AWS runs it as it is."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise LocalAwsFailed(
            "the local AWS runs the function as it ships, a Linux program for x86-64; "
            f"this is {platform.system()} on {platform.machine()}. A Linux container or virtual machine will do."
        )
    if not shutil.which("cargo"):
        raise LocalAwsFailed("`cargo` is not on the PATH: install Rust first")


def build():
    """`sam build`, as for a real deployment. Cargo keeps what it built: with nothing changed it takes seconds."""
    progress.run(
        [str(install.program("sam", "sam")), "build"],
        "build the function as it ships (minutes the first time)", LOGS / "sam-build.log",
        environment=clean_environment(), directory=ROOT,
    )


def free_port():
    """The usual port, or any other with a word about it."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen = probe.getsockname()[1]
        if chosen != USUAL_PORT:
            progress.say(f"port {USUAL_PORT} is busy; the local AWS takes {chosen}")
        return chosen
    raise LocalAwsFailed("no free port on 127.0.0.1")


def mend(client, stack):
    """Makes good where the local AWS differs from AWS in a way that would break the function of a stack."""
    # It keeps a number that the template writes as text a text, which no SDK reads; AWS makes it a number.
    athena = client("athena")
    for group in athena.list_work_groups()["WorkGroups"]:
        configuration = athena.get_work_group(WorkGroup=group["Name"])["WorkGroup"]["Configuration"]
        cutoff = configuration.get("BytesScannedCutoffPerQuery")
        if cutoff is not None:
            athena.update_work_group(
                WorkGroup=group["Name"], ConfigurationUpdates={"BytesScannedCutoffPerQuery": int(cutoff)}
            )
    # It asks for GetParametersByPath and BatchGetQueryExecution on `*`, where AWS asks for them on the path and on the
    # workgroups, which is what the role grants; and it knows neither `ses:FromAddress` nor `ses:Recipients`, under which the role may send.
    def physical(logical):
        resource = client("cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId=logical)
        return resource["StackResourceDetail"]["PhysicalResourceId"]

    role = physical("FunctionRole")
    client("iam").put_role_policy(
        RoleName=role, PolicyName=MENDED,
        PolicyDocument=json.dumps({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow", "Resource": "*",
                    "Action": ["ssm:GetParametersByPath", "athena:BatchGetQueryExecution", "ses:SendRawEmail"],
                },
            ],
        }),
    )
    # It makes the table without what the template says of TTL.
    client("dynamodb").update_time_to_live(
        TableName=physical("StateTable"), TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"},
    )


class LocalAws:
    """The local AWS with the stack on it, for the length of a `with` block."""

    def __init__(self):
        self.settings = settings()
        self.process = None
        self.mailbox = None
        self.recorder = None
        self.outputs = {}

    def __enter__(self):
        try:
            self._start()
            self._deploy()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def _start(self):
        for directory in (LOCAL / "state", MAILS):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
        LOGS.mkdir(parents=True, exist_ok=True)
        self.mailbox = mailbox.Mailbox(MAILS)
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.recorder = recorder.Recorder(port, CALLS)

        environment = clean_environment()
        environment.update(
            GATEWAY_PORT=str(port),
            BIND_HOST="127.0.0.1",
            CLOUDTRAIL_RECORDING="1",
            # It hands this on to the functions it runs, which is how they find it: by way of what writes down their calls.
            AWS_ENDPOINT_URL=self.recorder.endpoint,
            # Where it tells functions to put their answers to CloudFormation: at the host of their endpoint, or they put none.
            MINISTACK_HOST=recorder.HOST,
            # The role's permissions hold here as they do on AWS; see `execution_credentials` of MiniStack.
            AUTH="true",
            SMTP_HOST=self.mailbox.address,
            MINISTACK_REGION=self.settings["region"],
            MINISTACK_ACCOUNT_ID=ACCOUNT,
            TMPDIR=str(LOCAL / "state"),
            S3_DATA_DIR=str(LOCAL / "state" / "s3"),
            # Listeners on fixed ports that nothing here asks for.
            IOT_MTLS_ENABLED="0",
            SFTP_ENABLED="0",
        )
        self.log = LOGS / "local-aws.log"
        with open(self.log, "wb") as output:
            self.process = progress.start(
                [str(install.program("ministack", "local-aws"))], env=environment, cwd=LOCAL / "state",
                stdin=progress.subprocess.DEVNULL, stdout=output, stderr=progress.subprocess.STDOUT,
            )
        waiting = progress.Waiting("start the local AWS")
        try:
            while not self._answers():
                if self.process.poll() is not None or waiting.elapsed() > START_SECONDS:
                    raise LocalAwsFailed(f"the local AWS did not come up:\n{progress.tail_of(self.log)}")
                waiting.tick()
                time.sleep(0.1)
        finally:
            waiting.clear()

    def _answers(self):
        try:
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(f"{self.endpoint}/_ministack/health", timeout=5) as reply:
                return reply.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def _deploy(self):
        # What an account has before the stack comes: a verified sender, and the two buckets.
        self.client("ses").verify_email_identity(EmailAddress=self.settings["sender"])
        for bucket in (self.settings["artifacts"], self.settings["results"]):
            self.client("s3").create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": self.settings["region"]}
            )
        progress.run(
            [str(install.program("sam", "sam")), "deploy", "--config-env", "local", "--no-progressbar"],
            "deploy the stack", LOGS / "sam-deploy.log", environment=self.environment(), directory=ROOT,
        )
        cloudformation = self.client("cloudformation")
        stack = cloudformation.describe_stacks(StackName=self.settings["stack"])["Stacks"][0]
        self.outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
        mend(self.client, self.settings["stack"])

    def stop(self):
        """Ends the local AWS, the functions it started, and the mailbox; the function's log is kept as a file."""
        if self.process is not None:
            self._keep_log()
            progress.stop(self.process)
            self.process = None
        if self.recorder is not None:
            self.recorder.close()
            self.recorder = None
        if self.mailbox is not None:
            self.mailbox.close()
            self.mailbox = None

    def _keep_log(self):
        if "LogGroupName" not in self.outputs or self.process.poll() is not None:
            return
        try:
            lines = [event["message"].rstrip("\n") for event in self.log_events()]
            (LOGS / "function.log").write_text("\n".join(lines) + "\n")
        except Exception as error:  # Whatever it is, it must not keep the local AWS from being stopped.
            progress.say(f"the function's log could not be kept: {error}")

    def log_events(self):
        """The events of the function's log, oldest first."""
        pages = self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=self.outputs["LogGroupName"])
        return sorted((event for page in pages for event in page["events"]), key=lambda event: event["timestamp"])

    def client(self, service):
        """A boto3 client for the local AWS."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            service, endpoint_url=self.endpoint, region_name=self.settings["region"],
            aws_access_key_id=ACCOUNT, aws_secret_access_key="test",
            config=Config(proxies={}, retries={"max_attempts": 3}),
        )

    def variables(self):
        """The environment variables that lead a program here."""
        import samcli

        found = {
            "AWS_ENDPOINT_URL": self.endpoint,
            # What the functions have as their endpoint. Whoever asks them for a grant signs a question that leads there.
            "WATCHDOG_ENDPOINT": self.recorder.endpoint,
            # So that what is no function is not taken for one, where it calls by way of that.
            "AWS_SDK_UA_APP_ID": recorder.NO_FUNCTION,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": self.settings["region"],
            "AWS_DEFAULT_REGION": self.settings["region"],
            "WATCHDOG_BOOTSTRAP": str(ROOT / ".aws-sam" / "build" / "Function" / "bootstrap"),
            "WATCHDOG_RIE": str(Path(samcli.__file__).parent / "local" / "rapid" / "aws-lambda-rie-x86_64"),
            "WATCHDOG_MAILS": str(MAILS),
            "WATCHDOG_CALLS": str(CALLS),
            "WATCHDOG_STACK": self.settings["stack"],
        }
        for name, output in (
            ("WATCHDOG_FUNCTION", "WatchdogFunctionName"),
            ("WATCHDOG_STATE_TABLE", "StateTableName"),
            ("WATCHDOG_POLICY_PATH", "PolicyPath"),
            ("WATCHDOG_DEAD_LETTER_QUEUE", "DeadLetterQueueUrl"),
            ("WATCHDOG_LOG_GROUP", "LogGroupName"),
        ):
            if output in self.outputs:
                found[name] = self.outputs[output]
        return found

    def environment(self):
        """A whole environment for a program that is to work against the local AWS."""
        return {**clean_environment(), **self.variables()}
