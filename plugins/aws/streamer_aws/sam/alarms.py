"""The alarms. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from streamer_aws.sam.functions import DEAD, NAMES, QUEUE, function
from streamer_aws.sam.tables import CONNECTIONS, REQUESTS, SUBSCRIPTIONS

TOPIC: Final = "AlarmTopic"
CONDITION: Final = "HasAlarmTopic"
PERIOD: Final = 60


def alarms(*, wake: str) -> dict[str, Any]:
    """The resources: alarms for failures of each function, throttling of functions and tables, the age of the oldest
    message, and dead letters.
    """
    made: dict[str, Any] = {}
    for name in NAMES:
        made[f"{function(name)}Failures"] = _alarm(
            f"Invocations of {name} that ended with an error", _of_function("Errors", name, "Sum")
        )
    made["FunctionThrottles"] = _sum(
        "Lambda did not run functions: the account's concurrency is used up",
        [_of_function("Throttles", name, "Sum") for name in NAMES],
    )
    made["TableThrottles"] = _sum(
        "DynamoDB asked for fewer calls",
        [
            _metric("AWS/DynamoDB", metric, "TableName", {"Ref": table}, "Sum")
            for table in (REQUESTS, CONNECTIONS, SUBSCRIPTIONS)
            for metric in ("ReadThrottleEvents", "WriteThrottleEvents")
        ],
    )
    if wake == "sqs":
        age = _metric("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", {"Fn::GetAtt": [QUEUE, "QueueName"]})
        made["OldestMessage"] = _alarm(
            "The oldest message of the queue exceeds the maximum age (seconds)", age, {"Ref": "OldestMessageAge"}
        )
    else:
        age = _of_function("IteratorAge", "processor", "Maximum")
        made["OldestMessage"] = _sum(
            "The oldest record of the stream exceeds the maximum age (seconds)",
            [age],
            expression="m1 / 1000",
            threshold={"Ref": "OldestMessageAge"},
        )
    dead = _metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", {"Fn::GetAtt": [DEAD, "QueueName"]})
    made["DeadLetters"] = _alarm("The dead-letter queue has messages that the processor could not process", dead)
    return made


def _of_function(metric: str, name: str, statistic: str) -> dict[str, Any]:
    return _metric("AWS/Lambda", metric, "FunctionName", {"Ref": function(name)}, statistic)


def _metric(namespace: str, name: str, dimension: str, value: Any, statistic: str = "Maximum") -> dict[str, Any]:
    return {
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": [{"Name": dimension, "Value": value}],
        "Period": PERIOD,
        "Statistic": statistic,
    }


def _alarm(description: str, metric: Mapping[str, Any], threshold: Any = 0) -> dict[str, Any]:
    return _resource(description, threshold, metric)


def _sum(
    description: str, metrics: Sequence[Mapping[str, Any]], expression: str = "", threshold: Any = 0
) -> dict[str, Any]:
    queries: list[dict[str, Any]] = [
        {
            "Id": "all",
            "Label": description,
            "Expression": expression or "SUM(METRICS())",
            "ReturnData": True,
        }
    ]
    for number, metric in enumerate(metrics, 1):
        stat = {key: metric[key] for key in ("Namespace", "MetricName", "Dimensions")}
        queries.append(
            {
                "Id": f"m{number}",
                "MetricStat": {"Metric": stat, "Period": metric["Period"], "Stat": metric["Statistic"]},
                "ReturnData": False,
            }
        )
    return _resource(description, threshold, {"Metrics": queries})


def _resource(description: str, threshold: Any, about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": description,
            "ComparisonOperator": "GreaterThanThreshold",
            "EvaluationPeriods": 1,
            "Threshold": threshold,
            # A service without requests has no data points.
            "TreatMissingData": "notBreaching",
            "AlarmActions": {"Fn::If": [CONDITION, [{"Ref": TOPIC}], {"Ref": "AWS::NoValue"}]},
            **about,
        },
    }
