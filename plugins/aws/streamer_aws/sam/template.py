"""A SAM template of the whole service: API, functions, tables, queue, roles, alarms. Pure: the same file gives the same
bytes, wherever and under whatever environment it is exported.

Properties are those of AWS's documentation of SAM and CloudFormation. What the file takes from the environment becomes
parameters (`streamer_aws.sam.variables`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import yaml

from streamer.config.settings import Settings
from streamer_aws.sam import alarms, timing, waking
from streamer_aws.sam.errors import ExportError
from streamer_aws.sam.functions import API, DEAD, NAMES, QUEUE, RESERVED, STAGE, environment, function, functions
from streamer_aws.sam.tables import CONNECTIONS, REQUESTS, SUBSCRIPTIONS, tables
from streamer_aws.sam.variables import Variable, definitions, substituted, variables

Wake = Literal["sqs", "streams"]
DEFAULT_PREFIX: Final = "streamer-"
RETENTIONS: Final = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653)
"""Days; CloudWatch Logs takes no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What is not in the file."""

    code: str = "./package"
    """The deployable folder, relative to where the template lies."""
    python: str = "3.13"
    """Of the functions' runtime."""
    wake: Wake = "sqs"
    """What wakes the processor."""


def template(settings: Settings, raw: Any, choices: Choices) -> dict[str, Any]:
    """The template as plain data.

    Args:
        settings: of the checked file.
        raw: the same file's data before the environment was filled in.
        choices: what is not in the file.

    Raises:
        ExportError: the file's backends are not those of AWS.
    """
    _check(settings)
    known = variables(raw, settings.secret_places)
    names = _names(raw, known)
    timeouts = {
        **dict.fromkeys(NAMES, timing.SOCKET),
        "processor": timing.processor(settings),
        "sweep": timing.SWEEP,
    }
    given = {variable.name: {"Ref": variable.parameter} for variable in known}
    wake = choices.wake
    every_minute = {"Type": "Schedule", "Properties": {"Schedule": "rate(1 minute)"}}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Description": f"{settings.service.name}: requests over WebSockets, made by 'streamer export sam'"[:1024],
        "Parameters": {**_parameters(wake, settings.worker.concurrency), **definitions(known)},
        "Conditions": {
            alarms.CONDITION: {"Fn::Not": [{"Fn::Equals": [{"Ref": alarms.TOPIC}, ""]}]},
            RESERVED: {"Fn::Not": [{"Fn::Equals": [{"Ref": "MessageConcurrency"}, 0]}]},
        },
        "Globals": {
            "Function": {
                "Runtime": f"python{choices.python}",
                "Architectures": ["x86_64"],
                "CodeUri": choices.code,
                "Environment": {"Variables": environment(given, wake=wake)},
            }
        },
        "Resources": {
            API: _api(),
            **functions(
                timeouts,
                {"processor": waking.statements(wake=wake)},
                {
                    "processor": waking.event(wake=wake),
                    "sweep": {"EveryMinute": every_minute},
                },
                wake=wake,
                bucket=names.get("bucket"),
            ),
            **tables(names),
            **waking.queues(names[QUEUE], names[DEAD], timeouts["processor"], wake=wake),
            **alarms.alarms(wake=wake),
        },
        "Outputs": _outputs(wake),
    }


