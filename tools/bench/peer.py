"""What somebody would write instead: the plain form of the watchdog's job, as a Lambda function in Python with boto3.

It is measured beside the function that ships, under the same Runtime API and against the same fake. It is meant to be competent: clients are
made once, `GetMetricData` is asked with as many metrics as a request holds, what is over a threshold alone is looked up in the table, and with
`PEER_THREADS` calls that do not need each other are made side by side. It does less: no forecast, no mails with people in them, no proof that
a missing datapoint is zero beyond `GetWorkGroup`, no lease.
"""

import http.client
import json
import os
import tomllib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import boto3
from botocore.config import Config

THREADS = int(os.environ.get("PEER_THREADS", "1"))
CONFIG = Config(max_pool_connections=max(10, THREADS), retries={"mode": "standard"})
ATHENA, CLOUDWATCH, DYNAMODB, SSM = (
    boto3.client(service, config=CONFIG) for service in ("athena", "cloudwatch", "dynamodb", "ssm")
)
POOL = ThreadPoolExecutor(THREADS) if THREADS > 1 else None
TABLE, PATH = os.environ["STATE_TABLE"], os.environ["POLICY_PATH"]

BUCKET = 300
UNITS = {"GB": 10**9, "TB": 10**12}
HOURS = {"1h": 1, "24h": 24}


def side_by_side(function, items):
    return list(POOL.map(function, items) if POOL else map(function, items))


def size(text):
    number, unit = text.split()
    return int(float(number) * UNITS[unit])


def limits():
    found = SSM.get_parameters_by_path(Path=PATH, Recursive=True)["Parameters"]
    policy = tomllib.loads(found[0]["Value"])
    return [(limit["window"], size(limit["limit"])) for limit in policy["workgroup"][0]["limit"]]


def publishes(name):
    configuration = ATHENA.get_work_group(WorkGroup=name)["WorkGroup"]["Configuration"]
    return name, configuration.get("PublishCloudWatchMetricsEnabled", False)


def scanned(names, end):
    """Bytes of each workgroup in each five minutes of the last day."""
    start = end - timedelta(hours=24)
    most = min(500, 100_800 // (24 * 3600 // BUCKET))
    found = {}

    def ask(chunk):
        queries = [
            {
                "Id": f"m{i}",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/Athena", "MetricName": "ProcessedBytes",
                        "Dimensions": [{"Name": "WorkGroup", "Value": name}],
                    },
                    "Period": BUCKET, "Stat": "Sum",
                },
            }
            for i, name in enumerate(chunk)
        ]
        more = {}
        while True:
            page = CLOUDWATCH.get_metric_data(MetricDataQueries=queries, StartTime=start, EndTime=end, **more)
            for result in page["MetricDataResults"]:
                points = found.setdefault(chunk[int(result["Id"][1:])], [])
                points.extend(zip(result["Timestamps"], result["Values"]))
            if "NextToken" not in page:
                return
            more = {"NextToken": page["NextToken"]}

    side_by_side(ask, [names[i:i + most] for i in range(0, len(names), most)])
    return found


def handler(event):
    now = datetime.now(timezone.utc)
    rules = limits()
    names = [
        group["Name"]
        for page in ATHENA.get_paginator("list_work_groups").paginate() for group in page["WorkGroups"]
    ]
    watched = [name for name, on in side_by_side(publishes, names) if on]
    end = now - timedelta(seconds=now.timestamp() % BUCKET)
    points = scanned(watched, end)
    answer = []
    for name in watched:
        for window, limit in rules:
            since = end - timedelta(hours=HOURS[window])
            used = sum(int(value) for at, value in points.get(name, []) if at >= since)
            level = "ok" if used < limit * 0.8 else "warn"
            answer.append({"workgroup": name, "window": window, "level": level, "used_bytes": used, "limit_bytes": limit})

    def tell(entry):
        key = {"pk": {"S": "alert"}, "sk": {"S": f"{entry['workgroup']}/{entry['window']}"}}
        if "Item" not in DYNAMODB.get_item(TableName=TABLE, Key=key):
            raise NotImplementedError("a mail: the bench keeps every limit below its threshold")

    side_by_side(tell, [entry for entry in answer if entry["level"] != "ok"])
    last = {"pk": {"S": "peer"}, "sk": {"S": "last"}, "at": {"S": now.isoformat()}}
    DYNAMODB.put_item(TableName=TABLE, Item=last)
    return {"limits": answer}


def serve():
    """The loop of Lambda's own Python runtime, as far as it costs anything: one connection, one event at a time."""
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        api.request("GET", "/2018-06-01/runtime/invocation/next")
        response = api.getresponse()
        event = json.loads(response.read())
        request = response.headers["Lambda-Runtime-Aws-Request-Id"]
        try:
            body, path = json.dumps(handler(event)), "response"
        except Exception as error:  # As that runtime does.
            body, path = json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)}), "error"
        api.request("POST", f"/2018-06-01/runtime/invocation/{request}/{path}", body)
        api.getresponse().read()


serve()
