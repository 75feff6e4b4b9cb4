"""What wakes a person."""

from __future__ import annotations

import pytest

from streamer_aws.sam.template import Choices

FUNCTIONS = ("ConnectFunction", "DisconnectFunction", "DefaultFunction", "ProcessorFunction", "SweepFunction")


def alarms(made):
    found = {name: one["Properties"] for name, one in made["Resources"].items() if "CloudWatch::Alarm" in one["Type"]}
    assert found
    return found


def watched(alarm):
    """Metric and owner of all that an alarm looks at."""
    metrics = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
    found = set()
    for metric in metrics or [alarm]:
        (dimension,) = metric["Dimensions"]
        ((_, owner),) = dimension["Value"].items()
        found.add((metric["MetricName"], owner if isinstance(owner, str) else owner[0]))
    return found


def test_each_function_has_an_alarm_for_its_failures(exported):
    made = alarms(exported())
    for name in FUNCTIONS:
        alarm = made[f"{name}Failures"]
        assert watched(alarm) == {("Errors", name)}
        assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)


def test_throttled_functions_and_tables_are_told(exported):
    made = alarms(exported())
    assert watched(made["FunctionThrottles"]) == {("Throttles", name) for name in FUNCTIONS}
    assert watched(made["TableThrottles"]) == {
        (metric, f"{table}Table")
        for table in ("Requests", "Connections", "Subscriptions")
        for metric in ("ReadThrottleEvents", "WriteThrottleEvents")
    }


def test_dead_letters_are_told(exported):
    assert watched(alarms(exported())["DeadLetters"]) == {("ApproximateNumberOfMessagesVisible", "DeadLetterQueue")}


@pytest.mark.parametrize(
    ("wake", "metric"),
    [("sqs", ("ApproximateAgeOfOldestMessage", "Queue")), ("streams", ("IteratorAge", "ProcessorFunction"))],
)
def test_the_age_of_the_oldest_message_is_told(exported, wake, metric):
    alarm = alarms(exported(choices=Choices(wake=wake)))["OldestMessage"]
    assert watched(alarm) == {metric}
    assert alarm["Threshold"] == {"Ref": "OldestMessageAge"}


def test_the_age_of_a_stream_is_counted_in_seconds_as_the_parameter_is(exported):
    alarm = alarms(exported(choices=Choices(wake="streams")))["OldestMessage"]
    assert [query.get("Expression") for query in alarm["Metrics"]] == ["m1 / 1000", None]


def test_alarms_are_told_to_the_topic_if_there_is_one(exported):
    made = exported()
    assert made["Parameters"]["AlarmTopic"]["Default"] == ""
    for alarm in alarms(made).values():
        assert alarm["AlarmActions"] == {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}
        assert alarm["TreatMissingData"] == "notBreaching"
