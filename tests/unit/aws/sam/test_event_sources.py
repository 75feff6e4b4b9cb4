"""What wakes the processor."""

from __future__ import annotations

import json

import pytest

from streamer.core.records import Status
from streamer_aws.sam.template import Choices


def event(made):
    return made["Resources"]["ProcessorFunction"]["Properties"]["Events"]["Wake"]


def test_the_queue_hands_out_batches_whose_failures_are_told_one_by_one(exported):
    made = exported()
    assert event(made) == {
        "Type": "SQS",
        "Properties": {
            "Queue": {"Fn::GetAtt": ["Queue", "Arn"]},
            "BatchSize": {"Ref": "BatchSize"},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": {"Ref": "Processors"}},
        },
    }


def test_what_is_handed_out_too_often_goes_to_the_dead_letter_queue(exported):
    resources = exported()["Resources"]
    queue, dead = resources["Queue"]["Properties"], resources["DeadLetterQueue"]["Properties"]
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]},
        "maxReceiveCount": 5,
    }
    assert (queue["QueueName"], dead["QueueName"]) == ("streamer-requests", "streamer-requests-dead")
    # Longer than in the queue it cannot be kept, or it would be gone when somebody looks.
    assert dead["MessageRetentionPeriod"] >= queue["MessageRetentionPeriod"]
    assert queue["SqsManagedSseEnabled"]
    assert dead["SqsManagedSseEnabled"]


def test_the_stream_wakes_for_new_requests_only_and_gives_up_in_the_end(exported):
    made = exported(choices=Choices(wake="streams"))
    wake = event(made)
    assert wake["Type"] == "DynamoDB"
    properties = wake["Properties"]
    (pattern,) = properties["FilterCriteria"]["Filters"]
    assert json.loads(pattern["Pattern"]) == {
        "eventName": ["INSERT"],
        "dynamodb": {"NewImage": {"status": {"S": [Status.PENDING.value]}}},
    }
    assert properties["BisectBatchOnFunctionError"] is True
    assert properties["MaximumRetryAttempts"] == 5
    assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert properties["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    assert properties["Stream"] == {"Fn::GetAtt": ["RequestsTable", "StreamArn"]}
    assert "Queue" not in made["Resources"]
    assert "Queue" not in made["Outputs"]


def test_beside_the_stream_a_queue_brings_what_is_to_run_later_or_again(exported):
    made = exported(choices=Choices(wake="streams"))
    retry = made["Resources"]["ProcessorFunction"]["Properties"]["Events"]["Retry"]
    assert retry["Type"] == "SQS"
    assert retry["Properties"]["Queue"] == {"Fn::GetAtt": ["RetryQueue", "Arn"]}
    variables = made["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["STREAMER_RETRY_QUEUE_URL"] == {"Ref": "RetryQueue"}


@pytest.mark.parametrize("wake", ["sqs", "streams"])
def test_a_sweep_is_as_long_as_the_time_to_the_next_and_is_not_run_again(exported, wake):
    made = exported(choices=Choices(wake=wake))["Resources"]["SweepFunction"]["Properties"]
    assert made["Timeout"] == 60
    assert made["EventInvokeConfig"] == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}


def test_a_processor_is_given_no_more_than_it_works_on_at_one_time(exported, small):
    of_three = exported(small + "worker: {concurrency: 3}\n")["Parameters"]["BatchSize"]
    assert (of_three["Default"], of_three["MinValue"], of_three["MaxValue"]) == (1, 1, 3)
    # One request to a sandbox, unless somebody asks for more: what kills it then kills nothing else.
    assert exported()["Parameters"]["BatchSize"]["Default"] == 1


def test_how_many_processors_run_is_a_parameter_within_what_lambda_allows(exported):
    of_queue = exported()["Parameters"]["Processors"]
    assert (of_queue["MinValue"], of_queue["MaxValue"]) == (2, 1000)
    of_stream = exported(choices=Choices(wake="streams"))["Parameters"]["Processors"]
    assert (of_stream["MinValue"], of_stream["MaxValue"]) == (1, 10)
