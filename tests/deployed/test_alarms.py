"""The watchdog's own watch: each alarm of the stack that is about the watchdog fires, and is heard without SES or the function.

The metrics are published as their owners would: Lambda, SQS, and the function's log lines, which the local AWS does not read metrics from. It
evaluates every alarm when metrics come in, whatever their dimensions, and takes no absence of data for anything.
"""

import datetime
import json
import os
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
                self.cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="OK", StateReason="a new test")
                self.heard()
                self.publish(alarm, bad)
                if logical == "SilenceAlarm":
                    # Completed runs of the other tests are still in its period.
                    self.cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="ALARM", StateReason="no run")
                self.assertEqual(self.heard().get(alarm["AlarmName"]), "ALARM", self.alarm(logical))
                self.assertEqual(alarm["AlarmActions"], [self.topic])
                # What the local AWS does not look at: whose metric it is, and what no datapoint means.
                whose = "DeadLetterQueue" if logical == "DeadLetterAlarm" else "Function"
                name = self.account.resource(self.stack, whose).rpartition("/")[2]
                self.assertEqual([each["Value"] for each in alarm["Dimensions"]], [name])
                self.assertEqual(alarm["TreatMissingData"], "breaching" if logical == "SilenceAlarm" else "notBreaching")

    def test_each_says_what_to_do_first(self):
        for logical in OWN:
            words = self.alarm(logical)["AlarmDescription"]
            self.assertIn("First:", words)
            self.assertNotIn("${", words)


if __name__ == "__main__":
    unittest.main()
