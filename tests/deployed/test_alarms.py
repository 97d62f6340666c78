"""The watchdog's own watch: each alarm of the stack that is about the watchdog fires, and is heard without SES or the function.

The metrics are published as their owners would: Lambda, SQS, and the function's log lines, which the local AWS does not read metrics from. It
evaluates every alarm when metrics come in, whatever their dimensions, and takes no absence of data for anything. So whose metrics the alarms are
about is held against what a run announces in its log, and silence itself cannot be played here: it is what the alarm's own terms, as they
are deployed, make of no datapoint at all (`without_data`), and of a run that did not do its job, which the local AWS does evaluate.
"""

import datetime
import json
import os
import time
import unittest

import deployed

# By alarm: what makes it fire, and what makes it stop.
OWN = {
    "ErrorsAlarm": (1, 0),
    "DeadLetterAlarm": (1, 0),
    "MailsFailedAlarm": (1, 0),
    "UnknownLimitsAlarm": (2, 0),
    # A run that did not do its job counts as none; that nothing is written at all counts the same.
    "SilenceAlarm": (0, 1),
}


def without_data(alarm):
    """The state into which AWS puts an alarm on one metric when each of its periods is without a datapoint."""
    return {
        "breaching": "ALARM", "notBreaching": "OK", "ignore": "as it was", "missing": "INSUFFICIENT_DATA",
    }[alarm.get("TreatMissingData", "missing")]


class AlarmsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.account, cls.stack = deployed.Account(), os.environ["WATCHDOG_STACK"]
        cls.cloudwatch, cls.sns, cls.sqs = (cls.account.client(name) for name in ("cloudwatch", "sns", "sqs"))
        cls.queue = cls.sqs.create_queue(QueueName="on-call")["QueueUrl"]
        arn = cls.sqs.get_queue_attributes(QueueUrl=cls.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        cls.topic = cls.account.resource(cls.stack, "AlarmTopic")
        # As on AWS, a topic may not write into a queue that does not say so.
        cls.sqs.set_queue_attributes(QueueUrl=cls.queue, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": cls.topic}},
        }]})})
        cls.sns.subscribe(TopicArn=cls.topic, Protocol="sqs", Endpoint=arn)

    def heard(self):
        """What the topic has said since this was last asked: `{alarm: state}`."""
        found = {}
        while messages := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for each in messages:
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=each["ReceiptHandle"])
                said = json.loads(json.loads(each["Body"])["Message"])
                found[said["AlarmName"]] = said["NewStateValue"]
        return found

    def alarm(self, logical):
        name = self.account.resource(self.stack, logical)
        return self.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]

    def publish(self, alarm, value):
        self.cloudwatch.put_metric_data(Namespace=alarm["Namespace"], MetricData=[{
            "MetricName": alarm["MetricName"], "Dimensions": alarm["Dimensions"], "Value": value,
            "Timestamp": datetime.datetime.now(datetime.timezone.utc),
        }])

    def test_these_are_all_that_there_are(self):
        resources = self.account.client("cloudformation").describe_stack_resources(StackName=self.stack)["StackResources"]
        alarms = {each["LogicalResourceId"] for each in resources if each["ResourceType"] == "AWS::CloudWatch::Alarm"}
        self.assertEqual({name for name in alarms if not name.endswith("LimitAlarm")}, set(OWN))

    def test_each_fires_and_is_heard(self):
        for logical, (bad, _) in OWN.items():
            with self.subTest(logical):
                alarm = self.alarm(logical)
                if logical != "SilenceAlarm":
                    self.cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="OK", StateReason="a new test")
                    self.heard()
                    self.publish(alarm, bad)
                    self.assertEqual(self.heard().get(alarm["AlarmName"]), "ALARM", self.alarm(logical))
                self.assertEqual((alarm["AlarmActions"], alarm["ActionsEnabled"]), ([self.topic], True))
                # What the local AWS does not look at: whose metric it is, and what no datapoint means.
                whose = "DeadLetterQueue" if logical == "DeadLetterAlarm" else "Function"
                name = self.account.resource(self.stack, whose).rpartition("/")[2]
                self.assertEqual([each["Value"] for each in alarm["Dimensions"]], [name])
                self.assertEqual(without_data(alarm), "ALARM" if logical == "SilenceAlarm" else "OK")

    def test_silence_fires_by_its_own_terms(self):
        """Completed runs of other tests are in the alarm's period, and so its terms are evaluated on a metric of nobody's."""
        alarm = self.alarm("SilenceAlarm")
        terms = ("Statistic", "Period", "EvaluationPeriods", "Threshold", "ComparisonOperator", "TreatMissingData", "AlarmActions", "OKActions")
        same = {"AlarmName": "silence-of-nobody", "Namespace": "Nobody", "MetricName": alarm["MetricName"], "Dimensions": []}
        self.cloudwatch.put_metric_alarm(**same, **{term: alarm[term] for term in terms})
        self.addCleanup(self.cloudwatch.delete_alarms, AlarmNames=[same["AlarmName"]])
        self.heard()
        bad, good = OWN["SilenceAlarm"]
        for value, state in ((bad, "ALARM"), (good, "OK")):
            self.publish(same, value)
            self.assertEqual(self.heard().get(same["AlarmName"]), state, value)
        # No run at all: soon enough, whatever was before, and with every datapoint that the alarm waits for.
        self.assertEqual(without_data(alarm), "ALARM")
        seconds = int(self.account.parameters(self.stack)["SilenceAlarmSeconds"])
        self.assertEqual(alarm["Period"] * alarm["EvaluationPeriods"], seconds)
        self.assertLessEqual(alarm.get("DatapointsToAlarm", 1), alarm["EvaluationPeriods"])

    def test_they_are_about_what_a_run_announces(self):
        announced = self.announced()
        ours = [self.alarm(logical) for logical in OWN]
        ours = [alarm for alarm in ours if alarm["Namespace"] == announced["namespace"]]
        self.assertEqual(sorted(alarm["MetricName"] for alarm in ours), ["CompletedRuns", "MailsFailed", "UnknownLimits"])
        for alarm in ours:
            self.assertIn(alarm["MetricName"], announced["metrics"])
            self.assertEqual({each["Name"]: each["Value"] for each in alarm["Dimensions"]}, announced["dimensions"], alarm["MetricName"])

    def announced(self):
        """What CloudWatch would read of the log line of a run that judges: the namespace, the metrics, and the dimensions of each."""
        function = self.account.resource(self.stack, "Function")
        for _ in range(10):
            now = datetime.datetime.now(datetime.timezone.utc)
            event = {"source": "aws.scheduler", "detail-type": "Scheduled Event", "time": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
            reply = self.account.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
            report = json.load(reply["Payload"])
            # One of the schedule's may be at work; then this one has stepped back, and announces less.
            if "limits" in report and "skipped" not in report:
                break
            time.sleep(1)
        group = self.account.outputs(self.stack)["LogGroupName"]
        pages = self.account.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        lines = [event["message"] for page in pages for event in page["events"] if report["run_id"] in event["message"]]
        runs = [json.loads(line) for line in lines if '"message":"run"' in line]
        self.assertEqual(len(runs), 1, report)
        (directive,), run = runs[0]["_aws"]["CloudWatchMetrics"], runs[0]
        (dimensions,) = directive["Dimensions"]
        for metric in directive["Metrics"]:
            self.assertIsInstance(run[metric["Name"]], int)
        return {
            "namespace": directive["Namespace"], "metrics": {metric["Name"] for metric in directive["Metrics"]},
            "dimensions": {name: run[name] for name in dimensions},
        }

    def test_each_says_what_to_do_first(self):
        for logical in OWN:
            words = self.alarm(logical)["AlarmDescription"]
            self.assertIn("First:", words)
            self.assertNotIn("${", words)


if __name__ == "__main__":
    unittest.main()