def render(made: Mapping[str, Any]) -> str:
    """The template as YAML, without anchors, in the order in which it was made."""
    text: str = yaml.dump(made, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class's shape
        """Everything is written out: CloudFormation reads no anchors."""
        return True


def _check(settings: Settings) -> None:
    for kind, wanted in (("store", "dynamodb"), ("connections", "apigateway")):
        use = getattr(settings.backends, kind)
        if use.name != wanted:
            raise ExportError(f"backends.{kind}: on AWS it is {wanted!r}, not {use.name!r}: write {{use: {wanted}}}")
    for kind in ("store", "connections"):
        for name in ("endpoint_url", "endpoint"):
            if name in getattr(settings.backends, kind).options:
                raise ExportError(
                    f"backends.{kind}.{name}: it leads the functions to another place than this template's; take it out"
                )


def _names(raw: Any, known: tuple[Variable, ...]) -> dict[str, Any]:
    def options_of(kind: str) -> Mapping[str, Any]:
        use = raw["backends"][kind]
        return use if isinstance(use, Mapping) else {}

    def name(kind: str, suffix: str) -> Any:
        prefix = options_of(kind).get("prefix", DEFAULT_PREFIX)
        return substituted(f"{prefix}{suffix}", known, f"backends.{kind}.prefix")

    options = options_of("store")
    made = {
        REQUESTS: name("store", "requests"),
        QUEUE: name("store", "requests"),
        DEAD: name("store", "requests-dead"),
        CONNECTIONS: name("connections", "connections"),
        SUBSCRIPTIONS: name("connections", "subscriptions"),
    }
    if "bucket" in options:
        made["bucket"] = substituted(options["bucket"], known, "backends.store.bucket")
    return made


def _parameters(wake: Wake, concurrency: int) -> dict[str, Any]:
    def number(default: int, least: int, most: int, description: str) -> dict[str, Any]:
        return {"Type": "Number", "Default": default, "MinValue": least, "MaxValue": most, "Description": description}

    return {
        "SocketMemory": number(512, 256, 10240, "Memory in MB of the functions of the socket and of the sweep"),
        "ProcessorMemory": number(1024, 256, 10240, "Memory in MB of the processor; its share of a CPU grows with it"),
        "Processors": waking.processors(wake=wake),
        "BatchSize": waking.batch_size(concurrency),
        "MessagesPerSecond": number(
            10000, 1, 1000000, "Messages of all clients together that the API takes in a second"
        ),
        "MessageBurst": number(5000, 1, 1000000, "Messages that the API takes at one moment"),
        "MessageConcurrency": number(
            0, 0, 100000, "Sandboxes that answer messages at one time, at most, reserved for them; 0 for no bound"
        ),
        "OldestMessageAge": number(300, 60, 86400, "Seconds that a request may wait to be looked at before an alarm"),
        "LogRetention": {
            "Type": "Number",
            "Default": 30,
            "AllowedValues": list(RETENTIONS),
            "Description": "Days that logs are kept",
        },
        alarms.TOPIC: {
            "Type": "String",
            "Default": "",
            "Description": "ARN of the SNS topic that alarms are told to; nobody when empty",
        },
    }


def _api() -> dict[str, Any]:
    return {
        "Type": "AWS::Serverless::WebSocketApi",
        "Properties": {
            "Name": {"Ref": "AWS::StackName"},
            # Every message goes to $default: which action it is for, the service itself decides.
            "RouteSelectionExpression": "$request.body.action",
            "StageName": STAGE,
            "DefaultRouteSettings": {
                "ThrottlingRateLimit": {"Ref": "MessagesPerSecond"},
                "ThrottlingBurstLimit": {"Ref": "MessageBurst"},
            },
            "Routes": {
                f"${name}": {
                    "FunctionArn": {"Fn::GetAtt": [function(name), "Arn"]},
                    "IntegrationTimeout": timing.SOCKET * 1000,
                }
                for name in ("connect", "disconnect", "default")
            },
        },
    }


def _outputs(wake: Wake) -> dict[str, Any]:
    url = f"wss://${{{API}}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/{STAGE}"
    made: dict[str, Any] = {
        "Url": {"Description": "Where clients connect to", "Value": {"Fn::Sub": url}},
        "Requests": {"Description": "The table of the requests", "Value": {"Ref": REQUESTS}},
        "Connections": {"Description": "The table of the connections", "Value": {"Ref": CONNECTIONS}},
        "Subscriptions": {"Description": "The table of the subscriptions", "Value": {"Ref": SUBSCRIPTIONS}},
        "DeadLetters": {"Description": "The queue of what could not be worked on", "Value": {"Ref": DEAD}},
    }
    if wake == "sqs":
        made["Queue"] = {"Description": "The queue that wakes the processor", "Value": {"Ref": QUEUE}}
    return made
