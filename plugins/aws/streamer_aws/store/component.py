"""The component `backends.store: {use: dynamodb}`. Its imports are delayed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from streamer.contracts.components import BuildContext, Component, Kind
from streamer.contracts.provisioning import Resource

OPTIONS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "prefix": {
            "type": "string",
            "pattern": "^[A-Za-z0-9_.-]{0,200}$",
            "default": "streamer-",
            "description": "Prefix of the tables' names; the queue's table is `<prefix>requests`.",
        },
        "region": {
            "type": "string",
            "minLength": 1,
            "description": "Region of the tables. Default: the environment (AWS_REGION).",
            "examples": ["eu-central-1"],
        },
        "endpoint_url": {
            "type": "string",
            "pattern": "^https?://",
            "description": "URL of another service with the API of DynamoDB, such as an emulator.",
            "examples": ["http://127.0.0.1:4566"],
        },
        "bucket": {
            "type": "string",
            "minLength": 3,
            "description": "S3 bucket for payloads and results over DynamoDB's 400 KB, which are otherwise "
            "refused. It needs a lifecycle rule that deletes objects later than any request is kept.",
        },
        "shards": {
            "type": "integer",
            "minimum": 1,
            "maximum": 64,
            "default": 1,
            "description": "Number of shards of the indexes. Each handles some 200 requests per second and costs "
            "two more reads per claim. It can be increased at any time, and decreased only while the queue is empty.",
        },
    },
    "additionalProperties": False,
}


def component() -> Component:
    """The plugin's component."""
    return Component(
        kind=Kind.STORE,
        name="dynamodb",
        factory=_build,
        summary="Keeps requests durably in a DynamoDB table, for any number of services",
        options=OPTIONS,
        prefixed=False,
        several_processes=True,
        claims_by_key=True,
        provision=_tables,
    )


def table_name(options: Mapping[str, Any]) -> str:
    """The table of these options."""
    return f"{options.get('prefix', 'streamer-')}requests"


def definitions(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tables of these options, as requests for CreateTable."""
    from streamer_aws.store.table import definition  # noqa: PLC0415 - only who makes or checks tables needs it

    return [definition(table_name(options))]


@asynccontextmanager
async def client_of(options: Mapping[str, Any], service: str = "dynamodb") -> AsyncIterator[Any]:
    """A client with these options.

    Raises:
        StoreUnavailable: no region is configured.
    """
    from streamer_aws.dynamodb.clients import connect  # noqa: PLC0415 - half a second, for those who need it

    async with connect(options.get("region"), options.get("endpoint_url"), service) as client:
        yield client


@asynccontextmanager
async def _build(options: Mapping[str, Any], context: BuildContext) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(client_of(options))
        bucket = options.get("bucket")
        s3 = None if bucket is None else await stack.enter_async_context(client_of(options, "s3"))
        from streamer.config.settings import WorkerSettings  # noqa: PLC0415 - the package reads YAML and schemas
        from streamer_aws.store.store import DynamoStore  # noqa: PLC0415 - as in `client_of`

        worker: WorkerSettings = WorkerSettings() if context.settings is None else context.settings.worker
        store = DynamoStore(
            client,
            table_name(options),
            clock=context.clock,
            max_queued=worker.max_queued,
            max_queued_per_owner=worker.share_of_owner,
            retention=worker.result_ttl,
            shards=options.get("shards", 1),
            bucket=bucket,
            s3=s3,
            ended_undelivered=context.shared_connections,
        )
        try:
            # A missing or unreadable table is reported at the start and not by the first request.
            await store.get(("streamer", "start"))
            yield store
        finally:
            await store.close()


@asynccontextmanager
async def _tables(options: Mapping[str, Any], context: BuildContext) -> AsyncIterator[list[Resource]]:
    async with client_of(options) as client:
        from streamer_aws.dynamodb.tables import Table  # noqa: PLC0415 - as in `client_of`

        yield [Table(client, definition, context.clock) for definition in definitions(options)]
