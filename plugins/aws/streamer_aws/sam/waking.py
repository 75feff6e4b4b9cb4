"""What wakes the processor: a queue with its dead-letter queue, or the stream of the requests' table. Pure."""

from __future__ import annotations

from typing import Any, Final

from streamer.core.records import Status
from streamer_aws.sam.functions import DEAD, allow, queue_of
from streamer_aws.sam.tables import REQUESTS
from streamer_aws.sam.timing import visibility

BATCH: Final = 10
"""Messages or records that one processor may be given at most."""
RECEIVES: Final = 5
"""How often one is handed out before it counts as dead."""
RETRIERS: Final = 10
"""Processors that run for the queue at one time, at most, where a stream wakes the others."""
KEPT: Final = 14 * 86400
"""Seconds, the longest that SQS keeps a message."""


def queues(queue: Any, dead: Any, timeout: int, *, wake: str) -> dict[str, Any]:
    """The resources.

    Args:
        queue: its name, as the template writes it.
        dead: that of the dead-letter queue; for streams, of the place where given-up batches are told.
        timeout: seconds of the processor.
        wake: `sqs` or `streams`.
    """
    return {
        DEAD: _queue({"QueueName": dead, "MessageRetentionPeriod": KEPT}),
        queue_of(wake): _queue(
            {
                "QueueName": queue,
                "VisibilityTimeout": visibility(timeout),
                "MessageRetentionPeriod": KEPT,
                "RedrivePolicy": {
                    "deadLetterTargetArn": {"Fn::GetAtt": [DEAD, "Arn"]},
                    "maxReceiveCount": RECEIVES,
                },
            }
        ),
    }


def event(*, wake: str) -> dict[str, Any]:
    """What invokes the processor.

    Args:
        wake: `sqs`, or `streams`; then a queue wakes it too, for what is to run later or again.
    """
    of_queue = {
        "Type": "SQS",
        "Properties": {
            "Queue": {"Fn::GetAtt": [queue_of(wake), "Arn"]},
            "BatchSize": {"Ref": "BatchSize"},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": {"Ref": "Processors"} if wake == "sqs" else RETRIERS},
        },
    }
    if wake == "sqs":
        return {"Wake": of_queue}
    pattern = f'{{"eventName":["INSERT"],"dynamodb":{{"NewImage":{{"status":{{"S":["{Status.PENDING}"]}}}}}}}}'
    return {
        "Retry": of_queue,
        "Wake": {
            "Type": "DynamoDB",
            "Properties": {
                "Stream": {"Fn::GetAtt": [REQUESTS, "StreamArn"]},
                # From the oldest record: what was stored before the mapping was there is not passed over.
                "StartingPosition": "TRIM_HORIZON",
                "BatchSize": {"Ref": "BatchSize"},
                "FilterCriteria": {"Filters": [{"Pattern": pattern}]},
                "BisectBatchOnFunctionError": True,
                "MaximumRetryAttempts": RECEIVES,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "ParallelizationFactor": {"Ref": "Processors"},
                "DestinationConfig": {
                    "OnFailure": {"Type": "SQS", "Destination": {"Fn::GetAtt": [DEAD, "Arn"]}},
                },
            },
        },
    }


def statements(*, wake: str) -> list[dict[str, Any]]:
    """What the mapping does under the processor's role."""
    actions = ["ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes"]
    receiving = allow([f"sqs:{action}" for action in actions], {"Fn::GetAtt": [queue_of(wake), "Arn"]})
    if wake == "sqs":
        return [receiving]
    reading = ["DescribeStream", "GetRecords", "GetShardIterator"]
    return [
        receiving,
        allow([f"dynamodb:{action}" for action in reading], {"Fn::GetAtt": [REQUESTS, "StreamArn"]}),
        # It takes no narrower resource.
        allow(["dynamodb:ListStreams"], "*"),
        allow(["sqs:SendMessage"], {"Fn::GetAtt": [DEAD, "Arn"]}),
    ]


def processors(*, wake: str) -> dict[str, Any]:
    """The parameter that says how many processors run at one time."""
    if wake == "sqs":
        text = "Processors that run at one time, at most"
        return {"Type": "Number", "Default": 10, "MinValue": 2, "MaxValue": 1000, "Description": text}
    text = "Processors that run at one time for each shard of the stream, at most"
    return {"Type": "Number", "Default": 10, "MinValue": 1, "MaxValue": 10, "Description": text}


def batch_size(concurrency: int) -> dict[str, Any]:
    """The parameter that says how many requests share a sandbox.

    Args:
        concurrency: requests that one processor works on at one time.
    """
    text = (
        "Requests that one processor is given at once. More than one is cheaper for work that only waits; but what "
        "exhausts the memory, or ends the process, then takes an attempt of the others too"
    )
    return {"Type": "Number", "Default": 1, "MinValue": 1, "MaxValue": min(BATCH, concurrency), "Description": text}


def _queue(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "AWS::SQS::Queue",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {**properties, "SqsManagedSseEnabled": True},
    }
