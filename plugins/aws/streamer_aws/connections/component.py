"""The component `backends.connections: {use: apigateway}`. Its imports are delayed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from streamer.contracts.components import BuildContext, Component, Kind
from streamer.contracts.provisioning import Resource
from streamer.core.units import parse_duration
from streamer_aws.connections.table import connections_definition, subscriptions_definition

ENDPOINT_VARIABLE: Final = "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"
"""The variable of the AWS tools for the endpoint of posts."""

OPTIONS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "prefix": {
            "type": "string",
            "pattern": "^[A-Za-z0-9_.-]{0,200}$",
            "default": "streamer-",
            "description": "Prefix of the tables' names: `<prefix>connections` and `<prefix>subscriptions`.",
        },
        "region": {
            "type": "string",
            "minLength": 1,
            "description": "Region of the tables and the API. Default: the environment (AWS_REGION).",
            "examples": ["eu-central-1"],
        },
        "endpoint": {
            "type": "string",
            "pattern": "^https?://",
            "description": "URL of the API's stage, for posting messages. Default: the environment "
            "(AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI), or the event that brought a message.",
            "examples": ["https://abcdef1234.execute-api.eu-central-1.amazonaws.com/live"],
        },
        "endpoint_url": {
            "type": "string",
            "pattern": "^https?://",
            "description": "URL of another service with the API of DynamoDB, such as an emulator.",
            "examples": ["http://127.0.0.1:4566"],
        },
        "progress_interval": {
            "type": "string",
            "format": "duration",
            "default": "1s",
            "description": "Minimum time between two progress messages of a request, if worker.progress_interval is "
            "shorter: each message is billed, and counts against the account's rate.",
        },
    },
    "additionalProperties": False,
}


def component() -> Component:
    """The plugin's component."""
    return Component(
        kind=Kind.CONNECTIONS,
        name="apigateway",
        factory=_build,
        summary="Connections that API Gateway holds, for Lambda functions and workers anywhere",
        options=OPTIONS,
        prefixed=False,
        several_processes=True,
        provision=_tables,
    )


def definitions(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tables of these options, as requests for CreateTable."""
    prefix = options.get("prefix", "streamer-")
    return [connections_definition(f"{prefix}connections"), subscriptions_definition(f"{prefix}subscriptions")]


@asynccontextmanager
async def _build(options: Mapping[str, Any], context: BuildContext) -> AsyncIterator[Any]:
    from streamer_aws.connections.manager import ApiGatewayConnections  # noqa: PLC0415 - as above
    from streamer_aws.connections.rows import ConnectionRows  # noqa: PLC0415 - as above
    from streamer_aws.connections.subscriptions import SubscriptionRows  # noqa: PLC0415 - the library takes half a second
    from streamer_aws.dynamodb.calls import Calls  # noqa: PLC0415 - as above
    from streamer_aws.dynamodb.clients import connect  # noqa: PLC0415 - as above

    region = options.get("region")
    connections, subscriptions = (one["TableName"] for one in definitions(options))
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(region, options.get("endpoint_url")))
        made = ApiGatewayConnections(
            lambda endpoint: connect(region, endpoint, "apigatewaymanagementapi"),
            options.get("endpoint") or os.environ.get(ENDPOINT_VARIABLE),
            rows=ConnectionRows(Calls(client, connections, context.clock), context.clock),
            subscriptions=SubscriptionRows(Calls(client, subscriptions, context.clock), context.clock),
            clock=context.clock,
            logger=context.logger,
            progress_interval=parse_duration(options.get("progress_interval", "1s")),
        )
        stack.push_async_callback(made.aclose)
        yield made


@asynccontextmanager
async def _tables(options: Mapping[str, Any], context: BuildContext) -> AsyncIterator[list[Resource]]:
    from streamer_aws.dynamodb.clients import connect  # noqa: PLC0415 - as above
    from streamer_aws.dynamodb.tables import Table  # noqa: PLC0415 - as above

    async with connect(options.get("region"), options.get("endpoint_url")) as client:
        yield [Table(client, definition, context.clock) for definition in definitions(options)]
