"""What wakes the processor: a queue with its dead-letter queue, or the stream of the requests' table. Pure
functions.
"""

from __future__ import annotations

from typing import Any, Final

from streamer.core.records import Status
from streamer_aws.sam.functions import DEAD, allow, queue_of
from streamer_aws.sam.tables import REQUESTS
from streamer_aws.sam.timing import visibility

BATCH: Final = 10
"""Maximum messages or records per invocation."""
RECEIVES: Final = 5
"""How often a message is delivered before it counts as dead."""
RETRIERS: Final = 10
"""Maximum concurrent processors for the queue, where a stream wakes the others."""
KEPT: Final = 14 * 86400
"""Maximum seconds that SQS keeps a message."""


def queues(queue: Any, dead: Any, timeout: int, *, wake: str) -> dict[str, Any]:
    """The resources.

    Args:
        queue: its name, as an expression of the template.
        dead: that of the dead-letter queue; for streams, of the destination of failed batches.
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
    """The event sources of the processor.

    Args:
        wake: `sqs`, or `streams`; then a queue also wakes it, for delayed and repeated requests.
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
                # From the oldest record, so that requests stored before the mapping existed are not missed.
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
    """The permissions that the mapping uses in the processor's role."""
    actions = ["ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes"]
    receiving = allow([f"sqs:{action}" for action in actions], {"Fn::GetAtt": [queue_of(wake), "Arn"]})
    if wake == "sqs":
        return [receiving]
    reading = ["DescribeStream", "GetRecords", "GetShardIterator"]
    return [
        receiving,
        allow([f"dynamodb:{action}" for action in reading], {"Fn::GetAtt": [REQUESTS, "StreamArn"]}),
        # This action does not support narrower resources.
        allow(["dynamodb:ListStreams"], "*"),
        allow(["sqs:SendMessage"], {"Fn::GetAtt": [DEAD, "Arn"]}),
    ]


def processors(*, wake: str) -> dict[str, Any]:
    """The parameter for the number of concurrent processors."""
    if wake == "sqs":
        text = "Maximum number of concurrent processors"
        return {"Type": "Number", "Default": 10, "MinValue": 2, "MaxValue": 1000, "Description": text}
    text = "Maximum number of concurrent processors for each shard of the stream"
    return {"Type": "Number", "Default": 10, "MinValue": 1, "MaxValue": 10, "Description": text}


def batch_size(concurrency: int) -> dict[str, Any]:
    """The parameter for the number of requests that share a sandbox.

    Args:
        concurrency: concurrent requests of one processor.
    """
    text = (
        "Requests per invocation of the processor. More than one is cheaper for work that waits; but a request that "
        "exhausts the memory, or ends the process, also costs the others an attempt"
    )
    return {"Type": "Number", "Default": 1, "MinValue": 1, "MaxValue": min(BATCH, concurrency), "Description": text}


def _queue(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "AWS::SQS::Queue",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {**properties, "SqsManagedSseEnabled": True},
    }
