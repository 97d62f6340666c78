#!/usr/bin/env python3
"""A local AWS with the stack deployed on it: to look at, to play with, or to run tests against.

    python3 tools/localaws.py demo             a short story, with the mails it leads to
    python3 tools/localaws.py local            leaves it running until Ctrl-C
    python3 tools/localaws.py build            only builds the function as it ships
    python3 tools/localaws.py run -- COMMAND   runs COMMAND against it and passes on how it ended

What is deployed is what ships: `sam build`, `sam deploy`, template.yaml and samconfig.toml, as for a real account.
Everything it writes is below `.local/` and `.aws-sam/`; nothing is left running, however it ends.
"""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import install
import progress
import stack


def run(command):
    """`run -- COMMAND`: the exit code of the command."""
    with stack.LocalAws() as aws:
        progress.say(f"the local AWS answers at {aws.endpoint}")
        try:
            process = progress.start(command, env=aws.environment(), cwd=stack.ROOT, stdin=progress.subprocess.DEVNULL)
        except OSError as error:
            raise stack.LocalAwsFailed(f"cannot start `{command[0]}`: {error.strerror}") from error
        try:
            code = process.wait()
        finally:
            progress.stop(process)
    # A command that a signal ended has a negative code here; shells add 128.
    return code if code >= 0 else 128 - code


PLAY = """
The stack `{stack}` runs on the local AWS at {endpoint}. In another terminal, from this folder:

    source .local/env.sh                      # the variables below, for the commands after it

    cargo run -q -p watchdog-cli -- status    # every limit: used, headroom, level
    cargo run -q -p watchdog-cli -- run --dry-run
    sam remote invoke --stack-name "$WATCHDOG_STACK" --event-file events/dry-run.json
    aws cloudwatch put-metric-data --namespace AWS/Athena --metric-name ProcessedBytes \\
        --dimensions WorkGroup=exploratory --unit Bytes --value 650000000000   # 650 of its 700 GB
    aws logs tail "$WATCHDOG_LOG_GROUP" --follow
    ls "$WATCHDOG_MAILS"                      # every mail, as .eml and .html

`sam` is put on the PATH; `aws` is the AWS CLI, where you have it. The schedule fires once a minute.
With Docker, `sam local invoke --event events/foreign-s3.json` runs the function as Lambda would; its container knows
nothing of the local AWS, so the events that make it look need a real account's credentials.
"""


def local():
    """`local`: until Ctrl-C."""
    with stack.LocalAws() as aws:
        # The functions' endpoint, so that they can be asked for grants.
        variables = {**aws.variables(), "AWS_ENDPOINT_URL": aws.recorder.endpoint}
        lines = [f"export {name}='{value}'" for name, value in sorted(variables.items())]
        lines.append(f"export PATH='{install.environment('sam') / 'bin'}':\"$PATH\"")
        lines.append("unset AWS_PROFILE AWS_SESSION_TOKEN")
        (stack.LOCAL / "env.sh").write_text("\n".join(lines) + "\n")
        print(PLAY.format(stack=aws.settings["stack"], endpoint=aws.endpoint))
        print("\n".join(f"    {line}" for line in lines[:-2]))
        print("\nCtrl-C ends it and leaves nothing running.", flush=True)
        seen = 0
        try:
            while aws.process.poll() is None:
                for mail in aws.mailbox.since(seen):
                    seen += 1
                    print(f"{time.strftime('%H:%M:%S')}  mail to {', '.join(mail.recipients)}: {mail.subject}", flush=True)
                time.sleep(0.5)
        except KeyboardInterrupt:
            print("\nstopped", flush=True)
            return 0
        finally:
            (stack.LOCAL / "env.sh").unlink()
    raise stack.LocalAwsFailed(f"the local AWS ended by itself:\n{progress.tail_of(aws.log)}")


def demo():
    """`demo`: see story.py."""
    import story

    with stack.LocalAws() as aws:
        return story.tell(aws)


def inside_the_environment(arguments):
    """Goes on in the Python that has boto3 and the SAM CLI, once both are installed."""
    if Path(sys.prefix).resolve() == install.environment("sam").resolve():
        return
    # What `run` runs may ask the IAM simulator.
    install.ensure(["local-aws", "sam", *(["iam"] if arguments[0] == "run" else [])])
    python = install.program("python", "sam")
    os.execv(str(python), [str(python), str(Path(__file__).resolve()), *arguments])


def main(arguments):
    if not arguments or arguments[0] not in ("demo", "local", "build", "run") or (
        arguments[0] == "run" and (len(arguments) < 3 or arguments[1] != "--")
    ) or (arguments[0] != "run" and len(arguments) != 1):
        print(__doc__, file=sys.stderr)
        return 2
    progress.end_on_signals()
    try:
        stack.check_machine()
        inside_the_environment(arguments)
        stack.build()
        if arguments[0] == "build":
            return 0
        if arguments[0] == "demo":
            return demo()
        if arguments[0] == "local":
            return local()
        return run(arguments[2:])
    except (stack.LocalAwsFailed, install.CannotInstall, progress.Failed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing is left running", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
