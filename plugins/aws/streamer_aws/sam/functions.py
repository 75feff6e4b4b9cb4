"""The five functions with their roles and logs. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streamer_aws.sam import tables

API: Final = "Api"
STAGE: Final = "live"
QUEUE: Final = "Queue"
RETRY_QUEUE: Final = "RetryQueue"
DEAD: Final = "DeadLetterQueue"
RESERVED: Final = "HasMessageConcurrency"
"""The condition for reserved concurrency of the functions that answer messages."""

NAMES: Final = ("connect", "disconnect", "default", "processor", "sweep")
"""Named after the functions of `streamer_aws`."""
POSTING: Final = frozenset({"default", "processor", "sweep"})
"""Those that send to connections. While `connect` runs, its connection cannot receive messages, and for `disconnect` it
has ended.
"""
SENDING: Final = frozenset({"disconnect", "default", "processor", "sweep"})
"""Those that wake the processor through the queue."""

CONFIG: Final = "service/streamer.yaml"
"""Relative to the function's own folder."""


def queue_of(wake: str) -> str:
    """The logical name of the queue: of all wake-ups, or of those that the stream does not announce."""
    return QUEUE if wake == "sqs" else RETRY_QUEUE


def function(name: str) -> str:
    """The logical name."""
    return f"{name.capitalize()}Function"


def functions(
    timeouts: Mapping[str, int],
    extra: Mapping[str, list[dict[str, Any]]],
    events: Mapping[str, dict[str, Any]],
    *,
    wake: str,
    bucket: Any,
) -> dict[str, Any]:
    """The resources of all functions.

    Args:
        timeouts: seconds, by function.
        extra: additional statements of each role, which depend on what wakes the processor, by function.
        events: event sources, by function; the API has the routes.
        wake: `sqs` or `streams`.
        bucket: of large payloads and results, as an expression of the template; None for none.
    """
    made: dict[str, Any] = {}
    for name in NAMES:
        logical = function(name)
        statements = [*tables.statements(name), *extra.get(name, ())]
        if name in POSTING:
            statements.append(_posting())
        if name in SENDING:
            # The sweep checks how many wake-ups wait before it sends more.
            actions = ["sqs:SendMessage", *(["sqs:GetQueueAttributes"] if name == "sweep" else [])]
            statements.append(allow(actions, {"Fn::GetAtt": [queue_of(wake), "Arn"]}))
        if bucket is not None and name in POSTING:
            statements.append(_bucket(bucket))
        made[f"{logical}Logs"] = {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {"RetentionInDays": {"Ref": "LogRetention"}},
        }
        made[f"{logical}Role"] = _role(logical, statements)
        memory = "ProcessorMemory" if name == "processor" else "SocketMemory"
        properties: dict[str, Any] = {
            "Handler": f"streamer_aws.{name}",
            "Role": {"Fn::GetAtt": [f"{logical}Role", "Arn"]},
            "Timeout": timeouts[name],
            "MemorySize": {"Ref": memory},
            "LoggingConfig": {"LogGroup": {"Ref": f"{logical}Logs"}},
        }
        if name == "default":
            reserved = {"Fn::If": [RESERVED, {"Ref": "MessageConcurrency"}, {"Ref": "AWS::NoValue"}]}
            properties["ReservedConcurrentExecutions"] = reserved
        if name == "sweep":
            # The next one runs in a minute: a failed one is not repeated, so that they do not pile up.
            properties["EventInvokeConfig"] = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
        if name in events:
            properties["Events"] = events[name]
        made[logical] = {"Type": "AWS::Serverless::Function", "Properties": properties}
    return made


def environment(variables: Mapping[str, Any], *, wake: str) -> dict[str, Any]:
    """The environment of every function: each of them reads the whole configuration file."""
    made: dict[str, Any] = {
        "STREAMER_CONFIG": CONFIG,
        "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": {
            "Fn::Sub": f"https://${{{API}}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/{STAGE}"
        },
    }
    made["STREAMER_QUEUE_URL" if wake == "sqs" else "STREAMER_RETRY_QUEUE_URL"] = {"Ref": queue_of(wake)}
    return {**made, **variables}


def allow(actions: list[str], resource: Any) -> dict[str, Any]:
    """A statement of a policy."""
    return {"Effect": "Allow", "Action": actions, "Resource": resource}


def _posting() -> dict[str, Any]:
    # All methods: sending is a POST, checking a connection a GET, closing it a DELETE.
    place = (
        f"arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{{API}}}/{STAGE}/*/@connections/*"
    )
    return allow(["execute-api:ManageConnections"], {"Fn::Sub": place})


def _bucket(name: Any) -> dict[str, Any]:
    text = name["Fn::Sub"] if isinstance(name, Mapping) else name
    return allow(["s3:GetObject", "s3:PutObject"], {"Fn::Sub": f"arn:${{AWS::Partition}}:s3:::{text}/requests/*"})


def _role(logical: str, statements: list[dict[str, Any]]) -> dict[str, Any]:
    logs = allow(["logs:CreateLogStream", "logs:PutLogEvents"], {"Fn::GetAtt": [f"{logical}Logs", "Arn"]})
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "lambda.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            },
            "Policies": [
                {
                    "PolicyName": "what-it-needs",
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": [logs, *statements]},
                }
            ],
        },
    }
