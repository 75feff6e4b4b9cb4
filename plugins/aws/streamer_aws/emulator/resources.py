"""The resources of the template: the tables, the queue and its dead-letter queue."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from streamer.core.clock import Clock
from streamer_aws.connections.component import definitions as connections_definitions
from streamer_aws.dynamodb import tables
from streamer_aws.emulator.limits import Limits
from streamer_aws.store.component import definitions as requests_definitions
from streamer_aws.store.component import table_name

CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "emulated", "AWS_SECRET_ACCESS_KEY": "emulated"}
"""The credentials of sandboxes. No other credentials are read, so no account can be reached."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue."""

    url: str
    arn: str


@asynccontextmanager
async def client(service: str, region: str, endpoint_url: str, read_timeout: float = 30.0) -> AsyncIterator[Any]:
    """A client of the emulated service."""
    async with get_session().create_client(
        service,
        region_name=region,
        endpoint_url=endpoint_url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=AioConfig(connect_timeout=2.0, read_timeout=read_timeout, retries={"total_max_attempts": 1}),
    ) as made:
        yield made


async def make_tables(store: Mapping[str, Any], connections: Mapping[str, Any], dynamodb: Any, clock: Clock) -> str:
    """The ARN of the stream of the requests' table; creates missing tables.

    Args:
        store: options of the store.
        connections: options of the connections.
        dynamodb: a client.
        clock: time.

    Raises:
        StoreUnavailable: a table cannot be created.
    """
    for definition in [*requests_definitions(store), *connections_definitions(connections)]:
        await tables.create(dynamodb, definition, clock)
    described = await dynamodb.describe_table(TableName=table_name(store))
    arn: str = described["Table"]["LatestStreamArn"]
    return arn


async def make_bucket(options: Mapping[str, Any], region: str, endpoint_url: str) -> None:
    """Creates the bucket for content that is too large for the table, if the store's options name one that does not
    exist.
    """
    name = options.get("bucket")
    if name is None:
        return
    async with client("s3", region, endpoint_url) as s3:
        if name not in {bucket["Name"] for bucket in (await s3.list_buckets())["Buckets"]}:
            # In us-east-1 the region must not be given.
            place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            await s3.create_bucket(Bucket=name, **place)


async def make_queue(name: str, sqs: Any, limits: Limits) -> Queue:
    """The queue and its dead-letter queue, `<name>-dead`; existing ones are not changed."""
    dead = await _queue(sqs, f"{name}-dead", {"MessageRetentionPeriod": str(14 * 24 * 3600)})
    return await _queue(
        sqs,
        name,
        {
            "VisibilityTimeout": str(limits.visibility),
            "RedrivePolicy": orjson.dumps(
                {"deadLetterTargetArn": dead.arn, "maxReceiveCount": limits.receives}
            ).decode(),
        },
    )


async def _queue(sqs: Any, name: str, attributes: dict[str, str]) -> Queue:
    url = (await sqs.create_queue(QueueName=name, Attributes=attributes))["QueueUrl"]
    answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return Queue(url, answer["Attributes"]["QueueArn"])
